//! Sets and their members: what goes between their journals, rule by rule, and wherever a host dies in between.

#![allow(clippy::unwrap_used, clippy::panic, unreachable_pub)]

mod drill;
mod rules;
mod world;
