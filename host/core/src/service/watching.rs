//! Signals, trigger verdicts and what several of them add up to.

use std::collections::{BTreeMap, BTreeSet};

use super::Illegal;
use super::{Incident, Marks, Phase, Service};
use crate::effect::Topic;
use crate::event::{
    DataState, InProduction, Reason, Said, SignalTaken, SignalsSetAside, TriggerWord, TriggersAsked,
};
use crate::fact::Outcome;
use crate::name::{IncidentId, PersonName, PolicyName, SignalId};
use crate::policy::Role;
use crate::signal::{Origin, Severity, SignalStatus};
use crate::target::Target;
use crate::time::{Millis, UnixMillis};

/// Signals that triggers are given at once.
const SIGNALS_MAX: usize = 256;

/// A signal that triggers are asked about.
#[derive(Debug, Clone, PartialEq)]
pub struct TakenSignal {
    /// The event, with the reference to its content.
    pub taken: SignalTaken,
    /// Whether triggers have been asked about it.
    pub judged: Judged,
}

/// Whether triggers have been asked about a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judged {
    /// Not yet.
    Waiting,
    /// At least once.
    Asked,
}

/// Signals and triggers of a service.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Watching {
    /// Those that are watched or belong to the open incident, in the order they came.
    pub signals: Vec<TakenSignal>,
    /// When each watching trigger wants to be asked again.
    pub watches: BTreeMap<PolicyName, UnixMillis>,
    /// When the triggers are asked without any signal.
    pub scheduled_at: Option<UnixMillis>,
    /// A watch or the schedule has come.
    pub due: bool,
    /// Since when triggers lack data.
    pub no_data_since: Option<UnixMillis>,
    /// Whether people were told of it.
    pub no_data_told: bool,
    /// Triggers that faulted when they were last asked: people were told.
    pub faulted: BTreeSet<PolicyName>,
}

impl Watching {
    pub(super) fn reschedule(&mut self, at: UnixMillis, every: Option<Millis>) {
        self.scheduled_at = match (every, self.scheduled_at) {
            (None, _) => None,
            (Some(every), Some(planned)) => Some(planned.min(at + every)),
            (Some(every), None) => Some(at + every),
        };
    }

    /// Signals that were judged go with the incident.
    pub(super) fn forget_judged(&mut self) {
        self.signals.retain(|signal| signal.judged == Judged::Waiting);
    }

    /// The signals that the triggers are asked about now.
    pub fn asked_about(&self) -> Vec<SignalId> {
        self.signals.iter().map(|signal| signal.taken.signal.clone()).collect()
    }

    /// Whether triggers must be asked now.
    pub fn is_due(&self) -> bool {
        self.due || self.signals.iter().any(|signal| signal.judged == Judged::Waiting)
    }
}

/// What all triggers together say.
#[derive(Debug, Clone, PartialEq)]
enum Together {
    RollBack(Reason, PolicyName),
    Fault,
    Watch,
    StandDown,
    Ignore,
}

impl Service {
    pub(super) fn signal_taken(&mut self, taken: &SignalTaken) {
        if let Some(incident) = &mut self.incident {
            incident.signals.push(taken.signal.clone());
        }
        self.look_because_of(&taken.severity, taken.status);
        self.watching.signals.push(TakenSignal { taken: taken.clone(), judged: Judged::Waiting });
        // Triggers are given a bounded list; what goes first was judged before.
        if self.watching.signals.len() > SIGNALS_MAX
            && let Some(oldest) =
                self.watching.signals.iter().position(|signal| signal.judged == Judged::Asked)
        {
            self.watching.signals.remove(oldest);
        }
    }

    /// Whoever sent them believes that they are judged, so people are told.
    pub(super) fn signals_set_aside(&mut self, aside: &SignalsSetAside) {
        let (count, service) = (aside.signals.len(), &self.name);
        let first = aside.signals.first().map(ToString::to_string).unwrap_or_default();
        let text = format!(
            "{count} alerts of `{service}` were taken in and cannot be read (`{first}` is the first), so nothing judges them: the store was damaged or written by another release; look at the service, and at the log for each of them"
        );
        self.tell(Topic::SignalsUnreadable, Severity::Critical, text);
    }

    pub(super) fn triggers_asked(&mut self, asked: &TriggersAsked) -> Result<(), Illegal> {
        for signal in &mut self.watching.signals {
            if asked.signals.contains(&signal.taken.signal) {
                signal.judged = Judged::Asked;
            }
        }
        self.watching.due = false;
        if let (Some(every), Some(planned)) =
            (self.terms.as_ref().and_then(|terms| terms.schedule), self.watching.scheduled_at)
            && planned <= self.at
        {
            self.watching.scheduled_at = Some(self.at + every);
        }
        for trigger in &asked.asked {
            let name = trigger.decision.policy.name.clone();
            match (&trigger.said, &trigger.memo) {
                (Said::Fault(_), _) => {}
                (_, Some(memo)) => drop(self.memos.insert((Role::Trigger, name.clone()), memo.clone())),
                (_, None) => drop(self.memos.remove(&(Role::Trigger, name.clone()))),
            }
            match trigger.said {
                Said::Verdict(TriggerWord::Watch(until)) => {
                    let soonest = self.at + Millis(100);
                    self.watching.watches.insert(name.clone(), until.max(soonest));
                }
                _ => drop(self.watching.watches.remove(&name)),
            }
        }
        self.note_missing_data(asked);
        self.judge(asked);
        Ok(())
    }

    /// Roll back > fault > watch > stand down > ignore; among those that roll back the most urgent, then the first.
    fn together(asked: &TriggersAsked) -> Together {
        let mut best: Option<(&Reason, &PolicyName)> = None;
        let (mut fault, mut watch, mut stand_down) = (false, false, false);
        for trigger in &asked.asked {
            match &trigger.said {
                Said::Verdict(TriggerWord::RollBack(reason)) => {
                    if best.is_none_or(|(chosen, _)| reason.urgency > chosen.urgency) {
                        best = Some((reason, &trigger.decision.policy.name));
                    }
                }
                Said::Verdict(TriggerWord::Watch(_)) => watch = true,
                Said::Verdict(TriggerWord::StandDown(_)) => stand_down = true,
                Said::Verdict(TriggerWord::Ignore) => {}
                Said::Fault(_) => fault = true,
            }
        }
        match best {
            Some((reason, name)) => Together::RollBack(reason.clone(), name.clone()),
            None if fault => Together::Fault,
            None if watch => Together::Watch,
            None if stand_down => Together::StandDown,
            None => Together::Ignore,
        }
    }

    fn judge(&mut self, asked: &TriggersAsked) {
        self.tell_faults(asked);
        let together = Self::together(asked);
        if let (Together::RollBack(..) | Together::Watch, Some(incident)) = (&together, &mut self.incident) {
            incident.reason_gone = false;
        }
        match (together, &self.incident) {
            (Together::RollBack(reason, name), None) => {
                let signals = self.watching.asked_about();
                self.open(reason, Origin::Policy(name.to_string()), None, None, signals);
            }
            (Together::StandDown, Some(_)) => self.stand_down(),
            (Together::Ignore | Together::StandDown, None) => self.watching.forget_judged(),
            (Together::Fault | Together::Watch, None) | (_, Some(_)) => {}
        }
    }

    /// Tells people of triggers that have begun to fault: once, until they have answered again.
    fn tell_faults(&mut self, asked: &TriggersAsked) {
        let faults = asked.asked.iter().filter(|trigger| matches!(trigger.said, Said::Fault(_)));
        let faulted: BTreeSet<_> = faults.map(|trigger| trigger.decision.policy.name.clone()).collect();
        let before = std::mem::replace(&mut self.watching.faulted, faulted.clone());
        let new: Vec<_> = faulted.difference(&before).map(|name| format!("`{name}`")).collect();
        if new.is_empty() {
            return;
        }
        let text = format!(
            "trigger {} of `{}` faulted: it decides nothing until it is mended; `ripcord replay --all` shows why",
            new.join(", "),
            self.name
        );
        self.tell(Topic::PolicyFaulted, Severity::Critical, text);
    }

    /// Withdraws an unapproved plan, is shown to people on an approved one, is only recorded after the shift.
    fn stand_down(&mut self) {
        let Some(incident) = &mut self.incident else { return };
        // Triggers may say so at every tick.
        let told = std::mem::replace(&mut incident.reason_gone, true);
        match incident.phase {
            Phase::Preserving | Phase::Planning(_) | Phase::Authorising(_)
                if incident.requester.is_none() && !incident.is_past_pivot() =>
            {
                let text = format!("the reason is gone; {}", self.nothing_shifted());
                self.settle(Outcome::StoodDown, &text);
            }
            _ if !incident.is_past_pivot() && !told => {
                let text = format!(
                    "the reason for `{}` is gone, but it was approved or pulled by a person: `ripcord abort {}` stops it",
                    incident.id, incident.id
                );
                self.tell(Topic::StandDown, Severity::Warning, text);
            }
            _ => {}
        }
    }

    fn note_missing_data(&mut self, asked: &TriggersAsked) {
        let missing = asked.asked.iter().any(|trigger| trigger.decision.data == DataState::Missing);
        if missing {
            self.watching.no_data_since.get_or_insert(self.at);
        } else if !asked.asked.is_empty() {
            self.watching.no_data_since = None;
            self.watching.no_data_told = false;
        }
        self.tell_missing_data();
    }

    fn tell_missing_data(&mut self) {
        let Some(limit) = self.terms.as_ref().map(|terms| terms.deadlines.no_data) else { return };
        let Some(since) = self.watching.no_data_since else { return };
        if !self.watching.no_data_told && self.at >= since + limit {
            self.watching.no_data_told = true;
            let text = format!(
                "the triggers of `{}` have had missing data for {}: it is not protected until the data is back",
                self.name,
                self.at.since(since)
            );
            self.tell(Topic::NoData, Severity::Critical, text);
        }
    }

    pub(super) fn watching_woke(&mut self) {
        let at = self.at;
        let before = self.watching.watches.len();
        self.watching.watches.retain(|_, until| *until > at);
        let watched = self.watching.watches.len() < before;
        let scheduled = self.watching.scheduled_at.is_some_and(|planned| planned <= at);
        self.watching.due |= watched || scheduled;
        self.tell_missing_data();
    }

    /// Opens an incident.
    pub(super) fn open(
        &mut self,
        reason: Reason,
        by: Origin,
        requester: Option<PersonName>,
        wanted: Option<Target>,
        signals: Vec<SignalId>,
    ) {
        self.incidents += 1;
        self.probation = None;
        let id = IncidentId::numbered(&self.name, self.incidents);
        let signalled_at = self
            .watching
            .signals
            .iter()
            .filter(|signal| {
                signal.taken.status == SignalStatus::Firing && signals.contains(&signal.taken.signal)
            })
            .map(|signal| signal.taken.received_at)
            .min();
        let marks = Marks {
            harm_began_at: reason.harm_began_at,
            signalled_at,
            opened_at: self.at,
            ..Marks::default()
        };
        let text = format!("`{id}` opened by {by}: a rollback of `{}` is being prepared", self.name);
        self.incident = Some(Incident {
            id,
            reason,
            requested_by: vec![by],
            requesters: requester.iter().cloned().collect(),
            requester,
            wanted,
            next_wish: None,
            signals,
            evidence: Vec::new(),
            missing: Vec::new(),
            live: None,
            in_production: InProduction::Unsupported,
            promoted: Vec::new(),
            facts: None,
            plans: Vec::new(),
            votes: Vec::new(),
            votes_given: BTreeMap::new(),
            tried: Vec::new(),
            trials: Vec::new(),
            findings: BTreeMap::new(),
            fingerprint: None,
            proof: None,
            pulls: 0,
            reason_gone: false,
            questions: 0,
            extension: Millis(0),
            phase: Phase::Preserving,
            marks,
        });
        self.tell(Topic::IncidentOpened, Severity::Critical, text);
    }
}
