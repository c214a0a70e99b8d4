//! The crash drill over sets: the host dies before and after every append to any journal and every effect, once and twice, and whatever it had decided before
//! arrives once more afterwards.

use ripcord_core::set::{AboutRun, IfPartFails, SetEvent};

use crate::world::{World, approvers, blob, person};

/// A course of events, from which everything that is said by people is left out that is said already.
struct Course {
    name: &'static str,
    begin: fn() -> World,
    /// What people do where nothing else is owed; false if nothing.
    people: fn(&mut World) -> bool,
    /// What is live in the end, of the members in order, and how the run ended.
    end: (&'static [&'static str], &'static str),
    /// Shifts of each member to each version: never more.
    shifts: usize,
}

fn pair(if_part_fails: IfPartFails) -> World {
    let mut world = World::new(&["features", "model"], if_part_fails);
    world.configure("model", |terms| terms.floor = approvers(2));
    world.ask("ada", &[("features", "1"), ("model", "1")]).unwrap();
    world
}

fn votes(world: &mut World) -> bool {
    if !world.is_authorising() {
        return false;
    }
    let voted = world.set.run.as_ref().unwrap().votes.len();
    world.vote(["bob", "cleo"][voted], true).unwrap();
    true
}

fn votes_and_names_another(world: &mut World) -> bool {
    if world.phase() == "needs a person" {
        world.ask("ada", &[("model", "2")]).unwrap();
        return true;
    }
    votes(world)
}

fn votes_and_ends(world: &mut World) -> bool {
    if world.phase() == "needs a person" {
        let run = world.set.run.as_ref().unwrap().id.clone();
        world.note(SetEvent::Dismissed(AboutRun { run, person: person("ada"), reason: blob() })).unwrap();
        return true;
    }
    votes(world)
}

fn courses() -> Vec<Course> {
    vec![
        Course {
            name: "all well",
            begin: || pair(IfPartFails::Back),
            people: votes,
            end: (&["1", "1"], "moved"),
            shifts: 2,
        },
        Course {
            name: "one stays",
            begin: || {
                let mut world = World::new(&["a", "b", "c"], IfPartFails::Back);
                world.ask("ada", &[("a", "1"), ("c", "2")]).unwrap();
                world
            },
            people: |_| false,
            end: (&["1", "4", "2"], "moved"),
            shifts: 2,
        },
        Course {
            name: "the second fails before its shift, and the first goes back",
            begin: || {
                let mut world = pair(IfPartFails::Back);
                world.member("model").refuses.insert("1".into());
                world
            },
            people: votes,
            end: (&["4", "4"], "went back"),
            shifts: 2,
        },
        Course {
            name: "the second is never served, and both go back",
            begin: || {
                let mut world = pair(IfPartFails::Back);
                world.member("model").vanishes.insert("1".into());
                world
            },
            people: votes,
            end: (&["4", "4"], "went back"),
            shifts: 3,
        },
        Course {
            name: "forward, to another target",
            begin: || {
                let mut world = pair(IfPartFails::Forward);
                world.member("model").refuses.insert("1".into());
                world
            },
            people: votes_and_names_another,
            end: (&["1", "2"], "moved"),
            shifts: 2,
        },
        Course {
            name: "the way back fails, and a person ends it",
            begin: || {
                let mut world = pair(IfPartFails::Back);
                world.member("model").refuses.insert("1".into());
                world.member("features").refuses.insert("4".into());
                world
            },
            people: votes_and_ends,
            end: (&["1", "4"], "ended by a person"),
            shifts: 1,
        },
        Course {
            name: "the second is paused, and none is enlisted",
            begin: || {
                let mut world = pair(IfPartFails::Back);
                let paused = ripcord_core::event::PersonSaid { person: person("dan"), reason: blob() };
                world.tell("model", ripcord_core::event::Event::Paused(paused)).unwrap();
                world
            },
            people: |_| false,
            end: (&["4", "4"], "not all members could be enlisted"),
            shifts: 0,
        },
    ]
}

/// Plays the course to its end with these deaths.
fn play(course: &Course, deaths: &[usize]) -> World {
    let mut world = (course.begin)();
    world.points = 0;
    world.deaths = deaths.to_vec();
    for _ in 0..200 {
        world.settle();
        if world.set.run.is_none() {
            return world;
        }
        if !(course.people)(&mut world) {
            world.wait();
        }
    }
    panic!("`{}` with deaths at {deaths:?} does not end: {:#?}", course.name, world.set);
}

fn judge(course: &Course, deaths: &[usize], world: &World) {
    let at = format!("`{}` with deaths at {deaths:?}", course.name);
    assert_eq!(world.outcome(), course.end.1, "{at}");
    let live: Vec<_> = world.members.values().map(|member| member.live.as_str()).collect();
    assert_eq!(live, course.end.0, "{at}");
    assert_eq!(world.shifts.len(), course.shifts, "{at}: {:?}", world.shifts);
    for member in world.members.values() {
        assert!(member.service.incident.is_none(), "{at}: {:#?}", member.service.incident);
    }
}

/// Whatever a host had decided arrives once more, late, from one that stood still: nothing changes.
fn zombies(course: &Course, world: &World) {
    for (member, event) in &world.told {
        let again = world.members[member].service.apply(world.now, event);
        assert!(again.is_err(), "`{}`: {event:?} was taken again", course.name);
    }
    for event in &world.noted {
        // That an instant has come is said at any time, and changes nothing by itself.
        if *event != SetEvent::Woke {
            assert!(
                world.set.apply(world.now, event).is_err(),
                "`{}`: {event:?} was taken again",
                course.name
            );
        }
    }
}

#[test]
fn a_host_that_dies_anywhere_comes_to_the_same_end() {
    for course in courses() {
        let alive = play(&course, &[]);
        judge(&course, &[], &alive);
        zombies(&course, &alive);
        assert!(alive.points > 10, "`{}`: {}", course.name, alive.points);
        for death in 1..=alive.points {
            let world = play(&course, &[death]);
            judge(&course, &[death], &world);
            zombies(&course, &world);
        }
    }
}

#[test]
fn a_host_that_dies_twice_comes_to_the_same_end() {
    for course in courses() {
        let points = play(&course, &[]).points;
        for first in 1..=points {
            // The second death may be in what the first one made necessary.
            for second in first + 1..=points + 6 {
                let world = play(&course, &[first, second]);
                judge(&course, &[first, second], &world);
            }
        }
    }
}

/// At every moment of the course, everything that was decided so far arrives once more: before its time is over, too.
#[test]
fn what_arrives_twice_is_taken_once_at_every_moment() {
    for course in courses() {
        let points = play(&course, &[]).points;
        for stop in 1..=points {
            let mut world = (course.begin)();
            world.points = 0;
            world.stop_at(stop, course.people);
            let told = world.told.clone();
            for (member, event) in told {
                let service = &world.members[&member].service;
                let is_on_record = world.members[&member].journal.iter().any(|(_, known)| *known == event);
                if is_on_record {
                    let again = service.apply(world.now, &event);
                    assert!(again.is_err(), "`{}` at {stop}: {event:?} was taken twice", course.name);
                }
            }
        }
    }
}
