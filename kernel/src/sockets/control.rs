//! Interrupt and shutdown: served at once, whatever else goes on.

use super::Replies;
use crate::kernel::Kernel;
use crate::session::child_of;
use jupyter_protocol::{
    InterruptReply, JupyterMessage, JupyterMessageContent, ReplyStatus, ShutdownReply, Status,
};
use jupyter_zmq_client::KernelControlConnection;
use std::sync::Arc;
use std::time::Duration;

/// Starts the tasks that own the socket.
pub fn spawn(kernel: Arc<Kernel>, connection: KernelControlConnection) {
    let (sender, mut receiver) = connection.split();
    let replies = super::spawn_sender(sender);
    tokio::spawn(async move {
        loop {
            let message = super::next(&mut receiver).await;
            kernel.iopub.send(&message, Status::busy());
            answer(&kernel, &message, &replies).await;
            kernel.iopub.send(&message, Status::idle());
        }
    });
}

async fn answer(kernel: &Arc<Kernel>, message: &JupyterMessage, replies: &Replies) {
    match &message.content {
        JupyterMessageContent::InterruptRequest(_) => {
            kernel.interrupt.request();
            // The sending task lives as long as the process.
            let _ = replies.send(child_of(message, InterruptReply::new()));
        }
        JupyterMessageContent::ShutdownRequest(request) => {
            shutdown(kernel, message, request.restart, replies).await;
        }
        _ => super::shell::answer_quickly(kernel, message, replies),
    }
}

/// Ends the process: work is stopped so that it can be resumed, everybody is told, and what was
/// built for Rust cells is removed.
pub async fn shutdown(
    kernel: &Arc<Kernel>,
    message: &JupyterMessage,
    restart: bool,
    replies: &Replies,
) {
    kernel.interrupt.request();
    close(kernel, Duration::from_secs(3)).await;
    let reply = ShutdownReply { restart, status: ReplyStatus::Ok, error: None };
    kernel.iopub.send(message, reply.clone());
    kernel.iopub.send(message, Status::idle());
    let _ = replies.send(child_of(message, reply));
    kernel.iopub.flush().await;
    // The socket's own task writes what was handed over.
    tokio::time::sleep(Duration::from_millis(100)).await;
    // In the meantime evcxr may have made its folder again.
    close(kernel, Duration::from_secs(1)).await;
    std::process::exit(0);
}

/// A removal that hangs on a slow disk must not hold up a restart.
async fn close(kernel: &Arc<Kernel>, patience: Duration) {
    let kernel = Arc::clone(kernel);
    let closed = tokio::task::spawn_blocking(move || kernel.close());
    let _ = tokio::time::timeout(patience, closed).await;
}
