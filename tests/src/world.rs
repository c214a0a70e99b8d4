//! What is outside the host and outlives it: what is served, what registries and people were told.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

#[cfg(doc)]
use ripcord_core::facet::Revision;
use ripcord_core::facet::{FALLBACK_OFF, Facet};
use ripcord_core::name::ServiceName;
use ripcord_core::wave::Moves;
use serde::{Deserialize, Serialize};

/// One thing that happened between a host and a deployer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// A shift call arrived.
    Called {
        /// The order's key.
        key: String,
        /// The target, as [`Revision`] has it as text.
        version: String,
    },
    /// The shift happened.
    Applied {
        /// The order's key.
        key: String,
        /// The target.
        version: String,
    },
    /// The call returned to the host: with a known outcome or not.
    Returned {
        /// Whether the host knows from it what happened.
        known: bool,
    },
    /// The host was told by a probe.
    Probed {
        /// Whether the host knows from it what happened.
        known: bool,
    },
    /// A person told the host what happened.
    Answered,
}

/// What the next shift call meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fault {
    /// Nothing happens, and the system says so; worth trying again.
    RefusedForNow,
    /// Nothing happens, and the system says so; it will not do it.
    Refused,
    /// Nothing happens, for a reason that every other target would meet.
    NoPlace,
    /// It happens, and the connection breaks.
    DoneAndBroken,
    /// It does not happen, and the connection breaks.
    LostAndBroken,
    /// The system works on it: it happens after so many looks at live.
    Underway(u32),
    /// The call never comes back.
    Hangs,
    /// The system says that it is done, and goes on serving what it served.
    Lies,
}

/// What promotions meet, for as long as it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PromotionFault {
    /// The registry has no name for the version in production.
    Unsupported,
    /// The name can be neither read nor moved for now.
    Away,
    /// The name can be read and not moved.
    Denied,
    /// The call never comes back, and nothing happens.
    Hangs,
    /// The name is moved, and the connection breaks.
    DoneAndBroken,
    /// Somebody moves the name between the look and the move.
    Raced,
}

/// What a candidate beside what is live meets, for as long as it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CandidateFault {
    /// There is no room now; worth trying again.
    Busy,
    /// The candidate cannot be held.
    Refused,
    /// The call never comes back.
    Hangs,
    /// What answers there names the live version.
    Mistaken,
    /// It is held, and no request reaches it.
    Unreachable,
    /// It cannot be taken away.
    Stays,
}

/// One facet beside the model, from outside.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct OutsideFacet {
    /// Where it is kept; empty if that cannot be told.
    #[serde(default)]
    pub kept_at: String,
    /// Its revisions, oldest first.
    pub revisions: Vec<String>,
    /// What is stored.
    pub stored: String,
    /// What the service works with, and tells.
    pub in_force: String,
    /// It does not answer.
    pub down: bool,
    /// Revisions that its history says cannot be restored.
    pub broken: BTreeSet<String>,
    /// Revisions that are listed and have no content.
    pub lost: BTreeSet<String>,
    /// Revisions whose content is another one by now.
    pub rewritten: BTreeSet<String>,
}

/// One service from outside.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Outside {
    /// What is served.
    pub live: String,
    /// What every request holds of how the adapters are configured.
    pub settings: String,
    /// The deployer cannot show whether these are served.
    pub unshown: BTreeSet<String>,
    /// What there is of it beside the model, by the facet as text.
    pub facets: BTreeMap<String, OutsideFacet>,
    /// Served beside it, with this share of the requests.
    pub canary: Option<(String, f64)>,
    /// What comes after so many looks.
    pub coming: Option<(u32, String)>,
    /// Where its model is kept; empty if that cannot be told.
    #[serde(default)]
    pub model_at: String,
    /// As much of it as that: everything where there is none.
    #[serde(default)]
    pub coming_wave: Option<Moves>,
    /// What is served at each of several places; empty where there is one.
    #[serde(default)]
    pub places: BTreeMap<String, String>,
    /// In the registry, oldest first.
    pub versions: Vec<String>,
    /// Versions that answer wrongly, and revisions under which every version does, as [`Revision`] has them as text.
    pub bad: BTreeSet<String>,
    /// Overrides the metric: none leaves it to what is live.
    pub harm: Option<f64>,
    /// The metric comes in so many series, sampled at this instant (Unix milliseconds): a large value that is the same at every question.
    pub wide_metric: Option<(u32, u64)>,
    /// The metrics source has nothing.
    pub no_metrics: bool,
    /// The service cannot be read.
    pub deployer_down: bool,
    /// Calls that never come back, such as `live`.
    pub hangs: BTreeSet<String>,
    /// The registry does not answer.
    pub registry_down: bool,
    /// What the registry's production name points at.
    pub in_production: Option<String>,
    /// Where that name was moved to, by hosts.
    pub promotions: Vec<String>,
    /// What promotions meet.
    pub promotion_fault: Option<PromotionFault>,
    /// What the registry's other names point at.
    pub aliases: BTreeMap<String, String>,
    /// The registry lists versions and gives no artefacts.
    pub artefacts_away: bool,
    /// Versions whose artefact is another one by now; a registry without digests of its own does not notice.
    pub rewritten: BTreeSet<String>,
    /// The registry gives no digests of its own.
    pub no_digests: bool,
    /// Versions whose artefact was changed after they were registered.
    pub changed: BTreeSet<String>,
    /// What the next shifts meet.
    pub faults: VecDeque<Fault>,
    /// Keys that an idempotent deployer has seen.
    pub keys: BTreeSet<String>,
    /// Between hosts and the deployer.
    pub steps: Vec<Step>,
    /// Marks in the registry, by version: the incident that holds it.
    pub marks: BTreeMap<String, String>,
    /// The server has room for a candidate beside what is live.
    pub holds_candidates: bool,
    /// What is held beside what is live.
    pub candidate: Option<String>,
    /// Calls about candidates, such as `beside 1.1` and `clear`.
    pub candidate_calls: Vec<String>,
    /// What candidates meet.
    pub candidate_fault: Option<CandidateFault>,
    /// Versions whose inputs are others than the registry says.
    pub other_inputs: BTreeSet<String>,
    /// A candidate takes its time to answer.
    pub slow_trials: bool,
    /// Inputs that a candidate answered.
    pub candidate_answered: u32,
    /// Answers name no version, and the control plane is the only proof.
    pub nameless: bool,
    /// Versions that have the weights of another one.
    pub impostors: BTreeMap<String, String>,
    /// The revision of the data set `rows` that versions were made from, empty where the registry does not say which; it knows no lineage of any other.
    pub made_from: BTreeMap<String, String>,
    /// Whose weights versions began with, where the registry says so.
    pub parents: BTreeMap<String, String>,
    /// Measures of versions, as the registry has them.
    pub measures: BTreeMap<String, Vec<(String, f64)>>,
    /// The registry lists versions and tells no lineage.
    pub lineages_down: bool,
    /// Versions that the registry says cannot be fetched.
    pub broken: BTreeSet<String>,
    /// Artefacts fetched.
    pub fetched: u32,
    /// Inputs answered.
    pub answered: u32,
    /// Runs of the producer, by key.
    pub runs: BTreeMap<String, PretendRun>,
    /// The key of every call that was to start one.
    pub run_starts: Vec<String>,
    /// What the next of these calls meet.
    pub run_faults: VecDeque<Fault>,
    /// How often a host looked how far one is.
    pub run_looks: u32,
    /// The producer does not tell how far a run is.
    pub producer_down: bool,
}

impl Outside {
    /// All runs that go on end so.
    pub fn end_runs(&mut self, stage: &RunStage) {
        if let RunStage::Made(version) = stage {
            self.versions.push(version.clone());
        }
        let going_on = self.runs.values_mut().filter(|run| run.stage == RunStage::GoesOn);
        going_on.for_each(|run| run.stage = stage.clone());
    }
}

/// A run of the producer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PretendRun {
    /// Calls that were to start it.
    pub calls: u32,
    /// How far it is.
    pub stage: RunStage,
    /// Whether it was told to end.
    pub stopped: bool,
}

/// How far a run is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RunStage {
    /// Until a test says otherwise.
    #[default]
    GoesOn,
    /// It made this version.
    Made(String),
    /// It made none; why.
    Failed(String),
    /// Nobody knows; why.
    Lost(String),
}

impl Outside {
    /// The facet, beside the model.
    pub fn facet(&mut self, facet: &Facet) -> &mut OutsideFacet {
        self.facets.get_mut(&facet.to_string()).expect("a facet of this service")
    }

    /// What the service works with of this facet.
    pub fn in_force(&self, facet: &Facet) -> &str {
        match facet {
            Facet::Model => &self.live,
            facet => &self.facets.get(&facet.to_string()).expect("a facet of this service").in_force,
        }
    }

    /// Whether a safe mode answers.
    pub fn falls_back(&self) -> bool {
        let fallback = self.facets.get(&Facet::Fallback.to_string());
        fallback.is_some_and(|facet| facet.in_force != FALLBACK_OFF)
    }

    /// Whether requests are answered wrongly: a safe mode answers them right, whatever stands behind it.
    pub fn does_harm(&self) -> bool {
        !self.falls_back() && self.would_do_harm(&self.live)
    }

    /// Whether this version answers wrongly under what is in force beside it.
    pub fn would_do_harm(&self, version: &str) -> bool {
        let mut configurations = self.facets.iter().filter_map(|(facet, of)| {
            Some(format!("{}={}", facet.strip_prefix("configuration ")?, of.in_force))
        });
        self.bad.contains(version) || configurations.any(|revision| self.bad.contains(&revision))
    }
}

/// How people are reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Line {
    /// They are.
    #[default]
    Open,
    /// Calls never come back.
    Hangs,
    /// Calls fail.
    Broken,
    /// So many calls fail, then people are reached.
    BrokenFor(u32),
}

/// A message that was delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Its id.
    pub id: String,
    /// About which service.
    pub service: String,
    /// What kind of news.
    pub topic: String,
    /// The sentence.
    pub text: String,
}

/// Everything outside.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Everything {
    /// By name.
    pub services: BTreeMap<String, Outside>,
    /// In the order of delivery, repeats included.
    pub told: Vec<Told>,
    /// How people are reached.
    pub line: Line,
    /// The id of every call of a notifier, delivered or not.
    pub rung: Vec<String>,
    /// Evidence by its digest.
    pub objects: BTreeMap<String, Vec<u8>>,
    /// Evidence that cannot be removed.
    pub objects_stay: BTreeSet<String>,
    /// Keeping evidence never comes back.
    pub objects_hang: bool,
}

/// The world. With a file it outlives this process too.
#[derive(Debug, Default)]
pub struct World {
    everything: Mutex<Everything>,
    file: Option<PathBuf>,
}

impl World {
    /// Kept in memory.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Kept in `file` after every change, and read from it if it is there.
    pub fn in_file(file: PathBuf) -> Arc<Self> {
        let everything = std::fs::read(&file)
            .map(|bytes| serde_json::from_slice(&bytes).expect("the world's file reads"))
            .unwrap_or_default();
        Arc::new(Self { everything: Mutex::new(everything), file: Some(file) })
    }

    /// The service has this facet too: of its revisions, oldest first, one is in force.
    pub fn add_facet(&self, service: &ServiceName, facet: &Facet, revisions: &[&str], in_force: &str) {
        let revisions = revisions.iter().map(|revision| (*revision).to_owned()).collect();
        let now = in_force.to_owned();
        let of = OutsideFacet { revisions, stored: now.clone(), in_force: now, ..OutsideFacet::default() };
        self.at(service, |outside| drop(outside.facets.insert(facet.to_string(), of)));
    }

    /// Adds a service that serves the last of `versions`.
    pub fn add(&self, service: &ServiceName, versions: &[&str]) {
        let versions: Vec<String> = versions.iter().map(|version| (*version).to_owned()).collect();
        let live = versions.last().expect("a version").clone();
        self.change(|all| {
            let in_production = Some(live.clone());
            let outside = Outside { live, versions, in_production, ..Outside::default() };
            all.services.insert(service.to_string(), outside);
        });
    }

    /// Changes something.
    pub fn change<T>(&self, change: impl FnOnce(&mut Everything) -> T) -> T {
        let mut everything = self.everything.lock().unwrap();
        let result = change(&mut everything);
        if let Some(file) = &self.file {
            let beside = file.with_extension("new");
            std::fs::write(&beside, serde_json::to_vec(&*everything).expect("encodes")).expect("writes");
            std::fs::rename(&beside, file).expect("renames");
        }
        result
    }

    /// Changes one service.
    pub fn at<T>(&self, service: &ServiceName, change: impl FnOnce(&mut Outside) -> T) -> T {
        self.change(|all| change(all.services.get_mut(service.as_str()).expect("a known service")))
    }

    /// Looks at one service.
    pub fn of(&self, service: &ServiceName) -> Outside {
        self.everything.lock().unwrap().services.get(service.as_str()).expect("a known service").clone()
    }

    /// All messages.
    pub fn told(&self) -> Vec<Told> {
        self.everything.lock().unwrap().told.clone()
    }

    /// What was said of `topic`, of all services, in the order of delivery.
    pub fn texts_of(&self, topic: &str) -> Vec<String> {
        self.told().into_iter().filter(|told| told.topic == topic).map(|told| told.text).collect()
    }

    /// How often news of `topic` about `service` was delivered, each id once.
    pub fn told_of(&self, service: &ServiceName, topic: &str) -> usize {
        let told = self.told();
        let ids: BTreeSet<_> = told
            .iter()
            .filter(|told| told.service == service.as_str() && told.topic == topic)
            .map(|told| told.id.clone())
            .collect();
        ids.len()
    }
}
