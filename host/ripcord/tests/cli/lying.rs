//! Somebody stands between the person and the host, and answers about something else than what was asked.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use ripcord_core::plan::Plan;
use serde_json::{Value, json};

use super::run::{Ran, TOKEN, as_olga, configured, finish, ripcord, run};

const NOWHERE: &str = "127.0.0.1:9";

/// What it answers to requests, by the end of their path, and what it was asked.
#[derive(Clone, Default)]
struct Liar {
    answers: Arc<Vec<(&'static str, Value)>>,
    asked: Arc<Mutex<Vec<String>>>,
}

async fn lie(State(liar): State<Liar>, request: Request) -> Response {
    let (method, path) = (request.method().to_string(), request.uri().path().to_owned());
    let token = request.headers().contains_key("authorization");
    liar.asked.lock().expect("no panic").push(format!("{method} {path} {token}"));
    match liar.answers.iter().find(|(end, _)| path.ends_with(end)) {
        Some((_, Value::String(elsewhere))) => Redirect::temporary(elsewhere).into_response(),
        Some((_, answer)) => axum::Json(answer.clone()).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

impl Liar {
    fn start(answers: &[(&'static str, Value)]) -> (Self, SocketAddr) {
        let mut all = answers.to_vec();
        all.push(("/api/v1/services", json!([])));
        let liar = Self { answers: Arc::new(all), ..Self::default() };
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a socket");
        let address = listener.local_addr().expect("an address");
        let router = Router::new().fallback(lie).with_state(liar.clone());
        // On a thread of its own, since the test waits for a program. It ends with the process.
        drop(std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
                axum::serve(listener, router).await
            })
        }));
        (liar, address)
    }

    fn asked(&self, what: &str) -> usize {
        self.asked.lock().expect("no panic").iter().filter(|asked| asked.contains(what)).count()
    }
}

/// From now on the configuration says that the host is at this address.
fn point_at(folder: &Path, address: SocketAddr) {
    let file = folder.join("ripcord.toml");
    let text = std::fs::read_to_string(&file).expect("the configuration");
    std::fs::write(file, text.replacen("[host]", &format!("[host]\npublic-url = \"http://{address}\""), 1))
        .expect("writes");
}

fn plan(incident: &str, service: &str, installation: &str) -> Plan {
    let digest = "b".repeat(64);
    serde_json::from_value(json!({
        "format": 1, "installation": installation, "incident": incident, "number": 1, "strategy": "version",
        "parts": [{
            "service": service, "environment": "production", "live": { "unknown": "timeout" },
            "rungs": [{ "target": { "version": { "version": "1.3.2", "digest": digest } }, "steps": [] }],
        }],
        "policies": [], "requested_by": ["schedule"], "preflighted": false, "drill": false,
        "created_at": "1700000000000", "expires_at": "1700003600000",
    }))
    .expect("a plan")
}

fn shown(plan: &Plan) -> Value {
    json!({ "digest": plan.digest().expect("a digest"), "plan": plan })
}

fn with_key(folder: &Path, arguments: &[&str]) -> Ran {
    let mut command = ripcord(folder, arguments);
    command.env("OLGAS_TOKEN", TOKEN).env("RIPCORD_TOKEN", TOKEN);
    finish(&mut command)
}

/// No lie gets a signature, or a vote, for another plan than the one that was asked for.
#[test]
fn no_other_plan_is_signed() {
    let any = "c".repeat(64);
    let mut other_digest = shown(&plan("fraud-api:1", "fraud-api", &any));
    other_digest["digest"] = json!("d".repeat(64));
    let mut newer = serde_json::to_value(plan("fraud-api:1", "fraud-api", &any)).expect("JSON");
    newer["format"] = json!(2);
    let newer: Plan = serde_json::from_value(newer).expect("a plan");
    let lies = [
        (
            shown(&plan("fraud-api:2", "fraud-api", &any)),
            "`fraud-api:1` was asked for, and the answer is about the incident `fraud-api:2`",
        ),
        (shown(&plan("churn:1", "churn", &any)), "the answer is about the incident `churn:1`"),
        (shown(&plan("fraud-api:1", "churn", &any)), "does not say what happens to `fraud-api`"),
        (other_digest, "it was changed on its way"),
        (shown(&newer), "the format 2, which this release does not know"),
    ];
    for (lie, said) in lies {
        let folder = configured(NOWHERE);
        let (liar, address) = Liar::start(&[("/plan", lie)]);
        point_at(folder.path(), address);
        assert_eq!(run(folder.path(), &["key", "new", "ada.key"]).code, 0);
        for verb in ["approve", "refuse"] {
            for with in [&["--key", "ada.key", "--person", "ada", "--yes"][..], &["--yes"]] {
                let ran = with_key(folder.path(), &[&[verb, "fraud-api:1", "--reason", "no"], with].concat());
                assert_eq!(ran.code, 1, "{said}: {}", ran.stderr);
                assert!(ran.stderr.contains(said), "{said}: {}", ran.stderr);
            }
        }
        let shown = with_key(folder.path(), &["plan", "show", "fraud-api:1"]);
        assert_ne!(shown.code, 0, "{}", shown.stdout);
        assert_eq!(liar.asked("POST"), 0, "{said}: nothing was sent");
    }
}

/// The plan of the incident that was asked for is signed, and the vote names its digest.
#[test]
fn the_right_plan_is_signed() {
    let plan = plan("fraud-api:1", "fraud-api", &"c".repeat(64));
    let done = json!({ "incident": "fraud-api:1", "text": "approved" });
    let (liar, address) = Liar::start(&[("/plan", shown(&plan)), ("/approve", done)]);
    let folder = configured(NOWHERE);
    point_at(folder.path(), address);
    assert_eq!(run(folder.path(), &["key", "new", "ada.key"]).code, 0);
    let arguments = ["approve", "fraud-api:1", "--key", "ada.key", "--person", "ada", "--yes"];
    let ran = with_key(folder.path(), &arguments);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(liar.asked("POST /api/v1/incidents/fraud-api:1/approve false"), 1, "with the signature alone");
}

/// Where the store lies on this machine, a plan of another installation is refused.
#[test]
fn a_plan_of_another_installation_is_not_signed() {
    let folder = configured(NOWHERE);
    let paused = as_olga(folder.path(), &["pause", "fraud-api"]);
    assert_eq!(paused.code, 0, "this makes the store: {}", paused.stderr);
    let (liar, address) =
        Liar::start(&[("/plan", shown(&plan("fraud-api:1", "fraud-api", &"c".repeat(64))))]);
    point_at(folder.path(), address);
    let ran = with_key(folder.path(), &["approve", "fraud-api:1", "--yes"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("the plan is of the installation `cccc"), "{}", ran.stderr);
    assert_eq!(liar.asked("POST"), 0);
}

/// A person who logged in somewhere is shown and signs plans of that installation alone, whoever answers at its address later.
#[test]
fn a_plan_of_another_installation_than_at_the_login_is_not_signed() {
    let me = |installation: &str| json!({ "person": "ada", "roles": ["approver"], "installation": installation.repeat(64), "release": "0.1.0" });
    let plan = shown(&plan("fraud-api:1", "fraud-api", &"c".repeat(64)));
    let done = json!({ "incident": "fraud-api:1", "text": "approved" });
    for (installation, votes) in [("d", 0), ("c", 1)] {
        let laptop = tempfile::tempdir().expect("a folder");
        let (liar, address) = Liar::start(&[
            ("/whoami", me(installation)),
            ("/plan", plan.clone()),
            ("/approve", done.clone()),
        ]);
        let url = format!("http://{address}");
        assert_eq!(with_key(laptop.path(), &["login", &url]).code, 0);
        let ran = with_key(laptop.path(), &["approve", "fraud-api:1", "--yes"]);
        assert_eq!(liar.asked("POST"), votes, "{}", ran.stderr);
        assert_eq!(
            ran.stderr.contains("the plan is of the installation `cccc"),
            votes == 0,
            "{}",
            ran.stderr
        );
    }
}

/// An answer about something else is no answer, whatever was asked.
#[test]
fn an_answer_about_something_else_is_not_believed() {
    let other = json!({ "incident": "fraud-api:7", "text": "done" });
    let elsewhere = json!({ "incident": "churn:1", "text": "done" });
    let service = json!({
        "name": "churn", "mode": "act", "environment": "e", "model": "m", "paused_by": null, "stuck": null, "live": null,
        "incident": null, "last_settled": null, "probation": null, "versions": [], "holds": [], "announcements_waiting": 0,
    });
    let line = json!([{
        "id": "churn:1", "service": "churn", "opened_at": "1", "settled_at": null, "strategy": null, "outcome": "open",
        "target": null, "summary": "s",
    }]);
    let set = json!({
        "name": "other", "if_part_fails": "back", "members": [], "run": null, "last": null, "consistent": [], "announcements_waiting": 0,
    });
    let (_, address) = Liar::start(&[
        ("/sets/fraud", set),
        ("/abort", other.clone()),
        ("/dismiss", other.clone()),
        ("/answer", other),
        ("/pull", elsewhere.clone()),
        ("/services/fraud-api/pause", elsewhere.clone()),
        ("/adopt", elsewhere.clone()),
        ("/lift", elsewhere),
        ("/v1/pause", json!([])),
        ("/unrouted", json!([])),
        ("/services/fraud-api", service),
        ("/incidents", line),
    ]);
    let folder = configured(NOWHERE);
    point_at(folder.path(), address);
    let commands: [(&[&str], &str); 13] = [
        (
            &["abort", "fraud-api:1"],
            "`fraud-api:1` was asked for, and the answer is about the incident `fraud-api:7`",
        ),
        (&["dismiss", "fraud-api:1"], "about the incident `fraud-api:7`"),
        (&["answer", "fraud-api:1", "applied"], "about the incident `fraud-api:7`"),
        (&["pull", "fraud-api"], "about the incident `churn:1`"),
        (&["pull", "--set", "fraud"], "the set `fraud` was asked for, and the answer is about `churn:1`"),
        (&["sets", "show", "fraud"], "the set `fraud` was asked for, and the answer is about `other`"),
        (
            &["abort", "set:fraud:1"],
            "`set:fraud:1` was asked for, and the answer is about the incident `fraud-api:7`",
        ),
        (&["pause", "fraud-api"], "about the incident `churn:1`"),
        (&["adopt", "fraud-api", "--reason", "r"], "about the incident `churn:1`"),
        (&["hold", "lift", "fraud-api", "1.0", "--reason", "r"], "about the incident `churn:1`"),
        (&["pause", "--all"], "nothing was said of `fraud-api`"),
        (&["status"], "about the service `churn`"),
        (&["incidents", "list", "--service", "fraud-api"], "about the service `churn`"),
    ];
    for (arguments, said) in commands {
        let ran = as_olga(folder.path(), arguments);
        assert_eq!(ran.code, 1, "{arguments:?}: {}{}", ran.stdout, ran.stderr);
        assert!(ran.stderr.contains(said), "{arguments:?} should say `{said}`: {}", ran.stderr);
    }
}

/// A redirect is not followed: the token would go along.
#[test]
fn the_token_does_not_follow_a_redirect() {
    let (thief, elsewhere) = Liar::start(&[]);
    let (liar, address) = Liar::start(&[("/pause", json!(format!("http://{elsewhere}/api/v1/pause")))]);
    let folder = configured(NOWHERE);
    point_at(folder.path(), address);
    let ran = as_olga(folder.path(), &["pause", "fraud-api"]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("is not a Ripcord host: it answered 307"), "{}", ran.stderr);
    assert_eq!((liar.asked("/pause true"), thief.asked("/")), (1, 0));
}

/// A token that others can read on its way is sent, and the person is told.
#[test]
fn a_token_without_encryption_is_warned_of() {
    let folder = configured(NOWHERE);
    let file = folder.path().join("ripcord.toml");
    let text = std::fs::read_to_string(&file).expect("file");
    for (url, warned) in
        [("http://ripcord.invalid:1", true), ("https://ripcord.invalid:1", false), ("http://[::1]:1", false)]
    {
        std::fs::write(&file, text.replacen("[host]", &format!("[host]\npublic-url = \"{url}\""), 1))
            .expect("writes");
        let ran = as_olga(folder.path(), &["status"]);
        assert_eq!(ran.stderr.contains("your token goes to"), warned, "{url}: {}", ran.stderr);
        assert_eq!(ran.stderr.matches("your token goes to").count(), usize::from(warned), "once");
    }
}
