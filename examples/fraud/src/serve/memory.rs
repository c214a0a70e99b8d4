use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use crate::model::Verdict;

/// How many decisions wait for the truth about them; the oldest is forgotten first.
const REMEMBERED_MAX: usize = 50_000;

/// A decision that waits for the truth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decided {
    pub(super) version: String,
    pub(super) verdict: Verdict,
}

/// The last decisions, by request id.
#[derive(Debug)]
pub(super) struct Memory {
    inner: Mutex<Inner>,
    max: usize,
}

#[derive(Debug, Default)]
struct Inner {
    next: u64,
    decided: HashMap<String, (u64, Decided)>,
    /// In order of age; an entry whose number is no longer that of its id is void.
    order: VecDeque<(u64, String)>,
}

impl Memory {
    pub(super) fn new() -> Self {
        Self::with_room_for(REMEMBERED_MAX)
    }

    fn with_room_for(max: usize) -> Self {
        Self { inner: Mutex::default(), max }
    }

    /// Remembers a decision. A second one under the same id replaces the first.
    pub(super) fn remember(&self, id: String, decided: Decided) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.order.len() >= self.max {
            inner.forget_oldest();
        }
        let number = inner.next;
        inner.next += 1;
        inner.order.push_back((number, id.clone()));
        inner.decided.insert(id, (number, decided));
    }

    /// Takes out a decision: the truth about it is told once.
    pub(super) fn take(&self, id: &str) -> Option<Decided> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.decided.remove(id).map(|(_, decided)| decided)
    }
}

impl Inner {
    fn forget_oldest(&mut self) {
        if let Some((number, id)) = self.order.pop_front()
            && self.decided.get(&id).is_some_and(|(current, _)| *current == number)
        {
            self.decided.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decided(version: &str) -> Decided {
        Decided { version: version.to_owned(), verdict: Verdict::Approve }
    }

    #[test]
    fn tells_each_decision_once() {
        let memory = Memory::with_room_for(3);
        memory.remember("a".to_owned(), decided("1"));
        memory.remember("a".to_owned(), decided("2"));
        assert_eq!(memory.take("a"), Some(decided("2")));
        assert_eq!(memory.take("a"), None);
    }

    #[test]
    fn forgets_the_oldest_first() {
        let memory = Memory::with_room_for(3);
        for id in ["a", "b", "a", "c"] {
            memory.remember(id.to_owned(), decided("1"));
        }
        // The first `a` was forgotten; the second one is still there.
        assert!(memory.take("a").is_some());
        for index in 0..1_000 {
            memory.remember(index.to_string(), decided("1"));
        }
        let inner = memory.inner.lock().unwrap_or_else(PoisonError::into_inner);
        assert_eq!((inner.order.len(), inner.decided.len()), (3, 3));
    }
}
