/// Shows things in the notebook, and asks its user.
pub mod notebook {
    use std::io::Write;

    /// Shows `data` of a MIME type now, in the middle of the cell.
    pub fn display(mime_type: &str, data: &str) {
        send("display", mime_type, data.as_bytes());
    }

    /// Shows HTML.
    pub fn html(html: &str) {
        display("text/html", html);
    }

    /// Shows Markdown.
    pub fn markdown(markdown: &str) {
        display("text/markdown", markdown);
    }

    /// Shows an SVG picture, such as what plotters' `SVGBackend::with_string` wrote.
    pub fn svg(svg: &str) {
        display("image/svg+xml", svg);
    }

    /// Shows the bytes of a PNG file.
    pub fn png(bytes: &[u8]) {
        send("binary", "image/png", bytes);
    }

    /// Removes what the cell has shown so far, or with `wait` does so when something new is shown.
    pub fn clear_output(wait: bool) {
        send("clear", if wait { "1" } else { "0" }, b"");
    }

    /// Asks for a line of text.
    pub fn input(prompt: &str) -> String {
        ask("EVCXR_INPUT_REQUEST", prompt)
    }

    /// Asks for a line that is not shown while it is typed.
    pub fn password(prompt: &str) -> String {
        ask("EVCXR_INPUT_REQUEST_PASSWORD", prompt)
    }

    fn ask(request: &str, prompt: &str) -> String {
        let prompt = prompt.replace(':', "\u{1f}").replace('\n', " ");
        println!("{request}:{prompt}");
        let mut line = String::new();
        let _ = std::io::stdin().read_line(&mut line);
        line.trim_end_matches(['\r', '\n']).to_owned()
    }

    fn send(kind: &str, argument: &str, payload: &[u8]) {
        let mut out = std::io::stdout().lock();
        let _ = writeln!(out, "\u{1e}bioimage {kind} {argument} {}", payload.len());
        let _ = out.write_all(payload);
        let _ = out.flush();
    }

    extern "C" fn flush() {
        let _ = std::io::stdout().lock().flush();
        send("flushed", "-", b"");
    }

    /// Tells the kernel how to flush what was printed without a newline, and reports panics.
    pub fn start() {
        send("flush-at", &(flush as *const () as usize).to_string(), b"");
        // Not by its name: the cells' library does not know that this is the main thread.
        let cells = std::thread::current().id();
        std::panic::set_hook(Box::new(move |info| {
            let payload = info.payload();
            let message = (payload.downcast_ref::<&str>().map(|text| text.to_string()))
                .or_else(|| payload.downcast_ref::<String>().cloned())
                .unwrap_or_else(|| "a panic without a message".to_owned());
            let thread = std::thread::current();
            if thread.id() == cells {
                // Past the lock and the buffer: the panic may come from within `println!`.
                use std::os::fd::AsFd;
                if let Ok(out) = std::io::stdout().as_fd().try_clone_to_owned() {
                    let header = format!("\u{1e}bioimage panic - {}\n", message.len());
                    let _ = std::fs::File::from(out).write_all((header + &message).as_bytes());
                }
            } else {
                let name = thread.name().unwrap_or("<unnamed>");
                eprintln!("thread '{name}' panicked: {message}");
            }
        }));
    }
}
notebook::start();
