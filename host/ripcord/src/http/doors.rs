//! What keeps the doors open: places, deadlines and turns, and whether they are.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::backoff::Backoff;
use super::connections::{Bounds, Connections};
use super::pages::{MetricsPage, Ready, Requests};
use super::problem::Problem;
use crate::descriptors::Descriptors;

/// Webhooks that are parsed and stored at once.
const TURNS: usize = 64;
/// Of these, of one source: a noisy one leaves turns to the others.
const TURNS_OF_A_SOURCE: usize = 32;
/// Of all webhooks of known senders that are being read or work is done on, in KiB.
const BODIES_KIB_MAX: usize = 64 << 10;
/// The same of those whose senders prove who they are by the body itself: whoever stalls in these takes nothing from the others.
const UNPROVED_KIB_MAX: usize = 32 << 10;
/// Questions of people that ask other systems and policies at once: they take nothing from incidents.
const QUESTIONS: usize = 2;
/// How long such a question waits for its turn.
const QUESTION_WAIT: Duration = Duration::from_secs(5);
/// How long a webhook waits for its turn or for memory before its sender is asked to come back.
const TURN_WAIT: Duration = Duration::from_secs(5);
/// After an accept that failed, the host is not ready for so long.
const ACCEPT_TROUBLE: Duration = Duration::from_secs(10);

/// How long peers may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// From connecting, or from an answer, to a whole head.
    pub head: Duration,
    /// For the body of a webhook; each MiB gives a second more.
    pub body: Duration,
    /// For an answer that the peer does not read.
    pub answer: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { head: seconds(10), body: seconds(10), answer: seconds(10) }
    }
}

/// Whose body is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sender {
    /// The head has proved it.
    Known,
    /// The body has to.
    Unproved,
}

/// Shared by the listener and the pages.
#[derive(Debug)]
pub struct Doors {
    /// Who is connected.
    pub connections: Arc<Connections>,
    /// How long peers may take.
    pub deadlines: Deadlines,
    /// How many files may be open.
    pub descriptors: Descriptors,
    pub(crate) accepting: Accepting,
    pub(crate) backoff: Backoff,
    pub(crate) requests: Requests,
    pub(crate) ready: Ready,
    pub(crate) metrics: MetricsPage,
    bodies: Semaphore,
    unproved: Semaphore,
    questions: Semaphore,
    turns: Semaphore,
    turns_of: BTreeMap<String, Semaphore>,
    lost: AtomicU64,
}

impl Doors {
    /// Doors for these sources.
    pub fn new<'a>(
        bounds: Bounds,
        deadlines: Deadlines,
        descriptors: Descriptors,
        sources: impl IntoIterator<Item = &'a String>,
    ) -> Self {
        let turns_of = sources.into_iter().map(|name| (name.clone(), Semaphore::new(TURNS_OF_A_SOURCE)));
        Self {
            connections: Arc::new(Connections::new(bounds)),
            deadlines,
            descriptors,
            accepting: Accepting::default(),
            backoff: Backoff::default(),
            requests: Requests::default(),
            ready: Ready::default(),
            metrics: MetricsPage::default(),
            bodies: Semaphore::new(BODIES_KIB_MAX),
            unproved: Semaphore::new(UNPROVED_KIB_MAX),
            questions: Semaphore::new(QUESTIONS),
            turns: Semaphore::new(TURNS),
            turns_of: turns_of.collect(),
            lost: AtomicU64::new(0),
        }
    }

    /// Counts a webhook of a known sender whose alerts are lost.
    pub(crate) fn lost(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
    }

    /// How many there were.
    pub(crate) fn all_lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// A turn for a webhook of that source, or a request to come back later.
    pub(crate) async fn turn(&self, source: &str) -> Result<Turn<'_>, Problem> {
        let both = async {
            let of_source = match self.turns_of.get(source) {
                Some(turns) => Some(turns.acquire().await.map_err(|_| stopping())?),
                None => None,
            };
            let turn = self.turns.acquire().await.map_err(|_| stopping())?;
            Ok(Turn { _of_source: of_source, _turn: turn })
        };
        tokio::time::timeout(TURN_WAIT, both).await.unwrap_or_else(|_| Err(busy()))
    }

    /// A turn for a question of a person that costs other systems or a policy something, or a request to come back later.
    pub(crate) async fn question(&self) -> Result<SemaphorePermit<'_>, Problem> {
        let turn = tokio::time::timeout(QUESTION_WAIT, self.questions.acquire()).await;
        let busy =
            || Problem::unavailable("busy", "others ask the systems and the planner already: ask again");
        turn.map_err(|_| busy())?.map_err(|_| stopping())
    }

    /// So much more memory for the body of a webhook, or a request to come back later.
    pub(crate) async fn body_kib(&self, sender: Sender, kib: u32) -> Result<SemaphorePermit<'_>, Problem> {
        let room = match sender {
            Sender::Known => &self.bodies,
            Sender::Unproved => &self.unproved,
        };
        let permit = tokio::time::timeout(TURN_WAIT, room.acquire_many(kib)).await;
        permit.map_err(|_| busy())?.map_err(|_| stopping())
    }
}

/// Held while a webhook is parsed and stored.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    _of_source: Option<SemaphorePermit<'a>>,
    _turn: SemaphorePermit<'a>,
}

fn busy() -> Problem {
    Problem::unavailable("busy", "too many webhooks at once, so nothing of this one was taken: send it again")
}

fn stopping() -> Problem {
    Problem::unavailable(
        "stopping",
        "the host is stopping, so nothing was taken: send it again when it is back",
    )
}

/// Whether connections are accepted.
#[derive(Debug, Default)]
pub(crate) struct Accepting(Mutex<Option<Trouble>>);

#[derive(Debug)]
struct Trouble {
    why: String,
    last: Instant,
    /// Until the next success, it is no news.
    goes_on: bool,
}

impl Accepting {
    /// Whether it is news.
    pub(crate) fn failed(&self, error: &io::Error) -> bool {
        let mut trouble = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let news = !trouble.as_ref().is_some_and(|trouble| trouble.goes_on);
        *trouble = Some(Trouble { why: error.to_string(), last: Instant::now(), goes_on: true });
        news
    }

    pub(crate) fn succeeded(&self) {
        if let Some(trouble) = self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            trouble.goes_on = false;
        }
    }

    /// Why connections cannot be accepted, or could not a moment ago: the one through which it is asked may have been the last.
    pub(crate) fn trouble(&self) -> Option<String> {
        let trouble = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = trouble.as_ref().filter(|trouble| trouble.last.elapsed() < ACCEPT_TROUBLE);
        recent.map(|trouble| trouble.why.clone())
    }
}

/// Whether a status says that somebody did not know a secret.
pub(crate) fn is_refusal(status: StatusCode) -> bool {
    matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doors(sources: &[&str]) -> Doors {
        let sources: Vec<String> = sources.iter().map(|name| (*name).to_owned()).collect();
        let descriptors = Descriptors { limit: 1_024 };
        Doors::new(Bounds::of(64), Deadlines::default(), descriptors, &sources)
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_that_sends_all_the_time_leaves_turns_to_another() {
        let doors = doors(&["noisy", "quiet"]);
        let mut held = Vec::new();
        while let Ok(turn) = doors.turn("noisy").await {
            held.push(turn);
        }
        assert_eq!(held.len(), TURNS_OF_A_SOURCE, "then its senders are asked to come back");
        assert!(doors.turn("quiet").await.is_ok());
        held.pop();
        assert!(doors.turn("noisy").await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn bodies_wait_for_memory_and_then_are_asked_to_come_back() {
        let doors = doors(&[]);
        for (sender, other, all) in [
            (Sender::Known, Sender::Unproved, BODIES_KIB_MAX),
            (Sender::Unproved, Sender::Known, UNPROVED_KIB_MAX),
        ] {
            let most = doors.body_kib(sender, u32::try_from(all).unwrap()).await.unwrap();
            let problem = doors.body_kib(sender, 1).await.unwrap_err();
            assert_eq!((problem.status, problem.retries()), (503, true), "{sender:?}");
            assert!(doors.body_kib(other, 1).await.is_ok(), "{other:?} beside {sender:?}");
            drop(most);
            assert!(doors.body_kib(sender, 1).await.is_ok(), "{sender:?}");
        }
    }

    #[test]
    fn an_accept_that_fails_is_news_once_and_seen_after_the_next_success() {
        let (accepting, error) = (Accepting::default(), io::Error::other("too many open files"));
        assert!(accepting.trouble().is_none());
        assert!(accepting.failed(&error) && !accepting.failed(&error));
        accepting.succeeded();
        assert_eq!(accepting.trouble().as_deref(), Some("too many open files"));
        assert!(accepting.failed(&error), "after a success it is news again");
    }
}
