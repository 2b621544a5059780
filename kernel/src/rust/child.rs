//! The process that runs Rust cells, as far as it is ours.
//!
//! evcxr talks with that process through its standard output, line by line, and takes everything
//! else there for printed text. A cell that prints without a newline would lose that text, or glue
//! it to evcxr's own lines and hang it. So here, before evcxr's part starts, both output streams
//! are bent into pipes, and a thread carries what comes out of them to evcxr: its own lines as they
//! are, everything else as [`Event`]s, in order and to the letter.

use super::event::{Event, MARK};
use std::fs::File;
use std::io::{self, PipeReader, Read, Write};
use std::os::fd::{AsFd, AsRawFd, RawFd};

/// Runs as the child if this process was started as one; else returns.
pub fn hook() {
    if std::env::var_os("EVCXR_IS_RUNTIME").is_some() {
        // SAFETY: the first thing that `main` does, so there is no other thread yet.
        // Backtraces of a cell would show nothing but evcxr's frames.
        unsafe { std::env::remove_var("RUST_BACKTRACE") };
        if let Err(error) = carry_output() {
            eprintln!("cannot take over the output streams: {error}");
            std::process::exit(1);
        }
    }
    evcxr::runtime_hook();
}

fn carry_output() -> io::Result<()> {
    let wire = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let mut carrier = Carrier {
        stdout: redirect(libc::STDOUT_FILENO)?,
        stderr: redirect(libc::STDERR_FILENO)?,
        relay: Relay::new(wire),
    };
    std::thread::Builder::new().name("output".to_owned()).spawn(move || {
        // When evcxr is gone there is nobody left to tell.
        let _ = carrier.run();
    })?;
    Ok(())
}

fn redirect(stream: RawFd) -> io::Result<PipeReader> {
    let (reader, writer) = io::pipe()?;
    // SAFETY: both descriptors are open, and nothing has a claim on the one that is replaced.
    if unsafe { libc::dup2(writer.as_raw_fd(), stream) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(reader)
}

struct Carrier {
    stdout: PipeReader,
    stderr: PipeReader,
    relay: Relay<File>,
}

impl Carrier {
    fn run(&mut self) -> io::Result<()> {
        let mut buffer = vec![0; 1 << 16];
        loop {
            let [out, err] = ready(&self.stdout, &self.stderr, -1)?;
            // First the errors: a failing `?` prints there before it is announced here.
            if err {
                let length = self.stderr.read(&mut buffer)?;
                self.relay.error_output(&buffer[..length])?;
            }
            if out {
                let length = self.stdout.read(&mut buffer)?;
                self.relay.push(&buffer[..length]);
                while let Some(item) = self.relay.next() {
                    if item.ends_text() {
                        self.drain_errors(&mut buffer)?;
                    }
                    self.relay.handle(item)?;
                }
            }
        }
    }

    fn drain_errors(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        while ready(&self.stdout, &self.stderr, 0)?[1] {
            let length = self.stderr.read(buffer)?;
            self.relay.error_output(&buffer[..length])?;
        }
        Ok(())
    }
}

/// Which of the two can be read, after waiting at most `timeout` milliseconds.
fn ready(out: &PipeReader, err: &PipeReader, timeout: i32) -> io::Result<[bool; 2]> {
    let poll = |reader: &PipeReader| libc::pollfd {
        fd: reader.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    let mut streams = [poll(out), poll(err)];
    // SAFETY: the pointer and the count describe the array, which outlives the call.
    let found = unsafe { libc::poll(streams.as_mut_ptr(), 2, timeout) };
    if found < 0 {
        let error = io::Error::last_os_error();
        let again = error.kind() == io::ErrorKind::Interrupted;
        return if again { Ok([false; 2]) } else { Err(error) };
    }
    Ok(streams.map(|stream| stream.revents != 0))
}

const COMPLETE: &str = "EVCXR_EXECUTION_COMPLETE\n";
const PANICKED: &str = "EVCXR_PANIC_NOTIFICATION\n";
const FAILED: &str = "EVCXR_ERROR_OCCURRED\n";
const CONTENT: &str = "EVCXR_BEGIN_CONTENT ";
const CONTENT_END: &str = "\nEVCXR_END_CONTENT\n";
const OURS: &str = "\u{1e}bioimage ";
/// Starts of evcxr's other lines.
const LINES: [&str; 2] = ["EVCXR_VARIABLE_CHANGED_TYPE:", "EVCXR_INPUT_REQUEST"];

/// A piece of what came out of standard output.
#[derive(Debug, PartialEq, Eq)]
enum Item {
    Text(String),
    /// For evcxr, as it is.
    Pass(Vec<u8>),
    Complete,
    Panicked,
    Failed,
    /// A message of the prelude.
    Ours {
        kind: String,
        argument: String,
        payload: Vec<u8>,
    },
}

impl Item {
    /// Whether the error output must be read up to here before the item is dealt with.
    fn ends_text(&self) -> bool {
        match self {
            Item::Text(_) => false,
            Item::Ours { kind, .. } => kind == "flushed",
            _ => true,
        }
    }
}

struct Relay<W> {
    wire: W,
    pending: Vec<u8>,
    errors: Vec<u8>,
    /// Flushes the standard output of the cells' own standard library, which is not the one that
    /// this program is linked with.
    flush: Option<extern "C" fn()>,
    /// The last panic that was reported and not yet known to have ended the cell.
    panic: Option<String>,
}

impl<W: Write> Relay<W> {
    fn new(wire: W) -> Self {
        Relay { wire, pending: Vec::new(), errors: Vec::new(), flush: None, panic: None }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
    }

    /// Takes the next piece that is whole.
    fn next(&mut self) -> Option<Item> {
        let (item, length) = split(&self.pending)?;
        self.pending.drain(..length);
        Some(item)
    }

    fn error_output(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.errors.extend_from_slice(bytes);
        let length = whole_characters(&self.errors);
        if length > 0 {
            let text = String::from_utf8_lossy(&self.errors[..length]).into_owned();
            self.errors.drain(..length);
            self.send(&Event::Stderr(text))?;
        }
        Ok(())
    }

    fn handle(&mut self, item: Item) -> io::Result<()> {
        match item {
            Item::Text(text) => self.send(&Event::Stdout(text)),
            Item::Pass(bytes) => self.wire.write_all(&bytes),
            Item::Panicked => {
                let message = self.panic.take().unwrap_or_default();
                self.send(&Event::Panicked(message))?;
                self.wire.write_all(PANICKED.as_bytes())
            }
            Item::Failed => {
                self.send(&Event::Failed)?;
                self.wire.write_all(FAILED.as_bytes())
            }
            Item::Complete => match self.flush {
                // On a thread of its own: it waits for the lock that a printing thread may hold,
                // and that one may wait for this loop to empty the pipe.
                Some(flush) => std::thread::Builder::new().spawn(move || flush()).map(|_| ()),
                None => self.complete(),
            },
            Item::Ours { kind, argument, payload } => self.ours(&kind, argument, payload),
        }
    }

    fn ours(&mut self, kind: &str, argument: String, payload: Vec<u8>) -> io::Result<()> {
        let text = |payload: Vec<u8>| String::from_utf8_lossy(&payload).into_owned();
        match kind {
            "display" => self.send(&Event::Display { mime_type: argument, data: text(payload) }),
            "binary" => self.send(&Event::Display { mime_type: argument, data: base64(&payload) }),
            "clear" => self.send(&Event::ClearOutput(argument == "1")),
            "panic" => {
                self.panic = Some(text(payload));
                Ok(())
            }
            "flushed" => self.complete(),
            "flush-at" => {
                if let Ok(address) = argument.parse::<usize>()
                    && address != 0
                {
                    // SAFETY: the prelude sends the address of a function of this type. Its
                    // library is never unloaded, as evcxr keeps all of them.
                    self.flush = Some(unsafe {
                        std::mem::transmute::<*const (), extern "C" fn()>(address as *const ())
                    });
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn complete(&mut self) -> io::Result<()> {
        // A panic that was caught is no failure, but is not kept quiet either.
        if let Some(message) = self.panic.take() {
            self.send(&Event::Stderr(format!("panicked: {message}\n")))?;
        }
        self.wire.write_all(COMPLETE.as_bytes())
    }

    fn send(&mut self, event: &Event) -> io::Result<()> {
        self.wire.write_all(event.line().as_bytes())
    }
}

/// The first piece of `data` that is whole, and its length.
fn split(data: &[u8]) -> Option<(Item, usize)> {
    let starts = [COMPLETE, PANICKED, FAILED, CONTENT, OURS, LINES[0], LINES[1]];
    let start = (0..data.len()).find(|&at| {
        matches!(data[at], b'E' | 0x1e)
            && starts.iter().any(|start| {
                let length = start.len().min(data.len() - at);
                data[at..at + length] == start.as_bytes()[..length]
            })
    });
    match start {
        Some(0) => special(data),
        // A cut character before a piece of protocol will not be completed any more.
        Some(at) => Some((Item::Text(String::from_utf8_lossy(&data[..at]).into_owned()), at)),
        None => {
            let length = whole_characters(data);
            let text = String::from_utf8_lossy(&data[..length]).into_owned();
            (length > 0).then_some((Item::Text(text), length))
        }
    }
}

/// A piece of protocol at the start of `data`, if all of it is there.
fn special(data: &[u8]) -> Option<(Item, usize)> {
    let newline = data.iter().position(|&byte| byte == b'\n')? + 1;
    let line = String::from_utf8_lossy(&data[..newline]).into_owned();
    let item = match line.as_str() {
        COMPLETE => Item::Complete,
        PANICKED => Item::Panicked,
        FAILED => Item::Failed,
        _ if line.starts_with(CONTENT) => {
            let end = CONTENT_END.as_bytes();
            let found = data.windows(end.len()).position(|window| window == end)? + end.len();
            return Some((Item::Pass(data[..found].to_vec()), found));
        }
        _ if line.starts_with(OURS) => return ours(data, &line, newline),
        _ => Item::Pass(data[..newline].to_vec()),
    };
    Some((item, newline))
}

fn ours(data: &[u8], line: &str, header: usize) -> Option<(Item, usize)> {
    let words: Vec<&str> = line.trim_end().split(' ').collect();
    let length = match words.as_slice() {
        [_, _, _, length] => length.parse::<usize>().ok(),
        _ => None,
    };
    let Some(length) = length else {
        // Looks like the protocol and is not: text of the cell, without the mark.
        return Some((Item::Text(line.replace(MARK, "")), header));
    };
    let payload = data.get(header..header + length)?.to_vec();
    let (kind, argument) = (words[1].to_owned(), words[2].to_owned());
    Some((Item::Ours { kind, argument, payload }, header + length))
}

/// How much of `data` ends with a whole character. Bytes that are no UTF-8 at all count as whole.
fn whole_characters(data: &[u8]) -> usize {
    match std::str::from_utf8(data) {
        Ok(_) => data.len(),
        Err(error) if error.error_len().is_some() => data.len(),
        Err(error) => error.valid_up_to(),
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |index: usize| u32::from(group.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let padding = digit > group.len();
            let value = bits >> (18 - 6 * digit) & 63;
            text.push(if padding { '=' } else { char::from(DIGITS[value as usize]) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes out when `chunks` arrive one after the other, as evcxr reads it.
    fn relayed(chunks: &[&[u8]]) -> String {
        let mut relay = Relay::new(Vec::new());
        for chunk in chunks {
            relay.push(chunk);
            while let Some(item) = relay.next() {
                relay.handle(item).unwrap();
            }
        }
        String::from_utf8(relay.wire).unwrap()
    }

    fn stdout(text: &str) -> String {
        Event::Stdout(text.to_owned()).line()
    }

    #[test]
    fn text_without_a_newline_does_not_hide_the_end() {
        let out = relayed(&[b"abcEVCXR_EXECUTION_COMPLETE\n"]);
        assert_eq!(out, stdout("abc") + COMPLETE);
    }

    #[test]
    fn protocol_cut_anywhere_is_put_together() {
        let whole = b"text\x1ebioimage display text/html 6\n<b>\nX\nEVCXR_BEGIN_CONTENT text/plain\n1\nEVCXR_END_CONTENT\nEVCXR_EXECUTION_COMPLETE\n";
        let expected = relayed(&[whole]);
        assert!(expected.contains("<b>\\nX\\n"), "{expected}");
        assert!(expected.contains("\nEVCXR_BEGIN_CONTENT text/plain\n1\nEVCXR_END_CONTENT\n"));
        for cut in 5..whole.len() {
            assert_eq!(relayed(&[&whole[..cut], &whole[cut..]]), expected, "cut at {cut}");
        }
    }

    #[test]
    fn characters_cut_in_two_are_put_together() {
        let crab = "🦀".as_bytes();
        assert_eq!(relayed(&[&crab[..2], &crab[2..]]), stdout("🦀"));
        assert_eq!(relayed(&[b"\xff\xfe"]), stdout("\u{fffd}\u{fffd}"));
    }

    #[test]
    fn text_that_looks_like_a_start_is_not_kept_back_for_ever() {
        let out = relayed(&[b"E", b"VCXR_", b"nothing\n"]);
        assert_eq!(out, stdout("EVCXR_nothing\n"));
    }

    #[test]
    fn a_panic_carries_its_message_and_a_caught_one_is_only_told() {
        let out = relayed(&[b"\x1ebioimage panic - 4\nboomEVCXR_PANIC_NOTIFICATION\n"]);
        assert_eq!(out, Event::Panicked("boom".to_owned()).line() + PANICKED);
        let out = relayed(&[b"\x1ebioimage panic - 4\nboomEVCXR_EXECUTION_COMPLETE\n"]);
        assert_eq!(out, Event::Stderr("panicked: boom\n".to_owned()).line() + COMPLETE);
    }

    #[test]
    fn base64_pads() {
        assert_eq!(base64(b"Ma"), "TWE=");
        assert_eq!(base64(b"M"), "TQ==");
        assert_eq!(base64(b"Man"), "TWFu");
    }

    #[test]
    fn a_line_gives_its_event_back() {
        let event = Event::Display { mime_type: "text/html".into(), data: "<b>\n</b>".into() };
        assert_eq!(Event::of_line(event.line().trim_end_matches('\n')), event);
        assert_eq!(Event::of_line("plain"), Event::Stdout("plain\n".to_owned()));
    }
}
