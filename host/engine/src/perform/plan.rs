//! Asking the planner, or taking a person's target, and drafting the immutable plan.

use ripcord_core::blob::BlobKind;
use ripcord_core::canonical;
use ripcord_core::event::{Event, FaultNature, PlanDrafted, PlanWord, Planned};
use ripcord_core::facet::{Facet, Revision};
use ripcord_core::fact::{Fact, Unavailable, UnavailableReason};
use ripcord_core::live::LiveState;
use ripcord_core::name::IncidentId;
use ripcord_core::plan::{PLAN_FORMAT, Part, Plan, RUNGS_MAX};
use ripcord_core::policy::Role;
use ripcord_core::role::{PlannerInput, PlannerVerdict, RefusedTarget};
use ripcord_core::service::{Incident, Opener, PastRun, Phase, RunEnd};
use ripcord_core::signal::Origin;
use ripcord_core::target::Target;
use ripcord_core::terms::Mode;
use ripcord_core::wave::waves_under;
use ripcord_ports::PortError;
use ripcord_ports::store::StoreError;

use super::beside_live;
use super::fetch::fetch;
use super::rung::{rung, why_not_preflighted};
use crate::ahead::{Asked as AskedAhead, Proposed};
use crate::batch::Batch;
use crate::context::Context;
use crate::decide::{context, decide};
use crate::descent::{Descent, trains_on_condemned};
use crate::facts::{checkpoints_left_out, lineage_unread};
use crate::nature;
use crate::restorable::{held, not_shown, obstacle, pinned, unfetchable, unpinnable};
use futures_util::FutureExt;
use futures_util::future::join_all;

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
    ctx.host.ahead.along(&ctx.setup.name, Box::pin(make(ctx, asked, tried))).await
}

async fn make(ctx: &Context, asked: Asked, tried: Vec<Target>) -> Batch {
    let Some(incident) = ctx.incident() else { return Batch::default() };
    let mut batch = Batch::default();
    let Asked { incident: id, number, wanted, requested_by } = asked;
    let (mut refused, mut unusable, mut suspects, mut confidence) = (Vec::new(), None, None, None);
    let (decision, word) = match wanted.clone() {
        Some(target) => {
            let ladder = vec![target.clone()];
            let descent = descent_of(ctx, &ladder).await;
            let condemned = || descent.condemned(&ctx.service, &target.revision()?);
            match why_not(ctx, &target, &[]).filter(|_| target.version().is_none()).or_else(condemned) {
                Some(why) => {
                    let reason = batch.text(format!("{target}: {why}"));
                    (None, PlanWord::Failed { reason, nature: FaultNature::Deterministic })
                }
                None => {
                    (None, draft(ctx, incident, number, (ladder, &descent), &mut refused, &mut batch).await)
                }
            }
        }
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
                    left_out: None,
                    suspects,
                    confidence,
                    word,
                }));
            };
            let missing = missing(&decided.facts).or_else(|| lineage_unread(&decided.facts));
            unusable = checkpoints_left_out(&decided.facts);
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
                    let descent = descent_of(ctx, &choice.ladder).await;
                    let ladder = readable(ctx, choice.ladder, &descent, &mut refused);
                    let word = if ladder.is_empty() {
                        nothing_left(ctx, &descent, &refused, &mut batch)
                    } else {
                        draft(ctx, incident, number, (ladder, &descent), &mut refused, &mut batch).await
                    };
                    // It was said of a target that the plan may have left out.
                    let left_out = |first: &Target| refused.iter().any(|one| one.target == *first);
                    confidence = choice.confidence.filter(|_| !first.as_ref().is_some_and(left_out));
                    word
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
    // Where there is no plan, its word says why of each.
    let refused = (!refused.is_empty()).then(|| why_refused(&refused));
    let left_out: Vec<_> = refused.into_iter().chain(unusable).collect();
    let left_out = (!left_out.is_empty() && matches!(word, PlanWord::Drafted(_)))
        .then(|| batch.text(left_out.join("\n")));
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

/// The targets that a read-back can show and that are not held, of one facet, as many as a plan has at most; why the others are left out is added to
/// `refused`.
fn readable(
    ctx: &Context,
    ladder: Vec<Target>,
    descent: &Descent,
    refused: &mut Vec<RefusedTarget>,
) -> Vec<Target> {
    let mut shown = Vec::<Target>::new();
    for target in ladder {
        let descends = || descent.objection(&ctx.service, &target.revision()?);
        match why_not(ctx, &target, &shown).or_else(descends).or_else(|| came_to_nothing(ctx, &target)) {
            Some(reason) => refused.push(RefusedTarget { target, reason }),
            None => shown.push(target),
        }
    }
    shown
}

/// What the versions of a ladder were trained on, as far as it counts.
pub(super) async fn descent_of(ctx: &Context, ladder: &[Target]) -> Descent {
    Descent::of_targets(ctx.setup.ports.registry.as_ref(), &ctx.service, ladder).await
}

/// Why rules alone do not have the same made again: a run for it ended lately without a version.
fn came_to_nothing(ctx: &Context, target: &Target) -> Option<String> {
    let lately = |past: &&PastRun| {
        past.ordered.target.is_pinned_from(target)
            && ctx.now() < past.ended_at + ctx.setup.terms.breaker.no_return
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
    if let Some(why) = trains_on_condemned(&ctx.service, target) {
        return Some(why);
    }
    let first = shown.first()?;
    Some(format!(
        "a plan makes one version or puts one facet back, and this one begins with {first}: what comes after it depends on what becomes of that"
    ))
}

/// Why a target does not go into a plan that holds these already.
pub(super) fn why_not(ctx: &Context, target: &Target, shown: &[Target]) -> Option<String> {
    if target.is_produced() {
        return why_not_made(ctx, target, shown);
    }
    let service = &ctx.service;
    let by_itself = not_shown(&ctx.setup.ports, target).or_else(|| {
        let revision = target.revision()?;
        held(service, &revision).or_else(|| unfetchable(service, &revision))
    });
    if by_itself.is_some() {
        return by_itself;
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

/// No target can go into a plan. One that is left out only for a lineage that cannot be read now may go into the next one.
fn nothing_left(ctx: &Context, descent: &Descent, refused: &[RefusedTarget], batch: &mut Batch) -> PlanWord {
    let unread = |one: &RefusedTarget| {
        let version = one.target.version()?;
        let why = descent.not_known(&ctx.service, &Revision::of_model(&version.version));
        descent.unread_of(&version.version).filter(|_| why.as_ref() == Some(&one.reason))
    };
    match refused.iter().find_map(unread) {
        Some(unread) => {
            let reason = batch.text(format!("{unread}; {}", why_refused(refused)));
            PlanWord::Failed { reason, nature: FaultNature::Environmental }
        }
        None => PlanWord::NothingSuitable(batch.text(why_refused(refused))),
    }
}

/// Pins every target, reads live, and writes the plan down. Targets that cannot be pinned are added to `refused`.
async fn draft(
    ctx: &Context,
    incident: &Incident,
    number: u32,
    (ladder, descent): (Vec<Target>, &Descent),
    refused: &mut Vec<RefusedTarget>,
    batch: &mut Batch,
) -> PlanWord {
    let facet = ladder.first().and_then(Target::facet).unwrap_or(Facet::Model);
    let makes = ladder.first().is_some_and(Target::is_produced);
    let ports = &ctx.setup.ports;
    let pinning = join_all(ladder.into_iter().map(|target| async move {
        let pinned = pinned(ports, &ctx.service, target.clone()).await;
        (target, pinned)
    }));
    let obstacle = async {
        match &ports.producer {
            Some(producer) if makes => producer.obstacle().await,
            _ => obstacle(ports, &ctx.setup.terms, &facet).await,
        }
    };
    let (pinned, live, facets, obstacle) =
        tokio::join!(pinning, ports.deployer.live(), ctx.facets(), obstacle);
    // What no target can be shifted to is not put before people.
    if let Some(why) = obstacle {
        let what = if makes { "made" } else { "shifted" };
        let reason = batch.text(format!("nothing can be {what}: {why}"));
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
    let (mut targets, mut unpinned) = (Vec::new(), Vec::new());
    for (target, pinned) in pinned {
        match pinned {
            Ok(target) => targets.push(target),
            Err(error) => unpinned.push((target, error)),
        }
    }
    if let (Some((_, error)), Some(_)) = (unpinned.first(), &incident.wanted) {
        return PlanWord::Failed {
            reason: batch.text(error.to_string()),
            nature: nature::of_port_error(error),
        };
    }
    // A system that gives nothing for a while says nothing of the target, so it is waited for as long as there is time. After that, others may do.
    let away = |error: &PortError| nature::of_artefact_error(error) == FaultNature::Environmental;
    if let Some((_, error)) = unpinned.iter().find(|(_, error)| away(error))
        && (targets.is_empty() || may_wait(ctx, incident))
    {
        let reason = batch.text(error.to_string());
        return PlanWord::Failed { reason, nature: FaultNature::Environmental };
    }
    for (target, error) in unpinned {
        refused.push(RefusedTarget { target, reason: unpinnable(&error) });
    }
    let why_not = why_not_preflighted(ctx);
    // What is made is shifted by a plan of its own, and what is beside the model has no places.
    let waves =
        if facet == Facet::Model && !makes { waves_under(&ctx.setup.terms.waves, &live) } else { Vec::new() };
    let mut rungs = Vec::new();
    for target in targets {
        match rung(ctx, incident, &target, descent, (why_not, &waves)) {
            Ok(rung) => rungs.push(rung),
            Err(reason) => refused.push(RefusedTarget { target, reason }),
        }
    }
    let targets: Vec<_> = rungs.iter().map(|rung| rung.target.clone()).collect();
    let created_at = ctx.now();
    let expires_at = created_at + ctx.setup.terms.deadlines.approval;
    let Some(first) = targets.first() else {
        return nothing_left(ctx, descent, refused, batch);
    };
    let strategy = first.strategy();
    let condemns_data = ctx.service.data_left_by(&targets);
    let preflighted = why_not.is_none() && targets.iter().any(|target| target.version().is_some());
    if let (Opener::Produced(_), Some(made), Some(first)) =
        (&incident.opened_by, first.version(), rungs.first_mut().and_then(|rung| rung.steps.first_mut()))
    {
        let compared = beside_live::compared(ports.registry.as_ref(), &made.version, &live).await;
        first.arguments.push(compared);
    }
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
            waves: waves.clone(),
            rungs,
        }],
        policies: ctx.setup.terms.policies.iter().map(|used| used.policy.clone()).collect(),
        requested_by: incident.requested_by.clone(),
        preflighted,
        drill: false,
        leaving: incident.leaving,
        condemns_data: condemns_data.clone(),
        set: None,
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
        steps: plan.approved_steps(),
        waves,
        live,
        facets,
        leaving: incident.leaving,
        condemns_data,
        condemnations_known: ctx.service.condemnations,
        equipment: ctx.setup.terms.equipment,
        preflighted,
        expires_at,
    })
}

/// Whether the next try still comes before the end of the step.
fn may_wait(ctx: &Context, incident: &Incident) -> bool {
    let Phase::Planning(waiting) = incident.phase else { return false };
    let end = waiting.since + ctx.setup.terms.deadlines.planning;
    waiting.later(ctx.now()).due_at.is_some_and(|next| next < end)
}
