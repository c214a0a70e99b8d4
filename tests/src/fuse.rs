//! Dying at a chosen point.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;

/// One moment of a run: what is about to be done or was just done, and how often that was before.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point {
    /// Such as `before append shift-began`.
    pub name: String,
    /// Counted from zero, for this name.
    pub nth: u32,
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} #{}", self.name, self.nth)
    }
}

#[derive(Debug, Default)]
struct Inner {
    armed: Option<Point>,
    counts: BTreeMap<String, u32>,
    passed: Vec<Point>,
}

/// Passed by everything that touches the store or the world. At the armed point, and everywhere from then on, it never returns.
#[derive(Debug)]
pub struct Fuse {
    inner: Mutex<Inner>,
    dead: watch::Sender<bool>,
    pace: Duration,
}

impl Fuse {
    /// Never dies, unless [`Fuse::kill`] is called.
    pub fn safe() -> Arc<Self> {
        Self::armed(None)
    }

    /// Dies at `point`.
    pub fn armed(point: Option<Point>) -> Arc<Self> {
        Self::with(point, Duration::ZERO)
    }

    /// Never dies, and lingers at every point: whoever kills the process from outside has time to.
    pub fn slow(pace: Duration) -> Arc<Self> {
        Self::with(None, pace)
    }

    fn with(armed: Option<Point>, pace: Duration) -> Arc<Self> {
        let inner = Inner { armed, ..Inner::default() };
        Arc::new(Self { inner: Mutex::new(inner), dead: watch::Sender::new(false), pace })
    }

    /// Dies here and now.
    pub fn kill(&self) {
        self.dead.send_replace(true);
    }

    /// Whether the host is dead.
    pub fn is_dead(&self) -> bool {
        *self.dead.borrow()
    }

    /// Returns when the host is dead.
    pub async fn died(&self) {
        let mut dead = self.dead.subscribe();
        drop(dead.wait_for(|dead| *dead).await);
    }

    /// Returns unless the host is dead.
    pub async fn alive(&self) {
        if self.is_dead() {
            std::future::pending::<()>().await;
        }
    }

    /// A moment at which the host may die.
    pub async fn point(&self, name: &str) {
        self.alive().await;
        if !self.pace.is_zero() {
            tokio::time::sleep(self.pace).await;
        }
        let dies = {
            let mut inner = self.inner.lock().unwrap();
            let count = inner.counts.entry(name.to_owned()).or_default();
            let point = Point { name: name.to_owned(), nth: *count };
            *count += 1;
            let dies = inner.armed.as_ref() == Some(&point);
            inner.passed.push(point);
            dies
        };
        if dies {
            self.kill();
            std::future::pending::<()>().await;
        }
    }

    /// All points that were passed, in order.
    pub fn passed(&self) -> Vec<Point> {
        self.inner.lock().unwrap().passed.clone()
    }
}
