//! Finding checkpoints in a place.
//!
//! A run is a folder; its checkpoints lie in it, or in its folder `checkpoints`. What begins with a dot is passed over.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::{StreamExt, TryStreamExt, stream};
use ripcord_core::fact::Checkpoint;
use ripcord_core::request::Request;
use ripcord_core::signal::Label;
use ripcord_core::time::UnixMillis;
use ripcord_ports::producer::CheckpointList;
use ripcord_ports::{ErrorKind, PortError};

use super::describe::{self, Description, LIGHTNING, PLAIN, TRAINER_STATE};
use super::place::{Entry, Kind, Place, below};
use super::served::{Served, shown};

/// The entries of one folder.
const ENTRIES_MAX: usize = 50_000;
/// The checkpoints that one list looks at; with more, those with the most steps.
const LOOKED_AT_MAX: usize = 5_000;
const DESCRIPTION_BYTES_MAX: u64 = 16 << 20;
/// Of all descriptions that one list reads.
const DESCRIPTIONS_BYTES_MAX: u64 = 256 << 20;
/// Unusable ones that are told one by one.
const UNREADABLE_MAX: usize = 100;
const RUNS_MAX: usize = 1_000;
/// Runs that are listed at once, and checkpoints that are looked at.
const AT_ONCE: usize = 8;
/// The folder in which Lightning keeps a run's checkpoints.
const INNER: &str = "checkpoints";
const PREFIX: &str = "checkpoint-";

/// The checkpoints of a place.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) place: Box<dyn Place>,
    /// Where the place itself is the folder of one run: its name.
    pub(crate) run: Option<String>,
    pub(crate) served: Served,
}

/// A checkpoint that can be used.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) run: String,
    pub(crate) path: String,
    pub(crate) is_file: bool,
    pub(crate) about: Description,
}

/// What looks like a checkpoint.
#[derive(Debug, Clone)]
struct Spot {
    run: String,
    path: String,
    name: String,
    kind: Kind,
}

/// One that cannot be used.
struct Unusable {
    run: String,
    path: String,
    step: Option<u64>,
    why: String,
}

/// All of a run, or of all runs.
#[derive(Default)]
struct Scan {
    found: Vec<Found>,
    unusable: Vec<Unusable>,
    not_looked_at: usize,
}

impl Reader {
    /// The request with where checkpoints are found, and which of their files are taken.
    pub(crate) fn in_request(&self, request: Request) -> Request {
        request
            .with("place", self.place.compared())
            .with("run of the place", self.run.clone().unwrap_or_default())
            .with("files", self.served.chosen())
    }

    /// Newest first.
    pub(crate) async fn list(&self, run: Option<&str>, limit: u32) -> Result<CheckpointList, PortError> {
        let mut scan = self.scan(run).await?;
        scan.found
            .sort_by(|a, b| (b.about.at, b.about.step, &a.run).cmp(&(a.about.at, a.about.step, &b.run)));
        let of = |found: &Found| Checkpoint {
            run: found.run.clone(),
            step: found.about.step,
            at: found.about.at,
            digest: self.served.listed_digest(&found.about),
            measures: found.about.measures.clone(),
        };
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let checkpoints = scan.found.iter().take(limit).map(of).collect();
        Ok(CheckpointList { checkpoints, unreadable: self.told(scan.unusable, scan.not_looked_at) })
    }

    /// One checkpoint; why it cannot be used is an error.
    pub(crate) async fn find(&self, run: &str, step: u64) -> Result<Found, PortError> {
        let scan = self.scan(Some(run)).await?;
        let named = format!("checkpoint `{}` step {step}", run.escape_debug());
        if let Some(unusable) = scan.unusable.iter().find(|one| one.run == run && one.step == Some(step)) {
            let text = format!("{named} cannot be used: `{}` {}", shown(&unusable.path), unusable.why);
            return Err(PortError::not_applied(ErrorKind::BadAnswer, text));
        }
        scan.found.into_iter().find(|found| found.about.step == step).ok_or_else(|| {
            let place = self.place.shown();
            let text = format!("there is no {named} in `{place}`: list its checkpoints");
            PortError::not_applied(ErrorKind::NotFound, text)
        })
    }

    /// Why nothing can be listed there now.
    pub(crate) async fn obstacle(&self) -> Option<String> {
        self.place.entries("", ENTRIES_MAX).await.err().map(|error| error.to_string())
    }

    fn told(&self, mut unusable: Vec<Unusable>, not_looked_at: usize) -> Vec<Label> {
        unusable.sort_by(|a, b| a.path.cmp(&b.path));
        let more = unusable.len().saturating_sub(UNREADABLE_MAX);
        let told = unusable.into_iter().take(UNREADABLE_MAX);
        let mut labels: Vec<_> = told.map(|one| Label::new(shown(&one.path), shown(&one.why))).collect();
        if more > 0 {
            labels.push(Label::new(self.place.shown(), format!("holds {more} more that cannot be used")));
        }
        if not_looked_at > 0 {
            let text = format!(
                "holds {not_looked_at} more, with the fewest steps, which were not looked at: move old ones away"
            );
            labels.push(Label::new(self.place.shown(), text));
        }
        labels
    }

    async fn scan(&self, run: Option<&str>) -> Result<Scan, PortError> {
        let mut scan = Scan::default();
        let runs = self.runs(run, &mut scan).await?;
        // In the order of the runs, whichever is listed first.
        let listed = stream::iter(runs).map(|(run, folder)| self.spots_of(run, folder)).buffered(AT_ONCE);
        let mut spots = listed.try_concat().await?;
        // With too many of them, those with few steps are left out.
        spots.sort_by_key(|spot| std::cmp::Reverse(step_of(&spot.name)));
        scan.not_looked_at = spots.len().saturating_sub(LOOKED_AT_MAX);
        spots.truncate(LOOKED_AT_MAX);
        let left = AtomicU64::new(DESCRIPTIONS_BYTES_MAX);
        let looked = stream::iter(spots).map(|spot| self.look(spot, &left)).buffer_unordered(AT_ONCE);
        let looked: Vec<_> = looked.collect().await;
        for one in looked {
            match one? {
                Some(Ok(found)) => scan.found.push(found),
                Some(Err(unusable)) => scan.unusable.push(unusable),
                None => {}
            }
        }
        one_for_each_step(&mut scan);
        Ok(scan)
    }

    /// Runs by name, with their folders.
    async fn runs(&self, wanted: Option<&str>, scan: &mut Scan) -> Result<Vec<(String, String)>, PortError> {
        if let Some(run) = &self.run {
            let is_it = wanted.is_none_or(|wanted| wanted == run);
            return Ok(if is_it { vec![(run.clone(), String::new())] } else { Vec::new() });
        }
        let entries = self.place.entries("", ENTRIES_MAX).await?;
        let mut runs = Vec::new();
        for Entry { name, kind } in entries {
            if name.starts_with('.') || wanted.is_some_and(|wanted| wanted != name) {
                continue;
            }
            let why = match kind {
                _ if is_checkpoint(&name) => {
                    "lies where runs lie: put it into a folder named as its run, or set `run`"
                }
                Kind::Folder => {
                    runs.push((name.clone(), name));
                    continue;
                }
                Kind::Other => "is a link, or neither a file nor a folder: put a copy in its place",
                Kind::File { .. } => continue,
            };
            scan.unusable.push(Unusable {
                run: name.clone(),
                step: step_of(&name),
                path: name,
                why: why.to_owned(),
            });
        }
        if runs.len() > RUNS_MAX {
            let text = format!(
                "`{}` holds {} runs, more than {RUNS_MAX}: move old ones away, or set `run`",
                self.place.shown(),
                runs.len()
            );
            return Err(PortError::not_applied(ErrorKind::TooLarge, text));
        }
        Ok(runs)
    }

    async fn spots_of(&self, run: String, folder: String) -> Result<Vec<Spot>, PortError> {
        let mut spots = Vec::new();
        self.spots(&run, &folder, &mut spots).await?;
        Ok(spots)
    }

    async fn spots(&self, run: &str, folder: &str, spots: &mut Vec<Spot>) -> Result<(), PortError> {
        let entries = match self.place.entries(folder, ENTRIES_MAX).await {
            // A run that went away since it was listed.
            Err(error) if error.kind == ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for Entry { name, kind } in entries {
            let path = below(folder, &name);
            let spot = Spot { run: run.to_owned(), path, name, kind };
            match spot.kind {
                _ if spot.name.starts_with('.') => {}
                Kind::Folder if spot.name == INNER && !folder.ends_with(INNER) => {
                    Box::pin(self.spots(run, &spot.path, spots)).await?;
                }
                Kind::Folder => spots.push(spot),
                Kind::File { .. } | Kind::Other => spots.extend(is_checkpoint(&spot.name).then_some(spot)),
            }
        }
        Ok(())
    }

    /// None for a folder that is no checkpoint.
    async fn look(&self, spot: Spot, left: &AtomicU64) -> Result<Option<Result<Found, Unusable>>, PortError> {
        let described = match self.described(&spot, left).await {
            Ok(None) => return Ok(None),
            Ok(Some(described)) => described,
            // What hinders reading this one hinders no other.
            Err(error)
                if matches!(
                    error.kind,
                    ErrorKind::NotFound | ErrorKind::Local | ErrorKind::TooLarge | ErrorKind::Denied
                ) =>
            {
                Err(format!("cannot be read: {error}"))
            }
            Err(error) => return Err(error),
        };
        let named = step_of(&spot.name);
        let described = described.and_then(|about| match named {
            Some(named) if named != about.step => {
                Err(format!("is named for step {named} and says that it is of step {}", about.step))
            }
            _ => Ok(about),
        });
        let is_file = matches!(spot.kind, Kind::File { .. });
        Ok(Some(match described {
            Ok(about) => Ok(Found { run: spot.run, path: spot.path, is_file, about }),
            Err(why) => Err(Unusable { run: spot.run, path: spot.path, step: named, why }),
        }))
    }

    async fn described(
        &self,
        spot: &Spot,
        left: &AtomicU64,
    ) -> Result<Option<Result<Description, String>>, PortError> {
        let changed = match spot.kind {
            Kind::Other => {
                let why = "is a link, or neither a file nor a folder: put a copy in its place";
                return Ok(Some(Err(why.to_owned())));
            }
            Kind::File { bytes: 0, .. } => return Ok(Some(Err("is empty: it is half-written".to_owned()))),
            Kind::File { changed, .. } => changed,
            Kind::Folder => return self.described_folder(spot, left).await,
        };
        Ok(Some(describe::lightning(&spot.name, changed)))
    }

    async fn described_folder(
        &self,
        spot: &Spot,
        left: &AtomicU64,
    ) -> Result<Option<Result<Description, String>>, PortError> {
        if spot.name.starts_with("tmp-") && spot.name.contains(PREFIX) {
            let why = "is half-written: its trainer renames it when it is whole".to_owned();
            return Ok(Some(Err(why)));
        }
        let entries = self.place.entries(&spot.path, ENTRIES_MAX).await?;
        let file = |name: &str| {
            entries.iter().find(|entry| entry.name == name).map(|entry| match entry.kind {
                Kind::File { bytes, changed } => Ok((bytes, changed)),
                _ => Err(format!("has a `{name}` that is no ordinary file: put a copy in its place")),
            })
        };
        let others = entries.iter().any(|entry| ![PLAIN, TRAINER_STATE].contains(&entry.name.as_str()));
        let (name, about) = match (file(PLAIN), file(TRAINER_STATE)) {
            (Some(about), _) => (PLAIN, about),
            (None, Some(about)) => (TRAINER_STATE, about),
            (None, None) if spot.name.ends_with(LIGHTNING) => {
                let newest = entries.iter().filter_map(|entry| match entry.kind {
                    Kind::File { changed, .. } => changed,
                    _ => None,
                });
                return Ok(Some(describe::lightning(&spot.name, newest.max())));
            }
            (None, None) if is_checkpoint(&spot.name) => {
                let why = format!(
                    "has neither `{PLAIN}` nor `{TRAINER_STATE}`: it is half-written, or of a kind that is not read here"
                );
                return Ok(Some(Err(why)));
            }
            (None, None) => return Ok(None),
        };
        let (bytes, changed): (u64, Option<UnixMillis>) = match about {
            Ok(about) => about,
            Err(why) => return Ok(Some(Err(why))),
        };
        if !others {
            return Ok(Some(Err(format!("holds nothing but its `{name}`: its files are missing"))));
        }
        if left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(bytes)).is_err() {
            let why = format!(
                "was not looked at: the descriptions of others have {} MiB already; move old ones away",
                DESCRIPTIONS_BYTES_MAX >> 20
            );
            return Ok(Some(Err(why)));
        }
        let read = self.place.read(&below(&spot.path, name), DESCRIPTION_BYTES_MAX).await?;
        Ok(Some(if name == PLAIN { describe::plain(&read) } else { describe::trainer_state(&read, changed) }))
    }
}

fn is_checkpoint(name: &str) -> bool {
    name.starts_with(PREFIX) || name.ends_with(LIGHTNING)
}

/// As its name has it.
fn step_of(name: &str) -> Option<u64> {
    if let Some(number) = name.strip_prefix(PREFIX) {
        return number.parse().ok();
    }
    let named = name.ends_with(LIGHTNING).then(|| describe::lightning(name, Some(UnixMillis(0))).ok());
    named.flatten().map(|about| about.step)
}

/// Run and step name one checkpoint. Where they name several nobody knows which is meant: none of them is used.
fn one_for_each_step(scan: &mut Scan) {
    let mut by_step: BTreeMap<(String, u64), Vec<Found>> = BTreeMap::new();
    for found in scan.found.drain(..) {
        by_step.entry((found.run.clone(), found.about.step)).or_default().push(found);
    }
    for ((run, step), mut group) in by_step {
        if group.len() == 1 {
            scan.found.append(&mut group);
            continue;
        }
        group.sort_by(|a, b| a.path.cmp(&b.path));
        for found in &group {
            let other = group.iter().find(|other| other.path != found.path);
            let other = other.map_or_else(String::new, |other| shown(&other.path));
            let why = format!("is step {step} of `{run}`, as is `{other}`: keep one of them");
            let (run, path) = (run.clone(), found.path.clone());
            scan.unusable.push(Unusable { run, path, step: Some(step), why });
        }
    }
}

#[cfg(test)]
mod tests;
