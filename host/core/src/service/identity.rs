//! By what a version is known again: the digest of its artefact, and what it answers to the golden data.

use serde::{Deserialize, Serialize};

use super::{Illegal, Service, Waiting, clear};
use crate::effect::Topic;
use crate::event::{
    FaultNature, FingerprintTaken, FingerprintWord, Fingerprinted, KnownFingerprint, PinWord, Pinned,
};
use crate::facet::Revision;
use crate::name::VersionName;
use crate::signal::Severity;
use crate::time::Millis;

/// Failures, about half a minute of them, before people are told.
const TELL_AFTER: u32 = 5;
/// Between two tries after people were told.
const RARELY: Millis = Millis::hours(1);

/// Something about a version that is still to be found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// When it is due.
    pub waiting: Waiting,
    /// Whether people were told that it could not be found out yet.
    pub told: bool,
    /// Why it failed last, if it did: what is deterministic will fail again until something is mended.
    #[serde(default)]
    pub failed: Option<FaultNature>,
}

impl Service {
    /// A version that can be gone back to is pinned: whatever the registry gives under its name later must be the same. Nothing is owed where a
    /// digest is known. And where a data set is configured for it, what the version answers is kept, if it is live.
    pub(super) fn want_identity(&mut self, revision: &Revision) {
        // The history of another facet gives the digest of its content itself.
        let Some(version) = revision.version() else { return };
        let wanted = Wanted { waiting: Waiting::from(self.at), told: false, failed: None };
        if self.known_of(version).is_none_or(|known| known.digest.is_none()) {
            self.pins.entry(version.clone()).or_insert(wanted);
        }
        if self.terms.as_ref().is_some_and(|terms| terms.fingerprint.is_some()) {
            self.fingerprints.entry(version.clone()).or_insert(wanted);
        }
    }

    /// Whether the artefact of this version could not be fetched when it was tried last, and will not be until something is mended.
    pub fn is_unfetchable(&self, version: &VersionName) -> bool {
        self.pins.get(version).is_some_and(|wanted| wanted.failed == Some(FaultNature::Deterministic))
    }

    /// What the version is to answer to the golden data, where that is known for what is in force beside it now.
    pub fn fingerprint_of(&self, version: &VersionName) -> Option<KnownFingerprint> {
        let known = self.known_of(version)?;
        known.fingerprint.filter(|_| known.fingerprint_beside == self.production.beside())
    }

    /// Nobody is to go back to it.
    pub(super) fn forget_identity(&mut self, revision: &Revision) {
        if let Some(version) = revision.version() {
            self.pins.remove(version);
            self.fingerprints.remove(version);
        }
    }

    pub(super) fn pinned(&mut self, pinned: &Pinned) -> Result<(), Illegal> {
        let version = &pinned.version;
        let wanted = self.pins.get(version).copied().ok_or(Illegal::Stale)?;
        match &pinned.word {
            PinWord::Digest(digest) => {
                self.pins.remove(version);
                self.pin(version, *digest);
            }
            PinWord::Failed { nature, .. } => {
                let again = self.wanted_later(wanted, *nature);
                self.pins.insert(version.clone(), again);
                if again.told && !wanted.told {
                    let text = format!(
                        "the artefact of `{version}` of `{}` could not be fetched, and the log says why: no digest is pinned{}; mend the registry, it is tried again every hour",
                        self.name,
                        if *nature == FaultNature::Deterministic {
                            ", and no rollback goes there"
                        } else {
                            ""
                        }
                    );
                    self.tell_about(None, Topic::NotPinned, Severity::Warning, text);
                }
            }
        }
        Ok(())
    }

    pub(super) fn fingerprinted(&mut self, fingerprinted: &Fingerprinted) -> Result<(), Illegal> {
        let version = &fingerprinted.version;
        let wanted = self.fingerprints.remove(version).ok_or(Illegal::Stale)?;
        match &fingerprinted.word {
            // A safe mode has answered in its place, or may have.
            FingerprintTaken::Taken(_) if self.production.falls_back() => {
                self.fingerprints.insert(version.clone(), wanted);
            }
            FingerprintTaken::Taken(fingerprint) => {
                let beside = self.production.beside();
                let known = self.known(version);
                (known.fingerprint, known.fingerprint_beside) = (Some(*fingerprint), beside);
            }
            FingerprintTaken::NotLive => {}
            FingerprintTaken::Failed { nature, .. } => {
                let again = self.wanted_later(wanted, *nature);
                self.fingerprints.insert(version.clone(), again);
                if again.told && !wanted.told {
                    let text = format!(
                        "no fingerprint of `{version}` of `{}` could be taken, so a rollback to it cannot be proved by one; `ripcord check` tries the golden data, it is tried again every hour",
                        self.name
                    );
                    self.tell_about(None, Topic::NotFingerprinted, Severity::Warning, text);
                }
            }
        }
        Ok(())
    }

    /// What the answers say of the target that was read back. People hear of others at once: the server may still be loading, or its artefact is not what
    /// its name says.
    pub(super) fn compared(&mut self, rung: u32, word: &FingerprintWord) {
        let Some(incident) = &mut self.incident else { return };
        let before = incident.ladder.fingerprint.take().filter(|(before, _)| *before == rung);
        let told = before.as_ref().is_some_and(|(_, word)| *word == FingerprintWord::Differs);
        incident.ladder.fingerprint = match word {
            FingerprintWord::NotCompared => before,
            word => Some((rung, word.clone())),
        };
        if *word == FingerprintWord::Differs && !told {
            let target = incident.target(rung).map(ToString::to_string).unwrap_or_default();
            let text = format!(
                "`{}`: {target} seems to be served, but answers the golden data otherwise than when it was good; it is not taken for that, and looked at again until the time for reading back is up",
                incident.id
            );
            self.tell(Topic::FingerprintDiffers, Severity::Critical, text);
        }
    }

    /// After one more failure.
    pub(super) fn wanted_later(&self, wanted: Wanted, nature: FaultNature) -> Wanted {
        let waiting = wanted.waiting.later(self.at);
        let told = wanted.told || nature == FaultNature::Deterministic || waiting.failures >= TELL_AFTER;
        let due_at = if told { Some(self.at + RARELY) } else { waiting.due_at };
        Wanted { waiting: Waiting { due_at, ..waiting }, told, failed: Some(nature) }
    }

    pub(super) fn identity_woke(&mut self) {
        let at = self.at;
        let wanted = self.pins.values_mut().chain(self.fingerprints.values_mut());
        let wanted = wanted.chain(&mut self.candidate);
        wanted.for_each(|wanted| clear(&mut wanted.waiting.due_at, at));
    }
}
