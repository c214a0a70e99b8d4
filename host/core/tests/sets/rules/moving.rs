//! The parts, one after the other; what is done where one fails; and what is kept of it.

use ripcord_core::digest::Digest;
use ripcord_core::effect::Topic;
use ripcord_core::event::{AboutIncident, Announced, Event, InProduction, Observed, ProductionWatched};
use ripcord_core::fact::Outcome;
use ripcord_core::live::{Proof, Share};
use ripcord_core::name::VersionName;
use ripcord_core::ratio::Ratio;
use ripcord_core::service::Phase;
use ripcord_core::set::{CONSISTENT_MAX, IfPartFails, SetEvent, SetIllegal};
use ripcord_core::target::VersionTarget;
use ripcord_core::terms::RequesterVote;
use ripcord_core::time::Millis;

use super::{PAIR, agreed, asked, ended, incident, revision, run, told, two_keys};
use crate::world::{World, approvers, name, set_terms, verifier};

#[test]
fn a_set_moves_in_its_order_and_then_what_was_left_is_condemned() {
    let world = agreed(IfPartFails::Back, |_| ());
    assert_eq!(world.outcome(), "moved");
    let shifts: Vec<_> = world.shifts.iter().map(|(member, to)| (member.as_str(), to.as_str())).collect();
    assert_eq!(shifts, [("features", "1"), ("model", "1")]);
    for member in PAIR {
        assert_eq!(ended(&world, member), Outcome::RolledBack, "{member}");
        assert!(world.service(member).is_held(revision("4")), "{member}");
        assert!(world.service(member).incident.is_none());
    }
    let consistent = world.set.consistent_sets().next().unwrap();
    assert_eq!(consistent.members[&name("model")], [revision("1")]);
}

#[test]
fn no_part_condemns_anything_before_all_of_them_are_in_place() {
    let mut world = two_keys(IfPartFails::Back);
    world.member("model").vanishes.insert("1".into());
    world.vote("bob", true).unwrap();
    world.vote("cleo", true).unwrap();
    world.settle();
    assert_eq!(world.live("features"), "1");
    assert!(!world.service("features").is_held(revision("4")), "it may have to go back to it");
    assert_eq!(world.service("features").incident.as_ref().unwrap().phase, Phase::Enlisted);
}

#[test]
fn what_someone_else_has_put_back_meanwhile_is_not_condemned() {
    let mut world = agreed(IfPartFails::Back, |world| {
        // It takes its time: long enough for somebody to look after the other one.
        world.member("model").vanishes.insert("1".into());
    });
    world.member("features").live = "4".into();
    let watched = ProductionWatched {
        not_before: None,
        after: None,
        unread: Vec::new(),
        live: Observed::Serving(vec![Share {
            version: VersionTarget { version: VersionName::new("4").unwrap(), digest: None },
            place: String::new(),
            weight: Ratio::ONE,
            proof: Proof::Answer,
        }]),
        facets: Vec::new(),
        in_production: InProduction::Unsupported,
    };
    world.tell("features", Event::ProductionWatched(watched)).unwrap();
    world.member("model").vanishes.clear();
    world.member("model").live = "1".into();
    world.settle();
    assert_eq!(world.outcome(), "moved");
    assert!(!world.service("features").is_held(revision("4")));
    let told = world.service("features").outbox.iter().any(|out| out.text.contains("someone else has moved"));
    assert!(told, "{:?}", world.service("features").outbox);
    assert!(world.service("model").is_held(revision("4")));
}

#[test]
fn a_member_without_a_target_is_enlisted_stays_as_it_is_and_is_part_of_the_consistent_set() {
    let mut world = World::new(&["a", "b", "c"], IfPartFails::Back);
    world.ask("ada", &[("a", "1"), ("c", "2")]).unwrap();
    world.settle();
    assert_eq!(world.outcome(), "moved", "ada asked and is an approver: one is enough");
    assert_eq!((world.live("a"), world.live("b"), world.live("c")), ("1", "4", "2"));
    assert_eq!(ended(&world, "b"), Outcome::Other("released by its set".into()));
    assert!(!world.service("b").is_held(revision("4")), "nothing of it was left");
    assert_eq!(world.set.consistent_sets().next().unwrap().members[&name("b")], [revision("4")]);
}

#[test]
fn once_a_part_was_begun_the_run_is_not_aborted() {
    let mut world = agreed(IfPartFails::Back, |world| {
        world.member("model").vanishes.insert("1".into());
    });
    let about = run(&world);
    assert!(matches!(world.note(SetEvent::Aborted(about)), Err(SetIllegal::WrongPhase { .. })));
    let about = run(&world);
    assert!(matches!(world.note(SetEvent::Dismissed(about)), Err(SetIllegal::WrongPhase { .. })));
}

#[test]
fn where_a_part_fails_what_moved_goes_back_in_the_reverse_order() {
    let mut world = World::new(&["a", "b", "c"], IfPartFails::Back);
    world.configure("a", |terms| terms.floor = approvers(2));
    world.member("c").refuses.insert("1".into());
    world.ask("ada", &[("a", "1"), ("b", "1"), ("c", "1")]).unwrap();
    world.settle();
    world.vote("bob", true).unwrap();
    world.vote("cleo", true).unwrap();
    world.settle();
    assert_eq!(world.outcome(), "went back");
    let shifts: Vec<_> = world.shifts.iter().map(|(member, to)| (member.as_str(), to.as_str())).collect();
    assert_eq!(shifts, [("a", "1"), ("b", "1"), ("b", "4"), ("a", "4")]);
    for member in ["a", "b", "c"] {
        assert!(!world.service(member).is_held(revision("4")), "{member}: nothing is condemned");
    }
    assert_eq!(ended(&world, "a"), Outcome::Other("went back with its set".into()));
    assert_eq!(ended(&world, "c"), Outcome::Other("released by its set".into()));
    assert!(world.set.consistent_sets().next().is_none());
}

#[test]
fn what_was_unwell_before_is_gone_back_to_without_asking_verification() {
    let world = agreed(IfPartFails::Back, |world| {
        world.configure("features", |terms| terms.policies = vec![verifier()]);
        world.member("features").unwell.insert("4".into());
        world.member("model").refuses.insert("1".into());
    });
    assert_eq!(world.outcome(), "went back");
    assert_eq!(world.live("features"), "4");
}

#[test]
fn a_part_that_verification_finds_unhealthy_goes_back_itself() {
    let world = agreed(IfPartFails::Back, |world| {
        world.configure("model", |terms| terms.policies = vec![verifier()]);
        world.member("model").unwell.insert("1".into());
    });
    assert_eq!(world.outcome(), "went back");
    let shifts: Vec<_> = world.shifts.iter().map(|(member, to)| (member.as_str(), to.as_str())).collect();
    assert_eq!(shifts, [("features", "1"), ("model", "1"), ("model", "4"), ("features", "4")]);
}

#[test]
fn where_the_first_part_fails_before_its_shift_nothing_goes_back() {
    let world = agreed(IfPartFails::Back, |world| {
        world.member("features").refuses.insert("1".into());
    });
    assert_eq!(world.outcome(), "nothing moved");
    assert!(world.shifts.is_empty());
}

#[test]
fn where_the_way_back_fails_people_are_asked_and_end_it() {
    let mut world = agreed(IfPartFails::Back, |world| {
        world.member("features").refuses.insert("4".into());
        world.member("model").refuses.insert("1".into());
    });
    assert_eq!(world.phase(), "needs a person");
    assert!(told(&world).contains("could not go back"), "{}", told(&world));
    assert!(matches!(world.ask("ada", &[("model", "2")]), Err(SetIllegal::WrongPhase { .. })));
    let about = run(&world);
    world.note(SetEvent::Dismissed(about)).unwrap();
    world.settle();
    assert_eq!(world.outcome(), "ended by a person");
    assert!(world.service("features").incident.is_none() && world.service("model").incident.is_none());
    assert_eq!(ended(&world, "features"), Outcome::SettledByPerson);
}

#[test]
fn forward_asks_people_who_name_another_target_and_the_rest_moves() {
    let mut world = agreed(IfPartFails::Forward, |world| {
        world.member("model").refuses.insert("1".into());
    });
    assert_eq!(world.phase(), "needs a person");
    assert_eq!(world.live("features"), "1");
    assert_eq!(world.ask("ada", &[("features", "2")]), Err(SetIllegal::HasMoved(name("features"))));
    world.ask("ada", &[("model", "2")]).unwrap();
    world.settle();
    assert!(world.is_authorising(), "another plan is another consent: {}", world.phase());
    assert_eq!(world.set.run.as_ref().unwrap().plan_number(), 2);
    world.vote("bob", true).unwrap();
    world.vote("cleo", true).unwrap();
    world.settle();
    assert_eq!(world.outcome(), "moved");
    let shifts: Vec<_> = world.shifts.iter().map(|(member, to)| (member.as_str(), to.as_str())).collect();
    assert_eq!(shifts, [("features", "1"), ("model", "2")], "what has moved is not moved again");
    assert!(world.service("features").is_held(revision("4")));
}

#[test]
fn forward_ended_by_a_person_leaves_what_has_moved_and_condemns_nothing() {
    let mut world = agreed(IfPartFails::Forward, |world| {
        world.member("model").refuses.insert("1".into());
    });
    let about = run(&world);
    world.note(SetEvent::Dismissed(about)).unwrap();
    world.settle();
    assert_eq!(world.outcome(), "ended by a person");
    assert_eq!(ended(&world, "features"), Outcome::RolledBack);
    assert!(!world.service("features").is_held(revision("4")));
}

#[test]
fn deadlines_move_with_a_clock_that_jumped() {
    let mut world = two_keys(IfPartFails::Back);
    let until = world.set.run.as_ref().unwrap().until;
    let by = Millis::hours(100);
    world.now = world.now + by;
    world.note(SetEvent::ClockJumped { by }).unwrap();
    for member in PAIR {
        world.tell(member, Event::ClockJumped { by }).unwrap();
        assert_eq!(world.service(member).membership.as_ref().unwrap().until, until + by);
    }
    world.settle();
    assert!(world.is_authorising(), "{}", world.phase());
    world.vote("bob", true).unwrap();
    world.vote("cleo", true).unwrap();
    world.settle();
    assert_eq!(world.outcome(), "moved");
}

#[test]
fn a_shift_that_nobody_can_tell_of_stays_with_the_people_of_its_service() {
    use ripcord_core::event::{Happened, ShiftAnswered};
    use ripcord_core::terms::EffectClass;
    let mut world = World::new(&PAIR, IfPartFails::Back);
    world.configure("features", |terms| terms.deployer = EffectClass::Blind);
    world.ask("ada", &[("features", "1"), ("model", "1")]).unwrap();
    // Until the intent is on disk; then the host dies, and what became of the call is not known.
    world.settle_until(|world| {
        world.service("features").incident.as_ref().is_some_and(|open| open.phase_name() == "shifting")
    });
    world.begin_shift("features");
    world.tell_probe_lost("features");
    world.settle();
    let open = world.service("features").incident.as_ref().unwrap();
    assert_eq!(open.phase_name(), "needs a person");
    assert_eq!(world.phase(), "moving", "the set waits for it");
    world.member("features").live = "1".into();
    let AboutIncident { incident, person, reason } = incident(&world, "features");
    let answered = ShiftAnswered { incident, question: 1, person, applied: Happened::Applied, reason };
    world.tell("features", Event::ShiftAnswered(answered)).unwrap();
    world.settle();
    assert_eq!(world.outcome(), "moved");
}

#[test]
fn what_is_another_than_the_plan_says_is_not_shifted_and_the_rest_goes_back() {
    let changes: [fn(&mut World); 2] = [
        |world| world.member("model").live = "3".into(),
        |world| world.configure("model", |terms| terms.equipment = Digest::of("another deployer")),
    ];
    for change in changes {
        let world = agreed(IfPartFails::Back, change);
        assert_eq!(world.outcome(), "went back");
        assert!(world.shifts.iter().all(|(member, _)| member == "features"), "{:?}", world.shifts);
    }
}

#[test]
fn people_hear_once_of_a_part_that_takes_long() {
    let mut world = World::new(&PAIR, IfPartFails::Back);
    let mut terms = set_terms(&PAIR, IfPartFails::Back);
    (terms.requester_vote, terms.deadlines.part) = (RequesterVote::Counts, Millis::minutes(10));
    world.configure_set(terms);
    world.configure("features", |terms| terms.floor = approvers(2));
    asked(&mut world);
    world.vote("bob", true).unwrap();
    world.settle();
    let slow = |world: &World| told(world).matches("has gone on for").count();
    assert_eq!((world.phase(), slow(&world)), ("moving", 0));
    for _ in 0..3 {
        world.now = world.now + Millis::minutes(11);
        world.settle();
        assert_eq!(slow(&world), 1, "{}", told(&world));
    }
}

#[test]
fn the_last_consistent_sets_are_kept_and_no_more() {
    let mut world = World::new(&PAIR, IfPartFails::Back);
    for number in 0..CONSISTENT_MAX + 3 {
        let to = format!("v{number}");
        world.ask("ada", &[("features", &to), ("model", &to)]).unwrap();
        world.settle();
        assert_eq!(world.outcome(), "moved", "{number}");
        // Its automatic rest of a day does not stand in the way of people.
        world.now = world.now + Millis::hours(1);
    }
    assert_eq!(world.set.consistent.len(), CONSISTENT_MAX);
    let last = format!("v{}", CONSISTENT_MAX + 2);
    assert_eq!(world.set.consistent_sets().next().unwrap().members[&name("model")], [revision(&last)]);
    // Of other members it says nothing.
    world.configure_set(set_terms(&["features", "other"], IfPartFails::Back));
    assert_eq!(world.set.consistent_sets().next(), None);
}

#[test]
fn what_could_not_be_read_when_it_was_enlisted_goes_back_to_what_the_plan_has_found() {
    let mut world = World::new(&["a", "b"], IfPartFails::Back);
    world.member("a").unread = true;
    world.member("b").refuses.insert("5".into());
    world.ask("ada", &[("a", "5"), ("b", "5")]).unwrap();
    let enlisted = |world: &World| {
        world.set.run.as_ref().is_some_and(|run| run.members.iter().all(|member| member.enlisted().is_some()))
    };
    world.settle_until(enlisted);
    assert!(world.set.run.as_ref().unwrap().members[0].enlisted().unwrap().serving.is_empty());
    world.settle();
    assert_eq!((world.outcome().as_str(), world.live("a")), ("went back", "4"));
}

#[test]
fn announcements_that_nobody_can_be_told_are_bounded_and_those_that_made_room_are_counted() {
    let mut world = World::new(&PAIR, IfPartFails::Back);
    // Each run tells of its beginning and of its end.
    for _ in 0..300 {
        world.ask("ada", &[("model", "1")]).unwrap();
        world.note(SetEvent::Aborted(run(&world))).unwrap();
        world.settle();
    }
    assert_eq!(world.set.outbox.len(), 500);
    let left_out = world.set.left_out_of_outbox;
    assert!(left_out >= 100, "{left_out}");
    while let Some(outgoing) = world.set.outbox.first().cloned() {
        if outgoing.topic == Topic::AnnouncementsLeftOut {
            break;
        }
        world.note(SetEvent::Announced(Announced { id: outgoing.id, failed: None })).unwrap();
    }
    let text = told(&world);
    assert!(text.starts_with(&format!("{left_out} announcements of `set:pair` were left out")), "{text}");
    assert_eq!(world.set.left_out_of_outbox, 0);
}
