//! The binary: configuration, HTTP, command line, demo, wiring.

pub mod starters;
