//! Carrying out a granted plan: stage, guard, shift, and down the ladder.

use super::guard::{Found, found};
use super::{
    Acting, Authority, Illegal, Incident, Intent, NeedKind, Phase, Service, Shifting, StepState, Waiting,
    clear,
};
use crate::digest::Digest;
use crate::effect::Topic;
use crate::event::{
    FaultNature, FaultPlace, GuardRead, Happened, ProbeWord, ShiftAnswered, ShiftBegan, ShiftOutcome,
    ShiftProbed, ShiftReturned, StageFailed, Staged, shows,
};
use crate::fact::Outcome;
use crate::plan::StepKind;
use crate::ratio::Ratio;
use crate::signal::Severity;
use crate::target::Target;
use crate::terms::{Deadlines, EffectClass};
use crate::time::{Millis, UnixMillis};
use crate::wave::Moves;

/// How long what the guard has seen holds. A shift that is not begun by then, since no host ran or the artefact had to be fetched again, goes through
/// the guard again.
pub(super) const GUARD_HOLDS: Millis = Millis::minutes(1);

/// Plans of one incident before a person is asked.
const PLANS_MAX: usize = 5;

impl Acting {
    /// The same plan at the first step of this rung.
    pub(super) fn at_rung(self, rung: u32, at: UnixMillis) -> Self {
        Self {
            rung,
            wave: 0,
            attempts: 0,
            attempts_before: 0,
            first_try_at: None,
            seems_served: false,
            step: StepState::Staging(Waiting::from(at)),
            ..self
        }
    }

    fn read_back_from(&mut self, at: UnixMillis) {
        self.seems_served = false;
        self.step = StepState::ReadingBack { since: at };
    }
}

impl Service {
    pub(super) fn deadlines(&self) -> Deadlines {
        self.terms.as_ref().map(|terms| terms.deadlines).unwrap_or_default()
    }

    /// The promise of what moves the rung's facet now; without terms nothing is promised.
    pub(super) fn effect_class(&self, rung: u32) -> EffectClass {
        let facet = self.incident.as_ref().and_then(|incident| incident.target(rung)).and_then(Target::facet);
        let promised = self.terms.as_ref().zip(facet).map(|(terms, facet)| terms.class(&facet));
        promised.unwrap_or(EffectClass::Blind)
    }

    /// The acting state of the open incident, if `rung` is the one at hand.
    pub(super) fn acting(&mut self, rung: u32) -> Result<&mut Acting, Illegal> {
        match self.incident.as_mut().map(|incident| &mut incident.phase) {
            Some(Phase::Acting(acting)) if acting.rung == rung => Ok(acting),
            _ => Err(Illegal::Stale),
        }
    }

    /// The same, if `wave` is at hand as well.
    pub(super) fn acting_in(&mut self, rung: u32, wave: u32) -> Result<&mut Acting, Illegal> {
        self.acting(rung)
            .and_then(|acting| if acting.wave == wave { Ok(acting) } else { Err(Illegal::Stale) })
    }

    /// Stale unless the plan is the one at hand.
    pub(super) fn is_at_hand(&self, plan: Digest) -> Result<(), Illegal> {
        let at_hand = self.incident.as_ref().and_then(Incident::plan);
        if at_hand.is_some_and(|at_hand| at_hand.digest == plan) { Ok(()) } else { Err(Illegal::Stale) }
    }

    pub(super) fn staged(&mut self, staged: &Staged) -> Result<(), Illegal> {
        self.is_at_hand(staged.plan)?;
        let StepState::Staging(_) = self.acting(staged.rung)?.step else { return Err(Illegal::Stale) };
        let next = self.after_staging(staged.rung);
        self.acting(staged.rung)?.step = next;
        let target = self.incident.as_ref().and_then(|incident| incident.target(staged.rung)).cloned();
        if let (Some(digest), Some(revision)) = (staged.digest, target.and_then(|target| target.revision())) {
            self.pin(&revision, digest);
        }
        Ok(())
    }

    pub(super) fn stage_failed(&mut self, failed: &StageFailed) -> Result<(), Illegal> {
        self.is_at_hand(failed.plan)?;
        let (at, limit) = (self.at, self.deadlines().stage);
        let acting = self.acting(failed.rung)?;
        let waiting = match acting.step {
            StepState::Staging(waiting) => waiting,
            // It was at hand before a restart; nothing was shifted.
            StepState::Shifting(shifting) if shifting.intent == Intent::NotBegun => {
                Waiting::from(shifting.since)
            }
            // The same, where fetching it again took longer than the guard holds.
            StepState::Guarding(waiting) => Waiting { due_at: None, ..waiting },
            StepState::Preflighting { waiting, .. } => Waiting { due_at: None, ..waiting },
            _ => return Err(Illegal::Stale),
        };
        if failed.nature == FaultNature::Environmental && at < waiting.since + limit {
            acting.step = StepState::Staging(waiting.later(at));
        } else if failed.lies_in == FaultPlace::Place {
            self.place_fails("its artefact could not be put on this machine");
        } else {
            self.next_rung("its artefact could not be fetched whole");
        }
        Ok(())
    }

    pub(super) fn guard_read(&mut self, read: &GuardRead) -> Result<(), Illegal> {
        let (at, limit) = (self.at, self.deadlines().stage);
        self.is_at_hand(read.plan)?;
        let seen = self.acting_in(read.rung, read.wave)?;
        seen.guarded = Some(read.live.clone());
        seen.guarded_facets.clone_from(&read.facets);
        let acting = self.acting(read.rung)?.clone();
        let StepState::Guarding(waiting) = acting.step else { return Err(Illegal::Stale) };
        if read.attempt != acting.attempts + 1 {
            return Err(Illegal::Stale);
        }
        let incident = self.open_incident()?;
        let (Some(plan), Some(target)) = (incident.plan(), incident.target(read.rung)) else {
            return Err(Illegal::Stale);
        };
        // What was approved names another deployer, registry or address.
        if self.terms.as_ref().is_none_or(|terms| terms.equipment != plan.equipment) {
            self.plan_again();
            return Ok(());
        }
        // It may have been condemned since the plan was made, or a planner chose it all the same.
        if target.revision().is_some_and(|revision| self.is_held(&revision)) {
            self.next_rung("it is held");
            return Ok(());
        }
        // Data were condemned since the plan was made, and a target of it may descend from them.
        if target.version().is_some() && plan.condemnations_known != self.condemnations {
            self.plan_again();
            return Ok(());
        }
        let found = found(incident, plan, target, &acting, read);
        let (everything, last) = (shows(&read.live, &read.facets, target), plan.last_wave());
        // Where the traffic was moved before what served it, nothing but the last wave takes that away.
        let takes_away = acting.wave == last
            && !acting.shifted.is_empty()
            && last > 0
            && *plan.moves(last - 1) == Moves::Share(Ratio::ONE);
        let expired = incident.plan_expires_at().is_none_or(|end| at > end);
        match found {
            // An order for this very rung that came through after all: a probe was asked too early, or what it had called outlived its host.
            Found::Target if acting.first_try_at.is_some() && !takes_away => {
                return self.shift_applied(read.rung);
            }
            // There is nothing to be shifted in waves.
            Found::Target if everything && acting.begun == 0 => {
                let acting = self.acting(read.rung)?;
                acting.wave = last;
                acting.read_back_from(at);
            }
            Found::Target if !takes_away => self.acting(read.rung)?.read_back_from(at),
            _ if expired => self.expired_before_shift(&acting),
            Found::AsPlanned | Found::Target => self.pass_guard(&acting, read)?,
            Found::Unreadable if at < waiting.since + limit => {
                self.acting(read.rung)?.step = StepState::Guarding(waiting.later(at));
            }
            Found::Unreadable => self.guard_timed_out(),
            Found::Other => self.plan_again(),
        }
        Ok(())
    }

    pub(super) fn guard_timed_out(&mut self) {
        let name = &self.name;
        let text = format!(
            "what is live cannot be read, so nothing is shifted: mend the service or its deployer, then `ripcord pull {name}`"
        );
        self.need_person(NeedKind::WhatNow, text);
    }

    /// Another live than the one that was approved, or other equipment, voids the plan.
    pub(super) fn plan_again(&mut self) {
        let at = self.at;
        if self.part_failed("what is live, what it is deployed with, or what is condemned is another than when the set's plan was made") {
            return;
        }
        let Some(incident) = &mut self.incident else { return };
        if incident.plans.len() >= PLANS_MAX {
            self.need_person(
                NeedKind::WhatNow,
                "what is live, or what it is deployed with, keeps changing under the plan: someone else is deploying",
            );
            return;
        }
        incident.phase = Phase::Planning(Waiting::from(at));
    }

    fn expired_before_shift(&mut self, acting: &Acting) {
        if acting.shifted.is_empty() {
            self.settle(Outcome::Expired, "the plan expired before its shift; nothing was shifted");
        } else {
            let text = format!(
                "the plan expired before its next rung: `ripcord pull {}` makes a new one",
                self.name
            );
            self.need_person(NeedKind::WhatNow, text);
        }
    }

    /// A shift that was not begun goes through the guard again: what it has seen is old, or not all that counts now.
    pub(super) fn guard_again(&mut self) {
        let at = self.at;
        if let Some(Incident { phase: Phase::Acting(acting), .. }) = &mut self.incident
            && matches!(acting.step, StepState::Shifting(shifting) if shifting.intent == Intent::NotBegun)
        {
            acting.step = StepState::Guarding(Waiting::from(at));
        }
    }

    fn pass_guard(&mut self, acting: &Acting, read: &GuardRead) -> Result<(), Illegal> {
        let at = self.at;
        if self.observes() {
            self.stop_observing();
            return Ok(());
        }
        if !self.is_still_agreed(acting) {
            return Ok(());
        }
        // A further attempt is the same shift: the breaker has let it pass.
        if acting.grant.authority == Authority::Policies
            && acting.attempts == 0
            && let Some(why) = self.breaker_trips(acting, read)
        {
            self.authorise(Some(why), None, Some(acting.clone()));
            return Ok(());
        }
        let attempt = acting.attempts + 1;
        self.acting(acting.rung)?.step =
            StepState::Shifting(Shifting { attempt, since: at, intent: Intent::NotBegun, due_at: None });
        Ok(())
    }

    /// Why an automatic shift must be left to people. No policy can loosen this.
    fn breaker_trips(&self, acting: &Acting, read: &GuardRead) -> Option<String> {
        let (at, breaker) = (self.at, self.terms.as_ref()?.breaker);
        let hour = Millis::hours(1);
        let recent = self.automatic_shifts.iter().filter(|shift| **shift + hour > at).count();
        let target = self.incident.as_ref()?.target(acting.rung)?.revision();
        if recent >= breaker.service_shifts_per_hour as usize {
            return Some(format!("the breaker: {} of this service within an hour", automatic_shifts(recent)));
        }
        let (made, reserved) = (read.host_shifts, read.host_reserved);
        if made.saturating_add(reserved) >= breaker.host_shifts_per_hour {
            let more =
                if reserved > 0 { format!(", and {reserved} more about to begin") } else { String::new() };
            let made = automatic_shifts(made as usize);
            return Some(format!("the breaker: {made} of this host within an hour{more}"));
        }
        // The rungs of one plan were granted together: the cool-down lies between plans.
        if let Some(last) = self.automatic_shifts.last()
            && at < *last + breaker.cool_down
            && acting.begun == 0
        {
            return Some(format!("the breaker: the last automatic shift was {} ago", at.since(*last)));
        }
        let left = target.and_then(|revision| Some((self.left_lately(&revision, at)?, revision)));
        if let Some((ago, revision)) = left {
            return Some(format!("the breaker: `{revision}` was left only {ago} ago"));
        }
        // Whether what was put back does harm by itself, or the harm of before is seen again, people tell apart.
        if acting.begun == 0
            && let (Some(by), Some(since)) = (&self.production.brought_by, self.production.since)
            && at < since + breaker.no_return
            && self.incident.as_ref().is_some_and(|incident| incident.id != *by)
        {
            return Some(format!(
                "the breaker: what is live was brought by the rollback of `{by}` only {} ago, so the harm may be that of before",
                at.since(since)
            ));
        }
        None
    }

    pub(super) fn shift_began(&mut self, began: &ShiftBegan) -> Result<(), Illegal> {
        let at = self.at;
        let paused = self.paused_by.is_some();
        self.is_at_hand(began.plan)?;
        let class = self.effect_class(began.rung);
        let approved = self.incident.as_ref().and_then(Incident::plan);
        let approved = approved.and_then(|plan| plan.request(began.rung, began.wave, StepKind::Shift));
        if approved != Some(began.request.approved) {
            return Err(Illegal::Stale);
        }
        let acting = self.acting_in(began.rung, began.wave)?;
        let StepState::Shifting(shifting) = &mut acting.step else { return Err(Illegal::Stale) };
        let late = at > shifting.since + GUARD_HOLDS;
        if paused || late || shifting.intent.is_begun() || shifting.attempt != began.attempt {
            return Err(Illegal::Stale);
        }
        shifting.intent = Intent::Began { class };
        acting.attempts = began.attempt;
        acting.first_try_at.get_or_insert(at);
        acting.begun += 1;
        let automatic = acting.grant.authority == Authority::Policies && began.attempt == 1;
        let Some(incident) = &mut self.incident else { return Err(Illegal::Stale) };
        incident.marks.shifted_at = Some(at);
        let target = incident.target(began.rung).cloned();
        if let Some(target) = target.clone().filter(|target| !incident.ladder.tried.contains(target)) {
            incident.ladder.tried.push(target);
        }
        let left = incident
            .plan()
            .zip(target.clone())
            .map(|(plan, target)| plan.serves_of(&target))
            .unwrap_or_default();
        // A target that serves a part already is not left.
        let goal = target.as_ref().and_then(Target::revision);
        let words = self.wave_in_words(began.wave);
        let Some(incident) = &self.incident else { return Err(Illegal::Stale) };
        let text = format!(
            "`{}` shifts to {}{words}",
            incident.id,
            target.map(|target| target.to_string()).unwrap_or_default()
        );
        if automatic {
            self.automatic_shifts.retain(|shift| *shift + Millis::hours(1) > at);
            self.automatic_shifts.push(at);
        }
        left.iter().filter(|left| Some(*left) != goal.as_ref()).for_each(|left| self.leave(left));
        self.tell(Topic::ShiftBegan, Severity::Warning, text);
        Ok(())
    }

    /// The shift in flight, if it is this attempt.
    fn in_flight(
        &mut self,
        plan: Digest,
        (rung, wave): (u32, u32),
        attempt: u32,
    ) -> Result<Shifting, Illegal> {
        self.is_at_hand(plan)?;
        match self.acting_in(rung, wave)?.step {
            StepState::Shifting(shifting) if shifting.attempt == attempt && shifting.intent.is_begun() => {
                Ok(shifting)
            }
            _ => Err(Illegal::Stale),
        }
    }

    pub(super) fn shift_returned(&mut self, returned: &ShiftReturned) -> Result<(), Illegal> {
        let shifting = self.in_flight(returned.plan, (returned.rung, returned.wave), returned.attempt)?;
        match &returned.outcome {
            ShiftOutcome::Done | ShiftOutcome::Underway => self.shift_applied(returned.rung),
            ShiftOutcome::NotApplied { nature, lies_in, .. } => {
                self.shift_not_applied(returned.rung, shifting, *nature, *lies_in)
            }
            ShiftOutcome::Unknown(_) => self.shift_unknown(returned.rung, shifting),
        }
    }

    pub(super) fn shift_probed(&mut self, probed: &ShiftProbed) -> Result<(), Illegal> {
        let shifting = self.in_flight(probed.plan, (probed.rung, probed.wave), probed.attempt)?;
        match &probed.word {
            ProbeWord::Applied | ProbeWord::Underway => self.shift_applied(probed.rung),
            ProbeWord::NotApplied => {
                self.shift_not_applied(probed.rung, shifting, FaultNature::Environmental, FaultPlace::Target)
            }
            ProbeWord::NoAnswer(_) => self.shift_unknown(probed.rung, shifting),
            ProbeWord::CannotTell(_) => {
                self.ask_what_happened();
                Ok(())
            }
        }
    }

    pub(super) fn shift_answered(&mut self, answered: &ShiftAnswered) -> Result<(), Illegal> {
        self.is_open(&answered.incident)?;
        let wrong = self.wrong_phase("nobody asked whether a shift happened");
        let incident = self.incident.as_mut().ok_or_else(|| Illegal::NoIncident(self.name.clone()))?;
        let Phase::NeedsPerson(need) = &incident.phase else { return Err(wrong) };
        let (NeedKind::DidTheShiftHappen, Some(acting)) = (need.question, need.resume.clone()) else {
            return Err(wrong);
        };
        if answered.question != incident.questions {
            return Err(Illegal::OtherQuestion { incident: incident.id.clone(), asked: incident.questions });
        }
        let StepState::Shifting(shifting) = acting.step else { return Err(wrong) };
        let rung = acting.rung;
        incident.phase = Phase::Acting(acting);
        match answered.applied {
            Happened::Applied => self.shift_applied(rung),
            Happened::NotApplied => {
                self.shift_not_applied(rung, shifting, FaultNature::Environmental, FaultPlace::Target)
            }
        }
    }

    fn shift_applied(&mut self, rung: u32) -> Result<(), Illegal> {
        let at = self.at;
        let acting = self.acting(rung)?;
        if !acting.shifted.contains(&rung) {
            acting.shifted.push(rung);
        }
        acting.read_back_from(at);
        Ok(())
    }

    /// A new attempt is safe: it begins with the guard, later.
    fn shift_not_applied(
        &mut self,
        rung: u32,
        shifting: Shifting,
        nature: FaultNature,
        lies_in: FaultPlace,
    ) -> Result<(), Illegal> {
        let (at, limit) = (self.at, self.deadlines().read_back);
        // A further attempt has no more time than is left of the first one's.
        let since = self.acting(rung)?.first_try_at.unwrap_or(shifting.since);
        if nature == FaultNature::Deterministic || at >= since + limit {
            match lies_in {
                FaultPlace::Target => self.next_rung("it was refused where it is put in force"),
                FaultPlace::Place => self.place_fails("the shift could not be made"),
            }
            return Ok(());
        }
        if self.take_next_wish() {
            return Ok(());
        }
        let acting = self.acting(rung)?;
        let failures = acting.attempts.saturating_sub(acting.attempts_before + 1);
        self.acting(rung)?.step =
            StepState::Guarding(Waiting { since: shifting.since, failures, due_at: None }.later(at));
        Ok(())
    }

    fn shift_unknown(&mut self, rung: u32, shifting: Shifting) -> Result<(), Illegal> {
        let (at, limit) = (self.at, self.deadlines().read_back);
        if self.effect_class(rung) == EffectClass::Blind || at >= shifting.since + limit {
            self.ask_what_happened();
        } else {
            self.acting(rung)?.step =
                StepState::Shifting(Shifting { due_at: Some(at + Millis::seconds(1)), ..shifting });
        }
        Ok(())
    }

    pub(super) fn ask_what_happened(&mut self) {
        let Some(incident) = &mut self.incident else { return };
        incident.questions += 1;
        let id = &incident.id;
        let which = match incident.questions {
            1 => String::new(),
            more => format!(" --question {more}"),
        };
        let text = format!(
            "a shift was begun and nothing can tell whether it happened: look at the service, then `ripcord answer {id} applied{which}` or `ripcord answer {id} not-applied{which}`"
        );
        self.need_person(NeedKind::DidTheShiftHappen, text);
    }

    /// A person's wish that waited for the shift in flight replaces the rest of the plan.
    pub(super) fn take_next_wish(&mut self) -> bool {
        let at = self.at;
        let Some(incident) = &mut self.incident else { return false };
        let Some(wish) = incident.next_wish.take() else { return false };
        incident.take_wish(wish);
        incident.phase = Phase::Planning(Waiting::from(at));
        true
    }

    /// What lies in the place is not tried again with every other target.
    fn place_fails(&mut self, why: &str) {
        if self.take_next_wish() {
            return;
        }
        let Some(incident) = &self.incident else { return };
        let Phase::Acting(acting) = &incident.phase else { return };
        let target = incident.target(acting.rung).map(ToString::to_string).unwrap_or_default();
        let (id, service) = (incident.id.clone(), self.name.clone());
        self.need_person(
            NeedKind::WhatNow,
            format!("{target}: {why}, for a reason that lies in the place and not in the target, so no other target is tried: `ripcord incidents show {id}` says which; mend it, then `ripcord pull {service}` goes on, `ripcord dismiss {id}` ends it"),
        );
    }

    /// Down the ladder, under the same approval; then to a person.
    pub(super) fn next_rung(&mut self, why: &str) {
        let at = self.at;
        if self.take_next_wish() {
            return;
        }
        let Some(incident) = &self.incident else { return };
        let Phase::Acting(acting) = &incident.phase else { return };
        let (failed, id) = (incident.target(acting.rung).cloned(), incident.id.clone());
        let expired = incident.plan_expires_at().is_none_or(|end| at > end);
        let next = (acting.rung + 1..)
            .map_while(|rung| incident.target(rung).map(|target| (rung, target)))
            .find(|(_, target)| target.revision().is_none_or(|revision| !self.is_held(&revision)))
            .map(|(rung, _)| rung)
            // The way back of a part is no further target: the set says when it is gone.
            .filter(|_| self.enlisted_by().is_none());
        let acting = acting.clone();
        if let (true, Some(revision)) =
            (acting.shifted.contains(&acting.rung), failed.as_ref().and_then(Target::revision))
        {
            self.lose_standing(&revision);
        }
        match next {
            Some(rung) if !expired => {
                if let Some(incident) = &mut self.incident {
                    incident.phase = Phase::Acting(acting.at_rung(rung, at));
                }
            }
            _ => {
                let failed = failed.map(|target| target.to_string()).unwrap_or_default();
                let left = if expired { "the plan has expired" } else { "the plan has no other target" };
                self.need_person(
                    NeedKind::WhatNow,
                    format!("{failed} did not bring the service back ({why}) and {left}: `ripcord pull {} --to VERSION` names another, `ripcord dismiss {id}` ends it", self.name),
                );
            }
        }
    }

    /// What is due again is due.
    pub(super) fn acting_woke(&mut self) {
        let at = self.at;
        let Some(incident) = &mut self.incident else { return };
        match &mut incident.phase {
            Phase::Planning(waiting) => clear(&mut waiting.due_at, at),
            Phase::Acting(Acting { step, .. }) => match step {
                StepState::Staging(waiting)
                | StepState::Guarding(waiting)
                | StepState::Preflighting { waiting, .. } => clear(&mut waiting.due_at, at),
                StepState::Shifting(Shifting { intent: Intent::NotBegun, since, .. }) => {
                    if at >= *since + GUARD_HOLDS {
                        self.guard_again();
                    }
                }
                StepState::Shifting(shifting) => clear(&mut shifting.due_at, at),
                StepState::Looking { due_at, .. } | StepState::Verifying { due_at, .. } => clear(due_at, at),
                StepState::ReadingBack { .. } => {}
            },
            _ => {}
        }
    }
}

fn automatic_shifts(number: usize) -> String {
    if number == 1 { "1 automatic shift".to_owned() } else { format!("{number} automatic shifts") }
}
