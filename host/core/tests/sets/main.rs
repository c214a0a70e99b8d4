//! Sets and their members: what goes between their journals, rule by rule, in any order, and wherever a host dies in between.

#![allow(clippy::unwrap_used, clippy::panic, unreachable_pub)]

#[allow(dead_code, reason = "the walks over one service use all of it")]
#[path = "../walk/dice.rs"]
mod dice;
mod drill;
mod rules;
mod walk;
mod world;
