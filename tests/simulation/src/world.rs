//! What is outside the host and outlives it: what is served, what registries and people were told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ripcord_core::digest::Digest;
use ripcord_core::live::{LiveState, Proof, Share};
use ripcord_core::name::{ServiceName, VersionName};
use ripcord_core::ratio::Ratio;
use ripcord_core::target::{ArtefactFile, Target, VersionTarget, artefact_digest};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// One service from outside.
#[derive(Debug, Clone)]
pub struct Outside {
    /// The version on each replica.
    pub replicas: Vec<String>,
    /// The safe mode, where it is switched on.
    pub fallback: Option<String>,
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
            fallback: None,
            moves: BTreeMap::new(),
            moved: 0,
            versions: vec!["1".to_owned(), "2".to_owned()],
            bad: BTreeSet::new(),
            nameless: false,
            in_production: Some("2".to_owned()),
            marks: BTreeMap::new(),
            candidate: None,
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
        if self.fallback.is_some() {
            return 0.0;
        }
        let bad = self.replicas.iter().filter(|version| self.bad.contains(*version)).count();
        bad as f64 / self.replicas.len() as f64
    }

    /// Whether everything that was to be moved has been, or has stopped for good.
    pub fn is_at_rest(&self) -> bool {
        self.moves.values().all(|one| !one.goes_on)
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
        self.note_served();
        self.moves.clear();
        self.replicas.iter_mut().for_each(|place| version.clone_into(place));
        self.note_served();
    }

    fn note_served(&mut self) {
        if let Some(sole) = self.sole().cloned() {
            self.served_at.insert(sole, Instant::now());
        }
    }

    /// Whether the target was served by every replica at some instant from `since` on.
    pub fn has_served(&self, target: &Target, since: Instant) -> bool {
        match target {
            Target::Version(wanted) => {
                let name = wanted.version.as_str();
                self.sole().is_some_and(|sole| sole == name)
                    || self.served_at.get(name).is_some_and(|at| *at >= since)
            }
            Target::Fallback(target) => self.fallback.as_deref() == Some(target.mode.as_str()),
            _ => false,
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

    /// Goes on whatever becomes of the host.
    fn goes_on(&self, work: impl Future<Output = ()> + Send + 'static) {
        let mut going_on = self.going_on.lock().unwrap_or_else(PoisonError::into_inner);
        while going_on.try_join_next().is_some() {}
        going_on.spawn(work);
    }

    /// The replicas are moved one after the other, the first after `delay`; the move stops after `replicas` of them. A newer move takes the place of the one
    /// before.
    pub fn start_move(self: &Arc<Self>, service: &ServiceName, to: &str, delay: Duration, replicas: usize) {
        let number = self.at(service, |outside| {
            outside.moved += 1;
            outside.moves.clear();
            outside.moves.insert(outside.moved, Move { to: to.to_owned(), goes_on: true });
            outside.moved
        });
        let (world, service, to) = (Arc::clone(self), service.clone(), to.to_owned());
        self.goes_on(async move {
            let all = world.at(&service, |outside| outside.replicas.len());
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
