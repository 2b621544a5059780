//! Asks the user for a line.

use super::Replies;
use crate::lock;
use crate::session::child_of;
use jupyter_protocol::{InputRequest, JupyterMessage, JupyterMessageContent};
use jupyter_zmq_client::KernelStdinConnection;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

/// A handle to the socket.
#[derive(Clone)]
pub struct Stdin {
    requests: Replies,
    waiting: Arc<Mutex<Option<Sender<String>>>>,
}

impl Stdin {
    /// Starts the tasks that own the socket.
    pub fn spawn(connection: KernelStdinConnection) -> Self {
        let (sender, mut receiver) = connection.split();
        let stdin = Stdin { requests: super::spawn_sender(sender), waiting: Arc::default() };
        let waiting = Arc::clone(&stdin.waiting);
        tokio::spawn(async move {
            loop {
                let message = super::next(&mut receiver).await;
                if let JupyterMessageContent::InputReply(reply) = message.content
                    && let Some(asker) = lock(&waiting).take()
                {
                    // The asker may have been interrupted.
                    let _ = asker.send(reply.value);
                }
            }
        });
        stdin
    }

    /// Asks the client that sent `parent`; the answer comes from the receiver. A later question
    /// takes the place of an earlier one that nobody answered.
    pub fn ask(&self, parent: &JupyterMessage, prompt: String, password: bool) -> Receiver<String> {
        let (sender, answer) = channel();
        *lock(&self.waiting) = Some(sender);
        // The sending task lives as long as the process.
        let _ = self.requests.send(child_of(parent, InputRequest { prompt, password }));
        answer
    }
}
