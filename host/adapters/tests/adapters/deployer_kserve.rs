//! KServe behind a server of our own: answers that a real interface gives seldom, and the form of endpoints that the real one of the tests is too old for.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use axum::response::IntoResponse;
use ripcord_adapters::conformance::deployer::{self, Settable, order};
use ripcord_adapters::deployer_kserve::{KserveDeployer, KserveDeployerConfig, KserveMode};
use ripcord_core::live::LiveState;
use ripcord_core::target::Target;
use ripcord_ports::{Applied, Deployer, ErrorKind};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::support::{Server, shared, target};

const SOURCE: &str = "internal.serving.kserve.io/storage-initializer-sourceuri";

/// One answer.
#[derive(Clone)]
struct Canned(u16, String);

/// What there is, and what is answered instead.
#[derive(Default)]
struct World {
    uri: String,
    generation: i64,
    /// By a part of method and target; the first that fits.
    instead: Vec<(&'static str, Canned)>,
    pods: usize,
    pages: usize,
}

struct Fake {
    server: Server,
    folder: TempDir,
    world: Arc<Mutex<World>>,
}

impl World {
    fn object(&self) -> Value {
        json!({
            "apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService",
            "metadata": { "name": "fraud", "namespace": "ml", "uid": "u", "resourceVersion": self.generation.to_string(), "generation": self.generation },
            "spec": { "predictor": { "model": { "modelFormat": { "name": "sklearn" }, "storageUri": self.uri } } },
            "status": { "observedGeneration": self.generation, "deploymentMode": "Standard" },
        })
    }

    fn answer(&mut self, method: &Method, target: &str, body: &[u8]) -> Canned {
        let asked = format!("{method} {target}");
        if let Some((_, canned)) = self.instead.iter().find(|(part, _)| asked.contains(part)) {
            return canned.clone();
        }
        let name = |index: usize| format!("fraud-{index}");
        let ok = |value: Value| Canned(200, value.to_string());
        if asked.contains("/inferenceservices/fraud") {
            if *method == Method::PATCH {
                let wanted: Value = serde_json::from_slice(body).unwrap();
                let uri = wanted["spec"]["predictor"]["model"]["storageUri"].as_str().unwrap().to_owned();
                let was = std::mem::replace(&mut self.uri, uri);
                if target.contains("dryRun") {
                    let would_be = self.object();
                    self.uri = was;
                    return ok(would_be);
                }
                self.generation += 1;
            }
            return ok(self.object());
        }
        if asked.contains("/endpointslices") {
            let endpoint = |index| json!({ "addresses": ["10.0.0.1"], "conditions": { "ready": true }, "targetRef": { "kind": "Pod", "name": name(index) } });
            let endpoints: Vec<_> = (0..self.pods).map(endpoint).collect();
            let slice = json!({ "addressType": "IPv4", "ports": [{ "port": 8080 }], "endpoints": endpoints });
            return ok(json!({ "kind": "EndpointSliceList", "metadata": {}, "items": [slice] }));
        }
        let pod = |index| json!({ "metadata": { "name": name(index), "annotations": { SOURCE: self.uri } } });
        // Each page but the last points at the next one.
        let mut metadata = json!({});
        if self.pages > 0 {
            metadata["continue"] = json!(format!("page-{}", self.pages));
            self.pages -= 1;
        }
        ok(
            json!({ "kind": "PodList", "metadata": metadata, "items": (0..self.pods).map(pod).collect::<Vec<_>>() }),
        )
    }
}

async fn answered(
    State(world): State<Arc<Mutex<World>>>,
    method: Method,
    uri: Uri,
    body: Bytes,
) -> impl IntoResponse {
    let Canned(status, text) = world.lock().unwrap().answer(&method, &uri.to_string(), &body);
    (StatusCode::from_u16(status).unwrap(), [("content-type", "application/json")], text)
}

impl Fake {
    async fn start() -> Self {
        let world = World { uri: "s3://models/fraud/1.0".into(), generation: 1, pods: 2, ..World::default() };
        let world = Arc::new(Mutex::new(world));
        let server = Server::start(Router::new().fallback(answered).with_state(world.clone())).await;
        Self { server, folder: tempfile::tempdir().unwrap(), world }
    }

    fn instead(&self, part: &'static str, status: u16, text: impl Into<String>) {
        self.world.lock().unwrap().instead = vec![(part, Canned(status, text.into()))];
    }

    fn kubeconfig(&self) -> PathBuf {
        let path = self.folder.path().join("kubeconfig");
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{ "name": "k", "cluster": { "server": self.server.url("") } }],
            "users": [{ "name": "u", "user": { "token": "hunter2" } }],
            "contexts": [{ "name": "c", "context": { "cluster": "k", "user": "u" } }],
        });
        std::fs::write(&path, config.to_string()).unwrap();
        let mut rights = std::fs::metadata(&path).unwrap().permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut rights, 0o600);
        std::fs::set_permissions(&path, rights).unwrap();
        path
    }

    fn config(&self) -> KserveDeployerConfig {
        KserveDeployerConfig {
            model: "fraud".into(),
            namespace: "ml".into(),
            model_uri: "s3://models/{model}/{version}".into(),
            mode: KserveMode::Standard,
            kubeconfig: Some(self.kubeconfig()),
            context: None,
            take_over: Vec::new(),
            probe_input: None,
            probe_input_file: None,
            probe_port: None,
            deadline_ms: 1_000,
        }
    }

    fn deployer(&self) -> KserveDeployer {
        KserveDeployer::new(self.config(), &shared()).unwrap()
    }
}

fn settable(version: &str) -> Settable {
    Settable { target: Target::Version(target(version, None)), staged: None }
}

#[tokio::test]
async fn it_conforms_with_endpoints_in_their_newer_form() {
    let fake = Fake::start().await;
    deployer::conforms(&fake.deployer(), &settable("1.0"), &settable("1.1")).await;
}

/// A status as the interface words it.
fn status(code: u16, reason: &str, message: &str) -> String {
    json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "reason": reason, "details": {}, "code": code })
        .to_string()
}

#[tokio::test]
async fn each_error_says_what_to_do_and_whether_something_was_changed() {
    let fake = Fake::start().await;
    let deployer = fake.deployer();
    let before = deployer.live().await.unwrap().state;
    let check = async |part: &'static str,
                       code: u16,
                       text: String,
                       kind: ErrorKind,
                       applied: Applied,
                       expected: &str| {
        fake.instead(part, code, text);
        let error = deployer.shift(&order("x", &settable("1.1"), before.clone())).await.unwrap_err();
        assert_eq!((error.kind, error.applied), (kind, applied), "{part} {code}: {error}");
        assert!(error.to_string().contains(expected), "{part} {code}: {error}");
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    };
    use Applied::{No, Unknown};
    use ErrorKind::{BadAnswer, Conflict, Denied, Failed, NotFound, TimedOut, TooLarge};
    check("GET", 401, status(401, "Unauthorized", "Unauthorized"), Denied, No, "renew it").await;
    let message = "inferenceservices is forbidden: User \"x\" cannot get resource";
    check(
        "GET",
        403,
        status(403, "Forbidden", message),
        Denied,
        No,
        "allow the verb `get` on `inferenceservices.serving.kserve.io`",
    )
    .await;
    check(
        "GET",
        404,
        status(404, "NotFound", "\"fraud\" not found"),
        NotFound,
        No,
        "check its name, `namespace`",
    )
    .await;
    check("GET", 404, "404 page not found\n".into(), NotFound, No, "does not serve").await;
    check("GET", 500, "oh".into(), Failed, No, "answered 500: `oh`").await;
    check("GET", 200, "<html>Sign in".into(), BadAnswer, No, "not JSON").await;
    check("GET", 200, "{}".into(), BadAnswer, No, "no InferenceService of this name").await;
    check("GET", 200, " ".repeat(9 << 20), TooLarge, No, "more than 8388608 bytes").await;
    check("GET", 504, "late".into(), TimedOut, No, "answered 504").await;
    check("/endpointslices", 200, "{}".into(), BadAnswer, No, "no list of endpointslices").await;
    check("dryRun=All", 422, status(422, "Invalid", "no"), Failed, No, "does not take it so").await;
    check("dryRun=All", 500, "oh".into(), Failed, No, "answered 500").await;
    check("dryRun=All", 200, "{}".into(), Failed, No, "would not leave `spec`").await;
    let message = "Operation cannot be fulfilled\u{1b}[2J on \"fraud\"";
    check("PATCH", 409, status(409, "Conflict", message), Conflict, No, "written by others all the time")
        .await;
    // Only what is no dry run.
    let only =
        "PATCH /apis/serving.kserve.io/v1beta1/namespaces/ml/inferenceservices/fraud?fieldManager=ripcord";
    let check_change = async |code: u16, text: String, kind: ErrorKind, applied: Applied, expected: &str| {
        let mut would_be = fake.world.lock().unwrap().object();
        would_be["spec"]["predictor"]["model"]["storageUri"] = json!("s3://models/fraud/1.1");
        fake.world.lock().unwrap().instead =
            vec![("dryRun=All", Canned(200, would_be.to_string())), (only, Canned(code, text))];
        let error = deployer.shift(&order("x", &settable("1.1"), before.clone())).await.unwrap_err();
        assert_eq!((error.kind, error.applied), (kind, applied), "{code}: {error}");
        assert!(error.to_string().contains(expected), "{code}: {error}");
    };
    check_change(500, "oh".into(), Failed, Unknown, "answered 500").await;
    check_change(503, "oh".into(), Failed, Unknown, "answered 503").await;
    check_change(429, status(429, "TooManyRequests", "slow"), Failed, No, "it passes").await;
    check_change(403, status(403, "Forbidden", "no"), Denied, No, "allow the verb `patch`").await;
    check_change(200, "{}".into(), BadAnswer, Unknown, "something else than the changed object").await;
    check_change(200, "<html>".into(), BadAnswer, Unknown, "not JSON").await;
    check_change(302, String::new(), Failed, Unknown, "answered 302").await;
}

#[tokio::test]
async fn lists_are_bounded_and_odd_pages_told() {
    let fake = Fake::start().await;
    let deployer = fake.deployer();
    fake.world.lock().unwrap().pages = 3;
    assert_eq!(deployer.live().await.unwrap().state.to_string(), "1.0");
    fake.world.lock().unwrap().pages = 1_000;
    fake.world.lock().unwrap().pods = 100;
    let error = deployer.live().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::TooLarge, "{error}");
    assert!(error.to_string().contains("more than 1000 pods"), "{error}");
    let again = json!({ "kind": "PodList", "metadata": { "continue": "same" }, "items": [] });
    fake.instead("/pods", 200, again.to_string());
    let error = deployer.live().await.unwrap_err();
    assert!(error.to_string().contains("points at the same page again"), "{error}");
}

#[tokio::test]
async fn what_cannot_be_told_is_unknown_with_the_reason() {
    let fake = Fake::start().await;
    let deployer = fake.deployer();
    let unknown = async |expected: &str| {
        let LiveState::Unknown(why) = deployer.live().await.unwrap().state else {
            panic!("it is known: {expected}")
        };
        assert!(why.contains(expected), "{why}");
    };
    fake.world.lock().unwrap().uri = "gs://elsewhere/\u{1b}[2J".into();
    unknown("has its model from `gs://elsewhere/\\u{1b}[2J`, which does not fit `model-uri`").await;
    fake.world.lock().unwrap().uri = "s3://models/fraud/1.0".into();
    let object = |change: &dyn Fn(&mut Value)| {
        let mut object = fake.world.lock().unwrap().object();
        change(&mut object);
        object.to_string()
    };
    fake.instead("/inferenceservices/", 200, object(&|object| object["metadata"]["generation"] = json!(7)));
    unknown("has not taken up generation 7 of `fraud` and is at 1").await;
    fake.instead("/pods", 200, json!({ "kind": "PodList", "items": [] }).to_string());
    unknown("the pod `fraud-1` takes traffic and is not among the pods").await;
    let config = KserveDeployerConfig { mode: KserveMode::Knative, ..fake.config() };
    let knative = KserveDeployer::new(config, &shared()).unwrap();
    fake.world.lock().unwrap().instead.clear();
    let LiveState::Unknown(why) = knative.live().await.unwrap().state else { panic!("there is no traffic") };
    assert!(why.contains("does not say which revision takes traffic"), "{why}");
    assert!(knative.obstacle().await.unwrap().contains("set `mode = \"standard\"`"));
}
