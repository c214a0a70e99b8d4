//! Goes back to the newest version that is known good or attested, with older ones below it.
//!
//! How it does that is in the SDK: planners that look at more fall back on it.

use ripcord_sdk::last_known_good;
use ripcord_sdk::prelude::*;

/// The policy.
#[derive(Debug)]
pub struct LastKnownGood;

ripcord_sdk::export!(LastKnownGood: planner);

impl Policy for LastKnownGood {
    type Settings = last_known_good::Settings;

    fn check(settings: &Self::Settings) -> Result<(), String> {
        settings.check()
    }
}

impl Planner for LastKnownGood {
    const FACTS: &'static [FactKind] = &[FactKind::Versions, FactKind::Live];

    fn propose(case: &PlannerCase, facts: &Facts, settings: &Self::Settings) -> Step<PlannerAnswer> {
        last_known_good::propose(case, facts, settings)
    }
}
