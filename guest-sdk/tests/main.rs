//! The SDK from outside.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods)]

mod component;
mod incidents;
mod subject;
