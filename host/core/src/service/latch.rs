//! A reason is acted on once: after an incident has ended without a rollback its triggers open none until there is news.

use std::collections::BTreeSet;

use super::producing::STOP_FOR;
use super::{Illegal, Incident, Service};
use crate::effect::Topic;
use crate::event::{LatchLifted, Said, TriggerWord, TriggersAsked};
use crate::fact::Outcome;
use crate::name::{IncidentId, PolicyName};
use crate::production::Vector;
use crate::role::Urgency;
use crate::signal::Severity;
use crate::time::{Millis, UnixMillis};

/// Why a trigger opens no incident: people or rules have answered its reason.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Latch {
    /// By ending this incident.
    pub incident: IncidentId,
    /// In this way.
    pub outcome: Outcome,
    /// What was live then, or when it was first read after that; none if it was never read.
    pub live: Option<Vector>,
    /// How urgent the reason was.
    pub urgency: Urgency,
    /// Since when.
    pub since: UnixMillis,
    /// How often the trigger has said since that it is a reason.
    pub held_back: u64,
}

impl Service {
    /// Latches the triggers that find a reason while an incident ends without a rollback.
    pub(super) fn latch(&mut self, ended: &Incident, outcome: &Outcome) {
        match outcome {
            Outcome::RolledBack | Outcome::FellBack | Outcome::RestoredElsewhere | Outcome::StoodDown => {
                self.watching.raised.clear();
                return;
            }
            Outcome::Dismissed
            | Outcome::Refused
            | Outcome::Expired
            | Outcome::Aborted
            | Outcome::Observed
            | Outcome::NotHelped
            | Outcome::SettledByPerson
            | Outcome::Producing => {}
            Outcome::Open | Outcome::Other(_) => return,
        }
        if self.deadlines().reopen_after == Millis(0) {
            return;
        }
        for (trigger, urgency) in std::mem::take(&mut self.watching.raised) {
            let latch = Latch {
                incident: ended.id.clone(),
                outcome: outcome.clone(),
                live: self.production.vector(),
                urgency,
                since: self.at,
                held_back: 0,
            };
            self.watching.latches.insert(trigger, latch);
        }
    }

    /// When the latch of a trigger opens by itself. A run that is to answer its reason holds it until the run has ended, which takes no longer than it
    /// may.
    pub fn unlatched_at(&self, latch: &Latch) -> UnixMillis {
        let opens = latch.since + self.deadlines().reopen_after;
        match &self.producing.run {
            Some(run) if run.ordered.incident == latch.incident => opens.max(run.ends_at + STOP_FOR),
            _ => opens,
        }
    }

    /// Opens the latches of triggers that have no reason any more, or news, and gives back those that are still held back.
    pub(super) fn judge_latches(&mut self, asked: &TriggersAsked) -> BTreeSet<PolicyName> {
        let mut held_back = BTreeSet::new();
        for trigger in &asked.asked {
            let name = &trigger.decision.policy.name;
            match &trigger.said {
                Said::Fault(_) | Said::Verdict(TriggerWord::Watch(_)) => {}
                Said::Verdict(TriggerWord::Ignore | TriggerWord::StandDown(_)) => {
                    self.watching.raised.remove(name);
                    self.watching.latches.remove(name);
                }
                Said::Verdict(TriggerWord::RollBack(reason)) => {
                    self.watching.raised.insert(name.clone(), reason.urgency.clone());
                    if self.holds_back(name, &reason.urgency) {
                        held_back.insert(name.clone());
                    } else {
                        self.watching.latches.remove(name);
                    }
                }
            }
        }
        held_back
    }

    /// Whether the trigger is latched and has nothing new to say; people are told the first time.
    fn holds_back(&mut self, name: &PolicyName, urgency: &Urgency) -> bool {
        let Some(latch) = self.watching.latches.get(name) else { return false };
        let until = self.unlatched_at(latch);
        if self.is_other_live(latch) || *urgency > latch.urgency || self.at >= until {
            return false;
        }
        let first = latch.held_back == 0;
        let text = format!(
            "trigger `{name}` of `{}` still wants a rollback, but `{}` ended: {}; it opens no incident for {} unless it finds no reason meanwhile, something else is live, or it becomes more urgent; `ripcord latch lift {} {name} --of {} --reason TEXT` lets it",
            self.name,
            latch.incident,
            latch.outcome,
            until.since(self.at),
            self.name,
            latch.incident
        );
        if let Some(latch) = self.watching.latches.get_mut(name) {
            latch.held_back = latch.held_back.saturating_add(1);
        }
        if first && self.incident.is_none() {
            self.tell(Topic::Latched, Severity::Warning, text);
        }
        true
    }

    /// Whether something else is live than when the latch fell.
    fn is_other_live(&self, latch: &Latch) -> bool {
        match (&latch.live, self.production.vector()) {
            (Some(then), Some(now)) => now.is_other_than(then),
            _ => false,
        }
    }

    /// Where something else is live than before, a latched trigger is asked: its alert may only go on, which is no news by itself.
    /// A latch that fell while nobody knew what is live takes the first look for that: else no other version would ever open it.
    pub(super) fn latches_see(&mut self) {
        for latch in self.watching.latches.values_mut().filter(|latch| latch.live.is_none()) {
            latch.live = self.production.vector();
        }
        self.watching.due |= self.watching.latches.values().any(|latch| self.is_other_live(latch));
    }

    pub(super) fn latch_lifted(&mut self, lifted: &LatchLifted) -> Result<(), Illegal> {
        let latch = self.watching.latches.get(&lifted.trigger);
        let latch = latch.ok_or_else(|| Illegal::NoLatch(self.name.clone()))?;
        if latch.incident != lifted.incident {
            return Err(Illegal::OtherLatch(latch.incident.clone()));
        }
        self.watching.latches.remove(&lifted.trigger);
        self.watching.due = true;
        Ok(())
    }

    /// Whether a latch has opened by itself: then its trigger is asked.
    pub(super) fn latches_woke(&mut self) -> bool {
        let at = self.at;
        let mut latches = std::mem::take(&mut self.watching.latches);
        let before = latches.len();
        latches.retain(|_, latch| at < self.unlatched_at(latch));
        self.watching.latches = latches;
        self.watching.latches.len() < before
    }
}
