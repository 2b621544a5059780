//! Questions to a cluster, which may take seconds: a form goes on to answer meanwhile.

use super::News;
use crate::error::{Error, Kind};
use crate::run::slurm::offers::{self, Offers};
use crate::run::slurm::{SlurmSettings, validate};
use serde_json::{Value as Json, json};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::{Duration, Instant};

/// Partitions come and go, and nodes are repaired.
const FRESH: Duration = Duration::from_secs(60);

/// Asks on a thread of its own.
fn behind<T: Send + 'static>(question: impl FnOnce() -> T + Send + 'static) -> Receiver<T> {
    let (answer, answered) = channel();
    // Nobody listens any more if the form is gone.
    std::thread::spawn(move || drop(answer.send(question())));
    answered
}

/// What the cluster offers, for those requests of a widget that wait for it.
#[derive(Default)]
pub struct Asked(Vec<(Json, Receiver<Offers>)>);

impl Asked {
    /// Takes a request on; the answer comes with later news.
    pub fn ask(&mut self, request: &Json) -> News {
        self.0.push((json!({ "request": request["request"] }), behind(offers::ask)));
        News::default()
    }

    /// Adds the answers that are there to the news.
    pub fn add_to(&mut self, mut news: News) -> News {
        self.0.retain(|(request, answered)| match answered.try_recv() {
            Ok(offers) => {
                news.messages.extend(News::answer(request, Ok(News::of(offers.json()))).messages);
                false
            }
            Err(error) => error == TryRecvError::Empty,
        });
        news.finished &= self.0.is_empty();
        news
    }
}

/// Whether the cluster takes what a form asks of it.
#[derive(Default)]
pub struct Verdict {
    known: Option<(SlurmSettings, Option<Error>, Instant)>,
    asking: Option<(SlurmSettings, Receiver<Option<Error>>)>,
}

impl Verdict {
    /// The refusal, if one is known; asks where nothing is known of these settings.
    pub fn of(&mut self, settings: &SlurmSettings) -> Option<Error> {
        if let Some((known, refusal, when)) = &self.known
            && known == settings
            && when.elapsed() < FRESH
        {
            return refusal.clone();
        }
        if self.asking.as_ref().is_none_or(|(asked, _)| asked != settings) {
            let asked = settings.clone();
            self.asking = Some((settings.clone(), behind(move || refused(&asked))));
        }
        None
    }

    /// Whether an answer is awaited.
    pub fn is_awaited(&self) -> bool {
        self.asking.is_some()
    }

    /// Whether an answer has come that makes plans differ.
    pub fn has_changed(&mut self) -> bool {
        let Some((settings, answered)) = &self.asking else { return false };
        match answered.try_recv() {
            Ok(refusal) => {
                let is_refused = refusal.is_some();
                self.known = Some((settings.clone(), refusal, Instant::now()));
                self.asking = None;
                is_refused
            }
            Err(TryRecvError::Empty) => false,
            Err(TryRecvError::Disconnected) => {
                self.asking = None;
                false
            }
        }
    }
}

/// Why the cluster would refuse.
fn refused(settings: &SlurmSettings) -> Option<Error> {
    validate(settings).err().map(|error| match error.kind {
        Kind::SchedulerFailed => {
            Error { message: format!("the cluster does not answer: {}", error.message), ..error }
        }
        _ => error,
    })
}
