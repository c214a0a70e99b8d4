//! What a service can be restored to.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::facet::{Facet, Revision};
use crate::name::{ConfigurationName, VersionName};
use crate::time::UnixMillis;

/// A version: the registry's name for it and, where known, the digest of its artefact.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct VersionTarget {
    /// As the registry names it.
    pub version: VersionName,
    /// Of the whole artefact, see [`artefact_digest`].
    pub digest: Option<Digest>,
}

/// A step of a training run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CheckpointTarget {
    /// The training run.
    pub run: String,
    /// Optimiser steps since its start.
    #[serde(with = "crate::time::text_u64")]
    pub step: u64,
    /// Of the checkpoint's artefact.
    pub digest: Option<Digest>,
}

/// A revision of one of the service's configurations.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ConfigurationTarget {
    /// Which configuration.
    pub name: ConfigurationName,
    /// As the configuration's history names it.
    pub revision: VersionName,
    /// Of the revision's content.
    pub digest: Option<Digest>,
}

/// A configured safe mode, or its absence.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FallbackTarget {
    /// As it is configured, or [`FALLBACK_OFF`](crate::facet::FALLBACK_OFF).
    pub mode: VersionName,
    /// Of what it stands for, where known: a name alone may come to mean something else.
    pub digest: Option<Digest>,
}

/// A span of time, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Window {
    /// First instant.
    pub start: UnixMillis,
    /// Last instant.
    pub end: UnixMillis,
}

/// What to leave out of a training set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exclusion {
    /// All rows of a source.
    Source(String),
    /// All rows from a span of time.
    Window(Window),
    /// Rows by id.
    Rows(Vec<String>),
    /// All rows with this value in a column.
    Value(ColumnValue),
}

/// A value in a column of a training set, both as its files write them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnValue {
    /// The column's name.
    pub column: String,
    /// Its value; empty is a value that is there and says nothing.
    pub value: String,
}

/// The last instant that a window may reach to: times are written with years of four digits.
pub const CALENDAR_END: UnixMillis = UnixMillis(253_402_207_200_000);

/// Of names of sources, columns, values and rows.
const NAME_CHARS_MAX: usize = 200;

impl Exclusion {
    /// Why it can leave nothing out of any data, with what can be done; none where it can.
    pub fn problem(&self) -> Option<String> {
        let is_name = |text: &str| !text.trim().is_empty() && is_short(text);
        let why = match self {
            Self::Source(source) if !is_name(source) => {
                "an exclusion by source names none, or has more than 200 characters: name the source"
            }
            Self::Window(window) if window.end < window.start => {
                "a window ends before it starts: swap its ends"
            }
            Self::Window(window) if window.end > CALENDAR_END => {
                "a window reaches beyond the calendar, which ends with the year 9999: end it earlier"
            }
            Self::Rows(rows) if rows.is_empty() => "an exclusion of rows names no id: name one",
            Self::Rows(rows) if !rows.iter().all(|row| is_name(row)) => {
                "an exclusion of rows has an id that is empty, or has more than 200 characters: name the rows"
            }
            Self::Value(of) if !is_name(&of.column) => {
                "an exclusion by value names no column, or one of more than 200 characters: name the column"
            }
            Self::Value(of) if !is_short(&of.value) => {
                "an exclusion by value names one of more than 200 characters: leave out rows by something shorter"
            }
            _ => return None,
        };
        Some(why.to_owned())
    }
}

fn is_short(text: &str) -> bool {
    text.chars().count() <= NAME_CHARS_MAX
}

/// A training run on data without some of its rows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RetrainTarget {
    /// The data set's name.
    pub dataset: String,
    /// Its revision.
    pub revision: String,
    /// What is left out.
    pub exclude: Vec<Exclusion>,
}

/// One restorable state of a service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// A version from the registry.
    Version(VersionTarget),
    /// A checkpoint of a training run.
    Checkpoint(CheckpointTarget),
    /// A revision of the configuration; the model stays.
    Configuration(ConfigurationTarget),
    /// New training on mended data.
    Retrain(RetrainTarget),
    /// A configured safe mode: rules, a constant; or [`FALLBACK_OFF`](crate::facet::FALLBACK_OFF), where the model itself answers.
    Fallback(FallbackTarget),
    /// Something that a newer release knows.
    Other(String),
}

/// How a service is brought back.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// Deploy an earlier version.
    Version,
    /// Deploy an earlier checkpoint.
    Checkpoint,
    /// Restore an earlier configuration.
    Configuration,
    /// Mend the data and train again.
    Retrain,
    /// Switch to the safe mode.
    Fallback,
    /// Something that a newer release knows.
    Other(String),
}

/// One file of an artefact.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArtefactFile {
    /// Relative, `/` between the parts, no `.` or `..`.
    pub path: String,
    /// Of the file's content.
    pub sha256: Digest,
    /// The file's size.
    pub bytes: u64,
}

/// The digest of a whole artefact: over a domain tag and, sorted by path, each file's path, size and sha-256.
pub fn artefact_digest(files: &[ArtefactFile]) -> Digest {
    let mut sorted: Vec<_> = files.iter().collect();
    sorted.sort();
    let sizes: Vec<_> = sorted.iter().map(|file| file.bytes.to_be_bytes()).collect();
    let parts: Vec<&[u8]> = sorted
        .iter()
        .zip(&sizes)
        .flat_map(|(file, size)| [file.path.as_bytes(), size.as_slice(), file.sha256.as_bytes().as_slice()])
        .collect();
    Digest::tagged("ripcord artefact 1", &parts)
}

impl Target {
    /// The version, where the target is one.
    pub fn version(&self) -> Option<&VersionTarget> {
        match self {
            Self::Version(version) => Some(version),
            _ => None,
        }
    }

    /// The facet that restoring it moves; none where something is to be produced first.
    pub fn facet(&self) -> Option<Facet> {
        self.revision().map(|revision| revision.facet)
    }

    /// The revision that restoring it puts in force; none where something is to be produced first.
    pub fn revision(&self) -> Option<Revision> {
        match self {
            Self::Version(version) => Some(Revision::of_model(&version.version)),
            Self::Configuration(target) => Some(Revision {
                facet: Facet::Configuration(target.name.clone()),
                name: target.revision.clone(),
            }),
            Self::Fallback(target) => Some(Revision { facet: Facet::Fallback, name: target.mode.clone() }),
            Self::Checkpoint(_) | Self::Retrain(_) | Self::Other(_) => None,
        }
    }

    /// Whether a producer must make a version of it first: there is no revision that could be restored.
    pub const fn is_produced(&self) -> bool {
        matches!(self, Self::Checkpoint(_) | Self::Retrain(_))
    }

    /// Whether this is what was asked for, with what was open then pinned.
    pub fn is_pinned_from(&self, asked: &Self) -> bool {
        match (self, asked) {
            (Self::Checkpoint(pinned), Self::Checkpoint(asked)) => {
                (&pinned.run, pinned.step) == (&asked.run, asked.step)
                    && (asked.digest.is_none() || asked.digest == pinned.digest)
            }
            (Self::Retrain(pinned), Self::Retrain(asked)) => {
                (&pinned.dataset, &pinned.exclude) == (&asked.dataset, &asked.exclude)
                    && (asked.revision.is_empty() || asked.revision == pinned.revision)
            }
            (pinned, asked) => pinned == asked,
        }
    }

    /// Of the revision's content, where known.
    pub fn digest(&self) -> Option<Digest> {
        match self {
            Self::Version(version) => version.digest,
            Self::Configuration(target) => target.digest,
            Self::Checkpoint(target) => target.digest,
            Self::Fallback(target) => target.digest,
            Self::Retrain(_) | Self::Other(_) => None,
        }
    }

    /// The strategy that restores this target.
    pub fn strategy(&self) -> Strategy {
        match self {
            Self::Version(_) => Strategy::Version,
            Self::Checkpoint(_) => Strategy::Checkpoint,
            Self::Configuration(_) => Strategy::Configuration,
            Self::Retrain(_) => Strategy::Retrain,
            Self::Fallback(_) => Strategy::Fallback,
            Self::Other(name) => Strategy::Other(name.clone()),
        }
    }
}

impl fmt::Display for VersionTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.digest {
            Some(digest) => write!(f, "{} (sha256 {})", self.version, digest.short()),
            None => write!(f, "{}", self.version),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => write!(f, "version {version}"),
            Self::Checkpoint(checkpoint) => {
                write!(f, "checkpoint {} step {}", checkpoint.run, checkpoint.step)
            }
            Self::Configuration(target) => match &target.digest {
                Some(digest) => {
                    write!(f, "configuration {} {} (sha256 {})", target.name, target.revision, digest.short())
                }
                None => write!(f, "configuration {} {}", target.name, target.revision),
            },
            Self::Retrain(retrain) => {
                write!(f, "retrain on {}", retrain.dataset)?;
                if !retrain.revision.is_empty() {
                    write!(f, " {}", retrain.revision)?;
                }
                match retrain.exclude.len() {
                    0 => Ok(()),
                    1 => f.write_str(" with 1 exclusion"),
                    many => write!(f, " with {many} exclusions"),
                }
            }
            Self::Fallback(target) => match &target.digest {
                Some(digest) => write!(f, "fallback {} (sha256 {})", target.mode, digest.short()),
                None => write!(f, "fallback {}", target.mode),
            },
            Self::Other(name) => f.write_str(name),
        }
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Version => "version",
            Self::Checkpoint => "checkpoint",
            Self::Configuration => "configuration",
            Self::Retrain => "retrain",
            Self::Fallback => "fallback",
            Self::Other(name) => name,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_open_when_it_was_asked_for_may_be_pinned_and_nothing_else_may_differ() {
        let checkpoint = |step, digest: Option<&str>| {
            let digest = digest.map(Digest::of);
            Target::Checkpoint(CheckpointTarget { run: "r".into(), step, digest })
        };
        assert!(checkpoint(1, Some("a")).is_pinned_from(&checkpoint(1, None)));
        assert!(!checkpoint(1, Some("a")).is_pinned_from(&checkpoint(1, Some("b"))));
        assert!(!checkpoint(1, Some("a")).is_pinned_from(&checkpoint(2, None)));
        let retrain = |revision: &str, source: &str| {
            let exclude = vec![Exclusion::Source(source.into())];
            Target::Retrain(RetrainTarget { dataset: "d".into(), revision: revision.into(), exclude })
        };
        assert!(retrain("r7", "bots").is_pinned_from(&retrain("", "bots")));
        assert!(!retrain("r7", "bots").is_pinned_from(&retrain("", "farms")));
        assert!(!retrain("r7", "bots").is_pinned_from(&retrain("r8", "bots")));
    }

    #[test]
    fn an_exclusion_that_can_leave_nothing_out_says_so() {
        let window = |start, end| {
            Exclusion::Window(Window { start: UnixMillis(start), end: UnixMillis(end) }).problem()
        };
        let value = |column: &str, value: &str| {
            Exclusion::Value(ColumnValue { column: column.into(), value: value.into() }).problem()
        };
        let long = "x".repeat(201);
        for (problem, word) in [
            (Exclusion::Source(" ".into()).problem(), "names none"),
            (Exclusion::Source(long.clone()).problem(), "200 characters"),
            (window(2, 1), "ends before it starts"),
            (window(1, u64::MAX), "beyond the calendar"),
            (window(1, CALENDAR_END.0 + 1), "beyond the calendar"),
            (Exclusion::Rows(Vec::new()).problem(), "names no id"),
            (Exclusion::Rows(vec!["a".into(), String::new()]).problem(), "an id that is empty"),
            (value("", "x"), "names no column"),
            (value("country", &long), "200 characters"),
        ] {
            assert!(problem.as_deref().unwrap_or_default().contains(word), "{word}: {problem:?}");
        }
        let fine = [Exclusion::Source("a".into()).problem(), window(1, CALENDAR_END.0), value("country", "")];
        assert_eq!(fine, [None, None, None]);
    }

    #[test]
    fn an_artefact_is_its_files_in_any_order() {
        let file = |path: &str| ArtefactFile { path: path.into(), sha256: Digest::of(path), bytes: 3 };
        let (one, two) = (file("a"), file("b/c"));
        assert_eq!(
            artefact_digest(&[one.clone(), two.clone()]),
            artefact_digest(&[two.clone(), one.clone()])
        );
        assert_ne!(artefact_digest(std::slice::from_ref(&one)), artefact_digest(&[one, two]));
    }
}
