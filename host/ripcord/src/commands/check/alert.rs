//! `check --alert`: which route each alert of a recorded webhook takes, and why.

use ripcord_core::name::ServiceName;
use ripcord_core::signal::{Label, SignalKind};
use ripcord_ports::AlertSource;
use ripcord_ports::alert_source::Delivery;
use serde::Serialize;

use crate::config::{Config, Mistakes, SourceConfig};
use crate::http::too_large;
use crate::output::{Text, text};
use crate::wiring;

/// What one alert meets at one source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AlertRoute {
    /// The alert's rule.
    pub rule: String,
    /// `firing` or `resolved`.
    pub status: ripcord_core::signal::SignalStatus,
    /// What it tells of; a policy rolls back for a condition alone.
    pub kind: SignalKind,
    /// Its labels.
    pub labels: Vec<Label>,
    /// For which service it is; none is unrouted.
    pub service: Option<ServiceName>,
    /// A line for each route that was looked at.
    pub why: Vec<String>,
}

/// What the alerts of a file meet at one source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SourceRoutes {
    /// The source.
    pub source: String,
    /// In the file's order.
    pub alerts: Vec<AlertRoute>,
    /// What of the file is not judged, one sentence each.
    pub not_judged: Vec<String>,
}

/// Says for each source that can read `body` which route each of its alerts takes.
pub fn explain(config: &Config, body: &[u8]) -> Result<Vec<SourceRoutes>, String> {
    if config.sources.is_empty() {
        return Err("no alert source is configured; add `[sources.NAME]`".to_owned());
    }
    let shared = wiring::shared().map_err(|error| error.to_string())?;
    let mut mistakes = Mistakes::default();
    let mut explained = Vec::new();
    for source in &config.sources {
        // Settings that do not fit together are told where the rest of the configuration is.
        let reads = wiring::alert_source(config, source, &shared, &mut mistakes);
        explained.extend(reads.map(|reads| explain_source(source, reads.as_ref(), body)));
    }
    // A body is of one kind of source: that the others cannot read it is no mistake.
    if explained.iter().any(Result::is_ok) {
        return Ok(explained.into_iter().flatten().collect());
    }
    explained.into_iter().collect()
}

fn explain_source(
    source: &SourceConfig,
    reads: &dyn AlertSource,
    body: &[u8],
) -> Result<SourceRoutes, String> {
    if body.len() as u64 > source.body_bytes_max {
        return Err(format!(
            "`{}` refuses this body of {} bytes: {}",
            source.name,
            body.len(),
            too_large(source.body_bytes_max)
        ));
    }
    let payload = reads.read(&Delivery { headers: &[], body }).map_err(|error| error.to_string())?;
    if let (Some(bad), []) = (payload.bad.first(), &payload.alerts[..]) {
        return Err(format!("no alert of the payload can be judged: alert {} {}", bad.number, bad.why));
    }
    let bad =
        payload.bad.iter().map(|bad| format!("alert {} {}: it is kept and listed", bad.number, bad.why));
    let lost = [
        (payload.unread, "are more than are read of one payload, and are lost"),
        (payload.truncated, "were left out by the sender (`max_alerts`), and are lost"),
    ];
    let lost =
        lost.iter().filter(|(number, _)| *number > 0).map(|(number, why)| format!("{number} alerts {why}"));
    let not_judged = bad.chain(lost).collect();
    let alerts = payload
        .alerts
        .into_iter()
        .map(|alert| {
            let (service, why) = explain_alert(source, &alert.labels);
            AlertRoute {
                rule: alert.rule,
                status: alert.status,
                kind: alert.kind,
                labels: alert.labels,
                service,
                why,
            }
        })
        .collect();
    Ok(SourceRoutes { source: source.name.to_string(), alerts, not_judged })
}

fn explain_alert(source: &SourceConfig, labels: &[Label]) -> (Option<ServiceName>, Vec<String>) {
    let mut why = Vec::new();
    for (index, route) in source.routes.iter().enumerate() {
        let number = index + 1;
        match route.mismatch(labels) {
            None => {
                let matched: Vec<_> =
                    route.labels.iter().map(|label| format!("{}={}", label.name, label.value)).collect();
                let matched =
                    if matched.is_empty() { "it matches everything".to_owned() } else { matched.join(", ") };
                why.push(format!("route {number} matches: {matched}"));
                return (Some(route.service.clone()), why);
            }
            Some(wanted) => {
                let has = labels.iter().find(|label| label.name == wanted.name);
                let has = has.map_or_else(
                    || format!("the alert has no label `{}`", wanted.name),
                    |label| format!("the alert has `{}={}`", label.name, label.value),
                );
                why.push(format!("route {number} wants `{}={}`, and {has}", wanted.name, wanted.value));
            }
        }
    }
    if source.routes.is_empty() {
        why.push(format!("`{}` has no routes", source.name));
    }
    (None, why)
}

impl SourceRoutes {
    /// For people.
    pub fn text(&self) -> Text {
        let mut text = text!("source {}:", self.source);
        for alert in &self.alerts {
            let status = match alert.status {
                ripcord_core::signal::SignalStatus::Firing => "firing",
                ripcord_core::signal::SignalStatus::Resolved => "resolved",
            };
            let to = alert.service.as_ref().map_or_else(
                || "no service: it is kept and listed as unrouted".to_owned(),
                |service| format!("service {service}"),
            );
            let told = match alert.kind {
                SignalKind::Condition => "",
                SignalKind::MissingData => ", says that data are missing: no reason to roll back",
                SignalKind::BrokenRule => ", says that its rule is broken: no reason to roll back",
                SignalKind::Heartbeat => ", always fires: no reason to roll back",
                SignalKind::LostSight => ", whose sender lost sight of it: not known to have ended",
            };
            text.push(text!("\n  {} ({}{}) -> {}", alert.rule, status, told, to));
            for why in &alert.why {
                text.push(text!("\n    {}", why));
            }
        }
        for why in &self.not_judged {
            text.push(text!("\n  not judged: {}", why));
        }
        text
    }
}
