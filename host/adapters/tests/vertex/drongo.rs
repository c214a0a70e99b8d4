//! drongo, a server of others: a whole Cloud Storage as far as this adapter asks, and of Vertex AI models without versions.

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::Client;
use ripcord_adapters::registry_vertex::VertexRegistryConfig;
use ripcord_core::digest::Digest;
use ripcord_core::target::{ArtefactFile, artefact_digest};
use ripcord_ports::{ErrorKind, Registry};
use serde_json::{Value, json};

use super::fake::{BUCKET, LOCATION, PROJECT};
use super::{config, of, python, seeded};
use crate::adapters::support::{empty_dir, target, version};

const START_MAX: Duration = Duration::from_secs(60);

/// A running server. It ends when it is dropped.
struct Drongo {
    url: String,
    child: Child,
}

impl Drongo {
    async fn start() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let program = python().with_file_name("drongo");
        let mut command = Command::new(program);
        command.args(["server", "--host", "127.0.0.1", "--port", &port.to_string()]).process_group(0);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let drongo = Self { url: format!("http://127.0.0.1:{port}"), child };
        let begun = Instant::now();
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            assert!(begun.elapsed() < START_MAX, "drongo did not start");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        drongo
    }

    async fn post(&self, path: &str, body: Vec<u8>) -> Value {
        let call =
            Client::new().post(format!("{}{path}", self.url)).header("content-type", "application/json");
        let answer = call.body(body).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        serde_json::from_str(&answer.text().await.unwrap()).unwrap()
    }
}

impl Drop for Drongo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
#[ignore = "needs drongo: see the head of this suite"]
async fn files_come_from_a_cloud_storage_of_others() {
    let drongo = Drongo::start().await;
    drongo
        .post(&format!("/storage/v1/b?project={PROJECT}"), json!({ "name": BUCKET }).to_string().into())
        .await;
    let weights = vec![7; 300_000];
    let files: [(&str, &[u8]); 3] =
        [("model.txt", b"1\n"), ("weights/0.bin", &weights), ("weights/empty", b"")];
    for (path, bytes) in files {
        let name = format!("fraud/1/{path}").replace('/', "%2F");
        drongo
            .post(&format!("/upload/storage/v1/b/{BUCKET}/o?uploadType=media&name={name}"), bytes.to_vec())
            .await;
    }
    let beside = "fraud%2F10%2Fmodel.txt";
    drongo
        .post(&format!("/upload/storage/v1/b/{BUCKET}/o?uploadType=media&name={beside}"), b"10".to_vec())
        .await;
    let (fake, _) = seeded().await;
    let adapter = of(VertexRegistryConfig { storage_endpoint: drongo.url.clone(), ..config(&fake) });
    assert_eq!(adapter.version(&version("1")).await.unwrap().broken, None);
    let (_folder, dir) = empty_dir();
    let staged = adapter.fetch(&target("1", None), dir).await.unwrap();
    let wanted = files.map(|(path, bytes)| ArtefactFile {
        path: path.into(),
        sha256: Digest::of(bytes),
        bytes: bytes.len() as u64,
    });
    assert_eq!((&staged.files[..], staged.digest), (&wanted[..], artefact_digest(&wanted)));
    let broken = adapter.version(&version("2")).await.unwrap().broken.unwrap();
    assert!(broken.contains("has no file below `gs://acme-models/fraud/2/`"), "{broken}");
    fake.world().versions[1].insert("artifactUri".into(), "gs://of-others/fraud".into());
    let broken = adapter.version(&version("2")).await.unwrap().broken.unwrap();
    assert!(broken.contains("check that the bucket `of-others` is still there"), "{broken}");
}

#[tokio::test]
#[ignore = "needs drongo: see the head of this suite"]
async fn what_drongo_knows_of_models_is_read_and_the_rest_is_told() {
    let drongo = Drongo::start().await;
    let upload = json!({ "model": { "displayName": "fraud", "artifactUri": "gs://b/fraud/1" } });
    let path = format!("/v1/projects/{PROJECT}/locations/{LOCATION}/models:upload");
    let uploaded = drongo.post(&path, upload.to_string().into()).await;
    let name = uploaded["response"]["model"].as_str().unwrap();
    let (fake, _) = seeded().await;
    let known = VertexRegistryConfig {
        endpoint: Some(drongo.url.clone()),
        model: name.rsplit('/').next().unwrap().to_owned(),
        patience_ms: 0,
        ..config(&fake)
    };
    let adapter = of(known.clone());
    let error = adapter.version(&version("1")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound, "it has no versions: {error}");
    let error = adapter.promoted().await.unwrap_err();
    assert!(error.to_string().contains("without the number of a version"), "its model is found: {error}");
    let error = adapter.versions(10).await.unwrap_err();
    assert!(error.to_string().contains("drongo: no matching route"), "{error}");
    let absent = of(VertexRegistryConfig { model: "absent".into(), ..known });
    let error = absent.promoted().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound, "{error}");
    assert!(error.to_string().contains("check `project`, `location` and `model`"), "{error}");
}
