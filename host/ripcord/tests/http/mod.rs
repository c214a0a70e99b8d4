//! The host over a real listener: webhooks and people, good and bad.

#![allow(clippy::unwrap_used, clippy::panic)]

mod api;
mod crowds;
mod document;
mod hooks;
mod mlflow;
mod odd_alerts;
mod openapi;
mod people;
mod readiness;
mod refusals;
mod rights;
mod server;
mod support;
mod targets;
mod votes;
mod wandb;
