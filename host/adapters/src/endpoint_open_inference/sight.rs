//! Where servers of the Open Inference Protocol usually are, and what a first configuration is told of them.

use serde_json::{Value, json};

use crate::Http;

/// The ports on this machine of `MLServer`, Triton, and KServe's local gateway.
pub const USUAL_URLS: [&str; 4] =
    ["http://127.0.0.1:8080", "http://127.0.0.1:8000", "http://127.0.0.1:8081", "http://127.0.0.1:9000"];

/// A model that a server serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// As the server has it: any text.
    pub name: String,
    /// Names and datatypes of its outputs; those that cannot stand in a configuration are left out.
    pub outputs: Vec<(String, String)>,
}

/// Models that a server lists and whose names are accepted, or, of one that lists none, those of `known` that it has. None where it is not there.
pub async fn served(
    http: &Http,
    url: &str,
    known: &[String],
    accepted: impl Fn(&str) -> bool,
) -> Vec<Served> {
    let answers = http.glance(&format!("{url}/v2")).await.is_some_and(|about| about["name"].is_string());
    if !answers {
        return Vec::new();
    }
    let listed = http.glance_by_post(&format!("{url}/v2/repository/index"), &json!({})).await;
    let listed: Vec<String> = listed
        .iter()
        .flat_map(|listed| listed.as_array().into_iter().flatten())
        .filter_map(|model| model["name"].as_str())
        .filter(|name| accepted(name))
        .map(str::to_owned)
        .collect();
    let mut models = Vec::new();
    for name in if listed.is_empty() { known } else { &listed } {
        let about = http.glance(&format!("{url}/v2/models/{name}")).await;
        let about = about.filter(|about| about["name"] == **name);
        if about.is_none() && listed.is_empty() {
            continue;
        }
        models.push(Served { name: name.clone(), outputs: outputs(about.as_ref()) });
    }
    models
}

fn outputs(about: Option<&Value>) -> Vec<(String, String)> {
    let outputs = about.and_then(|about| about["outputs"].as_array()).map(Vec::as_slice).unwrap_or_default();
    let plain = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:/".contains(&b))
    };
    let output = |output: &Value| {
        let (name, datatype) = (output["name"].as_str()?, output["datatype"].as_str()?);
        (plain(name) && plain(datatype)).then(|| (name.to_owned(), datatype.to_owned()))
    };
    outputs.iter().filter_map(output).collect()
}
