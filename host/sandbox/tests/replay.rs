//! A recorded decision is made again from its recording and its component alone.

#![allow(clippy::panic, reason = "a test says what it found")]

use std::collections::BTreeMap;

use crate::kit::{ALL_KINDS, FACTS, Guest, IGNORE, NEED_LIVE, fact, limits, question, sandbox};
use ciborium::Value;
use ripcord_core::blob::{BlobKind, BlobRef, Salt, commit};
use ripcord_core::canonical;
use ripcord_core::digest::Digest;
use ripcord_core::fact::{self, Fact, Request, STORED_ALONE_BYTES_MIN};
use ripcord_sandbox::{
    Difference, FaultKind, FuelCheck, Limits, Policy, Progress, RecordedEnd, Recording, RecordingError,
    Replayed, prune,
};

/// Asks for live, logs, and rolls back to nothing but a text: it stands down if the fact's id begins with `f`, else ignores.
fn judges_its_fact() -> Guest {
    let log = "(call $log (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 40000) (i32.const 5))";
    let first_byte = "(i32.load8_u (i32.load (i32.load offset=128 (local.get $in))))";
    let stand_down = "(i32.store offset=16 (global.get $result) (i32.const 3))
        (i32.store offset=24 (global.get $result) (i32.const 40000)) (i32.store offset=28 (global.get $result) (i32.const 5))";
    Guest::with(
        format!(
            "(if (result i32) {FACTS}
               (then {log} (if (i32.eq {first_byte} (i32.const 102)) (then {stand_down})) {IGNORE})
               (else {NEED_LIVE}))"
        ),
        "(data (i32.const 40000) \"seen!\")",
    )
}

/// A decision that refers to nothing, made again.
fn replay(policy: &Policy, recording: &[u8]) -> Result<Replayed, RecordingError> {
    ripcord_sandbox::replay(policy, recording, &BTreeMap::new())
}

fn load(guest: &Guest) -> Policy {
    sandbox().load(&guest.component()).expect("loads")
}

fn record(policy: &Policy, limits: &Limits) -> Vec<u8> {
    let mut deciding = policy.begin(&question(), &ALL_KINDS, limits);
    while let Progress::Need(requests) = deciding.call() {
        let facts = requests.into_iter().map(|request| fact("f1", request)).collect();
        deciding.add_facts(facts).expect("answers");
    }
    deciding.finish().expect("records")
}

fn same() -> Replayed {
    Replayed::Same { fuel: FuelCheck::Same }
}

/// Changes what is at `path` in the recording.
fn doctor(recording: &[u8], path: &[&str], change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut value: Value = canonical::from_cbor(recording).expect("cbor");
    let mut at = &mut value;
    for step in path {
        at = match at {
            Value::Map(entries) => {
                &mut entries.iter_mut().find(|(key, _)| key.as_text() == Some(step)).expect("a field").1
            }
            Value::Array(items) => &mut items[step.parse::<usize>().expect("an index")],
            other => panic!("{other:?} has no {step}"),
        };
    }
    change(at);
    canonical::cbor(&value).expect("cbor")
}

#[test]
fn the_same_verdict_for_the_same_fuel() {
    let policy = load(&judges_its_fact());
    let recording = record(&policy, &limits());
    for _ in 0..3 {
        assert_eq!(replay(&policy, &recording).expect("replays"), same());
    }
    let read = Recording::read(&recording).expect("reads");
    assert_eq!((read.contract.as_str(), read.rounds.len()), ("0.1.0", 2));
    assert_eq!((read.rounds[0].facts, read.rounds[1].facts), (0, 1));
    assert_eq!(read.rounds[0].requests, ["Live"]);
    assert_eq!(read.rounds[1].log[0].text, "seen!");
    let RecordedEnd::Done(answer) = &read.end else { panic!("no answer") };
    assert_eq!(answer["trigger"]["verdict"]["StandDown"], "seen!");
}

#[test]
fn a_doctored_fact_is_found() {
    let policy = load(&judges_its_fact());
    let recording = record(&policy, &limits());
    let doctored =
        doctor(&recording, &["question", "trigger", "facts", "0", "id"], |id| *id = Value::Text("g1".into()));
    let Replayed::Differs { round: 1, what: Difference::Verdict, expected, got } =
        replay(&policy, &doctored).expect("replays")
    else {
        panic!("not found")
    };
    assert!(expected.contains("StandDown") && got.contains("Ignore"), "{expected} {got}");
}

#[test]
fn a_doctored_price_log_or_request_is_found() {
    let policy = load(&judges_its_fact());
    let recording = record(&policy, &limits());
    let check = |path: &[&str], value: Value, expected: Difference| {
        let doctored = doctor(&recording, path, |at| *at = value);
        let replayed = replay(&policy, &doctored).expect("replays");
        assert!(matches!(replayed, Replayed::Differs { what, .. } if what == expected), "{replayed:?}");
    };
    check(&["rounds", "0", "fuel"], Value::Integer(7.into()), Difference::Fuel);
    check(&["rounds", "1", "log", "0", "text"], Value::Text("unseen".into()), Difference::Log);
    check(&["rounds", "0", "requests", "0"], Value::Text("Votes".into()), Difference::Requests);
    check(&["rounds"], Value::Array(vec![]), Difference::Verdict);
    let facts = &["question", "trigger", "facts"];
    check(facts, Value::Array(vec![]), Difference::Requests);
}

#[test]
fn deterministic_faults_replay_and_others_do_not() {
    let recorded_fault = |policy: &Policy, limits: &Limits| {
        let recording = record(policy, limits);
        let RecordedEnd::Fault(fault) = Recording::read(&recording).expect("reads").end else {
            panic!("no fault")
        };
        (fault.kind, replay(policy, &recording).expect("replays"))
    };
    let endless = load(&Guest::new("(loop $again (br $again)) unreachable"));
    assert_eq!(recorded_fault(&endless, &limits()), (FaultKind::OutOfFuel { limit: limits().fuel }, same()));
    let repeats = load(&Guest::new(NEED_LIVE));
    assert_eq!(recorded_fault(&repeats, &limits()), (FaultKind::NothingNew, same()));
    let one_round = Limits { rounds_max: 1, ..limits() };
    assert_eq!(recorded_fault(&repeats, &one_round), (FaultKind::TooManyRounds { limit: 1 }, same()));
    let stopped = Limits { fuel: u64::MAX, wall_clock_ms: 20, ..limits() };
    let (kind, replayed) = recorded_fault(&endless, &stopped);
    assert_eq!(kind, FaultKind::OutOfTime { limit_ms: 20 });
    assert!(matches!(replayed, Replayed::NotReproducible { .. }), "{replayed:?}");
}

#[test]
fn another_engine_is_held_to_the_verdict_only() {
    let policy = load(&judges_its_fact());
    let elsewhere =
        doctor(&record(&policy, &limits()), &["engine", "wasmtime"], |at| *at = Value::Text("1.0.0".into()));
    let elsewhere = doctor(&elsewhere, &["rounds", "0", "fuel"], |at| *at = Value::Integer(7.into()));
    let replayed = replay(&policy, &elsewhere).expect("replays");
    assert!(
        matches!(replayed, Replayed::Same { fuel: FuelCheck::NotCompared { recorded } } if recorded.wasmtime == "1.0.0")
    );
    let endless = load(&Guest::new("(loop $again (br $again)) unreachable"));
    let recording = record(&endless, &limits());
    let elsewhere = doctor(&recording, &["engine", "wasmtime"], |at| *at = Value::Text("1.0.0".into()));
    let elsewhere =
        doctor(&elsewhere, &["limits", "wall_clock_ms"], |at| *at = Value::Integer(60_000.into()));
    assert_eq!(
        replay(&endless, &elsewhere).expect("replays"),
        Replayed::Same {
            fuel: FuelCheck::NotCompared {
                recorded: ripcord_sandbox::EngineId {
                    wasmtime: "1.0.0".into(),
                    settings: sandbox().engine_id().settings,
                },
            },
        }
    );
}

#[test]
fn erased_facts_are_named() {
    let policy = load(&judges_its_fact());
    let recording = record(&policy, &limits());
    let pruned = prune(&recording, &["f1"]).expect("prunes");
    let text = "0.25";
    let shown = |bytes: &[u8]| Recording::read(bytes).expect("reads").question.to_string();
    assert!(shown(&recording).contains(text) && !shown(&pruned).contains(text), "the value is gone");
    assert_eq!(replay(&policy, &pruned).expect("answers"), Replayed::FactsPruned(vec!["f1".into()]));
    assert!(matches!(prune(&recording, &["f2"]), Err(RecordingError::NoSuchFact(id)) if id == "f2"));
}

/// A decision made with the same sample so many times, and what of it is stored by itself.
fn record_storing(policy: &Policy, samples: usize) -> (Vec<u8>, BTreeMap<Digest, Vec<u8>>) {
    let mut deciding = policy.begin(&question(), &ALL_KINDS, &limits());
    while let Progress::Need(requests) = deciding.call() {
        let repeated = |request| {
            let Fact { value: Ok(fact::Value::Metric(one)), .. } = fact("f1", request) else {
                panic!("no metric")
            };
            Fact {
                value: Ok(fact::Value::Metric(vec![one[0].clone(); samples])),
                ..fact("f1", Request::Live)
            }
        };
        deciding.add_facts(requests.into_iter().map(repeated).collect()).expect("answers");
    }
    let mut stored = BTreeMap::new();
    let recording = deciding.finish_storing(|value| {
        let reference: BlobRef = commit(BlobKind::Fact, &Salt([7; 32]), &value);
        stored.insert(reference.commitment, value);
        reference
    });
    (recording.expect("records"), stored)
}

#[test]
fn a_large_value_is_stored_by_itself_and_the_decision_is_made_again_with_it() {
    let policy = load(&judges_its_fact());
    let (recording, stored) = record_storing(&policy, 1_000);
    let [(commitment, value)] = &stored.iter().collect::<Vec<_>>()[..] else {
        panic!("{} values", stored.len())
    };
    assert!(value.len() >= STORED_ALONE_BYTES_MIN && recording.len() < STORED_ALONE_BYTES_MIN);
    let read = Recording::read(&recording).expect("reads");
    assert_eq!(read.contents().map(|content| &content.commitment).collect::<Vec<_>>(), [*commitment]);
    let listed = &read.question["trigger"]["facts"][0];
    assert_eq!((&listed["id"], &listed["request"]), (&"f1".into(), &"Live".into()));
    assert!(listed["source"].is_string() && listed["as_of"].is_u64(), "{listed}");
    assert_eq!(ripcord_sandbox::replay(&policy, &recording, &stored).expect("replays"), same());
    assert_eq!(record_storing(&policy, 1_000), (recording.clone(), stored.clone()), "it is deterministic");
    // What is gone, and what is not what it was.
    assert_eq!(replay(&policy, &recording).expect("answers"), Replayed::FactsPruned(vec!["f1".into()]));
    let mut damaged = stored.clone();
    damaged.values_mut().for_each(|value| value.truncate(100));
    let replayed = ripcord_sandbox::replay(&policy, &recording, &damaged);
    assert!(matches!(replayed, Err(RecordingError::Value(_))), "{replayed:?}");
    // What was erased is not referred to any more.
    let pruned = prune(&recording, &["f1"]).expect("prunes");
    assert_eq!(Recording::read(&pruned).expect("reads").values, []);
    let replayed = ripcord_sandbox::replay(&policy, &pruned, &stored).expect("answers");
    assert_eq!(replayed, Replayed::FactsPruned(vec!["f1".into()]));
}

#[test]
fn a_small_value_stays_in_the_recording() {
    let policy = load(&judges_its_fact());
    let (recording, stored) = record_storing(&policy, 1);
    assert!(stored.is_empty());
    assert_eq!(recording, record(&policy, &limits()));
}

#[test]
fn an_abandoned_decision_says_so() {
    let policy = load(&judges_its_fact());
    let mut deciding = policy.begin(&question(), &ALL_KINDS, &limits());
    assert_eq!(deciding.call(), Progress::Need(vec![Request::Live]));
    let recording = deciding.finish().expect("records");
    let RecordedEnd::Fault(fault) = Recording::read(&recording).expect("reads").end else {
        panic!("no fault")
    };
    assert_eq!(fault.kind, FaultKind::Abandoned);
    assert!(matches!(replay(&policy, &recording), Ok(Replayed::NotReproducible { .. })));
}

#[test]
fn recordings_that_cannot_be_used() {
    let policy = load(&judges_its_fact());
    let recording = record(&policy, &limits());
    let other = load(&Guest { version: "1.0.1".into(), ..judges_its_fact() });
    assert!(matches!(replay(&other, &recording), Err(RecordingError::OtherPolicy { .. })));
    let newer = doctor(&recording, &["format"], |at| *at = Value::Integer(4.into()));
    assert!(matches!(replay(&policy, &newer), Err(RecordingError::Format(4))));
    let odd = doctor(&recording, &["question", "trigger"], |at| *at = Value::Null);
    assert!(matches!(replay(&policy, &odd), Err(RecordingError::Question { .. })));
    let elsewhere = doctor(&recording, &["contract"], |at| *at = Value::Text("0.0.9".into()));
    assert!(matches!(replay(&policy, &elsewhere), Err(RecordingError::Question { .. })));
    for length in 0..recording.len() {
        assert!(replay(&policy, &recording[..length]).is_err(), "{length}");
    }
}
