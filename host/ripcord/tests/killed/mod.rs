//! The real host, killed from outside in the middle of an incident, again and again: the right end, and no shift repeated while its
//! outcome was unknown. The deployer is a team's own program, declared in turn as each kind that there is; beside the model a configuration and a
//! safe mode are put back; versions are made of a checkpoint and by a training; and two services move together.

#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods)]

mod diary;
mod produced;
mod restored;
mod sets;
mod world;

use std::time::Duration;

use crate::support::alerts::firing;
use crate::support::host::Host;
use crate::support::kept::{Kept, journals, kept, store};
use diary::Line;
use produced::{Produced, produced_and_killed};
use restored::Restored;
use ripcord_core::event::{Event, ProbeWord, ShiftOutcome};
use ripcord_engine::Folded;
use world::World;

/// Moments at which a life of the host ends, beside one that the seed gives.
const MOMENTS: [Moment; 4] = [
    Moment::Open,
    Moment::Diary("begins"),
    Moment::Diary("applied"),
    Moment::Phase(&["reading back", "verifying"]),
];

/// When a host is killed: a life ends at whichever comes first, and each ends one.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// There is an incident.
    Open,
    /// The incident is in one of these phases, as the host itself says.
    Phase(&'static [&'static str]),
    /// The deployer's program has written this word.
    Diary(&'static str),
    /// After so long.
    After(Duration),
}

/// A generator that the seed reproduces.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// What a service has been through.
#[derive(Debug, Default)]
struct Past {
    killed: Vec<Moment>,
    within_a_shift: bool,
    asked: usize,
}

/// How far a host was followed.
#[derive(Debug, PartialEq)]
enum End {
    /// At the moment of this place among those that were left.
    Killed(usize),
    Settled(String),
    /// It asks whether the shift happened.
    Asks,
}

async fn live(host: &Host, diary: impl Fn() -> Vec<Line>, moments: &[Moment]) -> End {
    let words = diary().len();
    let begun = tokio::time::Instant::now();
    loop {
        let state = host.get("services/fraud-api").await;
        if let Some(outcome) = state["last_settled"]["outcome"].as_str() {
            return End::Settled(outcome.to_owned());
        }
        let open = &state["incident"];
        if open["needs"].is_string() {
            let needs = open["needs"].as_str().unwrap();
            assert!(needs.contains("ripcord answer fraud-api:1 applied"), "{needs}");
            return End::Asks;
        }
        let come = moments.iter().position(|moment| match *moment {
            Moment::Open => !open.is_null(),
            Moment::Phase(phases) => open["phase"].as_str().is_some_and(|phase| phases.contains(&phase)),
            Moment::Diary(word) => diary()[words..].iter().any(|line| line.word == word),
            Moment::After(after) => begun.elapsed() >= after,
        });
        if let Some(place) = come {
            return End::Killed(place);
        }
        if begun.elapsed() > Duration::from_secs(30) {
            panic!("nothing happens: {state:#}\n{:#?}\n{}", diary(), host.log().join("\n"));
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn killed_again_and_again(class: &str, seed: u64) {
    let world = World::new(class);
    let mut moments = vec![Moment::After(Duration::from_millis(Dice(seed).below(60)))];
    moments.extend(MOMENTS);
    let alert = firing(&[&[("model", "fraud")]]);
    let mut past = Past::default();
    // Alertmanager repeats what it has sent; so much is enough to come to an end.
    for life in 0..10 {
        let host = Host::start(world.path()).await;
        let taken = host.send(&alert).await;
        let counted = if life == 0 { "accepted" } else { "repeated" };
        assert_eq!((taken.status, &taken.body[counted]), (200, &1.into()), "{:?}", taken.body);
        loop {
            match live(&host, || world.diary(), &moments).await {
                End::Asks => {
                    past.asked += 1;
                    // The shift is settled: its moments come no more.
                    moments.retain(|moment| !matches!(moment, Moment::Diary(_)));
                    world.answer().await;
                }
                End::Killed(place) => {
                    host.kill();
                    past.killed.push(moments.remove(place));
                    past.within_a_shift |= diary::is_under_way(&world.diary());
                    break;
                }
                End::Settled(outcome) => {
                    assert_eq!(outcome, "rolled-back", "{class}, seed {seed}, after {past:?}");
                    host.kill();
                    return check(&world, class, &past).await;
                }
            }
        }
    }
    panic!("{class}, seed {seed}: no end after {past:?}");
}

async fn check(world: &World, class: &str, past: &Past) {
    let diary = world.quiet().await;
    println!("{class}: {past:?}\n{diary:#?}");
    assert!(past.killed.len() >= 3, "it was too quick to be killed: {past:?}");
    assert!(past.within_a_shift, "it was never killed within a shift: {past:?}");
    assert_eq!(
        past.asked > 0,
        class == "blind",
        "people are asked where nothing else can tell, and only there"
    );
    assert_eq!(world.live().await, "1.3.2");
    diary::nothing_twice(&diary, class);

    let shifts = diary::attempts(&diary);
    let store = store(world.path()).expect("a store");
    let folded = journals(&store).await.remove(0);
    let began = folded.events.iter().filter(|(_, event)| matches!(event, Event::ShiftBegan(_))).count();
    assert!(shifts <= began || class == "idempotent", "{shifts} shifts made, {began} on record: {diary:#?}");
    assert_eq!(kept(world.path()).await, Some(Kept { signals: 1, incidents: 1, shifts: began }));
    let replayed = world.olga(&["--json", "replay", "--all"]);
    let replayed = replayed.json();
    assert_eq!((&replayed["differs"], &replayed["open"]), (&0.into(), &0.into()), "{replayed:#}");
    assert!(replayed["same"].as_u64() >= Some(3), "{replayed:#}");
}

/// The same where something beside the model is put back, because a person says so.
async fn restored_and_killed(restored: Restored, seed: u64) {
    let world = restored::World::new(restored).await;
    let mut moments = vec![Moment::After(Duration::from_millis(Dice(seed).below(60)))];
    moments.extend(MOMENTS);
    let mut past = Past::default();
    for _ in 0..10 {
        let host = Host::start(world.path()).await;
        let state = host.get("services/fraud-api").await;
        if state["incident"].is_null() && state["last_settled"].is_null() {
            world.pull();
        }
        match live(&host, || world.diary(), &moments).await {
            End::Asks => {
                panic!("{restored:?}, seed {seed}: what was called can tell, and a person is asked: {past:?}")
            }
            End::Killed(place) => {
                host.kill();
                past.killed.push(moments.remove(place));
                past.within_a_shift |= diary::is_under_way(&world.diary());
            }
            End::Settled(outcome) => {
                host.kill();
                assert_eq!(outcome, world.ending(), "{restored:?}, seed {seed}, after {past:?}");
                println!("{restored:?}: {past:?}\n{:#?}", world.diary());
                assert!(past.killed.len() >= 3, "it was too quick to be killed: {past:?}");
                assert!(past.within_a_shift, "it was never killed within a shift: {past:?}");
                assert!(world.is_back().await);
                assert_eq!(world.live().await, "1.3.2", "the model stays");
                return on_record(&world).await;
            }
        }
    }
    panic!("{restored:?}, seed {seed}: no end after {past:?}");
}

/// One incident; all that reached the server was the one order; and none was begun while nobody knew what had become of the one before.
async fn on_record(world: &restored::World) {
    let keys: std::collections::BTreeSet<_> = world.diary().into_iter().map(|line| line.key).collect();
    assert_eq!(keys.len(), 1, "{keys:?}");
    let store = store(world.path()).expect("a store");
    let folded = journals(&store).await.remove(0);
    one_shift_at_a_time(&folded);
    assert_eq!(folded.service.incidents, 1);
    let replayed = world.olga(&["--json", "replay", "--all"]).json();
    assert_eq!((&replayed["differs"], &replayed["open"]), (&0.into(), &0.into()), "{replayed:#}");
}

/// No shift is begun while nobody knows what became of the one before.
fn one_shift_at_a_time(folded: &Folded) {
    let mut unknown = false;
    for (_, event) in &folded.events {
        match event {
            Event::ShiftBegan(_) => {
                assert!(!unknown, "a shift was begun while the outcome of the one before was unknown");
                unknown = true;
            }
            Event::ShiftReturned(returned) => unknown &= matches!(returned.outcome, ShiftOutcome::Unknown(_)),
            Event::ShiftProbed(probed) => unknown &= matches!(probed.word, ProbeWord::NoAnswer(_)),
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_version_of_a_checkpoint() {
    for seed in [9, 10] {
        produced_and_killed(Produced::Checkpoint, seed).await;
    }
}

#[tokio::test]
async fn a_version_that_is_trained_again() {
    for seed in [11, 12] {
        produced_and_killed(Produced::Retraining, seed).await;
    }
}

#[tokio::test]
async fn a_configuration_in_a_file() {
    for seed in [5, 6] {
        restored_and_killed(Restored::Decision, seed).await;
    }
}

// Its slow way to the server goes on while the program is waited for.
#[tokio::test(flavor = "multi_thread")]
async fn a_safe_mode_behind_http() {
    for seed in [7, 8] {
        restored_and_killed(Restored::SafeMode, seed).await;
    }
}

#[tokio::test]
async fn an_idempotent_deployer() {
    killed_again_and_again("idempotent", 1).await;
}

#[tokio::test]
async fn a_conditional_deployer() {
    killed_again_and_again("conditional", 2).await;
}

#[tokio::test]
async fn an_observable_deployer() {
    killed_again_and_again("observable", 3).await;
}

#[tokio::test]
async fn a_blind_deployer() {
    killed_again_and_again("blind", 4).await;
}

/// Told to stop within a shift, a host ends the shift first and writes down what came of it. So the next one goes on at once: it has nothing to look
/// for and nobody to ask, whatever the deployer promised.
async fn stopped_and_begun_anew(class: &str, moment: &'static str) {
    let world = World::new(class);
    world.hold_at(moment);
    let host = Host::start(world.path()).await;
    let alert = firing(&[&[("model", "fraud")]]);
    assert_eq!(host.send(&alert).await.status, 200);
    let reached = live(&host, || world.diary(), &[Moment::Diary(moment)]).await;
    assert_eq!(reached, End::Killed(0), "{class}: {:#?}", world.diary());
    assert!(diary::is_under_way(&world.diary()), "{class}: it is told to stop within the shift");
    host.signal("TERM");
    let told = tokio::time::Instant::now();
    while !host.log().iter().any(|line| line.contains("stopping")) {
        assert!(told.elapsed() < Duration::from_secs(30), "{class}: {}", host.log().join("\n"));
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    world.let_go_on(moment);
    let ended = host.ended().await;
    assert!(ended.success(), "{class}: {ended}");
    let words = |world: &World| world.diary().into_iter().map(|line| line.word).collect::<Vec<_>>();
    assert_eq!(
        words(&world),
        ["begins", "applied", "ends"],
        "{class}: the shift was let end, and was not cut off"
    );
    let shift = async |world: &World| {
        let store = store(world.path()).expect("a store");
        let folded = journals(&store).await.remove(0);
        let name = |event: &Event| match event {
            Event::ShiftBegan(_) => Some("began"),
            Event::ShiftReturned(_) => Some("returned"),
            Event::ShiftProbed(_) => Some("probed"),
            Event::ShiftAnswered(_) => Some("answered"),
            Event::ReadBack(_) => Some("read back"),
            _ => None,
        };
        folded.events.iter().filter_map(|(_, event)| name(event)).collect::<Vec<_>>()
    };
    let written = shift(&world).await;
    assert_eq!(written[..2], ["began", "returned"], "{class}: what came of it is on record");

    let host = Host::start(world.path()).await;
    let end = live(&host, || world.diary(), &[]).await;
    assert_eq!(end, End::Settled("rolled-back".to_owned()), "{class}: nobody is asked");
    host.kill();
    assert_eq!(words(&world), ["begins", "applied", "ends"], "{class}: nothing is shifted again");
    assert_eq!(shift(&world).await, ["began", "returned", "read back"], "{class}: nothing is looked for");
    assert_eq!(world.live().await, "1.3.2");
}

#[tokio::test]
async fn told_to_stop_when_a_shift_begins() {
    for class in ["idempotent", "conditional", "observable", "blind"] {
        stopped_and_begun_anew(class, "begins").await;
    }
}

#[tokio::test]
async fn told_to_stop_when_the_target_is_live_already() {
    for class in ["observable", "blind"] {
        stopped_and_begun_anew(class, "applied").await;
    }
}

#[tokio::test]
async fn a_set_that_moves() {
    sets::killed_again_and_again(sets::Course::Moved, 3).await;
}

#[tokio::test]
async fn a_set_that_goes_back() {
    sets::killed_again_and_again(sets::Course::WentBack, 8).await;
}
