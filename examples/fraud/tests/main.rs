//! The example service from outside.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods)]

mod alarm;
mod books;
mod decision;
mod mode;
mod online;
mod program;
mod protocol;
mod retrain;
mod support;
mod training;
