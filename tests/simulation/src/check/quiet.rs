//! What waits ends: after nothing goes wrong any more, everything is settled within its time, or people know what is wanted of them.

use ripcord_core::effect::{Effect, Slot};
use ripcord_core::facet::{Facet, Revision};
use ripcord_core::policy::Role;
use ripcord_core::service::{Phase, StepState};

use super::Watched;
use crate::world::{World, version};

/// Whether a shift was begun and is not judged yet.
fn is_begun(step: &StepState) -> bool {
    match step {
        StepState::Staging(_) | StepState::Preflighting { .. } | StepState::Guarding(_) => false,
        StepState::Shifting(shifting) => shifting.intent.is_begun(),
        StepState::ReadingBack { .. } | StepState::Looking { .. } | StepState::Verifying { .. } => true,
    }
}

/// None is quiet; else the rule that does not hold yet, and why.
pub(super) fn check(watched: &Watched, world: &World) -> Result<(), (&'static str, String)> {
    let service = &watched.service;
    if let Some(id) = watched.signals.unjudged() {
        return Err((
            "acknowledged-means-judged",
            format!("signal `{id}` was acknowledged and is not judged"),
        ));
    }
    if let Some(trigger) = watched.signals.unanswered() {
        let why = format!("trigger `{trigger}` faulted and is not asked again");
        return Err(("acknowledged-means-judged", why));
    }
    if let Some(out) = service.outbox.first() {
        return Err(("no-news-is-lost", format!("{} waits to be told", out.id)));
    }
    let paused = service.paused_by.is_some();
    if let Some(incident) = &service.incident {
        match &incident.phase {
            // A set that goes on says what comes next.
            Phase::NeedsPerson(_) | Phase::Enlisted => {}
            Phase::Authorising(authorising) => {
                let asks = service
                    .terms
                    .as_ref()
                    .is_some_and(|terms| terms.policies(Role::Approval).next().is_some());
                let waits = !asks || authorising.seen.is_some();
                if !waits || asks && !watched.authority.policies_know_votes() {
                    return Err((
                        "what-waits-ends",
                        "the approval policies do not know the votes".to_owned(),
                    ));
                }
            }
            _ if paused && !incident.is_past_pivot() => {}
            // Whoever paused it lets it go on: nothing has been begun that could end by itself.
            Phase::Acting(acting) if paused && !is_begun(&acting.step) => {}
            _ => {
                let why = format!("`{}` is still {}", incident.id, incident.phase_name());
                return Err(("what-waits-ends", why));
            }
        }
    } else if watched.shifts.is_unknown() {
        return Err(("no-blind-repeat", "nobody knows what became of a shift, and nobody asks".to_owned()));
    }
    if let Some(why) = super::runs::still_going_on(service) {
        return Err(("a-run-ends", why));
    }
    let waits = |effect: &Effect| {
        matches!(effect.slot(), Slot::Timer | Slot::Watch | Slot::Incident | Slot::Probation)
            || matches!(effect.slot(), Slot::Promotion | Slot::Fingerprint | Slot::Readiness)
    };
    if let Some(effect) = service.owed().into_iter().find(|effect| !waits(effect)) {
        return Err(("what-waits-ends", format!("{effect:?} is still owed")));
    }
    let live = world.at(&service.name, |outside| {
        let mut live = outside.in_force_beside();
        // What nothing is configured for is not looked at.
        let configured =
            |facet: &Facet| service.terms.as_ref().is_some_and(|terms| terms.facet(facet).is_some());
        live.retain(|revision| configured(&revision.facet));
        live.extend(outside.replicas.iter().map(|name| Revision::of_model(&version(name))));
        live
    });
    if let Some(revision) = watched.holds.served_in_silence(service, &live) {
        return Err(("told-when-a-hold-is-broken", format!("`{revision}` is condemned and in force")));
    }
    Ok(())
}
