//! Members: who is enlisted, what hinders one, and how each is free again.

use ripcord_core::alert::{AlertKey, AlertWord, Given};
use ripcord_core::digest::Digest;
use ripcord_core::effect::Effect;
use ripcord_core::event::{
    DataState, Decision, Event, EvidenceGap, EvidencePreserved, InProduction, Observed, Reason, Said,
    SignalsTaken, TriggerAsked, TriggerWord, TriggersAsked,
};
use ripcord_core::policy::Role;
use ripcord_core::role::Urgency;
use ripcord_core::service::{Hindrance, Illegal, Left};
use ripcord_core::set::{IfPartFails, SetEffect, SetEvent, SetIllegal, Step};
use ripcord_core::signal::{Origin, Severity, SignalKind, SignalStatus};
use ripcord_core::target::Strategy;
use ripcord_core::terms::{EvidenceRule, Mode, PolicyUse};
use ripcord_core::time::{Millis, UnixMillis};

use super::{Done, PAIR, agreed, asked, incident, paused, pull, revision, run, told, two_keys};
use crate::world::{World, blob, name, person, set_terms, verifier};

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
