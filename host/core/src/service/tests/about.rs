//! What people and effects say is about one incident, plan, rung and attempt, and says nothing of the next.

use super::stage::{Stage, blob, person, serving, version};
use crate::digest::Digest;
use crate::event::*;
use crate::name::{IncidentId, VersionName};
use crate::service::{Illegal, Phase, StepState};
use crate::terms::{EffectClass, Terms};
use crate::time::Millis;

/// A service whose first incident was aborted and whose second is open, with what people say of the first.
fn second_incident() -> (Stage, AboutIncident) {
    let mut stage = Stage::new(|_| ());
    stage.pull("ada", "1");
    let first = stage.about("bob");
    stage.tell(&Event::Aborted(first.clone()));
    stage.pull("ada", "2");
    (stage, first)
}

#[test]
fn what_is_said_of_an_incident_that_is_over_does_not_hit_the_next() {
    let (mut stage, first) = second_incident();
    let answer = ShiftAnswered {
        incident: first.incident.clone(),
        question: 1,
        person: person("bob"),
        applied: Happened::NotApplied,
        reason: blob(),
    };
    for said in [Event::Aborted(first.clone()), Event::Dismissed(first), Event::ShiftAnswered(answer)] {
        let refused = stage.try_it(&said).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "incident `fraud-api:1` is not open: `fraud-api:2` is; look at it with `ripcord incidents show fraud-api:2`, and say what is to be done with that one"
        );
    }
}

#[test]
fn what_is_said_of_an_incident_that_is_over_is_refused_where_none_is_open() {
    let (mut stage, first) = second_incident();
    let second = stage.about("bob");
    stage.tell(&Event::Dismissed(second));
    assert!(matches!(stage.try_it(&Event::Aborted(first)), Err(Illegal::NotOpen(_))));
}

#[test]
fn a_pull_joins_the_incident_that_it_was_meant_for_or_none() {
    let (mut stage, first) = second_incident();
    let mut pull = |incident: Option<IncidentId>| {
        stage.try_it(&Event::PullRequested(PullRequested {
            incident,
            person: person("ada"),
            roles: Vec::new(),
            target: Some(version("3")),
            reason: blob(),
            urgency: crate::role::Urgency::Urgent,
            leaving: crate::plan::Leaving::Condemn,
            pending: PendingPlan::Replace,
            break_glass: false,
        }))
    };
    assert!(matches!(pull(Some(first.incident)), Err(Illegal::OtherIncident { .. })));
    assert!(matches!(pull(None), Err(Illegal::OtherIncident { meant: None, .. })), "it was to open one");
}

#[test]
fn results_for_an_earlier_plan_are_none_for_the_one_at_hand() {
    let mut stage = Stage::at_the_shift();
    let earlier = stage.plan();
    let before = stage.0.clone();
    stage.pull("ada", "2");
    let planned_before = stage.planned(PlanWord::NothingSuitable(blob()));
    stage.pull("ada", "3");
    let evidence = stage.preserved("4");
    assert_eq!(stage.try_it(&evidence), Err(Illegal::Stale), "it is preserved");
    assert_eq!(stage.try_it(&Event::Planned(planned_before)), Err(Illegal::Stale), "another wish");
    stage.plan_for(&["3"]);
    stage.approve("bob");
    stage.approve("cleo");
    // Each of these fits the state that it is tried in, but for its plan.
    let refused = |stage: &mut Stage, event: Event| {
        assert_eq!(stage.try_it(&event), Err(Illegal::Stale), "{event:?}");
    };
    refused(&mut stage, Event::Staged(Staged { plan: earlier, rung: 0, digest: None }));
    let nature = FaultNature::Deterministic;
    refused(
        &mut stage,
        Event::StageFailed(StageFailed {
            plan: earlier,
            rung: 0,
            reason: blob(),
            nature,
            lies_in: FaultPlace::Target,
        }),
    );
    stage.staged();
    let guard = GuardRead { plan: earlier, ..stage.guard_read() };
    refused(&mut stage, Event::GuardRead(guard));
    let guard = GuardRead { attempt: 2, ..stage.guard_read() };
    refused(&mut stage, Event::GuardRead(guard));
    stage.guard();
    refused(
        &mut stage,
        Event::ShiftBegan(ShiftBegan {
            plan: earlier,
            rung: 0,
            wave: 0,
            attempt: 1,
            request: super::stage::sent(),
        }),
    );
    let plan = stage.plan();
    stage.tell(&Event::ShiftBegan(ShiftBegan {
        plan,
        rung: 0,
        wave: 0,
        attempt: 1,
        request: super::stage::sent(),
    }));
    let outcome = ShiftOutcome::Done;
    refused(
        &mut stage,
        Event::ShiftReturned(ShiftReturned { plan: earlier, rung: 0, wave: 0, attempt: 1, outcome }),
    );
    let word = ProbeWord::Applied;
    refused(
        &mut stage,
        Event::ShiftProbed(ShiftProbed { plan: earlier, rung: 0, wave: 0, attempt: 1, word }),
    );
    stage.tell(&Event::ShiftReturned(ShiftReturned {
        plan,
        rung: 0,
        wave: 0,
        attempt: 1,
        outcome: ShiftOutcome::Done,
    }));
    let read = |plan: Digest| ReadBack {
        plan,
        rung: 0,
        wave: 0,
        live: serving("3"),
        facets: Vec::new(),
        fingerprint: FingerprintWord::NotCompared,
    };
    refused(&mut stage, Event::ReadBack(read(earlier)));
    let listed = |plan: Digest| {
        Event::OutputsListed(OutputsListed { plan, rung: 0, word: OutputsWord::Listed(blob()) })
    };
    refused(&mut stage, listed(earlier));
    let phase = stage.0.incident.clone();
    stage.tell(&listed(plan));
    assert_eq!(stage.0.incident, phase, "what a job has made is for people");
    stage.tell(&Event::ReadBack(read(plan)));
    refused(&mut stage, listed(plan));
    assert_eq!(stage.phase(), "none", "without verification policies it is settled");
    drop(before);
}

#[test]
fn verification_of_an_earlier_plan_settles_nothing() {
    let mut stage =
        Stage::new(|terms| terms.policies.push(super::stage::policy(crate::policy::Role::Verification)));
    stage.pull("ada", "4");
    stage.plan_for(&["4"]);
    stage.approve("bob");
    stage.approve("cleo");
    let earlier = stage.plan();
    stage.staged();
    // Live is the target already.
    stage.guard();
    let read = ReadBack {
        plan: earlier,
        rung: 0,
        wave: 0,
        live: serving("4"),
        facets: Vec::new(),
        fingerprint: FingerprintWord::NotCompared,
    };
    stage.tell(&Event::ReadBack(read));
    assert_eq!(stage.phase(), "verifying");
    let phase = TrialPhase::Rung(PlannedRung { plan: Digest::of("another plan"), rung: 0 });
    let asked = VerificationsAsked {
        phase,
        round: 1,
        asked: Vec::new(),
        cause: None,
        own_from: None,
        beside: Vec::new(),
    };
    assert_eq!(stage.try_it(&Event::VerificationsAsked(asked)), Err(Illegal::Stale));
    let ran = TrialRan { phase, round: 1, request: Digest::of("request"), result: blob() };
    assert_eq!(stage.try_it(&Event::TrialRan(ran)), Err(Illegal::Stale));
}

#[test]
fn an_answer_to_one_question_is_none_to_the_next() {
    let blind = |terms: &mut Terms| terms.deployer = EffectClass::Blind;
    let mut stage = Stage::at_the_shift();
    stage.reconfigure(blind);
    stage.guard();
    let plan = stage.plan();
    let question = |stage: &mut Stage, attempt: u32| {
        stage.tell(&Event::ShiftBegan(ShiftBegan {
            plan,
            rung: 0,
            wave: 0,
            attempt,
            request: super::stage::sent(),
        }));
        let outcome = ShiftOutcome::Unknown(blob());
        stage.tell(&Event::ShiftReturned(ShiftReturned { plan, rung: 0, wave: 0, attempt, outcome }));
        assert_eq!(stage.phase(), "needs a person");
    };
    question(&mut stage, 1);
    assert!(stage.told().last().unwrap().contains("answer fraud-api:1 applied`"), "{:?}", stage.told());
    let answer = |question| ShiftAnswered {
        incident: IncidentId::new("fraud-api:1").unwrap(),
        question,
        person: person("ada"),
        applied: Happened::NotApplied,
        reason: blob(),
    };
    stage.tell(&Event::ShiftAnswered(answer(1)));
    let due = stage.0.at + Millis::minutes(1);
    stage.try_at(due, &Event::Woke).unwrap();
    stage.guard();
    question(&mut stage, 2);
    assert!(stage.told().last().unwrap().contains("not-applied --question 2`"), "{:?}", stage.told());
    let late = stage.try_it(&Event::ShiftAnswered(answer(1))).unwrap_err();
    assert!(late.to_string().contains("add `--question 2`"), "{late}");
    assert_eq!(stage.phase(), "needs a person");
    stage.tell(&Event::ShiftAnswered(answer(2)));
    assert!(
        matches!(&stage.incident().phase, Phase::Acting(acting) if matches!(acting.step, StepState::Guarding(_)))
    );
}

/// A service whose version `4` was condemned by its first incident.
pub(super) fn condemned() -> Stage {
    restored(Stage::at_the_shift())
}

/// The shift to `1` was made and read back.
pub(super) fn restored(stage: Stage) -> Stage {
    let mut stage = stage;
    let plan = stage.plan();
    stage.tell(&Event::ShiftBegan(ShiftBegan {
        plan,
        rung: 0,
        wave: 0,
        attempt: 1,
        request: super::stage::sent(),
    }));
    stage.tell(&Event::ShiftReturned(ShiftReturned {
        plan,
        rung: 0,
        wave: 0,
        attempt: 1,
        outcome: ShiftOutcome::Done,
    }));
    let fingerprint = FingerprintWord::NotCompared;
    stage.tell(&Event::ReadBack(ReadBack {
        plan,
        rung: 0,
        wave: 0,
        live: serving("1"),
        facets: Vec::new(),
        fingerprint,
    }));
    assert_eq!(stage.0.holds.len(), 1, "{:#?}", stage.0);
    stage
}

#[test]
fn a_hold_is_lifted_for_the_reason_that_was_looked_at_and_marked_as_it_is_now() {
    let mut stage = condemned();
    let (held, hold) =
        stage.0.holds.first_key_value().map(|(held, hold)| (held.clone(), hold.clone())).unwrap();
    let lift = |incident: &str| {
        Event::HoldLifted(AboutHold {
            revision: held.clone(),
            incident: IncidentId::new(incident).unwrap(),
            person: person("ada"),
            reason: blob(),
        })
    };
    assert!(matches!(stage.try_it(&lift("fraud-api:7")), Err(Illegal::OtherHold { .. })));
    stage.tell(&lift("fraud-api:1"));
    // The mark of before, which arrives now, does not take the hold for lifted in the registry.
    let version = held.version().unwrap();
    let marked =
        |incident| Event::HoldMarked(HoldMarked { version: version.clone(), incident, failed: None });
    assert_eq!(stage.try_it(&marked(Some(hold.incident))), Err(Illegal::Stale));
    stage.tell(&marked(None));
    assert!(stage.0.holds.is_empty());
}

#[test]
fn a_look_at_production_from_before_a_rollback_breaks_no_hold() {
    let mut stage = condemned();
    let seen = |after: Option<IncidentId>| {
        Event::ProductionWatched(ProductionWatched {
            not_before: None,
            after,
            live: serving("4"),
            facets: Vec::new(),
            in_production: InProduction::Unsupported,
            unread: Vec::new(),
        })
    };
    assert_eq!(stage.try_it(&seen(None)), Err(Illegal::Stale));
    stage.tell(&seen(stage.0.ended_last()));
    assert_eq!(stage.id().as_str(), "fraud-api:2", "the held version is back");
}

#[test]
fn a_name_that_is_still_to_be_moved_away_was_not_moved_back() {
    let mut stage = Stage::new(|_| ());
    // As an earlier incident left it; then someone put `4` live, and the registry was slow when evidence was preserved.
    stage.0.production.name = Some(InProduction::Version(VersionName::new("1").unwrap()));
    stage.pull("ada", "1");
    stage.tell(&Event::EvidencePreserved(EvidencePreserved {
        incident: stage.id(),
        items: Vec::new(),
        missing: Vec::new(),
        live: serving("4"),
        facets: Vec::new(),
        in_production: InProduction::Unknown(blob()),
        facts: None,
    }));
    stage.plan_for(&["1"]);
    stage.approve("bob");
    stage.approve("cleo");
    stage.staged();
    stage.guard();
    let mut stage = restored(stage);
    let seen = |stage: &Stage| {
        let after = stage.0.ended_last();
        let in_production = InProduction::Version(VersionName::new("4").unwrap());
        let (live, unread) = (serving("1"), Vec::new());
        Event::ProductionWatched(ProductionWatched {
            not_before: None,
            after,
            live,
            facets: Vec::new(),
            in_production,
            unread,
        })
    };
    let look = seen(&stage);
    stage.tell(&look);
    assert_eq!(stage.phase(), "none", "it is where it was all the time");
    let (incident, version) = (IncidentId::new("fraud-api:1").unwrap(), VersionName::new("1").unwrap());
    let word =
        PromotionWord::Moved { from: Some(VersionName::new("4").unwrap()), request: super::stage::sent() };
    stage.tell(&Event::Promoted(Promoted { incident, version, word }));
    stage.tell(&look);
    assert_eq!(stage.id().as_str(), "fraud-api:2", "the name is back on the held version");
}

#[test]
fn people_hear_once_that_production_cannot_be_read() {
    let mut stage = condemned();
    let after = stage.0.ended_last();
    let seen = |live| {
        let (after, in_production) = (after.clone(), InProduction::Unsupported);
        let unread =
            if matches!(live, Observed::Unknown(_)) { vec![ProductionPart::Live] } else { Vec::new() };
        Event::ProductionWatched(ProductionWatched {
            not_before: None,
            after,
            live,
            facets: Vec::new(),
            in_production,
            unread,
        })
    };
    let told = |stage: &Stage| {
        stage.told().iter().filter(|text| text.contains("a held version that comes back")).count()
    };
    stage.tell(&seen(Observed::Unknown(blob())));
    stage.tell(&seen(Observed::Unknown(blob())));
    assert_eq!(told(&stage), 1);
    stage.tell(&seen(serving("1")));
    stage.tell(&seen(Observed::Unknown(blob())));
    assert_eq!(told(&stage), 2);
}
