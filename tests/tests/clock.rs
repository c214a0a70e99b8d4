//! Time: a clock that jumps moves deadlines, time that passes does not, and what became due while no host ran does not surprise.

#![allow(clippy::unwrap_used, clippy::panic)]

use ripcord_core::effect::Topic;
use ripcord_core::event::Event;
use ripcord_core::fact::Outcome;
use ripcord_core::policy::Role;
use ripcord_core::service::Phase;
use ripcord_core::time::Millis;
use ripcord_engine::Folded;
use ripcord_tests::people::{bob, cleo};
use ripcord_tests::states::{phase, reads_back, shifts, two_keys};
use ripcord_tests::world::{Fault, Line};
use ripcord_tests::{Fuse, Lab, Point, Spec, check};
use serde_json::json;

fn jumps(folded: &Folded) -> Vec<Millis> {
    let by = |event: &Event| if let Event::ClockJumped { by } = event { Some(*by) } else { None };
    folded.events.iter().filter_map(|(_, event)| by(event)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jump_does_not_expire_what_people_are_asked_and_is_told() {
    let (lab, host) = Lab::harmed(two_keys(Spec::new("fraud-api").scripted())).await;
    let service = lab.service();
    host.alert(&lab, &service, "a").await.unwrap();
    host.approve(bob(), &service).await.expect("voted");
    lab.clock.jump(Millis::hours(48));
    host.until("told", &service, |_| lab.world.told_of(&service, "clock-jumped") == 1).await;
    // The policy is asked again about the second vote, and counts from when approval was asked for.
    host.approve(cleo(), &service).await.expect("two days later by the clock, moments later in truth");
    host.settled(&service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    let folded = check::journal(&host, &service).await;
    let [by] = jumps(&folded)[..] else { panic!("{:?}", jumps(&folded)) };
    assert!(by >= Millis::hours(47) && by <= Millis::hours(49), "{by}");
    assert_eq!(check::count(&folded, Topic::ClockJumped), 1);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn time_that_passes_is_no_jump_and_expires_the_plan() {
    let (lab, host) = Lab::harmed(two_keys(Spec::new("fraud-api").scripted())).await;
    let service = lab.service();
    host.alert(&lab, &service, "a").await.unwrap();
    host.approve(bob(), &service).await.expect("voted");
    lab.clock.advance(Millis::minutes(11));
    host.settled(&service).await;
    check::all(&lab, &host, &service, Outcome::Expired).await;
    assert!(jumps(&check::journal(&host, &service).await).is_empty());
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jump_during_a_read_back_is_no_reason_for_the_next_rung() {
    let (lab, host) = Lab::harmed(Spec::new("fraud-api").scripted()).await;
    let service = lab.service();
    lab.world.at(&service, |outside| outside.faults.push_back(Fault::Underway(5)));
    host.alert(&lab, &service, "a").await.unwrap();
    host.until("reading back", &service, reads_back).await;
    lab.clock.jump(Millis::hours(3));
    host.settled(&service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    let folded = check::journal(&host, &service).await;
    assert_eq!((shifts(&folded), jumps(&folded).len()), (1, 1));
    assert_eq!(lab.world.of(&service).live, "1.1");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jump_does_not_make_the_breaker_forget() {
    let spec = Spec::new("fraud-api").scripted().terms(|terms| terms.breaker.service_shifts_per_hour = 1);
    let (lab, host) = Lab::harmed(spec).await;
    let service = lab.service();
    host.alert(&lab, &service, "a").await.unwrap();
    host.settled(&service).await;
    assert_eq!(lab.world.of(&service).live, "1.1");
    lab.clock.jump(Millis::hours(30));
    lab.world.at(&service, |outside| outside.bad.insert("1.1".into()));
    host.alert(&lab, &service, "b").await.unwrap();
    host.waiting_plan(&service).await;
    let state = host.state(&service);
    let Phase::Authorising(waiting) = &state.incident.as_ref().unwrap().phase else { panic!() };
    assert!(
        waiting.people_because.as_ref().unwrap().contains("1 automatic shift of this service"),
        "{waiting:?}"
    );
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_that_passed_while_no_host_ran_is_judged_after_a_look() {
    let (lab, host) = Lab::harmed(Spec::new("fraud-api").scripted()).await;
    let service = lab.service();
    host.stop().await;
    let fuse = Fuse::armed(Some(Point { name: "before append read-back".into(), nth: 0 }));
    let host = lab.start_with(fuse.clone()).await.unwrap();
    host.alert(&lab, &service, "a").await.unwrap();
    fuse.died().await;
    host.die().await;
    assert_eq!(lab.world.of(&service).live, "1.1", "the shift happened");
    lab.clock.advance(Millis::hours(24 * 7));
    // A look takes its time.
    let slow = Fuse::slow(std::time::Duration::from_millis(50));
    let host = lab.start_with(slow).await.unwrap();
    host.settled(&service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    let folded = check::journal(&host, &service).await;
    assert_eq!((shifts(&folded), jumps(&folded).len()), (1, 0), "a host that was down saw no jump");
    assert_eq!(lab.world.of(&service).live, "1.1");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_back_holds_nothing_up() {
    let (lab, host) = Lab::harmed(two_keys(Spec::new("fraud-api").scripted())).await;
    let service = lab.service();
    host.alert(&lab, &service, "a").await.unwrap();
    host.approve(bob(), &service).await.expect("voted");
    lab.clock.set_back(Millis::hours(48));
    // The next attempt is due a moment later by the service's time: two days by the wall's.
    lab.world.at(&service, |outside| outside.faults.push_back(Fault::RefusedForNow));
    host.approve(cleo(), &service).await.expect("voted");
    host.settled(&service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    let folded = check::journal(&host, &service).await;
    assert_eq!((shifts(&folded), jumps(&folded).len()), (2, 0));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jump_does_not_expire_the_plan_at_the_first_vote_by_the_starter_policy() {
    let mut spec = Spec::new("fraud-api").scripted();
    let two_key = (Role::Approval, "two-key", json!({ "people": 2, "expires-after": "30m" }));
    spec.policies.retain(|(role, ..)| *role != Role::Approval);
    spec.policies.push(two_key);
    let (lab, host) = Lab::harmed(spec).await;
    let service = lab.service();
    host.alert(&lab, &service, "a").await.unwrap();
    host.waiting_plan(&service).await;
    lab.clock.jump(Millis::hours(48));
    host.until("told", &service, |_| lab.world.told_of(&service, "clock-jumped") == 1).await;
    host.approve(bob(), &service).await.expect("voted");
    host.approve(cleo(), &service).await.expect("the first vote has not expired it");
    host.settled(&service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_with_a_clock_that_was_ahead_time_goes_on_and_people_are_told() {
    let (lab, host) = Lab::harmed(two_keys(Spec::new("fraud-api").scripted())).await;
    let service = lab.service();
    host.alert(&lab, &service, "a").await.unwrap();
    host.approve(bob(), &service).await.expect("voted");
    host.stop().await;
    lab.clock.set_back(Millis::hours(2));
    let host = lab.start().await;
    host.until("told", &service, |_| lab.world.told_of(&service, "clock-behind") == 1).await;
    let before = host.state(&service).at;
    // Half of it passes: enough to call for more people, not to expire the plan.
    lab.clock.advance(Millis::minutes(12));
    host.until(
        "escalated",
        &service,
        |state| matches!(phase(state), Some(Phase::Authorising(waiting)) if waiting.escalated),
    )
    .await;
    let passed = host.state(&service).at.since(before);
    assert!(passed >= Millis::minutes(5) && passed <= Millis::minutes(7), "{passed}");
    host.approve(cleo(), &service).await.expect("in time");
    host.settled(&service).await;
    check::all(&lab, &host, &service, Outcome::RolledBack).await;
    let folded = check::journal(&host, &service).await;
    assert_eq!(check::count(&folded, Topic::ClockBehind), 1);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jump_does_not_make_a_message_not_matter_any_more() {
    let (lab, host) = Lab::harmed(two_keys(Spec::new("fraud-api").scripted())).await;
    let service = lab.service();
    lab.world.change(|all| all.line = Line::Broken);
    host.alert(&lab, &service, "a").await.unwrap();
    host.waiting_plan(&service).await;
    lab.clock.jump(Millis::hours(48));
    host.until("noted", &service, |state| {
        state.incident.as_ref().is_some_and(|open| open.extension > Millis(0))
    })
    .await;
    lab.world.change(|all| all.line = Line::Open);
    host.until("told", &service, |state| state.outbox.is_empty()).await;
    assert_eq!(lab.world.told_of(&service, "approval-wanted"), 1, "it was not given up");
    host.stop().await;
}
