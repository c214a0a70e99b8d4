//! `Experiment` of Core 2: candidates, each a `Model` with a weight.
//!
//! Which candidate serves a version its `Model` says, so a rollback moves the weights and loads nothing. The experiment's status does not say of which state it
//! is, and need not change when weights do; so Seldon's mesh is asked, and each answer names the `Model` that gave it.

use async_trait::async_trait;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use http::HeaderName;
use reqwest::{Method, Url};
use ripcord_core::live::{LiveState, Proof};
use ripcord_core::name::VersionName;
use ripcord_core::time::Millis;
use ripcord_ports::{ErrorKind, PortError};
use serde_json::{Value, json};

use super::model::{self, Model};
use crate::http::{self as calls, Http};
use crate::kubernetes::{self, At, Kind, Part, Resource, shown, text};
use crate::open_inference::TRIAL_HEADER;

pub(super) const RESOURCE: Resource =
    Resource { group: "mlops.seldon.io", version: "v1alpha1", kind: "Experiment", plural: "experiments" };

/// More candidates than one experiment has.
const CANDIDATES_MAX: usize = 20;

/// Answers that are waited for at the same time.
const AT_ONCE: usize = 8;

/// In a request the model or experiment that is asked, as Seldon's mesh takes it.
const MODEL_HEADER: &str = "seldon-model";

/// In an answer the models that gave it, as `:NAME_NUMBER:`.
const ROUTE_HEADER: HeaderName = HeaderName::from_static("x-seldon-route");

/// How such an object says its version.
#[derive(Debug)]
pub(super) struct Experiment {
    pub(super) model: Model,
    pub(super) mesh: Mesh,
}

/// How Seldon's mesh is asked.
#[derive(Debug)]
pub(super) struct Mesh {
    pub(super) http: Http,
    pub(super) url: Url,
    /// The protocol's `inputs` of a harmless request.
    pub(super) input: Value,
    pub(super) answers: u32,
    pub(super) deadline: Millis,
}

/// A candidate, with what its `Model` says.
#[derive(Debug)]
struct Candidate {
    name: String,
    weight: u64,
    model: Value,
}

impl Mesh {
    /// The names of the `Model`s that answer. An experiment that has a default is two routes, and Seldon may have but one of them as it is to be: each is
    /// asked half of the times.
    async fn all(
        &self,
        experiment: &str,
        default: Option<&str>,
    ) -> Result<Result<Vec<String>, String>, PortError> {
        let own = format!("{experiment}.experiment");
        let route = |number: u32| match default {
            Some(default) if number % 2 == 1 => (default, default),
            _ => (experiment, own.as_str()),
        };
        // Before the stream: what makes them must not live as long as they do.
        let asked: Vec<_> =
            (0..self.answers).map(route).map(|(model, route)| self.asked(model, route)).collect();
        let told: Vec<_> = stream::iter(asked).buffered(AT_ONCE).try_collect().await?;
        let by_default = told.iter().skip(1).step_by(2).find_map(|told| told.as_ref().ok().cloned());
        Ok(told.into_iter().collect::<Result<Vec<_>, _>>().map_err(|why| match (default, by_default) {
            (Some(default), Some(name)) => format!(
                "{why}; who asks for its default `{}` is answered by `{}`",
                shown(default),
                shown(&name)
            ),
            _ => why,
        }))
    }

    /// The name of the `Model` that answers this time.
    async fn asked(&self, model: &str, route: &str) -> Result<Result<String, String>, PortError> {
        let url = calls::under(&self.url, &["v2", "models", model, "infer"]);
        let call = self.http.call_anew(Method::POST, &url).only_reads().deadline(self.deadline);
        let call = call.header(MODEL_HEADER, route).header(TRIAL_HEADER, "read-back");
        let body = json!({ "id": "ripcord-read-back", "inputs": self.input });
        let answer = call.json(&body).send().await?;
        let route = answer.header(&ROUTE_HEADER).unwrap_or_default();
        Ok(named(route).ok_or_else(|| {
            format!(
                "{} answered without saying by the header `{ROUTE_HEADER}` which model did (`{}`): is `mesh` Seldon's?",
                answer.what(),
                shown(route)
            )
        }))
    }
}

/// The `Model` of a route: without the number that Seldon counts its states by.
fn named(route: &str) -> Option<String> {
    let last = route.split([':', ',']).map(str::trim).rfind(|part| !part.is_empty())?;
    let (name, number) = last.rsplit_once('_')?;
    number.bytes().all(|byte| byte.is_ascii_digit()).then(|| name.to_owned())
}

impl Experiment {
    /// All candidates with their `Model`s.
    async fn candidates(&self, at: At<'_>) -> Result<Result<Vec<Candidate>, String>, PortError> {
        let stated = match stated(at.object) {
            Ok(stated) => stated,
            Err(why) => return Ok(Err(why)),
        };
        let mut all = Vec::new();
        for (name, weight) in stated {
            match at.cluster.get(model::RESOURCE, &name).await {
                Ok(model) => all.push(Candidate { name, weight, model }),
                // One without a part of the traffic answers nobody; whether it has to be there, a shift asks.
                Err(error) if error.kind == ErrorKind::NotFound && weight == 0 => {}
                Err(error) if error.kind == ErrorKind::NotFound => {
                    return Ok(Err(format!("has the candidate `{}`: {error}", shown(&name))));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Ok(all))
    }

    /// The candidate that serves a version.
    fn of<'c>(&self, all: &'c [Candidate], version: &VersionName) -> Result<&'c Candidate, String> {
        let found: Vec<_> =
            all.iter().filter(|one| self.model.stated(&one.model).is_ok_and(|is| is == *version)).collect();
        match found.as_slice() {
            [one] => Ok(one),
            [] => Err(format!(
                "has no candidate whose `Model` is at `{}`: add one with the weight 0, so that there is something to go back to",
                self.model.uri.of(version)
            )),
            _ => Err(format!(
                "has several candidates whose `Model` is at `{}`: keep one",
                self.model.uri.of(version)
            )),
        }
    }

    /// What the mesh and the weights say together: who may still be asked has a part, whether it was met or not.
    async fn read(&self, at: At<'_>) -> Result<Result<Vec<Part>, String>, PortError> {
        let all = match self.candidates(at).await? {
            Ok(all) => all,
            Err(why) => return Ok(Err(format!("it {why}"))),
        };
        let mut met = vec![0_u64; all.len()];
        let names = match self.mesh.all(at.name, default(at.object)).await? {
            Ok(names) => names,
            Err(why) => return Ok(Err(why)),
        };
        for name in names {
            match all.iter().position(|one| one.name == name) {
                Some(index) => met[index] += 1,
                None => {
                    return Ok(Err(format!("the `Model` `{}` answers, which is no candidate", shown(&name))));
                }
            }
        }
        let is_as_stated = all.iter().zip(&met).all(|(one, met)| one.weight > 0 || *met == 0);
        let weights: Vec<u64> = match is_as_stated {
            true => all.iter().map(|one| one.weight).collect(),
            false => all.iter().zip(&met).map(|(one, met)| (*met).max(u64::from(one.weight > 0))).collect(),
        };
        let sum: u64 = weights.iter().sum();
        let mut parts = Vec::new();
        for (one, weight) in all.iter().zip(weights).filter(|(_, weight)| *weight > 0) {
            let weight = kubernetes::portion(count(weight), count(sum));
            match self.model.served(&one.model) {
                Ok(version) => parts.push(Part { version, weight, proof: Proof::ControlPlane }),
                Err(why) => return Ok(Err(format!("its candidate `{}` {why}", shown(&one.name)))),
            }
        }
        Ok(Ok(parts))
    }
}

fn count(weight: u64) -> usize {
    usize::try_from(weight).unwrap_or(usize::MAX)
}

#[async_trait]
impl Kind for Experiment {
    fn resource(&self) -> Resource {
        RESOURCE
    }

    fn field(&self) -> &'static str {
        "the candidate at"
    }

    fn value(&self, version: &VersionName) -> String {
        self.model.uri.of(version)
    }

    async fn wanted(&self, at: At<'_>, to: Option<&VersionName>) -> Result<Result<Value, String>, PortError> {
        let mut candidates = match stated(at.object) {
            Ok(_) => at.object["spec"]["candidates"].clone(),
            Err(why) => return Ok(Err(why)),
        };
        if let Some(version) = to {
            let all = match self.candidates(at).await? {
                Ok(all) => all,
                Err(why) => return Ok(Err(why)),
            };
            let chosen = match self.of(&all, version) {
                Ok(chosen) => chosen.name.clone(),
                Err(why) => return Ok(Err(why)),
            };
            for one in candidates.as_array_mut().into_iter().flatten().filter(|one| one.is_object()) {
                one["weight"] = json!(if one["name"] == *chosen { 100 } else { 0 });
            }
        }
        Ok(Ok(json!({ "candidates": candidates })))
    }

    fn fields(&self, _object: &Value) -> Vec<Vec<String>> {
        vec![["spec", "candidates"].map(str::to_owned).to_vec()]
    }

    async fn live(&self, at: At<'_>) -> Result<LiveState, PortError> {
        Ok(match self.read(at).await? {
            Ok(parts) => LiveState::Serving(kubernetes::shares(parts)),
            Err(why) => LiveState::Unknown(why),
        })
    }

    fn progress(&self, object: &Value) -> Option<String> {
        let conditions = object["status"]["conditions"].as_array()?;
        let not = conditions.iter().find(|condition| condition["status"] != "True")?;
        let all = [&not["type"], &not["status"], &not["reason"], &not["message"]].map(text);
        Some(format!("Seldon says `{}`", shown(&all.join(": "))))
    }

    async fn hinders(&self, at: At<'_>, to: Option<&VersionName>) -> Result<Option<String>, PortError> {
        let Some(version) = to else { return Ok(None) };
        let all = self.candidates(at).await?;
        let served = all.and_then(|all| {
            let chosen = self.of(&all, version)?;
            let told = |why| format!("has the candidate `{}`, which {why}", shown(&chosen.name));
            self.model.served(&chosen.model).map_err(told)?;
            let is_default = default(at.object) == Some(chosen.name.as_str());
            Ok::<_, String>((is_default, all))
        });
        let (is_default, all) = match served {
            Ok(served) => served,
            Err(why) => return Ok(Some(why)),
        };
        // Seldon makes no route of an experiment one of whose candidates is not there, whatever its weight, and gives the default everything.
        let stated = stated(at.object).unwrap_or_default();
        let missing = stated.into_iter().find(|(name, _)| !all.iter().any(|one| one.name == *name));
        Ok(missing.filter(|_| !is_default).map(|(name, _)| {
            format!(
                "has the candidate `{}`, whose `Model` is not there: Seldon gives such an experiment no route, and its default everything; take the candidate out first",
                shown(&name)
            )
        }))
    }

    fn odd(&self, object: &Value) -> Option<String> {
        stated(object).err()
    }
}

/// The `Model` whose own traffic the experiment takes.
fn default(object: &Value) -> Option<&str> {
    object["spec"]["default"].as_str().filter(|name| kubernetes::is_name("default", name).is_ok())
}

/// Whether an experiment sends others what is asked of this `Model`.
pub(super) fn takes_from(experiment: &Value, model: &str) -> Option<String> {
    let spec = &experiment["spec"];
    let is_other = |one: &Value| one["name"] != *model && one["weight"].as_u64().unwrap_or(0) > 0;
    let takes = spec["resourceType"] != "pipeline"
        && spec["default"] == *model
        && spec["candidates"].as_array().is_some_and(|all| all.iter().any(is_other));
    takes.then(|| {
        format!(
            "the `Experiment` `{}` has it as its default, and sends others a part of what is asked of it: roll that back, with `resource = \"experiment\"`",
            shown(text(&experiment["metadata"]["name"]))
        )
    })
}

/// The candidates with their weights, or why they cannot be rolled back here.
fn stated(object: &Value) -> Result<Vec<(String, u64)>, String> {
    let spec = &object["spec"];
    if spec["resourceType"] == "pipeline" {
        return Err("is of pipelines: models are rolled back here".to_owned());
    }
    let all = spec["candidates"].as_array().map(Vec::as_slice).unwrap_or_default();
    if all.is_empty() || all.len() > CANDIDATES_MAX {
        return Err(format!("has {} candidates: from 1 to {CANDIDATES_MAX} can be read", all.len()));
    }
    let mut stated = Vec::new();
    for one in all {
        let (name, weight) = (text(&one["name"]), one["weight"].as_u64().unwrap_or(0));
        if kubernetes::is_name("candidate", name).is_ok() {
            stated.push((name.to_owned(), weight));
        } else if weight > 0 {
            return Err(format!("has the candidate `{}`, which is no name", shown(name)));
        }
        // One that nobody is sent to hides the others no more than one whose `Model` is not there.
    }
    if stated.iter().all(|(_, weight)| *weight == 0) {
        return Err("has no candidate with a weight".to_owned());
    }
    Ok(stated)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_names_a_model() {
        assert_eq!(named(":fraud-1_3:").as_deref(), Some("fraud-1"));
        assert_eq!(named(":other_1:,:fraud_a_12:").as_deref(), Some("fraud_a"));
        for odd in ["", ":", ":fraud:", ":fraud_x:"] {
            assert_eq!(named(odd), None, "{odd}");
        }
    }

    #[tokio::test]
    async fn answers_are_waited_for_at_the_same_time_and_both_routes_are_asked() {
        let answer = async |headers: http::HeaderMap| {
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
            let route = headers[MODEL_HEADER].to_str().unwrap();
            let name = if route == "fraud-a" { ":fraud-a_1:" } else { ":fraud-b_2:" };
            ([(ROUTE_HEADER, name)], "{}")
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = axum::Router::new().route("/v2/models/{model}/infer", axum::routing::post(answer));
        let mut servers = tokio::task::JoinSet::new();
        servers.spawn(async move { axum::serve(listener, router).await.unwrap() });
        let mesh = Mesh {
            http: Http::new().unwrap(),
            url: url.parse().unwrap(),
            input: json!([]),
            answers: 20,
            deadline: Millis(5_000),
        };
        let begun = std::time::Instant::now();
        let names = mesh.all("fraud", Some("fraud-a")).await.unwrap().unwrap();
        assert!(begun.elapsed().as_millis() < 4_000, "one after the other they take 6 s");
        assert_eq!(names.iter().filter(|name| *name == "fraud-a").count(), 10);
        assert_eq!(names.iter().filter(|name| *name == "fraud-b").count(), 10);
        assert!(mesh.all("fraud", None).await.unwrap().unwrap().iter().all(|name| name == "fraud-b"));
    }

    #[test]
    fn a_model_whose_traffic_an_experiment_takes_is_told() {
        let of = |default: &str, weight: u64| {
            let candidates =
                json!([{ "name": "fraud", "weight": 50 }, { "name": "fraud-new", "weight": weight }]);
            let spec = json!({ "default": default, "candidates": candidates });
            takes_from(&json!({ "metadata": { "name": "ab" }, "spec": spec }), "fraud")
        };
        assert!(of("fraud", 50).unwrap().contains("the `Experiment` `ab` has it as its default"));
        assert_eq!((of("fraud", 0), of("other", 50)), (None, None));
    }

    #[test]
    fn candidates_are_read_with_their_weights() {
        let of = |spec: Value| stated(&json!({ "spec": spec }));
        let found = of(json!({ "candidates": [{ "name": "a", "weight": 100 }, { "name": "b" }] })).unwrap();
        assert_eq!(found, [("a".to_owned(), 100), ("b".to_owned(), 0)]);
        let odd =
            json!({ "candidates": [{ "name": "a", "weight": 100 }, { "name": "../b", "weight": 0 }, 7] });
        assert_eq!(of(odd).unwrap(), [("a".to_owned(), 100)]);
        for (odd, expected) in [
            (json!({}), "has 0 candidates"),
            (json!({ "candidates": [{ "name": "a", "weight": 0 }] }), "no candidate with a weight"),
            (
                json!({ "candidates": [{ "name": "../a", "weight": 1 }] }),
                "the candidate `../a`, which is no name",
            ),
            (json!({ "resourceType": "pipeline", "candidates": [] }), "of pipelines"),
        ] {
            let why = of(odd).unwrap_err();
            assert!(why.contains(expected), "{why}");
        }
    }
}
