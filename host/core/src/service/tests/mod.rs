//! Rules of the transition table, one scenario each.

#![allow(clippy::unwrap_used, clippy::panic)]

mod consent;
mod stage;
