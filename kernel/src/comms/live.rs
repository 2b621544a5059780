//! The live view of a run: carries what the engine says of it to a widget, and back.

use super::{Comms, Custom, object, widget};
use crate::session::media;
use crate::sockets::iopub::IoPub;
use bioimage_engine::run::live::{LiveView, RunView, Tick};
use jupyter_protocol::{DisplayData, JupyterMessage, Transient, UpdateDisplayData};
use serde_json::{Map, Value, json};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// The widget is told what is new at most this often.
const TICK: Duration = Duration::from_millis(250);
/// How long the end of a cell waits for the picture to be complete.
const SETTLE: Duration = Duration::from_secs(2);

/// A run that is shown.
pub struct Shown {
    settle: Sender<Sender<()>>,
    inbox: Sender<Custom>,
    parent: JupyterMessage,
}

impl Shown {
    /// Waits until the picture shows the run as it is now.
    pub fn settle(&self) {
        let (done, settled) = channel();
        if self.settle.send(done).is_ok() {
            // Wakes the follower, which may sleep until its widget says something.
            let _ = self.inbox.send((Value::Null, self.parent.clone()));
            let _ = settled.recv_timeout(SETTLE);
        }
    }
}

/// Shows `run` below the cell of `parent` and keeps the picture current, also after the cell has
/// ended: the widget's buttons go on to work.
///
/// # Errors
/// The run's folder cannot be read.
pub fn show(
    comms: &Comms,
    iopub: &IoPub,
    parent: &JupyterMessage,
    run: RunView,
) -> bioimage_engine::Result<Shown> {
    let mut live = LiveView::open(run, None)?;
    let first = live.poll()?;
    let (inbox, said) = channel();
    let (settle, settling) = channel();
    let state = json!({
        "view": "run-progress",
        "run": first.run,
        "status": first.status,
    });
    let model = widget::open(comms, parent, object(state), inbox.clone());
    let display = uuid::Uuid::new_v4().simple().to_string();
    let mut follower = Follower {
        live,
        comms: comms.clone(),
        iopub: iopub.clone(),
        parent: parent.clone(),
        model,
        display,
        finished: false,
    };
    follower.display();
    follower.tell(first);
    std::thread::spawn(move || follower.follow(&said, &settling));
    Ok(Shown { settle, inbox, parent: parent.clone() })
}

struct Follower {
    live: LiveView,
    comms: Comms,
    iopub: IoPub,
    parent: JupyterMessage,
    model: String,
    display: String,
    finished: bool,
}

impl Follower {
    fn follow(mut self, said: &Receiver<Custom>, settling: &Receiver<Sender<()>>) {
        let mut looked = Instant::now();
        // Until the model is closed.
        while self.comms.is_open(&self.model) {
            let wait = if self.finished { Duration::from_secs(60) } else { TICK };
            match said.recv_timeout(wait.saturating_sub(looked.elapsed())) {
                Ok((content, parent)) => self.answer(&content, parent),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let settled: Vec<Sender<()>> = settling.try_iter().collect();
            if looked.elapsed() >= TICK || !settled.is_empty() {
                looked = Instant::now();
                match self.live.poll() {
                    Ok(tick) => self.tell(tick),
                    Err(error) => {
                        // The folder is gone or damaged; a later look may succeed.
                        let content = json!({
                            "type": "error", "kind": error.kind,
                            "message": error.message, "fix": error.fix,
                        });
                        self.comms.custom(&self.parent, &self.model, content, Vec::new());
                        self.finished = true;
                    }
                }
            }
            for done in settled {
                // Who waits may have lost patience.
                let _ = done.send(());
            }
        }
    }

    fn answer(&mut self, content: &Value, parent: JupyterMessage) {
        if content.is_null() {
            return;
        }
        for message in self.live.receive(content) {
            self.comms.custom(&parent, &self.model, message.content, message.buffers);
        }
        // These may set the run going again. The others must not: the end of a run is displayed
        // anew, and each new display asks for the cells.
        if matches!(content["type"].as_str(), Some("cancel" | "retry" | "resume")) {
            self.finished = false;
        }
    }

    fn tell(&mut self, tick: Tick) {
        let states = [("run", tick.run), ("status", tick.status)];
        let changes: Map<String, Value> =
            states.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect();
        let news = !changes.is_empty();
        if news {
            self.comms.update(&self.parent, &self.model, changes);
        }
        for message in tick.messages {
            self.comms.custom(&self.parent, &self.model, message.content, message.buffers);
        }
        if tick.finished && (news || !self.finished) {
            self.redisplay();
        }
        self.finished = tick.finished;
    }

    fn bundle(&self) -> Map<String, Value> {
        widget::bundle(&self.model, self.live.text(), self.live.html())
    }

    fn display(&self) {
        if let Ok(data) = media(self.bundle()) {
            let transient = Some(Transient { display_id: Some(self.display.clone()) });
            let display = DisplayData { data, metadata: Map::new(), transient };
            self.iopub.send(&self.parent, display);
        }
    }

    /// The saved notebook keeps the texts of the last display.
    fn redisplay(&self) {
        if let Ok(data) = media(self.bundle()) {
            self.iopub.send(&self.parent, UpdateDisplayData::new(data, &self.display));
        }
    }
}
