//! A trained folder, a server on it, and a client.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use fraud::serve::{self, Server};
use fraud::train::{self, Layout};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A folder with all versions, and a server on its model folder.
#[derive(Debug)]
pub(crate) struct Setup {
    /// Where the pieces are.
    pub(crate) layout: Layout,
    /// The request log.
    pub(crate) log: PathBuf,
    args: serve::Args,
    client: reqwest::Client,
    server: Option<Server>,
    url: String,
    folder: TempDir,
}

/// A status with the body, as JSON where it is JSON and as text otherwise.
pub(crate) type Answer = (u16, Value);

impl Setup {
    /// Trains, deploys and serves.
    pub(crate) async fn new(deployed: Option<&str>) -> Self {
        Self::with(deployed, |_, _| {}).await
    }

    /// The same with arguments of the server changed, after training; gets the folder, too.
    pub(crate) async fn with(deployed: Option<&str>, change: impl FnOnce(&Path, &mut serve::Args)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().to_owned();
        train::write(&train::Args { out: out.clone(), deploy: deployed.map(str::to_owned), at: None })
            .unwrap();
        let layout = Layout::new(&out);
        let log = out.join("requests.jsonl");
        let mut args = serve::Args {
            models: layout.models.clone(),
            listen: "127.0.0.1:0".to_owned(),
            log: log.clone(),
            decision_config: None,
            mode_file: None,
            latency_ms: 0,
        };
        change(&out, &mut args);
        let server = Server::start(args.clone()).await.unwrap();
        let url = server.url();
        let client = reqwest_client();
        Self { layout, log, args, client, server: Some(server), url, folder }
    }

    /// Stops the server and starts it again with the same arguments.
    pub(crate) async fn restart(&mut self) {
        self.stop().await;
        let server = Server::start(self.args.clone()).await.unwrap();
        self.url = server.url();
        self.server = Some(server);
    }

    /// The server's URL.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// A path in the temporary folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Stops the server and waits for its end.
    pub(crate) async fn stop(&mut self) {
        self.server.take().unwrap().stop().await.unwrap();
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        answer(self.client.get(format!("{}{path}", self.url))).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        answer(self.client.post(format!("{}{path}", self.url)).json(&body)).await
    }

    /// An answer with the headers by which the server says who decided.
    pub(crate) async fn infer(&self, id: &str, account_age_days: f64) -> (BTreeMap<String, String>, Value) {
        let request = self.client.post(format!("{}/v2/models/fraud/infer", self.url));
        let response = request.json(&question(id, account_age_days)).send().await.unwrap();
        assert_eq!(response.status(), 200);
        (who_decided(&response), response.json().await.unwrap())
    }

    /// The same headers of a page.
    pub(crate) async fn said_by(&self, path: &str) -> BTreeMap<String, String> {
        who_decided(&self.client.get(format!("{}{path}", self.url)).send().await.unwrap())
    }

    /// Reads the mode and its entity tag.
    pub(crate) async fn mode(&self) -> (String, String) {
        let response = self.client.get(format!("{}/mode", self.url)).send().await.unwrap();
        let tag = response.headers()["etag"].to_str().unwrap().to_owned();
        let body: Value = response.json().await.unwrap();
        (body["mode"].as_str().unwrap().to_owned(), tag)
    }

    pub(crate) async fn put_mode(&self, body: &str, if_match: Option<&str>) -> Answer {
        let mut request = self.client.put(format!("{}/mode", self.url)).body(body.to_owned());
        if let Some(tag) = if_match {
            request = request.header("if-match", tag);
        }
        answer(request).await
    }

    pub(crate) async fn post_raw(&self, path: &str, body: Vec<u8>) -> Answer {
        answer(self.client.post(format!("{}{path}", self.url)).body(body)).await
    }

    pub(crate) async fn trial(&self, path: &str, body: Value) -> Answer {
        answer(
            self.client.post(format!("{}{path}", self.url)).header("ripcord-trial", "incident-1").json(&body),
        )
        .await
    }

    /// The value of one series of `/metrics`, 0 when it is not there.
    pub(crate) async fn metric(&self, series: &str) -> f64 {
        let (status, text) = self.get("/metrics").await;
        assert_eq!(status, 200);
        let text = text.as_str().unwrap().to_owned();
        let line =
            text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ').map(str::to_owned));
        line.map_or(0.0, |value| value.parse().unwrap())
    }

    /// The lines of the request log.
    pub(crate) fn logged(&self) -> Vec<Value> {
        fs::read_to_string(&self.log)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

/// Every file below a folder, with its bytes.
pub(crate) fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(
                    path.strip_prefix(folder).unwrap().display().to_string(),
                    fs::read(&path).unwrap(),
                );
            }
        }
    }
    found
}

pub(crate) fn reqwest_client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

fn who_decided(response: &reqwest::Response) -> BTreeMap<String, String> {
    let said = response.headers().iter().filter(|(name, _)| name.as_str().starts_with("x-"));
    said.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect()
}

async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// A question about an ordinary purchase of a customer of so many days.
pub(crate) fn question(id: &str, account_age_days: f64) -> Value {
    json!({
        "id": id,
        "inputs": [{
            "name": "transaction",
            "shape": [1, 7],
            "datatype": "FP64",
            "data": [[29.9, 13.5, 0.1, account_age_days, 0.2, 0.0, 0.0]],
        }],
    })
}

/// The decisions in an answer.
pub(crate) fn decisions(answer: &Value) -> Vec<String> {
    let output =
        answer["outputs"].as_array().unwrap().iter().find(|output| output["name"] == "decision").unwrap();
    output["data"].as_array().unwrap().iter().map(|value| value.as_str().unwrap().to_owned()).collect()
}
