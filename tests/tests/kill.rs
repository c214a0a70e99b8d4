//! The crashes again, with a real process that is killed from outside.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use ripcord_core::name::ServiceName;
use ripcord_tests::{World, policies};

/// Lives of one incident before the process is left alone.
const KILLS: usize = 12;

/// A generator that the seed reproduces.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

fn live(folder: &Path, class: &str, kill_after: Option<Duration>) -> bool {
    let mut process = Command::new(env!("CARGO_BIN_EXE_mortal"))
        .arg(folder)
        .arg(class)
        .env(policies::BUILT, policies::built())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let up = lines.next();
    if let (Some(Ok(_)), Some(after)) = (up, kill_after) {
        std::thread::sleep(after);
        process.kill().unwrap();
    }
    process.wait().unwrap().success()
}

fn killed_again_and_again(class: &str, seed: u64) {
    let folder = tempfile::tempdir().unwrap();
    let service = ServiceName::new("fraud-api").unwrap();
    let world = World::in_file(folder.path().join("world.json"));
    world.add(&service, &["1.0", "1.1", "1.2"]);
    world.at(&service, |outside| {
        outside.bad.insert("1.2".into());
        outside.holds_candidates = class == "observable";
    });
    let mut dice = Dice(seed);
    let mut killed = 0;
    for _ in 0..KILLS {
        let after = Duration::from_millis(dice.below(60));
        if live(folder.path(), class, Some(after)) {
            break;
        }
        killed += 1;
    }
    println!("{class}: killed {killed} times with seed {seed}");
    assert!(killed >= 3, "it was too quick to be killed");
    assert!(
        live(folder.path(), class, None),
        "{class}: it does not end well after {killed} kills, seed {seed}"
    );
}

#[test]
fn an_idempotent_deployer_and_a_killed_host() {
    killed_again_and_again("idempotent", 1);
}

#[test]
fn an_observable_deployer_and_a_killed_host() {
    killed_again_and_again("observable", 2);
}

#[test]
fn a_blind_deployer_and_a_killed_host() {
    killed_again_and_again("blind", 3);
}
