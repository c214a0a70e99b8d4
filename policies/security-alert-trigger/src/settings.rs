use std::collections::BTreeMap;

use ripcord_sdk::prelude::*;
use ripcord_sdk::settings::{Strategy, Urgency};

/// Which alerts are enough.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Settings {
    /// Kinds of alerts. Of several that match, the most urgent is proposed, then the first.
    pub alerts: Vec<Alert>,
}

/// One kind of alert, with what it leads to.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Alert {
    /// The alert's rule as its source names it, one or several; any if left out.
    #[serde(default)]
    pub rule: Option<OneOf>,
    /// Labels that the alert must have, by name, each with its value or several that are as good.
    #[serde(default)]
    pub labels: BTreeMap<String, OneOf>,
    /// The strategy to propose.
    #[serde(default)]
    pub strategy: Strategy,
    /// The urgency to propose.
    #[serde(default = "emergency")]
    pub urgency: Urgency,
}

/// A text, or several of which one must be equal.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum OneOf {
    /// This text.
    This(String),
    /// One of these.
    Any(Vec<String>),
}

fn emergency() -> Urgency {
    Urgency::Emergency
}

impl OneOf {
    pub(crate) fn holds(&self, text: &str) -> bool {
        match self {
            Self::This(one) => one == text,
            Self::Any(several) => several.iter().any(|one| one == text),
        }
    }
}

impl Settings {
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.alerts.is_empty() {
            return Err("`alerts` is empty: describe at least one kind of alert".to_owned());
        }
        for (index, alert) in self.alerts.iter().enumerate() {
            if alert.rule.is_none() && alert.labels.is_empty() {
                return Err(format!("`alerts[{index}]` matches every alert: give it a `rule` or `labels`"));
            }
            let lists = alert.rule.iter().chain(alert.labels.values());
            if lists.into_iter().any(|list| *list == OneOf::Any(Vec::new())) {
                return Err(format!(
                    "`alerts[{index}]` has an empty list, which matches nothing: write what it may be"
                ));
            }
        }
        Ok(())
    }
}
