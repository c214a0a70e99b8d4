use ripcord_sdk::last_known_good;
use ripcord_sdk::prelude::*;

/// What is looked through, and what may be put back.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Settings {
    /// How far back what moved is looked through; at least one hour.
    pub window: Duration,
    /// How much earlier harm may have begun than the proposal and the alerts say: it is measured in steps, and shows only after a while.
    pub harm_uncertainty: Duration,
    /// A revision of a configuration that was in force directly before the suspected change, and that nobody verified or vouched for.
    pub unproven_before: UnprovenBefore,
    /// How many revisions of each configuration are looked at; at least 1.
    pub revisions: u32,
    /// How many checkpoints are looked at, where no version is left to go back to; at least 1.
    pub checkpoints: u32,
    /// Who can help where going back does not: a role, a team, or what kind of people.
    pub hand_over_to: Option<String>,
    /// Which versions are good enough, how many rungs a ladder has, and the safe mode: as in `last-known-good`.
    pub versions: last_known_good::Settings,
}

/// What to do with a revision that was in force before the harm, and that nobody verified or vouched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum UnprovenBefore {
    /// It may be put back: the harm was not there while it was in force.
    Accept,
    /// It is not put back.
    Refuse,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            window: days(3),
            harm_uncertainty: minutes(2),
            unproven_before: UnprovenBefore::Accept,
            revisions: 20,
            checkpoints: 100,
            hand_over_to: None,
            versions: last_known_good::Settings::default(),
        }
    }
}

impl Settings {
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.window < hours(1) {
            return Err(format!("`window` is `{}`: write at least an hour, such as `3d`", self.window));
        }
        if self.revisions == 0 {
            return Err("`revisions` is `0`: write a number of at least 1".to_owned());
        }
        if self.checkpoints == 0 {
            return Err("`checkpoints` is `0`: write a number of at least 1".to_owned());
        }
        if self.hand_over_to.as_ref().is_some_and(|who| who.trim().is_empty()) {
            return Err("`hand-over-to` is empty: write who can help, or leave it out".to_owned());
        }
        self.versions.check().map_err(|why| format!("`versions`: {why}"))
    }
}
