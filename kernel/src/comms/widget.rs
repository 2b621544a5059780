//! What makes a model one that the front end's anywidget draws.

use super::{Comms, Custom, object};
use jupyter_protocol::JupyterMessage;
use serde_json::{Map, Value, json};
use std::sync::mpsc::Sender;

const ESM: &str = include_str!("../../../widgets/dist/bioimage.js");
const CSS: &str = include_str!("../../../widgets/dist/bioimage.css");

/// Opens a model of our bundle with `state` beside what every widget has; gives its id.
pub fn open(
    comms: &Comms,
    parent: &JupyterMessage,
    state: Map<String, Value>,
    inbox: Sender<Custom>,
) -> String {
    let layout = json!({
        "_model_module": "@jupyter-widgets/base",
        "_model_module_version": "2.0.0",
        "_model_name": "LayoutModel",
        "_view_module": "@jupyter-widgets/base",
        "_view_module_version": "2.0.0",
        "_view_name": "LayoutView",
    });
    let layout = comms.open(parent, object(layout), None);
    let mut model = object(json!({
        "_model_module": "anywidget",
        "_model_name": "AnyModel",
        // Any version of the front end's anywidget will do.
        "_model_module_version": "*",
        "_view_module": "anywidget",
        "_view_name": "AnyView",
        "_view_module_version": "*",
        "_view_count": null,
        "_dom_classes": [],
        "_anywidget_id": "bioimage_rs.widget",
        "_esm": ESM,
        "_css": CSS,
        "layout": format!("IPY_MODEL_{layout}"),
        "tabbable": null,
        "tooltip": null,
    }));
    model.extend(state);
    comms.open(parent, model, Some(inbox))
}

/// Shows the model where widgets work, and the texts elsewhere.
pub fn bundle(model: &str, text: String, html: String) -> Map<String, Value> {
    object(json!({
        "application/vnd.jupyter.widget-view+json": {
            "version_major": 2,
            "version_minor": 1,
            "model_id": model,
        },
        "text/plain": text,
        "text/html": html,
    }))
}
