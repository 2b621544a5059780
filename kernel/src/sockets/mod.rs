//! One file a socket. Each socket is owned by its tasks; others reach it through queues.

pub mod control;
pub mod heartbeat;
pub mod iopub;
pub mod shell;
pub mod stdin;

use jupyter_protocol::JupyterMessage;
use jupyter_zmq_client::{Connection, RouterSendConnection, RuntimeError};
use std::time::Duration;
use tokio::sync::mpsc;

/// Where answers to the requests of one router socket go.
pub type Replies = mpsc::UnboundedSender<JupyterMessage>;

/// Starts the task that owns the sending half of a router socket.
pub fn spawn_sender(mut connection: RouterSendConnection) -> Replies {
    let (replies, mut queue) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(message) = queue.recv().await {
            // A client that went away does not concern the others.
            if let Err(error) = connection.send(message).await {
                eprintln!("bioimage-kernel: cannot answer: {error}");
            }
        }
    });
    replies
}

/// Reads until there is a message that can be trusted and understood; the others are told on the
/// kernel's own error output, where Jupyter's log picks them up.
pub async fn next<S: zeromq::SocketRecv>(connection: &mut Connection<S>) -> JupyterMessage {
    loop {
        match crate::session::read(connection).await {
            Ok(message) => return message,
            Err(error) => {
                eprintln!("bioimage-kernel: message dropped: {error}");
                if matches!(error, RuntimeError::ZmqError(_)) {
                    // A broken socket fails at once each time: do not spin on it.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }
}
