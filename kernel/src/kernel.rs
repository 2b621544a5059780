//! The kernel as a whole: what its parts share, and how they are put together.

use crate::comms::Comms;
use crate::history::History;
use crate::interrupt::Interrupt;
use crate::rust::RustCells;
use crate::sockets::iopub::IoPub;
use crate::sockets::stdin::Stdin;
use crate::sockets::{control, heartbeat, shell};
use crate::{execute, lock};
use anyhow::{Context, Result};
use jupyter_protocol::{
    CodeMirrorMode, ConnectionInfo, HelpLink, JupyterMessage, KernelInfoReply, LanguageInfo,
    ReplyStatus, Status,
};
use jupyter_zmq_client as zmq;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What the parts share.
pub struct Kernel {
    /// What every client sees.
    pub iopub: IoPub,
    /// Questions to the user.
    pub stdin: Stdin,
    /// Rust cells.
    pub rust: RustCells,
    /// Widgets.
    pub comms: Comms,
    /// What was entered.
    pub history: Mutex<History>,
    /// The user's interrupt.
    pub interrupt: Interrupt,
}

impl Kernel {
    /// Ends what runs and removes temporary files.
    pub fn close(&self) {
        self.rust.close();
    }

    /// Adds a cell to the history.
    pub fn remember(&self, line: usize, input: &str, output: String) {
        lock(&self.history).push(line, input.to_owned(), output);
    }
}

/// Runs the kernel until it is shut down.
///
/// # Errors
/// The connection file cannot be read, or a socket not be bound.
pub fn run(connection_file: &Path) -> Result<()> {
    let text = std::fs::read_to_string(connection_file).with_context(|| {
        format!("cannot read the connection file '{}'", connection_file.display())
    })?;
    let connection: ConnectionInfo = serde_json::from_str(&text)
        .with_context(|| format!("'{}' is not a connection file", connection_file.display()))?;
    // Before the runtime starts threads: it sets variables of the environment.
    let rust = RustCells::start();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(&connection, rust))
}

async fn serve(connection: &ConnectionInfo, rust: RustCells) -> Result<()> {
    let session = uuid::Uuid::new_v4().to_string();
    let bound = "cannot bind a socket of the connection file";
    let iopub =
        zmq::create_kernel_iopub_xpub_connection(connection, &session).await.context(bound)?;
    let shell = zmq::create_kernel_shell_connection(connection, &session).await.context(bound)?;
    let control =
        zmq::create_kernel_control_connection(connection, &session).await.context(bound)?;
    let stdin = zmq::create_kernel_stdin_connection(connection, &session).await.context(bound)?;
    let beat = zmq::create_kernel_heartbeat_connection(connection).await.context(bound)?;

    let iopub = IoPub::spawn(iopub);
    let kernel = Arc::new(Kernel {
        comms: Comms::new(iopub.clone()),
        iopub,
        stdin: Stdin::spawn(stdin),
        rust,
        history: Mutex::default(),
        interrupt: Interrupt::default(),
    });
    heartbeat::spawn(beat);
    control::spawn(Arc::clone(&kernel), control);
    let (cells, queue) = std::sync::mpsc::channel();
    let running = Arc::clone(&kernel);
    std::thread::Builder::new().name("cells".to_owned()).spawn(move || {
        execute::serve(&running, &queue);
    })?;
    shell::spawn(Arc::clone(&kernel), shell, cells);
    kernel.iopub.publish(JupyterMessage::new(Status::starting(), None));

    tokio::spawn(watch_parent(Arc::clone(&kernel)));
    loop {
        tokio::signal::ctrl_c().await?;
        kernel.interrupt.request();
    }
}

/// A kernel whose server died without a word has nobody left to work for.
async fn watch_parent(kernel: Arc<Kernel>) {
    let parent = std::env::var("JPY_PARENT_PID").ok().and_then(|id| id.parse::<u32>().ok());
    // 1 is init, and 0 what some launchers set for "unknown".
    if parent.is_none_or(|id| id <= 1) {
        return;
    }
    let before = std::os::unix::process::parent_id();
    while std::os::unix::process::parent_id() == before {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    kernel.close();
    // evcxr may have gone on in the meantime.
    tokio::time::sleep(Duration::from_millis(100)).await;
    kernel.close();
    std::process::exit(0);
}

/// The answer to the first question of every client.
pub fn info() -> KernelInfoReply {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let link = |text: &str, url: &str| HelpLink { text: text.to_owned(), url: url.to_owned() };
    KernelInfoReply {
        status: ReplyStatus::Ok,
        protocol_version: "5.3".to_owned(),
        implementation: "bioimage-kernel".to_owned(),
        banner: format!("bioimage-rs {version}: Rust cells and %bp commands. :help tells more."),
        implementation_version: version,
        language_info: LanguageInfo {
            name: "rust".to_owned(),
            version: String::new(),
            mimetype: Some("text/x-rust".to_owned()),
            file_extension: Some(".rs".to_owned()),
            pygments_lexer: Some("rust".to_owned()),
            codemirror_mode: Some(CodeMirrorMode::Simple("rust".to_owned())),
            nbconvert_exporter: Some("script".to_owned()),
        },
        help_links: vec![
            link("The Rust book", "https://doc.rust-lang.org/book/"),
            link("Rust standard library", "https://doc.rust-lang.org/std/"),
        ],
        debugger: false,
        error: None,
    }
}
