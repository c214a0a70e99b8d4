//! A rung that is shifted in waves: each with a guard, an order and a look of its own, and no wave without the one before.

use super::stage::{Stage, blob, policy, sent, serving, version};
use crate::digest::Digest;
use crate::effect::{Effect, Topic};
use crate::event::*;
use crate::facet::{Facet, FacetRead, FacetState, InForce};
use crate::fact::Outcome;
use crate::live::{Proof, Share};
use crate::plan::{ApprovedStep, StepKind};
use crate::policy::Role;
use crate::ratio::Ratio;
use crate::service::{Authority, Illegal, NeedKind, Phase, StepState};
use crate::target::Target;
use crate::terms::{EffectClass, Mode, PreflightRule};
use crate::time::{Millis, UnixMillis};
use crate::wave::{Moves, WAVES_MAX, Wave};

const PAUSE: Millis = Millis::minutes(5);

fn place(name: &str) -> Wave {
    Wave { moves: Moves::Place(name.into()), pause: PAUSE }
}

fn share(of: f64) -> Wave {
    Wave { moves: Moves::Share(Ratio::new(of).unwrap()), pause: PAUSE }
}

/// Versions at places, with a weight.
fn live(shares: &[(&str, &str, f64)]) -> Observed {
    let share = |(place, name, weight): &(&str, &str, f64)| {
        let Target::Version(version) = version(name) else { panic!() };
        let weight = Ratio::new(*weight).unwrap();
        Share { version, place: (*place).to_owned(), weight, proof: Proof::Answer }
    };
    Observed::Serving(shares.iter().map(share).collect())
}

/// One version at each of two places.
fn both(eu: &str, us: &str) -> Observed {
    live(&[("eu", eu, 1.0), ("us", us, 1.0)])
}

/// So much of the traffic at `name`, the rest at `4`.
fn part(name: &str, of: f64) -> Observed {
    live(&[("", name, of), ("", "4", 1.0 - of)])
}

fn request(wave: u32) -> Digest {
    Digest::of(format!("request of wave {wave}"))
}

/// The steps of a rung in so many waves.
fn steps(waves: u32) -> Vec<ApprovedStep> {
    let mut steps = Vec::new();
    for kind in StepKind::ALL.into_iter().filter(|kind| !kind.is_of_wave()) {
        steps.push(ApprovedStep { kind, request: kind.sends().then(|| sent().approved), wave: None });
    }
    for wave in 0..waves {
        for kind in [StepKind::Guard, StepKind::Shift, StepKind::ReadBack, StepKind::Look] {
            if kind == StepKind::Look && wave + 1 == waves {
                continue;
            }
            steps.push(ApprovedStep { kind, request: kind.sends().then(|| request(wave)), wave: Some(wave) });
        }
    }
    steps
}

/// What a plan in these waves has in the journal, with `live` when it was made.
fn waved(stage: &Stage, waves: &[Wave], live: Observed, targets: &[&str]) -> PlanDrafted {
    let mut waves = waves.to_vec();
    waves.push(Wave::REST);
    let steps = vec![steps(u32::try_from(waves.len()).unwrap()); targets.len()];
    PlanDrafted { waves, live, steps, ..stage.draft(targets) }
}

fn verified(terms: &mut crate::terms::Terms) {
    terms.policies = vec![policy(Role::Verification)];
}

impl Stage {
    /// Ada pulls, bob and cleo agree to the plan in waves, and the first one is about to be guarded.
    fn in_waves(waves: &[Wave], live: Observed, targets: &[&str]) -> Self {
        Self::new(verified).granted_in_waves(waves, live, targets)
    }

    fn granted_in_waves(mut self, waves: &[Wave], live: Observed, targets: &[&str]) -> Self {
        self.pull("ada", targets[0]);
        let preserved = self.preserved("4");
        self.tell(&preserved);
        let draft = waved(&self, waves, live, targets);
        let planned = self.planned(PlanWord::Drafted(draft));
        self.tell(&Event::Planned(planned));
        self.approve("bob");
        self.approve("cleo");
        self.staged();
        self
    }

    fn acting_now(&self) -> crate::service::Acting {
        let Phase::Acting(acting) = &self.incident().phase else { panic!("{:#?}", self.incident().phase) };
        acting.clone()
    }

    fn at_wave(&self) -> (u32, u32, &'static str) {
        let acting = self.acting_now();
        (acting.rung, acting.wave, acting.step.name())
    }

    fn wave_guarded(&mut self, live: Observed) {
        let read = GuardRead { live, ..self.guard_read() };
        self.tell(&Event::GuardRead(read));
    }

    fn wave_began(&mut self) {
        let acting = self.acting_now();
        let (plan, rung, wave, attempt) = (self.plan(), acting.rung, acting.wave, acting.attempts + 1);
        let request = crate::request::Sent { approved: request(wave), ..sent() };
        self.tell(&Event::ShiftBegan(ShiftBegan { plan, rung, wave, attempt, request }));
    }

    fn wave_returned(&mut self, outcome: ShiftOutcome) {
        let acting = self.acting_now();
        let (plan, rung, wave, attempt) = (self.plan(), acting.rung, acting.wave, acting.attempts);
        self.tell(&Event::ShiftReturned(ShiftReturned { plan, rung, wave, attempt, outcome }));
    }

    fn wave_shifted(&mut self) {
        self.wave_began();
        self.wave_returned(ShiftOutcome::Done);
    }

    fn wave_read(&mut self, live: Observed) {
        let acting = self.acting_now();
        let (plan, rung, wave) = (self.plan(), acting.rung, acting.wave);
        let fingerprint = FingerprintWord::NotCompared;
        self.tell(&Event::ReadBack(ReadBack { plan, rung, wave, live, facets: Vec::new(), fingerprint }));
    }

    /// From the guard to what is read back.
    fn wave(&mut self, before: Observed, after: Observed) {
        self.wave_guarded(before);
        self.wave_shifted();
        self.wave_read(after);
    }

    fn wakes_after(&mut self, pause: Millis) {
        self.try_at(self.0.at + pause, &Event::Woke).unwrap();
    }

    fn word_on_wave(&self, said: Said<VerificationWord>, own_from: Option<UnixMillis>) -> Event {
        let acting = self.acting_now();
        let (plan, rung, wave) = (self.plan(), acting.rung, acting.wave);
        let (phase, round) = match acting.step {
            StepState::Looking { round, .. } => (TrialPhase::Wave(PlannedWave { plan, rung, wave }), round),
            StepState::Verifying { round, .. } => (TrialPhase::Rung(PlannedRung { plan, rung }), round),
            other => panic!("{other:?}"),
        };
        let (policy, data) = (policy(Role::Verification).policy, DataState::Complete);
        let role = Role::Verification;
        let decision = Decision { policy, role, recording: blob(), fuel: 1, rounds: 1, data };
        let asked = vec![VerificationAsked { decision, said, findings: None, memo: None }];
        let (cause, beside) = (None, Vec::new());
        Event::VerificationsAsked(VerificationsAsked { phase, round, asked, cause, own_from, beside })
    }

    fn wave_judged(&mut self, word: VerificationWord) {
        let event = self.word_on_wave(Said::Verdict(word), None);
        self.tell(&event);
    }

    /// The pause is over, and it is well.
    fn wave_is_well(&mut self) {
        self.wakes_after(PAUSE);
        self.wave_judged(VerificationWord::Healthy);
    }

    fn owes(&self, is: impl Fn(&Effect) -> bool) -> bool {
        self.0.owed().iter().any(is)
    }

    fn told_unjudged(&self) -> Vec<&str> {
        let unjudged = self.0.outbox.iter().filter(|told| told.topic == Topic::WaveNotJudged);
        unjudged.map(|told| told.text.as_str()).collect()
    }

    fn how_it_ended(&self) -> Outcome {
        match self.0.last_settled.as_ref().map(|incident| &incident.phase) {
            Some(Phase::Settled(outcome)) => outcome.clone(),
            other => panic!("{other:?}"),
        }
    }

    fn needed(&self) -> (NeedKind, &str) {
        let Phase::NeedsPerson(need) = &self.incident().phase else { panic!("{:?}", self.incident().phase) };
        (need.question, &need.text)
    }
}

#[test]
fn a_rung_is_shifted_place_by_place_with_a_look_between() {
    let mut stage = Stage::in_waves(&[place("eu"), place("us")], both("4", "4"), &["1"]);
    assert_eq!(stage.at_wave(), (0, 0, "guarding"));
    stage.wave_guarded(both("4", "4"));
    assert!(
        stage
            .owes(|owed| matches!(owed, Effect::Shift { wave: 0, request: sent, .. } if *sent == request(0)))
    );
    stage.wave_shifted();
    stage.wave_read(both("4", "4"));
    assert_eq!(stage.at_wave(), (0, 0, "reading back"), "it is not there yet");
    stage.wave_read(both("1", "4"));
    assert_eq!(stage.at_wave(), (0, 0, "between two waves"));
    let due = stage.0.at + PAUSE;
    assert!(stage.owes(|owed| *owed == Effect::WakeAt(due)), "{:?}", stage.0.owed());
    assert!(!stage.owes(|owed| matches!(owed, Effect::Look { .. })), "the pause comes first");
    let early = stage.word_on_wave(Said::Verdict(VerificationWord::Healthy), None);
    assert_eq!(stage.try_it(&early), Err(Illegal::Stale));
    stage.wakes_after(PAUSE);
    assert!(stage.owes(|owed| matches!(owed, Effect::Look { wave: 0, round: 1, .. })));
    stage.wave_judged(VerificationWord::Healthy);
    assert_eq!(stage.at_wave(), (0, 1, "guarding"));
    stage.wave_guarded(both("1", "4"));
    assert!(stage.owes(
        |owed| matches!(owed, Effect::Shift { wave: 1, attempt: 2, request: sent, .. } if *sent == request(1))
    ));
    stage.wave_shifted();
    stage.wave_read(both("1", "1"));
    stage.wave_is_well();
    stage.wave_guarded(both("1", "1"));
    assert_eq!(stage.at_wave(), (0, 2, "reading back"), "there is nothing left to be shifted");
    stage.wave_read(both("1", "1"));
    assert_eq!(stage.at_wave(), (0, 2, "verifying"));
    stage.wave_judged(VerificationWord::Healthy);
    assert_eq!(stage.how_it_ended(), Outcome::RolledBack);
    let Target::Version(bad) = version("4") else { panic!() };
    assert!(stage.0.is_held(&bad.version));
    assert!(stage.told().iter().any(|text| text.contains("shifts to version 1 (wave 2 of 3: place us)")));
}

#[test]
fn a_rung_is_shifted_share_by_share_and_the_last_wave_takes_the_rest() {
    let mut stage = Stage::in_waves(&[share(0.25)], serving("4"), &["1"]);
    stage.wave(serving("4"), part("1", 0.2));
    assert_eq!(stage.at_wave(), (0, 0, "reading back"));
    stage.wave_read(part("1", 0.25));
    stage.wave_is_well();
    stage.wave(part("1", 0.25), serving("1"));
    assert_eq!(stage.at_wave(), (0, 1, "verifying"), "what is last is verified at once");
}

#[test]
fn what_served_the_traffic_is_taken_away_after_the_traffic() {
    let mut stage = Stage::in_waves(&[share(1.0)], serving("4"), &["1"]);
    let all = live(&[("", "1", 1.0), ("", "4", 0.0)]);
    stage.wave(serving("4"), all.clone());
    stage.wave_is_well();
    stage.wave_guarded(all.clone());
    assert_eq!(stage.at_wave(), (0, 1, "shifting"), "all traffic is there, and what served it still stands");
    stage.wave_began();
    let busy = ShiftOutcome::NotApplied {
        reason: blob(),
        nature: FaultNature::Environmental,
        lies_in: FaultPlace::Target,
    };
    stage.wave_returned(busy);
    stage.wave_guarded(all);
    assert_eq!(stage.at_wave(), (0, 1, "shifting"), "it was not taken away");
    stage.wave_shifted();
    stage.wave_read(serving("1"));
    assert_eq!(stage.at_wave(), (0, 1, "verifying"));
}

#[test]
fn what_is_in_force_everywhere_already_is_not_shifted_in_waves() {
    let mut stage = Stage::in_waves(&[share(0.25), share(1.0)], serving("4"), &["1"]);
    stage.wave_guarded(serving("1"));
    assert_eq!(stage.at_wave(), (0, 2, "reading back"));
    stage.wave_read(serving("1"));
    stage.wave_judged(VerificationWord::Healthy);
    assert_eq!(stage.how_it_ended(), Outcome::RestoredElsewhere);
}

#[test]
fn a_wave_that_is_there_already_is_passed_over_to_its_look() {
    let mut stage = Stage::in_waves(&[place("eu")], both("1", "4"), &["1"]);
    stage.wave_guarded(both("1", "4"));
    assert_eq!(stage.at_wave(), (0, 0, "reading back"));
    stage.wave_read(both("1", "4"));
    stage.wave_is_well();
    assert_eq!(stage.at_wave(), (0, 1, "guarding"));
    assert!(!stage.incident().is_past_pivot(), "nothing was shifted");
    stage.wave(both("1", "4"), both("1", "1"));
    stage.wave_judged(VerificationWord::Healthy);
    assert_eq!(stage.how_it_ended(), Outcome::RolledBack);
    let Target::Version(target) = version("1") else { panic!() };
    assert_eq!(stage.0.known_of(&target.version).unwrap().left_at, None, "what is gone to is not left");
}

#[test]
fn a_wave_that_is_unwell_leads_to_the_next_rung_from_its_first_wave() {
    let mut stage = Stage::in_waves(&[place("eu"), place("us")], both("4", "4"), &["1", "2"]);
    stage.wave(both("4", "4"), both("1", "4"));
    stage.wave_is_well();
    stage.wave(both("1", "4"), both("1", "1"));
    stage.wakes_after(PAUSE);
    stage.wave_judged(VerificationWord::Unhealthy);
    assert_eq!(stage.at_wave(), (1, 0, "staging"));
    let (plan, rung) = (stage.plan(), 1);
    stage.tell(&Event::Staged(Staged { plan, rung, digest: None }));
    // Under what the failed rung left.
    stage.wave(both("1", "1"), both("2", "1"));
    stage.wave_is_well();
    stage.wave(both("2", "1"), both("2", "2"));
    stage.wave_is_well();
    stage.wave_guarded(both("2", "2"));
    stage.wave_read(both("2", "2"));
    stage.wave_judged(VerificationWord::Healthy);
    assert_eq!(stage.how_it_ended(), Outcome::RolledBack);
    let held: Vec<_> = stage.0.holds.keys().map(ToString::to_string).collect();
    assert_eq!(held, ["4"], "what a failed rung left is not condemned");
}

#[test]
fn the_next_rung_goes_on_from_half_of_the_places() {
    let mut stage = Stage::in_waves(&[place("eu")], both("4", "4"), &["1", "2"]);
    stage.wave(both("4", "4"), both("1", "4"));
    stage.wakes_after(PAUSE);
    stage.wave_judged(VerificationWord::Unhealthy);
    let (plan, rung) = (stage.plan(), 1);
    stage.tell(&Event::Staged(Staged { plan, rung, digest: None }));
    stage.wave_guarded(both("1", "4"));
    assert_eq!(stage.at_wave(), (1, 0, "shifting"));
}

#[test]
fn a_wave_that_nobody_can_judge_is_gone_on_from_after_the_deadline_and_people_are_told() {
    let mut stage = Stage::in_waves(&[place("eu")], both("4", "4"), &["1"]);
    stage.wave(both("4", "4"), both("1", "4"));
    stage.wakes_after(PAUSE);
    let again = stage.0.at + Millis::minutes(1);
    stage.wave_judged(VerificationWord::Inconclusive(again));
    assert!(stage.owes(|owed| *owed == Effect::WakeAt(again)));
    stage.wakes_after(Millis::minutes(1));
    let round = |stage: &Stage| match stage.acting_now().step {
        StepState::Looking { round, .. } => round,
        other => panic!("{other:?}"),
    };
    assert_eq!(round(&stage), 2);
    let fault = stage.word_on_wave(Said::Fault(FaultNature::Environmental), None);
    stage.tell(&fault);
    assert_eq!(round(&stage), 3);
    assert_eq!(stage.told_unjudged(), Vec::<&str>::new());
    stage.wakes_after(Millis::minutes(30));
    assert_eq!(stage.at_wave(), (0, 1, "guarding"));
    let told = stage.told_unjudged();
    assert!(matches!(told.as_slice(), [one] if one.contains("wave 1 of 2: place eu")), "{told:?}");
}

#[test]
fn a_fault_of_a_policy_holds_no_wave_up_for_good_and_people_are_told() {
    let mut stage = Stage::in_waves(&[place("eu")], both("4", "4"), &["1"]);
    stage.wave(both("4", "4"), both("1", "4"));
    stage.wakes_after(PAUSE);
    let fault = stage.word_on_wave(Said::Fault(FaultNature::Deterministic), None);
    stage.tell(&fault);
    assert_eq!(stage.at_wave(), (0, 1, "guarding"));
    assert!(stage.told_unjudged()[0].contains("a verification policy faulted"));
}

#[test]
fn the_harm_of_before_is_not_held_against_a_wave() {
    let mut stage = Stage::in_waves(&[place("eu")], both("4", "4"), &["1", "2"]);
    stage.wave(both("4", "4"), both("1", "4"));
    stage.wakes_after(PAUSE);
    let own_from = stage.0.at + Millis::minutes(2);
    let early = stage.word_on_wave(Said::Verdict(VerificationWord::Unhealthy), Some(own_from));
    stage.tell(&early);
    assert_eq!(stage.at_wave(), (0, 0, "between two waves"));
    assert!(stage.owes(|owed| *owed == Effect::WakeAt(own_from)));
    stage.wakes_after(Millis::minutes(2));
    let own = stage.word_on_wave(Said::Verdict(VerificationWord::Unhealthy), Some(own_from));
    stage.tell(&own);
    assert_eq!(stage.at_wave(), (1, 0, "staging"));
}

#[test]
fn what_somebody_moves_back_between_two_waves_voids_the_plan() {
    let look = |lost: Observed| {
        let mut stage = Stage::in_waves(&[place("eu")], both("4", "4"), &["1"]);
        stage.wave(both("4", "4"), both("1", "4"));
        stage.wakes_after(PAUSE);
        let (plan, rung, wave) = (stage.plan(), 0, 0);
        let told = stage.try_it(&Event::WaveLost(WaveLost { plan, rung, wave, live: lost }));
        (told, stage.phase())
    };
    assert_eq!(look(both("4", "4")), (Ok(()), "planning"));
    assert_eq!(look(both("1", "4")), (Err(Illegal::Stale), "between two waves"), "it is still there");
    assert_eq!(look(Observed::Unknown(blob())).0, Err(Illegal::Stale), "what cannot be read says nothing");
    let guard = |seen: Observed| {
        let mut stage = Stage::in_waves(&[place("eu"), place("us")], both("4", "4"), &["1"]);
        stage.wave(both("4", "4"), both("1", "4"));
        stage.wave_is_well();
        stage.wave_guarded(seen);
        stage.phase()
    };
    assert_eq!(guard(both("1", "4")), "shifting");
    assert_eq!(guard(both("4", "4")), "planning", "the first wave was taken back");
    assert_eq!(guard(both("1", "5")), "planning", "someone else deploys elsewhere");
    let one_more = live(&[("eu", "1", 1.0), ("us", "4", 1.0), ("ap", "4", 1.0)]);
    assert_eq!(guard(one_more), "planning", "a place that the plan does not know");
    assert_eq!(guard(Observed::Unknown(blob())), "guarding", "it is read again");
}

#[test]
fn a_plan_that_moves_at_once_is_voided_by_what_is_half_moved() {
    let mut stage = Stage::new(verified);
    stage.pull("ada", "1");
    let preserved = stage.preserved("4");
    stage.tell(&preserved);
    let draft = PlanDrafted { live: both("4", "4"), ..stage.draft(&["1"]) };
    let planned = stage.planned(PlanWord::Drafted(draft));
    stage.tell(&Event::Planned(planned));
    stage.approve("bob");
    stage.approve("cleo");
    stage.staged();
    stage.wave_guarded(both("1", "4"));
    assert_eq!(stage.phase(), "planning");
}

#[test]
fn what_is_said_of_another_wave_changes_nothing() {
    let mut stage = Stage::in_waves(&[place("eu"), place("us")], both("4", "4"), &["1"]);
    stage.wave(both("4", "4"), both("1", "4"));
    stage.wave_is_well();
    let (plan, rung, wave, attempt) = (stage.plan(), 0, 0, 2);
    let fingerprint = FingerprintWord::NotCompared;
    let request_of = |wave| crate::request::Sent { approved: request(wave), ..sent() };
    let guard = GuardRead { wave, live: both("1", "4"), ..stage.guard_read() };
    assert_eq!(stage.try_it(&Event::GuardRead(guard)), Err(Illegal::Stale));
    stage.wave_guarded(both("1", "4"));
    for began in [
        ShiftBegan { plan, rung, wave, attempt, request: request_of(0) },
        ShiftBegan { plan, rung, wave: 1, attempt, request: request_of(0) },
    ] {
        assert_eq!(stage.try_it(&Event::ShiftBegan(began.clone())), Err(Illegal::Stale), "{began:?}");
    }
    stage.wave_began();
    let (outcome, word) = (ShiftOutcome::Done, ProbeWord::Applied);
    let returned = ShiftReturned { plan, rung, wave, attempt, outcome };
    assert_eq!(stage.try_it(&Event::ShiftReturned(returned)), Err(Illegal::Stale));
    let probed = ShiftProbed { plan, rung, wave, attempt, word };
    assert_eq!(stage.try_it(&Event::ShiftProbed(probed)), Err(Illegal::Stale));
    stage.wave_returned(ShiftOutcome::Done);
    let read = ReadBack { plan, rung, wave, live: both("1", "1"), facets: Vec::new(), fingerprint };
    assert_eq!(stage.try_it(&Event::ReadBack(read)), Err(Illegal::Stale));
}

#[test]
fn a_pause_of_the_service_holds_the_next_wave() {
    let mut stage = Stage::in_waves(&[place("eu")], both("4", "4"), &["1"]);
    stage.wave(both("4", "4"), both("1", "4"));
    let paused = PersonSaid { person: super::stage::person("ada"), reason: blob() };
    stage.tell(&Event::Paused(paused.clone()));
    stage.wave_is_well();
    assert_eq!(stage.at_wave(), (0, 1, "guarding"));
    assert!(!stage.owes(|owed| matches!(owed, Effect::Guard { .. })));
    stage.tell(&Event::Resumed(paused));
    assert!(stage.owes(|owed| matches!(owed, Effect::Guard { wave: 1, .. })));
}

#[test]
fn what_is_agreed_is_asked_again_at_each_wave_and_mode_observe_stops_it() {
    let mut stage = Stage::in_waves(&[place("eu")], both("4", "4"), &["1"]);
    stage.wave(both("4", "4"), both("1", "4"));
    stage.wave_is_well();
    let mut other = Stage(stage.0.clone());
    stage.reconfigure(|terms| terms.floor = super::stage::approvers(3));
    stage.wave_guarded(both("1", "4"));
    assert_eq!(stage.phase(), "waiting for approval");
    stage.approve("dan");
    assert_eq!(stage.at_wave(), (0, 1, "guarding"), "it goes on where it was");
    other.reconfigure(|terms| terms.mode = Mode::Observe);
    other.wave_guarded(both("1", "4"));
    assert!(other.needed().1.contains("the mode is observe now"));
}

#[test]
fn a_pull_between_two_waves_takes_the_place_of_the_rest() {
    let mut stage = Stage::in_waves(&[place("eu")], both("4", "4"), &["1"]);
    stage.wave(both("4", "4"), both("1", "4"));
    stage.pull("bob", "2");
    assert_eq!(stage.phase(), "planning");
    let mut stage = Stage::in_waves(&[place("eu")], both("4", "4"), &["1"]);
    stage.wave_guarded(both("4", "4"));
    stage.wave_shifted();
    stage.pull("bob", "2");
    assert_eq!(stage.phase(), "reading back", "it waits until it is known what was done");
    stage.wave_read(both("1", "4"));
    assert_eq!(stage.phase(), "planning");
}

#[test]
fn the_waves_of_a_rung_are_one_shift_for_the_breaker() {
    let mut stage = Stage::new(|terms| {
        verified(terms);
        terms.mode = Mode::Act;
        terms.floor = Vec::new();
        terms.breaker.service_shifts_per_hour = 1;
    });
    stage.pull("ada", "1");
    let preserved = stage.preserved("4");
    stage.tell(&preserved);
    let draft = waved(&stage, &[place("eu"), place("us")], both("4", "4"), &["1"]);
    let planned = stage.planned(PlanWord::Drafted(draft));
    stage.tell(&Event::Planned(planned));
    if stage.phase() == "waiting for approval" {
        stage.approve("ada");
    }
    stage.staged();
    // As if no person had agreed.
    let Some(Phase::Acting(acting)) = stage.0.incident.as_mut().map(|open| &mut open.phase) else { panic!() };
    acting.grant.authority = Authority::Policies;
    stage.wave(both("4", "4"), both("1", "4"));
    assert_eq!(stage.0.automatic_shifts.len(), 1);
    stage.wave_is_well();
    stage.wave_guarded(both("1", "4"));
    assert_eq!(stage.at_wave(), (0, 1, "shifting"));
    stage.wave_began();
    assert_eq!(stage.0.automatic_shifts.len(), 1);
}

#[test]
fn what_is_waited_between_waves_is_not_taken_from_the_time_of_the_plan() {
    let long = Wave { pause: Millis::hours(3), ..place("eu") };
    let mut stage = Stage::in_waves(&[long], both("4", "4"), &["1"]);
    let expires = stage.incident().plan_expires_at().unwrap();
    stage.wave(both("4", "4"), both("1", "4"));
    stage.wakes_after(Millis::hours(3));
    stage.wave_judged(VerificationWord::Healthy);
    assert!(stage.incident().plan_expires_at().unwrap() >= expires + Millis::hours(3));
    stage.wave_guarded(both("1", "4"));
    assert_eq!(stage.at_wave(), (0, 1, "shifting"));
}

#[test]
fn a_clock_that_jumps_takes_nothing_from_a_pause() {
    let mut stage = Stage::in_waves(&[place("eu")], both("4", "4"), &["1"]);
    stage.wave(both("4", "4"), both("1", "4"));
    let by = Millis::hours(2);
    stage.try_at(stage.0.at + by, &Event::ClockJumped { by }).unwrap();
    stage.tell(&Event::Woke);
    assert!(!stage.owes(|owed| matches!(owed, Effect::Look { .. })));
    stage.wakes_after(PAUSE);
    assert!(stage.owes(|owed| matches!(owed, Effect::Look { .. })));
}

#[test]
fn a_step_of_a_wave_that_the_plan_does_not_list_is_not_done() {
    let mut stage = Stage::new(verified);
    stage.pull("ada", "1");
    let preserved = stage.preserved("4");
    stage.tell(&preserved);
    let mut draft = waved(&stage, &[place("eu")], both("4", "4"), &["1"]);
    draft.steps[0].retain(|step| (step.kind, step.wave) != (StepKind::Guard, Some(1)));
    let planned = stage.planned(PlanWord::Drafted(draft));
    stage.tell(&Event::Planned(planned));
    stage.approve("bob");
    stage.approve("cleo");
    stage.staged();
    stage.wave(both("4", "4"), both("1", "4"));
    stage.wave_is_well();
    assert!(stage.needed().1.contains("does not list the step `guard`"));
}

#[test]
fn waves_that_make_no_sense_are_no_plan() {
    let drafted = |waves: Vec<Wave>, targets: Option<Target>| {
        let mut stage = Stage::new(|_| ());
        stage.pull("ada", "1");
        let preserved = stage.preserved("4");
        stage.tell(&preserved);
        let mut draft = PlanDrafted { waves, ..stage.draft(&["1"]) };
        draft.targets = targets.map_or(draft.targets, |target| vec![target]);
        let planned = stage.planned(PlanWord::Drafted(draft));
        stage.try_it(&Event::Planned(planned))
    };
    assert_eq!(drafted(vec![place("eu"), Wave::REST], None), Ok(()));
    let many = (0..=WAVES_MAX).map(|index| place(&index.to_string())).chain([Wave::REST]).collect();
    let mode = crate::name::VersionName::new("rules").unwrap();
    let fallback = Target::Fallback(crate::target::FallbackTarget { mode, digest: None });
    for (waves, target) in [
        (vec![place("eu")], None),
        (vec![Wave::REST], None),
        (vec![Wave::REST, Wave::REST], None),
        (vec![share(0.5), share(0.25), Wave::REST], None),
        (many, None),
        (vec![place("eu"), Wave::REST], Some(fallback)),
    ] {
        assert_eq!(drafted(waves.clone(), target), Err(Illegal::Stale), "{waves:?}");
    }
}

#[test]
fn a_wave_needs_no_proof_and_what_is_last_does() {
    let mut stage = Stage::new(|terms| {
        verified(terms);
        terms.proof_min = Proof::Digest;
    });
    stage = stage.granted_in_waves(&[place("eu")], both("4", "4"), &["1"]);
    stage.wave(both("4", "4"), both("1", "4"));
    assert_eq!(stage.at_wave(), (0, 0, "between two waves"));
    stage.wave_is_well();
    stage.wave(both("1", "4"), both("1", "1"));
    assert_eq!(stage.at_wave(), (0, 1, "reading back"), "it is proved less strongly than is asked for");
}

#[test]
fn a_wave_that_is_interrupted_is_asked_about_and_not_ordered_again() {
    for (class, repeats) in [(EffectClass::Observable, false), (EffectClass::Idempotent, true)] {
        let mut stage = Stage::new(|terms| {
            verified(terms);
            terms.deployer = class;
        });
        stage = stage.granted_in_waves(&[place("eu")], both("4", "4"), &["1"]);
        stage.wave(both("4", "4"), both("1", "4"));
        stage.wave_is_well();
        stage.wave_guarded(both("1", "4"));
        stage.wave_began();
        assert_eq!(stage.owes(|owed| matches!(owed, Effect::Probe { wave: 1, .. })), !repeats);
        assert_eq!(
            stage.owes(
                |owed| matches!(owed, Effect::Repeat { wave: 1, request: sent, .. } if *sent == request(1))
            ),
            repeats
        );
    }
}

#[test]
fn without_verification_a_wave_waits_for_its_pause_and_no_word() {
    let mut stage = Stage::new(|_| ()).granted_in_waves(&[place("eu")], both("4", "4"), &["1"]);
    stage.wave(both("4", "4"), both("1", "4"));
    stage.wakes_after(PAUSE);
    assert!(stage.owes(|owed| matches!(owed, Effect::Look { .. })), "whether it is still there is looked at");
    let (plan, rung, wave) = (stage.plan(), 0, 0);
    let phase = TrialPhase::Wave(PlannedWave { plan, rung, wave });
    let (asked, beside) = (Vec::new(), Vec::new());
    let nobody = VerificationsAsked { phase, round: 1, asked, cause: None, own_from: None, beside };
    stage.tell(&Event::VerificationsAsked(nobody));
    assert_eq!(stage.at_wave(), (0, 1, "guarding"));
}

#[test]
fn what_was_tried_before_the_first_wave_is_not_tried_before_each() {
    let mut stage = Stage::new(|terms| {
        verified(terms);
        terms.preflight = PreflightRule::BestEffort;
    });
    stage.pull("ada", "1");
    let preserved = stage.preserved("4");
    stage.tell(&preserved);
    let draft = PlanDrafted { preflighted: true, ..waved(&stage, &[place("eu")], both("4", "4"), &["1"]) };
    let planned = stage.planned(PlanWord::Drafted(draft));
    stage.tell(&Event::Planned(planned));
    stage.approve("bob");
    stage.approve("cleo");
    stage.staged();
    assert_eq!(stage.phase(), "preflighting");
    let Some(Phase::Acting(acting)) = stage.0.incident.as_mut().map(|open| &mut open.phase) else { panic!() };
    acting.step = StepState::Guarding(crate::service::Waiting::from(stage.0.at));
    stage.wave(both("4", "4"), both("1", "4"));
    stage.wave_is_well();
    let (plan, rung, nature) = (stage.plan(), 0, FaultNature::Environmental);
    let lies_in = FaultPlace::Target;
    stage.tell(&Event::StageFailed(StageFailed { plan, rung, reason: blob(), nature, lies_in }));
    stage.staged();
    assert_eq!(stage.at_wave(), (0, 1, "guarding"));
}

#[test]
fn the_other_facets_stay_as_they_were_in_each_wave() {
    let facet = Facet::Configuration("limits".parse().unwrap());
    let in_force = |name: &str| {
        let revision = crate::name::VersionName::new(name).unwrap();
        let known = InForce { revision, digest: None, proof: Proof::Answer };
        vec![FacetRead { facet: facet.clone(), state: FacetState::InForce(known) }]
    };
    for (seen, phase) in [("7", "shifting"), ("8", "planning")] {
        let mut stage = Stage::new(verified);
        stage.pull("ada", "1");
        let preserved = stage.preserved("4");
        stage.tell(&preserved);
        let facets = in_force("7");
        let draft = PlanDrafted { facets, ..waved(&stage, &[place("eu")], both("4", "4"), &["1"]) };
        let planned = stage.planned(PlanWord::Drafted(draft));
        stage.tell(&Event::Planned(planned));
        stage.approve("bob");
        stage.approve("cleo");
        stage.staged();
        let read = GuardRead { live: both("4", "4"), facets: in_force("7"), ..stage.guard_read() };
        stage.tell(&Event::GuardRead(read));
        stage.wave_shifted();
        stage.wave_read(both("1", "4"));
        stage.wave_is_well();
        let read = GuardRead { live: both("1", "4"), facets: in_force(seen), ..stage.guard_read() };
        stage.tell(&Event::GuardRead(read));
        assert_eq!(stage.phase(), phase);
    }
}
