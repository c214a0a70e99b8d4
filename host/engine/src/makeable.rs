//! What could be made of a service's checkpoints and data, and why not of the rest.
//!
//! Which checkpoint is sound is a planner's knowledge, so the service's own is asked, and nothing of that is recorded. What a producer would refuse of what it is
//! shown, it says itself.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use ripcord_core::facet::Revision;
use ripcord_core::fact::{Checkpoint, Lineage};
use ripcord_core::name::VersionName;
use ripcord_core::role::PlannerVerdict;
use ripcord_core::service::Service;
use ripcord_core::signal::Label;
use ripcord_core::standing::Standing;
use ripcord_core::target::{CheckpointTarget, RetrainTarget, Strategy, Target};
use ripcord_core::time::UnixMillis;
use ripcord_ports::{ErrorKind, Producer, Store};
use serde::{Deserialize, Serialize};

use crate::asking::planned_if;
use crate::descent::trains_on_condemned;
use crate::fleet::Fleet;
use crate::restorable::told;
use crate::setup::ServiceSetup;
use crate::targets::RestoredBy;

/// Checkpoints that are listed, the newest.
const CHECKPOINTS_MAX: u32 = 100;
/// Versions, the newest, whose data are listed.
const VERSIONS_MAX: u32 = 16;

/// What could be made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Makeable {
    /// The adapter that would make it; none where none is configured.
    pub producer: Option<String>,
    /// What makes every run impossible.
    pub obstacle: Option<String>,
    /// Best first, then the rest, newest first.
    pub checkpoints: Vec<CheckpointLine>,
    /// What looks like a checkpoint and cannot be used, with the reason.
    pub unusable: Vec<Label>,
    /// `name@version` of the planner whose reasons these are; none where it does not know checkpoints.
    pub judged_by: Option<String>,
    /// Data that versions were trained on, those of the newest versions first.
    pub data: Vec<DataLine>,
    /// Why this is not all, where it is not.
    pub not_listed: Vec<String>,
}

/// A checkpoint of a training run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckpointLine {
    /// The training run.
    pub run: String,
    /// Optimiser steps since its start.
    pub step: u64,
    /// When it was saved.
    pub saved_at: UnixMillis,
    /// As logged for this step.
    pub metrics: Vec<MetricLine>,
    /// Who may have a version made of it.
    pub by: RestoredBy,
    /// Why rules do not choose it, or nobody may; none where they may.
    pub why_not: Option<String>,
}

/// A metric of a checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricLine {
    /// As its source names it.
    pub name: String,
    /// None where it is no finite number.
    pub value: Option<f64>,
}

/// Data that versions were trained on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataLine {
    /// As the registry names it.
    pub dataset: String,
    /// Which of it.
    pub revision: String,
    /// What was trained on it, of the newest versions.
    pub versions: Vec<VersionName>,
    /// Who may have it trained on again, without some of its rows.
    pub by: RestoredBy,
    /// Why not, or what speaks against it.
    pub why_not: Option<String>,
}

/// What could be made; none where nothing is configured that makes versions, or keeps checkpoints.
pub async fn makeable_of(
    setup: &ServiceSetup,
    service: &Service,
    store: &dyn Store,
    fleet: &Fleet,
    now: UnixMillis,
) -> Option<Makeable> {
    let ports = &setup.ports;
    if ports.producer.is_none() && ports.checkpoints.is_none() {
        return None;
    }
    let producer = ports.producer.as_deref();
    let obstacle = async {
        match producer {
            Some(producer) => producer.obstacle().await,
            None => None,
        }
    };
    let (obstacle, listed, data) =
        tokio::join!(obstacle, checkpoints(setup, service, store, fleet, now), data(setup, service, now));
    let (checkpoints, unusable, judged_by, mut not_listed) = listed;
    let (data, why) = data;
    not_listed.extend(why);
    let producer = producer.map(|producer| producer.name().to_owned());
    Some(Makeable { producer, obstacle, checkpoints, unusable, judged_by, data, not_listed })
}

type Listed = (Vec<CheckpointLine>, Vec<Label>, Option<String>, Vec<String>);

async fn checkpoints(
    setup: &ServiceSetup,
    service: &Service,
    store: &dyn Store,
    fleet: &Fleet,
    now: UnixMillis,
) -> Listed {
    let Some(port) = &setup.ports.checkpoints else { return Listed::default() };
    let listed = match port.checkpoints(None, CHECKPOINTS_MAX).await {
        Ok(listed) => listed,
        Err(error) => {
            let why = format!("the checkpoints cannot be listed: {}", told(&error));
            return (Vec::new(), Vec::new(), None, vec![why]);
        }
    };
    let mut not_listed = Vec::new();
    if listed.checkpoints.len() >= CHECKPOINTS_MAX as usize {
        not_listed.push(format!("only the newest {CHECKPOINTS_MAX} checkpoints were looked at"));
    }
    let judged = match planned_if(setup, service, store, fleet, (Strategy::Checkpoint, now)).await {
        Ok((by, verdict)) => Judged::of(by, verdict),
        Err(why) => {
            not_listed.push(format!("no planner has judged the checkpoints: {why}"));
            None
        }
    };
    let producer = setup.ports.producer.as_deref();
    let line = |checkpoint: &Checkpoint| line(checkpoint, producer, judged.as_ref());
    let mut lines: Vec<_> = listed.checkpoints.iter().map(line).collect();
    // Stable: they are newest first.
    lines.sort_by_key(|line| line.by);
    (lines, listed.unreadable, judged.map(|judged| judged.by), not_listed)
}

/// What a planner said of checkpoints.
struct Judged {
    by: String,
    chosen: Vec<Target>,
    refused: Vec<(Target, String)>,
}

impl Judged {
    fn of(by: String, verdict: PlannerVerdict) -> Option<Self> {
        let (chosen, refused) = match verdict {
            PlannerVerdict::Choose(choice) if choice.strategy == Strategy::Checkpoint => {
                (choice.ladder, choice.refused)
            }
            PlannerVerdict::NothingSuitable(refused)
                if refused.iter().any(|one| is_checkpoint(&one.target)) =>
            {
                (Vec::new(), refused)
            }
            // It does not know checkpoints, or says that none helps.
            _ => return None,
        };
        let refused = refused.into_iter().map(|one| (one.target, one.reason)).collect();
        Some(Self { by, chosen, refused })
    }

    fn why_not(&self, target: &Target) -> Option<&str> {
        let same = |one: &Target| same_checkpoint(one, target);
        if self.chosen.iter().any(same) {
            return None;
        }
        let refused = self.refused.iter().find(|(one, _)| same(one)).map(|(_, why)| why.as_str());
        Some(refused.unwrap_or("the planner did not look at it"))
    }
}

const fn is_checkpoint(target: &Target) -> bool {
    matches!(target, Target::Checkpoint(_))
}

fn same_checkpoint(one: &Target, other: &Target) -> bool {
    match (one, other) {
        (Target::Checkpoint(one), Target::Checkpoint(other)) => {
            (&one.run, one.step) == (&other.run, other.step)
        }
        _ => false,
    }
}

fn line(checkpoint: &Checkpoint, producer: Option<&dyn Producer>, judged: Option<&Judged>) -> CheckpointLine {
    let Checkpoint { run, step, at, digest, measures } = checkpoint;
    let target = Target::Checkpoint(CheckpointTarget { run: run.clone(), step: *step, digest: *digest });
    let nobody = match producer {
        Some(producer) if producer.makes(&target) => producer.objection(checkpoint),
        _ => Some(NOTHING_MAKES.to_owned()),
    };
    let (by, why_not) = match (nobody, judged) {
        (Some(why), _) => (RestoredBy::Nobody, Some(why)),
        (None, Some(judged)) => match judged.why_not(&target) {
            Some(why) => (RestoredBy::People, Some(why.to_owned())),
            None => (RestoredBy::Rules, None),
        },
        (None, None) => (RestoredBy::People, Some("no rule chooses checkpoints here".to_owned())),
    };
    let metric = |name: &String, value: f64| MetricLine {
        name: name.clone(),
        value: value.is_finite().then_some(value),
    };
    let metrics = measures.iter().map(|measure| metric(&measure.name, measure.value)).collect();
    CheckpointLine { run: run.clone(), step: *step, saved_at: *at, metrics, by, why_not }
}

const NOTHING_MAKES: &str = "nothing is configured that makes a version of it";

/// The data of the newest versions, and why some are not known.
async fn data(setup: &ServiceSetup, service: &Service, now: UnixMillis) -> (Vec<DataLine>, Vec<String>) {
    let registry = &setup.ports.registry;
    let versions = match registry.versions(VERSIONS_MAX).await {
        Ok(versions) => versions,
        Err(error) => {
            return (Vec::new(), vec![format!("the data of versions are not known: {}", told(&error))]);
        }
    };
    let names: Vec<VersionName> = versions.into_iter().map(|version| version.version.version).collect();
    let lineages = join_all(names.iter().map(|name| registry.lineage(name))).await;
    let (mut known, mut not_known) = (Vec::new(), BTreeSet::new());
    for (name, lineage) in names.into_iter().zip(lineages) {
        match lineage {
            Ok(lineage) => known.push((name, lineage)),
            // A registry that keeps none has nothing to list.
            Err(error) if matches!(error.kind, ErrorKind::Unsupported | ErrorKind::NotFound) => {}
            Err(error) => {
                not_known.insert(format!("the data of `{name}` are not known: {}", told(&error)));
            }
        }
    }
    let producer = setup.ports.producer.as_deref();
    let lines = trained_on(&known).into_iter();
    let lines = lines.map(|(data, versions)| data_line(data, versions, producer, service, now));
    (lines.collect(), not_known.into_iter().collect())
}

/// Which data the versions were trained on, where they say which revision, in the order of the versions.
fn trained_on(known: &[(VersionName, Lineage)]) -> Vec<((String, String), Vec<VersionName>)> {
    let (mut order, mut of_data) = (Vec::new(), BTreeMap::<(String, String), Vec<VersionName>>::new());
    for (name, lineage) in known {
        for (dataset, revision) in lineage.trained_on() {
            let Some(revision) = revision else { continue };
            let data = (dataset.to_owned(), revision.to_owned());
            let versions = of_data.entry(data.clone()).or_default();
            if versions.is_empty() {
                order.push(data);
            }
            if versions.last() != Some(name) {
                versions.push(name.clone());
            }
        }
    }
    order.into_iter().filter_map(|data| of_data.remove_entry(&data)).collect()
}

fn data_line(
    (dataset, revision): (String, String),
    versions: Vec<VersionName>,
    producer: Option<&dyn Producer>,
    service: &Service,
    now: UnixMillis,
) -> DataLine {
    let target = Target::Retrain(RetrainTarget {
        dataset: dataset.clone(),
        revision: revision.clone(),
        exclude: Vec::new(),
    });
    let is_bad = |version: &&VersionName| {
        let standing = service.standing_of(Revision::of_model(version), now);
        matches!(standing, Standing::Condemned | Standing::Held)
    };
    let bad: Vec<String> = versions.iter().filter(is_bad).map(|version| format!("`{version}`")).collect();
    let (by, why_not) = if !producer.is_some_and(|producer| producer.makes(&target)) {
        (RestoredBy::Nobody, Some("nothing is configured that trains on it".to_owned()))
    } else if let Some(why) = trains_on_condemned(service, &target) {
        (RestoredBy::People, Some(why))
    } else if bad.is_empty() {
        (RestoredBy::People, None)
    } else {
        let why = format!("{} was made from it and condemned: leave its bad rows out", bad.join(", "));
        (RestoredBy::People, Some(why))
    };
    DataLine { dataset, revision, versions, by, why_not }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ripcord_core::fact::Dataset;

    #[test]
    fn data_are_listed_whatever_a_registry_calls_training_and_not_where_they_only_measured() {
        let name = |text: &str| VersionName::new(text).expect("a version");
        let lineage = |context: Option<&str>, revision: &str| {
            let (name, revision) = ("clicks".to_owned(), Some(revision.to_owned()));
            Lineage::default().with_datasets(vec![Dataset {
                name,
                revision,
                context: context.map(str::to_owned),
            }])
        };
        let known = [
            (name("5"), lineage(Some("train"), "2")),
            (name("4"), lineage(Some("Eval"), "3")),
            (name("3"), lineage(Some("training"), "1")),
            (name("2"), lineage(None, "2")),
        ];
        let listed = trained_on(&known);
        let listed: Vec<_> =
            listed.iter().map(|((_, revision), versions)| (revision.as_str(), versions.as_slice())).collect();
        assert_eq!(listed, [("2", &[name("5"), name("2")][..]), ("1", &[name("3")][..])]);
    }
}
