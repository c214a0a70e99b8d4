//! What was seen before a version was live is not held against it, and what lies in the place is held against no version.

use super::stage::{Stage, blob, policy, serving};
use crate::event::*;
use crate::facet::Revision;
use crate::name::VersionName;
use crate::policy::Role;
use crate::service::{NeedKind, Phase, StepState};
use crate::standing::Standing;
use crate::time::{Millis, UnixMillis};

/// A plan with these targets is granted, and the first one is about to be shifted to.
fn at_the_shift(targets: &[&str]) -> Stage {
    let mut stage = Stage::new(|terms| terms.policies = vec![policy(Role::Verification)]);
    stage.pull("ada", targets[0]);
    stage.plan_for(targets);
    stage.approve("bob");
    stage.approve("cleo");
    stage.staged();
    stage.guard();
    stage
}

fn rung(stage: &Stage) -> u32 {
    match &stage.incident().phase {
        Phase::Acting(acting) => acting.rung,
        other => panic!("{other:?}"),
    }
}

/// From the guard to the verification of the rung at hand.
fn shifted(stage: &mut Stage, live: &str) {
    let (plan, rung) = (stage.plan(), rung(stage));
    stage.tell(&Event::ShiftBegan(ShiftBegan {
        plan,
        rung,
        wave: 0,
        attempt: 1,
        request: super::stage::sent(),
    }));
    let outcome = ShiftOutcome::Done;
    stage.tell(&Event::ShiftReturned(ShiftReturned { plan, rung, wave: 0, attempt: 1, outcome }));
    let fingerprint = FingerprintWord::NotCompared;
    stage.tell(&Event::ReadBack(ReadBack {
        plan,
        rung,
        wave: 0,
        live: serving(live),
        facets: Vec::new(),
        fingerprint,
    }));
    assert_eq!(stage.phase(), "verifying");
}

/// The next rung, whose guard sees what was left.
fn shifted_next(stage: &mut Stage, from: &str, to: &str) {
    let (plan, rung) = (stage.plan(), rung(stage));
    stage.tell(&Event::Staged(Staged { plan, rung, digest: None }));
    let read = GuardRead { live: serving(from), ..stage.guard_read() };
    stage.tell(&Event::GuardRead(read));
    shifted(stage, to);
}

fn judged(stage: &mut Stage, word: VerificationWord, own_from: Option<UnixMillis>) {
    let Phase::Acting(acting) = &stage.incident().phase else { panic!("{:?}", stage.incident().phase) };
    let StepState::Verifying { round, .. } = acting.step else { panic!("{:?}", acting.step) };
    let phase = TrialPhase::Rung(PlannedRung { plan: stage.plan(), rung: acting.rung });
    let asked = vec![verification(word)];
    stage.tell(&Event::VerificationsAsked(VerificationsAsked {
        phase,
        round,
        asked,
        cause: None,
        own_from,
        beside: Vec::new(),
    }));
}

fn verification(word: VerificationWord) -> VerificationAsked {
    let (policy, data) = (policy(Role::Verification).policy, DataState::Complete);
    let decision = Decision { policy, role: Role::Verification, recording: blob(), fuel: 1, rounds: 1, data };
    VerificationAsked { decision, said: Said::Verdict(word), findings: None, memo: None }
}

fn need(stage: &Stage) -> &str {
    match &stage.incident().phase {
        Phase::NeedsPerson(need) => {
            assert_eq!(need.question, NeedKind::WhatNow);
            &need.text
        }
        other => panic!("{other:?}"),
    }
}

fn watched(stage: &Stage, live: &str) -> Event {
    let (after, unread) = (stage.0.ended_last(), Vec::new());
    let in_production = InProduction::Unsupported;
    Event::ProductionWatched(ProductionWatched {
        not_before: None,
        after,
        live: serving(live),
        facets: Vec::new(),
        in_production,
        unread,
    })
}

#[test]
fn since_when_something_is_live_is_known_from_when_it_was_seen_to_become_so() {
    let mut stage = Stage::new(|_| ());
    let first = watched(&stage, "4");
    stage.tell(&first);
    assert_eq!(stage.0.production.since, None, "it was live already");
    let other = watched(&stage, "5");
    stage.tell(&other);
    assert_eq!(stage.0.production.since, Some(stage.0.at));
    let noticed_at = stage.0.at;
    let same = watched(&stage, "5");
    stage.tell(&same);
    assert_eq!((stage.0.production.since, &stage.0.production.brought_by), (Some(noticed_at), &None));

    let mut stage = at_the_shift(&["1"]);
    let before = stage.0.at;
    shifted(&mut stage, "1");
    let production = &stage.0.production;
    assert_eq!(production.since, Some(stage.0.at), "since the read-back, not since the shift was begun");
    assert!(stage.0.at > before);
    assert_eq!(production.brought_by, Some(stage.id()));
}

/// A version that begins anew serves nothing for a look, and is the same one afterwards.
#[test]
fn a_moment_without_any_version_is_no_change() {
    let mut stage = Stage::new(|_| ());
    for version in ["4", "5"] {
        let seen = watched(&stage, version);
        stage.tell(&seen);
    }
    let since = stage.0.production.since;
    assert!(since.is_some());
    let Event::ProductionWatched(look) = watched(&stage, "5") else { panic!() };
    stage.tell(&Event::ProductionWatched(ProductionWatched { live: Observed::Serving(Vec::new()), ..look }));
    let back = watched(&stage, "5");
    stage.tell(&back);
    assert_eq!(stage.0.production.since, since);
}

/// Two replicas behind one address of which one is behind, or a server that answers so: nothing is live for long, which must hide no harm.
#[test]
fn what_goes_back_and_forth_is_live_since_nobody_knows_when() {
    let mut stage = Stage::new(|_| ());
    let mut known = Vec::new();
    for look in 0..12 {
        let seen = watched(&stage, if look % 2 == 0 { "4" } else { "5" });
        stage.tell(&seen);
        known.push(stage.0.production.since.is_some());
    }
    // The first look, four changes that are taken at their word, and no more.
    assert_eq!(known, [vec![false], vec![true; 4], vec![false; 7]].concat());
    assert!(stage.0.production.changes.len() <= 5, "{:?}", stage.0.production.changes);
    // An hour of quiet, and a change is one again.
    stage.try_at(stage.0.at + Millis::hours(2), &Event::Woke).unwrap();
    let seen = watched(&stage, "6");
    stage.tell(&seen);
    assert_eq!(stage.0.production.since, Some(stage.0.at));
}

#[test]
fn a_word_that_may_be_about_the_time_before_the_shift_is_put_off() {
    let mut stage = at_the_shift(&["1", "2"]);
    shifted(&mut stage, "1");
    let own_from = stage.0.at + Millis::minutes(20);
    judged(&mut stage, VerificationWord::Unhealthy, Some(own_from));
    let Phase::Acting(acting) = &stage.incident().phase else { panic!() };
    assert!(matches!(acting.step, StepState::Verifying { due_at: Some(due), .. } if due == own_from));
    // Once the values tell of its own time alone it counts.
    stage.try_at(own_from, &Event::Woke).unwrap();
    judged(&mut stage, VerificationWord::Unhealthy, Some(own_from));
    assert_eq!((stage.phase(), rung(&stage)), ("staging", 1));

    // Or it has become well.
    let mut stage = at_the_shift(&["1", "2"]);
    shifted(&mut stage, "1");
    let own_from = stage.0.at + Millis::minutes(20);
    judged(&mut stage, VerificationWord::Unhealthy, Some(own_from));
    stage.try_at(own_from, &Event::Woke).unwrap();
    judged(&mut stage, VerificationWord::Healthy, None);
    assert_eq!(stage.phase(), "none", "settled");
}

#[test]
fn people_are_asked_where_that_would_take_longer_than_verification_may() {
    let mut stage = at_the_shift(&["1", "2"]);
    shifted(&mut stage, "1");
    let own_from = stage.0.at + Millis::hours(6);
    judged(&mut stage, VerificationWord::Unhealthy, Some(own_from));
    assert!(need(&stage).contains("values that reach back beyond the shift"), "{}", need(&stage));
    stage.tell_with(|stage| Event::Dismissed(stage.about("ada")));
    assert!(stage.0.production.serves(&Revision::of_model(&VersionName::new("1").unwrap())), "it stays");
}

#[test]
fn not_every_good_version_is_taken_away_in_turn() {
    let mut stage = at_the_shift(&["1", "2", "3"]);
    shifted(&mut stage, "1");
    judged(&mut stage, VerificationWord::Unhealthy, None);
    assert_eq!((stage.phase(), rung(&stage)), ("staging", 1), "one may be bad itself");
    shifted_next(&mut stage, "1", "2");
    judged(&mut stage, VerificationWord::Unhealthy, None);
    let why = need(&stage);
    assert!(why.contains("the breaker: 2 targets") && why.contains("another than the model"), "{why}");
    assert_eq!(stage.incident().ladder.tried.len(), 2);
    let standing = stage.0.standing_of(&VersionName::new("2").unwrap(), stage.0.at);
    assert_ne!(standing, Standing::Condemned, "what is live now was not left");
}

#[test]
fn what_someone_put_live_is_not_found_unwell_by_what_was_before() {
    let mut stage = Stage::new(|terms| terms.policies = vec![policy(Role::Verification)]);
    for live in ["4", "5"] {
        let look = watched(&stage, live);
        stage.tell(&look);
    }
    let since = stage.0.probation.as_ref().unwrap().since;
    let own_from = since + Millis::minutes(30);
    let judged = |round, own_from| {
        Event::VerificationsAsked(VerificationsAsked {
            phase: TrialPhase::Probation(since),
            round,
            asked: vec![verification(VerificationWord::Unhealthy)],
            cause: Some(blob()),
            own_from,
            beside: Vec::new(),
        })
    };
    stage.tell(&judged(1, Some(own_from)));
    assert_eq!(stage.phase(), "none");
    assert_eq!(stage.0.probation.as_ref().unwrap().due_at, Some(own_from));
    stage.try_at(own_from, &Event::Woke).unwrap();
    stage.tell(&judged(2, None));
    assert_eq!(stage.phase(), "preserving evidence");
}

#[test]
fn what_lies_in_the_place_is_not_tried_with_every_target() {
    let mut stage = at_the_shift(&["1", "2"]);
    let (plan, nature) = (stage.plan(), FaultNature::Deterministic);
    stage.tell(&Event::ShiftBegan(ShiftBegan {
        plan,
        rung: 0,
        wave: 0,
        attempt: 1,
        request: super::stage::sent(),
    }));
    let outcome = ShiftOutcome::NotApplied { reason: blob(), nature, lies_in: FaultPlace::Place };
    stage.tell(&Event::ShiftReturned(ShiftReturned { plan, rung: 0, wave: 0, attempt: 1, outcome }));
    assert!(need(&stage).contains("lies in the place"), "{}", need(&stage));

    // One that may pass is tried again first, and asked about when its time is up.
    let mut stage = at_the_shift(&["1", "2"]);
    let limit = stage.0.at + stage.0.terms.as_ref().unwrap().deadlines.read_back;
    for attempt in 1.. {
        let (plan, nature) = (stage.plan(), FaultNature::Environmental);
        stage.tell(&Event::ShiftBegan(ShiftBegan {
            plan,
            rung: 0,
            wave: 0,
            attempt,
            request: super::stage::sent(),
        }));
        let outcome = ShiftOutcome::NotApplied { reason: blob(), nature, lies_in: FaultPlace::Place };
        stage.tell(&Event::ShiftReturned(ShiftReturned { plan, rung: 0, wave: 0, attempt, outcome }));
        if stage.phase() != "guarding" {
            break;
        }
        stage.try_at(stage.0.at + Millis::minutes(1), &Event::Woke).unwrap();
        stage.guard();
    }
    assert!(stage.0.at >= limit && need(&stage).contains("lies in the place"), "{}", need(&stage));

    // So is a disk on which no artefact fits.
    let mut stage = Stage::new(|_| ());
    stage.pull("ada", "1");
    stage.plan_for(&["1", "2"]);
    stage.approve("bob");
    stage.approve("cleo");
    let (plan, nature) = (stage.plan(), FaultNature::Deterministic);
    let failed = StageFailed { plan, rung: 0, reason: blob(), nature, lies_in: FaultPlace::Place };
    stage.tell(&Event::StageFailed(failed.clone()));
    assert!(need(&stage).contains("could not be put on this machine"), "{}", need(&stage));
}
