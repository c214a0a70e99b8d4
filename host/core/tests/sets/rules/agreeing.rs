//! One plan in parts, and one consent to all of it.

use ripcord_core::digest::Digest;
use ripcord_core::event::{ApprovalWord, FaultNature};
use ripcord_core::fact::Outcome;
use ripcord_core::set::{IfPartFails, SetDrafted, SetEvent, SetIllegal, SetNotDrafted};
use ripcord_core::terms::{KnownKey, RequesterVote};
use ripcord_core::time::Millis;

use super::{Done, PAIR, approval, asked, ended, run, two_keys, with_a_policy};
use crate::world::{World, approvers, blob, name, person, set_terms, version};

#[test]
fn the_strictest_floor_counts_and_who_asked_does_not_make_up_for_the_second_key() {
    let mut world = two_keys(IfPartFails::Back);
    world.vote("ada", true).unwrap();
    world.vote("bob", true).unwrap();
    world.settle();
    assert!(world.is_authorising(), "ada asked, so bob is the first key: {}", world.phase());
    let tally: Vec<_> = world.set.tally().iter().map(ToString::to_string).collect();
    assert_eq!(tally, ["1 more of 2 with role `approver` (bob agreed; cleo, dan may)"]);
    assert!(world.shifts.is_empty());
    assert_eq!(world.vote("bob", true), Err(SetIllegal::Unchanged(person("bob"))));
    world.vote("cleo", true).unwrap();
    assert!(world.set.tally().is_empty(), "nobody is waited for");
    world.settle();
    assert_eq!(world.outcome(), "moved");
}

#[test]
fn the_floor_of_a_member_that_stays_asks_for_nothing_and_the_sets_own_does() {
    let mut world = World::new(&PAIR, IfPartFails::Back);
    world.configure("model", |terms| terms.floor = approvers(3));
    world.ask("ada", &[("features", "1")]).unwrap();
    world.settle();
    assert_eq!(world.outcome(), "moved");
    let mut world = World::new(&PAIR, IfPartFails::Back);
    let mut terms = set_terms(&PAIR, IfPartFails::Back);
    (terms.floor, terms.requester_vote) = (approvers(2), RequesterVote::Counts);
    world.configure_set(terms);
    asked(&mut world);
    world.vote("bob", true).unwrap();
    world.settle();
    // The set is content with ada and bob; each member counts by its own terms, of which one is enough.
    assert_eq!(world.outcome(), "moved");
}

#[test]
fn a_member_counts_the_votes_by_its_own_terms() {
    // Ada and bob are enough for the set, whose requester counts, and not for the model, where two others must agree.
    let mut world = World::new(&PAIR, IfPartFails::Back);
    let mut terms = set_terms(&PAIR, IfPartFails::Back);
    terms.requester_vote = RequesterVote::Counts;
    world.configure_set(terms);
    world.configure("model", |terms| terms.floor = approvers(2));
    asked(&mut world);
    world.vote("bob", true).unwrap();
    world.settle();
    assert_eq!(world.shifts, [("features".to_owned(), "1".to_owned())]);
    assert_eq!(world.service("model").incident.as_ref().unwrap().phase_name(), "waiting for approval");
    // Nobody more agrees: its part fails, and the other goes back.
    while world.set.run.is_some() {
        world.wait();
    }
    assert_eq!(world.outcome(), "went back");
    assert_eq!((world.live("features"), world.live("model")), ("4", "4"));
}

#[test]
fn a_refusal_and_an_abort_before_the_first_part_release_all() {
    let mut world = two_keys(IfPartFails::Back);
    world.vote("bob", false).unwrap();
    world.settle();
    assert_eq!(world.outcome(), "refused");
    let mut world = two_keys(IfPartFails::Back);
    let about = run(&world);
    world.note(SetEvent::Aborted(about)).unwrap();
    world.settle();
    assert_eq!(world.outcome(), "aborted");
    assert!(world.shifts.is_empty());
    for member in PAIR {
        assert!(world.service(member).incident.is_none(), "{member}");
        assert_eq!(ended(&world, member), Outcome::Other("released by its set".into()));
    }
}

#[test]
fn not_enough_people_in_time_end_the_run() {
    let mut world = two_keys(IfPartFails::Back);
    world.vote("bob", true).unwrap();
    while world.set.run.is_some() {
        world.wait();
    }
    assert_eq!(world.outcome(), "expired");
    assert!(world.shifts.is_empty());
}

#[test]
fn one_digest_is_agreed_to_and_each_member_has_its_own_part_under_it() {
    let mut world = two_keys(IfPartFails::Back);
    let plan = world.draft();
    let digest = plan.plan.digest().unwrap();
    let drafted = plan.drafted(blob());
    assert_eq!(drafted.digest, digest);
    let set = plan.plan.set.as_ref().unwrap();
    assert_eq!((set.members.as_slice(), set.if_part_fails), (&PAIR.map(name)[..], IfPartFails::Back));
    for part in &drafted.parts {
        let of_member = plan.plan.part_of(&part.member).unwrap();
        assert_eq!(part.part.digest, digest);
        assert_eq!(part.part.steps, of_member.approved_steps());
        assert!(of_member.rungs.iter().map(|rung| &rung.target).eq(&part.part.targets));
        assert_eq!(part.part.targets, [version("1"), version("4")], "there, and back again");
    }
    // Another rule of what is done where a part fails is another plan.
    world.set.run.as_mut().unwrap().if_part_fails = IfPartFails::Forward;
    assert_ne!(world.draft().plan.digest().unwrap(), digest);
}

#[test]
fn why_no_plan_could_be_made_is_kept_until_one_is() {
    let mut world = World::new(&PAIR, IfPartFails::Back);
    world.configure("model", |terms| terms.floor = approvers(2));
    world.ask("ada", &[("features", "1"), ("model", "1")]).unwrap();
    world.settle_until(|world| world.phase() == "planning");
    let run = world.set.run.as_ref().unwrap().id.clone();
    let nature = FaultNature::Environmental;
    world.note(SetEvent::NotDrafted(SetNotDrafted { run, number: 1, reason: blob(), nature })).unwrap();
    let known = |world: &World| world.set.run.as_ref().unwrap().unplanned;
    assert_eq!((world.phase(), known(&world)), ("planning", Some(blob())), "it is tried again");
    world.note(SetEvent::Drafted(world.draft().drafted(blob()))).unwrap();
    assert_eq!(known(&world), None);
}

#[test]
fn a_plan_that_is_not_the_runs_own_is_not_taken() {
    let mut world = World::new(&PAIR, IfPartFails::Back);
    world.configure("model", |terms| terms.floor = approvers(2));
    world.ask("ada", &[("features", "1"), ("model", "1")]).unwrap();
    world.settle_until(|world| world.phase() == "planning");
    let drafted = world.draft().drafted(blob());
    let changes: [Done<SetDrafted>; 7] = [
        ("a part is missing", |drafted| drafted.parts.truncate(1)),
        ("in another order", |drafted| drafted.parts.reverse()),
        ("to another target", |drafted| drafted.parts[0].part.targets[0] = version("2")),
        ("without a way back", |drafted| drafted.parts[1].part.targets.truncate(1)),
        ("back to what was not live", |drafted| drafted.parts[1].part.targets[1] = version("3")),
        ("of another number", |drafted| drafted.number = 2),
        ("for longer than the run", |drafted| drafted.expires_at = drafted.expires_at + Millis(1)),
    ];
    for (what, change) in changes {
        let mut other = drafted.clone();
        change(&mut other);
        assert_eq!(world.note(SetEvent::Drafted(other)), Err(SetIllegal::Stale), "{what}");
    }
    world.note(SetEvent::Drafted(drafted)).unwrap();
    assert!(world.is_authorising());
}

#[test]
fn a_members_approval_policies_are_asked_about_its_part() {
    let mut world = with_a_policy();
    let granted = approval(&world, "model", ApprovalWord::Granted);
    world.tell("model", granted).unwrap();
    world.settle();
    assert_eq!(world.outcome(), "moved");
    let mut world = with_a_policy();
    let refused = approval(&world, "model", ApprovalWord::Refused(blob()));
    world.tell("model", refused).unwrap();
    world.settle();
    assert_eq!(world.outcome(), "went back");
    assert_eq!(world.live("model"), "4");
}

#[test]
fn a_vote_is_by_someone_who_may_on_the_plan_at_hand() {
    let mut world = two_keys(IfPartFails::Back);
    assert_eq!(world.vote("eve", true), Err(SetIllegal::UnknownPerson(person("eve"))));
    let mut terms = set_terms(&PAIR, IfPartFails::Back);
    terms.people[1].keys = vec![KnownKey::always(Digest::of("key"))];
    world.configure_set(terms);
    assert_eq!(world.vote("bob", true), Err(SetIllegal::OtherKey(person("bob"))));
    world.vote("cleo", true).unwrap();
    world.vote("dan", true).unwrap();
    assert!(!world.is_authorising(), "cleo and dan are enough");
    assert!(matches!(world.vote("dan", true), Err(SetIllegal::WrongPhase { .. })));
}

#[test]
fn a_vote_counts_no_more_once_its_person_may_not_act() {
    let mut world = two_keys(IfPartFails::Back);
    world.vote("bob", true).unwrap();
    let mut terms = set_terms(&PAIR, IfPartFails::Back);
    terms.people.retain(|known| known.name != person("bob"));
    world.configure_set(terms.clone());
    world.vote("cleo", true).unwrap();
    assert!(world.is_authorising(), "{}", world.phase());
    // Who comes back counts again, without a word.
    terms.people = set_terms(&PAIR, IfPartFails::Back).people;
    world.configure_set(terms);
    assert!(!world.is_authorising());
}
