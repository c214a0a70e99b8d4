//! A reason that people or rules have answered is not acted on again without news; and with news it is.

use std::collections::BTreeMap;

use ripcord_core::event::{Event, Said, TriggerWord, TriggersAsked};
use ripcord_core::facet::Facet;
use ripcord_core::fact::Outcome;
use ripcord_core::name::{IncidentId, PolicyName, VersionName};
use ripcord_core::policy::Role;
use ripcord_core::role::Urgency;
use ripcord_core::service::{Opener, RunEnd, Service, StopReason};
use ripcord_core::terms::{PolicyUse, Terms};
use ripcord_core::time::{Millis, UnixMillis};

use super::{Step, endings};

/// A reason that was answered.
#[derive(Debug)]
struct Answered {
    since: UnixMillis,
    urgency: Urgency,
    /// What was live then, or when it was first known.
    live: Option<Live>,
    /// By which incident.
    incident: IncidentId,
}

/// Versions that are served, and what is in force of the other facets.
type Live = (Vec<VersionName>, BTreeMap<Facet, VersionName>);

fn live(service: &Service) -> Option<Live> {
    let seen = &service.production;
    let facets = seen.facets.iter().map(|(facet, known)| (facet.clone(), known.revision.clone()));
    Some((seen.live.clone()?, facets.collect()))
}

#[derive(Debug, Default)]
pub(crate) struct Book {
    /// Triggers whose last verdict was a reason.
    raised: BTreeMap<PolicyName, Urgency>,
    answered: BTreeMap<PolicyName, Answered>,
    /// How often a reason was none, since it had been answered.
    pub(crate) held_back: u64,
    /// How often a reason that had been answered was one again.
    pub(crate) unlatched: u64,
}

fn reopen_after(terms: Option<&Terms>) -> Millis {
    terms.map_or(Millis(0), |terms| terms.deadlines.reopen_after)
}

impl Book {
    pub(crate) fn step(&mut self, step: &mut Step<'_>) {
        match step.event {
            Event::ClockJumped { by } => {
                self.answered.values_mut().for_each(|one| one.since = one.since + *by);
            }
            Event::LatchLifted(lifted) => drop(self.answered.remove(&lifted.trigger)),
            Event::Configured(_) => self.configured(step.before.terms.as_ref(), step.after.terms.as_ref()),
            Event::TriggersAsked(asked) => self.asked(step, asked),
            _ => {}
        }
        if let Some(outcome) = endings::outcome_of(step.before, step.after) {
            self.ended(step, &outcome);
        }
        self.run_ended(step);
        for one in self.answered.values_mut().filter(|one| one.live.is_none()) {
            one.live = live(step.after);
        }
    }

    /// Another mode, another policy or other settings may judge otherwise.
    fn configured(&mut self, before: Option<&Terms>, after: Option<&Terms>) {
        let used = |terms: Option<&Terms>, name: &PolicyName| -> Option<(_, PolicyUse)> {
            let terms = terms?;
            let of_that_name = terms.policies(Role::Trigger).find(|used| used.policy.name == *name)?;
            Some((terms.mode, of_that_name.clone()))
        };
        let same = |name: &PolicyName| used(before, name) == used(after, name);
        self.raised.retain(|name, _| same(name));
        self.answered.retain(|name, _| same(name));
    }

    fn asked(&mut self, step: &mut Step<'_>, asked: &TriggersAsked) {
        let (mut held_back, mut counts) = (0, 0);
        for one in &asked.asked {
            let name = &one.decision.policy.name;
            match &one.said {
                Said::Fault(_) | Said::Verdict(TriggerWord::Watch(_)) => {}
                Said::Verdict(TriggerWord::Ignore | TriggerWord::StandDown(_)) => {
                    self.raised.remove(name);
                    self.answered.remove(name);
                }
                Said::Verdict(TriggerWord::RollBack(reason)) => {
                    self.raised.insert(name.clone(), reason.urgency.clone());
                    let answered = self.answered.remove(name);
                    match answered.filter(|answered| is_old(step, answered, &reason.urgency)) {
                        Some(answered) => {
                            self.answered.insert(name.clone(), answered);
                            held_back += 1;
                        }
                        None => counts += 1,
                    }
                }
            }
        }
        if step.before.incident.is_some() {
            return;
        }
        let opened = step.after.incidents > step.before.incidents;
        self.held_back += held_back;
        self.unlatched +=
            u64::from(opened && step.before.watching.latches.len() > step.after.watching.latches.len());
        let made = |open: &ripcord_core::service::Incident| matches!(open.opened_by, Opener::Produced(_));
        if opened && counts == 0 && !step.after.incident.as_ref().is_some_and(made) {
            step.broke(
                "a-reason-is-acted-on-once",
                "a reason that was answered opened an incident without any news",
            );
        }
        if !opened && counts > 0 {
            step.broke(
                "a-reason-is-acted-on",
                "a trigger has a reason that nobody has answered, and no incident was opened",
            );
        }
    }

    /// What was ordered made nothing: the reason it was ordered for has no answer any more, unless a person has ended it.
    fn run_ended(&mut self, step: &Step<'_>) {
        if step.before.producing.run.is_none() || step.after.producing.run.is_some() {
            return;
        }
        let Some(past) = step.after.producing.past.last() else { return };
        if !matches!(past.end, RunEnd::Made { .. } | RunEnd::Stopped(StopReason::Person(_))) {
            self.answered.retain(|_, answered| answered.incident != past.ordered.incident);
        }
    }

    /// Whoever ended it without a rollback has answered the reasons that there were.
    fn ended(&mut self, step: &Step<'_>, outcome: &Outcome) {
        match outcome {
            Outcome::RolledBack | Outcome::FellBack | Outcome::RestoredElsewhere | Outcome::StoodDown => {
                self.raised.clear();
            }
            Outcome::Open | Outcome::Other(_) => {}
            _ if reopen_after(step.after.terms.as_ref()) == Millis(0) => {}
            _ => {
                for (name, urgency) in std::mem::take(&mut self.raised) {
                    let live = live(step.after);
                    let Some(incident) = step.after.last_settled.as_ref().map(|settled| settled.id.clone())
                    else {
                        continue;
                    };
                    self.answered.insert(name, Answered { since: step.at, urgency, live, incident });
                }
            }
        }
    }
}

/// Whether there is no news since the reason was answered.
fn is_old(step: &Step<'_>, answered: &Answered, urgency: &Urgency) -> bool {
    let other_live = match (&answered.live, live(step.before)) {
        (Some((versions, facets)), Some((versions_now, facets_now))) => {
            // What was read of only one of them says nothing.
            let moved =
                |(facet, now): (&Facet, &VersionName)| facets.get(facet).is_some_and(|then| then != now);
            *versions != versions_now || facets_now.iter().any(moved)
        }
        _ => false,
    };
    let ends = answered.since + reopen_after(step.before.terms.as_ref());
    !other_live && *urgency <= answered.urgency && step.at < ends
}
