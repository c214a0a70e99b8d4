//! Pulls, evidence and plans.

use super::{
    Acting, Illegal, Incident, NeedKind, NoHelpSaid, Opener, Phase, Run, RunEnd, RunState, Service,
    StepState, Waiting, Wish,
};
use crate::effect::Topic;
use crate::event::{
    EvidencePreserved, FaultNature, PendingPlan, PlanDrafted, PlanLost, PlanWord, Planned, PullRequested,
    Reason,
};
use crate::facet::Facet;
use crate::fact::Outcome;
use crate::plan::{Leaving, RUNGS_MAX};
use crate::signal::{Origin, Severity};
use crate::target::{Strategy, Target};
use crate::terms::{EvidenceRule, Mode};
use crate::time::Millis;
use crate::wave::{self, Wave};

/// Pulls that join one incident: each may make a plan, and all of them are kept.
const PULLS_MAX: u32 = 50;

impl Service {
    /// A person's wish opens an incident, or joins the open one: before the pivot it supersedes the plan, at the shift it waits for read-back.
    pub(super) fn pull_requested(&mut self, pull: &PullRequested) -> Result<(), Illegal> {
        self.may_pull(pull)?;
        if pull.break_glass {
            self.must_break_glass(&pull.person)?;
        }
        let strategy = pull.target.as_ref().map_or(Strategy::Version, |target| target.strategy());
        let reason = Reason {
            cause: pull.reason,
            strategy,
            urgency: pull.urgency.clone(),
            harm_began_at: None,
            facts: None,
        };
        let (person, target, leaving) = (pull.person.clone(), pull.target.clone(), pull.leaving);
        let wish = Wish { person, target, leaving, reason };
        let at = self.at;
        let Some(incident) = &mut self.incident else {
            self.open(wish.reason, Opener::Person(wish.person), wish.target);
            self.incident.iter_mut().for_each(|opened| {
                (opened.leaving, opened.hurried) = (wish.leaving, pull.break_glass);
            });
            return Ok(());
        };
        incident.hurried |= pull.break_glass;
        incident.pulls += 1;
        let read_back = matches!(&incident.phase, Phase::Acting(Acting { step, .. }) if step.is_read_back());
        if incident.is_past_pivot() && !incident.waits_for_people() && !read_back {
            incident.next_wish = Some(wish);
            return Ok(());
        }
        let preserving = matches!(incident.phase, Phase::Preserving);
        incident.take_wish(wish);
        if !preserving {
            incident.phase = Phase::Planning(Waiting::from(at));
        }
        Ok(())
    }

    /// Whether the pull is about what is open now, and wants something that is not under way already.
    fn may_pull(&self, pull: &PullRequested) -> Result<(), Illegal> {
        match &pull.incident {
            Some(joined) => self.is_open(joined)?,
            None if self.incident.is_some() => return Err(self.not_open(None)),
            None => {}
        }
        let Some(incident) = &self.incident else { return Ok(()) };
        if let Some(held) = self.held_by_set() {
            return Err(held);
        }
        let comes_next = incident.next_wish.as_ref().is_some_and(|wish| {
            wish.person == pull.person
                && wish.target == pull.target
                && wish.leaving == pull.leaving
                && wish.reason.urgency == pull.urgency
        });
        let same = incident.requester.as_ref() == Some(&pull.person)
            && incident.wanted == pull.target
            && incident.leaving == pull.leaving
            && incident.reason.urgency == pull.urgency;
        let under_way = match incident.phase {
            Phase::Preserving | Phase::Planning(_) => true,
            Phase::Authorising(_) => {
                pull.pending == PendingPlan::Keep || pull.target.is_some() && !incident.is_past_pivot()
            }
            _ => false,
        };
        let hurries = pull.break_glass && !incident.hurried && incident.phase == Phase::Preserving;
        if comes_next || same && under_way && !hurries {
            return Err(Illegal::Unchanged(format!(
                "`{}` has asked `{}` for this already",
                pull.person, incident.id
            )));
        }
        if pull.leaving == Leaving::Keep && !matches!(incident.opened_by, Opener::Person(_)) {
            return Err(Illegal::DoesHarm(incident.id.clone()));
        }
        if let (PendingPlan::Keep, Some(pending)) = (pull.pending, self.plan_pending(incident)) {
            return Err(pending);
        }
        if incident.pulls >= PULLS_MAX {
            return Err(Illegal::TooOften(
                format!("`{}` was pulled {PULLS_MAX} times besides", incident.id),
                "dismiss it when it waits for people, and pull again: that opens a new incident",
            ));
        }
        Ok(())
    }

    /// The plan that waits for people, or is about to be carried out: votes may have been given for it.
    fn plan_pending(&self, incident: &Incident) -> Option<Illegal> {
        let state = match &incident.phase {
            Phase::Authorising(authorising) => {
                let wanted = self.wanted(authorising);
                let wanted = wanted.iter().map(|quorum| format!("{} of `{}`", quorum.people, quorum.role));
                let wanted = wanted.collect::<Vec<_>>().join(" and ");
                let agreed =
                    incident.votes.iter().filter(|vote| vote.granted).map(|vote| vote.person.to_string());
                let agreed = agreed.collect::<Vec<_>>().join(" and ");
                let agreed = if agreed.is_empty() {
                    "nobody has agreed".to_owned()
                } else {
                    format!("{agreed} agreed")
                };
                format!("which waits for {wanted} ({agreed}; `ripcord approve {}` agrees to it)", incident.id)
            }
            Phase::Acting(_) if !incident.is_past_pivot() => {
                "which is agreed to and about to be carried out".to_owned()
            }
            _ => return None,
        };
        let to = incident.plan()?.targets.first()?.to_string();
        Some(Illegal::PlanPending { incident: incident.id.clone(), to, state })
    }

    pub(super) fn evidence_preserved(&mut self, preserved: &EvidencePreserved) -> Result<(), Illegal> {
        let required = self.terms.as_ref().is_some_and(|terms| terms.evidence == EvidenceRule::Required);
        let at = self.at;
        let incident = self.incident.as_mut().ok_or(Illegal::Stale)?;
        if incident.phase != Phase::Preserving || incident.id != preserved.incident {
            return Err(Illegal::Stale);
        }
        let hurried = incident.hurried;
        incident.evidence = preserved.items.clone();
        incident.missing = preserved.missing.clone();
        incident.live = Some(preserved.live.clone());
        incident.facets.clone_from(&preserved.facets);
        incident.in_production = preserved.in_production.clone();
        incident.facts = preserved.facts;
        incident.marks.preserved_at = Some(at);
        incident.phase = match incident.opened_by {
            Opener::Set(_) => Phase::Enlisted,
            _ => Phase::Planning(Waiting::from(at)),
        };
        self.spare_what_came_since();
        self.see(&preserved.live, &preserved.facets, &preserved.in_production);
        if required && !preserved.missing.is_empty() && hurried {
            let text = format!(
                "`{0}` goes on without evidence that is required, since somebody broke the glass: `ripcord incidents show {0}` says who and what is missing",
                preserved.incident
            );
            self.tell(Topic::BrokeGlass, Severity::Critical, text);
        } else if required && !preserved.missing.is_empty() {
            let (id, name) = (&preserved.incident, &self.name);
            let names: Vec<_> = preserved.missing.iter().map(|gap| format!("`{}`", gap.name)).collect();
            let text = format!(
                "evidence is required and {} could not be preserved: `ripcord pull {name}` goes on without it, `ripcord dismiss {id}` ends it",
                names.join(", ")
            );
            self.need_person(NeedKind::WhatNow, text);
        }
        Ok(())
    }

    pub(super) fn planned(&mut self, planned: &Planned) -> Result<(), Illegal> {
        let (at, limit) = (self.at, self.deadlines().planning);
        let incident = self.incident.as_mut().ok_or(Illegal::Stale)?;
        let Phase::Planning(waiting) = incident.phase else { return Err(Illegal::Stale) };
        let about = (&planned.incident, planned.number, &planned.wanted, &planned.requested_by);
        let asked = (&incident.id, incident.plan_number() + 1, &incident.wanted, &incident.requested_by);
        if about != asked {
            return Err(Illegal::Stale);
        }
        let (id, name) = (incident.id.clone(), self.name.clone());
        match &planned.word {
            PlanWord::Drafted(plan) => self.drafted(plan)?,
            PlanWord::NothingSuitable(_) => self.need_person(
                NeedKind::WhatNow,
                format!("there is nothing to go back to: `ripcord targets {name}` says why of each; `ripcord pull {name} --to VERSION` names one, `ripcord adopt {name} VERSION --reason TEXT` vouches for one and then `ripcord pull {name}` goes back to it, {}`ripcord dismiss {id}` ends it", self.pulls_beside()),
            ),
            PlanWord::WillNotHelp { reason, hand_over_to } => {
                incident.no_help = Some(NoHelpSaid { reason: *reason, hand_over_to: *hand_over_to });
                let offered = self.safe_mode_offered().map(|enters| {
                    format!("; meanwhile `{enters}` enters a safe mode, which keeps the harm away")
                });
                let text = format!(
                    "the planner says that a rollback would not help: `ripcord incidents show {id}` says why and who can help{}",
                    offered.unwrap_or_default()
                );
                self.settle(Outcome::NotHelped, &text);
            }
            PlanWord::Failed { nature: FaultNature::Environmental, .. } if at < waiting.since + limit => {
                incident.phase = Phase::Planning(waiting.later(at));
            }
            PlanWord::Failed { .. } => self.need_person(
                NeedKind::WhatNow,
                format!("no plan could be made: `ripcord incidents show {id}` says why; `ripcord pull {name} --to VERSION` names a version"),
            ),
        }
        Ok(())
    }

    /// The command that enters a safe mode, where one is configured and none answers: it takes nothing of the cause away, and keeps the harm away meanwhile.
    pub fn safe_mode_offered(&self) -> Option<String> {
        let is_configured = self.other_facets().any(|facet| *facet == Facet::Fallback);
        (is_configured && !self.production.falls_back())
            .then(|| format!("ripcord pull {} --fallback MODE --reason TEXT", self.name))
    }

    /// The commands that put back what is in force beside the model, where that is configured: no planner looks there by itself.
    fn pulls_beside(&self) -> String {
        let name = &self.name;
        let each = self.other_facets().map(|facet| match facet {
            Facet::Configuration(of) => {
                format!("`ripcord pull {name} --configuration {of}=REVISION` puts that back, ")
            }
            Facet::Fallback => format!("`ripcord pull {name} --fallback MODE` enters a safe mode, "),
            Facet::Model => String::new(),
        });
        let run = self.terms.as_ref().and_then(|terms| terms.producer.as_ref()).into_iter();
        let made = run.flat_map(|producer| &producer.makes).map(|strategy| match strategy {
            Strategy::Checkpoint => format!("`ripcord pull {name} --checkpoint RUN@STEP` makes a version of a checkpoint, "),
            Strategy::Retrain => format!("`ripcord pull {name} --retrain DATASET@REVISION --exclude source=NAME` trains again without some of the data, "),
            _ => String::new(),
        });
        each.chain(made).collect()
    }

    fn drafted(&mut self, plan: &PlanDrafted) -> Result<(), Illegal> {
        let mode = self.terms.as_ref().map_or(Mode::Observe, |terms| terms.mode);
        let at = self.at;
        let terms = self.terms.as_ref();
        let makes = |target: &Target| terms.is_some_and(|terms| terms.producer_of(target).is_some());
        let (condemnations, data_left) = (self.condemnations, self.data_left_by(&plan.targets));
        let incident = self.incident.as_mut().ok_or(Illegal::Stale)?;
        let targets = 1..=RUNGS_MAX;
        // A plan moves one facet: what a failed target of another one leaves would be a state that nobody has agreed to. One that makes a version makes
        // one: what comes after that run depends on what became of it.
        let facet = plan.targets.first().and_then(Target::facet);
        let moves_one = facet.is_some() && plan.targets.iter().all(|target| target.facet() == facet);
        let makes_one = matches!(plan.targets.as_slice(), [only] if makes(only));
        if !moves_one && !makes_one {
            return Err(Illegal::Stale);
        }
        // The last wave is everything that is left, and the only one of its kind; what is beside the model has no places.
        let in_waves = match plan.waves.split_last() {
            None => true,
            Some((last, before)) => {
                facet == Some(Facet::Model)
                    && *last == Wave::REST
                    && !before.is_empty()
                    && wave::problem(before).is_none()
            }
        };
        if plan.number != incident.plan_number() + 1
            || !in_waves
            || plan.leaving != incident.leaving
            || !targets.contains(&plan.targets.len())
        {
            return Err(Illegal::Stale);
        }
        // What it names may descend from what was condemned meanwhile.
        if plan.condemnations_known != condemnations || plan.condemns_data != data_left {
            return Err(Illegal::Stale);
        }
        incident.plans.push(plan.clone());
        incident.votes.clear();
        incident.extension = Millis(0);
        incident.marks.planned_at = Some(at);
        let text = format!(
            "plan {} of `{}`: {}, digest {}",
            plan.number,
            incident.id,
            plan.targets[0],
            plan.digest.short()
        );
        if mode == Mode::Observe {
            self.tell(
                Topic::PlanReady,
                Severity::Info,
                format!("{text}; mode is observe, so nothing is shifted"),
            );
            self.settle(Outcome::Observed, "the plan was made; mode is observe, so nothing was shifted");
            return Ok(());
        }
        let people_because = self.made_for_people();
        self.authorise(people_because, None, None);
        Ok(())
    }

    /// A plan that cannot be read as it was made is neither approved nor carried out nor verified: a person decides.
    pub(super) fn plan_lost(&mut self, lost: &PlanLost) -> Result<(), Illegal> {
        let due = |run: &&Run| matches!(run.state, RunState::Due(_)) && run.ordered.plan == lost.plan;
        if self.producing.run.as_ref().filter(due).is_some() {
            self.end_run(RunEnd::NotBegun);
            return Ok(());
        }
        let incident = self.incident.as_ref().ok_or(Illegal::Stale)?;
        if incident.plan().is_none_or(|plan| plan.digest != lost.plan) {
            return Err(Illegal::Stale);
        }
        let step = match &incident.phase {
            Phase::Authorising(_) => None,
            Phase::Acting(acting) => Some(acting.step.clone()),
            _ => return Err(Illegal::Stale),
        };
        let (id, name) = (&incident.id, &self.name);
        let end = format!("`ripcord pull {name}` makes a new plan, `ripcord dismiss {id}` ends it");
        let what = match step {
            Some(StepState::Shifting(shifting)) if shifting.intent.is_begun() => {
                self.ask_what_happened();
                return Ok(());
            }
            Some(StepState::ReadingBack { .. }) => return Err(Illegal::Stale),
            Some(StepState::Verifying { .. }) => "it cannot be verified: check the service; then",
            _ if incident.is_past_pivot() => "nothing more of it is shifted:",
            _ => "nothing of it is shifted:",
        };
        let text = format!("the plan's content {}, so {what} {end}", lost.loss.as_str());
        self.need_person(NeedKind::WhatNow, text);
        Ok(())
    }
}

impl super::Incident {
    /// The person takes over what is wanted.
    pub(super) fn take_wish(&mut self, wish: Wish) {
        let origin = Origin::Person(wish.person.to_string());
        if !self.requested_by.contains(&origin) {
            self.requested_by.push(origin);
        }
        if !self.requesters.contains(&wish.person) {
            self.requesters.push(wish.person.clone());
        }
        self.requester = Some(wish.person);
        self.wanted = wish.target;
        self.leaving = wish.leaving;
        self.reason = wish.reason;
    }
}
