//! Panels: carries what the engine says of one to a widget, and back.

use super::{Comms, Custom, object, widget};
use crate::session::media;
use crate::sockets::iopub::IoPub;
use bioimage_engine::command::panel::{News, Panel, refusal};
use bioimage_engine::command::{RunView, Silent};
use bioimage_engine::run::live::LiveView;
use jupyter_protocol::{DisplayData, JupyterMessage, Transient, UpdateDisplayData};
use serde_json::{Map, Value, json};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// The widget is told what is new at most this often.
const TICK: Duration = Duration::from_millis(250);
/// How long the end of a cell waits for the picture to be complete.
const SETTLE: Duration = Duration::from_secs(2);

/// A panel that is shown.
pub struct Shown {
    settle: Sender<Sender<()>>,
    inbox: Sender<Custom>,
    parent: JupyterMessage,
}

impl Shown {
    /// Waits until the picture shows everything as it is now.
    pub fn settle(&self) {
        let (done, settled) = channel();
        if self.settle.send(done).is_ok() {
            // Wakes the follower, which may sleep until its widget says something.
            let _ = self.inbox.send((Value::Null, self.parent.clone()));
            let _ = settled.recv_timeout(SETTLE);
        }
    }
}

/// Shows a run below the cell of `parent`, as [`show`] does.
///
/// # Errors
/// The run's folder cannot be read.
pub fn show_run(
    comms: &Comms,
    iopub: &IoPub,
    parent: &JupyterMessage,
    run: RunView,
) -> bioimage_engine::Result<Shown> {
    show(comms, iopub, parent, Box::new(LiveView::open(run, None)?))
}

/// Shows a panel below the cell of `parent` and keeps it current, also after the cell has ended: the
/// widget's buttons go on to work.
///
/// # Errors
/// What it shows cannot be read.
pub fn show(
    comms: &Comms,
    iopub: &IoPub,
    parent: &JupyterMessage,
    mut panel: Box<dyn Panel>,
) -> bioimage_engine::Result<Shown> {
    let mut first = panel.poll()?;
    let (inbox, said) = channel();
    let (settle, settling) = channel();
    let mut state = object(json!({ "view": panel.view() }));
    state.append(&mut first.state.clone());
    let model = widget::open(comms, parent, state, inbox.clone());
    first.state.clear();
    let display = uuid::Uuid::new_v4().simple().to_string();
    let mut follower = Follower {
        panel,
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
    panel: Box<dyn Panel>,
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
                Ok((content, parent)) => self.answer(&content, &parent),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let settled: Vec<Sender<()>> = settling.try_iter().collect();
            if looked.elapsed() >= TICK || !settled.is_empty() {
                looked = Instant::now();
                match self.panel.poll() {
                    Ok(news) => self.tell(news),
                    Err(error) => {
                        // The folder is gone or damaged; a later look may succeed.
                        self.comms.custom(&self.parent, &self.model, refusal(&error), Vec::new());
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

    fn answer(&mut self, content: &Value, parent: &JupyterMessage) {
        if content.is_null() {
            return;
        }
        let news = self.panel.receive(content, &Silent::default());
        self.finished &= news.finished;
        self.send(parent, news);
    }

    /// Tells the widget; whether its state changed.
    fn send(&self, parent: &JupyterMessage, news: News) -> bool {
        let changed = !news.state.is_empty();
        if changed {
            self.comms.update(parent, &self.model, news.state);
        }
        for message in news.messages {
            self.comms.custom(parent, &self.model, message.content, message.buffers);
        }
        changed
    }

    fn tell(&mut self, news: News) {
        let finished = news.finished;
        let changed = self.send(&self.parent, news);
        if self.panel.ends() && finished && (changed || !self.finished) {
            self.redisplay();
        }
        self.finished = finished;
    }

    fn bundle(&self) -> Map<String, Value> {
        widget::bundle(&self.model, self.panel.text(), self.panel.html())
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
