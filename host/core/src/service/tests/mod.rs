//! Rules of the transition table, one scenario each.

#![allow(clippy::unwrap_used, clippy::panic)]

mod about;
mod again;
mod aliases;
mod bounds;
mod break_glass;
mod clock;
mod consent;
mod data;
mod facet_stage;
mod facet_standing;
mod facets;
mod facets_elsewhere;
mod fallback;
mod harm_of_before;
mod limits;
mod made;
mod meanwhile;
mod producing;
mod readiness;
mod stage;
mod steps;
mod waves;
