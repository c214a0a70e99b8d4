//! Rolls back when a labelled alert fires: what a scanner or an audit found needs no metric.
//!
//! Only rule and labels are looked at, never annotations, which are free text. An alert of the rule without one of the
//! labels is no reason, and is said. Neither is an alert about missing data or a broken rule: what it tells of is not known.

mod settings;

pub use settings::{Alert, OneOf, Settings};

use ripcord_sdk::contract::types::Signal;
use ripcord_sdk::millis;
use ripcord_sdk::prelude::*;

/// When to look again while it is not known whether an alert holds.
const RECHECK: Duration = minutes(5);

/// The policy.
#[derive(Debug)]
pub struct SecurityAlertTrigger;

ripcord_sdk::export!(SecurityAlertTrigger: trigger);

impl Policy for SecurityAlertTrigger {
    type Settings = Settings;

    fn check(settings: &Settings) -> Result<(), String> {
        settings.check()
    }
}

impl Trigger for SecurityAlertTrigger {
    const FACTS: &'static [FactKind] = &[];

    fn assess(case: &TriggerCase, _facts: &Facts, settings: &Settings) -> Step<Assessment> {
        let matching: Vec<(&Signal, &Alert)> = case
            .signals
            .iter()
            .flat_map(|signal| settings.alerts.iter().map(move |alert| (signal, alert)))
            .filter(|(signal, alert)| alert.matches(signal))
            .collect();
        let conditions: Vec<_> =
            matching.iter().filter(|(signal, _)| signal.kind == SignalKind::Condition).collect();
        let firing = conditions.iter().filter(|(signal, _)| signal.status == SignalStatus::Firing);
        // `max_by_key` takes the last of equals, so the order is turned round.
        if let Some((signal, alert)) = firing.rev().max_by_key(|(_, alert)| alert.urgency) {
            let began = signal.started_at.min(case.now());
            let proposal = Proposal::new(cause(signal, alert, millis(case.now() - began)))
                .by(alert.strategy)
                .with(alert.urgency);
            return Ok(Assessment::roll_back(proposal.since(began)));
        }
        let unknown: Vec<Note> =
            matching.iter().filter_map(|(signal, _)| Some(Note::warning(not_known(signal)?))).collect();
        if !unknown.is_empty() {
            return Ok(Assessment::watch(case.now() + RECHECK).notes(unknown));
        }
        if let Some((signal, _)) = conditions.last() {
            let ago = signal.ended_at.map(|ended| millis(case.now().saturating_sub(ended)).rough());
            let when = ago.map(|ago| format!(" {ago} ago")).unwrap_or_default();
            return Ok(Assessment::stand_down(format!("the alert `{}` was resolved{when}", signal.rule)));
        }
        let unlabelled = case.conditions().filter_map(|signal| {
            let missing = settings.alerts.iter().find_map(|alert| alert.missing_label(signal))?;
            Some(Note::warning(format!(
                "the alert `{}` has no label `{missing}`, so it is no reason",
                signal.rule
            )))
        });
        Ok(Assessment::ignore().notes(unlabelled))
    }
}

impl Alert {
    fn matches(&self, signal: &Signal) -> bool {
        self.rule.as_ref().is_none_or(|rule| rule.holds(&signal.rule) || rule.holds(about(signal)))
            && self
                .labels
                .iter()
                .all(|(name, wanted)| label(signal, name).is_some_and(|value| wanted.holds(value)))
    }

    /// A label that keeps an alert of this very rule from matching by not being there.
    fn missing_label(&self, signal: &Signal) -> Option<&str> {
        let rule = self.rule.as_ref()?;
        let missing = self.labels.keys().find(|name| label(signal, name).is_none())?;
        rule.holds(&signal.rule).then_some(missing)
    }
}

/// Of an alert that says that the data of a rule are missing or that it cannot be evaluated, which rule; its own name if it does not say.
fn about(signal: &Signal) -> &str {
    let named = (signal.kind != SignalKind::Condition).then(|| label(signal, "rulename")).flatten();
    named.unwrap_or(&signal.rule)
}

/// Why it is neither a reason nor a sign that one has ended.
fn not_known(signal: &Signal) -> Option<String> {
    let why = match (&signal.kind, signal.status) {
        (SignalKind::MissingData, SignalStatus::Firing) => "says that data are missing",
        (SignalKind::BrokenRule, SignalStatus::Firing) => "says that its rule cannot be evaluated",
        (SignalKind::LostSight, _) => "ended because its sender lost sight of it",
        (SignalKind::Other(_), _) => "is of a kind that this build does not know",
        (SignalKind::Condition | SignalKind::Heartbeat, _)
        | (SignalKind::MissingData | SignalKind::BrokenRule, SignalStatus::Resolved) => return None,
    };
    Some(format!("the alert `{}` {why}: it is neither a reason nor a sign that one has ended", signal.rule))
}

fn label<'s>(signal: &'s Signal, name: &str) -> Option<&'s str> {
    signal.labels.iter().find(|label| label.name == name).map(|label| label.value.as_str())
}

fn cause(signal: &Signal, alert: &Alert, held: Duration) -> String {
    let labels: Vec<String> = alert
        .labels
        .keys()
        .map(|name| format!("{name}=\"{}\"", label(signal, name).unwrap_or_default()))
        .collect();
    let with = if labels.is_empty() { String::new() } else { format!(" with {}", labels.join(", ")) };
    format!("the alert `{}`{with} has been firing for {}", signal.rule, held.rough())
}
