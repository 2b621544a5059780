//! Messages of one session: reading them from a socket, and building answers.

use bytes::Bytes;
use jupyter_protocol::{Header, JupyterMessage, JupyterMessageContent, Media};
use jupyter_zmq_client::{Connection, RawMessage, RuntimeError};
use serde_json::{Map, Value, json};

/// Reads one message whose signature is right.
///
/// # Errors
/// The signature is wrong, a part is missing, or the content is not what its type says.
pub async fn read<S: zeromq::SocketRecv>(
    connection: &mut Connection<S>,
) -> Result<JupyterMessage, RuntimeError> {
    parse(RawMessage::from_multipart(connection.socket.recv().await?, &connection.mac)?)
}

fn parse(raw: RawMessage) -> Result<JupyterMessage, RuntimeError> {
    let [header, parent, metadata, content, buffers @ ..] = raw.jparts.as_slice() else {
        return Err(RuntimeError::InsufficientMessageParts(raw.jparts.len()));
    };
    let header: Header = serde_json::from_slice(header)?;
    let mut content: Value = serde_json::from_slice(content)?;
    fill_defaults(&header.msg_type, &mut content);
    let content = JupyterMessageContent::from_type_and_content(&header.msg_type, content)
        .map_err(|source| RuntimeError::ParseError { msg_type: header.msg_type.clone(), source })?;
    Ok(JupyterMessage {
        zmq_identities: raw.zmq_identities,
        header,
        // An empty object stands for no parent.
        parent_header: serde_json::from_slice(parent).ok(),
        metadata: serde_json::from_slice(metadata)?,
        content,
        buffers: buffers.to_vec(),
        channel: None,
    })
}

/// Adds what clients leave out although the typed messages ask for it.
fn fill_defaults(msg_type: &str, content: &mut Value) {
    let defaults = match msg_type {
        "execute_request" => json!({
            "silent": false, "store_history": true, "user_expressions": {}, "allow_stdin": true,
        }),
        "history_request" => json!({
            "output": false, "raw": true, "session": 0, "start": 0, "stop": i32::MAX,
            "n": i32::MAX, "pattern": "*", "unique": false,
        }),
        "comm_open" | "comm_msg" | "comm_close" => json!({ "data": {} }),
        "inspect_request" => json!({ "detail_level": 0 }),
        "shutdown_request" => json!({ "restart": false }),
        _ => return,
    };
    if let (Value::Object(content), Value::Object(defaults)) = (content, defaults) {
        for (key, value) in defaults {
            let given = content.entry(key).or_insert(Value::Null);
            if given.is_null() {
                *given = value;
            }
        }
    }
}

/// A message that answers, or comes from, `parent`.
pub fn child_of(
    parent: &JupyterMessage,
    content: impl Into<JupyterMessageContent>,
) -> JupyterMessage {
    let mut message = JupyterMessage::new(content, Some(parent));
    message.header.username = "kernel".to_owned();
    message
}

/// As [`child_of`], with metadata and binary buffers.
pub fn child_with(
    parent: &JupyterMessage,
    content: impl Into<JupyterMessageContent>,
    metadata: Value,
    buffers: Vec<Vec<u8>>,
) -> JupyterMessage {
    child_of(parent, content)
        .with_metadata(metadata)
        .with_buffers(buffers.into_iter().map(Bytes::from).collect())
}

/// A bundle of representations by MIME type.
///
/// # Errors
/// A text type holds something that is not text.
pub fn media(bundle: Map<String, Value>) -> serde_json::Result<Media> {
    serde_json::from_value(Value::Object(bundle))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jupyter_protocol::HistoryRequest;

    fn raw(msg_type: &str, content: Value) -> RawMessage {
        let header = json!({
            "msg_id": "1", "username": "u", "session": "s", "date": "2026-01-01T00:00:00Z",
            "msg_type": msg_type, "version": "5.3",
        });
        let part = |value: &Value| Bytes::from(value.to_string());
        RawMessage {
            zmq_identities: vec![Bytes::from_static(b"peer")],
            jparts: vec![part(&header), part(&json!({})), part(&json!({})), part(&content)],
        }
    }

    #[test]
    fn a_search_without_its_optional_fields_is_read() {
        let content = json!({ "hist_access_type": "search", "pattern": "let*", "raw": true, "output": false });
        let message = parse(raw("history_request", content)).unwrap();
        let JupyterMessageContent::HistoryRequest(HistoryRequest::Search {
            pattern,
            unique,
            n,
            ..
        }) = message.content
        else {
            panic!("not a search: {:?}", message.content);
        };
        assert_eq!((pattern.as_str(), unique, n), ("let*", false, i32::MAX));
        assert!(message.parent_header.is_none());
    }

    #[test]
    fn fields_that_are_there_are_kept() {
        let content = json!({ "code": "1", "silent": true, "store_history": false,
            "user_expressions": null, "allow_stdin": false });
        let message = parse(raw("execute_request", content)).unwrap();
        let JupyterMessageContent::ExecuteRequest(request) = message.content else {
            panic!("not an execute request");
        };
        assert!(request.silent && !request.store_history && !request.allow_stdin);
    }

    #[test]
    fn too_few_parts_are_refused() {
        let mut short = raw("kernel_info_request", json!({}));
        short.jparts.pop();
        assert!(parse(short).is_err());
    }
}
