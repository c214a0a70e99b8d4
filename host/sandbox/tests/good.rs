//! What a policy that behaves can rely on.

#![allow(clippy::panic, reason = "a test says what it found")]

use crate::kit::{
    ALL_KINDS, FACTS, Guest, IGNORE, NEED_LIVE, ask, fact, limits, question, sandbox, still_well,
};
use ripcord_core::canonical;
use ripcord_core::fact::Request;
use ripcord_core::policy::Role;
use ripcord_core::role::{Step, TriggerVerdict, Verdict};
use ripcord_sandbox::{FactsError, Progress};

#[test]
fn a_policy_tells_what_it_is() {
    let policy = sandbox().load(&Guest::default().component()).expect("loads");
    assert_eq!(policy.reference().to_string(), "by-hand@1.0.0");
    assert_eq!(policy.reference().digest, crate::kit::digest_of(&Guest::default()));
    assert_eq!(policy.roles(), [Role::Trigger]);
    assert_eq!(policy.contract(), "0.1.0");
    assert_eq!(policy.manifest().summary, "Made by hand.");
}

#[test]
fn a_call_gives_a_verdict_and_its_price() {
    let sandbox = sandbox();
    let policy = sandbox.load(&Guest::default().component()).expect("loads");
    let Ok(Step::Done(answer)) = ask(&policy).outcome else { panic!("no answer") };
    assert_eq!(answer.verdict, Verdict::Trigger(TriggerVerdict::Ignore));
    still_well(&sandbox);
}

#[test]
fn every_call_starts_from_nothing() {
    let counts = format!(
        "(global.set $calls (i32.add (global.get $calls) (i32.const 1)))
         (if (i32.ne (global.get $calls) (i32.const 1)) (then unreachable))
         (if (i32.load (i32.const 30000)) (then unreachable))
         (i32.store (i32.const 30000) (i32.const 1)) {IGNORE}"
    );
    let guest = Guest::with(counts, "(global $calls (mut i32) (i32.const 0))");
    let policy = sandbox().load(&guest.component()).expect("loads");
    let first = ask(&policy);
    assert!(first.outcome.is_ok(), "{first:?}");
    for _ in 0..20 {
        assert_eq!(ask(&policy), first);
    }
}

/// Asks for live, then ignores.
fn asks_once() -> Guest {
    Guest::new(format!("(if (result i32) {FACTS} (then {IGNORE}) (else {NEED_LIVE}))"))
}

#[test]
fn a_decision_goes_on_with_the_facts_that_were_asked_for() {
    let sandbox = sandbox();
    let policy = sandbox.load(&asks_once().component()).expect("loads");
    let mut deciding = policy.begin(&question(), &ALL_KINDS, &limits());
    assert_eq!(deciding.call(), Progress::Need(vec![Request::Live]));
    assert_eq!(deciding.pending(), [Request::Live]);
    let wrong = deciding.add_facts(vec![fact("f1", Request::Votes)]);
    assert_eq!(wrong, Err(FactsError::NotAsked { id: "f1".into() }));
    let twice = deciding.add_facts(vec![fact("f1", Request::Live), fact("f2", Request::Live)]);
    assert_eq!(twice, Err(FactsError::NotAsked { id: "f2".into() }));
    assert_eq!(deciding.add_facts(vec![]), Err(FactsError::Unanswered(Box::new(Request::Live))));
    deciding.add_facts(vec![fact("f1", Request::Live)]).expect("answers");
    let Progress::Done(answer) = deciding.call() else { panic!("not done") };
    assert_eq!(answer.verdict, Verdict::Trigger(TriggerVerdict::Ignore));
    assert_eq!(deciding.call(), Progress::Done(answer), "the end stays the end");
    assert!(deciding.fuel() > 0);
}

#[test]
fn the_same_decision_has_the_same_recording() {
    let record = || {
        let policy = sandbox().load(&asks_once().component()).expect("loads");
        let mut deciding = policy.begin(&question(), &ALL_KINDS, &limits());
        deciding.call();
        deciding.add_facts(vec![fact("f1", Request::Live)]).expect("answers");
        deciding.call();
        deciding.finish().expect("records")
    };
    assert_eq!(record(), record());
}

#[test]
fn numbers_that_are_none_survive_a_recording() {
    let mut all = fact("f1", Request::Live);
    let odd = [f64::from_bits(0x7ff8_0000_dead_beef), f64::from_bits(u64::MAX), f64::INFINITY, -0.0];
    let samples = odd.map(|value| ripcord_core::fact::Sample {
        labels: vec![],
        value,
        at: ripcord_core::time::UnixMillis(1),
    });
    all.value = Ok(ripcord_core::fact::Value::Metric(samples.to_vec()));
    let policy = sandbox().load(&asks_once().component()).expect("loads");
    let mut deciding = policy.begin(&question(), &ALL_KINDS, &limits());
    deciding.call();
    deciding.add_facts(vec![all]).expect("answers");
    deciding.call();
    let recording = deciding.finish().expect("records");
    let replayed = ripcord_sandbox::replay(&policy, &recording, &Default::default()).expect("replays");
    assert_eq!(replayed, ripcord_sandbox::Replayed::Same { fuel: ripcord_sandbox::FuelCheck::Same });
    let value: ciborium::Value = canonical::from_cbor(&recording).expect("cbor");
    assert_eq!(canonical::cbor(&value).expect("cbor"), recording, "one form only");
}
