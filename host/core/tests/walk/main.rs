//! Random walks through the transition table: what must hold in every state that any order of events can lead to.
//!
//! A walk answers what the service owes with random outcomes, lets people say random things, and throws in results that come
//! too late. It is reproduced by its seed.

#![allow(clippy::unwrap_used, clippy::panic)]

mod checks;
mod dice;
mod ends;
mod facets;
mod identity;
mod latches;
mod outcomes;
mod preflights;
mod producing;
mod said;
mod sets;
mod terms;

use dice::Dice;
use outcomes::{answer, nonsense};
use ripcord_core::digest::Digest;
use ripcord_core::effect::{Effect, Slot};
use ripcord_core::event::{
    Event, FingerprintWord, Happened, InProduction, ProbeWord, PromotionWord, Said, ShiftOutcome,
    VerificationWord,
};
use ripcord_core::fact::Outcome;
use ripcord_core::journal::Tip;
use ripcord_core::name::{IncidentId, ServiceName, VersionName};
use ripcord_core::plan::StepKind;
use ripcord_core::policy::Role;
use ripcord_core::service::{Authority, Incident, Intent, KnownRevision, Phase, Service, StepState};
use ripcord_core::snapshot::Snapshot;
use ripcord_core::standing::Standing;
use ripcord_core::target::Target;
use ripcord_core::terms::Mode;
use ripcord_core::time::Millis;
use said::person_says;
use terms::configured;

const WALKS: u64 = 8_000;
const STEPS: usize = 200;

#[derive(Debug, Default)]
struct Seen {
    settled: std::collections::BTreeSet<String>,
    glasses: usize,
    reviewed: usize,
    shifts: usize,
    questions: usize,
    second_rungs: usize,
    replans: usize,
    waves: usize,
    later_waves: usize,
    waves_lost: usize,
    waved: usize,
    promotions: usize,
    second_promotions: usize,
    late_promotions: usize,
    pins: usize,
    fingerprints: usize,
    preflights: usize,
    unfit: usize,
    without: usize,
    probations: usize,
    passed: usize,
    failed: usize,
    ran_out: usize,
    latched: usize,
    unlatched: usize,
    facet_probations: usize,
    facet_shifts: usize,
    facet_rollbacks: usize,
    facet_holds: usize,
    mixed_plans: usize,
    others_moved: usize,
    under_a_fallback: usize,
    runs: usize,
    made: usize,
    not_begun: usize,
    runs_failed: usize,
    runs_stopped: usize,
    produced: usize,
    enlisted: usize,
    parts_moved: usize,
    parts_failed: usize,
    parts_back: usize,
    released: usize,
    membership_expired: usize,
    left_otherwise: usize,
    condemned_after_all: usize,
}

struct Walk {
    seed: u64,
    dice: Dice,
    service: Service,
    /// A shift whose outcome is not known.
    unknown: Option<(IncidentId, u32, u32)>,
    /// What the registry's production name is to follow.
    follows: Option<(IncidentId, VersionName)>,
    /// Something may be held beside what is live.
    held: bool,
    /// It is not known whether the run was started.
    run_unknown: bool,
    /// Whether sets enlist it.
    sets: bool,
    told: Vec<String>,
}

impl Walk {
    fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let service = Service::new(ServiceName::new("s").unwrap());
        let event = configured(&mut dice);
        let service = service.apply(service.at, &event).unwrap();
        Self {
            seed,
            dice,
            service,
            unknown: None,
            follows: None,
            held: false,
            run_unknown: false,
            sets: false,
            told: vec![format!("{event:?}")],
        }
    }

    fn fail(&self, why: &str) -> ! {
        let told = self.told.iter().rev().take(25).rev().cloned().collect::<Vec<_>>().join("\n");
        panic!("seed {}: {why}\nthe last events:\n{told}\nstate: {:#?}", self.seed, self.service)
    }

    fn step(&mut self, seen: &mut Seen) {
        let mut owed: Vec<Effect> = self.service.owed();
        // It is owed most of the time, and tells something once in a while.
        if !self.dice.one_in(20) {
            owed.retain(|effect| effect.slot() != Slot::Readiness);
        }
        let doing = owed.iter().filter(|effect| effect.slot() != Slot::Timer).count();
        let waits = self.service.incident.as_ref().is_some_and(Incident::waits_for_people)
            || self.service.paused_by.is_some()
            || self.unknown.is_some() && doing == 0;
        let events = match self.dice.below(20) {
            _ if self.sets && self.dice.one_in(5) => vec![sets::set_says(&mut self.dice, &self.service)],
            0 => vec![person_says(&mut self.dice, &self.service)],
            1 | 2 => vec![nonsense(&mut self.dice, &self.service)],
            3 if self.service.wakes_at().is_some() => Vec::new(),
            4..=9 if waits => vec![person_says(&mut self.dice, &self.service)],
            _ if doing == 0 && waits => vec![person_says(&mut self.dice, &self.service)],
            _ if doing == 0 => Vec::new(),
            _ => {
                // Time runs out in the arm above: else no step would come to its end.
                let nth = self.dice.below(doing as u64) as usize;
                let effect = owed.iter().filter(|effect| effect.slot() != Slot::Timer).nth(nth).unwrap();
                answer(&mut self.dice, &self.service, effect)
            }
        };
        let mut at = self.service.at + Millis(self.dice.below(2_000));
        if events.is_empty() {
            let Some(due) = self.service.wakes_at() else { return };
            at = at.max(due);
            self.apply(at, &Event::Woke, seen);
        }
        for event in events {
            self.apply(at, &event, seen);
        }
    }

    fn apply(&mut self, at: ripcord_core::time::UnixMillis, event: &Event, seen: &mut Seen) {
        let Ok(next) = self.service.apply(at, event) else {
            seen.mixed_plans += usize::from(facets::is_mixed(&self.service, event));
            return;
        };
        if facets::is_mixed(&self.service, event) {
            self.fail("a plan that mixes facets was taken");
        }
        self.told.push(format!("{at:?} {event:?}"));
        let before = std::mem::replace(&mut self.service, next);
        assert_eq!(self.service.length, before.length + 1);
        self.check_snapshot();
        self.check_shift(&before, event, seen);
        self.check_end(&before, event, seen);
        self.check_wave(&before, event, seen);
        self.check_grant(&before);
        self.check_promotion(&before, event, seen);
        self.check_preflight(&before, event, seen);
        self.check_pins(&before, event, seen);
        self.check_fingerprints(&before, event, seen);
        self.check_probation(&before, event, seen);
        self.check_latches(&before, event, seen);
        self.check_facets(&before, event, seen);
        self.check_producing(&before, event, seen);
        self.check_membership(&before, event, seen);
        self.check_liveness();
        self.check_wakes();
        self.check_ends();
    }

    /// What is read back from a snapshot is the state, whatever the state: so a snapshot and the rest of the journal come to the same as the whole
    /// journal. Every state of the first walks, and some of the others.
    fn check_snapshot(&self) {
        if self.seed >= 200 && !self.service.length.is_multiple_of(37) {
            return;
        }
        let tip = Tip { length: self.service.length, hash: Digest::of(b"any") };
        let read = Snapshot::of(&self.service, tip).unwrap().read();
        if read.as_ref() != Ok(&self.service) {
            self.fail(&format!("a snapshot is another state: {read:#?}"));
        }
    }

    /// Invariants 3 and 4: granted, not paused, once, and never while the outcome of the one before is unknown.
    fn check_shift(&mut self, before: &Service, event: &Event, seen: &mut Seen) {
        let id = |service: &Service| service.incident.as_ref().map(|incident| incident.id.clone());
        match event {
            Event::ReviewClosed(_) => seen.reviewed += 1,
            Event::ShiftBegan(began) => {
                let Some(incident) = &before.incident else { self.fail("a shift without an incident") };
                let Phase::Acting(acting) = &incident.phase else { self.fail("a shift without a grant") };
                let ready = matches!(acting.step, StepState::Shifting(shifting) if shifting.intent == Intent::NotBegun);
                if !ready || (acting.rung, acting.wave) != (began.rung, began.wave) {
                    self.fail("a shift out of turn");
                }
                let terms = before.terms.as_ref().unwrap();
                if terms.mode == Mode::Observe {
                    self.fail("a shift in mode observe");
                }
                let floor = terms.floor.iter().any(|quorum| quorum.people > 0);
                if acting.grant.authority == Authority::Policies && (terms.mode == Mode::Ask || floor) {
                    self.fail("a shift without the people that mode or floor want");
                }
                self.check_consent(before);
                if before.paused_by.is_some() {
                    self.fail("a shift while paused");
                }
                if self.unknown.is_some() {
                    self.fail("a shift while the outcome of the one before is unknown");
                }
                self.unknown = id(before).map(|id| (id, began.rung, began.attempt));
                seen.shifts += 1;
                seen.glasses += usize::from(acting.grant.authority == Authority::BreakGlass);
                seen.second_rungs += usize::from(began.rung > 0);
                seen.waves += usize::from(incident.plan().is_some_and(|plan| !plan.waves.is_empty()));
                seen.later_waves += usize::from(began.wave > 0);
                if incident.plan().is_none_or(|plan| plan.last_wave() < began.wave) {
                    self.fail("a wave that the plan does not have");
                }
            }
            Event::ShiftReturned(returned) if !matches!(returned.outcome, ShiftOutcome::Unknown(_)) => {
                self.unknown = None;
            }
            Event::ShiftProbed(probed)
                if !matches!(probed.word, ProbeWord::CannotTell(_) | ProbeWord::NoAnswer(_)) =>
            {
                self.unknown = None;
            }
            Event::ShiftAnswered(answered) => {
                let (Happened::Applied | Happened::NotApplied) = answered.applied;
                self.unknown = None;
                seen.questions += 1;
            }
            // A person settled the incident, so that they know.
            Event::Dismissed(_) => self.unknown = None,
            _ => {}
        }
    }

    /// A wave begins only after what the one before it moved was there, and its pause was over; and what ends well ends with the last.
    fn check_wave(&self, before: &Service, event: &Event, seen: &mut Seen) {
        let acting = |service: &Service| match service.incident.as_ref().map(|incident| &incident.phase) {
            Some(Phase::Acting(acting)) => Some(acting.clone()),
            _ => None,
        };
        seen.waves_lost += usize::from(matches!(event, Event::WaveLost(_)));
        if let (Some(before), Some(now)) = (acting(before), acting(&self.service))
            && now.rung == before.rung
            && now.wave > before.wave
        {
            let looked = match before.step {
                StepState::Looking { due_at, .. } => due_at.is_none_or(|due| due <= self.service.at),
                _ => false,
            };
            let jumped = matches!(event, Event::GuardRead(_)) && before.begun == 0;
            if !(looked && now.wave == before.wave + 1 || jumped) {
                self.fail("a wave without a look at the one before");
            }
        }
        let Some(last) = self.service.last_settled.as_ref() else { return };
        if before.last_settled.as_ref().is_some_and(|old| old.id == last.id) {
            return;
        }
        let well = matches!(&last.phase, Phase::Settled(Outcome::RolledBack | Outcome::RestoredElsewhere));
        if let (true, Some(acting), Some(plan)) = (well, acting(before), last.plan())
            && !plan.waves.is_empty()
        {
            seen.waved += 1;
            if acting.wave != plan.last_wave() {
                self.fail("settled as well before the last wave");
            }
        }
    }

    /// Invariant 5: only *healthy* by all, or no verification policy at all, ends in a rollback.
    fn check_end(&mut self, before: &Service, event: &Event, seen: &mut Seen) {
        let Some(last) = self.service.last_settled.as_ref() else { return };
        if before.last_settled.as_ref().is_some_and(|old| old.id == last.id) {
            return;
        }
        let Phase::Settled(outcome) = &last.phase else { self.fail("an open incident was put away") };
        // What was found of its part is judged when the part ends.
        if before.incident.as_ref().is_some_and(|open| open.phase == Phase::Enlisted) {
            return;
        }
        seen.settled.insert(outcome.to_string());
        seen.replans += usize::from(last.plans.len() > 1);
        if !matches!(outcome, Outcome::RolledBack | Outcome::FellBack | Outcome::RestoredElsewhere) {
            return;
        }
        match event {
            Event::ReadBack(read) if read.fingerprint == FingerprintWord::Differs => {
                self.fail("settled by answers that are not the target's");
            }
            Event::ReadBack(_) => {}
            Event::VerificationsAsked(asked) => {
                let healthy =
                    |said: &Said<VerificationWord>| matches!(said, Said::Verdict(VerificationWord::Healthy));
                let wanted = before.terms.as_ref().unwrap().policies(Role::Verification).count();
                let counts = before.terms.as_ref().unwrap().policies(Role::Verification);
                let counts = counts.filter(|used| before.is_still_healthy(asked.phase, &used.policy.name));
                let said = asked.asked.iter().filter(|one| healthy(&one.said)).count();
                if said != asked.asked.len() || said + counts.count() < wanted {
                    self.fail("settled as well without being healthy");
                }
                let earned = |known: &KnownRevision| {
                    known.standing == Standing::KnownGood && known.since == self.service.at
                };
                if wanted == 0 && self.service.revisions.values().any(earned) {
                    self.fail("known good without any verification");
                }
            }
            _ => self.fail("settled as well by something else than a read-back or a verification"),
        }
    }

    /// Invariant 4: whoever acts was granted by those who had to.
    fn check_grant(&self, before: &Service) {
        let acting = |service: &Service| match service.incident.as_ref().map(|incident| &incident.phase) {
            Some(Phase::Acting(acting)) => Some(acting.clone()),
            _ => None,
        };
        let (None, Some(now)) = (acting(before), acting(&self.service)) else { return };
        let Some(Phase::Authorising(waiting)) = before.incident.as_ref().map(|incident| &incident.phase)
        else {
            // Drafted and granted in one event, or a person answered what became of a shift.
            return;
        };
        let terms = self.service.terms.as_ref().unwrap();
        let floor = terms.floor.iter().any(|quorum| quorum.people > 0);
        let people = waiting.people_because.is_some() || terms.mode == Mode::Ask || floor;
        if now.grant.authority == Authority::Policies && people {
            self.fail("people were wanted, and policies alone granted");
        }
    }

    /// The registry's production name follows every version that is read back, once, and nothing else; nobody's pause is passed over.
    fn check_promotion(&mut self, before: &Service, event: &Event, seen: &mut Seen) {
        match event {
            Event::ReadBack(read) => {
                let acting = before.incident.as_ref().unwrap();
                let of = |service: &Service| {
                    let both = [service.incident.as_ref(), service.last_settled.as_ref()];
                    let incident = both.into_iter().flatten().find(|incident| incident.id == acting.id)?;
                    Some((incident.id.clone(), incident.marks.read_back_at?))
                };
                let showed = of(&self.service).filter(|(id, at)| *id == acting.id && *at == self.service.at);
                let waits = |incident: &Incident| incident.phase_name() == "reading back";
                if showed.is_some() && read.fingerprint == FingerprintWord::Differs {
                    self.fail("taken for the target although it answers otherwise");
                }
                if showed.is_some() && !self.service.incident.as_ref().is_some_and(waits) {
                    match acting.target(read.rung).unwrap() {
                        Target::Version(_) if acting.in_production == InProduction::Unsupported => {
                            self.follows = None;
                        }
                        Target::Version(_)
                            if !acting
                                .plan()
                                .is_some_and(|plan| plan.lists(read.rung, read.wave, StepKind::MoveName)) =>
                        {
                            self.follows = None;
                        }
                        Target::Version(version) => {
                            let again = acting.promoted.iter().any(|promoted| *promoted != version.version);
                            seen.second_promotions += usize::from(again);
                            self.follows = Some((acting.id.clone(), version.version.clone()));
                        }
                        // The version stays, and so does what its name follows.
                        _ => {}
                    }
                }
            }
            Event::Promoted(promoted) => {
                if self.follows != Some((promoted.incident.clone(), promoted.version.clone())) {
                    self.fail("a promotion that nobody waits for was taken");
                }
                if !matches!(promoted.word, PromotionWord::Failed { .. }) {
                    self.follows = None;
                    seen.promotions += 1;
                    seen.late_promotions += usize::from(before.incident.is_none());
                }
            }
            _ => {}
        }
        let pending = self.service.promotion.as_ref();
        if pending.map(|pending| (pending.incident.clone(), pending.version.clone())) != self.follows {
            self.fail("the registry's production name does not follow what was read back");
        }
        let owed = self.service.owed().into_iter().find(|effect| effect.slot() == Slot::Promotion);
        let observes = self.service.terms.as_ref().unwrap().mode == Mode::Observe;
        let due = pending.is_some_and(|pending| pending.waiting.due_at.is_none());
        if owed.is_some() != (due && self.service.paused_by.is_none() && !observes) {
            self.fail("a promotion is owed that must wait, or waits for nothing");
        }
    }

    /// No dead state: an open incident is owed something, waits for an instant, for a person, or is paused.
    fn check_liveness(&self) {
        let Some(incident) = &self.service.incident else { return };
        let owed = self.service.owed();
        let moves =
            owed.iter().any(|effect| matches!(effect.slot(), Slot::Incident | Slot::Candidate | Slot::Timer));
        let person = matches!(incident.phase, Phase::NeedsPerson(_)) || self.service.paused_by.is_some();
        if !moves && !person {
            self.fail("nothing will ever move this incident");
        }
        if incident.phase_name() == "settled" {
            self.fail("a settled incident holds the place");
        }
    }

    /// Waking at the instant that was waited for changes what is waited for: the driver never spins.
    fn check_wakes(&self) {
        let mut service = self.service.clone();
        let mut spins = 0;
        while let Some(due) = service.wakes_at().filter(|due| *due <= service.at) {
            spins += 1;
            if spins > 3 {
                self.fail(&format!("waking at {due:?} changes nothing"));
            }
            service = service.apply(service.at, &Event::Woke).unwrap();
        }
    }
}

#[test]
fn whatever_happens_the_rules_hold() {
    let mut seen = Seen::default();
    for seed in 0..WALKS {
        let mut walk = Walk::new(seed);
        for _ in 0..STEPS {
            walk.step(&mut seen);
        }
    }
    // The walks must get everywhere, or they prove nothing.
    for outcome in [
        "rolled back",
        "fell back",
        "restored elsewhere",
        "stood down",
        "dismissed",
        "refused",
        "expired",
        "aborted",
        "observed",
        "settled by a person",
        "producing",
    ] {
        assert!(seen.settled.contains(outcome), "no walk ended in `{outcome}`: {:?}", seen.settled);
    }
    let enough = seen.shifts > 1_000 && seen.second_rungs > 50 && seen.questions > 50 && seen.replans > 50;
    assert!(enough, "{seen:?}");
    let enough = seen.promotions > 300
        && seen.second_promotions > 3
        && seen.late_promotions > 50
        && seen.pins > 300
        && seen.fingerprints > 100;
    assert!(enough, "{seen:?}");
    let enough = seen.preflights > 100 && seen.unfit > 50 && seen.without > 50;
    assert!(enough, "{seen:?}");
    let enough = seen.probations > 300 && seen.passed > 20 && seen.failed > 50 && seen.ran_out > 20;
    assert!(enough, "{seen:?}");
    let enough = seen.runs > 200
        && seen.made > 50
        && seen.produced > 50
        && seen.not_begun > 10
        && seen.runs_failed > 30
        && seen.runs_stopped > 20;
    assert!(enough, "{seen:?}");
    let enough = seen.waves > 300 && seen.later_waves > 50 && seen.waves_lost > 5 && seen.waved > 20;
    assert!(enough, "{seen:?}");
    assert!(seen.glasses > 50 && seen.reviewed > 20, "{seen:?}");
    assert!(seen.latched > 300 && seen.unlatched > 20, "{seen:?}");
    let enough = seen.facet_shifts > 300
        && seen.facet_rollbacks > 50
        && seen.facet_holds > 20
        && seen.facet_probations > 50
        && seen.mixed_plans > 50
        && seen.others_moved > 50
        && seen.under_a_fallback > 20;
    assert!(enough, "{seen:?}");
}
