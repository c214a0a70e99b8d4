//! Asking the metrics source what triggers and verifications would ask: a misspelt name selects nothing, and nobody would notice before it matters.

use std::collections::BTreeSet;

use ripcord_core::fact::{MetricQuery, RangeQuery, Request, Unavailable, UnavailableReason};
use ripcord_core::policy::Role;
use ripcord_core::time::UnixMillis;
use ripcord_engine::{PlacedPolicy, ServiceSetup};

use super::probe::patient;
use super::{Level, Report, rehearse};

/// Of one policy; a list without an end would take as long.
const QUERIES_MAX: usize = 20;

pub(super) async fn queries(setup: &ServiceSetup, now: UnixMillis, report: &mut Report) {
    let placed = setup.policies(Role::Trigger).chain(setup.policies(Role::Verification));
    for placed in placed {
        of_policy(setup, placed, now, report).await;
    }
}

async fn of_policy(setup: &ServiceSetup, placed: &PlacedPolicy, now: UnixMillis, report: &mut Report) {
    let name = &placed.policy.reference().name;
    let subject = format!("service {}: {} {name}", setup.name, placed.role);
    let (mut asked, mut with_data) = (BTreeSet::new(), 0);
    for request in rehearse::asks(setup, placed, now).into_iter().take(QUERIES_MAX) {
        let (source, query) = match &request {
            Request::Metric(MetricQuery { source, query, .. })
            | Request::MetricRange(RangeQuery { source, query, .. }) => (source.clone(), query.clone()),
            _ => continue,
        };
        if !asked.insert((source, query.clone())) {
            continue;
        }
        match answer(setup, &request, now).await {
            Ok(()) => with_data += 1,
            Err(Unavailable { reason: UnavailableReason::NoData, message }) => report.add(
                Level::Warn,
                subject.clone(),
                format!("`{query}` selects nothing now: {message}"),
                "correct the query if a name in it is misspelt; nothing to do if the metric appears with its first event",
            ),
            Err(error) => report.add(
                Level::Error,
                subject.clone(),
                format!("`{query}`: {error}"),
                "the policy cannot judge without it: correct the query, or the metrics source",
            ),
        }
    }
    if with_data > 0 {
        let number =
            if with_data == 1 { "1 query has".to_owned() } else { format!("{with_data} queries have") };
        report.ok(subject, format!("{number} data now"));
    }
}

async fn answer(setup: &ServiceSetup, request: &Request, now: UnixMillis) -> Result<(), Unavailable> {
    let unsupported = |message: String| Unavailable::new(UnavailableReason::Unsupported, message);
    let (Request::Metric(MetricQuery { source, .. }) | Request::MetricRange(RangeQuery { source, .. })) =
        request
    else {
        return Ok(());
    };
    let ports = &setup.ports;
    let name = source.as_deref().or(ports.default_metrics.as_deref());
    let name =
        name.ok_or_else(|| unsupported("no metrics source is configured for this service".to_owned()))?;
    let source = ports
        .metrics
        .get(name)
        .ok_or_else(|| unsupported(format!("no metrics source `{name}` is configured for this service")))?;
    let answered = match request {
        Request::MetricRange(RangeQuery { query, window, step, .. }) => {
            patient(source.range(query, *window, *step)).await.map(|answer| answer.map(drop))
        }
        Request::Metric(MetricQuery { query, at, .. }) => {
            patient(source.instant(query, at.unwrap_or(now))).await.map(|answer| answer.map(drop))
        }
        _ => return Ok(()),
    };
    answered.unwrap_or_else(|late| Err(Unavailable::new(UnavailableReason::TimedOut, late)))
}
