//! The host's words in the words of this version: what every policy is told, and plans. Facts are in `facts`.

use ripcord_core::alert::{Given, StandingAlert};
use ripcord_core::digest::Digest;
use ripcord_core::facet::{Facet, FacetRead, FacetState};
use ripcord_core::live::{LiveState, Proof, Share};
use ripcord_core::plan::{Part, Plan, PlannedStep, Rung};
use ripcord_core::policy::PolicyRef;
use ripcord_core::role::{
    ApprovalInput, Context, Criticality, Finding, Memo, PlannerInput, PreflightSubject, PromotionSubject,
    Proposal, RollbackSubject, ServiceFacts, Subject, TriggerInput, Urgency, VerificationInput, WaveSubject,
};
use ripcord_core::signal::{Label, Origin, Severity, SignalKind, SignalStatus};
use ripcord_core::target::{
    CheckpointTarget, ConfigurationTarget, Exclusion, RetrainTarget, Strategy, Target, VersionTarget, Window,
};
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_core::wave::Moves;

use super::bindings::exports::ripcord::policy::{approval, planner, trigger, verification};
use super::bindings::ripcord::policy::types;

mod facts;

/// Puts a value into the words of the contract. It cannot fail: what the version does not know becomes `other`.
pub(super) trait ToGuest {
    type Guest;
    fn to_guest(&self) -> Self::Guest;
}

impl<T: ToGuest> ToGuest for Vec<T> {
    type Guest = Vec<T::Guest>;
    fn to_guest(&self) -> Self::Guest {
        self.iter().map(T::to_guest).collect()
    }
}

impl<T: ToGuest> ToGuest for Option<T> {
    type Guest = Option<T::Guest>;
    fn to_guest(&self) -> Self::Guest {
        self.as_ref().map(T::to_guest)
    }
}

impl ToGuest for UnixMillis {
    type Guest = u64;
    fn to_guest(&self) -> u64 {
        self.0
    }
}

impl ToGuest for Millis {
    type Guest = u64;
    fn to_guest(&self) -> u64 {
        self.0
    }
}

impl ToGuest for Digest {
    type Guest = String;
    fn to_guest(&self) -> String {
        self.to_string()
    }
}

impl ToGuest for Label {
    type Guest = types::Label;
    fn to_guest(&self) -> types::Label {
        types::Label { name: self.name.clone(), value: self.value.clone() }
    }
}

impl ToGuest for Severity {
    type Guest = types::Severity;
    fn to_guest(&self) -> types::Severity {
        match self {
            Self::Info => types::Severity::Info,
            Self::Warning => types::Severity::Warning,
            Self::Critical => types::Severity::Critical,
            Self::Other(name) => types::Severity::Other(name.clone()),
        }
    }
}

impl ToGuest for Criticality {
    type Guest = types::Criticality;
    fn to_guest(&self) -> types::Criticality {
        match self {
            Self::Low => types::Criticality::Low,
            Self::Medium => types::Criticality::Medium,
            Self::High => types::Criticality::High,
            Self::Other(name) => types::Criticality::Other(name.clone()),
        }
    }
}

impl ToGuest for Strategy {
    type Guest = types::Strategy;
    fn to_guest(&self) -> types::Strategy {
        match self {
            Self::Version => types::Strategy::Version,
            Self::Checkpoint => types::Strategy::Checkpoint,
            Self::Configuration => types::Strategy::Configuration,
            Self::Retrain => types::Strategy::Retrain,
            Self::Fallback => types::Strategy::Fallback,
            Self::Other(name) => types::Strategy::Other(name.clone()),
        }
    }
}

impl ToGuest for Urgency {
    type Guest = types::Urgency;
    fn to_guest(&self) -> types::Urgency {
        match self {
            Self::Routine => types::Urgency::Routine,
            Self::Urgent => types::Urgency::Urgent,
            Self::Emergency => types::Urgency::Emergency,
            Self::Other(name) => types::Urgency::Other(name.clone()),
        }
    }
}

impl ToGuest for Origin {
    type Guest = types::Origin;
    fn to_guest(&self) -> types::Origin {
        match self {
            Self::Webhook(source) => types::Origin::Webhook(source.clone()),
            Self::Schedule => types::Origin::Schedule,
            Self::Person(name) => types::Origin::Person(name.clone()),
            Self::Policy(name) => types::Origin::Policy(name.clone()),
            Self::Other(name) => types::Origin::Other(name.clone()),
        }
    }
}

impl ToGuest for StandingAlert {
    type Guest = types::Signal;
    fn to_guest(&self) -> types::Signal {
        let signal = &self.signal;
        types::Signal {
            id: signal.id.to_string(),
            origin: signal.origin.to_guest(),
            rule: signal.rule.clone(),
            status: match signal.status {
                SignalStatus::Firing => types::SignalStatus::Firing,
                SignalStatus::Resolved => types::SignalStatus::Resolved,
            },
            kind: match signal.kind {
                SignalKind::Condition => types::SignalKind::Condition,
                SignalKind::MissingData => types::SignalKind::MissingData,
                SignalKind::BrokenRule => types::SignalKind::BrokenRule,
                SignalKind::Heartbeat => types::SignalKind::Heartbeat,
                SignalKind::LostSight => types::SignalKind::LostSight,
            },
            severity: signal.severity.to_guest(),
            labels: signal.labels.to_guest(),
            annotations: signal.annotations.to_guest(),
            started_at: signal.started_at.0,
            ended_at: signal.ended_at.to_guest(),
            received_at: self.last_seen_at.0,
            first_seen_at: self.first_seen_at.0,
            count: self.count,
            annotations_left_out: self.given != Given::Whole,
        }
    }
}

impl ToGuest for VersionTarget {
    type Guest = types::VersionTarget;
    fn to_guest(&self) -> types::VersionTarget {
        types::VersionTarget { version: self.version.to_string(), digest: self.digest.to_guest() }
    }
}

impl ToGuest for CheckpointTarget {
    type Guest = types::CheckpointTarget;
    fn to_guest(&self) -> types::CheckpointTarget {
        types::CheckpointTarget { run: self.run.clone(), step: self.step, digest: self.digest.to_guest() }
    }
}

impl ToGuest for ConfigurationTarget {
    type Guest = types::ConfigurationTarget;
    fn to_guest(&self) -> types::ConfigurationTarget {
        types::ConfigurationTarget {
            name: self.name.to_string(),
            revision: self.revision.to_string(),
            digest: self.digest.to_guest(),
        }
    }
}

impl ToGuest for Window {
    type Guest = types::Window;
    fn to_guest(&self) -> types::Window {
        types::Window { start: self.start.0, end: self.end.0 }
    }
}

impl ToGuest for Exclusion {
    type Guest = types::Exclusion;
    fn to_guest(&self) -> types::Exclusion {
        match self {
            Self::Source(source) => types::Exclusion::Source(source.clone()),
            Self::Window(window) => types::Exclusion::Window(window.to_guest()),
            Self::Rows(rows) => types::Exclusion::Rows(rows.clone()),
            Self::Value(of) => types::Exclusion::Value(types::ColumnValue {
                column: of.column.clone(),
                value: of.value.clone(),
            }),
        }
    }
}

impl ToGuest for RetrainTarget {
    type Guest = types::RetrainTarget;
    fn to_guest(&self) -> types::RetrainTarget {
        types::RetrainTarget {
            dataset: self.dataset.clone(),
            revision: self.revision.clone(),
            exclude: self.exclude.to_guest(),
        }
    }
}

impl ToGuest for Target {
    type Guest = types::Target;
    fn to_guest(&self) -> types::Target {
        match self {
            Self::Version(target) => types::Target::Version(target.to_guest()),
            Self::Checkpoint(target) => types::Target::Checkpoint(target.to_guest()),
            Self::Configuration(target) => types::Target::Configuration(target.to_guest()),
            Self::Retrain(target) => types::Target::Retrain(target.to_guest()),
            Self::Fallback(target) => types::Target::Fallback(target.mode.to_string()),
            Self::Other(name) => types::Target::Other(name.clone()),
        }
    }
}

impl ToGuest for Facet {
    type Guest = types::Facet;
    fn to_guest(&self) -> types::Facet {
        match self {
            Self::Model => types::Facet::Model,
            Self::Configuration(name) => types::Facet::Configuration(name.to_string()),
            Self::Fallback => types::Facet::Fallback,
        }
    }
}

impl ToGuest for FacetRead<String> {
    type Guest = types::FacetRead;
    fn to_guest(&self) -> types::FacetRead {
        let state = match &self.state {
            FacetState::InForce(known) => types::FacetState::InForce(types::InForce {
                revision: known.revision.to_string(),
                digest: known.digest.to_guest(),
                proof: known.proof.to_guest(),
            }),
            FacetState::Unknown(why) => types::FacetState::Unknown(why.clone()),
        };
        types::FacetRead { facet: self.facet.to_guest(), state }
    }
}

impl ToGuest for Proof {
    type Guest = types::Proof;
    fn to_guest(&self) -> types::Proof {
        match self {
            Self::Digest => types::Proof::Digest,
            Self::Answer => types::Proof::Answer,
            Self::Fingerprint => types::Proof::Fingerprint,
            Self::ControlPlane => types::Proof::ControlPlane,
        }
    }
}

impl ToGuest for Share {
    type Guest = types::Share;
    fn to_guest(&self) -> types::Share {
        types::Share {
            version: self.version.to_guest(),
            place: self.place.clone(),
            weight: self.weight.get(),
            proof: self.proof.to_guest(),
        }
    }
}

impl ToGuest for LiveState {
    type Guest = types::LiveState;
    fn to_guest(&self) -> types::LiveState {
        match self {
            Self::Serving(shares) => types::LiveState::Serving(shares.to_guest()),
            Self::Unknown(reason) => types::LiveState::Unknown(reason.clone()),
        }
    }
}

impl ToGuest for PlannedStep {
    type Guest = types::PlannedStep;
    fn to_guest(&self) -> types::PlannedStep {
        types::PlannedStep { kind: self.kind.as_str().into(), arguments: self.arguments.to_guest() }
    }
}

impl ToGuest for Rung {
    type Guest = types::Rung;
    fn to_guest(&self) -> types::Rung {
        types::Rung { target: self.target.to_guest(), steps: self.steps.to_guest() }
    }
}

impl ToGuest for Part {
    type Guest = types::Part;
    fn to_guest(&self) -> types::Part {
        types::Part {
            service: self.service.to_string(),
            environment: self.environment.clone(),
            live: self.live.to_guest(),
            facets: self.facets.to_guest(),
            rungs: self.rungs.to_guest(),
        }
    }
}

impl ToGuest for PolicyRef {
    type Guest = types::PolicyRef;
    fn to_guest(&self) -> types::PolicyRef {
        types::PolicyRef {
            name: self.name.to_string(),
            version: self.version.clone(),
            digest: self.digest.to_guest(),
        }
    }
}

impl ToGuest for Plan {
    type Guest = types::Plan;
    fn to_guest(&self) -> types::Plan {
        types::Plan {
            format: self.format,
            installation: self.installation.to_guest(),
            incident: self.incident.to_string(),
            number: self.number,
            strategy: self.strategy.to_guest(),
            parts: self.parts.to_guest(),
            policies: self.policies.to_guest(),
            requested_by: self.requested_by.to_guest(),
            preflighted: self.preflighted,
            drill: self.drill,
            created_at: self.created_at.0,
            expires_at: self.expires_at.0,
        }
    }
}

impl ToGuest for ServiceFacts {
    type Guest = types::Service;
    fn to_guest(&self) -> types::Service {
        types::Service {
            name: self.name.to_string(),
            environment: self.environment.clone(),
            criticality: self.criticality.to_guest(),
            model: self.model.clone(),
            labels: self.labels.to_guest(),
        }
    }
}

impl ToGuest for Memo {
    type Guest = types::Memo;
    fn to_guest(&self) -> types::Memo {
        types::Memo { written_by: self.written_by.clone(), bytes: self.bytes.clone() }
    }
}

impl ToGuest for Context {
    type Guest = types::Context;
    fn to_guest(&self) -> types::Context {
        types::Context {
            service: self.service.to_guest(),
            incident: self.incident.as_ref().map(ToString::to_string),
            now: self.now.0,
            settings: self.settings.clone(),
            drill: self.drill,
            live_since: self.live_since.to_guest(),
            memo: self.memo.to_guest(),
        }
    }
}

impl ToGuest for Proposal {
    type Guest = types::Proposal;
    fn to_guest(&self) -> types::Proposal {
        types::Proposal {
            cause: self.cause.clone(),
            strategy: self.strategy.to_guest(),
            urgency: self.urgency.to_guest(),
            harm_began_at: self.harm_began_at.to_guest(),
        }
    }
}

impl ToGuest for Finding {
    type Guest = types::Finding;
    fn to_guest(&self) -> types::Finding {
        types::Finding {
            check: self.check.clone(),
            passed: self.passed,
            observed: self.observed.clone(),
            expected: self.expected.clone(),
        }
    }
}

impl ToGuest for TriggerInput {
    type Guest = trigger::Input;
    fn to_guest(&self) -> trigger::Input {
        trigger::Input {
            context: self.context.to_guest(),
            signals: self.signals.to_guest(),
            facts: self.facts.to_guest(),
        }
    }
}

impl ToGuest for PlannerInput {
    type Guest = planner::Input;
    fn to_guest(&self) -> planner::Input {
        planner::Input {
            context: self.context.to_guest(),
            signals: self.signals.to_guest(),
            proposal: self.proposal.to_guest(),
            tried: self.tried.to_guest(),
            facts: self.facts.to_guest(),
        }
    }
}

impl ToGuest for ApprovalInput {
    type Guest = approval::Input;
    fn to_guest(&self) -> approval::Input {
        approval::Input {
            context: self.context.to_guest(),
            signals: self.signals.to_guest(),
            proposal: self.proposal.to_guest(),
            plan: self.plan.to_guest(),
            plan_digest: self.plan_digest.to_guest(),
            opened_at: self.opened_at.0,
            clock_jumped: self.clock_jumped.0,
            facts: self.facts.to_guest(),
        }
    }
}

impl ToGuest for Subject {
    type Guest = verification::Subject;
    fn to_guest(&self) -> verification::Subject {
        match self {
            Self::Rollback(subject) => verification::Subject::Rollback(subject.to_guest()),
            Self::Preflight(subject) => verification::Subject::Preflight(subject.to_guest()),
            Self::Wave(subject) => verification::Subject::Wave(subject.to_guest()),
            Self::Promotion(subject) => verification::Subject::Promotion(subject.to_guest()),
        }
    }
}

impl ToGuest for RollbackSubject {
    type Guest = verification::Rollback;
    fn to_guest(&self) -> verification::Rollback {
        verification::Rollback {
            proposal: self.proposal.to_guest(),
            plan: self.plan.to_guest(),
            plan_digest: self.plan_digest.to_guest(),
            rung: self.rung,
            shifted_at: self.shifted_at.0,
        }
    }
}

impl ToGuest for PreflightSubject {
    type Guest = verification::Preflight;
    fn to_guest(&self) -> verification::Preflight {
        verification::Preflight {
            proposal: self.proposal.to_guest(),
            plan: self.plan.to_guest(),
            plan_digest: self.plan_digest.to_guest(),
            rung: self.rung,
        }
    }
}

impl ToGuest for WaveSubject {
    type Guest = verification::Wave;
    fn to_guest(&self) -> verification::Wave {
        verification::Wave {
            proposal: self.proposal.to_guest(),
            plan: self.plan.to_guest(),
            plan_digest: self.plan_digest.to_guest(),
            rung: self.rung,
            number: self.wave.number,
            waves: self.wave.of,
            part: self.wave.moves.to_guest(),
            shifted_at: self.shifted_at.0,
        }
    }
}

impl ToGuest for Moves {
    type Guest = verification::WavePart;
    fn to_guest(&self) -> verification::WavePart {
        match self {
            Self::Place(place) => verification::WavePart::Place(place.clone()),
            Self::Share(share) => verification::WavePart::Share(share.get()),
            Self::Rest => verification::WavePart::Rest,
        }
    }
}

impl ToGuest for PromotionSubject {
    type Guest = verification::Promotion;
    fn to_guest(&self) -> verification::Promotion {
        verification::Promotion {
            version: self.version.to_guest(),
            before: self.before.to_guest(),
            noticed_at: self.noticed_at.0,
        }
    }
}

impl ToGuest for VerificationInput {
    type Guest = verification::Input;
    fn to_guest(&self) -> verification::Input {
        verification::Input {
            context: self.context.to_guest(),
            subject: self.subject.to_guest(),
            signals: self.signals.to_guest(),
            before: self.before.to_guest(),
            previous: self.previous.to_guest(),
            facts: self.facts.to_guest(),
        }
    }
}
