//! Requests of the front end. Cells go to the thread that runs them; everything else is answered
//! here, also while a cell runs.

use super::Replies;
use crate::kernel::{Kernel, info};
use crate::session::child_of;
use crate::{cell, completion};
use jupyter_protocol::{
    CommInfoReply, IsCompleteReply, JupyterMessage, JupyterMessageContent, Status,
};
use jupyter_zmq_client::KernelShellConnection;
use std::sync::Arc;
use std::sync::mpsc::Sender;

/// Starts the tasks that own the socket. `cells` takes the requests to run code.
pub fn spawn(
    kernel: Arc<Kernel>,
    connection: KernelShellConnection,
    cells: Sender<(JupyterMessage, Replies)>,
) {
    let (sender, mut receiver) = connection.split();
    let replies = super::spawn_sender(sender);
    tokio::spawn(async move {
        loop {
            let message = super::next(&mut receiver).await;
            if matches!(message.content, JupyterMessageContent::ExecuteRequest(_)) {
                // The thread that runs cells ends with the process.
                let _ = cells.send((message, replies.clone()));
                continue;
            }
            kernel.iopub.send(&message, Status::busy());
            match &message.content {
                JupyterMessageContent::CompleteRequest(_)
                | JupyterMessageContent::InspectRequest(_) => {
                    analyse(Arc::clone(&kernel), message, replies.clone());
                    continue;
                }
                // Old clients shut down here.
                JupyterMessageContent::ShutdownRequest(request) => {
                    super::control::shutdown(&kernel, &message, request.restart, &replies).await;
                }
                _ => answer_quickly(&kernel, &message, &replies),
            }
            kernel.iopub.send(&message, Status::idle());
        }
    });
}

/// Completion and inspection ask rust-analyzer, which may take its time.
fn analyse(kernel: Arc<Kernel>, message: JupyterMessage, replies: Replies) {
    tokio::task::spawn_blocking(move || {
        let reply = match &message.content {
            JupyterMessageContent::CompleteRequest(request) => {
                child_of(&message, completion::complete(&kernel.rust, request))
            }
            JupyterMessageContent::InspectRequest(request) => {
                child_of(&message, completion::inspect(&kernel.rust, request))
            }
            _ => return,
        };
        // The sending task lives as long as the process.
        let _ = replies.send(reply);
        kernel.iopub.send(&message, Status::idle());
    });
}

/// Answers requests that need no computing.
pub fn answer_quickly(kernel: &Arc<Kernel>, message: &JupyterMessage, replies: &Replies) {
    let reply: JupyterMessageContent = match &message.content {
        JupyterMessageContent::KernelInfoRequest(_) => info().into(),
        JupyterMessageContent::IsCompleteRequest(request) => {
            let (status, indent) = cell::completeness(&request.code);
            IsCompleteReply::new(status, indent).into()
        }
        JupyterMessageContent::HistoryRequest(request) => {
            crate::lock(&kernel.history).reply(request).into()
        }
        JupyterMessageContent::CommInfoRequest(request) => {
            CommInfoReply { comms: kernel.comms.info(request), ..CommInfoReply::default() }.into()
        }
        JupyterMessageContent::CommOpen(open) => return kernel.comms.opened(open, message),
        JupyterMessageContent::CommMsg(data) => return kernel.comms.received(data, message),
        JupyterMessageContent::CommClose(close) => return kernel.comms.closed(close),
        other => {
            eprintln!("bioimage-kernel: {} is not served", other.message_type());
            return;
        }
    };
    // The sending task lives as long as the process.
    let _ = replies.send(child_of(message, reply));
}
