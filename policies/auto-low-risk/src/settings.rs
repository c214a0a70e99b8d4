use ripcord_sdk::keys::Keys;
use ripcord_sdk::prelude::*;
use ripcord_sdk::settings::{Strategy, Urgency};

/// What is granted without people. All of it must hold.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Settings {
    /// Criticalities of services whose plans are granted.
    pub criticality: Vec<Criticality>,
    /// Strategies that are granted. The target of every rung must be of one of them, because one approval covers all rungs.
    pub strategies: Vec<Strategy>,
    /// The highest urgency that is granted; what is more urgent is looked at by people.
    pub urgency_at_most: Urgency,
    /// How long ago the plan may have been made.
    pub plan_age_at_most: Duration,
    /// How long ago harm may have begun; any time if left out. What has been bad for long deserves a look.
    pub harm_age_at_most: Option<Duration>,
    /// Who must agree to everything else.
    pub otherwise: Keys,
}

/// How much depends on a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Criticality {
    /// Little.
    Low,
    /// The usual.
    Medium,
    /// Much.
    High,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            criticality: vec![Criticality::Low],
            strategies: vec![Strategy::Version],
            urgency_at_most: Urgency::Urgent,
            plan_age_at_most: minutes(15),
            harm_age_at_most: None,
            otherwise: Keys { people: 1, ..Keys::default() },
        }
    }
}

impl Settings {
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.criticality.is_empty() || self.strategies.is_empty() {
            return Err(
                "`criticality` or `strategies` is empty, so nothing would ever be granted: list at least one of each, or use \
                 `two-key`"
                    .to_owned(),
            );
        }
        if self.plan_age_at_most.is_zero() {
            return Err("`plan-age-at-most` is `0s`: write how old a plan may be, such as `15m`".to_owned());
        }
        self.otherwise.check().map_err(|why| format!("`otherwise`: {why}"))
    }
}
