//! The rules, one scenario each.

use ripcord_core::alert::{AlertKey, AlertWord, Given};
use ripcord_core::digest::Digest;
use ripcord_core::effect::Effect;
use ripcord_core::event::{
    AboutIncident, ApprovalAsked, ApprovalWord, ApprovalsAsked, DataState, Decision, Event, EvidenceGap,
    EvidencePreserved, FaultNature, InProduction, Observed, PendingPlan, PersonSaid, ProductionWatched,
    PullRequested, Reason, Said, SignalsTaken, TriggerAsked, TriggerWord, TriggersAsked,
};
use ripcord_core::facet::Revision;
use ripcord_core::fact::Outcome;
use ripcord_core::live::{Proof, Share};
use ripcord_core::name::{PolicyName, VersionName};
use ripcord_core::plan::Leaving;
use ripcord_core::policy::{PolicyRef, Role};
use ripcord_core::ratio::Ratio;
use ripcord_core::role::Urgency;
use ripcord_core::service::{Hindrance, Illegal, Left, Phase};
use ripcord_core::set::{
    AboutRun, CONSISTENT_MAX, IfPartFails, SetDrafted, SetEffect, SetEvent, SetIllegal, SetNotDrafted, Step,
};
use ripcord_core::signal::{Origin, Severity, SignalKind, SignalStatus};
use ripcord_core::target::{Strategy, VersionTarget};
use ripcord_core::terms::{EvidenceRule, Mode, PolicyUse, RequesterVote};
use ripcord_core::time::{Millis, UnixMillis};

use crate::world::{World, approvers, blob, name, person, set_terms, verifier, version};

const PAIR: [&str; 2] = ["features", "model"];

/// What is done to it, and how it is called.
type Done<T> = (&'static str, fn(&mut T));

fn revision(text: &str) -> Revision {
    Revision::of_model(&VersionName::new(text).unwrap())
}

/// A run to `1` of both members whose plan waits for people.
fn asked(world: &mut World) {
    world.ask("ada", &[("features", "1"), ("model", "1")]).unwrap();
    world.settle();
}

/// The same, where two keys are asked for by the model's floor.
fn two_keys(if_part_fails: IfPartFails) -> World {
    let mut world = World::new(&PAIR, if_part_fails);
    world.configure("model", |terms| terms.floor = approvers(2));
    asked(&mut world);
    assert!(world.is_authorising(), "{}", world.phase());
    world
}

fn agreed(if_part_fails: IfPartFails, change: impl FnOnce(&mut World)) -> World {
    let mut world = two_keys(if_part_fails);
    change(&mut world);
    world.vote("bob", true).unwrap();
    world.vote("cleo", true).unwrap();
    world.settle();
    world
}

fn incident(world: &World, member: &str) -> AboutIncident {
    let incident = world.service(member).incident.as_ref().unwrap().id.clone();
    AboutIncident { incident, person: person("ada"), reason: blob() }
}

fn run(world: &World) -> AboutRun {
    AboutRun { run: world.set.run.as_ref().unwrap().id.clone(), person: person("ada"), reason: blob() }
}

fn paused() -> Event {
    Event::Paused(PersonSaid { person: person("dan"), reason: blob() })
}

fn pull(world: &World, member: &str, to: &str) -> Event {
    Event::PullRequested(PullRequested {
        incident: world.service(member).incident.as_ref().map(|open| open.id.clone()),
        person: person("ada"),
        roles: Vec::new(),
        target: Some(version(to)),
        reason: blob(),
        urgency: Urgency::Urgent,
        leaving: Leaving::Condemn,
        pending: PendingPlan::Replace,
    })
}

fn ended(world: &World, member: &str) -> Outcome {
    match &world.service(member).last_settled.as_ref().unwrap().phase {
        Phase::Settled(outcome) => outcome.clone(),
        other => panic!("{other:?}"),
    }
}

/// All that people were told of the set, in one text.
fn told(world: &World) -> String {
    world.set.outbox.iter().map(|outgoing| outgoing.text.as_str()).collect::<Vec<_>>().join("\n")
}

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
fn a_member_that_is_taken_ends_the_run_at_once_and_the_others_are_released() {
    let mut world = World::new(&PAIR, IfPartFails::Back);
    let pulled = pull(&world, "model", "2");
    world.tell("model", pulled).unwrap();
    asked(&mut world);
    assert_eq!(world.outcome(), "not all members could be enlisted");
    assert!(told(&world).contains("incident `model:1` is open"), "{}", told(&world));
    assert!(world.service("features").incident.is_none(), "it is released");
    assert_eq!(world.service("features").membership.as_ref().unwrap().left, Some(Left::Released));
    assert!(world.service("model").incident.is_some(), "its own goes on");
}

#[test]
fn a_member_that_is_paused_observes_or_is_to_move_to_what_is_held_is_not_enlisted() {
    let hindered: [Done<World>; 3] = [
        ("paused it", |world| world.tell("model", paused()).unwrap()),
        ("mode is observe", |world| world.configure("model", |terms| terms.mode = Mode::Observe)),
        ("`1` is held", |world| {
            // It was left by a rollback.
            world.member("model").live = "1".into();
            world.ask("ada", &[("model", "4")]).unwrap();
            world.settle();
            assert!(world.service("model").is_held(revision("1")));
        }),
    ];
    for (why, hinder) in hindered {
        let mut world = World::new(&PAIR, IfPartFails::Back);
        hinder(&mut world);
        let before = world.shifts.len();
        asked(&mut world);
        assert_eq!(world.outcome(), "not all members could be enlisted", "{why}");
        assert!(told(&world).contains(why), "{}", told(&world));
        assert_eq!(world.shifts.len(), before);
    }
}

#[test]
fn what_comes_between_before_the_first_part_ends_the_run_at_once() {
    let between: [Done<World>; 3] = [
        ("paused it", |world| world.tell("features", paused()).unwrap()),
        ("a person ended its incident", |world| {
            let about = incident(world, "features");
            world.tell("features", Event::Aborted(about)).unwrap();
        }),
        ("mode is observe", |world| world.configure("features", |terms| terms.mode = Mode::Observe)),
    ];
    for (why, happens) in between {
        let mut world = two_keys(IfPartFails::Back);
        happens(&mut world);
        world.settle();
        assert_eq!(world.outcome(), "not all members could be enlisted", "{why}");
        assert!(told(&world).contains(why), "{}", told(&world));
        assert!(world.shifts.is_empty());
        assert!(world.service("model").incident.is_none() && world.service("features").incident.is_none());
    }
}

#[test]
fn an_enlisted_member_takes_no_pull_and_says_which_set_moves_it() {
    let mut world = two_keys(IfPartFails::Back);
    let pulled = pull(&world, "model", "2");
    let refused = world.tell("model", pulled).unwrap_err();
    assert!(matches!(refused, Illegal::MovesWithSet { .. }));
    assert!(refused.to_string().contains("set:pair:1"), "{refused}");
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
fn a_second_run_waits_for_the_first_one() {
    let mut world = two_keys(IfPartFails::Back);
    assert!(matches!(world.ask("bob", &[("model", "2")]), Err(SetIllegal::Busy { .. })));
    assert_eq!(
        World::new(&PAIR, IfPartFails::Back).ask("bob", &[("other", "2")]),
        Err(SetIllegal::NotMember(ripcord_core::name::SetName::new("pair").unwrap(), name("other")))
    );
    let none = World::new(&PAIR, IfPartFails::Back).ask("bob", &[]);
    assert!(matches!(none, Err(SetIllegal::NoTargets(_))));
}

#[test]
fn a_member_leaves_by_itself_when_its_set_does_not_come_and_takes_no_part_afterwards() {
    let mut world = two_keys(IfPartFails::Back);
    let until = world.service("model").membership.as_ref().unwrap().until;
    world.vote("bob", true).unwrap();
    world.vote("cleo", true).unwrap();
    // The part that the set would give now, by a host that then stands still.
    let part = loop {
        let part =
            world.set.owed().into_iter().find(|effect| matches!(effect, SetEffect::Part { .. })).unwrap();
        match world.set.step(&part, Some(world.service("features"))) {
            Step::Note(event) => world.note(event).unwrap(),
            Step::Tell(event) => break event,
            Step::Wait => panic!("{part:?}"),
        }
    };
    world.now = until;
    assert_eq!(world.tell("features", part.clone()), Err(Illegal::Stale), "before it was woken, too");
    world.tell("features", Event::Woke).unwrap();
    assert!(world.service("features").incident.is_none());
    assert_eq!(world.service("features").membership.as_ref().unwrap().left, Some(Left::Expired));
    assert_eq!(world.tell("features", part), Err(Illegal::Stale));
    world.settle();
    assert_eq!(world.outcome(), "expired");
    assert!(world.shifts.is_empty());
}

#[test]
fn a_member_that_was_left_half_done_asks_people_when_its_time_is_up() {
    let mut world = agreed(IfPartFails::Forward, |world| {
        world.configure("model", |terms| terms.policies = vec![verifier()]);
        world.member("model").unwell.insert("1".into());
    });
    while world.set.run.is_some() {
        world.wait();
    }
    assert_eq!(world.outcome(), "expired");
    assert!(told(&world).contains("may not fit each other"), "{}", told(&world));
    let open = world.service("model").incident.as_ref().unwrap();
    assert_eq!(open.phase_name(), "needs a person");
    assert!(world.service("features").incident.is_none(), "its part is in place");
}

#[test]
fn an_order_of_an_earlier_run_and_one_that_was_given_already_are_refused() {
    let mut world = agreed(IfPartFails::Back, |_| ());
    let first = world.told.clone();
    asked(&mut world);
    world.member("features").live = "4".into();
    world.member("model").live = "4".into();
    for (member, event) in first {
        assert_eq!(world.tell(member.as_str(), event.clone()), Err(Illegal::Stale), "{event:?}");
    }
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
fn a_set_that_cannot_be_is_not_configured() {
    for (members, why) in [
        (vec!["a"], "fewer than two"),
        (vec!["a", "b", "a"], "twice"),
        (vec!["a", "set:b"], "a set for a member"),
    ] {
        let problem = set_terms(&members, IfPartFails::Back).problem().unwrap();
        assert!(problem.contains(why), "{problem}");
    }
    assert_eq!(set_terms(&PAIR, IfPartFails::Back).problem(), None);
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

/// Every sentence about what hinders a member says what its reader can do.
#[test]
fn what_hinders_a_member_is_said_with_what_can_be_done() {
    let service = name("features");
    let incident = ripcord_core::name::IncidentId::numbered(&service, 3);
    let held = revision("4");
    for (why, said) in [
        (Hindrance::Taken(incident), "`ripcord incidents show features:3`"),
        (Hindrance::Paused(person("olga")), "`olga` paused it: `ripcord resume features` lets it go on"),
        (Hindrance::Held(held), "`ripcord hold lift features 4 --reason TEXT`"),
        (Hindrance::TooSlow, "`ripcord status features`"),
        (Hindrance::Observes, "set another mode"),
        (Hindrance::Left(Left::ByPerson), "a person ended its incident"),
    ] {
        assert!(why.of(&service).contains(said), "{why:?}: {}", why.of(&service));
    }
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

fn approval(world: &World, member: &str, word: ApprovalWord) -> Event {
    let service = world.service(member);
    let policy = PolicyRef {
        name: PolicyName::new("approval").unwrap(),
        version: "1.0.0".into(),
        digest: Digest::of("approval"),
    };
    let decision = Decision {
        policy,
        role: Role::Approval,
        recording: blob(),
        fuel: 1,
        rounds: 1,
        data: DataState::Complete,
    };
    Event::ApprovalsAsked(ApprovalsAsked {
        plan: service.incident.as_ref().unwrap().plan().unwrap().digest,
        ballot: service.ballot(),
        asked: vec![ApprovalAsked { decision, said: Said::Verdict(word) }],
    })
}

/// The model's part waits for its approval policy, which knows of the votes of the set.
fn with_a_policy() -> World {
    let world = agreed(IfPartFails::Back, |world| {
        let policy = PolicyUse {
            role: Role::Approval,
            policy: PolicyRef {
                name: PolicyName::new("approval").unwrap(),
                version: "1.0.0".into(),
                digest: Digest::of("approval"),
            },
            settings: Digest::of("settings"),
        };
        world.configure("model", |terms| terms.policies = vec![policy]);
    });
    assert_eq!(world.live("features"), "1");
    let owed = world.service("model").owed();
    assert!(owed.iter().any(|effect| matches!(effect, Effect::AskApprovals { .. })), "{owed:?}");
    assert_eq!(world.service("model").votes_in_force().len(), 2);
    world
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
fn a_member_whose_evidence_is_required_and_cannot_be_preserved_is_not_enlisted() {
    let late: fn(&mut World) = |world| {
        world.now = world.now + Millis::minutes(5);
        world.tell("features", Event::Woke).unwrap();
    };
    let missing: fn(&mut World) = |world| {
        let incident = world.service("features").incident.as_ref().unwrap().id.clone();
        let preserved = EvidencePreserved {
            incident,
            items: Vec::new(),
            missing: vec![EvidenceGap { name: "request-log".into(), reason: blob() }],
            live: Observed::Unknown(blob()),
            facets: Vec::new(),
            in_production: InProduction::Unsupported,
            facts: None,
        };
        world.tell("features", Event::EvidencePreserved(preserved)).unwrap();
    };
    for happens in [late, missing] {
        let mut world = World::new(&PAIR, IfPartFails::Back);
        world.configure("features", |terms| terms.evidence = EvidenceRule::Required);
        world.ask("ada", &[("features", "1")]).unwrap();
        world.settle_until(|world| world.service("features").incident.is_some());
        happens(&mut world);
        world.settle();
        assert_eq!(world.outcome(), "not all members could be enlisted");
        assert!(told(&world).contains("its evidence could not be preserved"), "{}", told(&world));
        assert!(world.service("features").incident.is_none());
    }
}

#[test]
fn a_member_that_cannot_be_enlisted_in_time_ends_the_run() {
    let mut world = World::new(&PAIR, IfPartFails::Back);
    world.configure("features", |terms| terms.deadlines.evidence = Millis::hours(1));
    world.ask("ada", &[("features", "1")]).unwrap();
    world.settle_until(|world| world.service("features").incident.is_some());
    world.now = world.now + Millis::minutes(11);
    world.note(SetEvent::Woke).unwrap();
    assert_eq!(world.phase(), "releasing its members");
    assert!(told(&world).contains("could not be enlisted in time"), "{}", told(&world));
    world.settle();
    assert_eq!(world.outcome(), "not all members could be enlisted");
    assert_eq!(world.service("features").membership.as_ref().unwrap().left, Some(Left::Released));
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
fn a_member_that_is_not_released_yet_is_part_of_no_other_run() {
    let mut world = two_keys(IfPartFails::Back);
    let about = run(&world);
    world.note(SetEvent::Aborted(about)).unwrap();
    assert_eq!(world.phase(), "releasing its members");
    assert!(matches!(world.ask("ada", &[("model", "2")]), Err(SetIllegal::Busy { .. })));
    world.settle();
    asked(&mut world);
    assert!(world.is_authorising());
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
fn a_vote_is_by_someone_who_may_on_the_plan_at_hand() {
    let mut world = two_keys(IfPartFails::Back);
    assert_eq!(world.vote("eve", true), Err(SetIllegal::UnknownPerson(person("eve"))));
    let mut terms = set_terms(&PAIR, IfPartFails::Back);
    terms.people[1].key = Some(Digest::of("key"));
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

#[test]
fn what_was_attached_while_it_was_enlisted_is_asked_about_once_it_is_released() {
    let mut world = two_keys(IfPartFails::Back);
    let trigger = PolicyUse { role: Role::Trigger, ..verifier() };
    world.configure("model", |terms| {
        terms.policies = vec![trigger];
    });
    let word = AlertWord {
        alert: AlertKey(Digest::of("alert")),
        index: 0,
        origin: Origin::Webhook("alertmanager".into()),
        status: SignalStatus::Firing,
        kind: SignalKind::Condition,
        severity: Severity::Critical,
        started_at: UnixMillis(1),
        ended_at: None,
        given: Given::Whole,
        bytes: 100,
        fired: true,
        first_seen_at: UnixMillis(1),
        last_seen_at: UnixMillis(1),
        count: 1,
    };
    let taken = SignalsTaken { signals: 1, content: blob(), alerts: vec![word] };
    world.tell("model", Event::SignalsTaken(taken)).unwrap();
    let asks = |world: &World| {
        let owed = world.service("model").owed();
        owed.into_iter().find_map(|effect| match effect {
            Effect::AskTriggers { up_to } => Some(up_to),
            _ => None,
        })
    };
    let up_to = asks(&world).unwrap();
    let incident = world.service("model").incident.as_ref().map(|open| open.id.clone());
    let decision = Decision {
        policy: verifier().policy,
        role: Role::Trigger,
        recording: blob(),
        fuel: 1,
        rounds: 1,
        data: DataState::Complete,
    };
    let reason = Reason {
        cause: blob(),
        strategy: Strategy::Version,
        urgency: Urgency::Urgent,
        harm_began_at: None,
        facts: None,
    };
    let said = Said::Verdict(TriggerWord::RollBack(reason));
    let asked =
        TriggerAsked { decision, said, memo: None, set_aside: Vec::new(), left: 0, searched: Vec::new() };
    let seen = world.service("model").watching.alerts.words();
    let asked = TriggersAsked { up_to, seen, incident, asked: vec![asked] };
    world.tell("model", Event::TriggersAsked(asked)).unwrap();
    assert_eq!(asks(&world), None, "it is attached to the incident that stands for the set");
    let about = run(&world);
    world.note(SetEvent::Aborted(about)).unwrap();
    world.settle();
    assert!(world.service("model").incident.is_none());
    assert!(asks(&world).is_some(), "its reason is nobody's now");
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
