//! Holds, standing, and having nothing to go back to.

#![allow(clippy::unwrap_used, clippy::panic)]

use ripcord_core::fact::Outcome;
use ripcord_core::service::{HoldState, NeedKind, Phase};
use ripcord_core::standing::Standing;
use ripcord_core::time::Millis;
use ripcord_engine::{Ask, CommandError};
use ripcord_tests::people::{ada, revision, version};
use ripcord_tests::states::{needs, phase, two_keys};
use ripcord_tests::{Lab, Spec, check};

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_that_someone_else_breaks_reopens_and_tells() {
    let spec = two_keys(Spec::new("fraud-api").scripted())
        .terms(|terms| terms.deadlines.hold_watch = Millis::seconds(30));
    let (lab, host) = Lab::harmed(spec).await;
    let service = lab.service();
    host.alert(&lab, &service, "a").await.unwrap();
    host.attend(&lab, &service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    lab.world.at(&service, |outside| outside.live = "1.2".into());
    lab.clock.advance(Millis::seconds(31));
    host.until("reopened", &service, |state| state.incidents == 2).await;
    host.attend(&lab, &service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    assert_eq!(lab.world.told_of(&service, "hold-broken"), 1);
    assert_eq!(lab.world.of(&service).live, "1.1");
    // A held version is not pulled to, until its hold is lifted.
    let held = host.pull(&service, Some("1.2")).await.expect_err("held").to_string();
    assert!(held.contains("is held") && held.contains("hold lift"), "{held}");
    let condemned = host.ask(ada(), &service, Ask::Adopt(Some(revision("1.2")))).await;
    assert!(condemned.expect_err("held").to_string().contains("condemned"));
    host.ask(ada(), &service, Ask::LiftHold(revision("1.2"))).await.expect("lifted");
    host.until("unmarked", &service, |state| state.holds.is_empty()).await;
    assert!(lab.world.of(&service).marks.is_empty());
    let again = host.ask(ada(), &service, Ask::LiftHold(revision("1.2"))).await;
    assert!(matches!(again, Err(CommandError::Illegal(_))));
    check::journal(&host, &service).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_stands_while_the_version_stays_away() {
    let spec = Spec::new("fraud-api").terms(|terms| terms.deadlines.hold_watch = Millis::seconds(30));
    let (lab, host) = Lab::harmed(spec).await;
    let service = lab.service();
    host.pull(&service, Some("1.1")).await.expect("pulled");
    host.settled(&service).await;
    let looks = || host.fuse.passed().iter().filter(|point| point.name == "after live").count();
    let length = host.state(&service).length;
    for _ in 0..3 {
        let before = looks();
        lab.clock.advance(Millis::seconds(31));
        while looks() == before {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }
    assert_eq!(host.state(&service).length, length, "only news enters the journal");
    assert_eq!(host.state(&service).holds[&revision("1.2")].state, HoldState::Stands);
    assert_eq!((host.state(&service).incidents, lab.world.told_of(&service, "hold-broken")), (1, 0));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_nothing_to_go_back_to_until_someone_vouches() {
    let lab = Lab::new(vec![Spec::new("fraud-api").scripted()]);
    let service = lab.service();
    lab.world.at(&service, |outside| outside.bad.insert("1.2".into()));
    let host = lab.start().await;
    host.alert(&lab, &service, "a").await.unwrap();
    let state = host.until("a question", &service, needs(NeedKind::WhatNow)).await;
    let Some(Phase::NeedsPerson(need)) = phase(&state) else { panic!() };
    assert!(
        need.text.contains("nothing to go back to") && need.text.contains("ripcord adopt"),
        "{}",
        need.text
    );
    host.adopt(&service, &["1.0"]).await;
    let state = host.state(&service);
    assert_eq!(state.standing_of(&version("1.0"), state.at), Standing::Attested);
    host.pull(&service, None).await.expect("pulled");
    host.settled(&service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    assert_eq!(lab.world.of(&service).live, "1.0");
    host.stop().await;
}
