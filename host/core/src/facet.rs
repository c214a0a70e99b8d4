//! What of a service can be put back by itself, and what is in force of it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::live::Proof;
use crate::name::{ConfigurationName, InvalidName, VersionName};

/// [`Facet::Model`] as text. No configuration can have this name.
pub const MODEL: &str = "model";

/// [`Facet::Fallback`] as text, and how its revisions begin. No configuration can have this name.
pub const FALLBACK: &str = "fallback";

/// The revision of [`Facet::Fallback`] in which the model itself answers.
pub const FALLBACK_OFF: &str = "off";

/// One thing about a service that can be put back by itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Facet {
    /// Which version answers.
    Model,
    /// A named configuration: thresholds, pre-processing, a prompt, a flag.
    Configuration(ConfigurationName),
    /// Whether the model itself answers ([`FALLBACK_OFF`]), or a safe mode in its place.
    Fallback,
}

/// One state of a facet. As text: a version's name, `NAME=REVISION` of a configuration, or `fallback=MODE`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Revision {
    /// Of what.
    pub facet: Facet,
    /// As its history names it: a version's name for the model, a safe mode's or [`FALLBACK_OFF`] for the fallback.
    pub name: VersionName,
}

/// A revision that is in force, and how that was proved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InForce {
    /// Which, as its history names it.
    pub revision: VersionName,
    /// Of its content, where known.
    pub digest: Option<Digest>,
    /// How it was proved.
    pub proof: Proof,
}

/// What is in force of a facet; `Why` is text, or what stands for it in a journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FacetState<Why> {
    /// This.
    InForce(InForce),
    /// It could not be read, or is no revision that its history knows; why.
    Unknown(Why),
}

/// One facet beside the model, as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FacetRead<Why> {
    /// Which; never [`Facet::Model`], whose shares are read by themselves.
    pub facet: Facet,
    /// What is in force.
    pub state: FacetState<Why>,
}

impl Facet {
    /// The word that people write, which reads back.
    pub fn word(&self) -> &str {
        match self {
            Self::Model => MODEL,
            Self::Configuration(name) => name.as_str(),
            Self::Fallback => FALLBACK,
        }
    }

    /// How something of it was proved, for people: an answer names a version only of the model.
    pub fn proved_by(&self, proof: Proof) -> String {
        match (self, proof) {
            (Self::Configuration(_) | Self::Fallback, Proof::Answer) => "the service's own answer".to_owned(),
            _ => proof.to_string(),
        }
    }
}

impl Revision {
    /// A version.
    pub fn of_model(version: &VersionName) -> Self {
        Self { facet: Facet::Model, name: version.clone() }
    }

    /// The version, where the facet is the model.
    pub fn version(&self) -> Option<&VersionName> {
        (self.facet == Facet::Model).then_some(&self.name)
    }

    /// As text that reads back: what commands take and records hold.
    pub fn as_text(&self) -> String {
        match &self.facet {
            Facet::Model => self.name.to_string(),
            Facet::Configuration(name) => format!("{name}={}", self.name),
            Facet::Fallback => format!("{FALLBACK}={}", self.name),
        }
    }

    /// A revision of this facet.
    pub fn of(facet: &Facet, name: &VersionName) -> Self {
        Self { facet: facet.clone(), name: name.clone() }
    }

    /// Whether it is the state in which the model itself answers.
    pub fn is_fallback_off(&self) -> bool {
        self.facet == Facet::Fallback && self.name.as_str() == FALLBACK_OFF
    }

    /// Whether it is a state in which a safe mode answers in place of the model.
    pub fn is_safe_mode(&self) -> bool {
        self.facet == Facet::Fallback && !self.is_fallback_off()
    }

    /// Whether a rollback from it to `target` condemns it. That the model itself answers is no fault of anything, and neither is a safe mode that has
    /// done its work and is left.
    pub fn is_condemned_for(&self, target: &Self) -> bool {
        !self.is_fallback_off() && !target.is_fallback_off()
    }
}

impl From<&VersionName> for Revision {
    fn from(version: &VersionName) -> Self {
        Self::of_model(version)
    }
}

impl From<&Self> for Revision {
    fn from(revision: &Self) -> Self {
        revision.clone()
    }
}

/// Text that names no revision.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` names no revision ({why}): write a version, `NAME=REVISION` of a configuration, or `fallback=MODE`"
)]
pub struct InvalidRevision {
    text: String,
    why: InvalidName,
}

impl FromStr for Revision {
    type Err = InvalidRevision;

    fn from_str(text: &str) -> Result<Self, InvalidRevision> {
        let read = || {
            Ok(match text.split_once('=') {
                None => Self { facet: Facet::Model, name: VersionName::new(text)? },
                Some((FALLBACK, mode)) => Self { facet: Facet::Fallback, name: VersionName::new(mode)? },
                Some((name, revision)) => Self {
                    facet: Facet::Configuration(ConfigurationName::new(name)?),
                    name: VersionName::new(revision)?,
                },
            })
        };
        read().map_err(|why| InvalidRevision { text: text.chars().take(200).collect(), why })
    }
}

impl TryFrom<String> for Revision {
    type Error = InvalidRevision;

    fn try_from(text: String) -> Result<Self, InvalidRevision> {
        text.parse()
    }
}

impl From<Revision> for String {
    fn from(revision: Revision) -> Self {
        revision.as_text()
    }
}

/// What was read of `facet`, if anything was.
pub fn read_of<'a, Why>(reads: &'a [FacetRead<Why>], facet: &Facet) -> Option<&'a FacetState<Why>> {
    reads.iter().find(|read| read.facet == *facet).map(|read| &read.state)
}

impl<Why> FacetRead<Why> {
    /// The revision that is in force, where that is known.
    pub fn revision(&self) -> Option<Revision> {
        let known = self.state.known()?;
        Some(Revision { facet: self.facet.clone(), name: known.revision.clone() })
    }
}

impl<Why> FacetState<Why> {
    /// What is in force, where that is known.
    pub fn known(&self) -> Option<&InForce> {
        match self {
            Self::InForce(known) => Some(known),
            Self::Unknown(_) => None,
        }
    }
}

impl InForce {
    /// What is known after another look at it. Of the same revision the strongest proof so far is kept: one that comes and goes would be news at every
    /// look.
    #[must_use]
    pub(crate) fn seen_again(&self, now: &Self) -> Self {
        if now.revision != self.revision {
            return now.clone();
        }
        Self {
            revision: now.revision.clone(),
            digest: now.digest.or(self.digest),
            proof: now.proof.max(self.proof),
        }
    }

    /// Whether this is the revision. Digests are compared where both sides know them.
    pub fn is(&self, revision: &VersionName, digest: Option<Digest>) -> bool {
        self.revision == *revision
            && match (digest, self.digest) {
                (Some(wanted), Some(found)) => wanted == found,
                _ => true,
            }
    }
}

impl fmt::Display for Facet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model => f.write_str("model"),
            Self::Configuration(name) => write!(f, "configuration {name}"),
            Self::Fallback => f.write_str("fallback"),
        }
    }
}

/// By the word that people write: `model`, `fallback`, or a configuration's name.
impl FromStr for Facet {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        Ok(match text {
            MODEL => Self::Model,
            FALLBACK => Self::Fallback,
            name => Self::Configuration(ConfigurationName::new(name)?),
        })
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.facet {
            Facet::Model => write!(f, "{}", self.name),
            Facet::Configuration(_) | Facet::Fallback => write!(f, "{} {}", self.facet, self.name),
        }
    }
}
