//! Many seeds, side by side: each on one thread, with nothing between them.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::check::Counts;
use crate::play::{Options, Outcome, play};

/// What came of many seeds.
#[derive(Debug, Default)]
pub struct Report {
    /// Of all seeds.
    pub counts: Counts,
    /// Seeds that were played.
    pub seeds: u64,
    /// Seeds in which a rule does not hold.
    pub failed: Vec<Outcome>,
}

impl Report {
    /// Incidents that ended.
    pub fn incidents(&self) -> u64 {
        self.counts.ended.values().sum()
    }

    fn add(&mut self, outcome: Outcome) {
        self.seeds += 1;
        self.counts.add(&outcome.counts);
        if !outcome.broken.is_empty() {
            self.failed.push(outcome);
        }
    }
}

/// When enough was played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enough {
    /// After so many seeds.
    Seeds(u64),
    /// After so many incidents.
    Incidents(u64),
    /// At the first seed in which a rule does not hold, or after so many seeds.
    FirstFailure(u64),
}

/// Plays the seeds from `first` on, on `jobs` threads.
pub fn run(
    first: u64,
    enough: Enough,
    jobs: usize,
    options: &Options,
    heard: &(dyn Fn(&Outcome) + Sync),
) -> Report {
    let (next, stop, report) = (AtomicU64::new(first), AtomicBool::new(false), Mutex::new(Report::default()));
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let most = match enough {
                        Enough::Seeds(most) | Enough::FirstFailure(most) => most,
                        Enough::Incidents(_) => u64::MAX,
                    };
                    if seed - first >= most {
                        return;
                    }
                    let outcome = play(seed, options);
                    heard(&outcome);
                    let mut report = report.lock().unwrap();
                    report.add(outcome);
                    let done = match enough {
                        Enough::Seeds(_) => false,
                        Enough::Incidents(wanted) => report.incidents() >= wanted,
                        Enough::FirstFailure(_) => !report.failed.is_empty(),
                    };
                    if done {
                        stop.store(true, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let mut report = report.into_inner().unwrap();
    report.failed.sort_by_key(|outcome| outcome.seed);
    report
}

/// The one line that plays a seed again.
pub fn again(outcome: &Outcome) -> String {
    let broken = outcome.broken.first();
    let why = broken.map_or_else(
        || "nothing is broken".to_owned(),
        |one| format!("`{}` of {}: {}", one.rule, one.service, one.what),
    );
    format!(
        "seed {}: {why}; again: cargo run -p ripcord-simulation --release -- --seed {} --trace",
        outcome.seed, outcome.seed
    )
}
