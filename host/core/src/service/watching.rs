//! Signals, trigger verdicts and what several of them add up to.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::alerts::Alerts;
use super::latch::Latch;
use super::{Illegal, Incident, Ladder, Marks, Opener, Phase, Service, Spent};
use crate::alert::AlertKey;
use crate::effect::Topic;
use crate::event::{
    DataState, InProduction, Reason, Said, SignalsSetAside, SignalsTaken, TriggerAsked, TriggerWord,
    TriggersAsked,
};
use crate::fact::Outcome;
use crate::name::{IncidentId, PolicyName};
use crate::plan::Leaving;
use crate::policy::Role;
use crate::role::Urgency;
use crate::signal::{Severity, SignalStatus};
use crate::target::Target;
use crate::terms::Terms;
use crate::time::{Millis, UnixMillis};
use crate::votes::Votes;

/// Before a trigger that faulted is asked again; twice as long after each further fault in a row.
const FAULT_AGAIN: Millis = Millis::seconds(30);
/// The longest pause between two questions to a trigger that faults.
const FAULT_AGAIN_MAX: Millis = Millis::minutes(5);
/// Before people are told again of alerts that are set aside.
const TOLD_AGAIN: Millis = Millis::hours(24);
/// So often in a row a trigger may want to be asked sooner than it is, before people are told.
const HASTY_MAX: u32 = 10;

/// Signals and triggers of a service.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Watching {
    /// Those that are judged, watched or belong to the open incident.
    pub alerts: Alerts,
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
    /// When a trigger could not judge for want of data last: it need not be every time to leave the service unprotected.
    #[serde(default)]
    pub could_not_judge_at: Option<UnixMillis>,
    /// Which, and how they lack it.
    pub no_data_of: BTreeMap<PolicyName, DataState>,
    /// Triggers that faulted when they were last asked, and how often in a row: people were told.
    pub faulted: BTreeMap<PolicyName, u32>,
    /// When people were told of alerts that a trigger faults on.
    pub set_aside_told: BTreeMap<PolicyName, UnixMillis>,
    /// When people were told of alerts that are too large.
    pub too_large_told: Option<UnixMillis>,
    /// When people were told of alerts about missing data or a broken rule.
    pub blind_told: Option<UnixMillis>,
    /// How often in a row each trigger wanted to be asked again sooner than it is.
    pub hasty: BTreeMap<PolicyName, u32>,
    /// Triggers whose last verdict was to roll back, and how urgent it was.
    pub raised: BTreeMap<PolicyName, Urgency>,
    /// Triggers that open no incident, since the last one ended without a rollback.
    pub latches: BTreeMap<PolicyName, Latch>,
}

impl Watching {
    pub(super) fn reschedule(&mut self, at: UnixMillis, every: Option<Millis>) {
        self.scheduled_at = match (every, self.scheduled_at) {
            (None, _) => None,
            (Some(every), Some(planned)) => Some(planned.min(at + every)),
            (Some(every), None) => Some(at + every),
        };
    }

    /// Alerts that were judged go with the incident. Those that fire stay while a latch stands: without them its trigger would find no reason
    /// any more, and the same alert would open the next incident. Those that say that nobody can look stay while they fire, so that people see them.
    pub(super) fn forget_judged(&mut self) {
        let latched = !self.latches.is_empty();
        self.alerts.forget_judged(|alert| {
            alert.is_blind() || (latched && alert.word.status == SignalStatus::Firing)
        });
    }

    /// Nobody has answered the reason of what fires: it is asked about again.
    pub(super) fn ask_again(&mut self) {
        self.alerts.forget_judged(|alert| alert.is_blind() || alert.word.status == SignalStatus::Firing);
        self.due |= self.alerts.firing_since().is_some();
    }

    /// Whether a trigger could not judge for want of data when it was last asked.
    pub fn cannot_judge(&self) -> bool {
        self.no_data_of.values().any(|data| *data == DataState::Missing)
    }

    /// Whether triggers must be asked now.
    pub fn is_due(&self) -> bool {
        self.due || self.alerts.waiting() > 0
    }

    /// Other policies may judge otherwise: what the ones before them faulted on is asked about again.
    pub(super) fn policies_changed(&mut self, changed: impl Fn(&PolicyName) -> bool) {
        self.alerts.take_back(&changed);
        self.due |= self.faulted.keys().any(&changed);
        self.faulted.retain(|name, _| !changed(name));
        self.set_aside_told.retain(|name, _| !changed(name));
        self.hasty.retain(|name, _| !changed(name));
        self.raised.retain(|name, _| !changed(name));
        self.latches.retain(|name, _| !changed(name));
    }
}

/// The pause after so many faults in a row.
fn pause_after(faults: u32) -> Millis {
    Millis(FAULT_AGAIN.0 << faults.saturating_sub(1).min(16)).min(FAULT_AGAIN_MAX)
}

/// Whether `name` is asked as it was before.
pub(super) fn is_same_trigger(before: &Terms, now: &Terms, name: &PolicyName) -> bool {
    let used = |terms: &Terms| terms.policies(Role::Trigger).find(|used| used.policy.name == *name).cloned();
    before.mode == now.mode && used(before) == used(now)
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
    pub(super) fn signals_taken(&mut self, taken: &SignalsTaken) {
        if let Some(incident) = &mut self.incident {
            incident.signals = incident.signals.saturating_add(u64::from(taken.signals));
        }
        for word in &taken.alerts {
            self.look_because_of(&word.severity, word.status);
        }
        let blind_before = self.watching.alerts.blind();
        let too_large = self.watching.alerts.take(taken, self.at);
        self.tell_blind(blind_before);
        if !too_large.is_empty() {
            self.tell_too_large(too_large.len());
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
        let at = self.at;
        // What was said while another incident was open, or none, is no word about this one.
        if asked.incident.as_ref() != self.incident.as_ref().map(|incident| &incident.id) {
            return Err(Illegal::Stale);
        }
        self.watching.alerts.asked(asked.up_to);
        self.watching.alerts.forget_old(at);
        self.watching.due = false;
        if let (Some(every), Some(planned)) =
            (self.terms.as_ref().and_then(|terms| terms.schedule), self.watching.scheduled_at)
            && planned <= at
        {
            self.watching.scheduled_at = Some(at + every);
        }
        for trigger in &asked.asked {
            self.take_word(trigger, asked.seen);
        }
        self.note_missing_data(asked);
        self.judge(asked);
        Ok(())
    }

    /// What one trigger remembers, when it wants to be asked again, and what it faults on.
    fn take_word(&mut self, trigger: &TriggerAsked, seen: u64) {
        let (at, floor) = (self.at, self.watch_floor());
        let name = trigger.decision.policy.name.clone();
        match (&trigger.said, &trigger.memo) {
            (Said::Fault(_), _) => {}
            (_, Some(memo)) => drop(self.memos.insert((Role::Trigger, name.clone()), memo.clone())),
            (_, None) => drop(self.memos.remove(&(Role::Trigger, name.clone()))),
        }
        let faults = self.note_fault(&name, &trigger.said);
        if !trigger.set_aside.is_empty() {
            self.watching.alerts.set_aside(&name, &trigger.set_aside, seen);
            self.tell_set_aside(&name, &trigger.set_aside);
        }
        self.watching.due |= trigger.left > 0;
        let (again, hasty) = match trigger.said {
            Said::Verdict(TriggerWord::Watch(until)) => (Some(until.max(at + floor)), until < at + floor),
            // Whatever its nature: the same question would end the same, but the next one has other facts, another time and perhaps room for a call.
            Said::Fault(_) => (Some(at + pause_after(faults)), false),
            Said::Verdict(_) => (None, false),
        };
        match again {
            Some(again) => drop(self.watching.watches.insert(name.clone(), again)),
            None => drop(self.watching.watches.remove(&name)),
        }
        self.note_haste(&name, hasty);
    }

    /// How often in a row it has faulted.
    fn note_fault(&mut self, name: &PolicyName, said: &Said<TriggerWord>) -> u32 {
        let Said::Fault(_) = said else {
            self.watching.faulted.remove(name);
            return 0;
        };
        let times = self.watching.faulted.entry(name.clone()).or_default();
        *times = times.saturating_add(1);
        *times
    }

    /// Never none: what is asked without a pause keeps a host busy for ever.
    pub(super) fn watch_floor(&self) -> Millis {
        self.deadlines().watch_floor.max(Millis(100))
    }

    /// Tells people of a trigger that would be asked all the time if it could: once, until it asks for less.
    fn note_haste(&mut self, name: &PolicyName, hasty: bool) {
        if !hasty {
            self.watching.hasty.remove(name);
            return;
        }
        let times = self.watching.hasty.entry(name.clone()).or_default();
        *times = times.saturating_add(1);
        if *times == HASTY_MAX {
            let text = format!(
                "trigger `{name}` of `{}` asks to be asked again sooner than every {}, {HASTY_MAX} times in a row: it is asked no sooner; let it ask for less, or set `watch-floor-seconds`",
                self.name,
                self.watch_floor()
            );
            self.tell(Topic::AsksTooOften, Severity::Warning, text);
        }
    }

    fn tell_set_aside(&mut self, name: &PolicyName, alerts: &[AlertKey]) {
        let told = self.watching.set_aside_told.get(name);
        if told.is_some_and(|told| self.at < *told + TOLD_AGAIN) {
            return;
        }
        self.watching.set_aside_told.insert(name.clone(), self.at);
        let which = match alerts.len() {
            1 => "an alert, which is set aside for it: it judges the others".to_owned(),
            number => format!("{number} alerts, which are set aside for it: it judges the others"),
        };
        let text = format!(
            "trigger `{name}` of `{}` faults on {which}; `ripcord signals set-aside` lists them (one whose content is gone is set aside too), `ripcord replay --all` shows the faults",
            self.name
        );
        self.tell(Topic::AlertSetAside, Severity::Critical, text);
    }

    /// No trigger judges the service by them, so people must know: when the first of them begins to fire, and daily while more come.
    fn tell_blind(&mut self, before: usize) {
        let now = self.watching.alerts.blind();
        let told_within =
            |so_long: Millis| self.watching.blind_told.is_some_and(|told| self.at < told + so_long);
        // More of the same are no news for a day; the first after all have ended is, but what flaps is told once an hour.
        if now <= before || told_within(if before > 0 { TOLD_AGAIN } else { Millis::hours(1) }) {
            return;
        }
        self.watching.blind_told = Some(self.at);
        let which = match now {
            1 => "an alert".to_owned(),
            number => format!("{number} alerts"),
        };
        let text = format!(
            "{which} of `{}` say that data are missing or that a rule cannot be evaluated: that is no harm, and nothing is rolled back for it, but what the rule looks after is not watched; mend its data or its rule (or, if it does tell of harm, give its rule the label `ripcord_kind = \"condition\"`)",
            self.name
        );
        self.tell(Topic::AlertWithoutData, Severity::Warning, text);
    }

    fn tell_too_large(&mut self, number: usize) {
        if self.watching.too_large_told.is_some_and(|told| self.at < told + TOLD_AGAIN) {
            return;
        }
        self.watching.too_large_told = Some(self.at);
        let which = if number == 1 { "an alert".to_owned() } else { format!("{number} alerts") };
        let text = format!(
            "{which} of `{}` cannot be given to its policies: rule and labels are larger than {} bytes; the triggers are asked without, `ripcord signals set-aside` lists them",
            self.name,
            crate::alert::ALERT_BYTES_MAX
        );
        self.tell(Topic::AlertSetAside, Severity::Critical, text);
    }

    /// Roll back > fault > watch > stand down > ignore; among those that roll back the most urgent, then the first.
    /// A latched one opens nothing, and its alerts are kept.
    fn together(asked: &TriggersAsked, latched: &BTreeSet<PolicyName>) -> Together {
        let mut best: Option<(&Reason, &PolicyName)> = None;
        let (mut fault, mut watch, mut stand_down) = (false, false, false);
        for trigger in &asked.asked {
            match &trigger.said {
                Said::Verdict(TriggerWord::RollBack(_))
                    if latched.contains(&trigger.decision.policy.name) =>
                {
                    watch = true;
                }
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
        let latched = self.judge_latches(asked);
        let together = Self::together(asked, &latched);
        if let (Together::RollBack(..) | Together::Watch, Some(incident)) = (&together, &mut self.incident) {
            incident.reason_gone = false;
        }
        match (together, &self.incident) {
            (Together::RollBack(reason, name), None) => {
                self.open(reason, Opener::Trigger(name), None);
            }
            (Together::StandDown, Some(_)) => self.stand_down(),
            (Together::Ignore | Together::StandDown, None) => self.watching.forget_judged(),
            (Together::Fault | Together::Watch, None) | (_, Some(_)) => {}
        }
    }

    /// Tells people of triggers that have begun to fault: once, until they have answered again.
    fn tell_faults(&mut self, asked: &TriggersAsked) {
        let names = asked.asked.iter().map(|trigger| &trigger.decision.policy.name);
        let new: Vec<_> = names
            .filter(|name| self.watching.faulted.get(*name) == Some(&1))
            .map(|name| format!("`{name}`"))
            .collect();
        if new.is_empty() {
            return;
        }
        let text = format!(
            "trigger {} of `{}` faulted: it decides nothing until it answers again, and is asked again every {FAULT_AGAIN_MAX} at least; `ripcord replay --all` shows why",
            new.join(", "),
            self.name
        );
        self.tell(Topic::PolicyFaulted, Severity::Critical, text);
    }

    /// Withdraws an unapproved plan, is shown to people on an approved one, is only recorded after the shift. What no trigger opened, none can withdraw:
    /// a held version that is live again, or one that failed its probation, is a reason of its own.
    fn stand_down(&mut self) {
        let Some(incident) = &mut self.incident else { return };
        if let Opener::Produced(_) = incident.opened_by
            && incident.requester.is_none()
        {
            self.made_stands_down();
            return;
        }
        if let Opener::BrokenHold(_) | Opener::FailedProbation(_) = incident.opened_by
            && incident.requester.is_none()
        {
            return;
        }
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
        if asked.asked.is_empty() {
            return;
        }
        let at = self.at;
        let lately = self.deadlines().no_data;
        let watching = &mut self.watching;
        let could_not_judge = watching.could_not_judge_at.is_some_and(|seen| seen + lately >= at);
        watching.no_data_of = asked
            .asked
            .iter()
            .map(|trigger| (trigger.decision.policy.name.clone(), trigger.decision.data))
            .filter(|(_, data)| *data != DataState::Complete)
            .collect();
        let worse = watching.cannot_judge() && !could_not_judge;
        if watching.cannot_judge() {
            watching.could_not_judge_at = Some(at);
        }
        if watching.no_data_of.is_empty() || worse {
            (watching.no_data_since, watching.no_data_told) = (None, false);
        }
        if !watching.no_data_of.is_empty() {
            watching.no_data_since.get_or_insert(at);
        }
        self.tell_missing_data();
    }

    fn tell_missing_data(&mut self) {
        let Some(limit) = self.terms.as_ref().map(|terms| terms.deadlines.no_data) else { return };
        let Some(since) = self.watching.no_data_since else { return };
        if self.watching.no_data_told || self.at < since + limit {
            return;
        }
        self.watching.no_data_told = true;
        let (name, so_long) = (&self.name, self.at.since(since));
        let could_not_judge = self.watching.could_not_judge_at.is_some_and(|seen| seen + limit >= self.at);
        let (severity, text) = if could_not_judge {
            let text = format!(
                "the triggers of `{name}` have had missing data for {so_long}: it is not protected until the data is back"
            );
            (Severity::Critical, text)
        } else {
            let text = format!(
                "queries of `{name}`'s triggers have selected nothing for {so_long}, and the triggers take that for a value (`absent = \"zero\"`): well if what they count has not happened yet, and no protection if a name is misspelt; `ripcord check` says which"
            );
            (Severity::Warning, text)
        };
        self.tell(Topic::NoData, severity, text);
    }

    pub(super) fn watching_woke(&mut self) {
        let at = self.at;
        let before = self.watching.watches.len();
        self.watching.watches.retain(|_, until| *until > at);
        let watched = self.watching.watches.len() < before;
        let scheduled = self.watching.scheduled_at.is_some_and(|planned| planned <= at);
        let unlatched = self.latches_woke();
        self.watching.due |= watched || scheduled || unlatched;
        self.tell_missing_data();
    }

    /// Opens an incident.
    pub(super) fn open(&mut self, reason: Reason, by: Opener, wanted: Option<Target>) {
        self.incidents += 1;
        self.probation = None;
        let id = IncidentId::numbered(&self.name, self.incidents);
        let signalled_at = self.watching.alerts.firing_since();
        let signals = self.watching.alerts.signals();
        let marks = Marks {
            harm_began_at: reason.harm_began_at,
            signalled_at,
            opened_at: self.at,
            ..Marks::default()
        };
        let requester = match &by {
            Opener::Person(name) => Some(name.clone()),
            _ => None,
        };
        let what = match (&by, &wanted) {
            (Opener::Set(_), _) => format!("the move of `{}` with its set", self.name),
            (Opener::Produced(_), Some(made)) => format!("putting {made} of `{}` in place", self.name),
            _ => format!("a rollback of `{}`", self.name),
        };
        let beside = self.producing.run.as_ref().map_or_else(String::new, |run| {
            format!(
                "; the run that `{}` ordered ({}) goes on beside it",
                run.ordered.incident, run.ordered.target
            )
        });
        let text = format!("`{id}` opened by {}: {what} is being prepared{beside}", by.origin());
        self.incident = Some(Incident {
            id,
            reason,
            requested_by: vec![by.origin()],
            opened_by: by,
            requesters: requester.iter().cloned().collect(),
            requester,
            wanted,
            leaving: Leaving::Condemn,
            hurried: false,
            next_wish: None,
            signals,
            evidence: Vec::new(),
            missing: Vec::new(),
            no_help: None,
            live: None,
            facets: Vec::new(),
            in_production: InProduction::Unsupported,
            promoted: Vec::new(),
            facts: None,
            plans: Vec::new(),
            votes: Votes::default(),
            ladder: Ladder::default(),
            pulls: 0,
            reason_gone: false,
            questions: 0,
            extension: Millis(0),
            phase: Phase::Preserving,
            marks,
            spent: Spent::default(),
        });
        // A set tells of its run by itself.
        let severity = match self.incident.as_ref().map(|opened| &opened.opened_by) {
            Some(Opener::Set(_)) => Severity::Info,
            _ => Severity::Critical,
        };
        self.tell(Topic::IncidentOpened, severity, text);
    }
}
