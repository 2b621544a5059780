//! Questions to a cluster, which may take seconds: a form goes on to answer meanwhile.

use super::super::{Host, RunView};
use super::News;
use crate::error::{Error, Kind};
use crate::run::cancel::CancelToken;
use crate::run::slurm::{SlurmSettings, validate};
use serde_json::{Value as Json, json};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::{Duration, Instant};

/// Partitions come and go, and nodes are repaired.
const FRESH: Duration = Duration::from_secs(60);

/// Asks on a thread of its own.
pub fn behind<T: Send + 'static>(question: impl FnOnce() -> T + Send + 'static) -> Receiver<T> {
    let (answer, answered) = channel();
    // Nobody listens any more if the form is gone.
    std::thread::spawn(move || drop(answer.send(question())));
    answered
}

/// The place where a form works behind its notebook.
pub struct Behind {
    /// Set when the user does not want to wait any longer.
    pub cancel: CancelToken,
    /// The `bp` program.
    pub program: Option<PathBuf>,
}

impl Host for Behind {
    fn text(&mut self, _text: &str) {}

    fn run_started(&mut self, _run: &RunView) {}

    fn cancel(&self) -> CancelToken {
        self.cancel.clone()
    }

    fn program(&self) -> Option<PathBuf> {
        self.program.clone()
    }
}

/// Requests of a widget whose answers take their time.
#[derive(Default)]
pub struct Asked(Vec<(Json, Receiver<Json>)>);

impl Asked {
    /// Takes a request on; the answer comes with later news.
    pub fn ask(
        &mut self,
        request: &Json,
        question: impl FnOnce() -> Json + Send + 'static,
    ) -> News {
        self.0.push((json!({ "request": request["request"] }), behind(question)));
        News::default()
    }

    /// Adds the answers that are there to the news.
    pub fn add_to(&mut self, mut news: News) -> News {
        self.0.retain(|(request, answered)| match answered.try_recv() {
            Ok(answer) => {
                news.messages.extend(News::answer(request, Ok(News::of(answer))).messages);
                false
            }
            Err(TryRecvError::Empty) => true,
            Err(TryRecvError::Disconnected) => {
                let error = Error::internal("a question without an answer");
                news.messages.extend(News::answer(request, Err(error)).messages);
                false
            }
        });
        news.finished &= self.0.is_empty();
        news
    }
}

/// Whether the cluster takes what a form asks of it: one question at a time, and the latest last.
#[derive(Default)]
pub struct Verdict {
    wanted: Option<SlurmSettings>,
    known: Option<(SlurmSettings, Option<Error>, Instant)>,
    asking: Option<(SlurmSettings, Receiver<Option<Error>>)>,
}

impl Verdict {
    /// The refusal, if one is known; asks where nothing is known of these settings.
    pub fn of(&mut self, settings: &SlurmSettings) -> Option<Error> {
        self.wanted = Some(settings.clone());
        if let Some((known, refusal, when)) = &self.known
            && known == settings
            && when.elapsed() < FRESH
        {
            return refusal.clone();
        }
        if self.asking.is_none() {
            let asked = settings.clone();
            self.asking = Some((settings.clone(), behind(move || refused(&asked))));
        }
        None
    }

    /// Whether an answer is awaited.
    pub fn is_awaited(&self) -> bool {
        self.asking.is_some()
    }

    /// Whether an answer has come after which the plan is to be made again: a refusal, or one to a
    /// question that is not the latest any more.
    pub fn has_changed(&mut self) -> bool {
        let Some((settings, answered)) = &self.asking else { return false };
        let refusal = match answered.try_recv() {
            Ok(refusal) => refusal,
            Err(TryRecvError::Empty) => return false,
            Err(TryRecvError::Disconnected) => None,
        };
        let is_news = refusal.is_some() || self.wanted.as_ref() != Some(settings);
        self.known = Some((settings.clone(), refusal, Instant::now()));
        self.asking = None;
        is_news
    }
}

/// Why the cluster would refuse. That it does not answer is no refusal: it may, when the run starts.
fn refused(settings: &SlurmSettings) -> Option<Error> {
    validate(settings).err().filter(|error| error.kind != Kind::SchedulerFailed)
}
