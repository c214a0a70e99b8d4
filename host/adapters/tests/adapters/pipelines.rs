//! Deployers behind pipelines: systems that the tests play, with what they deploy to.

mod airflow;
mod buildbot;
mod github_actions;
mod gitlab;
mod settings;
pub(crate) mod world;

/// Most of it is waiting for deadlines: they wait side by side.
#[tokio::test(flavor = "multi_thread")]
async fn each_does_what_every_deployer_and_every_pipeline_must() {
    tokio::join!(
        Box::pin(airflow::does_what_every_deployer_and_every_pipeline_must()),
        Box::pin(buildbot::does_what_every_deployer_and_every_pipeline_must()),
        Box::pin(github_actions::does_what_every_deployer_and_every_pipeline_must()),
        Box::pin(gitlab::does_what_every_deployer_and_every_pipeline_must()),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn each_does_so_in_faults_too() {
    tokio::join!(
        Box::pin(airflow::does_so_in_faults_too()),
        Box::pin(buildbot::does_so_in_faults_too()),
        Box::pin(github_actions::does_so_in_faults_too()),
        Box::pin(gitlab::does_so_in_faults_too()),
    );
}
