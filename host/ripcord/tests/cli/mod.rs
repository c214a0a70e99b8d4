//! The real program, as people and scripts run it.

#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods)]

mod advice;
mod batch;
mod beginning;
mod damaged;
mod data;
mod demo;
mod demo_producing;
mod documents;
mod exit_codes;
mod field;
mod hostile;
mod laptop;
mod lists;
mod lying;
mod past;
mod people;
mod policy;
mod producing;
mod pull;
mod reload;
mod sets;
mod untrusted;
mod watching;
mod waves;

use crate::support::run;
