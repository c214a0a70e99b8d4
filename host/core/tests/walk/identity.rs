//! What may come of pinning, of fingerprints, and of reading back with one.

use ripcord_core::digest::Digest;
use ripcord_core::event::*;
use ripcord_core::name::VersionName;
use ripcord_core::service::Service;

use crate::dice::Dice;
use crate::facets;
use crate::outcomes::{blob, live, nature};

pub(crate) fn pinned(dice: &mut Dice, version: VersionName) -> Event {
    let word = match dice.below(3) {
        0 => PinWord::Failed { reason: blob(), nature: nature(dice) },
        _ => PinWord::Digest(Digest::of(version.as_str())),
    };
    Event::Pinned(Pinned { version, word })
}

pub(crate) fn fingerprinted(dice: &mut Dice, version: VersionName) -> Event {
    let word = match dice.below(4) {
        0 => FingerprintTaken::Failed { reason: blob(), nature: nature(dice) },
        1 => FingerprintTaken::NotLive,
        _ => FingerprintTaken::Taken(KnownFingerprint {
            inputs: Digest::of("inputs"),
            answers: Digest::of(version.as_str()),
        }),
    };
    Event::Fingerprinted(Fingerprinted { version, word })
}

pub(crate) fn read_back(dice: &mut Dice, service: &Service, plan: Digest, (rung, wave): (u32, u32)) -> Event {
    let fingerprint = match dice.below(8) {
        0 => FingerprintWord::Differs,
        1 => FingerprintWord::Failed(blob()),
        2 | 3 => FingerprintWord::Same,
        _ => FingerprintWord::NotCompared,
    };
    let (live, facets) = (live(dice, service), facets::read_back(dice, service));
    Event::ReadBack(ReadBack { plan, rung, wave, live, facets, fingerprint })
}
