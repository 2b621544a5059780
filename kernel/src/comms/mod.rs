//! Comms: the widgets' way to the kernel and back.

pub mod panel;
pub mod widget;

use crate::lock;
use crate::sockets::iopub::IoPub;
use jupyter_protocol::{
    CommClose, CommId, CommInfo, CommInfoRequest, CommMsg, CommOpen, JupyterMessage,
};
use serde_json::{Map, Value, json};
use std::collections::{HashMap, HashSet};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};

const WIDGET: &str = "jupyter.widget";
const CONTROL: &str = "jupyter.widget.control";

/// A custom message of a widget, with the request that it came in.
pub type Custom = (Value, JupyterMessage);

struct Model {
    state: Map<String, Value>,
    inbox: Option<Sender<Custom>>,
}

/// The models that are open. Clones share them.
#[derive(Clone)]
pub struct Comms {
    iopub: IoPub,
    models: Arc<Mutex<HashMap<String, Model>>>,
    control: Arc<Mutex<HashSet<String>>>,
}

impl Comms {
    /// No models.
    pub fn new(iopub: IoPub) -> Self {
        Comms { iopub, models: Arc::default(), control: Arc::default() }
    }

    /// Opens a model; what its widget says goes to `inbox`. Gives the model's id.
    pub fn open(
        &self,
        parent: &JupyterMessage,
        state: Map<String, Value>,
        inbox: Option<Sender<Custom>>,
    ) -> String {
        let id = uuid::Uuid::new_v4().simple().to_string();
        let open = CommOpen {
            comm_id: CommId(id.clone()),
            target_name: WIDGET.to_owned(),
            data: object(json!({ "state": state, "buffer_paths": [] })),
            target_module: None,
        };
        lock(&self.models).insert(id.clone(), Model { state, inbox });
        self.iopub.send_with(parent, open, json!({ "version": "2.1.0" }), Vec::new());
        id
    }

    /// Changes a part of a model's state.
    pub fn update(&self, parent: &JupyterMessage, id: &str, changes: Map<String, Value>) {
        if let Some(model) = lock(&self.models).get_mut(id) {
            model.state.extend(changes.clone());
        }
        let data = json!({ "method": "update", "state": changes, "buffer_paths": [] });
        self.tell(parent, id, data, Vec::new());
    }

    /// Sends a custom message to a model's widgets.
    pub fn custom(&self, parent: &JupyterMessage, id: &str, content: Value, buffers: Vec<Vec<u8>>) {
        self.tell(parent, id, json!({ "method": "custom", "content": content }), buffers);
    }

    /// Whether the model is open.
    pub fn is_open(&self, id: &str) -> bool {
        lock(&self.models).contains_key(id)
    }

    /// The answer to who is open: models only. Control comms belong to one page, not to the kernel.
    pub fn info(&self, request: &CommInfoRequest) -> HashMap<CommId, CommInfo> {
        if request.target_name.as_deref().is_some_and(|target| target != WIDGET) {
            return HashMap::new();
        }
        let info = |id: &String| (CommId(id.clone()), CommInfo { target_name: WIDGET.to_owned() });
        lock(&self.models).keys().map(info).collect()
    }

    /// A front end opens a comm.
    pub fn opened(&self, open: &CommOpen, message: &JupyterMessage) {
        if open.target_name == CONTROL {
            lock(&self.control).insert(open.comm_id.0.clone());
        } else if !self.is_open(&open.comm_id.0) {
            // Nobody here knows what it is for: the protocol's way to say so.
            let close = CommClose { comm_id: open.comm_id.clone(), data: Map::new() };
            self.iopub.send(message, close);
        }
    }

    /// A front end closes a comm.
    pub fn closed(&self, close: &CommClose) {
        lock(&self.control).remove(&close.comm_id.0);
        lock(&self.models).remove(&close.comm_id.0);
    }

    /// A front end says something.
    pub fn received(&self, data: &CommMsg, message: &JupyterMessage) {
        let id = &data.comm_id.0;
        let method = data.data.get("method").and_then(Value::as_str).unwrap_or_default();
        if lock(&self.control).contains(id) {
            if method == "request_states" {
                self.tell(message, id, self.states(), Vec::new());
            }
            return;
        }
        match method {
            "update" => {
                let Some(Value::Object(changes)) = data.data.get("state") else { return };
                if let Some(model) = lock(&self.models).get_mut(id) {
                    model.state.extend(changes.clone());
                }
                // Several views of one model learn from the echo what one of them changed.
                let echo = json!({ "method": "echo_update", "state": changes, "buffer_paths": [] });
                self.tell(message, id, echo, Vec::new());
            }
            "request_state" => {
                let state = lock(&self.models).get(id).map(|model| model.state.clone());
                if let Some(state) = state {
                    let data = json!({ "method": "update", "state": state, "buffer_paths": [] });
                    self.tell(message, id, data, Vec::new());
                }
            }
            "custom" => {
                let content = data.data.get("content").cloned().unwrap_or(Value::Null);
                if let Some(Model { inbox: Some(inbox), .. }) = lock(&self.models).get(id) {
                    // Who followed the run may have given up; the widget then gets no answer.
                    let _ = inbox.send((content, message.clone()));
                }
            }
            _ => {}
        }
    }

    fn states(&self) -> Value {
        let state = |(id, model): (&String, &Model)| {
            let own = |key: &str| model.state.get(key).cloned().unwrap_or(Value::Null);
            let state = json!({
                "model_name": own("_model_name"),
                "model_module": own("_model_module"),
                "model_module_version": own("_model_module_version"),
                "state": model.state,
            });
            (id.clone(), state)
        };
        let states: Map<String, Value> = lock(&self.models).iter().map(state).collect();
        json!({ "method": "update_states", "states": states, "buffer_paths": [] })
    }

    fn tell(&self, parent: &JupyterMessage, id: &str, data: Value, buffers: Vec<Vec<u8>>) {
        let message = CommMsg { comm_id: CommId(id.to_owned()), data: object(data) };
        self.iopub.send_with(parent, message, json!({}), buffers);
    }
}

/// The map of a JSON object; empty for anything else.
pub fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sockets::iopub::Recording;
    use jupyter_protocol::{ExecuteRequest, JupyterMessageContent};

    fn comms() -> (Comms, Recording, JupyterMessage) {
        let (iopub, recording) = IoPub::recording();
        (Comms::new(iopub), recording, ExecuteRequest::new("%bp runs".into()).into())
    }

    fn said(recording: &mut Recording) -> Vec<Map<String, Value>> {
        let data = |message: JupyterMessage| match message.content {
            JupyterMessageContent::CommMsg(message) => Some(message.data),
            _ => None,
        };
        recording.messages().into_iter().filter_map(data).collect()
    }

    fn message(id: &str, data: Value) -> (CommMsg, JupyterMessage) {
        let message = CommMsg { comm_id: CommId(id.to_owned()), data: object(data) };
        (message.clone(), message.into())
    }

    #[test]
    fn a_reloaded_page_gets_every_state_by_the_control_comm() {
        let (comms, mut recording, parent) = comms();
        let id =
            comms.open(&parent, object(json!({ "_model_name": "AnyModel", "view": "v" })), None);
        comms.update(&parent, &id, object(json!({ "status": 1 })));
        let open = CommOpen {
            comm_id: CommId("c".into()),
            target_name: CONTROL.into(),
            ..CommOpen::default()
        };
        comms.opened(&open, &parent);
        let (request, parent) = message("c", json!({ "method": "request_states" }));
        comms.received(&request, &parent);
        let answer = said(&mut recording).pop().unwrap();
        assert_eq!(answer["method"], "update_states");
        assert_eq!(answer["states"][&id]["model_name"], "AnyModel");
        assert_eq!(answer["states"][&id]["state"]["status"], 1);
        let listed = comms.info(&CommInfoRequest::default());
        assert_eq!(listed.keys().map(|id| id.0.clone()).collect::<Vec<_>>(), [id]);
    }

    #[test]
    fn an_unknown_target_is_closed() {
        let (comms, mut recording, parent) = comms();
        let open = CommOpen {
            comm_id: CommId("x".into()),
            target_name: "other".into(),
            ..CommOpen::default()
        };
        comms.opened(&open, &parent);
        let messages = recording.messages();
        assert_eq!(messages.len(), 1);
        assert!(matches!(messages[0].content, JupyterMessageContent::CommClose(_)));
    }

    #[test]
    fn changes_are_echoed_and_custom_messages_delivered() {
        let (comms, mut recording, parent) = comms();
        let (sender, inbox) = std::sync::mpsc::channel();
        let id = comms.open(&parent, Map::new(), Some(sender));
        let (update, parent) = message(&id, json!({ "method": "update", "state": { "z": 3 } }));
        comms.received(&update, &parent);
        let echo = said(&mut recording).pop().unwrap();
        assert_eq!((&echo["method"], &echo["state"]["z"]), (&json!("echo_update"), &json!(3)));
        let (custom, parent) =
            message(&id, json!({ "method": "custom", "content": { "type": "cancel" } }));
        comms.received(&custom, &parent);
        assert_eq!(inbox.recv().unwrap().0, json!({ "type": "cancel" }));
        comms.closed(&CommClose { comm_id: CommId(id.clone()), data: Map::new() });
        assert!(!comms.is_open(&id));
    }
}
