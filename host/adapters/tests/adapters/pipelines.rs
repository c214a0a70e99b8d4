//! Deployers behind pipelines: systems that the tests play, with what they deploy to.

mod airflow;
mod buildbot;
mod github_actions;
mod gitlab;
mod settings;
pub(crate) mod world;
