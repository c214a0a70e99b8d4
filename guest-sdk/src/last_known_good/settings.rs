use schemars::JsonSchema;
use serde::Deserialize;

use crate::{Duration, days, minutes};

/// Which versions may be gone back to.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Settings {
    /// Standings that are good enough.
    pub accept: Vec<Accepted>,
    /// How long ago a version may have been created.
    pub maximum_age: Duration,
    /// How many versions the ladder holds at most, the fallback not counted; at least 1.
    pub rungs: usize,
    /// A configured safe mode, such as `rules`, that comes below every version.
    pub fallback: Option<String>,
    /// What to do with a version that serves a part of the traffic, beside another.
    pub partly_live: PartlyLive,
    /// What to do if harm began before the live version was deployed, so that it is hardly the cause.
    pub older_harm: OlderHarm,
    /// How long before the deployment harm must have begun to be older than it: a roll-out takes time, and the beginning of
    /// harm is measured in steps.
    pub harm_margin: Duration,
    /// How many of the registry's newest versions are looked at; at least 1.
    pub look_at: u32,
}

/// A standing that is good enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Accepted {
    /// It was verified while it was served.
    KnownGood,
    /// A named person vouched for it.
    Attested,
}

/// What to do with a version that serves a part of the traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PartlyLive {
    /// It is live, and never gone back to.
    Refuse,
    /// It may be gone back to: harm comes from the other, such as a canary.
    Accept,
}

/// What to do if harm is older than the live version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OlderHarm {
    /// Say that a rollback will not help.
    WillNotHelp,
    /// Plan all the same, and say it.
    PlanAnyway,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            accept: vec![Accepted::KnownGood, Accepted::Attested],
            maximum_age: days(90),
            rungs: 3,
            fallback: None,
            partly_live: PartlyLive::Refuse,
            older_harm: OlderHarm::WillNotHelp,
            harm_margin: minutes(10),
            look_at: 50,
        }
    }
}

impl Settings {
    /// What makes no sense together.
    ///
    /// # Errors
    /// With what to write instead.
    pub fn check(&self) -> Result<(), String> {
        if self.accept.is_empty() {
            return Err(
                "`accept` is empty: write `[\"known-good\"]` or `[\"known-good\", \"attested\"]`".to_owned()
            );
        }
        if self.rungs == 0 || self.look_at == 0 {
            return Err(format!(
                "`rungs` is `{}` and `look-at` `{}`: write numbers of at least 1",
                self.rungs, self.look_at
            ));
        }
        if self.fallback.as_ref().is_some_and(|fallback| fallback.is_empty()) {
            return Err("`fallback` is empty: write the name of a safe mode, or leave it out".to_owned());
        }
        Ok(())
    }
}
