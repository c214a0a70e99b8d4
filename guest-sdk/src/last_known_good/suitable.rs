//! Whether one version may be gone back to, or the one reason why not.

use super::{Accepted, PartlyLive, Settings};
use crate::contract::facts::{Candidate, Standing, VerifiedIn};
use crate::contract::types::{Instant, LiveState, Share, Target};
use crate::{Duration, millis};

/// What is known beside the versions themselves.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'c> {
    /// The time of the decision, Unix milliseconds.
    pub now: Instant,
    /// What is good enough.
    pub settings: &'c Settings,
    /// What is live; none if that is not known.
    pub live: Option<&'c LiveState>,
    /// Targets that did not help in this incident.
    pub tried: &'c [Target],
}

impl Situation<'_> {
    /// Why the version may not be gone back to; none if it may.
    pub fn objection(&self, candidate: &Candidate) -> Option<String> {
        let served = self.served(&candidate.version.version);
        let refused_as_live = match self.settings.partly_live {
            PartlyLive::Refuse => served > 0.0,
            PartlyLive::Accept => served > 0.999,
        };
        if refused_as_live {
            return Some(format!("it is live, with {} of the traffic", percent(served)));
        }
        if self.tried.iter().any(|tried| is_version(tried, &candidate.version.version)) {
            return Some("it was tried already in this incident and did not help".to_owned());
        }
        self.by_standing(candidate).or_else(|| self.by_age(candidate)).or_else(|| {
            (!candidate.restorable)
                .then(|| "it cannot be restored: its artefact is missing or has another digest".to_owned())
        })
    }

    fn by_standing(&self, candidate: &Candidate) -> Option<String> {
        let condemned = match candidate.condemned_by.as_slice() {
            [] => None,
            incidents => Some(format!("condemned by {}", incidents.join(", "))),
        };
        let also = condemned.as_ref().map(|by| format!(", {by}")).unwrap_or_default();
        let accepted = match &candidate.standing {
            Standing::Held => return Some(format!("a hold stands on it{also}")),
            Standing::Retired => return Some(format!("it is retired{also}")),
            Standing::Condemned => {
                return Some(format!("it is {}", condemned.as_deref().unwrap_or("condemned")));
            }
            // Whoever vouched for it since, or verified it, knew that.
            Standing::KnownGood => Accepted::KnownGood,
            Standing::Attested => Accepted::Attested,
            _ if condemned.is_some() => return condemned.map(|by| format!("it was {by}")),
            Standing::Expired => return Some("it was good too long ago: its standing expired".to_owned()),
            Standing::Unproven => {
                return Some(format!(
                    "it is unproven: it was never verified here and nobody vouched for it{}",
                    elsewhere(&candidate.verified_in)
                ));
            }
            Standing::Other(name) => {
                return Some(format!("its standing `{name}` is not one that this policy knows"));
            }
        };
        if !self.settings.accept.contains(&accepted) {
            return Some(format!("it is {}, which `accept` does not list", word(&candidate.standing)));
        }
        let expired = candidate.expires_at.filter(|expires_at| *expires_at <= self.now);
        expired.map(|expires_at| format!("its standing expired {} ago", self.since(expires_at)))
    }

    fn by_age(&self, candidate: &Candidate) -> Option<String> {
        let limit = self.settings.maximum_age;
        let too_old = candidate.created_at + limit < self.now;
        too_old.then(|| {
            format!(
                "it was created {} ago, longer than the {limit} allowed",
                self.since(candidate.created_at)
            )
        })
    }

    /// The share of the traffic that the version serves, as far as that is known.
    fn served(&self, version: &str) -> f64 {
        let shares: &[Share] = match self.live {
            Some(LiveState::Serving(shares)) => shares,
            _ => &[],
        };
        let named = shares.iter().filter(|share| share.version.version == version);
        // A share of unknown size is still live.
        named.map(|share| if share.weight.is_finite() { share.weight.max(1e-6) } else { 1.0 }).sum()
    }

    /// How long ago, for a reader.
    pub(super) fn since(&self, instant: Instant) -> Duration {
        millis(self.now.saturating_sub(instant)).rough()
    }
}

fn is_version(target: &Target, name: &str) -> bool {
    matches!(target, Target::Version(version) if version.version == name)
}

/// Where it is known good instead.
fn elsewhere(verified: &[VerifiedIn]) -> String {
    let name = |one: &VerifiedIn| format!("`{}` ({})", one.service, one.environment);
    match verified {
        [] => String::new(),
        [one] => format!("; it is known good for {}", name(one)),
        [one, others @ ..] => {
            format!("; it is known good for {} and {} more", name(one), others.len())
        }
    }
}

/// A standing that may be accepted, in words.
pub(super) fn word(standing: &Standing) -> &'static str {
    if *standing == Standing::Attested { "attested" } else { "known good" }
}

fn percent(share: f64) -> String {
    format!("{} %", crate::stats::readable(share.min(1.0) * 100.0))
}
