//! Dying, or a call that fails, at a chosen point.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ripcord_ports::{ErrorKind, PortError};
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

/// What happens at the armed point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    /// The host dies.
    Dies,
    /// The call fails, before or after it was carried out.
    Fails,
}

#[derive(Debug, Default)]
struct Inner {
    armed: Option<(Point, Then)>,
    has_failed: bool,
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
        Self::with(point.map(|point| (point, Then::Dies)), Duration::ZERO)
    }

    /// Never dies; the call of this point fails.
    pub fn failing(point: Point) -> Arc<Self> {
        Self::with(Some((point, Then::Fails)), Duration::ZERO)
    }

    /// Never dies, and lingers at every point: whoever kills the process from outside has time to.
    pub fn slow(pace: Duration) -> Arc<Self> {
        Self::with(None, pace)
    }

    fn with(armed: Option<(Point, Then)>, pace: Duration) -> Arc<Self> {
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
        self.pass(name).await;
    }

    /// The moment before a call: it may fail there, and nothing is done.
    pub async fn call(&self, name: &str) -> Result<(), PortError> {
        let failure = || PortError::not_applied(ErrorKind::Unreachable, format!("{name} is not reached"));
        if self.pass(&format!("before {name}")).await { Err(failure()) } else { Ok(()) }
    }

    /// The moment after a call that has an effect: its answer may be lost.
    pub async fn answer(&self, name: &str) -> Result<(), PortError> {
        let failure = || PortError::unknown(ErrorKind::Unreachable, format!("the answer of {name} is lost"));
        if self.pass(&format!("after {name}")).await { Err(failure()) } else { Ok(()) }
    }

    /// Whether the call fails at this moment.
    pub(crate) async fn pass(&self, name: &str) -> bool {
        self.alive().await;
        if !self.pace.is_zero() {
            tokio::time::sleep(self.pace).await;
        }
        let then = {
            let mut inner = self.inner.lock().unwrap();
            let count = inner.counts.entry(name.to_owned()).or_default();
            let point = Point { name: name.to_owned(), nth: *count };
            *count += 1;
            let then = inner.armed.as_ref().filter(|(armed, _)| *armed == point).map(|(_, then)| *then);
            inner.passed.push(point);
            inner.has_failed |= then == Some(Then::Fails);
            then
        };
        if then == Some(Then::Dies) {
            self.kill();
            std::future::pending::<()>().await;
        }
        then == Some(Then::Fails)
    }

    /// Whether the call of the armed point has failed.
    pub fn has_failed(&self) -> bool {
        self.inner.lock().unwrap().has_failed
    }

    /// All points that were passed, in order.
    pub fn passed(&self) -> Vec<Point> {
        self.inner.lock().unwrap().passed.clone()
    }
}
