//! The harness of the suites that cross crates: a real store and real policies, and around them a world of fakes that
//! outlives every host.
//!
//! A host dies at a [`fuse::Point`]: the fake or the store that is at this point never returns, nothing has any effect from
//! then on, and the test starts a new host on the same file and the same world.

#![allow(clippy::unwrap_used, clippy::panic)]

pub mod check;
pub mod clock;
pub mod fakes;
pub mod fuse;
pub mod lab;
pub mod people;
pub mod policies;
pub mod power;
pub mod sets;
pub mod states;
pub mod store;
pub mod world;

pub use clock::TestClock;
pub use fuse::{Fuse, Point};
pub use lab::{Lab, Running, Spec};
pub use power::Power;
pub use world::{CandidateFault, Fault, PromotionFault, RunStage, Step, World};
