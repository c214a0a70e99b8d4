//! A whole host and the world around it, played from one seed: the real core and engine, over pretend systems and a store in memory, on one
//! thread, with its own time.
//!
//! Invariants of this crate:
//! - the seed decides everything: the same seed gives the same trace;
//! - no clock but the simulated one, no thread, no random number that the seed does not give;
//! - what is checked is checked at every record as it comes to be on disk, and at every call as it reaches a system.

#![allow(clippy::unwrap_used, clippy::panic)]

pub mod check;
pub mod clock;
pub mod dice;
pub mod facet;
pub mod fakes;
pub mod host;
pub mod life;
pub mod play;
pub mod policies;
pub mod run;
pub mod run_outside;
pub mod scenario;
pub mod store;
pub mod trace;
pub mod weather;
pub mod world;
