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
    let of_model = match (&read.live, &plan.live) {
        _ if moves(&Facet::Model) && is(target) => Found::Target,
        (Observed::Unknown(_), Observed::Unknown(_)) => Found::AsPlanned,
        _ if read.live.state().same_identity(&plan.live.state()) || moves(&Facet::Model) && ours() => {
            Found::AsPlanned
        }
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
