//! What every adapter of a port must do. Run these against an adapter of your own, from a test: they panic with what is wrong.

#![allow(clippy::panic, reason = "a failed expectation ends the test that called")]

pub mod deployer;
pub mod deployer_beside;
pub mod deployer_faults;
pub mod registry;
pub mod registry_faults;
