//! The suites that cross crates.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods)]

mod acting;
mod announcing;
mod away;
mod clock;
mod conformance;
mod consent;
mod contents;
mod crashes;
mod elsewhere;
mod facts;
mod fingerprints;
mod full_disk;
mod growth;
mod hanging;
mod holds;
mod intake;
mod kill;
mod layers;
mod lost_plans;
mod measured;
mod mlflow;
mod new_terms;
mod pinning;
mod preflight;
mod producing;
mod producing_deaths;
mod promotion;
mod records;
mod shares;
mod smoke;
mod storm;
mod told;
mod watching;
mod writers;
