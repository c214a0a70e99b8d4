//! How many instances run at once, and the clock that stops those that run too long.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use wasmtime::Engine;

/// The grain of the wall-clock stop.
const TICK: Duration = Duration::from_millis(5);

#[derive(Debug, Default)]
struct State {
    running: u32,
    stopped: bool,
}

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    freed: Condvar,
    /// The ticker sleeps while nothing runs.
    began: Condvar,
    limit: u32,
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts running instances and owns the thread that ticks while any runs.
#[derive(Debug)]
pub(crate) struct Slots {
    inner: Arc<Inner>,
    ticker: Option<JoinHandle<()>>,
}

/// The right to run one instance.
#[derive(Debug)]
pub(crate) struct Slot<'a>(&'a Inner);

impl Slots {
    pub(crate) fn new(limit: u32, engine: Engine) -> std::io::Result<Self> {
        let inner =
            Arc::new(Inner { state: Mutex::default(), freed: Condvar::new(), began: Condvar::new(), limit });
        let ticking = Arc::clone(&inner);
        let ticker =
            std::thread::Builder::new().name("policy-clock".into()).spawn(move || tick(&ticking, &engine))?;
        Ok(Self { inner, ticker: Some(ticker) })
    }

    pub(crate) fn limit(&self) -> u32 {
        self.inner.limit
    }

    /// A slot, if one is free within `wait`.
    pub(crate) fn take(&self, wait: Duration) -> Option<Slot<'_>> {
        let full = |state: &mut State| state.running >= self.inner.limit;
        let (mut state, _) = self
            .inner
            .freed
            .wait_timeout_while(self.inner.lock(), wait, full)
            .unwrap_or_else(PoisonError::into_inner);
        if full(&mut state) {
            return None;
        }
        state.running += 1;
        if state.running == 1 {
            self.inner.began.notify_one();
        }
        Some(Slot(&self.inner))
    }
}

/// So many ticks last at least `ms` milliseconds.
pub(crate) fn ticks(ms: u64) -> u64 {
    // One more, because the first may come at once.
    ms.div_ceil(TICK.as_millis() as u64).saturating_add(1)
}

fn tick(inner: &Inner, engine: &Engine) {
    loop {
        let idle = |state: &mut State| state.running == 0 && !state.stopped;
        let state = inner.began.wait_while(inner.lock(), idle).unwrap_or_else(PoisonError::into_inner);
        if state.stopped {
            return;
        }
        drop(state);
        std::thread::sleep(TICK);
        engine.increment_epoch();
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.0.lock().running -= 1;
        self.0.freed.notify_one();
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        self.inner.lock().stopped = true;
        self.inner.began.notify_all();
        if let Some(ticker) = self.ticker.take() {
            // A panic there has been printed; there is nothing left to stop.
            let _ = ticker.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_house_is_waited_for_and_no_longer() {
        let slots = Slots::new(1, Engine::default()).expect("starts");
        let first = slots.take(Duration::ZERO).expect("free");
        assert!(slots.take(Duration::from_millis(20)).is_none());
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| slots.take(Duration::from_secs(20)).is_some());
            std::thread::sleep(Duration::from_millis(20));
            drop(first);
            assert!(waiting.join().expect("no panic"));
        });
    }

    #[test]
    fn ticks_cover_the_time() {
        assert_eq!([ticks(0), ticks(1), ticks(5), ticks(6)], [1, 2, 2, 3]);
        assert_eq!(ticks(u64::MAX), u64::MAX / 5 + 1);
    }
}
