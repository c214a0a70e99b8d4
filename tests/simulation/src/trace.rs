//! What happened, line by line, and a digest of it: the same seed gives the same.

use std::sync::{Mutex, MutexGuard, PoisonError};

use ripcord_core::digest::Digest;
use ripcord_core::event::Event;
use ripcord_core::name::{ServiceName, SetName};
use ripcord_core::service::Service;
use ripcord_core::set::{Set, SetEvent};
use ripcord_core::time::UnixMillis;
use tokio::time::Instant;

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tracing {
    /// Nothing.
    #[default]
    Off,
    /// A digest of all lines.
    Digest,
    /// All lines.
    Lines,
    /// All lines, printed as they come.
    Printed,
}

#[derive(Debug, Default)]
struct Kept {
    lines: Vec<String>,
    digest: Option<Digest>,
    /// Of all that people heard, whatever the order.
    heard: [u8; 32],
    began: Option<Instant>,
}

/// What happened.
#[derive(Debug, Default)]
pub struct Trace {
    tracing: Tracing,
    kept: Mutex<Kept>,
}

impl Trace {
    /// A trace that keeps so much.
    pub fn new(tracing: Tracing) -> Self {
        Self { tracing, kept: Mutex::default() }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something happened.
    pub fn line(&self, line: impl FnOnce() -> String) {
        self.keep(line, |kept, line| {
            let before = kept.digest.unwrap_or_else(|| Digest::of(""));
            kept.digest = Some(Digest::tagged("ripcord simulation 1", &[before.as_bytes(), line]));
        });
    }

    /// A person heard something. Several who wait for the same are woken by the runtime in an order that no seed knows, so their order does not count.
    pub fn heard(&self, line: impl FnOnce() -> String) {
        self.keep(line, |kept, line| {
            let own = Digest::tagged("ripcord simulation heard 1", &[line]);
            kept.heard.iter_mut().zip(own.as_bytes()).for_each(|(all, one)| *all ^= one);
        });
    }

    fn keep(&self, line: impl FnOnce() -> String, digest: impl FnOnce(&mut Kept, &[u8])) {
        if self.tracing == Tracing::Off {
            return;
        }
        let mut kept = self.kept();
        let began = *kept.began.get_or_insert_with(Instant::now);
        let line = format!("{:>9.3} {}", began.elapsed().as_secs_f64(), line());
        if self.tracing == Tracing::Lines {
            kept.lines.push(line);
        } else if self.tracing == Tracing::Printed {
            println!("{line}");
        } else {
            digest(&mut kept, line.as_bytes());
        }
    }

    /// An event came to be on disk.
    pub fn event(&self, service: &ServiceName, at: UnixMillis, event: &Event, after: &Service) {
        self.line(|| {
            let phase = after.incident.as_ref().map_or("no incident", |incident| incident.phase_name());
            format!(
                "{service} #{} at {} [{phase}] {}",
                after.length - 1,
                at.0,
                without_commitments(&format!("{event:?}"))
            )
        });
    }

    /// The same of a set.
    pub fn set_event(&self, set: &SetName, at: UnixMillis, event: &SetEvent, after: &Set) {
        self.line(|| {
            let phase = after.run.as_ref().map_or("no run", |run| run.phase.name());
            format!(
                "set {set} #{} at {} [{phase}] {}",
                after.length - 1,
                at.0,
                without_commitments(&format!("{event:?}"))
            )
        });
    }

    /// All lines.
    pub fn lines(&self) -> Vec<String> {
        self.kept().lines.clone()
    }

    /// The digest of all lines.
    pub fn digest(&self) -> Option<Digest> {
        let kept = self.kept();
        kept.digest.map(|digest| Digest::tagged("ripcord simulation 1", &[digest.as_bytes(), &kept.heard]))
    }
}

/// Salts are drawn at random outside every seed, and commitments come from them.
fn without_commitments(text: &str) -> String {
    let mut parts = text.split("commitment: ");
    let mut cleaned = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        cleaned.push_str(part.split_once(", ").map_or(part, |(_, rest)| rest));
    }
    cleaned
}
