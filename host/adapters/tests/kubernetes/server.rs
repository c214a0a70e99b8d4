//! A real `kube-apiserver` with its `etcd`, an administrator who writes objects, and a relay that others reach it through.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Response, StatusCode, Uri};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rsa::pkcs1v15::SigningKey;
use rsa::pkcs8::{EncodePrivateKey as _, LineEnding};
use rsa::signature::{SignatureEncoding as _, Signer as _};
use rsa::{RsaPrivateKey, sha2::Sha256};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::adapters::support::Server;

const START_MAX: Duration = Duration::from_secs(120);
const ADMIN: &str = "tok-admin";
const ISSUER: &str = "https://ripcord.test";
pub(super) const NAMESPACE: &str = "ml";
/// Where pods are, as the interface has it, and as this machine has it.
const PODS: (&str, &str) = ("\"10.77.0.", "\"127.77.0.");

/// The servers. They end when this is dropped.
pub(super) struct Kubernetes {
    _children: Children,
    folder: TempDir,
    key: RsaPrivateKey,
    admin: Admin,
    relay: Server,
}

/// Programs, which end with it, started whole or not.
struct Children(Vec<Child>);

impl Drop for Children {
    fn drop(&mut self) {
        for child in self.0.iter_mut().rev() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Who may do everything.
#[derive(Clone)]
pub(super) struct Admin {
    client: reqwest::Client,
    url: String,
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn program(name: &str) -> PathBuf {
    let programs = std::env::var("RIPCORD_TEST_KUBERNETES").unwrap_or_else(|_| {
        panic!("`RIPCORD_TEST_KUBERNETES` is not set: set it to the folder that `.ci/kubernetes` prints")
    });
    PathBuf::from(programs).join(name)
}

fn spawn(name: &str, arguments: &[String], log: &Path) -> Child {
    let log = std::fs::File::create(log).unwrap();
    let mut command = Command::new(program(name));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    command.spawn().unwrap_or_else(|error| panic!("{name}: {error}"))
}

impl Kubernetes {
    pub(super) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let [etcd, peer, api] = [free_port(), free_port(), free_port()];
        let (client_url, peer_url) = (format!("http://127.0.0.1:{etcd}"), format!("http://127.0.0.1:{peer}"));
        let arguments = [
            format!("--data-dir={}", at("etcd").display()),
            format!("--listen-client-urls={client_url}"),
            format!("--advertise-client-urls={client_url}"),
            format!("--listen-peer-urls={peer_url}"),
            format!("--initial-advertise-peer-urls={peer_url}"),
            format!("--initial-cluster=default={peer_url}"),
            "--unsafe-no-fsync".to_owned(),
        ];
        let mut children = Children(vec![spawn("etcd", &arguments, &at("etcd.log"))]);
        let key = RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2_048).unwrap();
        std::fs::write(at("sa.key"), key.to_pkcs8_pem(LineEnding::LF).unwrap().as_bytes()).unwrap();
        std::fs::write(at("tokens.csv"), format!("{ADMIN},admin,1,system:masters\n")).unwrap();
        let key_file = at("sa.key").display().to_string();
        let arguments = [
            format!("--etcd-servers={client_url}"),
            "--bind-address=127.0.0.1".to_owned(),
            "--advertise-address=127.0.0.1".to_owned(),
            format!("--secure-port={api}"),
            format!("--cert-dir={}", at("certs").display()),
            format!("--service-account-issuer={ISSUER}"),
            format!("--service-account-key-file={key_file}"),
            format!("--service-account-signing-key-file={key_file}"),
            format!("--api-audiences={ISSUER}"),
            format!("--token-auth-file={}", at("tokens.csv").display()),
            "--authorization-mode=RBAC".to_owned(),
            "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
            "--disable-admission-plugins=ServiceAccount".to_owned(),
        ];
        children.0.push(spawn("kube-apiserver", &arguments, &at("api.log")));
        let _ = rustls::crypto::ring::default_provider().install_default();
        // A certificate that the server has made itself: who asks over TLS is given it as an authority.
        let client = reqwest::Client::builder().danger_accept_invalid_certs(true).no_proxy().build().unwrap();
        let admin = Admin { client, url: format!("https://127.0.0.1:{api}") };
        let begun = Instant::now();
        while admin.status(Method::GET, "/readyz").await != Some(200) {
            assert!(begun.elapsed() < START_MAX, "kube-apiserver did not start: {}", tail(&at("api.log")));
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let router = Router::new().fallback(relayed).with_state(admin.clone());
        let relay = Server::start(router).await;
        let kubernetes = Self { _children: children, folder, key, admin, relay };
        kubernetes.create("/api/v1/namespaces", json!({ "metadata": { "name": NAMESPACE } })).await;
        kubernetes
    }

    pub(super) fn admin(&self) -> Admin {
        self.admin.clone()
    }

    pub(super) async fn create(&self, path: &str, object: Value) -> Value {
        self.admin.create(path, object).await
    }

    /// Over plain HTTP, to be reached by a fault proxy.
    pub(super) fn relay(&self) -> String {
        self.relay.url("")
    }

    /// A kubeconfig of its own for whoever has this token, at an address.
    pub(super) fn kubeconfig(&self, server: &str, token: &str) -> PathBuf {
        let path = tempfile::Builder::new().tempfile_in(self.folder.path()).unwrap().keep().unwrap().1;
        let mut cluster = json!({ "server": server });
        if server.starts_with("https") {
            let authority = std::fs::read(self.folder.path().join("certs/apiserver.crt")).unwrap();
            cluster["certificate-authority-data"] = json!(STANDARD.encode(authority));
        }
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{ "name": "test", "cluster": cluster }],
            "users": [{ "name": "ripcord", "user": { "token": token } }],
            "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "ripcord" } }],
        });
        std::fs::write(&path, config.to_string()).unwrap();
        path
    }

    /// The server's own address, with TLS.
    pub(super) fn tls(&self) -> String {
        self.admin.url.clone()
    }

    /// A token of an account that has the role of a manifest in `examples/kubernetes`, and nothing else.
    pub(super) async fn account(&self, manifest: &str) -> String {
        for object in manifest.split("\n---\n") {
            let object: Value = yaml(object);
            let kind = object["kind"].as_str().unwrap();
            let path = match kind {
                "ServiceAccount" => format!("/api/v1/namespaces/{NAMESPACE}/serviceaccounts"),
                "Role" => format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{NAMESPACE}/roles"),
                "RoleBinding" => {
                    format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{NAMESPACE}/rolebindings")
                }
                other => panic!("a manifest of least rights has no {other}"),
            };
            assert_eq!(object["metadata"]["namespace"], NAMESPACE, "it stays in its namespace");
            self.create(&path, object).await;
        }
        let path = format!("/api/v1/namespaces/{NAMESPACE}/serviceaccounts/ripcord/token");
        let request = json!({ "kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "spec": { "audiences": [ISSUER] } });
        let made = self.create(&path, request).await;
        made["status"]["token"].as_str().unwrap().to_owned()
    }

    /// A token of that account, with the server's own signature, whose time is over.
    pub(super) async fn expired(&self) -> String {
        let path = format!("/api/v1/namespaces/{NAMESPACE}/serviceaccounts/ripcord");
        let account = self.admin.get(&path).await;
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let claims = json!({
            "iss": ISSUER, "aud": [ISSUER], "sub": format!("system:serviceaccount:{NAMESPACE}:ripcord"),
            "iat": 1_600_000_000, "nbf": 1_600_000_000, "exp": 1_600_003_600,
            "kubernetes.io": { "namespace": NAMESPACE, "serviceaccount": { "name": "ripcord", "uid": account["metadata"]["uid"] } },
        });
        let signed = format!("{}.{}", part(json!({ "alg": "RS256", "typ": "JWT" })), part(claims));
        let key = SigningKey::<Sha256>::new(self.key.clone());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes()).to_bytes()))
    }

    pub(super) fn admin_token() -> &'static str {
        ADMIN
    }
}

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn tail(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<_> = text.lines().rev().take(15).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}

impl Admin {
    async fn status(&self, method: Method, path: &str) -> Option<u16> {
        let call = self.client.request(method, format!("{}{path}", self.url)).bearer_auth(ADMIN);
        Some(call.timeout(Duration::from_secs(5)).send().await.ok()?.status().as_u16())
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        kind: &str,
        body: Option<&Value>,
    ) -> (StatusCode, Value) {
        let mut call = self.client.request(method, format!("{}{path}", self.url)).bearer_auth(ADMIN);
        if let Some(body) = body {
            call = call.header("content-type", kind).body(body.to_string());
        }
        let answer = call.send().await.unwrap();
        let status = answer.status();
        (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or(Value::Null))
    }

    pub(super) async fn get(&self, path: &str) -> Value {
        let (status, object) = self.call(Method::GET, path, "", None).await;
        assert_eq!(status, StatusCode::OK, "{path}: {object}");
        object
    }

    /// None where there is no such object.
    pub(super) async fn find(&self, path: &str) -> Option<Value> {
        let (status, object) = self.call(Method::GET, path, "", None).await;
        (status == StatusCode::OK).then_some(object)
    }

    pub(super) async fn create(&self, path: &str, object: Value) -> Value {
        let (status, made) = self.call(Method::POST, path, "application/json", Some(&object)).await;
        assert!(status.is_success(), "{path}: {status} {made}");
        made
    }

    /// By a merge patch, of a manager's own name.
    pub(super) async fn merge(&self, path: &str, manager: &str, patch: Value) -> Value {
        let path = format!("{path}?fieldManager={manager}");
        let (status, object) =
            self.call(Method::PATCH, &path, "application/merge-patch+json", Some(&patch)).await;
        assert!(status.is_success(), "{path}: {status} {object}");
        object
    }

    /// By server-side apply with force, as CD systems do.
    pub(super) async fn apply(&self, path: &str, manager: &str, object: Value) {
        let path = format!("{path}?fieldManager={manager}&force=true");
        let (status, object) =
            self.call(Method::PATCH, &path, "application/apply-patch+yaml", Some(&object)).await;
        assert!(status.is_success(), "{path}: {status} {object}");
    }

    pub(super) async fn delete(&self, path: &str) {
        let (status, object) = self.call(Method::DELETE, path, "", None).await;
        assert!(status.is_success() || status == StatusCode::NOT_FOUND, "{path}: {status} {object}");
    }

    /// Makes a kind known, and waits until it is served.
    pub(super) async fn define(&self, definition: Value) {
        let spec = &definition["spec"];
        let (group, plural) = (spec["group"].as_str().unwrap(), spec["names"]["plural"].as_str().unwrap());
        let path = format!("/apis/{group}/{}/{plural}", spec["versions"][0]["name"].as_str().unwrap());
        self.create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition.clone()).await;
        let begun = Instant::now();
        while self.status(Method::GET, &path).await != Some(200) {
            assert!(begun.elapsed() < START_MAX, "{path} is not served");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Passes everything on, with the credentials of whoever asks.
async fn relayed(
    State(admin): State<Admin>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let mut call = admin.client.request(method, format!("{}{target}", admin.url)).body(body);
    for name in ["authorization", "content-type", "accept"] {
        if let Some(value) = headers.get(name) {
            call = call.header(name, value);
        }
    }
    let answer = call.send().await.unwrap();
    let mut response = Response::builder().status(answer.status());
    for name in ["content-type", "retry-after"] {
        if let Some(value) = answer.headers().get(name) {
            response = response.header(name, value);
        }
    }
    let body = String::from_utf8(answer.bytes().await.unwrap().to_vec()).unwrap();
    response.body(Body::from(body.replace(PODS.0, PODS.1))).unwrap()
}
