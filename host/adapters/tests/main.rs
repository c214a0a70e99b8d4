//! The adapters: against recorded answers and pretend systems, and (ignored, `.ci/run` runs them) against real ones.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods)]

mod adapters;
mod airflow;
mod azure;
#[cfg(feature = "azure")]
mod azurite;
mod buildbot;
#[cfg(feature = "kubernetes")]
mod kubernetes;
mod mlflow;
mod mlserver;
mod monitoring;
#[cfg(feature = "s3")]
mod moto;
mod oci;
mod scripts;
mod vertex;
mod wandb;
