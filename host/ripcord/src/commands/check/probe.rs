//! Asking what is configured whether it is well. Every question only reads and has a deadline.

use std::future::Future;
use std::time::Duration;

use ripcord_core::fact::answer::{Comparison, compare};
use ripcord_core::fact::{Payload, Unavailable, UnavailableReason};
use ripcord_core::live::LiveState;
use ripcord_core::policy::Role;
use ripcord_core::target::Window;
use ripcord_core::terms::{EffectClass, Mode, PreflightRule};
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_engine::ServiceSetup;
use ripcord_ports::requests::GoldenRow;
use ripcord_ports::{ErrorKind, Metrics};

use super::facets;
use super::making;
use super::{Level, Report};
use crate::config::{Config, ServiceConfig};
use crate::wiring::has_role;

const PATIENCE: Duration = Duration::from_secs(15);
const VERSIONS_MAX: u32 = 100;
const ROWS_SENT: usize = 1;
/// The newest lines are enough to see whether the log can be read.
const LOG_BYTES_MAX: u64 = 64 << 10;

pub(super) async fn patient<T>(work: impl Future<Output = T>) -> Result<T, String> {
    tokio::time::timeout(PATIENCE, work)
        .await
        .map_err(|_| format!("no answer within {} seconds", PATIENCE.as_secs()))
}

pub(super) fn host(config: &Config, report: &mut Report) {
    let host = &config.host;
    let exposed = !host.listen.ip().is_loopback();
    let people = config.people.iter().filter(|person| person.token.is_some()).count();
    match (exposed, people) {
        (true, 0) => report.add(
            Level::Error,
            "host",
            format!("`{}` can be reached from outside, and no person has a token", host.listen),
            "add `[people.NAME]` with `roles` and `token-file`, or listen on 127.0.0.1",
        ),
        (_, 0) => report.add(
            Level::Warn,
            "people",
            "nobody is configured: nobody can approve, pull or pause over HTTP",
            "add `[people.NAME]` with `roles` and `token-file`",
        ),
        (_, people) => report.ok("people", format!("{people} with a token")),
    }
    if config.services.is_empty() {
        report.add(
            Level::Warn,
            "services",
            "none is configured: there is nothing to protect",
            "add `[services.NAME]`",
        );
    }
    for source in &config.sources {
        let subject = format!("source {}", source.name);
        if source.routes.is_empty() {
            let help = format!("add `[[sources.{}.routes]]`", source.name);
            report.add(Level::Warn, subject, "it has no routes: every alert stays unrouted", help);
        } else {
            report.ok(
                subject,
                format!("POST {}/hooks/{}, {} routes", host.public_url, source.name, source.routes.len()),
            );
        }
    }
}

pub(super) async fn metrics(name: &str, source: &dyn Metrics, now: UnixMillis, report: &mut Report) {
    let subject = format!("metrics {name}");
    // A name that is in no source: an answer without data shows that the source understands questions.
    let answer = patient(source.instant("ripcord_check_no_such_metric", now)).await;
    match answer {
        Ok(Ok(_)) => report.ok(subject, format!("{} answers", source.name())),
        Ok(Err(Unavailable { reason: UnavailableReason::NoData, .. })) => {
            report.ok(subject, format!("{} answers", source.name()));
        }
        Ok(Err(error)) => {
            report.add(Level::Error, subject, error.to_string(), "check `url` and whether it runs")
        }
        Err(late) => report.add(Level::Error, subject, late, "check `url` and whether it runs"),
    }
}

pub(super) async fn service(config: &ServiceConfig, setup: &ServiceSetup, report: &mut Report) {
    let subject = |what: &str| format!("service {}: {what}", config.name);
    roles(config, setup, report);
    match patient(setup.ports.registry.versions(VERSIONS_MAX)).await {
        Ok(Ok(versions)) if versions.is_empty() => report.add(
            Level::Warn,
            subject("registry"),
            "it has no versions: there is nothing to go back to",
            "register one",
        ),
        Ok(Ok(versions)) => {
            let names: Vec<_> =
                versions.iter().take(5).map(|version| version.version.version.to_string()).collect();
            let more = if versions.len() > 5 { ", …" } else { "" };
            report
                .ok(subject("registry"), format!("{} versions: {}{more}", versions.len(), names.join(", ")));
            for version in versions.iter().filter(|version| version.broken.is_some()) {
                let why = version.broken.clone().unwrap_or_default();
                let text = format!("`{}` cannot be restored: {why}", version.version.version);
                report.add(Level::Warn, subject("registry"), text, "repair or remove it in the registry");
            }
        }
        Ok(Err(error)) => report.add(Level::Error, subject("registry"), error.to_string(), ""),
        Err(late) => report.add(Level::Error, subject("registry"), late, ""),
    }
    production_name(config, setup, report).await;
    if let Ok(Some(why)) = patient(setup.ports.deployer.obstacle()).await {
        let help = "no rollback can be made while this lasts";
        report.add(Level::Error, subject("deployer"), why, help);
    }
    if let Ok(Some(why)) = patient(setup.ports.deployer.warning()).await {
        report.add(Level::Warn, subject("deployer"), why, "");
    }
    if let Some(why) = setup.ports.deployer.beside_obstacle() {
        let (level, help) = match setup.terms.preflight {
            PreflightRule::Required => {
                (Level::Error, "no rollback can be made while `preflight` is `required`")
            }
            PreflightRule::BestEffort => (Level::Warn, "nothing is preflighted while this lasts"),
            PreflightRule::Off => (Level::Warn, "`preflight` is `off`, so this does no harm yet"),
        };
        report.add(level, subject("deployer"), why, help);
    }
    match patient(setup.ports.deployer.live()).await {
        Ok(Ok(live)) => match &live.state {
            LiveState::Serving(_) => {
                let proof = live.state.weakest_proof();
                let text = format!("{} is live", live.state);
                match proof.filter(|proof| *proof < setup.terms.proof_min) {
                    Some(proof) => report.add(
                        Level::Error,
                        subject("deployer"),
                        format!("{text}, proved by {proof}, which is weaker than `proof-min` asks for"),
                        "lower `proof-min`, or give the deployer what it needs to prove more (such as `probe-input`)",
                    ),
                    None => report.ok(
                        subject("deployer"),
                        proof.map_or(text.clone(), |proof| format!("{text}, proved by {proof}")),
                    ),
                }
            }
            LiveState::Unknown(why) => report.add(
                Level::Warn,
                subject("deployer"),
                format!("what is live is not known: {why}"),
                "only a plan that says so can be approved while this lasts",
            ),
        },
        Ok(Err(error)) => report.add(Level::Error, subject("deployer"), error.to_string(), ""),
        Err(late) => report.add(Level::Error, subject("deployer"), late, ""),
    }
    facets::facets(setup, report).await;
    making::making(setup, report).await;
    if setup.terms.deployer == EffectClass::Blind {
        let text =
            "its deployer is blind: after an interruption a person is asked whether the shift happened";
        report.add(Level::Warn, subject("deployer"), text, "give it a way to read live");
    }
    golden(config, setup, report).await;
    requests(config, setup, report).await;
}

/// A production name that points at a version which is not there: whoever loads by that name loads nothing, and a rollback finds nothing that it came from.
async fn production_name(config: &ServiceConfig, setup: &ServiceSetup, report: &mut Report) {
    let registry = &setup.ports.registry;
    let subject = format!("service {}: registry", config.name);
    let named = match patient(registry.promoted()).await {
        Ok(Ok(Some(named))) => named,
        Ok(Err(error)) if error.kind == ErrorKind::Configuration => {
            return report.add(
                Level::Error,
                subject,
                format!("its production name cannot be read: {error}"),
                "",
            );
        }
        _ => return,
    };
    if let Ok(Err(error)) = patient(registry.version(&named)).await
        && error.kind == ErrorKind::NotFound
    {
        let text = format!("its production name points at `{named}`, which is not there: {error}");
        report.add(Level::Error, subject, text, "move it to a version that is there");
    }
}

/// Roles that are filled, and what follows from those that are not.
fn roles(config: &ServiceConfig, setup: &ServiceSetup, report: &mut Report) {
    let subject = format!("service {}: policies", config.name);
    let mode = config.mode;
    let names = |role| {
        let names: Vec<_> =
            setup.policies(role).map(|placed| placed.policy.reference().to_string()).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(" + ") }
    };
    let each: Vec<_> = Role::ALL.into_iter().map(|role| format!("{role}: {}", names(role))).collect();
    report.ok(subject.clone(), format!("mode {mode}; {}", each.join("; ")));
    let mut warn = |text: &str, help: String| report.add(Level::Warn, subject.clone(), text, help);
    let table = |role: &str| format!("add `[[services.{}.{role}]]`", config.name);
    if !has_role(config, Role::Trigger) {
        warn("no trigger: only a person's pull opens an incident", table("triggers"));
    }
    if !has_role(config, Role::Verification) {
        warn(
            "no verification: a rollback counts as well once its version is read back",
            table("verifications"),
        );
    }
    if mode == Mode::Act && !has_role(config, Role::Approval) {
        warn("mode `act` without an approval policy: a person must still approve", table("approvals"));
    }
    if has_role(config, Role::Verification) && config.endpoint.is_none() && config.golden.is_some() {
        warn("golden data without an endpoint: it cannot be sent", "add `endpoint`".to_owned());
    }
}

async fn golden(config: &ServiceConfig, setup: &ServiceSetup, report: &mut Report) {
    for name in &config.golden_sets() {
        let subject = format!("service {}: golden data {name}", config.name);
        let Some(data) = &setup.ports.golden else { continue };
        let rows = match patient(data.rows(name)).await {
            Ok(Ok(rows)) if rows.is_empty() => {
                report.add(Level::Error, subject, "it has no rows", "");
                continue;
            }
            Ok(Ok(rows)) => rows,
            Ok(Err(error)) => {
                report.add(Level::Error, subject, error.to_string(), "");
                continue;
            }
            Err(late) => {
                report.add(Level::Error, subject, late, "");
                continue;
            }
        };
        let Some(endpoint) = &setup.ports.endpoint else {
            report.ok(subject, format!("{} rows", rows.len()));
            continue;
        };
        for row in rows.iter().take(ROWS_SENT) {
            let sent = patient(endpoint.infer(&row.input, None, "check")).await;
            match sent {
                Ok(Ok(reply)) if unlike(&rows, &reply.output).is_some() => {
                    let text = unlike(&rows, &reply.output).unwrap_or_default();
                    let help = "write `expected` as the endpoint answers, or name the output that is judged (`output` of the endpoint)";
                    report.add(Level::Error, subject.clone(), text, help);
                }
                Ok(Ok(reply)) => {
                    let by = reply.answered_by.map_or_else(
                        || "no version named".to_owned(),
                        |by| format!("answered by {}", by.version),
                    );
                    report.ok(
                        subject.clone(),
                        format!("{} rows; the endpoint takes the first one, {by}", rows.len()),
                    );
                }
                Ok(Err(error)) => {
                    let text =
                        format!("{} rows; the endpoint does not take the first one: {error}", rows.len());
                    report.add(Level::Error, subject.clone(), text, "");
                }
                Err(late) => {
                    report.add(Level::Error, subject.clone(), format!("the endpoint gives {late}"), "")
                }
            }
        }
    }
}

/// Why what is expected can never be answered: a row's answer is of the kind of this one.
fn unlike(rows: &[GoldenRow], answer: &Payload) -> Option<String> {
    let reasons = rows.iter().filter_map(|row| match compare(&row.expected, answer) {
        Comparison::Incomparable(why) => Some((row, why)),
        _ => None,
    });
    let mut reasons = reasons.peekable();
    let (row, why) = reasons.peek().map(|(row, why)| (row.input.id.clone(), why.clone()))?;
    let number = reasons.count();
    Some(format!(
        "{number} of {} rows can never be answered right or wrong, so no accuracy would be known: row `{row}`: {why}",
        rows.len()
    ))
}

async fn requests(config: &ServiceConfig, setup: &ServiceSetup, report: &mut Report) {
    let Some(log) = &setup.ports.requests else { return };
    let subject = format!("service {}: request log", config.name);
    let window = Window { start: UnixMillis(0), end: UnixMillis(0) + Millis(u64::MAX >> 1) };
    match patient(log.preserve(window, LOG_BYTES_MAX)).await {
        Ok(Ok(piece)) if piece.lines == 0 => report.add(
            Level::Warn,
            subject,
            "it has no lines yet: there is nothing to preserve",
            "nothing to do if the service is new",
        ),
        Ok(Ok(piece)) => {
            let parsed = log.exchanges(&piece.bytes, 10).len();
            if parsed == 0 {
                let text = "its newest lines are kept as evidence, but cannot be read as requests";
                report.add(Level::Warn, subject, text, "look at the format that the adapter expects");
            } else {
                report.ok(subject, "its newest lines can be read");
            }
        }
        Ok(Err(error)) => report.add(Level::Error, subject, error.to_string(), ""),
        Err(late) => report.add(Level::Error, subject, late, ""),
    }
}
