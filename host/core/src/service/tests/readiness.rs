//! Whether a rollback could be made right now.

use std::collections::BTreeSet;

use super::stage::Stage;
use crate::digest::Digest;
use crate::effect::{Effect, Topic};
use crate::event::{Event, ReadinessSeen};
use crate::name::{PersonName, RoleName};
use crate::plan::Quorum;
use crate::readiness::ReadyPart;
use crate::service::Illegal;
use crate::signal::Severity;
use crate::terms::{KnownKey, KnownPerson, Mode, Terms};
use crate::time::{Millis, UnixMillis};

fn seen(unready: &[ReadyPart]) -> Event {
    Event::ReadinessSeen(ReadinessSeen { unready: unready.iter().copied().collect() })
}

fn told(stage: &Stage) -> Vec<(Topic, Severity, String)> {
    let of = stage.0.outbox.iter().filter(|out| matches!(out.topic, Topic::NotReady | Topic::ReadyAgain));
    of.map(|out| (out.topic, out.severity.clone(), out.text.clone())).collect()
}

#[test]
fn a_part_that_turns_bad_is_told_once_and_that_all_are_well_again() {
    let mut stage = Stage::new(|_| {});
    stage.tell(&seen(&[ReadyPart::Deployer, ReadyPart::Target]));
    let all = told(&stage);
    let [(Topic::NotReady, Severity::Warning, text)] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!(
        text,
        "`fraud-api` could not be rolled back as it should be, if it had to be now: target, deployer (2 of 13 parts are not ready); `ripcord ready fraud-api` says why and what to do"
    );
    let at = stage.0.at + Millis::minutes(1);
    assert_eq!(
        stage.try_at(at, &seen(&[ReadyPart::Target, ReadyPart::Deployer])),
        Err(Illegal::Stale),
        "no news"
    );
    stage.tell(&seen(&[ReadyPart::Target]));
    assert_eq!(told(&stage).len(), 1, "one is well again, and another is not: nothing to be read at night");
    stage.tell(&seen(&[ReadyPart::Target, ReadyPart::Clock]));
    let all = told(&stage);
    let (Topic::NotReady, _, text) = &all[1] else { panic!("{all:?}") };
    assert!(text.contains("now: clock (2 of 13"), "{text}");
    stage.tell(&seen(&[]));
    let all = told(&stage);
    let (Topic::ReadyAgain, Severity::Info, text) = &all[2] else { panic!("{all:?}") };
    assert_eq!(text, "`fraud-api` could be rolled back again: every part of a rollback is ready");
}

#[test]
fn it_is_looked_at_while_no_incident_is_open() {
    let mut stage = Stage::new(|terms| terms.deadlines.readiness = Millis::minutes(3));
    stage.tell(&seen(&[ReadyPart::Golden]));
    let owed = |stage: &Stage| {
        stage.0.owed().into_iter().find_map(|effect| match effect {
            Effect::WatchReadiness { seen, every } => Some((seen, every)),
            _ => None,
        })
    };
    assert_eq!(owed(&stage), Some((BTreeSet::from([ReadyPart::Golden]), Millis::minutes(3))));
    stage.pull("ada", "1");
    assert_eq!(owed(&stage), None, "its own steps tell what is missing");
    let at = stage.0.at;
    assert_eq!(stage.try_at(at, &seen(&[])), Err(Illegal::Stale), "the look was under way");
    assert_eq!(stage.0.unready, BTreeSet::from([ReadyPart::Golden]));
}

fn known(name: &str, role: &RoleName, keys: Vec<KnownKey>) -> KnownPerson {
    KnownPerson { name: PersonName::new(name).unwrap(), roles: vec![role.clone()], keys }
}

fn until(text: &str, before: u64) -> KnownKey {
    KnownKey { valid_before: Some(UnixMillis(before)), ..KnownKey::always(Digest::of(text)) }
}

#[test]
fn people_whose_keys_have_run_out_are_not_reachable() {
    let role = RoleName::new("risk").unwrap();
    let people = vec![
        known("ada", &role, vec![until("a", 1_000), KnownKey::always(Digest::of("b"))]),
        known("bob", &role, vec![until("c", 1_000)]),
        known("cleo", &role, Vec::new()),
        known("dora", &RoleName::approver(), Vec::new()),
    ];
    let of = |change: &dyn Fn(&mut Terms), now: u64| {
        let stage = Stage::new(|terms| {
            terms.people = people.clone();
            change(terms);
        });
        let all = stage.0.reachable(UnixMillis(now)).into_iter();
        let names = |all: &[PersonName]| all.iter().map(|name| name.as_str().to_owned()).collect::<Vec<_>>();
        let line = all.map(|one| {
            (one.wanted.role.to_string(), one.is_met(), names(&one.able), names(&one.without_key))
        });
        line.collect::<Vec<_>>()
    };
    let floor = |people: u32| {
        let role = role.clone();
        move |terms: &mut Terms| terms.floor = vec![Quorum { role: role.clone(), people }]
    };
    let all = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let risk = |met, able: &[&str], without: &[&str]| ("risk".to_owned(), met, all(able), all(without));
    assert_eq!(of(&floor(3), 999), [risk(true, &["ada", "bob", "cleo"], &[])]);
    assert_eq!(of(&floor(3), 1_001), [risk(false, &["ada", "cleo"], &["bob"])]);
    assert_eq!(of(&floor(2), 1_001), [risk(true, &["ada", "cleo"], &["bob"])]);
    let one = ("approver".to_owned(), true, all(&["dora"]), all(&[]));
    let ask = |terms: &mut Terms| {
        terms.mode = Mode::Ask;
        terms.floor.clear();
    };
    assert_eq!(of(&ask, 1_001), [one], "one click, where nothing else is asked for");
}
