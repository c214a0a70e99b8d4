//! The guard's look: whether the whole vector of facets is as the plan observed it.

use std::collections::BTreeSet;

use super::{Acting, Incident};
use crate::event::{GuardRead, Observed, ObservedFacet, PlanDrafted, shows};
use crate::facet::{Facet, FacetState, read_of};
use crate::target::Target;

/// What a guard has found, of the whole vector of facets.
pub(super) enum Found {
    /// The target is in force already, and the rest is as planned.
    Target,
    /// What the plan observed, overlaid by what it has shifted.
    AsPlanned,
    /// Something cannot be read that the plan knew.
    Unreadable,
    /// Something else.
    Other,
}

impl Found {
    /// Of several facets: what is other counts most, then what cannot be read.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Other, _) | (_, Self::Other) => Self::Other,
            (Self::Unreadable, _) | (_, Self::Unreadable) => Self::Unreadable,
            (Self::AsPlanned, _) | (_, Self::AsPlanned) => Self::AsPlanned,
            (Self::Target, Self::Target) => Self::Target,
        }
    }
}

/// Whether what the rung's earlier waves have moved is still there. What cannot be read says nothing of it.
fn stay_moved(plan: &PlanDrafted, target: &Target, acting: &Acting, read: &GuardRead) -> bool {
    let live = read.live.state();
    matches!(read.live, Observed::Unknown(_))
        || (0..acting.wave).all(|wave| live.shows(target, plan.moves(wave)))
}

/// Whether live is what the plan observed, overlaid by what its waves have shifted to. A plan that moves at once leaves nothing half moved.
fn is_partly_moved(incident: &Incident, plan: &PlanDrafted, acting: &Acting, read: &GuardRead) -> bool {
    if plan.waves.is_empty() {
        return false;
    }
    let begun = (acting.attempts > 0).then_some(acting.rung);
    let rungs = acting.shifted.iter().copied().chain(begun);
    let targets: Vec<_> = rungs.filter_map(|rung| incident.target(rung)).collect();
    !targets.is_empty() && read.live.state().is_overlaid(&plan.live.state(), &targets)
}

/// The guard's look beside the plan. The facet that is moved may show the target, or another one that this plan has shifted to; every other one must
/// be as it was when the plan was made.
pub(super) fn found(
    incident: &Incident,
    plan: &PlanDrafted,
    target: &Target,
    acting: &Acting,
    read: &GuardRead,
) -> Found {
    let moved = target.facet();
    let is = |target: &Target| shows(&read.live, &read.facets, target);
    let ours = || acting.shifted.iter().filter_map(|rung| incident.target(*rung)).any(is);
    let moves = |facet: &Facet| moved.as_ref() == Some(facet);
    // A wave shows its part, and all of them together the whole.
    let is_there = is(target) || read.live.state().shows(target, plan.moves(acting.wave));
    let of_model = match (&read.live, &plan.live) {
        _ if moves(&Facet::Model) && !stay_moved(plan, target, acting, read) => Found::Other,
        _ if moves(&Facet::Model) && is_there => Found::Target,
        (Observed::Unknown(_), Observed::Unknown(_)) => Found::AsPlanned,
        _ if read.live.state().same_identity(&plan.live.state()) || moves(&Facet::Model) && ours() => {
            Found::AsPlanned
        }
        _ if moves(&Facet::Model) && is_partly_moved(incident, plan, acting, read) => Found::AsPlanned,
        (Observed::Unknown(_), _) => Found::Unreadable,
        _ => Found::Other,
    };
    let known =
        |facets: &[ObservedFacet]| facets.iter().map(|read| read.facet.clone()).collect::<BTreeSet<_>>();
    let mut facets: BTreeSet<Facet> = known(&plan.facets).union(&known(&read.facets)).cloned().collect();
    // One that was never read is not in force: without it, *all that was read is as planned* would stand for the target.
    facets.extend(moved.clone().filter(|facet| *facet != Facet::Model));
    let of_facet = |facet: &Facet| match (read_of(&read.facets, facet), read_of(&plan.facets, facet)) {
        (Some(_), Some(_)) if moves(facet) && is(target) => Found::Target,
        (Some(FacetState::Unknown(_)), Some(FacetState::Unknown(_))) => Found::AsPlanned,
        (Some(FacetState::InForce(now)), Some(FacetState::InForce(then)))
            if now.is(&then.revision, then.digest) =>
        {
            Found::AsPlanned
        }
        (Some(FacetState::InForce(_)), Some(_)) if moves(facet) && ours() => Found::AsPlanned,
        // An order for this very rung was begun and did not come through: what is stored and not taken over is no revision in force.
        (Some(FacetState::Unknown(_)), Some(_)) if moves(facet) && acting.attempts > 0 => Found::AsPlanned,
        (Some(FacetState::Unknown(_)), Some(_)) => Found::Unreadable,
        _ => Found::Other,
    };
    // Of the facets that stay, *as planned* is all there is to be: it takes nothing from a target that is in force.
    let stay = |facet: &Facet, found: Found| match found {
        Found::AsPlanned if !moves(facet) => Found::Target,
        found => found,
    };
    let of_model = stay(&Facet::Model, of_model);
    facets.iter().fold(of_model, |found, facet| found.and(stay(facet, of_facet(facet))))
}
