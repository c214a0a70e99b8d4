//! `ripcord policy try`: what would every policy of a service say at this moment, with the facts that it saw. Nothing is recorded or changed.

use ripcord_core::live::LiveState;
use ripcord_core::name::{IncidentId, PolicyName, ServiceName};
use ripcord_core::policy::Role;
use ripcord_core::role::{
    ApprovalInput, PlannerInput, PlannerVerdict, PromotionSubject, Proposal, Question, RollbackSubject,
    Subject, TriggerVerdict, Urgency, Verdict, VerificationInput,
};
use ripcord_core::target::{Strategy, Target, VersionTarget};
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_engine::{Asked, FactsNow, PlacedPolicy, ask};
use serde_json::json;

use super::asking::{Bench, ask_trigger, remembered, signals};
use super::check::made_up;
use super::{Outcome, Reach};
use crate::cli::Global;
use crate::output::style::{STRONG, WARN, paint};
use crate::output::time::instant;
use crate::output::{Exit, Failure, Page, Progress, asked, text};

/// Where nobody knows since when something is live, verification policies are asked as if it were since then.
const LIVE_SINCE: Millis = Millis::hours(1);

pub(super) async fn run(
    global: &Global,
    service: &ServiceName,
    only: Option<&PolicyName>,
    progress: &Progress,
) -> Outcome {
    let reach = Reach::new(global)?;
    let bench = Bench::open(&reach, service).await?;
    let wanted = |placed: &&PlacedPolicy| only.is_none_or(|only| placed.policy.reference().name == *only);
    let placed: Vec<&PlacedPolicy> = bench.setup.policies.iter().filter(wanted).collect();
    if placed.is_empty() {
        let names: Vec<_> =
            bench.setup.policies.iter().map(|one| format!("`{}`", one.policy.reference().name)).collect();
        return Err(Failure::usage(format!("`{service}` has no such policy"))
            .help(format!("it has {}; `ripcord check` says how each is placed", names.join(", "))));
    }
    let mut trial = Trial { bench: &bench, now: bench.clock.now(), proposal: None, ladder: Vec::new() };
    let mut answers = Vec::new();
    for role in Role::ALL {
        for placed in placed.iter().filter(|placed| placed.role == role) {
            progress.say(format!("asking {} as {role}", placed.policy.reference().name));
            let answer = trial.ask(placed).await?;
            trial.learn(&answer);
            answers.push(answer);
        }
    }
    Ok(page(service, trial.now, &answers))
}

/// One question after the other: what a trigger proposes the planner is asked about, and what that chooses the approval.
struct Trial<'a> {
    bench: &'a Bench,
    now: UnixMillis,
    proposal: Option<Proposal>,
    ladder: Vec<Target>,
}

impl Trial<'_> {
    async fn ask(&self, placed: &PlacedPolicy) -> Result<Asked, Failure> {
        if placed.role == Role::Trigger {
            let Bench { setup, service, .. } = self.bench;
            return ask_trigger(setup, service, self.bench.store(), placed, self.now).await;
        }
        let question = self.question(placed).await?;
        let Bench { setup, service, .. } = self.bench;
        Ok(ask(placed, &question, &FactsNow::new(setup, service, self.bench.store())).await)
    }

    fn learn(&mut self, answer: &Asked) {
        match answer.end.as_ref().map(|answer| &answer.verdict) {
            Ok(Verdict::Trigger(TriggerVerdict::RollBack(proposal))) if self.proposal.is_none() => {
                self.proposal = Some(proposal.clone());
            }
            Ok(Verdict::Planner(PlannerVerdict::Choose(choice), _)) => self.ladder.clone_from(&choice.ladder),
            _ => {}
        }
    }

    fn proposal(&self) -> Proposal {
        self.proposal.clone().unwrap_or_else(|| Proposal {
            cause: "no trigger proposes anything now; this is what it would be like".to_owned(),
            strategy: Strategy::Version,
            urgency: Urgency::Urgent,
            harm_began_at: Some(self.now),
        })
    }

    async fn question(&self, placed: &PlacedPolicy) -> Result<Question, Failure> {
        let (setup, service, now) = (&self.bench.setup, &self.bench.service, self.now);
        let incident = match &service.incident {
            Some(open) => open.id.clone(),
            None => IncidentId::numbered(&setup.name, service.incidents.saturating_add(1)),
        };
        let mut context = made_up::context(setup, placed, now);
        context.incident = Some(incident.clone());
        context.live_since = service.production.since;
        context.memo = remembered(service, self.bench.store(), placed).await?;
        let signals = signals(service, self.bench.store(), placed, now).await?;
        let (proposal, facts) = (self.proposal(), Vec::new());
        let plan = || {
            let plan = made_up::plan(setup, incident.clone(), self.ladder.clone(), now);
            let digest = plan.digest().map_err(|error| Failure::of(Exit::Failed, error))?;
            Ok::<_, Failure>((plan, digest))
        };
        Ok(match placed.role {
            Role::Approval => {
                let (plan, plan_digest) = plan()?;
                let (opened_at, clock_jumped) = (now, Millis(0));
                Question::Approval(ApprovalInput {
                    context,
                    signals,
                    proposal,
                    plan,
                    plan_digest,
                    opened_at,
                    clock_jumped,
                    facts,
                })
            }
            Role::Verification => {
                let subject = match self.live().await {
                    Some((version, since)) => Subject::Promotion(PromotionSubject {
                        version,
                        before: None,
                        noticed_at: since.unwrap_or(now - LIVE_SINCE),
                    }),
                    None => {
                        let (plan, plan_digest) = plan()?;
                        let shifted_at = now - LIVE_SINCE;
                        Subject::Rollback(RollbackSubject {
                            proposal,
                            plan,
                            plan_digest,
                            rung: 0,
                            shifted_at,
                        })
                    }
                };
                let (signals, before, previous) = (Vec::new(), Vec::new(), Vec::new());
                Question::Verification(VerificationInput {
                    context,
                    subject,
                    signals,
                    before,
                    previous,
                    facts,
                })
            }
            Role::Trigger | Role::Planner => {
                Question::Planner(PlannerInput { context, signals, proposal, tried: Vec::new(), facts })
            }
        })
    }

    /// What is live, if it is one version, and since when.
    async fn live(&self) -> Option<(VersionTarget, Option<UnixMillis>)> {
        let live = self.bench.setup.ports.deployer.live().await.ok()?;
        match &live.state {
            LiveState::Serving(_) => Some((live.state.sole_version()?.clone(), live.since)),
            LiveState::Unknown(_) => None,
        }
    }
}

fn page(service: &ServiceName, now: UnixMillis, answers: &[Asked]) -> Page {
    let mut text = text!(
        "{} at {}: only asked, nothing is recorded or changed, and no trial is made\n",
        paint(STRONG, service),
        instant(now)
    );
    for answer in answers {
        text.push(text!("\n{}", asked::page(answer)));
    }
    let faults = answers.iter().filter(|answer| answer.end.is_err()).count();
    let blind =
        |answer: &&Asked| answer.role == Role::Trigger && answer.facts.iter().any(asked::selects_nothing);
    let blind: Vec<&Asked> = answers.iter().filter(blind).collect();
    for answer in &blind {
        let facts = answer.facts.iter().filter(|fact| asked::selects_nothing(fact));
        let asked: Vec<_> = facts.map(|fact| format!("`{}`", asked::request(&fact.request))).collect();
        let said = format!("{} sees nothing of {}", answer.policy.name, asked.join(", "));
        text.push(text!("\n{} {}", paint(WARN, "look:"), said));
    }
    let exit = if faults > 0 || !blind.is_empty() { Exit::Failed } else { Exit::Done };
    let each: Vec<_> = answers.iter().map(asked::json).collect();
    Page::new(exit, text, &json!({ "service": service, "at": now, "policies": each }))
}
