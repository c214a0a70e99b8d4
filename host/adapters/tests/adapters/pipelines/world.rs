//! What a pipeline that the tests play does, and what it deploys to.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use ripcord_adapters::conformance::deployer::Settable;
use ripcord_adapters::conformance::pipeline::{Behaviour, WHY};
use ripcord_core::target::Target;
use serde_json::{Value, json};

use crate::adapters::support::{Server, target};

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Queued,
    Running,
    Green,
    Red,
    Cancelled,
}

/// So long what a run has begun goes on after it.
const LATER: Duration = Duration::from_secs(1);

/// What becomes of whoever reads logs, besides those of the deployment itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Logs {
    There,
    /// One of several is not there.
    OneMissing,
    /// One of several is longer than can be held.
    OneLong,
    /// None answers.
    Hang,
}

#[derive(Debug, Clone)]
pub(crate) struct PlayedRun {
    pub(crate) id: u64,
    pub(crate) told: BTreeMap<String, String>,
    pub(crate) stage: Stage,
    pub(crate) log: String,
    /// It had its turn.
    pub(crate) worked: bool,
    /// The system tells of it no more.
    pub(crate) forgotten: bool,
}

impl PlayedRun {
    pub(crate) fn mark(&self) -> &str {
        self.told.iter().find(|(name, _)| name.eq_ignore_ascii_case("ripcord_mark")).unwrap().1
    }

    fn version(&self) -> String {
        self.told.iter().find(|(name, _)| name.eq_ignore_ascii_case("ripcord_version")).unwrap().1.clone()
    }
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) served: String,
    pub(crate) behaviour: Behaviour,
    pub(crate) runs: Vec<PlayedRun>,
    /// Runs wait for their turn.
    pub(crate) queues: bool,
    /// Runs are known, and in no list yet.
    pub(crate) unlisted: bool,
    /// What is ended works on, and deploys a little later.
    pub(crate) works_on: bool,
    /// The system itself serves TLS.
    pub(crate) secure: bool,
    pub(crate) logs: Logs,
    /// What is served from when on.
    later: Option<(Instant, String)>,
}

pub(crate) type SharedWorld = Arc<Mutex<World>>;

pub(crate) fn world() -> SharedWorld {
    Arc::new(Mutex::new(World {
        served: "1".into(),
        behaviour: Behaviour::Deploys,
        runs: Vec::new(),
        queues: false,
        unlisted: false,
        works_on: false,
        secure: false,
        logs: Logs::There,
        later: None,
    }))
}

impl World {
    pub(crate) fn begin(&mut self, told: BTreeMap<String, String>) -> u64 {
        let id = self.runs.len() as u64 + 1;
        let log = "deploying\n".to_owned();
        self.runs.push(PlayedRun { id, told, stage: Stage::Queued, log, worked: false, forgotten: false });
        id
    }

    /// The run, one step on.
    pub(crate) fn look(&mut self, id: u64) -> Option<PlayedRun> {
        if self.later.as_ref().is_some_and(|(at, _)| *at <= Instant::now())
            && let Some((_, version)) = self.later.take()
        {
            self.served = version;
        }
        let (behaviour, queues) = (self.behaviour, self.queues);
        let run = self.runs.iter_mut().find(|run| run.id == id && !run.forgotten)?;
        match (run.stage, behaviour) {
            (Stage::Queued, _) if queues => {}
            (Stage::Queued, _) => (run.stage, run.worked) = (Stage::Running, true),
            (Stage::Running, Behaviour::Waits) | (Stage::Green | Stage::Red | Stage::Cancelled, _) => {}
            (Stage::Running, behaviour) => {
                if matches!(behaviour, Behaviour::Deploys | Behaviour::DeploysAndFails) {
                    self.served = run.version();
                }
                if behaviour == Behaviour::FailsAndDeploysLater {
                    self.later = Some((Instant::now() + LATER, run.version()));
                }
                if behaviour == Behaviour::Fails {
                    run.log.push_str(WHY);
                }
                run.stage = match behaviour {
                    Behaviour::Deploys | Behaviour::DoesNothing => Stage::Green,
                    _ => Stage::Red,
                };
            }
        }
        Some(run.clone())
    }

    pub(crate) fn all(&self) -> impl DoubleEndedIterator<Item = &PlayedRun> {
        self.runs.iter().filter(|run| !run.forgotten)
    }

    pub(crate) fn cancel(&mut self, id: u64) {
        let run = self.runs.iter_mut().find(|run| run.id == id).unwrap();
        if self.works_on && run.stage == Stage::Running {
            self.later = Some((Instant::now() + LATER, run.version()));
        }
        if matches!(run.stage, Stage::Queued | Stage::Running) {
            run.stage = Stage::Cancelled;
        }
    }

    pub(crate) fn is_at_rest(&self) -> bool {
        self.all().all(|run| !matches!(run.stage, Stage::Queued | Stage::Running))
    }

    pub(crate) fn forget(&mut self) {
        self.runs.iter_mut().for_each(|run| run.forgotten = true);
    }
}

/// A page that says what is served.
pub(crate) async fn live_page(world: &SharedWorld) -> Server {
    let world = world.clone();
    let page = move || {
        let mut world = world.lock().unwrap();
        // What runs goes on whether its pipeline is asked for it or not.
        let ids: Vec<u64> = world.runs.iter().map(|run| run.id).collect();
        for id in ids {
            world.look(id);
        }
        let served = world.served.clone();
        async move { axum::Json::<Value>(json!({ "model": { "version": served } })) }
    };
    Server::start(Router::new().route("/live", get(page))).await
}

/// How a deployer reads it.
pub(crate) fn live_settings(live: &Server) -> Value {
    json!({ "urls": [live.url("/live")], "pointer": "/model/version", "answers": 1, "proof": "answer" })
}

/// Tells a script that deploys, in the folder of its own, what to do.
pub(crate) fn behaviour_file(world: &std::path::Path, behaviour: Behaviour) {
    let word = match behaviour {
        Behaviour::Deploys => "deploys",
        Behaviour::DeploysAndFails => "deploys-and-fails",
        Behaviour::DoesNothing => "does-nothing",
        Behaviour::Fails => "fails",
        Behaviour::FailsAndDeploysLater => "fails-and-deploys-later",
        Behaviour::Waits => "waits",
    };
    std::fs::write(world.join("behaviour.new"), word).unwrap();
    std::fs::rename(world.join("behaviour.new"), world.join("behaviour")).unwrap();
}

/// The query of a request.
pub(crate) fn query_of(uri: &axum::http::Uri) -> BTreeMap<String, String> {
    reqwest::Url::parse(&format!("http://x{uri}")).unwrap().query_pairs().into_owned().collect()
}

pub(crate) fn settable(version: &str) -> Settable {
    Settable { target: Target::Version(target(version, None)), staged: None }
}

/// All that a deployer has kept of what runs wrote.
pub(crate) fn logs_in(data: &std::path::Path) -> String {
    let Ok(logs) = std::fs::read_dir(data.join("logs")) else { return String::new() };
    logs.map(|log| std::fs::read_to_string(log.unwrap().path()).unwrap()).collect()
}
