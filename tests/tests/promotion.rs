//! The registry's production name follows a rollback, once, and holds nothing up.

#![allow(clippy::unwrap_used, clippy::panic)]

use ripcord_core::effect::Topic;
use ripcord_core::event::{Event, PromotionWord};
use ripcord_core::fact::Outcome;
use ripcord_core::policy::Role;
use ripcord_core::service::Service;
use ripcord_core::time::Millis;
use ripcord_engine::Ask;
use ripcord_tests::people::{ada, version};
use ripcord_tests::{Fault, Lab, PromotionFault, Running, Spec, check};
use serde_json::json;

/// A pull of `1.2` back to `to`, up to its end.
async fn rolled_back(lab: &Lab, host: &Running, to: &str) {
    let service = lab.service();
    host.pull(&service, Some(to)).await.expect("pulled");
    host.until("settled", &service, |state| state.incident.is_none() && state.last_settled.is_some()).await;
}

async fn followed(lab: &Lab, host: &Running) {
    host.until("followed", &lab.service(), |state| state.promotion.is_none()).await;
}

async fn words(lab: &Lab, host: &Running) -> Vec<PromotionWord> {
    let folded = check::journal(host, &lab.service()).await;
    let word = |event: &Event| {
        if let Event::Promoted(promoted) = event { Some(promoted.word.clone()) } else { None }
    };
    folded.events.iter().filter_map(|(_, event)| word(event)).collect()
}

async fn timeline(lab: &Lab, host: &Running) -> Vec<String> {
    let id = host.state(&lab.service()).last_settled.as_ref().unwrap().id.clone();
    let view = ripcord_engine::view::incident(host.store.as_ref(), &id).await.unwrap();
    assert!(view.timeline.is_sorted_by_key(|line| line.at), "lines stand in the order of their times");
    view.timeline.into_iter().map(|line| line.text).filter(|text| text.contains("production name")).collect()
}

fn moves(lab: &Lab) -> (Option<String>, Vec<String>) {
    let outside = lab.world.of(&lab.service());
    (outside.in_production, outside.promotions)
}

/// People were told of it in one message.
async fn one_message(lab: &Lab, topic: &str) -> String {
    ripcord_tests::lab::eventually(topic, || !lab.world.texts_of(topic).is_empty()).await;
    let mut told = lab.world.texts_of(topic);
    assert_eq!(told.len(), 1, "{told:?}");
    told.remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn it_moves_with_the_rollback() {
    let (lab, host) = Lab::harmed(Spec::new("fraud-api")).await;
    rolled_back(&lab, &host, "1.1").await;
    followed(&lab, &host).await;
    host.settled(&lab.service()).await;
    assert_eq!(moves(&lab), (Some("1.1".into()), vec!["1.1".into()]));
    let words = words(&lab, &host).await;
    let [PromotionWord::Moved { from, .. }] = words.as_slice() else { panic!("{words:?}") };
    assert_eq!(*from, Some(version("1.2")));
    let lines = timeline(&lab, &host).await;
    assert!(lines[0].ends_with("the registry's production name is 1.2"), "{lines:?}");
    assert_eq!(lines[1..], ["the registry's production name moved from 1.2 to 1.1"]);
    assert!(lab.world.texts_of("not-promoted").is_empty() && lab.world.texts_of("promoted").is_empty());
    check::all(&lab, &host, &lab.service(), Outcome::RolledBack).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_follows_to_the_next_rung() {
    let spec = Spec::new("fraud-api").scripted();
    let (lab, host) = Lab::harmed(spec).await;
    let service = lab.service();
    lab.world.at(&service, |outside| outside.bad.insert("1.1".into()));
    host.alert(&lab, &service, "a").await.unwrap();
    host.attend(&lab, &service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    assert_eq!(lab.world.of(&service).live, "1.0");
    assert_eq!(moves(&lab), (Some("1.0".into()), vec!["1.1".into(), "1.0".into()]));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_moves_before_verification_has_its_say() {
    let spec = Spec::new("fraud-api").scripted().with(Role::Verification, json!({ "verification": "never" }));
    let (lab, host) = Lab::harmed(spec).await;
    let service = lab.service();
    host.alert(&lab, &service, "a").await.unwrap();
    let state = host
        .until("verifying, and moved", &service, |state| {
            let open = state.incident.as_ref();
            open.is_some_and(|open| open.phase_name() == "verifying" && !open.promoted.is_empty())
        })
        .await;
    assert_eq!(moves(&lab).0.as_deref(), Some("1.1"));
    assert!(state.promotion.is_none());
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_hangs_holds_nothing_up_and_is_asked_again() {
    let spec = Spec::new("fraud-api").terms(|terms| terms.deadlines.shift = Millis(300));
    let (lab, host) = Lab::harmed(spec).await;
    let service = lab.service();
    lab.world.at(&service, |outside| outside.promotion_fault = Some(PromotionFault::Hangs));
    rolled_back(&lab, &host, "1.1").await;
    assert_eq!(moves(&lab), (Some("1.2".into()), vec![]));
    host.until("failed once", &service, |state| {
        state.promotion.as_ref().is_some_and(|one| one.waiting.failures == 1)
    })
    .await;
    lab.world.at(&service, |outside| outside.promotion_fault = None);
    lab.clock.advance(Millis::seconds(2));
    followed(&lab, &host).await;
    assert_eq!(moves(&lab), (Some("1.1".into()), vec!["1.1".into()]));
    let lines = timeline(&lab, &host).await;
    assert!(lines[1].contains("was not moved to 1.1 yet: `registry_fake` did not come back"), "{lines:?}");
    assert_eq!(lines[2], "the registry's production name moved from 1.2 to 1.1");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_is_away_is_asked_after_a_restart_too_and_people_hear_of_it() {
    let (lab, host) = Lab::harmed(Spec::new("fraud-api")).await;
    let service = lab.service();
    lab.world.at(&service, |outside| outside.promotion_fault = Some(PromotionFault::Denied));
    rolled_back(&lab, &host, "1.1").await;
    let text = one_message(&lab, "not-promoted").await;
    assert!(
        text.contains("fraud-api:1")
            && text.contains("could not be moved")
            && text.contains("incidents show"),
        "{text}"
    );
    for failures in 2..5 {
        lab.clock.advance(Millis::minutes(2));
        let failed =
            |state: &Service| state.promotion.as_ref().is_some_and(|one| one.waiting.failures >= failures);
        host.until("failed again", &service, failed).await;
    }
    host.stop().await;
    lab.world.at(&service, |outside| outside.promotion_fault = None);
    let host = lab.start().await;
    lab.clock.advance(Millis::minutes(2));
    followed(&lab, &host).await;
    let text = one_message(&lab, "promoted").await;
    assert!(text.contains("follows `fraud-api:1` now: it is `1.1`"), "{text}");
    assert_eq!(lab.world.texts_of("not-promoted").len(), 1, "people are told once");
    assert_eq!(moves(&lab), (Some("1.1".into()), vec!["1.1".into()]));
    assert_eq!(timeline(&lab, &host).await.len(), 3, "of failures in a row, the first is shown");
    let folded = check::journal(&host, &service).await;
    assert_eq!(check::count(&folded, Topic::NotPromoted), 1);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_whose_answer_was_lost_is_not_made_twice() {
    let (lab, host) = Lab::harmed(Spec::new("fraud-api")).await;
    let service = lab.service();
    lab.world.at(&service, |outside| outside.promotion_fault = Some(PromotionFault::DoneAndBroken));
    rolled_back(&lab, &host, "1.1").await;
    let failed = |state: &Service| state.promotion.as_ref().is_some_and(|one| one.waiting.due_at.is_some());
    host.until("failed", &service, failed).await;
    lab.clock.advance(Millis::seconds(2));
    followed(&lab, &host).await;
    assert_eq!(words(&lab, &host).await[1..], [PromotionWord::Already]);
    assert_eq!(moves(&lab), (Some("1.1".into()), vec!["1.1".into()]));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_someone_else_promoted_is_left_and_people_are_told() {
    let spec = Spec::new("fraud-api").scripted();
    let (lab, host) = Lab::harmed(spec).await;
    let service = lab.service();
    lab.world.at(&service, |outside| outside.promotion_fault = Some(PromotionFault::Raced));
    host.alert(&lab, &service, "a").await.unwrap();
    host.attend(&lab, &service).await;
    lab.clock.advance(Millis::seconds(2));
    followed(&lab, &host).await;
    let text = one_message(&lab, "not-promoted").await;
    assert!(text.contains("`fraud-api:1` brought `1.1` back") && text.contains("points at `1.0`"), "{text}");
    assert_eq!(moves(&lab), (Some("1.0".into()), vec![]));
    assert_eq!(words(&lab, &host).await[1..], [PromotionWord::Elsewhere(Some(version("1.0")))]);
    let lines = timeline(&lab, &host).await;
    assert!(lines.last().unwrap().ends_with("someone else moved it to 1.0, where it was left"), "{lines:?}");
    check::journal(&host, &service).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_was_not_what_was_live_is_left() {
    let (lab, host) = Lab::harmed(Spec::new("fraud-api")).await;
    lab.world.at(&lab.service(), |outside| outside.in_production = Some("1.0".into()));
    rolled_back(&lab, &host, "1.1").await;
    followed(&lab, &host).await;
    one_message(&lab, "not-promoted").await;
    assert_eq!(moves(&lab), (Some("1.0".into()), vec![]));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_points_at_nothing_is_set_and_one_that_is_right_is_left() {
    for (before, moved) in [(None, vec!["1.1".to_owned()]), (Some("1.1"), vec![])] {
        let (lab, host) = Lab::harmed(Spec::new("fraud-api")).await;
        lab.world.at(&lab.service(), |outside| outside.in_production = before.map(str::to_owned));
        rolled_back(&lab, &host, "1.1").await;
        followed(&lab, &host).await;
        assert_eq!(moves(&lab), (Some("1.1".into()), moved));
        assert!(lab.world.texts_of("not-promoted").is_empty());
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_without_such_a_name_is_not_asked() {
    let (lab, host) = Lab::harmed(Spec::new("fraud-api")).await;
    lab.world.at(&lab.service(), |outside| outside.promotion_fault = Some(PromotionFault::Unsupported));
    rolled_back(&lab, &host, "1.1").await;
    host.settled(&lab.service()).await;
    assert!(words(&lab, &host).await.is_empty() && timeline(&lab, &host).await.is_empty());
    assert!(lab.world.texts_of("not-promoted").is_empty());
    let asked = host.fuse.passed().iter().filter(|point| point.name == "before promoted").count();
    assert_eq!(asked, 1, "with the evidence, and not again");
    check::all(&lab, &host, &lab.service(), Outcome::RolledBack).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_read_with_the_evidence_is_moved_from_what_was_live() {
    for (name, end) in [("1.2", "1.1"), ("1.0", "1.0")] {
        let (lab, host) = Lab::harmed(Spec::new("fraud-api")).await;
        let service = lab.service();
        lab.world.at(&service, |outside| {
            outside.in_production = Some(name.into());
            outside.promotion_fault = Some(PromotionFault::Away);
        });
        host.pull(&service, Some("1.1")).await.expect("pulled");
        host.until("settled", &service, |state| state.incident.is_none()).await;
        host.until("failed", &service, |state| {
            state.promotion.as_ref().is_some_and(|one| one.waiting.failures > 0)
        })
        .await;
        lab.world.at(&service, |outside| outside.promotion_fault = None);
        lab.clock.advance(Millis::seconds(2));
        followed(&lab, &host).await;
        assert_eq!(moves(&lab).0.as_deref(), Some(end));
        let lines = timeline(&lab, &host).await;
        assert!(
            lines[0].contains("production name could not be read: the fake registry does not answer"),
            "{lines:?}"
        );
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_service_is_paused_it_waits() {
    let (lab, host) = Lab::harmed(Spec::new("fraud-api")).await;
    let service = lab.service();
    lab.world.at(&service, |outside| outside.promotion_fault = Some(PromotionFault::Denied));
    rolled_back(&lab, &host, "1.1").await;
    one_message(&lab, "not-promoted").await;
    host.ask(ada(), &service, Ask::Pause).await.expect("paused");
    lab.world.at(&service, |outside| outside.promotion_fault = None);
    lab.clock.advance(Millis::minutes(5));
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert_eq!(moves(&lab), (Some("1.2".into()), vec![]));
    host.ask(ada(), &service, Ask::Resume).await.expect("resumed");
    lab.clock.advance(Millis::minutes(5));
    followed(&lab, &host).await;
    assert_eq!(moves(&lab), (Some("1.1".into()), vec!["1.1".into()]));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_incident_takes_over_what_the_last_one_could_not_move() {
    let (lab, host) = Lab::harmed(Spec::new("fraud-api")).await;
    let service = lab.service();
    lab.world.at(&service, |outside| outside.promotion_fault = Some(PromotionFault::Denied));
    rolled_back(&lab, &host, "1.1").await;
    one_message(&lab, "not-promoted").await;
    lab.clock.advance(Millis::hours(30));
    host.pull(&service, Some("1.0")).await.expect("pulled");
    host.until("settled", &service, |state| state.incident.is_none() && state.incidents == 2).await;
    lab.world.at(&service, |outside| outside.promotion_fault = None);
    lab.clock.advance(Millis::minutes(5));
    followed(&lab, &host).await;
    assert_eq!(moves(&lab), (Some("1.0".into()), vec!["1.0".into()]));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shift_that_is_not_read_back_moves_nothing() {
    let (lab, host) = Lab::harmed(Spec::new("fraud-api")).await;
    let service = lab.service();
    lab.world.at(&service, |outside| outside.faults.push_back(Fault::Lies));
    host.pull(&service, Some("1.1")).await.expect("pulled");
    host.until("reading back", &service, |state| {
        state.incident.as_ref().is_some_and(|open| open.phase_name() == "reading back")
    })
    .await;
    lab.clock.advance(Millis::hours(1));
    host.until("a question", &service, |state| {
        state.incident.as_ref().is_some_and(|open| open.phase_name() == "needs a person")
    })
    .await;
    assert_eq!(moves(&lab), (Some("1.2".into()), vec![]));
    assert!(words(&lab, &host).await.is_empty());
    host.stop().await;
}
