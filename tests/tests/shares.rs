//! What is live is shares, and a standing ages: plans, guards and planners go by both.

#![allow(clippy::unwrap_used, clippy::panic)]

use ripcord_core::event::Observed;
use ripcord_core::fact::Outcome;
use ripcord_core::name::RoleName;
use ripcord_core::plan::Quorum;
use ripcord_core::service::{NeedKind, Phase, Service};
use ripcord_core::standing::Standing;
use ripcord_core::time::Millis;
use ripcord_tests::people::{bob, cleo, version};
use ripcord_tests::states::plans;
use ripcord_tests::{Lab, Running, Spec, check};

/// A service of which `1.2` serves nine requests of ten and `1.1` the tenth, where two people must agree.
async fn two_shares() -> (Lab, Running) {
    let floor = vec![Quorum { role: RoleName::approver(), people: 2 }];
    let (lab, host) = Lab::harmed(Spec::new("fraud-api").terms(|terms| terms.floor = floor)).await;
    lab.world.at(&lab.service(), |outside| outside.canary = Some(("1.1".into(), 0.1)));
    (lab, host)
}

fn weights(observed: &Observed) -> Vec<(String, f64)> {
    let Observed::Serving(shares) = observed else { panic!("{observed:?}") };
    shares.iter().map(|share| (share.version.version.to_string(), share.weight.get())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_names_every_share_and_holds_while_only_weights_move() {
    let (lab, host) = two_shares().await;
    let service = lab.service();
    host.pull(&service, Some("1.0")).await.expect("pulled");
    host.approve(bob(), &service).await.expect("voted");
    let plan = host.state(&service).incident.as_ref().unwrap().plan().unwrap().clone();
    assert_eq!(weights(&plan.live), [("1.2".to_owned(), 0.9), ("1.1".to_owned(), 0.1)]);
    lab.world.at(&service, |outside| outside.canary = Some(("1.1".into(), 0.5)));
    host.approve(cleo(), &service).await.expect("voted");
    host.settled(&service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    let folded = check::journal(&host, &service).await;
    assert_eq!(plans(&folded), 1);
    let state = host.state(&service);
    assert!(state.is_held(&version("1.2")) && state.is_held(&version("1.1")), "both were left");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_version_among_the_shares_voids_the_plan() {
    let (lab, host) = two_shares().await;
    let service = lab.service();
    host.pull(&service, Some("1.0")).await.expect("pulled");
    host.approve(bob(), &service).await.expect("voted");
    let first = host.waiting_plan(&service).await;
    // The canary is gone: what people agreed to is not what is served.
    lab.world.at(&service, |outside| outside.canary = None);
    host.vote_on(cleo(), &service, first, true).await.expect("voted");
    let again = |state: &Service| state.incident.as_ref().is_some_and(|open| open.plans.len() == 2);
    host.until("planned again", &service, again).await;
    assert_ne!(host.waiting_plan(&service).await, first);
    assert!(lab.world.of(&service).steps.is_empty());
    host.attend(&lab, &service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    assert_eq!(plans(&check::journal(&host, &service).await), 2);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_with_a_share_of_the_requests_is_not_restored_yet() {
    let (lab, host) = two_shares().await;
    let service = lab.service();
    host.pull(&service, Some("1.1")).await.expect("pulled");
    host.attend(&lab, &service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    let outside = lab.world.of(&service);
    assert_eq!((outside.live.as_str(), &outside.canary, check::applied(&outside.steps)), ("1.1", &None, 1));
    let state = host.state(&service);
    assert!(state.is_held(&version("1.2")) && !state.is_held(&version("1.1")));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standing_that_expired_is_not_gone_back_to() {
    let (lab, host) = Lab::harmed(Spec::new("fraud-api").scripted()).await;
    let service = lab.service();
    lab.clock.advance(Millis::hours(24 * 60));
    host.adopt(&service, &["1.0"]).await;
    lab.clock.advance(Millis::hours(24 * 40));
    host.alert(&lab, &service, "a").await.unwrap();
    let state = host.settled(&service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    assert_eq!(lab.world.of(&service).live, "1.0", "newer, but vouched for a hundred days ago: 1.1");
    assert_eq!(state.standing_of(&version("1.1"), state.at), Standing::Expired);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_every_standing_expired_a_person_is_asked() {
    let (lab, host) = Lab::harmed(Spec::new("fraud-api").scripted()).await;
    let service = lab.service();
    lab.clock.advance(Millis::hours(24 * 91));
    host.alert(&lab, &service, "a").await.unwrap();
    let asks = |state: &Service| match state.incident.as_ref().map(|open| &open.phase) {
        Some(Phase::NeedsPerson(need)) => {
            need.question == NeedKind::WhatNow && need.text.contains("nothing to go back to")
        }
        _ => false,
    };
    host.until("a question", &service, asks).await;
    assert!(lab.world.of(&service).steps.is_empty());
    host.stop().await;
}
