//! What a verification case tells of each subject.

#![allow(clippy::unwrap_used)]

use ripcord_sdk::contract::facts::{Detail, GoldenQuery, RecheckQuery, Request};
use ripcord_sdk::contract::types::{
    Context, Criticality, LiveState, Part, Plan, Rung, Service, Strategy, Target, VersionTarget,
};
use ripcord_sdk::contract::verification::{Preflight, Promotion, Rollback, Wave, WavePart};
use ripcord_sdk::prelude::{Facts, Proposal, Stop, Subject, VerificationCase};

fn version(name: &str) -> VersionTarget {
    VersionTarget { version: name.into(), digest: None }
}

fn plan() -> Plan {
    let rung = |target| Rung { target, steps: Vec::new() };
    Plan {
        format: 1,
        installation: String::new(),
        incident: "i".into(),
        number: 1,
        strategy: Strategy::Version,
        parts: vec![Part {
            service: "s".into(),
            environment: "e".into(),
            live: LiveState::Unknown(String::new()),
            facets: vec![],
            rungs: vec![
                rung(Target::Version(version("1"))),
                rung(Target::Version(version("2"))),
                rung(Target::Fallback("rules".into())),
            ],
        }],
        policies: Vec::new(),
        requested_by: Vec::new(),
        preflighted: false,
        drill: false,
        created_at: 0,
        expires_at: 9,
    }
}

fn case(subject: Subject) -> VerificationCase {
    let service = Service {
        name: "s".into(),
        environment: "e".into(),
        criticality: Criticality::Low,
        model: String::new(),
        labels: Vec::new(),
    };
    VerificationCase {
        context: Context {
            service,
            incident: None,
            now: 9,
            settings: "{}".into(),
            drill: false,
            live_since: None,
            memo: None,
        },
        subject,
        signals: Vec::new(),
        before: Vec::new(),
        previous: Vec::new(),
    }
}

fn rollback(rung: u32) -> VerificationCase {
    let (proposal, plan_digest) = (Proposal::new("why"), String::new());
    case(Subject::Rollback(Rollback { proposal, plan: plan(), plan_digest, rung, shifted_at: 7 }))
}

fn preflight(rung: u32) -> VerificationCase {
    let (proposal, plan_digest) = (Proposal::new("why"), String::new());
    case(Subject::Preflight(Preflight { proposal, plan: plan(), plan_digest, rung }))
}

fn wave(rung: u32) -> VerificationCase {
    let (proposal, plan_digest) = (Proposal::new("why"), String::new());
    let part = WavePart::Place("eu".into());
    let wave = Wave { proposal, plan: plan(), plan_digest, rung, number: 0, waves: 2, part, shifted_at: 7 };
    case(Subject::Wave(wave))
}

#[test]
fn a_wave_is_told_from_what_is_shifted_as_a_whole() {
    assert_eq!(wave(0).wave().map(|wave| (wave.number, wave.waves)), Some((0, 2)));
    for whole in [rollback(0), preflight(0), promotion()] {
        assert!(whole.wave().is_none());
    }
}

fn promotion() -> VerificationCase {
    case(Subject::Promotion(Promotion { version: version("3"), before: None, noticed_at: 8 }))
}

#[test]
fn the_target_and_since_when_it_is_live() {
    for (case, target, since) in [
        (rollback(1), Target::Version(version("2")), Some(7)),
        (rollback(2), Target::Fallback("rules".into()), Some(7)),
        (preflight(0), Target::Version(version("1")), None),
        (wave(1), Target::Version(version("2")), Some(7)),
        (promotion(), Target::Version(version("3")), Some(8)),
    ] {
        assert_eq!(case.target().unwrap(), target);
        assert_eq!(case.served_since(), since);
    }
    assert!(matches!(rollback(3).target(), Err(Stop::Fail(why)) if why.contains("no rung 3")));
}

#[test]
fn trials_reach_the_candidate_in_a_preflight_and_what_is_live_otherwise() {
    let facts = Facts::new(9, Vec::new());
    for (case, candidate) in [(rollback(1), None), (preflight(1), Some(version("2"))), (promotion(), None)] {
        let golden = case.golden(&facts, "set", Detail::Summary).unwrap();
        let query =
            GoldenQuery { dataset: "set".into(), candidate: candidate.clone(), detail: Detail::Summary };
        assert_eq!(*golden.request(), Request::Golden(query));
        let recheck = case.recheck(&facts, 5, Detail::Rows).unwrap();
        let query = RecheckQuery { candidate, limit: 5, detail: Detail::Rows };
        assert_eq!(*recheck.request(), Request::Recheck(query));
    }
    let fallback = preflight(2);
    assert!(matches!(fallback.golden(&facts, "set", Detail::Summary), Err(Stop::Fail(_))));
}
