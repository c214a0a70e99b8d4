//! Votes are judged by the people, roles, keys and floor in force when they are used.

use super::stage::{Stage, approvers, blob, person, policy};
use crate::digest::Digest;
use crate::effect::Effect;
use crate::event::{
    ApprovalAsked, ApprovalWord, ApprovalsAsked, DataState, Decision, Event, FaultNature, PersonSaid, Said,
    Signed, StageFailed,
};
use crate::event::{FaultPlace, ShiftBegan, Voted};
use crate::name::RoleName;
use crate::plan::{Vote, VoteKind};
use crate::policy::Role;
use crate::service::{Illegal, Phase, StepState};
use crate::terms::{KnownKey, Mode, RequesterVote, Terms};
use crate::time::{Millis, UnixMillis};
use crate::votes::Nonce;

fn is_shifting(stage: &Stage) -> bool {
    matches!(&stage.incident().phase, Phase::Acting(acting) if matches!(acting.step, StepState::Shifting(_)))
}

/// A plan that bob and cleo agreed to, at its guard, under terms that have changed meanwhile.
fn after(change: impl FnOnce(&mut Terms)) -> Stage {
    let mut stage = Stage::at_the_shift();
    assert!(is_shifting(&stage));
    stage.reconfigure(change);
    stage.guard();
    stage
}

#[test]
fn a_vote_does_not_outlive_the_voter() {
    let mut stage = after(|terms| terms.people.retain(|known| known.name.as_str() != "bob"));
    assert_eq!(stage.phase(), "waiting for approval");
    assert!(stage.told().last().unwrap().contains("changed since it was granted"), "{:?}", stage.told());
    // Who is left may make up for it: what was fetched before is not fetched again.
    stage.approve("dan");
    assert_eq!(stage.phase(), "guarding");
    stage.guard();
    assert!(is_shifting(&stage));
}

#[test]
fn a_role_that_was_taken_away_a_key_that_was_replaced_and_a_higher_floor_are_asked_about_again() {
    type Change = fn(&mut Terms);
    let changes: [(&str, Change); 5] = [
        ("role", |terms| terms.people[1].roles = vec![RoleName::operator()]),
        ("key", |terms| terms.people[1].keys = vec![KnownKey::always(Digest::of("a new key"))]),
        ("floor", |terms| terms.floor = approvers(3)),
        ("policy", |terms| terms.policies.push(policy(Role::Approval))),
        ("both voters", |terms| terms.people.truncate(1)),
    ];
    for (what, change) in changes {
        let stage = after(change);
        assert_eq!(stage.phase(), "waiting for approval", "{what}");
    }
}

#[test]
fn what_does_not_touch_who_agreed_goes_on() {
    let changes: [fn(&mut Terms); 3] = [
        |terms| terms.people.retain(|known| known.name.as_str() != "dan"),
        |terms| terms.floor = approvers(1),
        |terms| terms.mode = Mode::Act,
    ];
    for change in changes {
        let mut stage = after(change);
        // Whoever agreed is enough under the new terms, too; at most the guard looks once more.
        if stage.phase() == "guarding" {
            stage.guard();
        }
        assert!(is_shifting(&stage));
    }
}

#[test]
fn a_removed_voter_counts_no_more_while_others_are_waited_for() {
    let mut stage = Stage::new(|_| ());
    stage.pull("ada", "1");
    stage.plan_for(&["1"]);
    stage.approve("bob");
    stage.reconfigure(|terms| terms.people.retain(|known| known.name.as_str() != "bob"));
    stage.approve("cleo");
    assert_eq!(stage.phase(), "waiting for approval", "one of two is left");
    stage.approve("dan");
    assert_eq!(stage.phase(), "staging");
}

#[test]
fn a_lower_floor_is_enough_as_soon_as_it_is_in_force() {
    let mut stage = Stage::new(|terms| terms.floor = approvers(3));
    stage.pull("ada", "1");
    stage.plan_for(&["1"]);
    stage.approve("bob");
    stage.approve("cleo");
    assert_eq!(stage.phase(), "waiting for approval");
    stage.reconfigure(|terms| terms.floor = approvers(2));
    assert_eq!(stage.phase(), "staging");
}

#[test]
fn whoever_may_not_act_or_has_another_key_cannot_vote() {
    let mut stage =
        Stage::new(|terms| terms.people[1].keys = vec![KnownKey::always(Digest::of("bob's key"))]);
    stage.pull("ada", "1");
    stage.plan_for(&["1"]);
    let mut cast = |who: &str, key: Option<&str>| {
        let mut voted = stage.vote(who);
        voted.vote = Vote { key: key.map(Digest::of), kind: VoteKind::Signature, ..voted.vote };
        stage.try_it(&Event::Voted(voted))
    };
    assert!(matches!(cast("eve", None), Err(Illegal::UnknownPerson(_))));
    assert!(matches!(cast("bob", None), Err(Illegal::OtherKey(_))));
    assert!(matches!(cast("bob", Some("another key")), Err(Illegal::OtherKey(_))));
    assert_eq!(cast("bob", Some("bob's key")), Ok(()));
}

/// Bob's vote, with his key and a nonce of that number.
fn signed(stage: &Stage, nonce: u8) -> Voted {
    let mut voted = stage.vote("bob");
    voted.vote = Vote { key: Some(Digest::of("bob's key")), kind: VoteKind::Signature, ..voted.vote };
    Voted { signed: Some(Signed { nonce: Nonce::of([nonce; 16]), signature: blob() }), ..voted }
}

#[test]
fn a_signature_counts_once() {
    let with_key = |terms: &mut Terms| terms.people[1].keys = vec![KnownKey::always(Digest::of("bob's key"))];
    let mut stage = Stage::new(|terms| terms.floor = approvers(2));
    stage.reconfigure(with_key);
    stage.pull("ada", "1");
    stage.plan_for(&["1"]);
    let first = Event::Voted(signed(&stage, 1));
    assert_eq!(stage.try_it(&first), Ok(()));
    assert!(matches!(stage.try_it(&first), Err(Illegal::Unchanged(_))));
    // Without the key he takes it back by voting otherwise; with it again, what he signed before is not his word any more.
    stage.reconfigure(|terms| terms.people[1].keys.clear());
    stage.approve("bob");
    stage.reconfigure(with_key);
    assert_eq!(stage.try_it(&first), Err(Illegal::SignatureUsed(person("bob"))));
    assert_eq!(stage.phase(), "waiting for approval");
    let second = Event::Voted(signed(&stage, 2));
    assert_eq!(stage.try_it(&second), Ok(()));
    // Another plan begins anew: its digest is signed, too.
    stage.pull("ada", "2");
    stage.plan_for(&["2"]);
    let other = Event::Voted(signed(&stage, 1));
    assert_eq!(stage.try_it(&other), Ok(()));
}

#[test]
fn a_key_counts_while_it_is_valid_and_one_of_several_is_enough() {
    let mut stage = Stage::new(|terms| terms.floor = approvers(2));
    stage.pull("ada", "1");
    stage.plan_for(&["1"]);
    let now = stage.0.at;
    let key = |after: Option<u64>, before: Option<u64>| KnownKey {
        key: Digest::of("bob's key"),
        valid_after: after.map(UnixMillis),
        valid_before: before.map(UnixMillis),
    };
    let refused = Err(Illegal::OtherKey(person("bob")));
    for (after, before) in [(Some(now.0 + 60_000), None), (None, Some(now.0 - 1)), (Some(0), Some(1))] {
        stage.reconfigure(|terms| terms.people[1].keys = vec![key(after, before)]);
        let voted = Event::Voted(signed(&stage, 1));
        assert_eq!(stage.try_it(&voted), refused, "{after:?} {before:?}");
        // Keys that are not valid now are keys all the same: a session does not stand in for them.
        let by_session = Event::Voted(stage.vote("bob"));
        assert_eq!(stage.try_it(&by_session), refused, "{after:?} {before:?}");
    }
    stage.reconfigure(|terms| {
        let another = KnownKey::always(Digest::of("another"));
        terms.people[1].keys = vec![another, key(Some(now.0), Some(now.0 + 60_000))];
    });
    let voted = Event::Voted(signed(&stage, 1));
    assert_eq!(stage.try_it(&voted), Ok(()));
    assert_eq!(stage.0.votes_in_force().len(), 1);
    // Given while it was valid: it counts after that, unless the key is taken away.
    stage.0.at = now + Millis::minutes(2);
    assert_eq!(stage.0.votes_in_force().len(), 1);
    stage.reconfigure(|terms| terms.people[1].keys.truncate(1));
    assert!(stage.0.votes_in_force().is_empty());
}

#[test]
fn nobody_who_asked_counts_towards_two_keys_however_many_pulled() {
    let pulled_by_two = |change: fn(&mut Terms)| {
        let mut stage = Stage::new(change);
        stage.pull("ada", "1");
        stage.pull("bob", "1");
        stage.plan_for(&["1"]);
        stage.approve("ada");
        stage
    };
    let mut stage = pulled_by_two(|_| ());
    stage.approve("cleo");
    assert_eq!(stage.phase(), "waiting for approval", "ada asked before bob did");
    stage.approve("dan");
    assert_eq!(stage.phase(), "staging");
    let stage = pulled_by_two(|terms| terms.requester_vote = RequesterVote::Counts);
    assert_eq!(stage.phase(), "staging", "it is configured that they count");
}

#[test]
fn a_pull_is_one_key_only_for_the_person_whose_wish_is_carried_out() {
    let mut stage = Stage::new(|terms| terms.floor = approvers(1));
    stage.pull("ada", "1");
    stage.plan_for(&["1"]);
    assert_eq!(stage.phase(), "staging");
    stage.reconfigure(|terms| terms.people.retain(|known| known.name.as_str() != "ada"));
    stage.staged();
    stage.guard();
    assert_eq!(stage.phase(), "waiting for approval", "who asked may not act any more");
}

pub(super) fn asked(stage: &Stage, ballot: Digest, word: ApprovalWord) -> Event {
    let policy = policy(Role::Approval).policy;
    let (recording, data) = (blob(), DataState::Complete);
    let decision = Decision { policy, role: Role::Approval, recording, fuel: 1, rounds: 1, data };
    let asked = vec![ApprovalAsked { decision, said: Said::Verdict(word) }];
    Event::ApprovalsAsked(ApprovalsAsked { plan: stage.plan(), ballot, asked })
}

fn ballot(stage: &Stage) -> Option<Digest> {
    stage.0.owed().into_iter().find_map(|effect| match effect {
        Effect::AskApprovals { ballot, .. } => Some(ballot),
        _ => None,
    })
}

#[test]
fn policies_are_asked_about_votes_by_what_they_say_not_by_their_number() {
    let mut stage = Stage::new(|terms| terms.policies.push(policy(Role::Approval)));
    stage.pull("ada", "1");
    stage.plan_for(&["1"]);
    stage.approve("bob");
    stage.approve("cleo");
    let first = ballot(&stage).expect("asked");
    // As many votes as before, and another one among them.
    stage.reconfigure(|terms| terms.people[1].keys = vec![KnownKey::always(Digest::of("bob's key"))]);
    let mut voted = stage.vote("bob");
    voted.vote = Vote { key: Some(Digest::of("bob's key")), kind: VoteKind::Signature, ..voted.vote };
    stage.tell(&Event::Voted(voted));
    let second = ballot(&stage).expect("asked again");
    assert_ne!(first, second);
    let late = asked(&stage, first, ApprovalWord::Granted);
    assert_eq!(stage.try_it(&late), Err(Illegal::Stale), "that was about other votes");
    let granted = asked(&stage, second, ApprovalWord::Granted);
    stage.tell(&granted);
    assert_eq!(stage.phase(), "staging");
}

#[test]
fn what_policies_granted_before_the_last_vote_is_asked_again_with_it() {
    let mut stage = Stage::new(|terms| terms.policies.push(policy(Role::Approval)));
    stage.pull("ada", "1");
    stage.plan_for(&["1"]);
    stage.approve("bob");
    let granted = asked(&stage, ballot(&stage).unwrap(), ApprovalWord::Granted);
    stage.tell(&granted);
    stage.approve("cleo");
    assert_eq!(stage.phase(), "waiting for approval", "no policy has seen this vote");
    let refused = asked(&stage, ballot(&stage).unwrap(), ApprovalWord::Refused(blob()));
    stage.tell(&refused);
    assert_eq!(stage.phase(), "none");
}

#[test]
fn the_same_vote_again_is_no_event_and_other_ones_are_bounded() {
    let mut stage = Stage::new(|terms| terms.floor = approvers(3));
    stage.pull("ada", "1");
    stage.plan_for(&["1"]);
    stage.approve("bob");
    let again = stage.vote("bob");
    let said = stage.try_it(&Event::Voted(again)).unwrap_err();
    assert_eq!(said.to_string(), "`bob` has said so already: nothing has changed");
    let mut taken = 1;
    for turn in 0..100 {
        let kind = if turn % 2 == 0 { VoteKind::Signature } else { VoteKind::Session };
        let mut voted: Voted = stage.vote("bob");
        voted.vote.kind = kind;
        taken += u32::from(stage.try_it(&Event::Voted(voted)).is_ok());
    }
    assert_eq!(taken, 10);
    assert_eq!(stage.incident().votes.len(), 1);
}

#[test]
fn a_pause_or_a_host_that_was_down_does_not_let_a_shift_go_by_an_old_look() {
    let said = PersonSaid { person: super::stage::person("ada"), reason: blob() };
    let mut stage = Stage::at_the_shift();
    stage.tell(&Event::Paused(said.clone()));
    stage.tell(&Event::Resumed(said));
    assert_eq!(stage.phase(), "guarding");

    let mut stage = Stage::at_the_shift();
    let began = Event::ShiftBegan(ShiftBegan {
        plan: stage.plan(),
        rung: 0,
        wave: 0,
        attempt: 1,
        request: super::stage::sent(),
    });
    let late = stage.0.at + Millis::minutes(2);
    assert_eq!(stage.try_at(late, &began), Err(Illegal::Stale));
    stage.try_at(late, &Event::Woke).unwrap();
    assert_eq!(stage.phase(), "guarding");
    stage.guard();
    stage.tell(&began);
}

#[test]
fn a_fetch_that_hangs_inside_a_shift_has_the_time_of_one_staging_and_a_minute() {
    let mut stage = Stage::at_the_shift();
    let (passed, limit) = (stage.0.at, stage.0.terms.as_ref().unwrap().deadlines.stage);
    let minute = Millis::minutes(1);
    stage.try_at(passed + minute, &Event::Woke).unwrap();
    assert_eq!(stage.phase(), "guarding");
    let failed = StageFailed {
        plan: stage.plan(),
        rung: 0,
        reason: blob(),
        nature: FaultNature::Environmental,
        lies_in: FaultPlace::Target,
    };
    stage.try_at(passed + limit, &Event::StageFailed(failed)).unwrap();
    assert_eq!(stage.phase(), "staging");
    stage.try_at(passed + minute + limit, &Event::Woke).unwrap();
    assert_eq!(stage.phase(), "needs a person");
}

fn refuse(stage: &Stage, who: &str) -> Event {
    let mut voted = stage.vote(who);
    voted.vote.granted = false;
    Event::Voted(voted)
}

#[test]
fn where_some_have_a_veto_the_refusal_of_others_ends_nothing() {
    let mut stage = Stage::new(|terms| {
        terms.veto = vec![RoleName::new("security").unwrap()];
        terms.policies.push(policy(Role::Approval));
        terms.people.push(super::stage::known("sue", &["security"]));
    });
    stage.pull("ada", "1");
    stage.plan_for(&["1"]);
    let event = refuse(&stage, "bob");
    stage.tell(&event);
    assert_eq!(stage.phase(), "waiting for approval");
    assert!(stage.0.votes_in_force().is_empty(), "policies hear of those who agree");
    assert_eq!(stage.incident().votes.len(), 1, "and it is on record");
    // He may change his mind, and is then one of those who agree.
    stage.approve("bob");
    assert_eq!(stage.0.votes_in_force().len(), 1);
    let event = refuse(&stage, "sue");
    stage.tell(&event);
    assert_eq!(stage.phase(), "none", "settled");
}

#[test]
fn a_refusal_that_stands_ends_the_plan_when_its_person_gets_the_veto() {
    let mut stage = Stage::new(|terms| terms.veto = vec![RoleName::new("security").unwrap()]);
    stage.pull("ada", "1");
    stage.plan_for(&["1"]);
    let event = refuse(&stage, "bob");
    stage.tell(&event);
    stage.reconfigure(|terms| terms.veto.clear());
    assert_eq!(stage.phase(), "none", "settled");
    // Also where enough people agree: at the guard, and nothing is shifted.
    let mut stage = Stage::new(|terms| {
        terms.veto = vec![RoleName::new("security").unwrap()];
        terms.people.push(super::stage::known("dan", &["approver"]));
    });
    stage.pull("ada", "1");
    stage.plan_for(&["1"]);
    let event = refuse(&stage, "dan");
    stage.tell(&event);
    stage.approve("bob");
    stage.approve("cleo");
    stage.staged();
    stage.reconfigure(|terms| terms.veto.clear());
    stage.guard();
    assert_eq!(stage.phase(), "none", "settled, and nothing was shifted");
}

#[test]
fn without_a_veto_any_refusal_ends_the_plan() {
    let mut stage = Stage::new(|_| {});
    stage.pull("ada", "1");
    stage.plan_for(&["1"]);
    let event = refuse(&stage, "bob");
    stage.tell(&event);
    assert_eq!(stage.phase(), "none", "settled");
}

#[test]
fn who_wrote_the_rules_counts_towards_no_quorum() {
    let mut stage = Stage::new(|terms| terms.authors = vec![person("bob")]);
    stage.pull("ada", "1");
    stage.plan_for(&["1"]);
    stage.approve("bob");
    stage.approve("cleo");
    assert_eq!(stage.phase(), "waiting for approval");
    let tally = &stage.0.tally()[0];
    assert_eq!(tally.agreed, [person("cleo")]);
    assert!(!tally.may.contains(&person("bob")), "{tally}");
    // Nor do they by having asked for it.
    let mut alone = Stage::new(|terms| {
        terms.floor = approvers(1);
        terms.authors = vec![person("ada")];
    });
    alone.pull("ada", "1");
    alone.plan_for(&["1"]);
    assert_eq!(alone.phase(), "waiting for approval");
    // Whoever is an author no more counts from then on.
    stage.reconfigure(|terms| terms.authors.clear());
    assert_eq!(stage.phase(), "staging");
}

#[test]
fn people_are_reminded_until_the_plan_expires_and_no_more() {
    let mut stage = Stage::new(|terms| {
        terms.deadlines.approval = Millis::hours(1);
        terms.deadlines.reminder = Millis::minutes(25);
    });
    stage.pull("ada", "1");
    stage.plan_for(&["1"]);
    let asked_at = stage.0.at;
    let wanted = |stage: &Stage| stage.told().iter().filter(|text| text.contains("has waited")).count();
    assert_eq!(wanted(&stage), 0);
    for (minutes, reminders) in [(24, 0), (25, 1), (49, 1), (51, 2), (59, 2)] {
        stage.try_at(asked_at + Millis::minutes(minutes), &Event::Woke).unwrap();
        assert_eq!(wanted(&stage), reminders, "after {minutes} minutes");
    }
    let last = stage.told().into_iter().rfind(|text| text.contains("has waited")).unwrap().to_owned();
    assert!(
        last.contains("2 more of 2 with role `approver`") && last.contains("its plan expires in"),
        "{last}"
    );
    let wakes = |stage: &Stage| {
        let owed = stage.0.owed();
        owed.iter().filter(|effect| matches!(effect, Effect::WakeAt(_))).count()
    };
    let before = wakes(&stage);
    stage.reconfigure(|terms| terms.deadlines.reminder = Millis(0));
    assert!(wakes(&stage) <= before);
}
