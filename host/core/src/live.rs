//! What a service serves, as observed, and how its identity was proved.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::name::VersionName;
use crate::ratio::Ratio;
use crate::target::{Target, VersionTarget};
use crate::wave::Moves;

/// Systems set the traffic in whole percents and say it rounded, so a share is there when it is there but for so much.
const ROUNDED: f64 = 0.005;

/// How the identity of what is served was proved. Stronger proofs compare greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proof {
    /// The system that manages the deployment says so.
    ControlPlane,
    /// The answers to the golden data are those of the version.
    Fingerprint,
    /// A served answer names the version.
    Answer,
    /// The digest of what is loaded was read.
    Digest,
}

/// How identity was proved, in words, where the answers to the golden data are a second proof beside a stronger one.
pub fn proved_by(proof: Proof, same_fingerprint: bool) -> String {
    if same_fingerprint && proof > Proof::Fingerprint {
        format!("{proof}, and by {}", Proof::Fingerprint)
    } else {
        proof.to_string()
    }
}

/// One part of what is live.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// The version that is served.
    pub version: VersionTarget,
    /// Region, cluster or replica group; empty where there is only one.
    pub place: String,
    /// Share of the traffic.
    pub weight: Ratio,
    /// How this was proved.
    pub proof: Proof,
}

/// The versions that have a share of the traffic, sorted.
pub fn served(shares: &[Share]) -> Vec<VersionName> {
    let served = shares.iter().filter(|share| share.weight.get() > 0.0);
    let mut versions: Vec<_> = served.map(|share| share.version.version.clone()).collect();
    versions.sort();
    versions.dedup();
    versions
}

/// What is live, as observed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LiveState {
    /// All that is served.
    Serving(Vec<Share>),
    /// It could not be observed, and why.
    Unknown(String),
}

impl LiveState {
    /// The version that takes all traffic, if there is just one.
    pub fn sole_version(&self) -> Option<&VersionTarget> {
        let Self::Serving(shares) = self else { return None };
        let mut served = shares.iter().filter(|share| share.weight.get() > 0.0).map(|share| &share.version);
        let first = served.next()?;
        served.all(|version| version.version == first.version).then_some(first)
    }

    /// The weakest proof among the shares.
    pub fn weakest_proof(&self) -> Option<Proof> {
        let Self::Serving(shares) = self else { return None };
        shares.iter().map(|share| share.proof).min()
    }

    /// Whether every share that takes traffic is exactly `target`, and there is one. Digests are compared where both sides know them. What is no
    /// version is no share: what is in force of the other facets is read by itself.
    pub fn serves(&self, target: &Target) -> bool {
        let Self::Serving(shares) = self else { return false };
        let mut served = shares.iter().filter(|share| share.weight.get() > 0.0).peekable();
        served.peek().is_some() && served.all(|share| share.is(target))
    }

    /// Whether both observations show the same versions at the same places; weights and proofs may differ.
    pub fn same_identity(&self, other: &Self) -> bool {
        let (Self::Serving(mine), Self::Serving(theirs)) = (self, other) else { return false };
        let matched = |one: &[Share], two: &[Share]| {
            one.iter()
                .all(|a| two.iter().any(|b| a.place == b.place && a.is(&Target::Version(b.version.clone()))))
        };
        mine.len() == theirs.len() && matched(mine, theirs) && matched(theirs, mine)
    }
}

impl LiveState {
    /// Whether anything at `place` takes traffic; none where nobody knows what is live.
    pub fn serves_at(&self, place: &str) -> Option<bool> {
        let Self::Serving(shares) = self else { return None };
        Some(shares.iter().any(|share| share.place == place && share.weight.get() > 0.0))
    }

    /// Whether a wave that moves this to `target` is there. Other shares may be anything.
    pub fn shows(&self, target: &Target, moves: &Moves) -> bool {
        let Self::Serving(shares) = self else { return false };
        let served = || shares.iter().filter(|share| share.weight.get() > 0.0);
        match moves {
            Moves::Rest => self.serves(target),
            Moves::Share(share) if *share == Ratio::ONE => self.serves(target),
            Moves::Place(place) => {
                let mut there = served().filter(|share| share.place == *place).peekable();
                there.peek().is_some() && there.all(|share| share.is(target))
            }
            // Weights may be counted over all places or within each: what they add up to is the whole.
            Moves::Share(share) => {
                let all: f64 = served().map(|share| share.weight.get()).sum();
                let moved: f64 =
                    served().filter(|share| share.is(target)).map(|share| share.weight.get()).sum();
                all > 0.0 && moved / all + ROUNDED >= share.get()
            }
        }
    }

    /// Whether this is what was live when it was planned, overlaid by some of `targets`: at the same places, each share is one that was there then, or one
    /// of them. Weights may differ.
    pub fn is_overlaid(&self, planned: &Self, targets: &[&Target]) -> bool {
        let (Self::Serving(now), Self::Serving(then)) = (self, planned) else { return false };
        let at = |shares: &[Share], place: &str| shares.iter().any(|share| share.place == place);
        let was_there = |share: &Share| {
            then.iter().any(|old| old.place == share.place && share.is(&Target::Version(old.version.clone())))
        };
        let is_ours = |share: &Share| at(then, &share.place) && targets.iter().any(|target| share.is(target));
        !now.is_empty()
            && now.iter().all(|share| was_there(share) || is_ours(share))
            && then.iter().all(|share| at(now, &share.place))
    }
}

impl Share {
    /// Whether this share is `target`.
    pub fn is(&self, target: &Target) -> bool {
        match target {
            Target::Version(version) => {
                version.version == self.version.version
                    && match (&version.digest, &self.version.digest) {
                        (Some(wanted), Some(served)) => wanted == served,
                        _ => true,
                    }
            }
            Target::Configuration(_)
            | Target::Fallback(_)
            | Target::Checkpoint(_)
            | Target::Retrain(_)
            | Target::Other(_) => false,
        }
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ControlPlane => "control plane only",
            Self::Fingerprint => "golden fingerprint",
            Self::Answer => "version in an answer",
            Self::Digest => "digest",
        })
    }
}

impl fmt::Display for LiveState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(reason) => write!(f, "unknown: {reason}"),
            Self::Serving(shares) if shares.is_empty() => f.write_str("nothing"),
            Self::Serving(shares) => {
                for (index, share) in shares.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    write!(f, "{comma}{}", share.version.version)?;
                    if share.weight.get() < 1.0 {
                        write!(f, " {:.0} %", share.weight.get() * 100.0)?;
                    }
                    if !share.place.is_empty() {
                        write!(f, " in {}", share.place)?;
                    }
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use crate::name::{ConfigurationName, VersionName};
    use crate::target::{ConfigurationTarget, FallbackTarget};

    fn share(version: &str, digest: Option<&str>, weight: f64) -> Share {
        Share {
            version: VersionTarget {
                version: VersionName::new(version).expect("name"),
                digest: digest.map(Digest::of),
            },
            place: String::new(),
            weight: Ratio::new(weight).expect("ratio"),
            proof: Proof::Answer,
        }
    }

    fn target(version: &str, digest: Option<&str>) -> Target {
        Target::Version(share(version, digest, 1.0).version)
    }

    #[test]
    fn a_target_is_served_only_when_every_share_is_it() {
        let check = |shares: Vec<Share>, expected| {
            assert_eq!(LiveState::Serving(shares).serves(&target("1", Some("a"))), expected);
        };
        check(vec![share("1", None, 1.0)], true);
        check(vec![share("1", Some("a"), 1.0)], true);
        check(vec![share("1", Some("b"), 1.0)], false);
        check(vec![share("1", None, 0.9), share("2", None, 0.1)], false);
        check(vec![share("1", None, 1.0), share("2", None, 0.0)], true);
        check(vec![share("1", None, 0.0)], false);
        check(vec![], false);
        assert!(!LiveState::Unknown("timeout".into()).serves(&target("1", None)));
    }

    #[test]
    fn what_is_no_version_is_no_share() {
        let live = LiveState::Serving(vec![share("1", None, 1.0)]);
        let name = || VersionName::new("1").expect("name");
        let configuration = ConfigurationName::new("thresholds").expect("name");
        assert!(!live.serves(&Target::Fallback(FallbackTarget { mode: name(), digest: None })));
        assert!(!live.serves(&Target::Other("1".into())));
        let wanted = ConfigurationTarget { name: configuration, revision: name(), digest: None };
        assert!(!live.serves(&Target::Configuration(wanted)));
    }

    fn at(place: &str, version: &str, weight: f64) -> Share {
        Share { place: place.into(), ..share(version, None, weight) }
    }

    #[test]
    fn a_wave_is_there_when_its_place_or_share_is_the_target() {
        let moved = target("1", None);
        let check = |shares: &[Share], moves: &Moves, expected: bool| {
            let live = LiveState::Serving(shares.to_vec());
            assert_eq!(live.shows(&moved, moves), expected, "{live}: {moves}");
        };
        let eu = Moves::Place("eu".into());
        check(&[at("eu", "1", 1.0), at("us", "2", 1.0)], &eu, true);
        check(&[at("eu", "1", 1.0), at("eu", "2", 0.0), at("us", "2", 1.0)], &eu, true);
        check(&[at("eu", "1", 0.9), at("eu", "2", 0.1)], &eu, false);
        check(&[at("us", "1", 1.0)], &eu, false);
        check(&[at("eu", "1", 0.0)], &eu, false);
        let share = |of| Moves::Share(Ratio::new(of).expect("ratio"));
        check(&[at("", "1", 0.25), at("", "2", 0.75)], &share(0.25), true);
        check(&[at("", "1", 0.33), at("", "2", 0.67)], &share(0.333), true);
        check(&[at("", "1", 0.2), at("", "2", 0.8)], &share(0.25), false);
        // Counted within each place.
        check(&[at("eu", "1", 1.0), at("us", "2", 1.0)], &share(0.5), true);
        check(&[at("eu", "1", 0.5), at("eu", "2", 0.5), at("us", "2", 1.0)], &share(0.5), false);
        check(&[at("", "1", 0.999), at("", "2", 0.001)], &share(1.0), false);
        check(&[at("", "1", 1.0), at("", "2", 0.0)], &share(1.0), true);
        check(&[], &share(0.5), false);
        check(&[at("eu", "1", 1.0), at("us", "2", 1.0)], &Moves::Rest, false);
        assert!(!LiveState::Unknown("down".into()).shows(&moved, &eu));
    }

    #[test]
    fn what_a_plan_has_moved_lies_over_what_it_observed() {
        let planned = LiveState::Serving(vec![at("eu", "9", 1.0), at("us", "8", 1.0)]);
        let (one, two) = (target("1", None), target("2", None));
        let check = |shares: &[Share], expected: bool| {
            let live = LiveState::Serving(shares.to_vec());
            assert_eq!(live.is_overlaid(&planned, &[&one, &two]), expected, "{live}");
        };
        check(&[at("eu", "9", 1.0), at("us", "8", 1.0)], true);
        check(&[at("eu", "1", 1.0), at("us", "8", 1.0)], true);
        check(&[at("eu", "1", 0.5), at("eu", "9", 0.5), at("us", "2", 1.0)], true);
        check(&[at("eu", "8", 1.0), at("us", "8", 1.0)], false);
        check(&[at("eu", "1", 1.0), at("us", "7", 1.0)], false);
        check(&[at("eu", "1", 1.0)], false);
        check(&[at("eu", "1", 1.0), at("us", "8", 1.0), at("ap", "1", 1.0)], false);
        assert!(!LiveState::Unknown("down".into()).is_overlaid(&planned, &[&one]));
    }

    #[test]
    fn proofs_are_ordered() {
        assert!(
            Proof::Digest > Proof::Answer
                && Proof::Answer > Proof::Fingerprint
                && Proof::Fingerprint > Proof::ControlPlane
        );
    }

    #[test]
    fn an_unknown_state_equals_nothing() {
        let unknown = LiveState::Unknown("down".into());
        assert!(!unknown.same_identity(&unknown));
        let one = LiveState::Serving(vec![share("1", None, 1.0)]);
        assert!(one.same_identity(&LiveState::Serving(vec![share("1", Some("a"), 1.0)])));
        assert!(!one.same_identity(&LiveState::Serving(vec![share("2", None, 1.0)])));
    }
}
