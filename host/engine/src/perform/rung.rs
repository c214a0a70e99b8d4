//! One target of a plan, with the steps that bring it about.

use ripcord_core::event::InProduction;
use ripcord_core::plan::{Leaving, PlannedStep, Rung, StepKind};
use ripcord_core::request::PlannedRequest;
use ripcord_core::service::Incident;
use ripcord_core::signal::Label;
use ripcord_core::target::Target;
use ripcord_core::terms::PreflightRule;
use ripcord_core::wave::{Wave, WaveOf};

use crate::context::Context;
use crate::descent::Descent;
use crate::requests;
use crate::restorable::not_shown;

/// Why no version is tried before it is shifted to, in words for people.
pub(super) fn why_not_preflighted(ctx: &Context) -> Option<&'static str> {
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

/// Guard, shift, read-back and look of each wave, one after the other; the last one has no look. Each sends a request of its own.
fn steps_of_waves(
    waves: &[Wave],
    sends: impl Fn(Option<&WaveOf>) -> Result<PlannedRequest, String>,
    step: impl Fn(StepKind, Option<&PlannedRequest>) -> PlannedStep,
) -> Result<Vec<PlannedStep>, String> {
    let of = u32::try_from(waves.len()).unwrap_or(u32::MAX);
    let mut steps = Vec::new();
    for (number, wave) in (0..of).zip(waves) {
        let this = WaveOf { number, of, moves: wave.moves.clone() };
        let request = sends(Some(&this))?;
        for kind in [StepKind::Guard, StepKind::Shift, StepKind::ReadBack, StepKind::Look] {
            if kind == StepKind::Look && number + 1 == of {
                continue;
            }
            let mut step = PlannedStep { wave: Some(number), ..step(kind, Some(&request)) };
            // What was left out of the plan's preflight is said once.
            if number > 0 && kind == StepKind::Guard {
                step.arguments.clear();
            }
            step.arguments.insert(0, Label::new("wave", this.to_string()));
            if kind == StepKind::Look {
                step.arguments.push(Label::new("pause", wave.pause.to_string()));
            }
            steps.push(step);
        }
    }
    Ok(steps)
}

/// One target with its steps; why it cannot be a part of a plan: what nothing can read back, or what no adapter says how to bring about.
pub(super) fn rung(
    ctx: &Context,
    incident: &Incident,
    target: &Target,
    descent: &Descent,
    (why_not, waves): (Option<&'static str>, &[Wave]),
) -> Result<Rung, String> {
    let ports = &ctx.setup.ports;
    if !target.is_produced()
        && let Some(why) = not_shown(ports, target)
    {
        return Err(why);
    }
    let sends = |wave: Option<&WaveOf>| {
        requests::planned(requests::of_target(ports, target, wave)).ok_or_else(|| match wave {
            Some(wave) => format!("nothing that is configured can bring about {wave}"),
            None => "nothing that is configured can bring it about".to_owned(),
        })
    };
    if let (true, Some(producer)) = (target.is_produced(), &ports.producer) {
        let mut arguments = producer.arguments();
        let deadline = ctx.setup.terms.producer_of(target).map(|terms| terms.deadline.to_string());
        arguments.extend(deadline.map(|deadline| Label::new("run-deadline", deadline)));
        let step =
            PlannedStep { kind: StepKind::Produce, arguments, request: Some(sends(None)?), wave: None };
        let steps = vec![step];
        return Ok(Rung { target: target.clone(), steps });
    }
    let version = target.version();
    let restorer = target.facet().and_then(|facet| ports.restorers.get(&facet));
    let by = restorer.map_or_else(|| ctx.setup.step_arguments.clone(), |restorer| restorer.arguments());
    let named = incident.in_production != InProduction::Unsupported;
    let name =
        version.filter(|_| named).and_then(|target| ports.registry.request_to_promote(&target.version));
    let name = requests::planned(name);
    let listed = |kind: &StepKind| match kind {
        StepKind::Stage => version.is_some() || restorer.is_some(),
        StepKind::Preflight | StepKind::ClearCandidate => version.is_some() && why_not.is_none(),
        StepKind::MoveName => name.is_some(),
        StepKind::MarkHolds => version.is_some() && incident.leaving == Leaving::Condemn,
        StepKind::Guard | StepKind::Shift | StepKind::ReadBack | StepKind::Verify => true,
        StepKind::Look | StepKind::Produce => false,
    };
    let step = |kind: StepKind, sends: Option<&PlannedRequest>| PlannedStep {
        kind,
        wave: None,
        arguments: match (kind, why_not) {
            (StepKind::Stage | StepKind::Preflight | StepKind::Shift, _) => by.clone(),
            (StepKind::Guard, Some(why)) if version.is_some() => vec![Label::new("not-preflighted", why)],
            _ => Vec::new(),
        },
        request: match kind {
            StepKind::Shift => sends.cloned(),
            StepKind::MoveName => name.clone(),
            _ => None,
        },
    };
    let whole = if waves.is_empty() { Some(sends(None)?) } else { None };
    let mut steps = Vec::new();
    for kind in StepKind::ALL.into_iter().filter(listed) {
        match kind {
            StepKind::Guard if !waves.is_empty() => {
                steps.extend(steps_of_waves(waves, sends, step)?);
            }
            kind if kind.is_of_wave() && !waves.is_empty() => {}
            kind => steps.push(step(kind, whole.as_ref())),
        }
    }
    let not_known = target.revision().and_then(|revision| descent.not_known(&ctx.service, &revision));
    if let (Some(why), Some(first)) = (not_known, steps.first_mut()) {
        first.arguments.push(Label::new("data", why));
    }
    Ok(Rung { target: target.clone(), steps })
}
