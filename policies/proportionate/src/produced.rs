//! What could be made where nothing that exists takes the suspect back: a version of a checkpoint, or a training on the data of before.

use ripcord_sdk::checkpoints::{self, Bounds};
use ripcord_sdk::contract::facts::{Change, Checkpoint, Dataset};
use ripcord_sdk::contract::planner::Refusal;
use ripcord_sdk::contract::types::{
    CheckpointTarget, Facet as ServiceFacet, LiveState, RetrainTarget, Target, VersionTarget,
};
use ripcord_sdk::prelude::*;
use ripcord_sdk::suspects::{self, Facet, Lever, NoticedBy, Suspect};

use crate::Case;
use crate::offered::Offered;

/// Versions whose lineage is asked for, the newest usable ones.
const LINEAGES_MAX: usize = 8;
/// A data revision is named in changes by so much of what a registry calls it.
const NAME_CHARS_MAX: usize = 100;

/// What is made, and what was looked at besides.
pub(crate) enum Made {
    Of { target: Target, because: String, refused: Vec<Refusal> },
    Nothing { why: String, refused: Vec<Refusal> },
}

impl Case<'_> {
    /// The newest checkpoint of the run that the live version is of, from before what is suspected.
    pub(crate) fn of_checkpoint(&self, suspect: Option<&Suspect>) -> Step<Made> {
        let nothing = |why: String| Ok(Made::Nothing { why, refused: Vec::new() });
        let live = self.live_version();
        let lineage = live.cloned().map(|version| self.facts.lineage(version));
        let (listed, lineage) =
            self.facts.all((self.facts.checkpoints(None, self.settings.checkpoints), lineage))?;
        let listed = match listed {
            Ok(listed) => listed,
            Err(why) => return nothing(format!("no checkpoint is known: {why}")),
        };
        let (run, assumed) = match lineage.and_then(Result::ok).and_then(|lineage| lineage.run.as_deref()) {
            Some(run) => (run, ""),
            None => match listed.first() {
                Some(first) if listed.iter().all(|one| one.run == first.run) => {
                    (first.run.as_str(), "; that the live version is of this run, the only one, is assumed")
                }
                Some(_) => {
                    let why = "the checkpoints are of several runs, and the registry does not say of which the live version is";
                    return nothing(why.to_owned());
                }
                None => return nothing("there is no checkpoint".to_owned()),
            },
        };
        let (of_run, others): (Vec<Checkpoint>, Vec<Checkpoint>) =
            listed.iter().cloned().partition(|one| one.run == run);
        let bounds = self.bounds(suspect);
        let choice = checkpoints::choose(&of_run, &bounds);
        let mut refused: Vec<Refusal> =
            choice.refused.iter().map(|(one, why)| Refusal::new(target(one), why)).collect();
        let other_run = |one: &Checkpoint| {
            Refusal::new(target(one), format!("the live version is of the run `{run}`, and it is of another"))
        };
        refused.extend(others.iter().map(other_run));
        match choice.chosen {
            Some(chosen) if self.case.tried.contains(&target(chosen)) => {
                refused.push(Refusal::new(
                    target(chosen),
                    "it was tried already in this incident and did not help",
                ));
                Ok(Made::Nothing { why: "the newest checkpoint that is sound was tried".to_owned(), refused })
            }
            Some(chosen) => {
                let because = format!(
                    "checkpoint `{run}@{}` is the newest from before that: {}{assumed}",
                    chosen.step, choice.because
                );
                Ok(Made::Of { target: target(chosen), because, refused })
            }
            None => Ok(Made::Nothing {
                why: format!("no checkpoint of the run `{run}` is from before that"),
                refused,
            }),
        }
    }

    /// A training on the revision of the data that was there before the suspected one.
    pub(crate) fn of_older_data(&self, suspect: Option<&Suspect>) -> Made {
        let nothing = |why: &str| Made::Nothing { why: why.to_owned(), refused: Vec::new() };
        let Some((Facet::Data(dataset), change)) = suspect.map(|one| (&one.change.facet, &one.change)) else {
            return nothing(
                "no data are suspected: `ripcord data suspects SERVICE MANIFEST --version VERSION` finds rows that a good version contradicts, and a pull leaves them out",
            );
        };
        let Some(revision) = change.from.clone() else {
            return nothing("the revision of the data before the suspected one is not known");
        };
        let target =
            Target::Retrain(RetrainTarget { dataset: dataset.clone(), revision, exclude: Vec::new() });
        if self.case.tried.contains(&target) {
            return nothing("training on the data of before was tried already in this incident");
        }
        let because = "every version that could be put back was made from the suspected data; `ripcord data suspects SERVICE MANIFEST --version VERSION` finds rows to leave out instead of all that is new";
        Made::Of { target, because: because.to_owned(), refused: Vec::new() }
    }

    fn live_version(&self) -> Option<&VersionTarget> {
        match &self.live?.state {
            LiveState::Serving(shares) => shares
                .iter()
                .max_by(|one, other| one.weight.total_cmp(&other.weight))
                .map(|share| &share.version),
            LiveState::Unknown(_) => None,
        }
    }

    /// What was learnt by the time that the version of before came live has served well. When data changed is known but where only versions tell of it.
    fn bounds(&self, suspect: Option<&Suspect>) -> Bounds {
        let begin = self.case.now() - self.settings.window;
        let before =
            suspect.filter(|one| one.change.facet == Facet::Model).and_then(|one| one.change.from.as_ref());
        let came = |change: &&Change| {
            change.facet == ServiceFacet::Model
                && before.is_some_and(|before| change.became.contains(before))
                && matches!(change.noticed.as_str(), "production" | "ripcord")
        };
        let well_until = self.changes.iter().filter(came).map(|change| change.at).max().unwrap_or(begin);
        let told = suspect.map(|one| &one.change).filter(|change| {
            matches!(change.facet, Facet::Data(_)) && change.noticed_by != NoticedBy::DataLineage
        });
        let bad_from =
            told.map(|change| change.at.not_before.or(change.at.stated).unwrap_or(change.at.noticed_at));
        Bounds { well_until, bad_from }
    }

    /// Where data are suspected: says of the newest usable versions what they were made from, so that those of other data take the suspect back, and those
    /// of the same do not pass for good.
    pub(crate) fn made_from(&self, data: &suspects::Change, offered: &mut [Offered]) -> Step<()> {
        let (Facet::Data(dataset), Some(suspected)) = (&data.facet, &data.to) else { return Ok(()) };
        let usable = offered.iter_mut().filter(|one| one.restorable.unusable.is_none());
        let of_model = usable.filter_map(|one| match one.target.clone() {
            Target::Version(version) => Some((one, version)),
            _ => None,
        });
        let mut versions: Vec<(&mut Offered, VersionTarget)> = of_model.take(LINEAGES_MAX).collect();
        let asked: Vec<_> = versions.iter().map(|(_, version)| self.facts.lineage(version.clone())).collect();
        for ((one, _), lineage) in versions.iter_mut().zip(self.facts.all(asked)?) {
            let Ok(lineage) = lineage else { continue };
            let of_it = lineage.datasets.iter().filter(|used| used.name == *dataset && is_learnt(used));
            let revisions: Vec<&str> = of_it.filter_map(|used| used.revision.as_deref()).collect();
            if revisions.iter().any(|revision| is_named(revision, suspected)) {
                one.restorable.unusable =
                    Some(format!("it was made from the suspected data `{dataset}`, too"));
            } else if let Lever::Model { made_from, .. } = &mut one.restorable.lever {
                *made_from =
                    revisions.into_iter().map(|revision| (dataset.clone(), revision.to_owned())).collect();
            }
        }
        Ok(())
    }
}

/// Whether the version learnt from the data; it may have been judged by them alone.
fn is_learnt(used: &Dataset) -> bool {
    used.context.as_deref().is_none_or(|context| context.to_ascii_lowercase().starts_with("train"))
}

fn target(checkpoint: &Checkpoint) -> Target {
    let Checkpoint { run, step, digest, .. } = checkpoint;
    Target::Checkpoint(CheckpointTarget { run: run.clone(), step: *step, digest: digest.clone() })
}

/// Whether a change names this data revision so: what a name cannot hold stands there as `-`, and only its beginning.
fn is_named(revision: &str, name: &str) -> bool {
    let is_held = |c: char| c.is_ascii_alphanumeric() || "_-+:@".contains(c);
    let told = revision.chars().take(NAME_CHARS_MAX).map(|c| if is_held(c) { c } else { '-' });
    let told: String = told.collect();
    revision == name || told.trim_start_matches(|c: char| !c.is_ascii_alphanumeric()) == name
}
