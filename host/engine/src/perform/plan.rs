//! Asking the planner, or taking a person's target, and drafting the immutable plan.

use ripcord_core::blob::BlobKind;
use ripcord_core::canonical;
use ripcord_core::event::{Event, FaultNature, PlanDrafted, PlanWord, Planned};
use ripcord_core::facet::{Facet, Revision};
use ripcord_core::fact::{Fact, Unavailable, UnavailableReason};
use ripcord_core::live::LiveState;
use ripcord_core::name::IncidentId;
use ripcord_core::plan::{PLAN_FORMAT, Part, Plan, PlannedStep, RUNGS_MAX, Rung, StepKind};
use ripcord_core::policy::Role;
use ripcord_core::role::{PlannerInput, PlannerVerdict, RefusedTarget};
use ripcord_core::service::{Incident, PastRun, Phase, RunEnd};
use ripcord_core::signal::{Label, Origin};
use ripcord_core::target::{ConfigurationTarget, FallbackTarget, Target, VersionTarget};
use ripcord_core::terms::{Mode, PreflightRule};
use ripcord_ports::store::StoreError;
use ripcord_ports::{ErrorKind, PortError};

use super::fetch::fetch;
use crate::ahead::{Asked as AskedAhead, Proposed};
use crate::batch::Batch;
use crate::context::Context;
use crate::decide::{context, decide};
use crate::facets;
use crate::facts::checkpoints_left_out;
use crate::nature;
use futures_util::FutureExt;
use futures_util::future::try_join_all;

/// What a plan is to be made for.
pub(super) struct Asked {
    pub(super) incident: IncidentId,
    /// The number that the plan will have.
    pub(super) number: u32,
    /// What a person asked for; none leaves it to the planner.
    pub(super) wanted: Option<Target>,
    /// Who asked so far.
    pub(super) requested_by: Vec<Origin>,
}

pub(super) async fn plan(ctx: &Context, asked: Asked, tried: Vec<Target>) -> Batch {
    ctx.host.ahead.along(&ctx.setup.name, make(ctx, asked, tried)).await
}

async fn make(ctx: &Context, asked: Asked, tried: Vec<Target>) -> Batch {
    let Some(incident) = ctx.incident() else { return Batch::default() };
    let mut batch = Batch::default();
    let Asked { incident: id, number, wanted, requested_by } = asked;
    let (mut left_out, mut suspects, mut confidence) = (None, None, None);
    let (decision, word) = match wanted.clone() {
        Some(target) => match why_not(ctx, &target, &[]).filter(|_| target.version().is_none()) {
            Some(why) => {
                let reason = batch.text(format!("{target}: {why}"));
                (None, PlanWord::Failed { reason, nature: FaultNature::Deterministic })
            }
            None => (None, draft(ctx, incident, number, vec![target], &mut batch).await),
        },
        None => {
            let ahead = match AskedAhead::of(&ctx.service, number, &tried) {
                Some(asked) => ctx.host.ahead.decision(&ctx.setup.name, &asked).await,
                None => None,
            };
            let decided = match ahead {
                Some(decided) => Some(decided),
                None => match ask(ctx, tried).await {
                    Ok(decided) => decided,
                    Err(error) => return ctx.read_later(&error),
                },
            };
            let Some(decided) = decided else {
                let reason = batch.text(format!(
                    "no planner is configured; `ripcord pull {} --to VERSION` names the version",
                    ctx.setup.name
                ));
                let word = PlanWord::Failed { reason, nature: FaultNature::Deterministic };
                return batch.with(Event::Planned(Planned {
                    incident: id,
                    number,
                    wanted,
                    requested_by,
                    decision: None,
                    left_out,
                    suspects,
                    confidence,
                    word,
                }));
            };
            let (missing, unusable) = (missing(&decided.facts), checkpoints_left_out(&decided.facts));
            batch.absorb(decided.batch);
            let end = decided.end.map(|(verdict, suspected)| {
                suspects = (!suspected.is_empty()).then(|| batch.json(BlobKind::Suspects, &suspected));
                verdict
            });
            let word = match end {
                Err(fault) => PlanWord::Failed {
                    reason: batch.text(fault.to_string()),
                    nature: nature::of_fault(&fault),
                },
                Ok(PlannerVerdict::Choose(choice)) => {
                    let first = choice.ladder.first().cloned();
                    let (ladder, refused) = readable(ctx, choice.ladder);
                    // It was said of a target that the plan may have left out.
                    confidence = choice.confidence.filter(|_| ladder.first() == first.as_ref());
                    if ladder.is_empty() && !refused.is_empty() {
                        PlanWord::NothingSuitable(batch.text(why_refused(&refused)))
                    } else {
                        let refused = (!refused.is_empty()).then(|| why_refused(&refused));
                        let why: Vec<_> = refused.into_iter().chain(unusable).collect();
                        left_out = (!why.is_empty()).then(|| batch.text(why.join("\n")));
                        draft(ctx, incident, number, ladder, &mut batch).await
                    }
                }
                // What could not be read may hold what is suitable.
                Ok(PlannerVerdict::NothingSuitable(refused)) => match missing {
                    Some(missing) => {
                        let reason = batch.text(format!("{missing}; {}", why_refused(&refused)));
                        PlanWord::Failed { reason, nature: FaultNature::Environmental }
                    }
                    None => PlanWord::NothingSuitable(batch.text(why_refused(&refused))),
                },
                Ok(PlannerVerdict::WillNotHelp(no_help)) => PlanWord::WillNotHelp {
                    reason: batch.text(no_help.reason),
                    hand_over_to: no_help.hand_over_to.map(|who| batch.text(who)),
                },
            };
            (Some(decided.decision), word)
        }
    };
    batch.with(Event::Planned(Planned {
        incident: id,
        number,
        wanted,
        requested_by,
        decision,
        left_out,
        suspects,
        confidence,
        word,
    }))
}

/// What the planner says; none where there is none. An error says that something of the question cannot be read now.
async fn ask(ctx: &Context, tried: Vec<Target>) -> Result<Option<Proposed>, StoreError> {
    let (Some(incident), Some(placed)) = (ctx.incident(), ctx.setup.policies(Role::Planner).next()) else {
        return Ok(None);
    };
    let input = PlannerInput {
        context: context(ctx, placed, Role::Planner, ctx.now()).await?,
        signals: ctx.alerts().await?,
        proposal: ctx.proposal(&incident.reason).await?,
        tried,
        facts: Vec::new(),
    };
    Ok(Some(decide(ctx, placed, input, None).await))
}

/// Asks the planner before its turn, and fetches what it wants to go back to where that may be shifted to.
pub(super) fn think_ahead(ctx: &Context) {
    let Some(incident) = ctx.incident() else { return };
    let number = u32::try_from(incident.plans.len()).unwrap_or(u32::MAX).saturating_add(1);
    let plans = ctx.setup.policies(Role::Planner).next().is_some() && incident.wanted.is_none();
    let Some(asked) = AskedAhead::of(&ctx.service, number, &incident.ladder.tried).filter(|_| plans) else {
        return;
    };
    let (thinker, fetcher, tried) = (ctx.clone(), ctx.clone(), incident.ladder.tried.clone());
    // What cannot be read now is tried again when it is the planner's turn.
    let decide = async move { ask(&thinker, tried).await.ok().flatten() };
    ctx.host.ahead.begin(&ctx.setup.name, asked, decide, move |target| {
        async move {
            if let (Some(target), false) = (target, fetcher.setup.terms.mode == Mode::Observe) {
                // A failure shows when it is the target's turn, which tries again.
                drop(fetch(&fetcher, &target).await);
            }
        }
        .boxed()
    });
}

/// Why facts are missing that a system may give later.
fn missing(facts: &[Fact]) -> Option<String> {
    let later = |missing: &&Unavailable| {
        matches!(missing.reason, UnavailableReason::Failed | UnavailableReason::TimedOut)
    };
    let why: Vec<_> = facts.iter().filter_map(|fact| fact.value.as_ref().err()).filter(later).collect();
    if why.is_empty() {
        None
    } else {
        Some(why.iter().map(|one| one.message.clone()).collect::<Vec<_>>().join("; "))
    }
}

/// The targets that a read-back can show and that are not held, of one facet, as many as a plan has at most; and why the others are left out.
fn readable(ctx: &Context, ladder: Vec<Target>) -> (Vec<Target>, Vec<RefusedTarget>) {
    let (mut shown, mut refused) = (Vec::<Target>::new(), Vec::new());
    for target in ladder {
        match why_not(ctx, &target, &shown).or_else(|| came_to_nothing(ctx, &target)) {
            Some(reason) => refused.push(RefusedTarget { target, reason }),
            None => shown.push(target),
        }
    }
    (shown, refused)
}

/// Why rules alone do not have the same made again: a run for it ended lately without a version.
fn came_to_nothing(ctx: &Context, target: &Target) -> Option<String> {
    let lately = |past: &&PastRun| {
        past.ordered.target == *target && ctx.now() < past.ended_at + ctx.setup.terms.breaker.no_return
    };
    let past = ctx.service.producing.past.iter().rev().find(lately)?;
    let made_nothing = !matches!(past.end, RunEnd::Made { .. });
    made_nothing.then(|| {
        format!(
            "the run that `{}` ordered for it ended without a version {} ago: `ripcord pull {}` with the same target tries it all the same",
            past.ordered.incident,
            ctx.now().since(past.ended_at),
            ctx.setup.name
        )
    })
}

/// Why a version is not to be made of it.
fn why_not_made(ctx: &Context, target: &Target, shown: &[Target]) -> Option<String> {
    let made = ctx.setup.terms.producer_of(target).and(ctx.setup.ports.producer.as_ref());
    if !made.is_some_and(|producer| producer.makes(target)) {
        return Some("nothing is configured that makes a version of it".to_owned());
    }
    if let Some(run) = &ctx.service.producing.run {
        return Some(format!(
            "the run that `{0}` ordered ({1}) goes on, and one goes on at a time: `ripcord runs stop {0} --reason TEXT` ends it",
            run.ordered.incident, run.ordered.target
        ));
    }
    let first = shown.first()?;
    Some(format!(
        "a plan makes one version or puts one facet back, and this one begins with {first}: what comes after it depends on what becomes of that"
    ))
}

/// Why a target does not go into a plan that holds these already.
fn why_not(ctx: &Context, target: &Target, shown: &[Target]) -> Option<String> {
    if target.is_produced() {
        return why_not_made(ctx, target, shown);
    }
    let (ports, service) = (&ctx.setup.ports, &ctx.setup.name);
    let Some(revision) = target.revision().filter(|_| facets::shows(ports, target)) else {
        let of = match target.facet() {
            None | Some(Facet::Model) => {
                format!("`{}` cannot show whether it is served", ports.deployer.name())
            }
            Some(facet) => {
                format!("nothing is configured that puts `{facet}` back and shows what is in force")
            }
        };
        return Some(format!(
            "{of}, so nobody would know whether the service is back; bring it about by hand, or configure what shows it"
        ));
    };
    if ctx.service.is_held(&revision) {
        return Some(format!(
            "`{revision}` is held: it was condemned; `ripcord hold list {service}` says by what"
        ));
    }
    if let Some(version) = revision.version().filter(|version| ctx.service.is_unfetchable(version)) {
        return Some(format!(
            "the artefact of `{version}` could not be fetched when it was tried last, and the log says why; mend the registry, or `ripcord pull {service} --to {version}` tries it all the same"
        ));
    }
    if let Some(first) = shown.first().filter(|first| first.facet() != target.facet()) {
        return Some(format!(
            "a plan moves one facet, and this one begins with {first}: where that does not help, the next plan is made under what it has left, and agreed to by itself"
        ));
    }
    (shown.len() == RUNGS_MAX).then(|| format!("a plan has {RUNGS_MAX} targets at most"))
}

fn why_refused(refused: &[RefusedTarget]) -> String {
    if refused.is_empty() {
        return "the registry holds no version".to_owned();
    }
    refused.iter().map(|one| format!("{}: {}", one.target, one.reason)).collect::<Vec<_>>().join("\n")
}

/// Pins every target, reads live, and writes the plan down.
async fn draft(
    ctx: &Context,
    incident: &Incident,
    number: u32,
    ladder: Vec<Target>,
    batch: &mut Batch,
) -> PlanWord {
    let first = ladder.first().cloned();
    let pinning = try_join_all(ladder.into_iter().map(|target| pinned(ctx, target)));
    let deployer = &ctx.setup.ports.deployer;
    let obstacle = obstacle(ctx, first.as_ref());
    let (pinned, live, facets, obstacle) = tokio::join!(pinning, deployer.live(), ctx.facets(), obstacle);
    // What no target can be shifted to is not put before people.
    if let Some(why) = obstacle {
        let reason = batch.text(format!("nothing can be shifted: {why}"));
        return PlanWord::Failed { reason, nature: FaultNature::Deterministic };
    }
    let live = match live {
        Ok(live) => live.state,
        // A plan that does not know what is live is for people: first the system has its time to come back.
        Err(error)
            if may_wait(ctx, incident) && nature::of_port_error(&error) == FaultNature::Environmental =>
        {
            let reason = batch.text(format!("what is live cannot be read: {error}"));
            return PlanWord::Failed { reason, nature: FaultNature::Environmental };
        }
        Err(error) => LiveState::Unknown(error.to_string()),
    };
    let targets = match pinned {
        Ok(targets) => targets,
        Err(error) => {
            let nature = nature::of_port_error(&error);
            return PlanWord::Failed { reason: batch.text(error.to_string()), nature };
        }
    };
    let created_at = ctx.now();
    let expires_at = created_at + ctx.setup.terms.deadlines.approval;
    let Some(first) = targets.first() else {
        return PlanWord::NothingSuitable(batch.text("the planner chose nothing"));
    };
    let strategy = first.strategy();
    let why_not = why_not_preflighted(ctx);
    let preflighted = why_not.is_none() && targets.iter().any(|target| target.version().is_some());
    let plan = Plan {
        format: PLAN_FORMAT,
        installation: ctx.host.installation,
        incident: incident.id.clone(),
        number,
        strategy: strategy.clone(),
        parts: vec![Part {
            service: ctx.setup.name.clone(),
            environment: ctx.setup.terms.environment.clone(),
            live: live.clone(),
            facets: facets.clone(),
            rungs: targets.iter().map(|target| rung(ctx, target, why_not)).collect(),
        }],
        policies: ctx.setup.terms.policies.iter().map(|used| used.policy.clone()).collect(),
        requested_by: incident.requested_by.clone(),
        preflighted,
        drill: false,
        leaving: incident.leaving,
        created_at,
        expires_at,
    };
    let (digest, content) = match (plan.digest(), canonical::json(&plan)) {
        (Ok(digest), Ok(content)) => (digest, content),
        (Err(error), _) | (_, Err(error)) => {
            let reason = batch.text(format!("the plan has no canonical form: {error}"));
            return PlanWord::Failed { reason, nature: FaultNature::Deterministic };
        }
    };
    let content = batch.blob(BlobKind::Plan, content);
    let (live, facets) = (batch.observed(&live), batch.observed_facets(&facets));
    PlanWord::Drafted(PlanDrafted {
        content,
        digest,
        number,
        strategy,
        targets,
        live,
        facets,
        leaving: incident.leaving,
        equipment: ctx.setup.terms.equipment,
        preflighted,
        expires_at,
    })
}

/// What makes every shift of the target's facet impossible, or every run.
async fn obstacle(ctx: &Context, first: Option<&Target>) -> Option<String> {
    let ports = &ctx.setup.ports;
    if first.is_some_and(Target::is_produced) {
        return ports.producer.as_ref()?.obstacle().await;
    }
    let facet = first.and_then(Target::facet).unwrap_or(Facet::Model);
    if facet != Facet::Model {
        return ports.restorers.get(&facet)?.obstacle().await;
    }
    let required = ctx.setup.terms.preflight == PreflightRule::Required;
    let beside = || ports.deployer.beside_obstacle().filter(|_| required);
    ports.deployer.obstacle().await.or_else(beside)
}

/// Whether the next try still comes before the end of the step.
fn may_wait(ctx: &Context, incident: &Incident) -> bool {
    let Phase::Planning(waiting) = incident.phase else { return false };
    let end = waiting.since + ctx.setup.terms.deadlines.planning;
    waiting.later(ctx.now()).due_at.is_some_and(|next| next < end)
}

/// The target with its digest: the one that was pinned here, else that of the registry or of the facet's history.
async fn pinned(ctx: &Context, target: Target) -> Result<Target, PortError> {
    let known = target.revision().and_then(|revision| ctx.service.known_of(&revision)?.digest);
    let known = target.digest().or(known);
    match target {
        Target::Version(version) => match known {
            Some(_) => Ok(Target::Version(VersionTarget { digest: known, ..version })),
            None => Ok(Target::Version(ctx.setup.ports.registry.version(&version.version).await?.version)),
        },
        Target::Configuration(configuration) => {
            let facet = Facet::Configuration(configuration.name.clone());
            let revision = Revision { facet, name: configuration.revision.clone() };
            let digest = facets::digest(&ctx.setup.ports, &revision, known).await?;
            Ok(Target::Configuration(ConfigurationTarget { digest: Some(digest), ..configuration }))
        }
        Target::Fallback(fallback) => {
            let revision = Revision { facet: Facet::Fallback, name: fallback.mode.clone() };
            // What a safe mode stands for may be configured otherwise by now: what is agreed to is what it is when the plan is made.
            let digest = facets::digest(&ctx.setup.ports, &revision, fallback.digest).await?;
            Ok(Target::Fallback(FallbackTarget { digest: Some(digest), ..fallback }))
        }
        made @ (Target::Checkpoint(_) | Target::Retrain(_)) => made_of(ctx, made).await,
        Target::Other(name) => Ok(Target::Other(name)),
    }
}

/// What a version is made of, with everything pinned that was open.
async fn made_of(ctx: &Context, target: Target) -> Result<Target, PortError> {
    let Some(producer) = &ctx.setup.ports.producer else { return Ok(target) };
    let pinned = producer.pinned(&target).await?;
    if pinned.strategy() == target.strategy() {
        return Ok(pinned);
    }
    let text = format!("`{}` was to pin {target}, and answered {pinned}", producer.name());
    Err(PortError::not_applied(ErrorKind::BadAnswer, text))
}

/// Why no version is tried before it is shifted to, in words for people.
fn why_not_preflighted(ctx: &Context) -> Option<&'static str> {
    let ports = &ctx.setup.ports;
    if ctx.setup.terms.preflight == PreflightRule::Off {
        Some("switched off by the configuration")
    } else if ports.deployer.beside_class().is_none() {
        Some("the deployer cannot hold a candidate beside what is live")
    } else if ports.endpoint.is_none() {
        Some("no endpoint is configured")
    } else {
        None
    }
}

fn rung(ctx: &Context, target: &Target, why_not: Option<&'static str>) -> Rung {
    if let (true, Some(producer)) = (target.is_produced(), &ctx.setup.ports.producer) {
        let mut arguments = producer.arguments();
        let deadline = ctx.setup.terms.producer_of(target).map(|terms| terms.deadline.to_string());
        arguments.extend(deadline.map(|deadline| Label::new("run-deadline", deadline)));
        let steps = vec![PlannedStep { kind: StepKind::Produce, arguments }];
        return Rung { target: target.clone(), steps };
    }
    let version = target.version().is_some();
    let restorer = target.facet().and_then(|facet| ctx.setup.ports.restorers.get(&facet));
    let by = restorer.map_or_else(|| ctx.setup.step_arguments.clone(), |restorer| restorer.arguments());
    let mut kinds = vec![StepKind::Guard, StepKind::Shift, StepKind::ReadBack, StepKind::Verify];
    if version && why_not.is_none() {
        kinds.insert(0, StepKind::Preflight);
    }
    if version || restorer.is_some() {
        kinds.insert(0, StepKind::Stage);
    }
    let step = |kind: StepKind| PlannedStep {
        kind,
        arguments: match (kind, why_not) {
            (StepKind::Stage | StepKind::Preflight | StepKind::Shift, _) => by.clone(),
            (StepKind::Guard, Some(why)) if version => vec![Label::new("not-preflighted", why)],
            _ => Vec::new(),
        },
    };
    Rung { target: target.clone(), steps: kinds.into_iter().map(step).collect() }
}
