//! A clock that jumped has taken no time; one that is behind is told.

use super::stage::{Stage, approvers, policy};
use crate::effect::{Effect, Topic};
use crate::event::{ApprovalAsked, ApprovalWord, ApprovalsAsked, DataState, Decision, Event, Said};
use crate::policy::Role;
use crate::service::{Illegal, Phase};
use crate::time::{Millis, UnixMillis};

const DAYS: Millis = Millis::hours(48);

fn jump(stage: &mut Stage) {
    let at = stage.0.at + DAYS;
    stage.try_at(at, &Event::ClockJumped { by: DAYS }).unwrap();
}

#[test]
fn the_plan_expires_later_by_as_much_and_people_are_told_so() {
    let mut stage = Stage::new(|_| ());
    stage.pull("ada", "1");
    stage.plan_for(&["1"]);
    let said = stage.incident().plan().unwrap().expires_at;
    jump(&mut stage);
    assert!(stage.told().last().unwrap().ends_with("and so does the expiry of its plan"));
    assert_eq!(stage.incident().plan_expires_at(), Some(said + DAYS));
    stage.approve("bob");
    stage.approve("cleo");
    assert_eq!(stage.phase(), "staging");
    stage.staged();
    stage.guard();
    assert_eq!(stage.phase(), "shifting", "nothing has expired at the guard either");
}

#[test]
fn it_still_expires_by_time_that_passes() {
    let mut stage = Stage::new(|_| ());
    stage.pull("ada", "1");
    stage.plan_for(&["1"]);
    jump(&mut stage);
    let late = stage.incident().plan_expires_at().unwrap() + Millis(1);
    stage.try_at(late, &Event::Woke).unwrap();
    assert_eq!(stage.phase(), "none");
}

fn waiting_until(stage: &Stage, expires_at: UnixMillis) -> Event {
    let Some(Effect::AskApprovals { plan, ballot }) =
        stage.0.owed().into_iter().find(|effect| matches!(effect, Effect::AskApprovals { .. }))
    else {
        panic!("{:#?}", stage.0.owed())
    };
    let recording = super::stage::blob();
    let policy = policy(Role::Approval).policy;
    let data = DataState::Complete;
    let decision = Decision { policy, role: Role::Approval, recording, fuel: 1, rounds: 1, data };
    let word =
        ApprovalWord::Waiting { quorums: approvers(2), expires_at, escalate_at: None, escalate_to: None };
    let asked = vec![ApprovalAsked { decision, said: Said::Verdict(word) }];
    Event::ApprovalsAsked(ApprovalsAsked { plan, ballot, asked })
}

#[test]
fn what_policies_said_before_a_jump_is_asked_again_after_it() {
    let mut stage = Stage::new(|terms| terms.policies.push(policy(Role::Approval)));
    stage.pull("ada", "1");
    stage.plan_for(&["1"]);
    let soon = stage.0.at + Millis::minutes(10);
    let late = waiting_until(&stage, soon);
    jump(&mut stage);
    assert_eq!(stage.try_it(&late), Err(Illegal::Stale), "it counts from a time that is over");
    let again = waiting_until(&stage, stage.0.at + Millis::minutes(10));
    stage.tell(&again);
    stage.approve("bob");
    let Phase::Authorising(waiting) = &stage.incident().phase else { panic!() };
    assert!(waiting.expires_at > stage.0.at, "the first vote does not expire it");
}

#[test]
fn a_message_to_people_matters_as_long_as_before() {
    let mut stage = Stage::new(|_| ());
    stage.pull("ada", "1");
    let before: Vec<_> = stage.0.outbox.iter().map(|out| (out.at, out.waits_since)).collect();
    jump(&mut stage);
    let after: Vec<_> = stage.0.outbox.iter().map(|out| (out.at, out.waits_since)).collect();
    for ((at, since), (at_now, since_now)) in before.into_iter().zip(after) {
        assert_eq!((at_now, since_now), (at, since + DAYS), "when it happened stays");
    }
}

#[test]
fn a_clock_that_is_behind_is_told_where_something_waits_and_not_again_and_again() {
    let mut stage = Stage::new(|_| ());
    let behind = Event::ClockBehind { by: Millis::hours(2) };
    assert_eq!(stage.try_it(&behind), Err(Illegal::Stale), "nothing waits for an instant");
    stage.pull("ada", "1");
    stage.plan_for(&["1"]);
    stage.tell(&behind);
    let told = |stage: &Stage| stage.0.outbox.iter().filter(|out| out.topic == Topic::ClockBehind).count();
    assert!(stage.told().last().unwrap().contains("2 h behind"), "{:?}", stage.told());
    assert_eq!(stage.try_it(&behind), Err(Illegal::Stale), "as after a restart");
    assert_eq!(told(&stage), 1);
}
