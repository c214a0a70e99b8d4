//! What is outside the host and outlives it: what is served, what registries and people were told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ripcord_core::digest::Digest;
use ripcord_core::facet::{FALLBACK_OFF, Facet, FacetState, Revision};
use ripcord_core::live::{LiveState, Proof, Share};
use ripcord_core::name::{ServiceName, VersionName};
use ripcord_core::ratio::Ratio;
use ripcord_core::target::{ArtefactFile, Target, VersionTarget, artefact_digest};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::facet::{Content, OutsideFacet};
use crate::run_outside::Stage;

/// One service from outside.
#[derive(Debug, Clone)]
pub struct Outside {
    /// The version on each replica.
    pub replicas: Vec<String>,
    /// What else there is of it: configurations, a safe mode.
    pub facets: BTreeMap<Facet, OutsideFacet>,
    /// Moves of the replicas that are still to come or stopped half-way, by number.
    pub moves: BTreeMap<u64, Move>,
    /// Moves so far.
    pub moved: u64,
    /// In the registry, oldest first.
    pub versions: Vec<String>,
    /// Versions that do harm.
    pub bad: BTreeSet<String>,
    /// Answers name no version.
    pub nameless: bool,
    /// The registry's production name.
    pub in_production: Option<String>,
    /// Marks in the registry: the incident that holds a version.
    pub marks: BTreeMap<String, String>,
    /// Held beside what is live.
    pub candidate: Option<String>,
    /// Runs that make versions, by their keys.
    pub runs: BTreeMap<String, Stage>,
    /// Keys that the deployer has seen.
    pub keys: BTreeSet<String>,
    /// When each version was served by every replica last.
    pub served_at: BTreeMap<String, Instant>,
}

/// Replicas that are being moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// To which version.
    pub to: String,
    /// Whether it goes on; one that does not stopped half-way.
    pub goes_on: bool,
}

/// Everything outside.
#[derive(Debug, Default)]
struct Everything {
    services: BTreeMap<ServiceName, Outside>,
    /// The ids of the announcements that were delivered, by their first delivery.
    told: BTreeMap<String, Instant>,
    objects: BTreeMap<Digest, Vec<u8>>,
}

/// The world.
#[derive(Debug, Default)]
pub struct World {
    everything: Mutex<Everything>,
    going_on: Mutex<JoinSet<()>>,
}

/// The file of a version's artefact, and the artefact's digest.
pub fn artefact(version: &str) -> (ArtefactFile, Digest) {
    let content = format!("the weights of {version}");
    let file =
        ArtefactFile { path: "model.bin".into(), sha256: Digest::of(&content), bytes: content.len() as u64 };
    let digest = artefact_digest(std::slice::from_ref(&file));
    (file, digest)
}

/// A version with the digest of its artefact.
pub fn version_target(name: &str) -> VersionTarget {
    VersionTarget { version: version(name), digest: Some(artefact(name).1) }
}

/// A version's name.
pub fn version(name: &str) -> VersionName {
    VersionName::new(name).expect("the world's names of versions are valid")
}

impl Outside {
    /// A service on so many replicas, with two versions of which the second is live.
    pub fn new(replicas: usize) -> Self {
        Self {
            replicas: vec!["2".to_owned(); replicas],
            facets: BTreeMap::new(),
            moves: BTreeMap::new(),
            moved: 0,
            versions: vec!["1".to_owned(), "2".to_owned()],
            bad: BTreeSet::new(),
            nameless: false,
            in_production: Some("2".to_owned()),
            marks: BTreeMap::new(),
            candidate: None,
            runs: BTreeMap::new(),
            keys: BTreeSet::new(),
            served_at: BTreeMap::from([("2".to_owned(), Instant::now())]),
        }
    }

    /// The version on every replica, if it is one.
    pub fn sole(&self) -> Option<&String> {
        let first = self.replicas.first()?;
        self.replicas.iter().all(|version| version == first).then_some(first)
    }

    /// What an honest look shows.
    pub fn live(&self) -> LiveState {
        let mut counts: BTreeMap<&String, usize> = BTreeMap::new();
        self.replicas.iter().for_each(|version| *counts.entry(version).or_default() += 1);
        let share = |(name, count): (&String, usize)| Share {
            version: version_target(name),
            place: String::new(),
            weight: Ratio::new(count as f64 / self.replicas.len() as f64).expect("a share"),
            proof: if self.nameless { Proof::ControlPlane } else { Proof::Answer },
        };
        LiveState::Serving(counts.into_iter().map(share).collect())
    }

    /// Share of the answers that do harm.
    pub fn harm(&self) -> f64 {
        let bad = self.replicas.iter().filter(|version| !self.answers_well(version)).count();
        bad as f64 / self.replicas.len() as f64
    }

    /// The safe mode that answers in place of the model.
    pub fn safe_mode(&self) -> Option<&OutsideFacet> {
        self.facets.get(&Facet::Fallback).filter(|facet| facet.is_safe_mode())
    }

    /// Whether the answers are right where this version would give them.
    pub fn answers_well(&self, version: &str) -> bool {
        match self.safe_mode() {
            Some(mode) => !mode.does_harm(),
            None => self.would_answer_well(version),
        }
    }

    /// The same of the version itself, under the configurations that are in force.
    pub fn would_answer_well(&self, version: &str) -> bool {
        let mut configurations = self.facets.iter().filter(|(facet, _)| **facet != Facet::Fallback);
        !self.bad.contains(version) && !configurations.any(|(_, facet)| facet.does_harm())
    }

    /// Leaves the safe mode, if one answers.
    pub fn leave_safe_mode(&mut self) {
        if let Some(fallback) = self.facets.get_mut(&Facet::Fallback) {
            fallback.put(Content::first(FALLBACK_OFF));
        }
    }

    /// All that the answers come from, as text.
    pub fn behaviour(&self, version: &str) -> String {
        let facets = self.facets.iter().map(|(facet, of)| format!("{facet} {:?}", of.in_force()));
        format!("{version} {:?}", facets.collect::<Vec<_>>())
    }

    /// Whether everything of the target's facet that was to be moved has been, or has stopped for good.
    pub fn is_at_rest(&self, target: &Target) -> bool {
        match target.facet().and_then(|facet| self.facets.get(&facet)) {
            Some(facet) => facet.is_at_rest(),
            None => self.moves.values().all(|one| !one.goes_on),
        }
    }

    /// Whether the target is in force, as far as an honest look shows.
    pub fn shows(&self, target: &Target) -> bool {
        match self.beside(target) {
            Some((facet, revision)) => facet.shows(revision.name.as_str(), target.digest()),
            None => self.live().serves(target),
        }
    }

    /// The facet beside the model that the target is of, and its revision.
    fn beside(&self, target: &Target) -> Option<(&OutsideFacet, Revision)> {
        let revision = target.revision()?;
        Some((self.facets.get(&revision.facet)?, revision))
    }

    /// What is in force of the facets beside the model, as far as an honest look shows.
    pub fn in_force_beside(&self) -> BTreeSet<Revision> {
        let known = self.facets.iter().filter_map(|(facet, of)| match of.look() {
            FacetState::InForce(known) => Some(Revision { facet: facet.clone(), name: known.revision }),
            FacetState::Unknown(_) => None,
        });
        known.collect()
    }

    /// Puts a version on one replica.
    fn put(&mut self, replica: usize, version: &str) {
        self.note_served();
        if let Some(place) = self.replicas.get_mut(replica) {
            version.clone_into(place);
        }
        self.note_served();
    }

    /// Puts a version on every replica at once. Whatever else moves them is overtaken.
    pub fn put_everywhere(&mut self, version: &str) {
        self.put_on(self.replicas.len(), version);
    }

    /// The same on the first replicas alone.
    pub fn put_on(&mut self, replicas: usize, version: &str) {
        self.note_served();
        self.moves.clear();
        self.replicas.iter_mut().take(replicas).for_each(|place| version.clone_into(place));
        self.note_served();
    }

    /// How many replicas have so much of the traffic.
    pub fn replicas_of(&self, share: f64) -> usize {
        (0..=self.replicas.len())
            .find(|count| *count as f64 / self.replicas.len() as f64 >= share)
            .unwrap_or_default()
    }

    fn note_served(&mut self) {
        if let Some(sole) = self.sole().cloned() {
            self.served_at.insert(sole, Instant::now());
        }
    }

    /// Whether the target was in force, on every replica, at some instant from `since` on.
    pub fn has_served(&self, target: &Target, since: Instant) -> bool {
        match (target.revision(), target) {
            (_, Target::Version(wanted)) => self.has_served_version(&wanted.version, since),
            (Some(revision), target) => self.has_been_in_force(&revision, target.digest(), since),
            (None, _) => false,
        }
    }

    fn has_served_version(&self, version: &VersionName, since: Instant) -> bool {
        self.sole().is_some_and(|sole| sole == version.as_str())
            || self.served_at.get(version.as_str()).is_some_and(|at| *at >= since)
    }

    /// The same of a revision, with this digest where one is known.
    pub fn has_been_in_force(&self, revision: &Revision, digest: Option<Digest>, since: Instant) -> bool {
        match self.facets.get(&revision.facet) {
            Some(facet) => facet.has_shown(revision.name.as_str(), digest, since),
            None => self.has_served_version(&revision.name, since),
        }
    }
}

impl World {
    fn lock(&self) -> std::sync::MutexGuard<'_, Everything> {
        self.everything.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a service.
    pub fn add(&self, service: &ServiceName, outside: Outside) {
        self.lock().services.insert(service.clone(), outside);
    }

    /// Changes or reads one service.
    pub fn at<T>(&self, service: &ServiceName, change: impl FnOnce(&mut Outside) -> T) -> T {
        change(self.lock().services.get_mut(service).expect("a service of this world"))
    }

    /// Changes or reads one facet of a service.
    pub fn facet<T>(
        &self,
        service: &ServiceName,
        facet: &Facet,
        change: impl FnOnce(&mut OutsideFacet) -> T,
    ) -> T {
        self.at(service, |outside| change(outside.facets.get_mut(facet).expect("a facet of this service")))
    }

    /// The service takes over what was stored after a while, whatever becomes of the host.
    pub fn takes_over_later(
        self: &Arc<Self>,
        service: &ServiceName,
        facet: &Facet,
        change: u64,
        delay: Duration,
    ) {
        let (world, service, facet) = (Arc::clone(self), service.clone(), facet.clone());
        self.goes_on(async move {
            tokio::time::sleep(delay).await;
            world.facet(&service, &facet, |facet| facet.take_over(change));
        });
    }

    /// The run ends after a while, unless it was stopped. What it made is in the registry then, and does harm where it is `bad`.
    pub fn run_ends_later(
        self: &Arc<Self>,
        service: &ServiceName,
        key: &str,
        end: Stage,
        bad: bool,
        takes: Duration,
    ) {
        let (world, service, key) = (Arc::clone(self), service.clone(), key.to_owned());
        self.goes_on(async move {
            tokio::time::sleep(takes).await;
            world.at(&service, |outside| {
                let Some(run) = outside.runs.get_mut(&key).filter(|run| **run == Stage::GoesOn) else {
                    return;
                };
                run.clone_from(&end);
                if let Stage::Made(version) = end {
                    if bad {
                        outside.bad.insert(version.clone());
                    }
                    outside.versions.push(version);
                }
            });
        });
    }

    /// Goes on whatever becomes of the host.
    fn goes_on(&self, work: impl Future<Output = ()> + Send + 'static) {
        let mut going_on = self.going_on.lock().unwrap_or_else(PoisonError::into_inner);
        while going_on.try_join_next().is_some() {}
        going_on.spawn(work);
    }

    /// The replicas are moved one after the other, the first after `delay`; the move stops after `replicas` of them. A newer move takes the place of the one
    /// before.
    pub fn start_move(self: &Arc<Self>, service: &ServiceName, to: &str, delay: Duration, replicas: usize) {
        let all = self.at(service, |outside| outside.replicas.len());
        self.start_move_of(service, to, delay, (replicas, all));
    }

    /// The same where so many are to be moved, and no more.
    pub fn start_move_of(
        self: &Arc<Self>,
        service: &ServiceName,
        to: &str,
        delay: Duration,
        (replicas, all): (usize, usize),
    ) {
        let number = self.at(service, |outside| {
            outside.moved += 1;
            outside.moves.clear();
            outside.moves.insert(outside.moved, Move { to: to.to_owned(), goes_on: true });
            outside.moved
        });
        let (world, service, to) = (Arc::clone(self), service.clone(), to.to_owned());
        self.goes_on(async move {
            for replica in 0..replicas.min(all) {
                tokio::time::sleep(delay).await;
                let overtaken = world.at(&service, |outside| {
                    let goes_on = outside.moves.contains_key(&number);
                    if goes_on {
                        outside.put(replica, &to);
                    }
                    !goes_on
                });
                if overtaken {
                    return;
                }
            }
            world.at(&service, |outside| match outside.moves.get_mut(&number) {
                Some(stuck) if replicas < all => stuck.goes_on = false,
                _ => drop(outside.moves.remove(&number)),
            });
        });
    }

    /// People hear of it.
    pub fn tell(&self, id: &str) {
        self.lock().told.entry(id.to_owned()).or_insert_with(Instant::now);
    }

    /// Whether people have heard of it.
    pub fn was_told(&self, id: &str) -> bool {
        self.lock().told.contains_key(id)
    }

    /// Keeps a piece of evidence.
    pub fn keep(&self, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        self.lock().objects.insert(digest, bytes.to_vec());
        digest
    }

    /// A piece of evidence.
    pub fn kept(&self, digest: &Digest) -> Option<Vec<u8>> {
        self.lock().objects.get(digest).cloned()
    }

    /// Forgets a piece of evidence.
    pub fn no_longer_kept(&self, digest: &Digest) {
        self.lock().objects.remove(digest);
    }
}
