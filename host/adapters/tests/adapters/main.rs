//! The adapters against files, programs and servers on this machine.
#![allow(clippy::unwrap_used, clippy::panic)]

mod alertmanager;
mod deployer_open_inference;
mod metrics_scrape;
mod registry_directory;
mod support;
