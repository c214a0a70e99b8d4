//! A policy for the suites: all roles in one component, each as simple as can be, so that a test says in its settings and in
//! the world around it what the policy answers.
//!
//! - trigger: the metric `harm` is 0: well; 1: roll back; between: watch. A signal of the rule `fault` makes it fault, one of the rule `panic` makes every role panic.
//! - planner: every good version that is not live and was not tried, newest first; or the same of configurations.
//! - approval and verification: see [`Settings`].

use ripcord_sdk::contract::facts::{Detail, Standing};
use ripcord_sdk::contract::types::{ConfigurationTarget, Facet, FacetState, LiveState, Signal};
use ripcord_sdk::prelude::*;

/// The policy.
#[derive(Debug)]
pub struct Scripted;

ripcord_sdk::export!(Scripted: trigger, planner, approval, verification);

/// How it behaves.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Settings {
    /// When to ask again.
    pub recheck: Duration,
    /// Whether its trigger faults whatever it is asked.
    pub broken: bool,
    /// The urgency of its rollbacks.
    pub urgency: ripcord_sdk::settings::Urgency,
    /// Whether it suspects everything that moved within the last day, each as much as the others.
    pub suspects: bool,
    /// Whether it goes back to earlier configurations, and to no version.
    pub configurations: bool,
    /// A safe mode that it puts at the end of its ladder.
    pub fallback: Option<String>,
    /// What it says to a plan.
    pub approval: Word,
    /// How many people `votes` wants.
    pub people: u32,
    /// How long `votes` waits.
    pub expires: Duration,
    /// When `votes` escalates.
    pub escalate: Option<Duration>,
    /// How it verifies.
    pub verification: Check,
}

/// What it says to a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Word {
    /// Granted.
    Grant,
    /// Granted once so many people agree.
    Votes,
    /// Refused.
    Refuse,
    /// A fault.
    Fault,
}

/// How it verifies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// The golden data set `golden` is answered right nine times of ten.
    Golden,
    /// It never knows.
    Never,
    /// A fault.
    Fault,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            recheck: seconds(1),
            broken: false,
            urgency: ripcord_sdk::settings::Urgency::Urgent,
            suspects: false,
            configurations: false,
            fallback: None,
            approval: Word::Grant,
            people: 2,
            expires: hours(1),
            escalate: None,
            verification: Check::Golden,
        }
    }
}

/// Panics where there is a signal of the rule `panic`.
fn refuse(signals: &[Signal]) {
    assert!(signals.iter().all(|signal| signal.rule != "panic"), "a signal of the rule `panic` came");
}

/// What the trigger remembers.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Raised {
    raised: bool,
}

impl Policy for Scripted {
    type Settings = Settings;
}

impl Trigger for Scripted {
    const FACTS: &'static [FactKind] = &[FactKind::Metric];

    fn assess(case: &TriggerCase, facts: &Facts, settings: &Settings) -> Step<Assessment> {
        if settings.broken {
            return Err(Stop::fail("its settings say so"));
        }
        if case.signals.iter().any(|signal| signal.rule == "fault") {
            return Err(Stop::fail("a signal of the rule `fault` came"));
        }
        if case.signals.iter().any(|signal| signal.rule == "panic") {
            ripcord_sdk::log(&Severity::Warning, "looking for a signal of the rule `panic`");
        }
        refuse(&case.signals);
        let raised: Raised = case.memo();
        let again = case.now() + settings.recheck;
        let harm = facts.metric("harm").get()?;
        let value = harm.ok().and_then(|samples| samples.first()).map(|sample| sample.value);
        Ok(match value {
            None => Assessment::watch(again).remember(&raised),
            Some(value) if value >= 1.0 => {
                let proposal = Proposal::new(format!("harm is {value}")).with(settings.urgency);
                Assessment::roll_back(proposal.since(case.now())).remember(&Raised { raised: true })
            }
            Some(value) if value > 0.0 => Assessment::watch(again).remember(&raised),
            Some(_) if raised.raised || case.all_resolved() => Assessment::stand_down("harm is gone"),
            Some(_) => Assessment::ignore(),
        })
    }
}

impl Planner for Scripted {
    const FACTS: &'static [FactKind] =
        &[FactKind::Versions, FactKind::Configurations, FactKind::Live, FactKind::Changes];

    fn propose(case: &PlannerCase, facts: &Facts, settings: &Settings) -> Step<PlannerAnswer> {
        refuse(&case.signals);
        let mut suspects = Vec::new();
        if settings.suspects {
            let moved = facts.changes(hours(24)).get()?.unwrap_or_default();
            let score = 1.0 / moved.len().max(1) as f64;
            suspects.extend(moved.iter().map(|change| ripcord_sdk::contract::planner::Suspect {
                change: change.clone(),
                score,
                reasons: vec!["it moved".to_owned()],
            }));
        }
        let answer = if settings.configurations {
            propose_configurations(case, facts)
        } else {
            propose_versions(case, facts, settings)
        };
        Ok(PlannerAnswer { suspects, ..answer? })
    }
}

fn propose_versions(case: &PlannerCase, facts: &Facts, settings: &Settings) -> Step<PlannerAnswer> {
    let (versions, live) = facts.all((facts.versions(50), facts.live()))?;
    let live: Vec<String> = match live.map(|live| &live.state) {
        Ok(LiveState::Serving(shares)) => shares.iter().map(|share| share.version.version.clone()).collect(),
        _ => Vec::new(),
    };
    let Ok(versions) = versions else { return Ok(PlannerAnswer::nothing_suitable(Vec::new())) };
    let (mut ladder, mut refused) = (Vec::new(), Vec::new());
    for candidate in versions {
        let target = Target::Version(candidate.version.clone());
        let good = matches!(candidate.standing, Standing::KnownGood | Standing::Attested);
        if !good || case.tried.contains(&target) || live.contains(&candidate.version.version) {
            refused.push(Refusal::new(target, "it is live, was tried or is not good"));
        } else {
            ladder.push(target);
        }
    }
    ladder.extend(settings.fallback.clone().map(Target::Fallback));
    if ladder.is_empty() {
        return Ok(PlannerAnswer::nothing_suitable(refused));
    }
    Ok(PlannerAnswer::choose(Choice { strategy: Strategy::Version, ladder, refused, confidence: None }))
}

fn propose_configurations(case: &PlannerCase, facts: &Facts) -> Step<PlannerAnswer> {
    let (known, live) = facts.all((facts.configurations(50), facts.live()))?;
    let in_force = |target: &ConfigurationTarget| {
        let reads = live.map(|live| live.facets.as_slice()).unwrap_or_default();
        reads.iter().any(|read| match (&read.facet, &read.state) {
            (Facet::Configuration(name), FacetState::InForce(known)) => {
                *name == target.name && known.revision == target.revision
            }
            _ => false,
        })
    };
    let Ok(known) = known else { return Ok(PlannerAnswer::nothing_suitable(Vec::new())) };
    let (mut ladder, mut refused) = (Vec::new(), Vec::new());
    for one in known {
        let named = ConfigurationTarget {
            name: one.name.clone(),
            revision: one.revision.clone(),
            digest: one.digest.clone(),
        };
        let good = matches!(one.standing, Standing::KnownGood | Standing::Attested) && one.restorable;
        let is_in_force = in_force(&named);
        let target = Target::Configuration(named);
        if !good || is_in_force || case.tried.contains(&target) {
            refused.push(Refusal::new(target, "it is in force, was tried or is not good"));
        } else {
            ladder.push(target);
        }
    }
    if ladder.is_empty() {
        return Ok(PlannerAnswer::nothing_suitable(refused));
    }
    let strategy = Strategy::Configuration;
    Ok(PlannerAnswer::choose(Choice { strategy, ladder, refused, confidence: None }))
}

impl Approval for Scripted {
    const FACTS: &'static [FactKind] = &[FactKind::Votes];

    fn authorize(case: &ApprovalCase, facts: &Facts, settings: &Settings) -> Step<ApprovalAnswer> {
        refuse(&case.signals);
        match settings.approval {
            Word::Grant => Ok(ApprovalAnswer::granted()),
            Word::Refuse => Ok(ApprovalAnswer::refused("its settings say so")),
            Word::Fault => Err(Stop::fail("its settings say so")),
            Word::Votes => {
                let votes =
                    facts.votes().get()?.map_or(0, |votes| votes.iter().filter(|vote| vote.granted).count());
                if votes >= settings.people as usize {
                    return Ok(ApprovalAnswer::granted());
                }
                Ok(ApprovalAnswer::waiting(Requirement {
                    quorums: vec![Quorum { role: "approver".to_owned(), people: settings.people }],
                    expires_at: case.opened_at + settings.expires,
                    escalate_to: settings.escalate.map(|_| "the manager".to_owned()),
                    escalate_at: settings.escalate.map(|after| case.opened_at + after),
                }))
            }
        }
    }
}

impl Verification for Scripted {
    const FACTS: &'static [FactKind] = &[FactKind::Golden];

    fn verify(case: &VerificationCase, facts: &Facts, settings: &Settings) -> Step<VerificationAnswer> {
        refuse(&case.signals);
        let again = case.now() + settings.recheck;
        match settings.verification {
            Check::Golden => {}
            Check::Never => return Ok(VerificationAnswer::inconclusive(again, Vec::new())),
            Check::Fault => return Err(Stop::fail("its settings say so")),
        }
        if let Some(wave) = case.wave() {
            let observed = format!("{} of {}", wave.number + 1, wave.waves);
            return Ok(VerificationAnswer::healthy(vec![Finding::passed("wave", observed, "any")]));
        }
        let trial = case.golden(facts, "golden", Detail::Summary)?.get()?;
        let accuracy = trial.ok().and_then(|trial| trial.slices.first()).and_then(|whole| {
            whole.measures.iter().find(|measure| measure.name == "accuracy").map(|measure| measure.value)
        });
        Ok(match accuracy {
            None => VerificationAnswer::inconclusive(again, Vec::new()),
            Some(accuracy) if accuracy >= 0.9 => {
                VerificationAnswer::healthy(vec![Finding::passed("accuracy", accuracy.to_string(), "0.9")])
            }
            Some(accuracy) => {
                VerificationAnswer::unhealthy(vec![Finding::failed("accuracy", accuracy.to_string(), "0.9")])
            }
        })
    }
}
