//! Echoes what comes, so that the server knows that the process lives.

use jupyter_zmq_client::KernelHeartbeatConnection;
use std::time::Duration;
use zeromq::{SocketRecv, SocketSend};

/// Serves the heartbeat for as long as the process lives.
pub fn spawn(mut connection: KernelHeartbeatConnection) {
    tokio::spawn(async move {
        loop {
            let echoed = match connection.socket.recv().await {
                Ok(beat) => connection.socket.send(beat).await,
                Err(error) => Err(error),
            };
            if echoed.is_err() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    });
}
