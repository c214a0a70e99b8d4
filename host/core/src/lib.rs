//! The pure core of Ripcord: what a service is, what may happen to it, and what is owed next.
//!
//! Invariants of this crate:
//! - no async, no clock, no randomness, no files, no network: everything comes in as arguments;
//! - [`service::Service::apply`] is the only transition table, [`service::Service::owed`] the only list of what is still to be done;
//! - every type that is stored or signed has one encoding, fixed here.

pub mod alert;
pub mod aliases;
pub mod blob;
pub mod canonical;
pub mod data;
pub mod digest;
pub mod effect;
pub mod event;
pub mod facet;
pub mod fact;
pub mod foreign;
pub mod journal;
pub mod live;
pub mod name;
mod outbox;
pub mod outputs;
pub mod plan;
pub mod policy;
pub mod production;
pub mod ratio;
pub mod readiness;
pub mod request;
pub mod retention;
pub mod role;
pub mod service;
pub mod set;
pub mod signal;
pub mod snapshot;
pub mod standing;
pub mod target;
pub mod terms;
pub mod time;
pub mod votes;
pub mod wave;
