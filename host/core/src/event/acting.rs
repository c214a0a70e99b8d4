//! From the artefact at hand to what is read back.

use serde::{Deserialize, Serialize};

use crate::blob::BlobRef;
use crate::digest::Digest;
use crate::facet::{Facet, FacetState, Revision, read_of};
use crate::live::Proof;
use crate::name::{IncidentId, PersonName};
use crate::request::Sent;
use crate::target::Target;
use crate::wave::Moves;

use super::{FaultNature, FingerprintWord, Observed, ObservedFacet};

/// A rung's artefact is at hand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Staged {
    /// Of which plan.
    pub plan: Digest,
    /// Counted from zero.
    pub rung: u32,
    /// Of the whole artefact; none for targets without one.
    pub digest: Option<Digest>,
}

/// A rung's artefact is not at hand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageFailed {
    /// Of which plan.
    pub plan: Digest,
    /// Counted from zero.
    pub rung: u32,
    /// Why.
    pub reason: BlobRef,
    /// Whether trying again makes sense.
    pub nature: FaultNature,
    /// Whether another target would meet the same.
    #[serde(default)]
    pub lies_in: FaultPlace,
}

/// What a failure has to do with the target that it met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultPlace {
    /// Another target may do.
    #[default]
    Target,
    /// Nothing: whatever is put there meets the same.
    Place,
}

/// Live, immediately before the shift.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GuardRead {
    /// Of which plan.
    pub plan: Digest,
    /// Counted from zero.
    pub rung: u32,
    /// Counted from zero; zero where the rung moves at once.
    #[serde(default, skip_serializing_if = "is_first")]
    pub wave: u32,
    /// The attempt that is to follow, counted from one.
    pub attempt: u32,
    /// As observed.
    pub live: Observed,
    /// What is in force of the other facets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub facets: Vec<ObservedFacet>,
    /// Automatic shifts of all services of this host within the last hour.
    pub host_shifts: u32,
    /// Automatic shifts of other services of this host that have a place and are not begun.
    #[serde(default)]
    pub host_reserved: u32,
}

/// The intent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShiftBegan {
    /// Of which plan.
    pub plan: Digest,
    /// Counted from zero.
    pub rung: u32,
    /// Counted from zero; zero where the rung moves at once.
    #[serde(default, skip_serializing_if = "is_first")]
    pub wave: u32,
    /// Counted from one.
    pub attempt: u32,
    /// What is sent, beside what was approved.
    pub request: Sent,
}

/// What a shift call came back with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ShiftOutcome {
    /// The system says that it is done.
    Done,
    /// The system works on it.
    Underway,
    /// Nothing changed; why.
    NotApplied {
        /// For people.
        reason: BlobRef,
        /// Whether trying again makes sense.
        nature: FaultNature,
        /// Whether another target would meet the same.
        #[serde(default)]
        lies_in: FaultPlace,
    },
    /// It may have happened; why that is not known.
    Unknown(BlobRef),
}

/// The shift call came back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShiftReturned {
    /// Of which plan.
    pub plan: Digest,
    /// Counted from zero.
    pub rung: u32,
    /// Counted from zero; zero where the rung moves at once.
    #[serde(default, skip_serializing_if = "is_first")]
    pub wave: u32,
    /// Counted from one.
    pub attempt: u32,
    /// With what.
    pub outcome: ShiftOutcome,
}

/// What a probe has shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProbeWord {
    /// It happened.
    Applied,
    /// It did not, and is not under way.
    NotApplied,
    /// It is under way.
    Underway,
    /// The system cannot tell.
    CannotTell(BlobRef),
    /// The system did not answer: ask again.
    NoAnswer(BlobRef),
}

/// The world was asked what became of the shift.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShiftProbed {
    /// Of which plan.
    pub plan: Digest,
    /// Counted from zero.
    pub rung: u32,
    /// Counted from zero; zero where the rung moves at once.
    #[serde(default, skip_serializing_if = "is_first")]
    pub wave: u32,
    /// Counted from one.
    pub attempt: u32,
    /// What it showed.
    pub word: ProbeWord,
}

/// A person said what became of the shift.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShiftAnswered {
    /// Of which incident.
    pub incident: IncidentId,
    /// Which of the incident's questions, counted from one: an answer to one is none to the next.
    pub question: u32,
    /// Who.
    pub person: PersonName,
    /// Whether it happened.
    pub applied: Happened,
    /// What they wrote.
    pub reason: BlobRef,
}

/// Whether an effect happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Happened {
    /// It did.
    Applied,
    /// It did not.
    NotApplied,
}

/// Live after the shift.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReadBack {
    /// Of which plan.
    pub plan: Digest,
    /// Counted from zero.
    pub rung: u32,
    /// Counted from zero; zero where the rung moves at once.
    #[serde(default, skip_serializing_if = "is_first")]
    pub wave: u32,
    /// As observed. Where the fingerprint is the target's, that counts as a proof.
    pub live: Observed,
    /// What is in force of the other facets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub facets: Vec<ObservedFacet>,
    /// What the answers to the golden data say, where the target seems to be live.
    #[serde(default)]
    pub fingerprint: FingerprintWord,
}

/// What a wave has moved is no longer there: somebody else has put something else in its place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WaveLost {
    /// Of which plan.
    pub plan: Digest,
    /// Counted from zero.
    pub rung: u32,
    /// Counted from zero.
    pub wave: u32,
    /// As observed.
    pub live: Observed,
}

/// A number that is not written.
pub(crate) const fn is_first(number: &u32) -> bool {
    *number == 0
}

/// Whether `target` is in force, as far as this tells.
pub(crate) fn shows(live: &Observed, facets: &[ObservedFacet], target: &Target) -> bool {
    match target.revision() {
        Some(Revision { facet: Facet::Model, .. }) => live.state().serves(target),
        Some(Revision { facet, name }) => read_of(facets, &facet)
            .and_then(FacetState::known)
            .is_some_and(|known| known.is(&name, target.digest())),
        None => false,
    }
}

impl ReadBack {
    /// Whether this shows `target`, however it was proved. Answers to the golden data that are not the target's show something else.
    pub fn shows(&self, target: &Target) -> bool {
        shows(&self.live, &self.facets, target) && self.fingerprint != FingerprintWord::Differs
    }

    /// Whether this shows what a wave has moved to `target`.
    pub fn shows_wave(&self, target: &Target, moves: &Moves) -> bool {
        match moves {
            Moves::Rest => self.shows(target),
            part => self.live.state().shows(target, part),
        }
    }

    /// How what it shows of the target's facet was proved; none where it shows nothing.
    pub fn proof(&self, target: &Target) -> Option<Proof> {
        match target.facet()? {
            Facet::Model => self.live.state().weakest_proof(),
            facet => read_of(&self.facets, &facet)?.known().map(|known| known.proof),
        }
    }
}
