//! What guests of this version answer, checked: a name that is none, or an instant that has passed, is bad output.

use ripcord_core::digest::Digest;
use ripcord_core::fact::{
    CheckpointsQuery, Detail, FactKind, GoldenQuery, MetricQuery, RangeQuery, RecheckQuery, Request,
};
use ripcord_core::name::{ConfigurationName, InvalidName, RoleName, VersionName};
use ripcord_core::plan::Quorum;
use ripcord_core::policy::{Grant, Role};
use ripcord_core::role::{
    Answer, ApprovalVerdict, Finding, Note, PlannerVerdict, Proposal, Requirement, TriggerVerdict, Urgency,
    Verdict, VerificationVerdict,
};
use ripcord_core::signal::Severity;
use ripcord_core::target::{
    CheckpointTarget, ColumnValue, ConfigurationTarget, Exclusion, FallbackTarget, RetrainTarget, Strategy,
    Target, VersionTarget, Window,
};
use ripcord_core::time::{Millis, UnixMillis};

use super::bindings::exports::ripcord::policy::{approval, describe, trigger, verification};
use super::bindings::ripcord::policy::{facts, types};
use super::words::{self, OfGuest};
use crate::fault::{Fault, FaultKind};
use crate::manifest::RawManifest;
use crate::text::cut;

/// What planners answer.
mod planned;

/// What answers are checked against.
#[derive(Debug)]
pub(super) struct Rules {
    /// The instant of the decision, Unix milliseconds.
    pub(super) now: u64,
    /// Longer texts are cut there.
    pub(super) text_bytes_max: usize,
}

/// The rest of a sentence about output that cannot be used.
#[derive(Debug)]
pub(super) struct Bad(String);

impl From<Bad> for Fault {
    fn from(Bad(reason): Bad) -> Self {
        FaultKind::BadOutput { reason }.into()
    }
}

/// Reads a value in the words of the contract.
pub(super) trait FromGuest<G>: Sized {
    fn from_guest(guest: G, rules: &Rules) -> Result<Self, Bad>;
}

impl<G, T: FromGuest<G>> FromGuest<Vec<G>> for Vec<T> {
    fn from_guest(guest: Vec<G>, rules: &Rules) -> Result<Self, Bad> {
        guest.into_iter().map(|item| T::from_guest(item, rules)).collect()
    }
}

impl<G, T: FromGuest<G>> FromGuest<Option<G>> for Option<T> {
    fn from_guest(guest: Option<G>, rules: &Rules) -> Result<Self, Bad> {
        guest.map(|item| T::from_guest(item, rules)).transpose()
    }
}

/// Text for people, or for an adapter that judges it.
impl FromGuest<String> for String {
    fn from_guest(mut guest: String, rules: &Rules) -> Result<Self, Bad> {
        cut(&mut guest, rules.text_bytes_max);
        Ok(guest)
    }
}

impl FromGuest<u64> for UnixMillis {
    fn from_guest(guest: u64, _: &Rules) -> Result<Self, Bad> {
        Ok(Self(guest))
    }
}

impl FromGuest<String> for Digest {
    fn from_guest(mut guest: String, _: &Rules) -> Result<Self, Bad> {
        cut(&mut guest, 200);
        guest.parse().map_err(|error| Bad(format!("{error}")))
    }
}

impl FromGuest<String> for VersionName {
    fn from_guest(guest: String, _: &Rules) -> Result<Self, Bad> {
        Self::new(guest).map_err(|error| Bad(error.to_string()))
    }
}

impl FromGuest<String> for RoleName {
    fn from_guest(guest: String, _: &Rules) -> Result<Self, Bad> {
        Self::new(guest).map_err(|error| Bad(error.to_string()))
    }
}

/// An instant at which the policy wants to be asked again: one that has passed would be a loop without a pause.
fn later(at: u64, rules: &Rules) -> Result<UnixMillis, Bad> {
    if at > rules.now {
        return Ok(UnixMillis(at));
    }
    Err(Bad(format!(
        "it wants to be asked again at {at} ms, which is not after the decision's own {} ms",
        rules.now
    )))
}

impl FromGuest<types::Severity> for Severity {
    fn from_guest(guest: types::Severity, _: &Rules) -> Result<Self, Bad> {
        Ok(Self::of_guest(guest))
    }
}

impl FromGuest<types::Strategy> for Strategy {
    fn from_guest(guest: types::Strategy, rules: &Rules) -> Result<Self, Bad> {
        Ok(match guest {
            types::Strategy::Version => Self::Version,
            types::Strategy::Checkpoint => Self::Checkpoint,
            types::Strategy::Configuration => Self::Configuration,
            types::Strategy::Retrain => Self::Retrain,
            types::Strategy::Fallback => Self::Fallback,
            types::Strategy::Other(name) => Self::Other(String::from_guest(name, rules)?),
        })
    }
}

impl FromGuest<types::Urgency> for Urgency {
    fn from_guest(guest: types::Urgency, rules: &Rules) -> Result<Self, Bad> {
        Ok(match guest {
            types::Urgency::Routine => Self::Routine,
            types::Urgency::Urgent => Self::Urgent,
            types::Urgency::Emergency => Self::Emergency,
            types::Urgency::Other(name) => Self::Other(String::from_guest(name, rules)?),
        })
    }
}

impl FromGuest<types::Window> for Window {
    fn from_guest(guest: types::Window, _: &Rules) -> Result<Self, Bad> {
        if guest.start > guest.end {
            return Err(Bad(format!(
                "a window starts at {} ms and ends before, at {} ms",
                guest.start, guest.end
            )));
        }
        Ok(Self { start: UnixMillis(guest.start), end: UnixMillis(guest.end) })
    }
}

impl FromGuest<types::VersionTarget> for VersionTarget {
    fn from_guest(guest: types::VersionTarget, rules: &Rules) -> Result<Self, Bad> {
        Ok(Self {
            version: VersionName::from_guest(guest.version, rules)?,
            digest: Option::from_guest(guest.digest, rules)?,
        })
    }
}

impl FromGuest<types::Exclusion> for Exclusion {
    fn from_guest(guest: types::Exclusion, rules: &Rules) -> Result<Self, Bad> {
        let exclusion = match guest {
            types::Exclusion::Source(source) => Self::Source(identifier("data source", source)?),
            types::Exclusion::Window(window) => Self::Window(Window::from_guest(window, rules)?),
            types::Exclusion::Rows(rows) => Self::Rows(rows),
            types::Exclusion::Value(of) => {
                let (column, value) = (identifier("data column", of.column)?, of.value);
                Self::Value(ColumnValue { column, value })
            }
        };
        match exclusion.problem() {
            Some(problem) => Err(Bad(problem)),
            None => Ok(exclusion),
        }
    }
}

/// A name in another system's own form: kept as it is, so it must be there and must not be endless.
fn identifier(what: &str, text: String) -> Result<String, Bad> {
    const BYTES_MAX: usize = 500;
    if (1..=BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control) {
        return Ok(text);
    }
    let shown: String = text.chars().take(60).collect();
    Err(Bad(format!(
        "{shown:?} is not the name of a {what}: 1 to {BYTES_MAX} bytes without control characters"
    )))
}

/// A name of this host's own form.
fn checked<T>(what: &str, name: Result<T, InvalidName>) -> Result<T, Bad> {
    name.map_err(|error| Bad(format!("the name of a {what}: {error}")))
}

impl FromGuest<types::Target> for Target {
    fn from_guest(guest: types::Target, rules: &Rules) -> Result<Self, Bad> {
        Ok(match guest {
            types::Target::Version(version) => Self::Version(VersionTarget::from_guest(version, rules)?),
            types::Target::Checkpoint(checkpoint) => Self::Checkpoint(CheckpointTarget {
                run: identifier("training run", checkpoint.run)?,
                step: checkpoint.step,
                digest: Option::from_guest(checkpoint.digest, rules)?,
            }),
            types::Target::Configuration(configuration) => Self::Configuration(ConfigurationTarget {
                name: checked("configuration", ConfigurationName::new(configuration.name))?,
                revision: checked("revision", VersionName::new(configuration.revision))?,
                digest: Option::from_guest(configuration.digest, rules)?,
            }),
            types::Target::Retrain(retrain) => Self::Retrain(RetrainTarget {
                dataset: identifier("data set", retrain.dataset)?,
                revision: identifier("revision", retrain.revision)?,
                exclude: Vec::from_guest(retrain.exclude, rules)?,
            }),
            types::Target::Fallback(name) => Self::Fallback(FallbackTarget {
                mode: checked("fallback", VersionName::new(name))?,
                digest: None,
            }),
            types::Target::Other(name) => Self::Other(identifier("target", name)?),
        })
    }
}

impl FromGuest<types::Proposal> for Proposal {
    fn from_guest(guest: types::Proposal, rules: &Rules) -> Result<Self, Bad> {
        Ok(Self {
            cause: String::from_guest(guest.cause, rules)?,
            strategy: Strategy::from_guest(guest.strategy, rules)?,
            urgency: Urgency::from_guest(guest.urgency, rules)?,
            harm_began_at: Option::from_guest(guest.harm_began_at, rules)?,
        })
    }
}

impl FromGuest<types::Note> for Note {
    fn from_guest(guest: types::Note, rules: &Rules) -> Result<Self, Bad> {
        Ok(Self {
            severity: Severity::from_guest(guest.severity, rules)?,
            text: String::from_guest(guest.text, rules)?,
        })
    }
}

impl FromGuest<types::Finding> for Finding {
    fn from_guest(guest: types::Finding, rules: &Rules) -> Result<Self, Bad> {
        Ok(Self {
            check: String::from_guest(guest.check, rules)?,
            passed: guest.passed,
            observed: String::from_guest(guest.observed, rules)?,
            expected: String::from_guest(guest.expected, rules)?,
        })
    }
}

impl FromGuest<facts::Detail> for Detail {
    fn from_guest(guest: facts::Detail, _: &Rules) -> Result<Self, Bad> {
        Ok(match guest {
            facts::Detail::Summary => Self::Summary,
            facts::Detail::Rows => Self::Rows,
        })
    }
}

/// Requests are never cut: a shortened query would be another one.
impl FromGuest<facts::Request> for Request {
    fn from_guest(guest: facts::Request, rules: &Rules) -> Result<Self, Bad> {
        Ok(match guest {
            facts::Request::Metric(query) => Self::Metric(MetricQuery {
                source: query.source,
                query: query.query,
                at: Option::from_guest(query.at, rules)?,
            }),
            facts::Request::MetricRange(query) => {
                if query.step == 0 {
                    return Err(Bad("it asks for a metric range with a step of 0 ms".into()));
                }
                Self::MetricRange(RangeQuery {
                    source: query.source,
                    query: query.query,
                    window: Window::from_guest(query.window, rules)?,
                    step: Millis(query.step),
                })
            }
            facts::Request::Versions(limit) => Self::Versions(limit),
            facts::Request::Live => Self::Live,
            facts::Request::Checkpoints(query) => {
                Self::Checkpoints(CheckpointsQuery { run: query.run, limit: query.limit })
            }
            facts::Request::Configurations(limit) => Self::Configurations(limit),
            facts::Request::Changes(window) => Self::Changes(Window::from_guest(window, rules)?),
            facts::Request::Fleet => Self::Fleet,
            facts::Request::Lineage(version) => Self::Lineage(VersionTarget::from_guest(version, rules)?),
            facts::Request::Golden(query) => Self::Golden(GoldenQuery {
                dataset: identifier("data set", query.dataset)?,
                candidate: Option::from_guest(query.candidate, rules)?,
                detail: Detail::from_guest(query.detail, rules)?,
            }),
            facts::Request::Captured(limit) => Self::Captured(limit),
            facts::Request::Recheck(query) => Self::Recheck(RecheckQuery {
                candidate: Option::from_guest(query.candidate, rules)?,
                limit: query.limit,
                detail: Detail::from_guest(query.detail, rules)?,
            }),
            facts::Request::History(window) => Self::History(Window::from_guest(window, rules)?),
            facts::Request::Votes => Self::Votes,
        })
    }
}

impl FromGuest<trigger::Verdict> for TriggerVerdict {
    fn from_guest(guest: trigger::Verdict, rules: &Rules) -> Result<Self, Bad> {
        Ok(match guest {
            trigger::Verdict::Ignore => Self::Ignore,
            trigger::Verdict::Watch(at) => Self::Watch(later(at, rules)?),
            trigger::Verdict::RollBack(proposal) => Self::RollBack(Proposal::from_guest(proposal, rules)?),
            trigger::Verdict::StandDown(reason) => Self::StandDown(String::from_guest(reason, rules)?),
        })
    }
}

impl FromGuest<approval::Quorum> for Quorum {
    fn from_guest(guest: approval::Quorum, rules: &Rules) -> Result<Self, Bad> {
        Ok(Self { role: RoleName::from_guest(guest.role, rules)?, people: guest.people })
    }
}

impl FromGuest<approval::Verdict> for ApprovalVerdict {
    fn from_guest(guest: approval::Verdict, rules: &Rules) -> Result<Self, Bad> {
        Ok(match guest {
            approval::Verdict::Granted => Self::Granted,
            approval::Verdict::Waiting(requirement) => Self::Waiting(Requirement {
                quorums: Vec::from_guest(requirement.quorums, rules)?,
                expires_at: UnixMillis(requirement.expires_at),
                escalate_to: Option::from_guest(requirement.escalate_to, rules)?,
                escalate_at: Option::from_guest(requirement.escalate_at, rules)?,
            }),
            approval::Verdict::Refused(reason) => Self::Refused(String::from_guest(reason, rules)?),
        })
    }
}

impl FromGuest<verification::Verdict> for VerificationVerdict {
    fn from_guest(guest: verification::Verdict, rules: &Rules) -> Result<Self, Bad> {
        Ok(match guest {
            verification::Verdict::Healthy => Self::Healthy,
            verification::Verdict::Unhealthy => Self::Unhealthy,
            verification::Verdict::Inconclusive(at) => Self::Inconclusive(later(at, rules)?),
        })
    }
}

impl FromGuest<words::Answer> for Answer {
    fn from_guest(guest: words::Answer, rules: &Rules) -> Result<Self, Bad> {
        let (verdict, notes, memo) = match guest {
            words::Answer::Trigger(answer) => {
                let verdict = TriggerVerdict::from_guest(answer.verdict, rules)?;
                (Verdict::Trigger(verdict), answer.notes, answer.memo)
            }
            words::Answer::Planner(answer) => {
                let verdict = PlannerVerdict::from_guest(answer.verdict, rules)?;
                let suspects = planned::suspects(answer.suspects, rules)?;
                (Verdict::Planner(verdict, suspects), answer.notes, Vec::new())
            }
            words::Answer::Approval(answer) => {
                let verdict = ApprovalVerdict::from_guest(answer.verdict, rules)?;
                (Verdict::Approval(verdict), answer.notes, Vec::new())
            }
            words::Answer::Verification(answer) => {
                let verdict = VerificationVerdict::from_guest(answer.verdict, rules)?;
                let findings = Vec::from_guest(answer.findings, rules)?;
                (Verdict::Verification(verdict, findings), answer.notes, answer.memo)
            }
        };
        Ok(Self { verdict, notes: Vec::from_guest(notes, rules)?, memo })
    }
}

impl FromGuest<describe::FactKind> for FactKind {
    fn from_guest(guest: describe::FactKind, _: &Rules) -> Result<Self, Bad> {
        Ok(match guest {
            describe::FactKind::Metric => Self::Metric,
            describe::FactKind::MetricRange => Self::MetricRange,
            describe::FactKind::Versions => Self::Versions,
            describe::FactKind::Live => Self::Live,
            describe::FactKind::Checkpoints => Self::Checkpoints,
            describe::FactKind::Configurations => Self::Configurations,
            describe::FactKind::Changes => Self::Changes,
            describe::FactKind::Fleet => Self::Fleet,
            describe::FactKind::Lineage => Self::Lineage,
            describe::FactKind::Golden => Self::Golden,
            describe::FactKind::Captured => Self::Captured,
            describe::FactKind::Recheck => Self::Recheck,
            describe::FactKind::History => Self::History,
            describe::FactKind::Votes => Self::Votes,
        })
    }
}

impl FromGuest<describe::Grant> for Grant {
    fn from_guest(guest: describe::Grant, rules: &Rules) -> Result<Self, Bad> {
        let role = match guest.role {
            describe::Role::Trigger => Role::Trigger,
            describe::Role::Planner => Role::Planner,
            describe::Role::Approval => Role::Approval,
            describe::Role::Verification => Role::Verification,
        };
        Ok(Self { role, may_request: Vec::from_guest(guest.may_request, rules)? })
    }
}

impl FromGuest<describe::Manifest> for RawManifest {
    fn from_guest(guest: describe::Manifest, rules: &Rules) -> Result<Self, Bad> {
        Ok(Self {
            name: guest.name,
            version: guest.version,
            summary: guest.summary,
            settings_schema: guest.settings_schema,
            grants: Vec::from_guest(guest.grants, rules)?,
        })
    }
}

#[cfg(test)]
mod tests;
