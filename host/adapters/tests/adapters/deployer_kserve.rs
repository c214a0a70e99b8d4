//! KServe behind a server of our own: answers that a real interface gives seldom, and the form of endpoints that the real one of the tests is too old for.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::IntoResponse;
use ripcord_adapters::conformance::deployer::{self, Settable, order};
use ripcord_adapters::deployer_kserve::{KserveDeployer, KserveDeployerConfig, KserveMode};
use ripcord_core::live::LiveState;
use ripcord_core::ratio::Ratio;
use ripcord_core::target::Target;
use ripcord_ports::deployer::{Moves, Probe, ShiftOrder, WaveOf};
use ripcord_ports::{Applied, Deployer, ErrorKind};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::support::{Server, shared, target};

const SOURCE: &str = "internal.serving.kserve.io/storage-initializer-sourceuri";
const REVISION: &str = "fraud-predictor-00002";

/// One answer.
#[derive(Clone)]
struct Canned(u16, String);

/// What there is, and what is answered instead.
#[derive(Default)]
struct World {
    uri: String,
    percent: Option<i64>,
    generation: i64,
    /// As KServe writes it: of what it has made, which counts for itself.
    observed: i64,
    /// Through Knative, by a revision that was made for this address.
    revision: Option<String>,
    /// Of which endpoints are known.
    service: &'static str,
    unready: bool,
    /// Who may ask, where not everybody may.
    token: Option<&'static str>,
    seen: Vec<String>,
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
        let mut predictor =
            json!({ "model": { "modelFormat": { "name": "sklearn" }, "storageUri": self.uri } });
        if let Some(percent) = self.percent {
            predictor["canaryTrafficPercent"] = json!(percent);
        }
        let mut status = json!({ "observedGeneration": self.observed, "deploymentMode": "Standard" });
        if self.revision.is_some() {
            let traffic = json!([{ "revisionName": REVISION, "latestRevision": true, "percent": 100 }]);
            status["deploymentMode"] = json!("Serverless");
            status["components"]["predictor"] = json!({
                "latestReadyRevision": REVISION, "latestCreatedRevision": REVISION, "traffic": traffic,
            });
        }
        json!({
            "apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService",
            "metadata": { "name": "fraud", "namespace": "ml", "uid": "u", "resourceVersion": self.generation.to_string(), "generation": self.generation },
            "spec": { "predictor": predictor },
            "status": status,
        })
    }

    fn answer(&mut self, method: &Method, target: &str, body: &[u8]) -> Canned {
        let asked = format!("{method} {target}");
        self.seen.push(asked.clone());
        if let Some((_, canned)) = self.instead.iter().find(|(part, _)| asked.contains(part)) {
            return canned.clone();
        }
        let name = |index: usize| format!("fraud-{index}");
        let ok = |value: Value| Canned(200, value.to_string());
        if asked.contains("/inferenceservices/fraud") {
            if *method == Method::PATCH {
                let wanted: Value = serde_json::from_slice(body).unwrap();
                assert!(target.contains("fieldManager=ripcord"), "{target}");
                assert_eq!(wanted["metadata"]["uid"], "u", "what was removed would be made anew: {wanted}");
                if wanted["metadata"]["resourceVersion"].as_str() != Some(&*self.generation.to_string()) {
                    return Canned(409, status(409, "Conflict", "the object has been modified"));
                }
                let predictor = &wanted["spec"]["predictor"];
                let uri = predictor["model"]["storageUri"].as_str().unwrap().to_owned();
                let was = (std::mem::replace(&mut self.uri, uri), self.percent);
                self.percent = predictor["canaryTrafficPercent"].as_i64().or(self.percent);
                if target.contains("dryRun") {
                    let would_be = self.object();
                    (self.uri, self.percent) = was;
                    return ok(would_be);
                }
                self.generation += 1;
            }
            return ok(self.object());
        }
        if asked.contains("/revisions/") {
            let annotations = json!({ SOURCE: self.revision });
            return ok(
                json!({ "kind": "Revision", "metadata": { "name": REVISION, "annotations": annotations } }),
            );
        }
        if asked.contains("/endpointslices") {
            if !asked.contains(&format!("service-name%3D{}&", self.service)) {
                return ok(json!({ "kind": "EndpointSliceList", "metadata": {}, "items": [] }));
            }
            let endpoint = |index| json!({ "addresses": ["10.0.0.1"], "conditions": { "ready": !self.unready }, "targetRef": { "kind": "Pod", "name": name(index) } });
            let endpoints: Vec<_> = (0..self.pods).map(endpoint).collect();
            let slice = json!({ "addressType": "IPv4", "ports": [{ "port": 8080 }], "endpoints": endpoints });
            return ok(json!({ "kind": "EndpointSliceList", "metadata": {}, "items": [slice] }));
        }
        let source = self.revision.as_ref().unwrap_or(&self.uri).clone();
        let pod = |index| json!({ "metadata": { "name": name(index), "annotations": { SOURCE: source } } });
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
    headers: HeaderMap,
    body: Bytes,
) -> impl IntoResponse {
    let mut world = world.lock().unwrap();
    let bearer = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let Canned(status, text) = match world.token {
        Some(token) if bearer != format!("Bearer {token}") => {
            Canned(401, status(401, "Unauthorized", "Unauthorized"))
        }
        _ => world.answer(&method, &uri.to_string(), &body),
    };
    (StatusCode::from_u16(status).unwrap(), [("content-type", "application/json")], text)
}

impl Fake {
    async fn start() -> Self {
        let world = World {
            uri: "s3://models/fraud/1.0".into(),
            generation: 1,
            observed: 1,
            service: "fraud-predictor",
            pods: 2,
            ..World::default()
        };
        let world = Arc::new(Mutex::new(world));
        let server = Server::start(Router::new().fallback(answered).with_state(world.clone())).await;
        Self { server, folder: tempfile::tempdir().unwrap(), world }
    }

    fn instead(&self, part: &'static str, status: u16, text: impl Into<String>) {
        self.world.lock().unwrap().instead = vec![(part, Canned(status, text.into()))];
    }

    fn kubeconfig(&self) -> PathBuf {
        self.kubeconfig_of(json!({ "token": "hunter2" }))
    }

    /// The same file for another user.
    fn kubeconfig_of(&self, user: Value) -> PathBuf {
        let path = self.folder.path().join("kubeconfig");
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{ "name": "k", "cluster": { "server": self.server.url("") } }],
            "users": [{ "name": "u", "user": user }],
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
            deadline_ms: 5_000,
        }
    }

    fn deployer(&self) -> KserveDeployer {
        KserveDeployer::new(self.config(), &shared()).unwrap()
    }

    /// With a program for credentials.
    fn with_program(&self, script: &str, deadline_ms: u64) -> KserveDeployer {
        let config = KserveDeployerConfig { deadline_ms, ..self.config() };
        self.kubeconfig_of(json!({ "exec": {
            "apiVersion": "client.authentication.k8s.io/v1", "command": "sh", "args": ["-c", script], "interactiveMode": "Never",
        } }));
        KserveDeployer::new(config, &shared()).unwrap()
    }

    /// Through Knative: version 1.1 takes all of the traffic.
    fn knative(&self) -> KserveDeployer {
        let mut world = self.world.lock().unwrap();
        world.uri = "s3://models/fraud/1.1".into();
        world.revision = Some(world.uri.clone());
        world.service = "fraud-predictor-00002-private";
        (world.generation, world.observed) = (3, 9);
        let config = KserveDeployerConfig { mode: KserveMode::Knative, ..self.config() };
        KserveDeployer::new(config, &shared()).unwrap()
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
        assert!(!error.to_string().contains('\u{1b}'), "{error}");
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
    let message = "the server could not find the requested resource";
    check("GET", 404, status(404, "NotFound", message), NotFound, No, "does not serve").await;
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
    let message = "Operation cannot be fulfilled\u{1b}[2J on \"fraud\"";
    check("PATCH", 409, status(409, "Conflict", message), Conflict, No, "cannot be fulfilled\\u{1b}[2J")
        .await;
    let expected = "an admission controller or a quota does not allow it";
    for message in [
        "admission webhook \"policy.example\" denied the request: no",
        "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no",
        "exceeded quota: q, requested: count=1",
    ] {
        check("dryRun=All", 403, status(403, "Forbidden", message), Denied, No, expected).await;
    }
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
    // Pages with nothing on them.
    fake.world.lock().unwrap().pages = 1_000;
    fake.world.lock().unwrap().pods = 0;
    let error = deployer.live().await.unwrap_err();
    assert!(error.to_string().contains("that has no end after 100 pages"), "{error}");
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
    // What KServe has made for it counts for itself.
    fake.instead("/inferenceservices/", 200, object(&|object| object["metadata"]["generation"] = json!(7)));
    assert_eq!(deployer.live().await.unwrap().state.to_string(), "1.0");
    fake.instead("/pods", 200, json!({ "kind": "PodList", "items": [] }).to_string());
    unknown("the pod `fraud-1` takes traffic and is not among the pods").await;
    let config = KserveDeployerConfig { mode: KserveMode::Knative, ..fake.config() };
    let knative = KserveDeployer::new(config, &shared()).unwrap();
    fake.world.lock().unwrap().instead.clear();
    let LiveState::Unknown(why) = knative.live().await.unwrap().state else { panic!("there is no traffic") };
    assert!(why.contains("does not say which revision takes traffic"), "{why}");
    assert!(knative.obstacle().await.unwrap().contains("set `mode = \"standard\"`"));
}

#[tokio::test]
async fn what_a_revision_serves_is_not_what_is_wanted_by_now() {
    let fake = Fake::start().await;
    let deployer = fake.knative();
    fake.world.lock().unwrap().unready = true;
    let before = deployer.live().await.unwrap().state;
    assert_eq!(before.to_string(), "1.1");
    let to = order("x", &settable("1.0"), before);
    deployer.shift(&to).await.unwrap();
    assert_eq!(fake.world.lock().unwrap().uri, "s3://models/fraud/1.0");
    // Nobody has done anything about it yet.
    let probed = deployer.probe(&to).await.unwrap();
    assert!(matches!(probed, Probe::Underway(_)), "{probed:?}");
    assert_eq!(deployer.live().await.unwrap().state.to_string(), "1.1");
    fake.world.lock().unwrap().revision = Some("s3://models/fraud/1.0".into());
    assert_eq!(deployer.probe(&to).await.unwrap(), Probe::Applied);

    let silent = json!({ "kind": "Revision", "metadata": { "name": REVISION } });
    for (code, text, expected) in [
        (200, silent.to_string(), "has no ready pod and does not say from where its model is"),
        (404, status(404, "NotFound", "\"x\" not found"), "get of revisions.serving.knative.dev"),
    ] {
        fake.instead("/revisions/", code, text);
        let LiveState::Unknown(why) = deployer.live().await.unwrap().state else { panic!("{expected}") };
        assert!(why.contains(expected), "{why}");
    }
    // The right is needed when pods are not ready, and is asked for before that.
    fake.world.lock().unwrap().unready = false;
    assert_eq!(deployer.live().await.unwrap().state.to_string(), "1.0");
    fake.instead("/revisions/", 403, status(403, "Forbidden", "User \"x\" cannot get resource"));
    let obstacle = deployer.obstacle().await.unwrap();
    assert!(obstacle.contains("allow the verb `get` on `revisions.serving.knative.dev`"), "{obstacle}");
}

#[tokio::test]
async fn only_what_stays_is_an_obstacle() {
    let fake = Fake::start().await;
    let deployer = fake.deployer();
    assert_eq!((deployer.obstacle().await, deployer.warning().await), (None, None));
    fake.instead("dryRun=All", 409, status(409, "Conflict", "the object has been modified"));
    assert_eq!(deployer.obstacle().await, None);
    fake.instead("dryRun=All", 429, status(429, "TooManyRequests", "slow"));
    assert_eq!(deployer.obstacle().await, None);
    fake.instead("dryRun=All", 422, status(422, "Invalid", "no"));
    assert!(deployer.obstacle().await.unwrap().contains("does not take it so"));
    fake.instead("dryRun=All", 400, status(400, "BadRequest", "no"));
    assert!(deployer.obstacle().await.unwrap().contains("answered 400"));

    // An address that does not fit can be rolled back from.
    fake.world.lock().unwrap().instead.clear();
    fake.world.lock().unwrap().uri = "gs://elsewhere/x".into();
    assert_eq!(deployer.obstacle().await, None);
    let warning = deployer.warning().await.unwrap();
    assert!(warning.contains("`fraud` points at `gs://elsewhere/x`"), "{warning}");
    let to = order("x", &settable("1.0"), LiveState::Unknown("it does not fit".into()));
    deployer.shift(&to).await.unwrap();
    assert_eq!(deployer.live().await.unwrap().state.to_string(), "1.0");
    assert_eq!(deployer.warning().await, None);
}

#[tokio::test]
async fn every_owner_of_a_conflict_is_judged() {
    let fake = Fake::start().await;
    let config = KserveDeployerConfig { take_over: vec!["kubectl".into()], ..fake.config() };
    let deployer = KserveDeployer::new(config, &shared()).unwrap();
    let before = deployer.live().await.unwrap().state;
    let cause =
        |message: String| json!({ "reason": "FieldManagerConflict", "field": ".spec.x", "message": message });
    let refused = async |last: &str| {
        let mut causes = vec![cause("conflict with \"kubectl\" using v1".to_owned()); 20];
        causes.push(cause(last.to_owned()));
        let mut said: Value =
            serde_json::from_str(&status(409, "Conflict", "Apply failed with 21 conflicts")).unwrap();
        said["details"]["causes"] = json!(causes);
        fake.instead("dryRun=All", 409, said.to_string());
        let error = deployer.shift(&order("x", &settable("1.1"), before.clone())).await.unwrap_err();
        assert_eq!((error.kind, error.applied), (ErrorKind::Conflict, Applied::No), "{error}");
        error.to_string()
    };
    let text = refused("conflict with \"argocd-controller\" using v1").await;
    assert!(text.contains("is held by `argocd-controller`"), "{text}");
    let text = refused("conflict with somebody").await;
    assert!(text.contains("is held by `(unreadable)`") && !text.contains("take-over"), "{text}");
    let seen = fake.world.lock().unwrap().seen.join("\n");
    assert!(!seen.contains("force=true"), "{seen}");

    let many: Vec<_> = (0..30).map(|number| cause(format!("conflict with \"m{number}\" using v1"))).collect();
    let mut said: Value = serde_json::from_str(&status(409, "Conflict", "no")).unwrap();
    said["details"]["causes"] = json!(many);
    fake.instead("dryRun=All", 409, said.to_string());
    let error = deployer.shift(&order("x", &settable("1.1"), before.clone())).await.unwrap_err();
    assert!(error.to_string().contains("is held by `m19` and 10 more; roll back"), "{error}");
}

#[tokio::test]
async fn endpoints_that_are_not_there_are_not_none_that_take_traffic() {
    let fake = Fake::start().await;
    let deployer = fake.deployer();
    // As older releases have made it.
    fake.world.lock().unwrap().service = "fraud-predictor-default";
    assert_eq!(deployer.live().await.unwrap().state.to_string(), "1.0");
    fake.world.lock().unwrap().service = "other";
    let LiveState::Unknown(why) = deployer.live().await.unwrap().state else { panic!("there are none") };
    assert_eq!(
        why,
        "there are no endpoints of the service `fraud-predictor`: is `mode` right, and does the service exist?"
    );
    // A service without pods is another matter.
    fake.world.lock().unwrap().service = "fraud-predictor";
    fake.world.lock().unwrap().pods = 0;
    assert_eq!(deployer.live().await.unwrap().state, LiveState::Serving(Vec::new()));
}

#[tokio::test]
async fn credentials_that_cannot_be_renewed_are_told_without_them() {
    let fake = Fake::start().await;
    let mark = fake.folder.path().join("mark");
    let mark = mark.display();
    let credential = json!({
        "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
        "status": { "token": "x", "expirationTimestamp": "2020-01-01T00:00:00Z" },
    });
    // It gives a token once, which is at its end at once, and prints a secret afterwards.
    let script =
        format!("if [ -e {mark} ]; then echo hunter2; exit 1; fi; touch {mark}; echo '{credential}'");
    let deployer = fake.with_program(&script, 10_000);
    let error = deployer.live().await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::Denied, Applied::No), "{error}");
    assert!(error.to_string().contains("was not sent: the token cannot be had"), "{error}");
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    let mut source: Option<&dyn std::error::Error> = Some(&error);
    while let Some(error) = source {
        assert!(!error.to_string().contains("hunter2"), "{error}");
        source = error.source();
    }
    assert_eq!(fake.world.lock().unwrap().seen, Vec::<String>::new());
}

#[tokio::test]
async fn a_program_for_credentials_is_waited_for_no_longer_than_a_call() {
    let fake = Fake::start().await;
    let error = fake.with_program("sleep 2", 200).live().await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::TimedOut, Applied::No), "{error}");
    assert!(
        error.to_string().contains("was not sent: the credentials did not come within 200 ms"),
        "{error}"
    );
}

#[tokio::test]
async fn a_token_that_was_renewed_is_taken_up() {
    let fake = Fake::start().await;
    let deployer = fake.deployer();
    deployer.live().await.unwrap();
    fake.world.lock().unwrap().token = Some("new");
    let error = deployer.live().await.unwrap_err();
    assert!(error.to_string().contains("answered 401"), "{error}");
    fake.kubeconfig_of(json!({ "token": "new" }));
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
}
