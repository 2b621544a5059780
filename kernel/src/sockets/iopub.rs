//! What every client sees. One task owns the socket; everybody else has an [`IoPub`] handle.

use crate::session::{child_of, child_with};
use jupyter_protocol::{
    ExecutionState, IoPubWelcome, JupyterMessage, JupyterMessageContent, Status,
};
use jupyter_zmq_client::{KernelIoPubXPubConnection, SubscriptionEvent};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

enum Item {
    Message(Box<JupyterMessage>),
    Flush(oneshot::Sender<()>),
}

/// A handle to the socket's queue.
#[derive(Clone)]
pub struct IoPub(mpsc::UnboundedSender<Item>);

impl IoPub {
    /// Starts the task that owns the socket.
    pub fn spawn(connection: KernelIoPubXPubConnection) -> Self {
        let (sender, queue) = mpsc::unbounded_channel();
        tokio::spawn(serve(connection, queue));
        IoPub(sender)
    }

    /// Publishes `content` as coming from `parent`.
    pub fn send(&self, parent: &JupyterMessage, content: impl Into<JupyterMessageContent>) {
        self.publish(child_of(parent, content));
    }

    /// As [`IoPub::send`], with metadata and binary buffers.
    pub fn send_with(
        &self,
        parent: &JupyterMessage,
        content: impl Into<JupyterMessageContent>,
        metadata: Value,
        buffers: Vec<Vec<u8>>,
    ) {
        self.publish(child_with(parent, content, metadata, buffers));
    }

    /// Waits until everything published so far was handed to the sockets.
    pub async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        // Without the task there is nothing to wait for.
        if self.0.send(Item::Flush(done)).is_ok() {
            let _ = flushed.await;
        }
    }

    /// A handle whose messages a test reads.
    #[cfg(test)]
    pub fn recording() -> (Self, Recording) {
        let (sender, queue) = mpsc::unbounded_channel();
        (IoPub(sender), Recording(queue))
    }

    /// Publishes a message as it is.
    pub fn publish(&self, mut message: JupyterMessage) {
        // The first frame is the topic; an identity there would hide the message from subscribers.
        message.zmq_identities.clear();
        // The queue only closes when the process ends.
        let _ = self.0.send(Item::Message(Box::new(message)));
    }
}

async fn serve(
    mut connection: KernelIoPubXPubConnection,
    mut queue: mpsc::UnboundedReceiver<Item>,
) {
    let mut busy = Busy::default();
    loop {
        tokio::select! {
            event = connection.recv_subscription() => {
                if let Ok(SubscriptionEvent::Subscribe(topic)) = event {
                    let welcome = JupyterMessage::new(IoPubWelcome::new(topic), None);
                    send(&mut connection, welcome).await;
                }
            }
            item = queue.recv() => match item {
                None => return,
                Some(Item::Flush(done)) => {
                    // The asker may have given up.
                    let _ = done.send(());
                }
                Some(Item::Message(message)) => {
                    let again = busy.after(&message);
                    send(&mut connection, *message).await;
                    if let Some(again) = again {
                        send(&mut connection, again).await;
                    }
                }
            }
        }
    }
}

async fn send(connection: &mut KernelIoPubXPubConnection, message: JupyterMessage) {
    if let Err(error) = connection.send(message).await {
        eprintln!("bioimage-kernel: cannot publish: {error}");
    }
}

/// Requests that are being served. Front ends take the last status for the kernel's: when a
/// short request ends while a cell still runs, the cell's `busy` is said again.
#[derive(Default)]
struct Busy(Vec<JupyterMessage>);

impl Busy {
    fn after(&mut self, message: &JupyterMessage) -> Option<JupyterMessage> {
        let JupyterMessageContent::Status(Status { execution_state }) = &message.content else {
            return None;
        };
        let parent = |message: &JupyterMessage| {
            message.parent_header.as_ref().map(|header| header.msg_id.clone())
        };
        match execution_state {
            ExecutionState::Busy => {
                self.0.push(message.clone());
                None
            }
            ExecutionState::Idle => {
                let ended = parent(message);
                self.0.retain(|busy| parent(busy) != ended);
                self.0.last().map(|busy| {
                    let mut again = busy.clone();
                    again.header.msg_id = uuid::Uuid::new_v4().to_string();
                    again
                })
            }
            _ => None,
        }
    }
}

/// What a test reads from a recording handle.
#[cfg(test)]
pub struct Recording(mpsc::UnboundedReceiver<Item>);

#[cfg(test)]
impl Recording {
    /// The messages published so far.
    pub fn messages(&mut self) -> Vec<JupyterMessage> {
        let mut messages = Vec::new();
        while let Ok(item) = self.0.try_recv() {
            if let Item::Message(message) = item {
                messages.push(*message);
            }
        }
        messages
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jupyter_protocol::{CommInfoRequest, ExecuteRequest};

    #[test]
    fn a_short_request_does_not_make_a_running_cell_look_idle() {
        let cell: JupyterMessage = ExecuteRequest::new("loop {}".into()).into();
        let comm: JupyterMessage = CommInfoRequest::default().into();
        let mut busy = Busy::default();
        assert!(busy.after(&child_of(&cell, Status::busy())).is_none());
        assert!(busy.after(&child_of(&comm, Status::busy())).is_none());
        let again = busy.after(&child_of(&comm, Status::idle())).unwrap();
        assert_eq!(again.parent_header.unwrap().msg_id, cell.header.msg_id);
        assert!(busy.after(&child_of(&cell, Status::idle())).is_none());
    }
}
