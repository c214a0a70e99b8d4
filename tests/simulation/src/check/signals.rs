//! An alert that was acknowledged is judged.

use std::collections::{BTreeMap, BTreeSet};

use ripcord_core::alert::AlertKey;
use ripcord_core::event::{Event, Said, SignalsTaken};
use ripcord_core::name::{PolicyName, SignalId};
use ripcord_core::service::{Alert, Judged};
use ripcord_core::signal::Signal;

use super::Step;

#[derive(Debug, Default)]
pub(crate) struct Book {
    acknowledged: BTreeSet<SignalId>,
    /// How many words had been taken in with it.
    taken: BTreeMap<SignalId, u64>,
    words: u64,
    /// The triggers have been asked about so many words.
    judged: u64,
    /// Triggers whose last word was a fault.
    faulted: BTreeSet<PolicyName>,
}

impl Book {
    pub(crate) fn acknowledged(&mut self, id: SignalId) {
        self.acknowledged.insert(id);
    }

    pub(crate) fn step(&mut self, step: &mut Step<'_>) {
        if let Event::SignalsTaken(taken) = step.event {
            self.take(step, taken);
        }
        if let Event::TriggersAsked(asked) = step.event {
            let faults = asked.asked.iter().filter(|one| matches!(one.said, Said::Fault(_)));
            self.faulted = faults.map(|one| one.decision.policy.name.clone()).collect();
        }
        // What is older than the word that was judged is judged with it.
        let waits = |alert: &&Alert| alert.judged == Judged::Waiting;
        let alerts = step.after.watching.alerts.all();
        let first = alerts.into_iter().filter(waits).map(|alert| alert.order).min();
        self.judged = self.judged.max(first.map_or(self.words, |first| first - 1));
    }

    fn take(&mut self, step: &mut Step<'_>, taken: &SignalsTaken) {
        let content = step.blob(&taken.content).unwrap_or_default();
        let signals: Vec<Signal> = serde_json::from_slice(&content).unwrap_or_default();
        let told: u64 = taken.alerts.iter().map(|alert| alert.count).sum();
        let (held, counted) = (signals.len() as u64, u64::from(taken.signals));
        if held != counted || told != counted {
            let what =
                format!("a group of {counted} signals holds {held}, and its alerts tell of {told} signals");
            step.broke("acknowledged-means-judged", what);
        }
        self.words += taken.alerts.len() as u64;
        for signal in signals {
            self.stands(step, &signal);
            if self.taken.insert(signal.id.clone(), self.words).is_some() {
                step.broke("a-signal-is-taken-once", signal.id.to_string());
            }
        }
    }

    /// Its alert stands as it says, or as a newer word says.
    fn stands(&self, step: &mut Step<'_>, signal: &Signal) {
        let key = AlertKey::of(&step.disk.installation(), signal);
        let alerts = &step.after.watching.alerts;
        let newer = |alert: &&Alert| alert.word.alert == key && alert.word.started_at >= signal.started_at;
        if alerts.left_out() == 0 && !alerts.all().iter().any(newer) {
            step.broke("acknowledged-means-judged", format!("nothing tells of `{}` any more", signal.id));
        }
    }

    /// A trigger that was asked and has not answered: a fault is no verdict.
    pub(crate) fn unanswered(&self) -> Option<&PolicyName> {
        self.faulted.first()
    }

    /// One that was acknowledged and is not judged.
    pub(crate) fn unjudged(&self) -> Option<&SignalId> {
        self.acknowledged.iter().find(|id| self.taken.get(*id).is_none_or(|words| *words > self.judged))
    }
}
