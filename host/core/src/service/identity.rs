//! By what a version is known again: the digest of its artefact.

use super::{Illegal, Service, Waiting, clear};
use crate::effect::Topic;
use crate::event::{FaultNature, PinWord, Pinned};
use crate::name::VersionName;
use crate::signal::Severity;
use crate::time::Millis;

/// Failures, about half a minute of them, before people are told.
const TELL_AFTER: u32 = 5;
/// Between two tries after people were told.
const RARELY: Millis = Millis::hours(1);

/// Something about a version that is still to be found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// When it is due.
    pub waiting: Waiting,
    /// Whether people were told that it could not be found out yet.
    pub told: bool,
}

impl Service {
    /// A version that can be gone back to is pinned: whatever the registry gives under its name later must be the same. Nothing is owed where a
    /// digest is known.
    pub(super) fn want_pin(&mut self, version: &VersionName) {
        if self.versions.get(version).is_none_or(|known| known.digest.is_none()) {
            let waiting = Waiting::from(self.at);
            self.pins.entry(version.clone()).or_insert(Wanted { waiting, told: false });
        }
    }

    /// Nobody is to go back to it.
    pub(super) fn forget_pin(&mut self, version: &VersionName) {
        self.pins.remove(version);
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
                        "the artefact of `{version}` of `{}` could not be fetched, so no digest is pinned: should it be changed before a rollback, nobody would notice; mend the registry, it is tried again every hour",
                        self.name
                    );
                    self.tell_about(None, Topic::NotPinned, Severity::Warning, text);
                }
            }
        }
        Ok(())
    }

    /// After one more failure.
    fn wanted_later(&self, wanted: Wanted, nature: FaultNature) -> Wanted {
        let waiting = wanted.waiting.later(self.at);
        let told = wanted.told || nature == FaultNature::Deterministic || waiting.failures >= TELL_AFTER;
        let due_at = if told { Some(self.at + RARELY) } else { waiting.due_at };
        Wanted { waiting: Waiting { due_at, ..waiting }, told }
    }

    pub(super) fn identity_woke(&mut self) {
        let at = self.at;
        self.pins.values_mut().for_each(|wanted| clear(&mut wanted.waiting.due_at, at));
    }
}
