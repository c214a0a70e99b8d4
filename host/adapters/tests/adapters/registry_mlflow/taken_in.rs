//! What the pretend server takes in: uploaded files, and versions made of them. It counts versions and never asks whether it has made one already, as
//! real ones do.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use reqwest::Url;
use serde_json::{Value, json};

const ARTEFACTS: &str = "/api/2.0/mlflow-artifacts/artifacts";

#[derive(Debug, Default)]
pub(super) struct TakenIn {
    files: BTreeMap<String, Vec<u8>>,
    versions: Vec<Value>,
}

impl TakenIn {
    pub(super) fn answer(&mut self, method: &Method, uri: &Uri, body: &[u8]) -> Option<Response> {
        let url = Url::parse(&format!("http://x{uri}")).unwrap();
        let query: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
        let path = decoded(url.path());
        if let Some(below) = path.strip_prefix(ARTEFACTS) {
            return self.artefact(method, below.trim_start_matches('/'), query.get("path"), body);
        }
        match (method.as_str(), path.strip_prefix("/api/2.0/mlflow/model-versions/")?) {
            ("POST", "create") => Some(self.create(&serde_json::from_slice(body).unwrap())),
            ("GET", "get") => {
                let version = self.version(query.get("version")?)?;
                Some(axum::Json(json!({ "model_version": version })).into_response())
            }
            ("GET", "get-download-uri") => {
                let source = &self.version(query.get("version")?)?["source"];
                Some(axum::Json(json!({ "artifact_uri": source })).into_response())
            }
            ("GET", "search") => {
                let key = query.get("filter")?.split_once("tags.`ripcord.key` = '")?.1.trim_end_matches('\'');
                let tag = json!({"key": "ripcord.key", "value": key});
                let is_it = |version: &&Value| version["tags"].as_array().unwrap().contains(&tag);
                let found: Vec<_> = self.versions.iter().rev().filter(is_it).collect();
                Some(axum::Json(json!({ "model_versions": found })).into_response())
            }
            _ => None,
        }
    }

    /// Before those that were recorded.
    pub(super) fn put_first(&self, versions: &mut Vec<Value>) {
        versions.splice(0..0, self.versions.iter().rev().cloned());
    }

    fn version(&self, number: &str) -> Option<&Value> {
        self.versions.iter().find(|version| version["version"] == number)
    }

    fn create(&mut self, body: &Value) -> Response {
        assert_eq!(body["name"], "fraud");
        let number = self.versions.len() + 3;
        let mut version = body.clone();
        version["version"] = number.to_string().into();
        version["creation_timestamp"] = (1_900_000_000_000_u64 + number as u64).into();
        version["status"] = "READY".into();
        version["run_id"] = "".into();
        for tag in body["tags"].as_array().unwrap() {
            let value = tag["value"].as_str().unwrap();
            assert!(value.chars().count() <= 5_000, "releases before 3 refuse it: {}", tag["key"]);
        }
        let answer = json!({ "model_version": version });
        self.versions.push(version);
        axum::Json(answer).into_response()
    }

    fn artefact(
        &mut self,
        method: &Method,
        below: &str,
        listed: Option<&String>,
        body: &[u8],
    ) -> Option<Response> {
        if *method == Method::PUT {
            self.files.insert(below.to_owned(), body.to_vec());
            return Some(axum::Json(json!({})).into_response());
        }
        let Some(folder) = listed else {
            let content = self.files.get(below)?.clone();
            return Some((StatusCode::OK, content).into_response());
        };
        let folder = format!("{folder}/");
        let mut folders = BTreeSet::new();
        let mut entries = Vec::new();
        for (path, content) in &self.files {
            let Some(rest) = path.strip_prefix(&folder) else { continue };
            match rest.split_once('/') {
                Some((name, _)) => {
                    folders.insert(name.to_owned());
                }
                None => entries.push(json!({"path": rest, "is_dir": false, "file_size": content.len()})),
            }
        }
        entries.extend(folders.into_iter().map(|name| json!({"path": name, "is_dir": true})));
        if entries.is_empty() && !folder.contains("/ripcord/") {
            return None;
        }
        Some(axum::Json(json!({ "files": entries })).into_response())
    }
}

fn decoded(path: &str) -> String {
    let parts = path.split('/').map(|part| {
        let url = Url::parse(&format!("http://x/?v={}", part.replace('+', "%2B"))).unwrap();
        url.query_pairs().next().unwrap().1.into_owned()
    });
    parts.collect::<Vec<_>>().join("/")
}
