//! Where an MLflow usually is, and what a first configuration is told of it.

use crate::Http;

/// Its port on this machine.
pub const USUAL_URL: &str = "http://127.0.0.1:5000";
/// MLflow's own programs take its address from here.
pub const URL_VARIABLE: &str = "MLFLOW_TRACKING_URI";
/// What the version in production is usually called.
const USUAL_ALIASES: [&str; 4] = ["champion", "production", "prod", "live"];

/// A model that is registered there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// The alias that names what is in production, if the model has one that looks so.
    pub alias: Option<String>,
}

/// The model; none where MLflow is not there, or has no such model.
pub async fn registered(http: &Http, url: &str, model: &str) -> Option<Registered> {
    let answer = http.glance(&format!("{url}/api/2.0/mlflow/registered-models/get?name={model}")).await?;
    let registered = &answer["registered_model"];
    if registered["name"] != model {
        return None;
    }
    let aliases = registered["aliases"].as_array().map(Vec::as_slice).unwrap_or_default();
    let has = |wanted: &&str| aliases.iter().any(|one| one["alias"] == **wanted);
    Some(Registered { alias: USUAL_ALIASES.into_iter().find(has).map(str::to_owned) })
}
