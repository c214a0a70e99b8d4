//! The number of lines of one kind: some are logged, the rest are counted, and the count is logged.
//!
//! A kind is one place in the code and one service or alert source, so that a noisy one does not hide another.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::field::{Field, Visit};
use tracing::{Event, Metadata};
use tracing_subscriber::layer::Context;

/// How long lines of a kind are counted together.
const WINDOW: Duration = Duration::from_secs(10);
/// Lines of one kind in that time; the rest are counted.
const LINES_MAX: u64 = 50;
/// With more kinds in that time, those of one place in the code are one.
const KINDS_MAX: usize = 4_096;
/// What of a line says of which kind it is when its count is logged.
const MESSAGE_CHARS_MAX: usize = 120;
/// Fields that make two lines of one place different kinds.
const KIND_FIELDS: [&str; 2] = ["service", "source"];

static FLOOD: LazyLock<Flood> = LazyLock::new(Flood::default);

/// Lets the first lines of a kind through.
#[derive(Debug, Clone, Copy)]
pub(super) struct Filter;

impl<S> tracing_subscriber::layer::Filter<S> for Filter {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        let mut line = Line { kind: FLOOD.hashes.build_hasher(), message: String::new() };
        event.record(&mut line);
        let place = std::ptr::from_ref(event.metadata()).addr();
        FLOOD.passes((place, line.kind.finish()), &line.message, Instant::now())
    }
}

/// How many lines were counted instead of logged since the start.
pub fn left_out() -> u64 {
    FLOOD.all_left_out.load(Ordering::Relaxed)
}

/// Logs what was left out.
pub fn summarise() {
    log(FLOOD.over(None));
}

/// The same, of what is over, again and again.
pub async fn summarise_for_ever() {
    loop {
        tokio::time::sleep(WINDOW / 2).await;
        log(FLOOD.over(Some(Instant::now())));
    }
}

fn log(counts: Vec<(String, u64)>) {
    for (message, left_out) in counts {
        tracing::warn!(left_out, line = message, "more lines of one kind than are logged");
    }
}

/// A place in the code, and a hash of what its lines are about.
type Kind = (usize, u64);

#[derive(Debug, Default)]
struct Flood {
    hashes: RandomState,
    kinds: Mutex<HashMap<Kind, Counted>>,
    all_left_out: AtomicU64,
}

#[derive(Debug)]
struct Counted {
    since: Instant,
    lines: u64,
    /// Of the first one that was left out.
    message: String,
}

impl Counted {
    fn left_out(&self) -> u64 {
        self.lines.saturating_sub(LINES_MAX)
    }
}

impl Flood {
    fn passes(&self, kind: Kind, message: &str, now: Instant) -> bool {
        let mut kinds = self.kinds();
        let kind = if kinds.len() < KINDS_MAX || kinds.contains_key(&kind) { kind } else { (kind.0, 0) };
        let counted =
            kinds.entry(kind).or_insert_with(|| Counted { since: now, lines: 0, message: String::new() });
        // What was left out is logged by who looks every so often; a new window begins after that.
        if now.saturating_duration_since(counted.since) >= WINDOW && counted.left_out() == 0 {
            *counted = Counted { since: now, lines: 0, message: String::new() };
        }
        counted.lines += 1;
        let passes = counted.left_out() == 0;
        if !passes {
            self.all_left_out.fetch_add(1, Ordering::Relaxed);
            if counted.message.is_empty() {
                message.clone_into(&mut counted.message);
            }
        }
        passes
    }

    /// What was left out of windows that are over by `now`, or of all; they are forgotten.
    fn over(&self, now: Option<Instant>) -> Vec<(String, u64)> {
        let is_over =
            |counted: &Counted| now.is_none_or(|now| now.saturating_duration_since(counted.since) >= WINDOW);
        let over = self.kinds().extract_if(|_, counted| is_over(counted)).collect::<Vec<_>>();
        over.into_iter()
            .filter(|(_, counted)| counted.left_out() > 0)
            .map(|(_, counted)| (counted.message.clone(), counted.left_out()))
            .collect()
    }

    fn kinds(&self) -> MutexGuard<'_, HashMap<Kind, Counted>> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is looked at of a line.
struct Line<H> {
    kind: H,
    message: String,
}

impl<H: std::hash::Hasher> Visit for Line<H> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}").chars().take(MESSAGE_CHARS_MAX).collect();
        } else if KIND_FIELDS.contains(&field.name()) {
            self.kind.write(format!("{value:?}").as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_one_kind_are_logged_up_to_a_number_and_then_counted() {
        let (flood, now) = (Flood::default(), Instant::now());
        let logged = (0..10_000).filter(|_| flood.passes((1, 1), "refused", now)).count();
        assert_eq!(logged as u64, LINES_MAX);
        assert!(flood.passes((1, 2), "refused", now), "another source of the same place in the code");
        assert!(flood.passes((2, 1), "taken", now));
        assert_eq!(flood.over(Some(now)), [], "the window goes on");
        assert_eq!(flood.over(Some(now + WINDOW)), [("refused".to_owned(), 9_950)]);
        assert!(flood.passes((1, 1), "refused", now + WINDOW), "a new window");
        assert_eq!(flood.all_left_out.load(Ordering::Relaxed), 9_950);
    }

    #[test]
    fn what_was_left_out_is_told_also_when_the_host_stops_within_the_window() {
        let (flood, now) = (Flood::default(), Instant::now());
        let logged = (0..60).filter(|_| flood.passes((1, 1), "refused", now)).count();
        assert_eq!(logged, 50);
        assert_eq!(flood.over(None), [("refused".to_owned(), 10)]);
        assert_eq!(flood.over(None), []);
    }

    #[test]
    fn no_number_of_kinds_fills_the_memory_or_the_log() {
        let (flood, now) = (Flood::default(), Instant::now());
        let logged = (0..100_000).filter(|kind| flood.passes((1, *kind), "refused", now)).count();
        assert!(logged <= KINDS_MAX + 50 && flood.kinds().len() <= KINDS_MAX + 1, "{logged}");
    }
}
