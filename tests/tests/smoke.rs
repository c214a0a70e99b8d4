//! The first thing that must work: a person pulls; an alert comes.

#![allow(clippy::unwrap_used, clippy::panic)]

use ripcord_core::fact::Outcome;
use ripcord_core::live::Proof;
use ripcord_core::policy::Role;
use ripcord_core::service::HoldState;
use ripcord_core::standing::Standing;
use ripcord_tests::people::{revision, version};
use ripcord_tests::{Lab, Spec, check};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_person_pulls_without_any_policy() {
    let lab = Lab::new(vec![Spec::new("fraud-api")]);
    let service = lab.service();
    let host = lab.start().await;
    let obeyed = host.pull(&service, Some("1.1")).await.expect("obeyed");
    assert_eq!(obeyed.incident.as_ref().map(|id| id.to_string()), Some("fraud-api:1".into()));
    let state = host.settled(&service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    let outside = lab.world.of(&service);
    assert_eq!((outside.live.as_str(), check::applied(&outside.steps)), ("1.1", 1));
    assert_eq!(outside.marks.get("1.2").map(String::as_str), Some("fraud-api:1"));
    assert_eq!(state.standing_of(&version("1.2"), state.at), Standing::Held);
    let view =
        ripcord_engine::view::incident(host.store.as_ref(), &"fraud-api:1".parse().unwrap()).await.unwrap();
    assert_eq!(view.proof, Some(Proof::Answer));
    assert_eq!(view.after.as_deref(), Some("1.1"));
    assert_eq!(view.before.as_deref(), Some("1.2"));
    assert!(view.evidence.iter().any(|item| item.name == "request-log"), "{:?}", view.evidence);
    host.stop().await;

    let host = lab.start().await;
    check::journal(&host, &service).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_is_rolled_back_by_policies_alone() {
    let lab = Lab::new(vec![Spec::new("fraud-api").scripted()]);
    let service = lab.service();
    lab.world.at(&service, |outside| outside.bad.insert("1.2".into()));
    let host = lab.start().await;
    host.adopt(&service, &["1.0", "1.1"]).await;
    host.alert(&lab, &service, "a").await.expect("taken");
    let state = host.settled(&service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    assert_eq!(lab.world.of(&service).live, "1.1");
    assert_eq!(state.standing_of(&version("1.1"), state.at), Standing::KnownGood);
    assert_eq!(state.holds[&revision("1.2")].state, HoldState::Stands);
    assert_eq!(lab.world.of(&service).marks.len(), 1);
    let topics = check::topics(&lab, &service);
    assert_eq!(topics, ["incident-opened", "shift-began", "settled"]);
    assert_eq!(check::replays(&host).await, 4, "trigger, planner, approval, verification");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_starter_policies_work_together() {
    let mut spec = Spec::new("fraud-api");
    spec.policies = vec![
        (
            Role::Trigger,
            "threshold-trigger",
            json!({
                "name": "harm", "metric": { "query": "harm" }, "when": "over", "limit": { "absolute": 0.5 }, "for": "1m"
            }),
        ),
        (Role::Planner, "last-known-good", json!({})),
        (Role::Approval, "two-key", json!({})),
        (
            Role::Verification,
            "golden-set",
            json!({ "dataset": "golden", "accuracy": 0.9, "minimum-rows": 3 }),
        ),
    ];
    let lab = Lab::new(vec![spec]);
    let service = lab.service();
    lab.world.at(&service, |outside| outside.bad.insert("1.2".into()));
    let host = lab.start().await;
    host.adopt(&service, &["1.0", "1.1"]).await;
    host.alert(&lab, &service, "a").await.expect("taken");
    let state = host.attend(&lab, &service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    assert_eq!(lab.world.of(&service).live, "1.1");
    let votes = &state.last_settled.as_ref().unwrap().votes;
    assert_eq!(votes.len(), 2, "two keys");
    let topics = check::topics(&lab, &service);
    assert_eq!(topics, ["incident-opened", "approval-wanted", "shift-began", "settled"]);
    assert_eq!(
        check::replays(&host).await,
        6,
        "trigger, planner, approval before and after each key, verification"
    );
    host.stop().await;
}
