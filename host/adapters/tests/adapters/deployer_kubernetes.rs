//! A `Deployment` behind a server of our own: answers that a real interface gives seldom, and endpoints in their newer form. What is here holds for every
//! kind of object that has this deployer's guards, those of Seldon among them.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use axum::response::IntoResponse;
use ripcord_adapters::conformance::deployer::{self, Settable, order};
use ripcord_adapters::deployer_kubernetes::{self, KubernetesDeployerConfig};
use ripcord_core::live::LiveState;
use ripcord_core::ratio::Ratio;
use ripcord_core::target::Target;
use ripcord_ports::deployer::{Moves, Probe, ShiftOrder, WaveOf};
use ripcord_ports::{Applied, Deployer, ErrorKind};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::support::{Server, shared, target};

/// What there is, and what is answered instead.
struct World {
    image: String,
    /// What the pods run; none is what the object says.
    runs: Option<String>,
    generation: i64,
    pods: usize,
    /// By a part of method and target; the first that fits.
    instead: Vec<(&'static str, u16, String)>,
    seen: Vec<String>,
}

struct Fake {
    server: Server,
    folder: TempDir,
    world: Arc<Mutex<World>>,
}

impl World {
    fn object(&self) -> Value {
        let containers = json!([{ "name": "proxy", "image": "p" }, { "name": "main", "image": self.image, "args": ["x"] }]);
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "name": "fraud", "namespace": "ml", "uid": "u", "resourceVersion": self.generation.to_string(), "generation": self.generation },
            "spec": { "replicas": 2, "selector": { "matchLabels": { "app": "fraud" } }, "template": { "spec": { "containers": containers } } },
            "status": { "observedGeneration": self.generation, "updatedReplicas": 2, "readyReplicas": 2 },
        })
    }

    fn answer(&mut self, method: &Method, target: &str, body: &[u8]) -> (u16, String) {
        let asked = format!("{method} {target}");
        self.seen.push(asked.clone());
        if let Some((_, code, text)) = self.instead.iter().find(|(part, ..)| asked.contains(part)) {
            return (*code, text.clone());
        }
        let list = |kind: &str, items: Vec<Value>| {
            (200, json!({ "kind": format!("{kind}List"), "metadata": {}, "items": items }).to_string())
        };
        if asked.contains("/deployments/fraud") {
            if *method == Method::PATCH {
                let wanted: Value = serde_json::from_slice(body).unwrap();
                assert_eq!(wanted["metadata"]["uid"], "u", "what was removed would be made anew: {wanted}");
                if wanted["metadata"]["resourceVersion"].as_str() != Some(&*self.generation.to_string()) {
                    return (409, status(409, "Conflict", "the object has been modified"));
                }
                let containers = wanted["spec"]["template"]["spec"]["containers"].as_array().unwrap();
                assert_eq!(containers.len(), 1, "nothing but its own container is sent: {wanted}");
                let image = containers[0]["image"].as_str().unwrap().to_owned();
                let was = std::mem::replace(&mut self.image, image);
                if target.contains("dryRun") {
                    let would_be = self.object();
                    self.image = was;
                    return (200, would_be.to_string());
                }
                self.generation += 1;
            }
            return (200, self.object().to_string());
        }
        let name = |index: usize| format!("fraud-{index}");
        if asked.contains("/endpointslices") {
            let endpoint = |index| json!({ "addresses": ["10.0.0.1"], "conditions": { "ready": true }, "targetRef": { "kind": "Pod", "name": name(index) } });
            let endpoints: Vec<_> = (0..self.pods).map(endpoint).collect();
            return list(
                "EndpointSlice",
                vec![json!({ "ports": [{ "port": 8080 }], "endpoints": endpoints })],
            );
        }
        assert!(asked.contains("labelSelector=app%3Dfraud"), "{asked}");
        let image = self.runs.as_ref().unwrap_or(&self.image).clone();
        let pod = |index| json!({ "metadata": { "name": name(index) }, "spec": { "containers": [{ "name": "main", "image": image }] } });
        list("Pod", (0..self.pods).map(pod).collect())
    }
}

async fn answered(
    State(world): State<Arc<Mutex<World>>>,
    method: Method,
    uri: Uri,
    body: Bytes,
) -> impl IntoResponse {
    let (status, text) = world.lock().unwrap().answer(&method, &uri.to_string(), &body);
    (StatusCode::from_u16(status).unwrap(), [("content-type", "application/json")], text)
}

/// A status as the interface words it.
fn status(code: u16, reason: &str, message: &str) -> String {
    json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "reason": reason, "details": {}, "code": code })
        .to_string()
}

impl Fake {
    async fn start() -> Self {
        let world = World {
            image: "r/fraud:1.0".into(),
            runs: None,
            generation: 1,
            pods: 2,
            instead: Vec::new(),
            seen: Vec::new(),
        };
        let world = Arc::new(Mutex::new(world));
        let server = Server::start(Router::new().fallback(answered).with_state(world.clone())).await;
        Self { server, folder: tempfile::tempdir().unwrap(), world }
    }

    fn instead(&self, part: &'static str, code: u16, text: impl Into<String>) {
        self.world.lock().unwrap().instead = vec![(part, code, text.into())];
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

    fn deployer(&self) -> impl Deployer + use<> {
        let config: KubernetesDeployerConfig = serde_json::from_value(json!({
            "model": "fraud", "namespace": "ml", "image": "r/{model}:{version}", "container": "main",
            "kubeconfig": self.kubeconfig(), "deadline-ms": 5_000,
        }))
        .unwrap();
        deployer_kubernetes::deployer(config, &shared()).unwrap()
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
        let mut would_be = fake.world.lock().unwrap().object();
        would_be["spec"]["template"]["spec"]["containers"][1]["image"] = json!("r/fraud:1.1");
        fake.instead(part, code, text);
        if !part.contains("dryRun") && part.contains("PATCH") {
            fake.world.lock().unwrap().instead.insert(0, ("dryRun=All", 200, would_be.to_string()));
        }
        let error = deployer.shift(&order("x", &settable("1.1"), before.clone())).await.unwrap_err();
        assert_eq!((error.kind, error.applied), (kind, applied), "{part} {code}: {error}");
        assert!(error.to_string().contains(expected), "{part} {code}: {error}");
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        assert!(!error.to_string().contains('\u{1b}'), "{error}");
    };
    use Applied::{No, Unknown};
    use ErrorKind::{BadAnswer, Conflict, Denied, Failed, NotFound, TimedOut};
    check("GET", 401, status(401, "Unauthorized", "Unauthorized"), Denied, No, "renew it").await;
    let forbidden = || status(403, "Forbidden", "User \"x\" cannot get resource");
    check("GET", 403, forbidden(), Denied, No, "allow the verb `get` on `deployments.apps`").await;
    check("/pods", 403, forbidden(), Denied, No, "allow the verb `list` on `pods`").await;
    let missing = status(404, "NotFound", "\"fraud\" not found");
    check("GET", 404, missing, NotFound, No, "check its name, `namespace`").await;
    check("GET", 200, "<html>Sign in".into(), BadAnswer, No, "not JSON").await;
    check("GET", 200, "{}".into(), BadAnswer, No, "no Deployment of this name").await;
    check("GET", 504, "late".into(), TimedOut, No, "answered 504").await;
    check("dryRun=All", 422, status(422, "Invalid", "no\u{1b}[2J"), Failed, No, "does not take it so").await;
    check("dryRun=All", 200, "{}".into(), Failed, No, "would not leave `spec`").await;
    let stale = status(409, "Conflict", "the object has been modified");
    check("PATCH", 409, stale, Conflict, No, "written by others all the time").await;
    check("PATCH", 429, status(429, "TooManyRequests", "slow"), Failed, No, "it passes").await;
    check("PATCH", 500, "oh".into(), Failed, Unknown, "answered 500").await;
    check("PATCH", 200, "{}".into(), BadAnswer, Unknown, "something else than the changed object").await;
    check("PATCH", 302, String::new(), Failed, Unknown, "answered 302").await;
    assert_eq!(fake.world.lock().unwrap().image, "r/fraud:1.0");
}

#[tokio::test]
async fn what_the_object_says_by_now_is_not_what_its_pods_run() {
    let fake = Fake::start().await;
    let deployer = fake.deployer();
    fake.world.lock().unwrap().runs = Some("r/fraud:1.0".into());
    let before = deployer.live().await.unwrap().state;
    let to = order("x", &settable("0.9"), before);
    deployer.shift(&to).await.unwrap();
    assert_eq!(fake.world.lock().unwrap().image, "r/fraud:0.9");
    assert_eq!(deployer.live().await.unwrap().state.to_string(), "1.0");
    assert!(matches!(deployer.probe(&to).await.unwrap(), Probe::Underway(_)));
    fake.world.lock().unwrap().runs = None;
    assert_eq!(deployer.probe(&to).await.unwrap(), Probe::Applied);

    // Somebody sets what was not ordered.
    fake.world.lock().unwrap().image = "r/fraud:3.0".into();
    assert!(matches!(deployer.probe(&to).await.unwrap(), Probe::CannotTell(_)));
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
    fake.world.lock().unwrap().runs = Some("other\u{1b}[2J".into());
    unknown("runs `other\\u{1b}[2J`, which does not fit `image`").await;
    fake.world.lock().unwrap().runs = None;
    fake.instead("/pods", 200, json!({ "kind": "PodList", "items": [] }).to_string());
    unknown("takes traffic and is not among the pods with the labels `app=fraud`").await;
    fake.instead("/endpointslices", 200, json!({ "kind": "EndpointSliceList", "items": [] }).to_string());
    unknown("there are no endpoints of the service `fraud`: is `service` right").await;
    let mut odd = fake.world.lock().unwrap().object();
    odd["spec"]["selector"] = json!({ "matchExpressions": [{ "key": "app" }] });
    fake.instead("/deployments/", 200, odd.to_string());
    unknown("finds its pods by `matchExpressions`").await;

    // An image that does not fit can be rolled back from.
    fake.world.lock().unwrap().instead.clear();
    fake.world.lock().unwrap().image = "elsewhere/x".into();
    assert_eq!(deployer.obstacle().await, None);
    let warning = deployer.warning().await.unwrap();
    assert!(warning.contains("runs `elsewhere/x`"), "{warning}");
    let to = order("x", &settable("1.0"), LiveState::Unknown("it does not fit".into()));
    deployer.shift(&to).await.unwrap();
    assert_eq!(deployer.live().await.unwrap().state.to_string(), "1.0");
}

#[tokio::test]
async fn what_is_not_possible_as_configured_now_may_have_been_done_before() {
    let fake = Fake::start().await;
    let deployer = fake.deployer();
    let before = deployer.live().await.unwrap().state;
    let moves = Moves::Share(Ratio::new(0.25).unwrap());
    let wave = Some(WaveOf { number: 0, of: 2, moves });
    let to = ShiftOrder { wave, ..order("x", &settable("1.1"), before) };
    let Probe::CannotTell(why) = deployer.probe(&to).await.unwrap() else { panic!("nobody knows") };
    assert!(why.contains("cannot be set here as it is configured now: look at `fraud` itself"), "{why}");
    assert_eq!(deployer.shift(&to).await.unwrap_err().kind, ErrorKind::Unsupported);
}
