//! Telling waiting from working: adapters say when they wait for another system, and whoever watches a piece of work learns how long.
//!
//! An adapter wraps what leaves this process, a call over the network or a program, in [`for_system`]. What it does not wrap counts as this host's own
//! work. Outside of [`watched`] nothing is noted.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ripcord_core::time::{Millis, UnixMillis};

use crate::Clock;

/// Beyond this many the newest are dropped.
const STRETCHES_MAX: usize = 20_000;

/// What time went into.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum What {
    /// Another system, by the name that people know.
    System(String),
    /// Part of the host's own work.
    Own(&'static str),
    /// A pause before the world is looked at again.
    Pause,
}

/// From when to when, by [`Clock::steady_us`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    /// Into what.
    pub what: What,
    /// Begin, in microseconds.
    pub from_us: u64,
    /// End, in microseconds.
    pub to_us: u64,
}

/// Where stretches are noted.
pub struct Watch {
    clock: Arc<dyn Clock>,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    stretches: Vec<Stretch>,
    dropped: u64,
    /// How often the disk was waited for until what was written was on it.
    flushes: u64,
    /// Calls under way, by number.
    open: BTreeMap<u64, (String, UnixMillis)>,
    opened: u64,
    troubles: BTreeMap<String, Trouble>,
}

/// A call that goes on for longer is trouble.
const HANGS_AFTER: Millis = Millis::seconds(2);

/// A system that does not do what it is there for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// As people name it.
    pub system: String,
    /// Since when.
    pub since: UnixMillis,
    /// What it did last, in a few words.
    pub what: String,
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("seen", &self.seen).finish_non_exhaustive()
    }
}

impl Watch {
    /// One that has seen nothing.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, seen: Mutex::default() }
    }

    /// What was noted so far, in the order in which it ended, and how many stretches had no place.
    pub fn stretches(&self) -> (Vec<Stretch>, u64) {
        let seen = self.seen();
        (seen.stretches.clone(), seen.dropped)
    }

    /// Forgets what was noted.
    pub fn clear(&self) {
        let mut seen = self.seen();
        seen.stretches.clear();
        seen.dropped = 0;
        seen.flushes = 0;
    }

    /// Notes that the disk was waited for so often.
    pub fn flushed(&self, times: u64) {
        self.seen().flushes += times;
    }

    /// How often the disk was waited for.
    pub fn flushes(&self) -> u64 {
        self.seen().flushes
    }

    /// Systems that failed and have not answered since, and those that let a call wait.
    pub fn troubles(&self) -> Vec<Trouble> {
        let now = self.clock.now();
        let seen = self.seen();
        let mut all = seen.troubles.clone();
        for (system, since) in seen.open.values().filter(|(_, since)| *since + HANGS_AFTER <= now) {
            let what = "it does not answer".to_owned();
            all.entry(system.clone()).or_insert_with(|| Trouble {
                system: system.clone(),
                since: *since,
                what,
            });
        }
        all.into_values().collect()
    }

    fn came(&self, system: &str, failed: Option<String>) {
        let now = self.clock.now();
        let mut seen = self.seen();
        match failed {
            None => drop(seen.troubles.remove(system)),
            Some(what) => {
                let since = seen.troubles.get(system).map_or(now, |trouble| trouble.since);
                let trouble = Trouble { system: system.to_owned(), since, what };
                seen.troubles.insert(system.to_owned(), trouble);
            }
        }
    }

    fn open(&self, system: &str) -> u64 {
        let now = self.clock.now();
        let mut seen = self.seen();
        seen.opened += 1;
        let number = seen.opened;
        seen.open.insert(number, (system.to_owned(), now));
        number
    }

    fn close(&self, number: u64) {
        self.seen().open.remove(&number);
    }

    /// Notes a stretch that ends now.
    pub fn note(&self, what: What, from_us: u64) {
        let to_us = self.clock.steady_us();
        let mut seen = self.seen();
        if seen.stretches.len() < STRETCHES_MAX {
            seen.stretches.push(Stretch { what, from_us, to_us });
        } else {
            seen.dropped += 1;
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

tokio::task_local! {
    static WATCH: Arc<Watch>;
}

/// Notes ends, also of a call that is given up.
struct Noting {
    watch: Arc<Watch>,
    what: Option<What>,
    from_us: u64,
    open: Option<u64>,
}

impl Drop for Noting {
    fn drop(&mut self) {
        if let Some(number) = self.open {
            self.watch.close(number);
        }
        if let Some(what) = self.what.take() {
            self.watch.note(what, self.from_us);
        }
    }
}

/// Runs `work`; what it says of waiting goes to `watch`. Tasks that it spawns are not watched.
pub async fn watched<F: Future>(watch: Arc<Watch>, work: F) -> F::Output {
    WATCH.scope(watch, work).await
}

/// Runs `call`, which waits for `system`.
pub async fn for_system<F: Future>(system: &str, call: F) -> F::Output {
    let _noting = WATCH.try_with(Arc::clone).ok().map(|watch| noting(watch, What::System(system.to_owned())));
    call.await
}

/// Says what came of a call to `system`: it answered, or why not.
pub fn answered(system: &str, failed: Option<String>) {
    // Where nobody watches, nobody needs to know.
    let _ = WATCH.try_with(|watch| watch.came(system, failed));
}

/// Says that the disk was waited for so often.
pub fn flushed(times: u64) {
    // Where nobody watches, nobody counts.
    let _ = WATCH.try_with(|watch| watch.flushed(times));
}

/// Runs `work`, a part of the host's own.
pub async fn own<F: Future>(part: &'static str, work: F) -> F::Output {
    let _noting = WATCH.try_with(Arc::clone).ok().map(|watch| noting(watch, What::Own(part)));
    work.await
}

/// Runs `sleep`, a pause before the world is looked at again.
pub async fn pausing<F: Future>(sleep: F) -> F::Output {
    let _noting = WATCH.try_with(Arc::clone).ok().map(|watch| noting(watch, What::Pause));
    sleep.await
}

fn noting(watch: Arc<Watch>, what: What) -> Noting {
    let from_us = watch.clock.steady_us();
    let open = if let What::System(system) = &what { Some(watch.open(system)) } else { None };
    Noting { watch, what: Some(what), from_us, open }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// In milliseconds.
    struct Hand(AtomicU64);

    #[async_trait::async_trait]
    impl Clock for Hand {
        fn now(&self) -> UnixMillis {
            UnixMillis(self.0.load(Ordering::SeqCst))
        }

        fn steady(&self) -> Millis {
            Millis(self.0.load(Ordering::SeqCst))
        }

        async fn sleep_until(&self, at: UnixMillis) {
            self.0.store(at.0, Ordering::SeqCst);
        }
    }

    fn systems(watch: &Watch) -> Vec<(String, u64)> {
        watch.troubles().into_iter().map(|trouble| (trouble.system, trouble.since.0)).collect()
    }

    #[tokio::test]
    async fn trouble_begins_with_the_first_failure_and_ends_with_an_answer() {
        let clock = Arc::new(Hand(AtomicU64::new(5)));
        let watch = Arc::new(Watch::new(clock.clone()));
        watched(watch.clone(), async {
            answered("MLflow", Some("no connection".to_owned()));
            clock.sleep_until(UnixMillis(9)).await;
            answered("MLflow", Some("no answer".to_owned()));
            answered("Prometheus", None);
        })
        .await;
        assert_eq!(systems(&watch), [("MLflow".to_owned(), 5)]);
        assert_eq!(watch.troubles()[0].what, "no answer");
        watched(watch.clone(), async { answered("MLflow", None) }).await;
        assert_eq!(systems(&watch), []);
    }

    #[tokio::test]
    async fn a_call_that_goes_on_is_trouble_until_it_ends() {
        let clock = Arc::new(Hand(AtomicU64::new(100)));
        let watch = Arc::new(Watch::new(clock.clone()));
        watched(watch.clone(), async {
            let hangs = for_system("model server", std::future::pending::<()>());
            let looks = async {
                assert_eq!(systems(&watch), []);
                clock.sleep_until(UnixMillis(2_100)).await;
                assert_eq!(systems(&watch), [("model server".to_owned(), 100)]);
            };
            tokio::select! {
                biased;
                () = hangs => {}
                () = looks => {}
            }
        })
        .await;
        assert_eq!(systems(&watch), []);
        let (stretches, dropped) = watch.stretches();
        assert_eq!((stretches.len(), dropped), (1, 0));
        assert_eq!((stretches[0].from_us, stretches[0].to_us), (100_000, 2_100_000));
    }

    #[tokio::test]
    async fn nothing_is_noted_where_nobody_watches() {
        for_system("MLflow", async { answered("MLflow", Some("no".to_owned())) }).await;
        own("evidence", async {}).await;
    }
}
