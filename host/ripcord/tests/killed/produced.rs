//! Services of which a version is made, of a checkpoint by the host itself and by a training of a team's own program, and then put in place.

use std::path::Path;
use std::time::Duration;

use ripcord_core::event::{Event, Happened, LookWord, ProbeWord, ShiftOutcome, StartWord};
use serde_json::Value;

use super::diary::{self, Line};
use super::{Dice, one_shift_at_a_time};
use crate::support::fraud::configuration;
use crate::support::host::{Host, free_address, script};
use crate::support::kept::{journals, store};
use crate::support::run::{self, ModelServer, Ran};

const MODEL: &str = r#"golden = { fraud = "golden/fraud.jsonl" }
registry = { kind = "directory", root = "registry" }
deployer = { kind = "open-inference", url = "http://{MODEL}", model-directory = "models/fraud", probe-input = [
  { name = "transaction", datatype = "FP64", shape = [1, 7], data = [25.0, 14.0, 0.1, 900.0, 0.1, 1.0, 1.0] },
] }
endpoint = { output = "decision" }
"#;

const CHECKPOINT: &str = r#"
[services.fraud-api.checkpoints]
kind = "folder"
root = "checkpoints"

[services.fraud-api.producer]
kind = "checkpoint"
from = { folder = { root = "checkpoints" } }
look-seconds = 0.2
"#;

const RETRAIN: &str = r#"
[services.fraud-api.producer]
kind = "command"
folder = "."
train = ["./train.sh"]
look-seconds = 0.2
"#;

/// It is told everything in its environment, takes its time, and keeps a diary.
const TRAIN: &str = r#"#!/usr/bin/env bash
set -eu
note() { printf '%s %s %s\n' "$$" "$1" "$RIPCORD_KEY" >> diary; }
note begins
sleep 0.4
PROGRAM example-fraud retrain --data data/manifest.json --exclude "$RIPCORD_EXCLUDE" --out . --version 1.5.1 --run "$RIPCORD_KEY" --json
note applied
sleep 0.4
note ends
"#;

/// What the version is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Produced {
    /// A checkpoint of before the bad labels: the host copies and registers it.
    Checkpoint,
    /// The data without the bad import: a program trains, whoever waits for it.
    Retraining,
}

/// When a host is killed: a life ends at whichever comes first, and each ends one.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// After so long.
    After(Duration),
    /// There is the incident with this id.
    Incident(&'static str),
    /// The run is in one of these states.
    Run(&'static [&'static str]),
    /// The program that trains has written this word.
    Diary(&'static str),
    /// What puts the version in place is in one of these phases.
    Phase(&'static [&'static str]),
}

struct World {
    folder: tempfile::TempDir,
    model: ModelServer,
    produced: Produced,
}

impl World {
    /// The bad version 1.4.0 is live. No host runs.
    fn new(produced: Produced) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path();
        crate::support::compiled::lend(path);
        let (made, producer) = match produced {
            Produced::Checkpoint => {
                let online = ["example-fraud", "online", "--out", ".", "--seed", "7", "--poison-from", "301"];
                (run::run(path, &online), CHECKPOINT)
            }
            Produced::Retraining => {
                let data = ["example-fraud", "data", "--out", "data", "--poison-from", "1800"];
                (run::run(path, &data), RETRAIN)
            }
        };
        assert_eq!(made.code, 0, "{}", made.stderr);
        script(path, "train.sh", &TRAIN.replace("PROGRAM", env!("CARGO_BIN_EXE_ripcord")));
        let model = ModelServer::start(path, "1.4.0");
        // Rules grant whatever is asked for: nobody could be asked while the host dies again and again.
        let text = configuration(&format!("{MODEL}{producer}")).replace(
            "urgency-at-most = \"emergency\"",
            "urgency-at-most = \"emergency\", strategies = [\"version\", \"checkpoint\", \"retrain\"]",
        );
        let text = text.replace("{HOST}", &free_address()).replace("{MODEL}", &model.address);
        std::fs::write(path.join("ripcord.toml"), text).expect("writes");
        Self { folder, model, produced }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn olga(&self, arguments: &[&str]) -> Ran {
        run::as_olga(self.path(), arguments)
    }

    fn pull(&self) {
        let of: &[&str] = match self.produced {
            Produced::Checkpoint => &["--checkpoint", "online-7@300"],
            Produced::Retraining => {
                // The revision is that of the manifest as it lies there.
                &["--retrain", "card-transactions@{REVISION}", "--exclude", "source=chargeback-import"]
            }
        };
        let revision = self.revision();
        let of: Vec<String> = of.iter().map(|word| word.replace("{REVISION}", &revision)).collect();
        let mut words = vec!["pull", "fraud-api", "--no-wait", "--reason", "bad labels"];
        words.extend(of.iter().map(String::as_str));
        let pulled = self.olga(&words);
        assert_eq!(pulled.code, 0, "Olga is not heard: {}{}", pulled.stdout, pulled.stderr);
    }

    /// Says whether the version was put in place, by what the server answers as.
    async fn answer(&self) {
        let word = if self.model.live().await == self.made() { "applied" } else { "not-applied" };
        let said = self.olga(&["answer", "fraud-api:2", word]);
        assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);
    }

    fn revision(&self) -> String {
        let text = std::fs::read_to_string(self.path().join("data/manifest.json")).unwrap_or_default();
        let manifest: Value = serde_json::from_str(&text).unwrap_or_default();
        manifest["revision"].as_str().unwrap_or_default().to_owned()
    }

    /// What the version is called that is made.
    fn made(&self) -> &'static str {
        match self.produced {
            Produced::Checkpoint => "online-7-step-300",
            Produced::Retraining => "1.5.1",
        }
    }

    fn moments(&self, after: Duration) -> Vec<Moment> {
        let mut moments = vec![
            Moment::After(after),
            Moment::Incident("fraud-api:1"),
            Moment::Run(&["goes-on"]),
            Moment::Run(&["made"]),
            Moment::Incident("fraud-api:2"),
            Moment::Phase(&["shifting", "reading back", "verifying"]),
        ];
        if self.produced == Produced::Retraining {
            moments.extend([Moment::Diary("begins"), Moment::Diary("applied")]);
        }
        moments
    }

    fn diary(&self) -> Vec<Line> {
        diary::read(&std::fs::read_to_string(self.path().join("diary")).unwrap_or_default())
    }

    /// Versions of the registry that this very run has registered.
    fn registered(&self, by: &str) -> usize {
        let versions = std::fs::read_dir(self.path().join("registry/fraud")).expect("a registry");
        let manifests = versions.map(|version| version.expect("a version").path().join("manifest.toml"));
        manifests
            .filter_map(|path| std::fs::read_to_string(path).ok())
            .filter(|text| text.contains(by))
            .count()
    }
}

/// How far a host was followed: to the moment of this place among those that were left, or to the end of what puts the version in place.
#[derive(Debug)]
enum End {
    Killed(usize),
    Settled(String),
    /// Nothing can tell whether the version was put in place.
    Asks,
}

async fn live(world: &World, host: &Host, moments: &[Moment]) -> End {
    let words = world.diary().len();
    let begun = tokio::time::Instant::now();
    loop {
        let state = host.get("services/fraud-api").await;
        if state["last_settled"]["id"] == "fraud-api:2" {
            return End::Settled(state["last_settled"]["outcome"].as_str().unwrap_or_default().to_owned());
        }
        let open = &state["incident"];
        let (id, phase) = (open["id"].as_str(), open["phase"].as_str());
        let run = state["runs"][0]["state"].as_str();
        let ended_badly = run.is_some_and(|run| ["failed", "lost", "not-begun", "late"].contains(&run));
        if open["needs"].as_str().is_some_and(|needs| needs.contains("ripcord answer fraud-api:2 applied")) {
            return End::Asks;
        }
        if ended_badly || open["needs"].is_string() {
            let incident = host.get("incidents/fraud-api:1").await;
            panic!("a person is asked, or the run made nothing: {state:#}\n{incident:#}");
        }
        let come = moments.iter().position(|moment| match *moment {
            Moment::After(after) => begun.elapsed() >= after,
            Moment::Incident(wanted) => id == Some(wanted),
            Moment::Run(states) => run.is_some_and(|run| states.contains(&run)),
            Moment::Diary(word) => world.diary()[words..].iter().any(|line| line.word == word),
            Moment::Phase(phases) => {
                id == Some("fraud-api:2") && phase.is_some_and(|phase| phases.contains(&phase))
            }
        });
        if let Some(place) = come {
            return End::Killed(place);
        }
        let is_wanted = open["wanted"].as_array().is_some_and(|wanted| !wanted.is_empty());
        if let (Some(id), true) = (id, is_wanted) {
            // Policies may have granted it meanwhile: then there is nothing to agree to any more.
            world.olga(&["approve", id, "--yes", "--reason", "it is well"]);
        }
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "nothing happens: {state:#}\n{:#?}\n{}",
            world.diary(),
            host.log().join("\n")
        );
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// The host is killed at each of its moments once: the run is begun once, and what it made is put in place once.
pub(crate) async fn produced_and_killed(produced: Produced, seed: u64) {
    let world = World::new(produced);
    let mut moments = world.moments(Duration::from_millis(Dice(seed).below(60)));
    let mut killed = Vec::new();
    for _ in 0..12 {
        let host = Host::start(world.path()).await;
        let state = host.get("services/fraud-api").await;
        if state["incident"].is_null() && state["last_settled"].is_null() {
            world.pull();
        }
        let end = match live(&world, &host, &moments).await {
            // Killed between the folder and the load, the server alone knows: Olga looks there. It is asked once, of the one shift.
            End::Asks => {
                world.answer().await;
                moments.retain(|moment| !matches!(moment, Moment::Phase(_)));
                live(&world, &host, &moments).await
            }
            end => end,
        };
        match end {
            End::Asks => panic!("{produced:?}, seed {seed}: it is asked twice, after {killed:?}"),
            End::Killed(place) => {
                host.kill();
                killed.push(moments.remove(place));
            }
            End::Settled(outcome) => {
                host.kill();
                assert_eq!(outcome, "rolled-back", "{produced:?}, seed {seed}, after {killed:?}");
                println!("{produced:?}: {killed:?}\n{:#?}", world.diary());
                assert!(killed.len() >= 4, "it was too quick to be killed: {killed:?}");
                crate::support::compiled::keep(world.path());
                return check(&world).await;
            }
        }
    }
    panic!("{produced:?}, seed {seed}: no end after {killed:?}");
}

async fn check(world: &World) {
    assert_eq!(world.model.live().await, world.made());
    let store = store(world.path()).expect("a store");
    let folded = journals(&store).await.remove(0);
    let (mut key, mut may_go_on, mut made, mut applied) = (None, false, 0, 0);
    for (_, event) in &folded.events {
        match event {
            Event::RunBegan(began) => {
                assert!(!may_go_on, "a run was begun while the one before may go on");
                assert!(key.is_none_or(|key| key == began.run), "it is one run, however often it is begun");
                (key, may_go_on) = (Some(began.run), true);
            }
            Event::RunReturned(returned) => {
                may_go_on &= !matches!(returned.word, StartWord::NotStarted { .. });
            }
            Event::RunLookedAt(looked) => may_go_on &= looked.word != LookWord::NotStarted,
            Event::RunMade(_) => made += 1,
            Event::ShiftReturned(returned) => applied += usize::from(returned.outcome == ShiftOutcome::Done),
            Event::ShiftProbed(probed) => applied += usize::from(probed.word == ProbeWord::Applied),
            Event::ShiftAnswered(said) => applied += usize::from(said.applied == Happened::Applied),
            _ => {}
        }
    }
    assert_eq!((made, folded.service.incidents), (1, 2));
    assert!(applied <= 1, "it was put in place {applied} times");
    one_shift_at_a_time(&folded);
    let key = key.expect("a run was begun").to_string();
    match world.produced {
        Produced::Retraining => {
            let diary = world.diary();
            diary::nothing_twice(&diary, "observable");
            assert_eq!(diary::attempts(&diary), 1, "the program was begun once: {diary:#?}");
            assert_eq!(world.registered(&key), 1);
        }
        Produced::Checkpoint => assert_eq!(world.registered("\"ripcord:incident\" = \"fraud-api:1\""), 1),
    }
    let replayed = world.olga(&["--json", "replay", "--all"]).json();
    assert_eq!((&replayed["differs"], &replayed["open"]), (&0.into(), &0.into()), "{replayed:#}");
    let listed = world.olga(&["--json", "runs", "list"]).json();
    assert_eq!(listed.as_array().or(listed["runs"].as_array()).map(Vec::len), Some(1), "{listed:#}");
}
