//! `[services]`: what is protected, under which terms, connected to what.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use ripcord_core::live::Proof;
use ripcord_core::name::{RoleName, ServiceName};
use ripcord_core::plan::Quorum;
use ripcord_core::policy::Role;
use ripcord_core::role::{Criticality, ServiceFacts};
use ripcord_core::signal::Label;
use ripcord_core::terms::{Breaker, Deadlines, EvidenceRule, Mode, PreflightRule, RequesterVote};
use ripcord_core::time::Millis;
use ripcord_ports::{Checkpoints, Deployer, Endpoint, GoldenData, Registry, RequestLog};
use serde::Deserialize;
use toml::Spanned;

use super::adapters::{self, AdapterConfig};
use super::place::Mistakes;
use super::policies::PlacedConfig;
use super::producer::ProducerConfig;
use super::restorers::{RestorerConfig, take_restorers};
use super::table::Node;
use super::units::{Days, Hours, Seconds};
use super::waves::WavesConfig;

/// Trials in one incident, unless configured: a verification that looks again every few minutes for half an hour, on three rungs.
const TRIALS_MAX: u32 = 60;

/// A protected service.
#[derive(Debug, Clone)]
pub struct ServiceConfig {
    /// Its name.
    pub name: ServiceName,
    /// Of the name.
    pub span: Range<usize>,
    /// What policies are told of it.
    pub facts: ServiceFacts,
    /// How far policies may go.
    pub mode: Mode,
    /// Under every approval policy.
    pub floor: Vec<Quorum>,
    /// None is the strongest that the deployer's kind gives.
    pub proof_min: Option<Spanned<Proof>>,
    /// Whether who asked counts.
    pub requester_vote: RequesterVote,
    /// Whether a rollback may go on without all evidence.
    pub evidence: EvidenceRule,
    /// Whether versions are tried before they are shifted to.
    pub preflight: PreflightRule,
    /// Limits on automatic shifts.
    pub breaker: Breaker,
    /// How long things may take.
    pub deadlines: Deadlines,
    /// Trials in one incident.
    pub trials_max: u32,
    /// Triggers are asked this often without any signal.
    pub schedule: Option<Millis>,
    /// Roles whose people may pull.
    pub may_pull: Vec<RoleName>,
    /// Roles whose people may vouch for what is live.
    pub may_adopt: Vec<RoleName>,
    /// Roles whose people may let come back what was condemned.
    pub may_lift: Vec<RoleName>,
    /// Roles whose people's refusal ends a plan; anybody's who may vote where there is none.
    pub veto: Vec<RoleName>,
    /// Whether those who signed a policy of the service count towards its quorums.
    pub authors_agree: bool,
    /// Roles whose people may grant a plan alone.
    pub break_glass: Vec<RoleName>,
    /// Where its versions are kept.
    pub registry: AdapterConfig<dyn Registry>,
    /// What serves it.
    pub deployer: AdapterConfig<dyn Deployer>,
    /// What puts its other facets back.
    pub restorers: Vec<RestorerConfig>,
    /// What a version is shifted in.
    pub waves: WavesConfig,
    /// What makes new versions for it.
    pub producer: Option<ProducerConfig>,
    /// Where the checkpoints of its training runs are kept.
    pub checkpoints: Option<AdapterConfig<dyn Checkpoints>>,
    /// Where it answers.
    pub endpoint: Option<AdapterConfig<dyn Endpoint>>,
    /// Golden data sets by name.
    pub golden: Option<AdapterConfig<dyn GoldenData>>,
    /// The one whose answers identify a version.
    pub fingerprint: Option<Spanned<String>>,
    /// Whether they go through the bad version before the shift.
    pub golden_before: bool,
    /// Its request log.
    pub request_log: Option<AdapterConfig<dyn RequestLog>>,
    /// Names below `[metrics]`; the first is the default.
    pub metrics: Vec<Spanned<String>>,
    /// In the order of the roles, then of the file.
    pub policies: Vec<PlacedConfig>,
    /// The service's table as it stands in the file.
    pub table: serde_json::Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct ServiceKeys {
    #[serde(default)]
    mode: Mode,
    environment: Option<String>,
    criticality: Option<Criticality>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    floor: Vec<QuorumKeys>,
    proof_min: Option<Spanned<Proof>>,
    #[serde(default)]
    requester_counts: bool,
    #[serde(default)]
    evidence: EvidenceRule,
    #[serde(default)]
    preflight: PreflightRule,
    known_good_days: Option<Days>,
    schedule_seconds: Option<Seconds>,
    trials_max: Option<u32>,
    may_pull: Option<Vec<RoleName>>,
    may_adopt: Option<Vec<RoleName>>,
    may_lift: Option<Vec<RoleName>>,
    #[serde(default)]
    veto: Vec<RoleName>,
    authors_agree: Option<bool>,
    break_glass: Option<Vec<RoleName>>,
    fingerprint: Option<Spanned<String>>,
    golden_before: Option<bool>,
    #[serde(default)]
    metrics: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct QuorumKeys {
    role: RoleName,
    people: u32,
}

impl From<QuorumKeys> for Quorum {
    fn from(keys: QuorumKeys) -> Self {
        Self { role: keys.role, people: keys.people }
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct BreakerKeys {
    shifts_per_hour: Option<u32>,
    cool_down_seconds: Option<Seconds>,
    no_return_hours: Option<Hours>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct DeadlineKeys {
    call_seconds: Option<Seconds>,
    evidence_seconds: Option<Seconds>,
    planning_seconds: Option<Seconds>,
    approval_seconds: Option<Seconds>,
    reminder_seconds: Option<Seconds>,
    stage_seconds: Option<Seconds>,
    preflight_seconds: Option<Seconds>,
    shift_seconds: Option<Seconds>,
    read_back_seconds: Option<Seconds>,
    verification_seconds: Option<Seconds>,
    no_data_seconds: Option<Seconds>,
    hold_watch_seconds: Option<Seconds>,
    elsewhere_watch_seconds: Option<Seconds>,
    soak_seconds: Option<Seconds>,
    probation_seconds: Option<Seconds>,
    watch_floor_seconds: Option<Seconds>,
    healthy_seconds: Option<Seconds>,
    reopen_after_seconds: Option<Seconds>,
    readiness_seconds: Option<Seconds>,
}

impl ServiceConfig {
    /// The names of its golden data sets.
    pub fn golden_sets(&self) -> Vec<String> {
        self.golden.as_ref().map(|golden| golden.settings.says()).unwrap_or_default()
    }

    pub(crate) fn read(
        name: &Spanned<String>,
        mut node: Node<'_>,
        base: &Path,
        host_shifts_per_hour: u32,
        mistakes: &mut Mistakes,
    ) -> Option<Self> {
        let span = name.span();
        let (table, _) = node.clone().into_json();
        let before = mistakes.0.len();
        let service = mistakes.ok(&span, ServiceName::new(name.get_ref().as_str()), "");
        if service.as_ref().is_some_and(ServiceName::is_reserved) {
            let text = format!("`{}` begins with `set:`, which stands for sets of services", name.get_ref());
            mistakes.add(span.clone(), text, "name it otherwise");
        }
        let model = node.take_value::<String>("model", mistakes);
        let model = model.map_or_else(|| name.get_ref().clone(), Spanned::into_inner);
        let policies = PlacedConfig::take_all(&mut node, mistakes);
        let registry = adapters::take_of_model(&mut node, "registry", base, &model, mistakes);
        let deployer = adapters::take_of_model(&mut node, "deployer", base, &model, mistakes);
        let restorers = take_restorers(&mut node, base, mistakes);
        let waves = WavesConfig::take(&mut node, mistakes);
        let producer = ProducerConfig::take(&mut node, base, mistakes);
        let checkpoints = adapters::take_optional(&mut node, "checkpoints", base, mistakes);
        let endpoint = adapters::take_endpoint(&mut node, base, deployer.as_ref(), mistakes);
        let request_log = adapters::take_optional(&mut node, "request-log", base, mistakes);
        let before_golden = mistakes.0.len();
        let golden = adapters::take_golden(&mut node, base, mistakes);
        let golden_is_wrong = mistakes.0.len() > before_golden;
        let breaker = node.take_table("breaker", mistakes);
        let breaker: Option<BreakerKeys> =
            breaker.map_or(Some(Default::default()), |node| node.read(mistakes));
        let deadlines = node.take_table("deadlines", mistakes);
        let deadlines: Option<DeadlineKeys> =
            deadlines.map_or(Some(Default::default()), |node| node.read(mistakes));
        let node_span = node.span.clone();
        let keys: Option<ServiceKeys> = node.read(mistakes);
        if policies.iter().any(|placed| placed.role == Role::Trigger)
            && !policies.iter().any(|placed| placed.role == Role::Planner)
            && mistakes.0.len() == before
        {
            mistakes.add(
                node_span,
                format!(
                    "`{}` has triggers and no planner: nothing says where to roll back to",
                    name.get_ref()
                ),
                format!("add `[services.{}.planner]` with `policy = \"last-known-good\"`", name.get_ref()),
            );
        }
        let (keys, breaker, deadlines) = (keys?, breaker?, deadlines?);
        let datasets = golden.as_ref().map(|golden| golden.settings.says()).unwrap_or_default();
        if let Some(dataset) = keys.fingerprint.as_ref().filter(|set| !datasets.contains(set.get_ref()))
            && !golden_is_wrong
        {
            mistakes.add(
                dataset.span(),
                format!(
                    "there is no golden data set `{}`, so nothing is known by its answers",
                    dataset.get_ref()
                ),
                "name one of those below `golden`",
            );
        }
        let facts = ServiceFacts {
            name: service.clone()?,
            environment: keys.environment.unwrap_or_else(|| "production".to_owned()),
            criticality: keys.criticality.unwrap_or(Criticality::Medium),
            model,
            labels: keys.labels.into_iter().map(|(name, value)| Label { name, value }).collect(),
        };
        Some(Self {
            name: service?,
            span,
            facts,
            mode: keys.mode,
            floor: keys.floor.into_iter().map(Into::into).collect(),
            proof_min: keys.proof_min,
            requester_vote: if keys.requester_counts {
                RequesterVote::Counts
            } else {
                RequesterVote::AloneOnly
            },
            evidence: keys.evidence,
            preflight: keys.preflight,
            breaker: breaker.terms(host_shifts_per_hour),
            deadlines: deadlines.terms(keys.known_good_days),
            trials_max: keys.trials_max.unwrap_or(TRIALS_MAX),
            schedule: keys.schedule_seconds.map(|seconds| seconds.0),
            break_glass: keys.break_glass.unwrap_or_else(|| vec![RoleName::admin()]),
            may_pull: keys.may_pull.unwrap_or_else(|| vec![RoleName::operator()]),
            may_adopt: keys.may_adopt.unwrap_or_else(|| vec![RoleName::admin()]),
            may_lift: keys.may_lift.unwrap_or_else(|| vec![RoleName::admin()]),
            veto: keys.veto,
            authors_agree: keys.authors_agree.unwrap_or(true),
            registry: registry?,
            deployer: deployer?,
            restorers,
            waves,
            producer,
            checkpoints,
            endpoint,
            golden,
            fingerprint: keys.fingerprint,
            golden_before: keys.golden_before.unwrap_or(true),
            request_log,
            metrics: keys.metrics,
            policies,
            table,
        })
    }
}

impl BreakerKeys {
    fn terms(self, host_shifts_per_hour: u32) -> Breaker {
        let default = Breaker::default();
        Breaker {
            service_shifts_per_hour: self.shifts_per_hour.unwrap_or(default.service_shifts_per_hour),
            host_shifts_per_hour,
            cool_down: self.cool_down_seconds.map_or(default.cool_down, |seconds| seconds.0),
            no_return: self.no_return_hours.map_or(default.no_return, |hours| hours.0),
        }
    }
}

impl DeadlineKeys {
    fn terms(self, known_good: Option<Days>) -> Deadlines {
        let default = Deadlines::default();
        let or = |seconds: Option<Seconds>, default: Millis| seconds.map_or(default, |seconds| seconds.0);
        Deadlines {
            call: or(self.call_seconds, default.call),
            evidence: or(self.evidence_seconds, default.evidence),
            planning: or(self.planning_seconds, default.planning),
            approval: or(self.approval_seconds, default.approval),
            reminder: or(self.reminder_seconds, default.reminder),
            stage: or(self.stage_seconds, default.stage),
            preflight: or(self.preflight_seconds, default.preflight),
            shift: or(self.shift_seconds, default.shift),
            read_back: or(self.read_back_seconds, default.read_back),
            verification: or(self.verification_seconds, default.verification),
            no_data: or(self.no_data_seconds, default.no_data),
            hold_watch: or(self.hold_watch_seconds, default.hold_watch),
            elsewhere_watch: or(self.elsewhere_watch_seconds, default.elsewhere_watch),
            soak: or(self.soak_seconds, default.soak),
            probation: or(self.probation_seconds, default.probation),
            known_good: known_good.map_or(default.known_good, |days| days.0),
            watch_floor: or(self.watch_floor_seconds, default.watch_floor),
            healthy: or(self.healthy_seconds, default.healthy),
            reopen_after: or(self.reopen_after_seconds, default.reopen_after),
            readiness: or(self.readiness_seconds, default.readiness),
        }
    }
}
