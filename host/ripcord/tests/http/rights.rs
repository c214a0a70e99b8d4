use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::http::document::operation;
use crate::http::support::{PEOPLE, host};

/// Every page that people use, and whose role opens it.
const PAGES: &[(&str, &str, &[&str])] = &[
    ("GET", "whoami", &["viewer", "operator", "approver", "admin", "security"]),
    ("GET", "services", &["viewer", "operator", "approver", "admin", "security"]),
    ("GET", "services/fraud-api", &["viewer", "operator", "approver", "admin", "security"]),
    ("GET", "services/fraud-api/holds", &["viewer", "operator", "approver", "admin", "security"]),
    ("GET", "services/fraud-api/versions", &["viewer", "operator", "approver", "admin", "security"]),
    ("GET", "services/fraud-api/targets", &["viewer", "operator", "approver", "admin", "security"]),
    ("GET", "services/fraud-api/readiness", &["viewer", "operator", "approver", "admin", "security"]),
    ("GET", "services/fraud-api/changes", &["viewer", "operator", "approver", "admin", "security"]),
    ("GET", "services/fraud-api/decisions", &["viewer", "operator", "approver", "admin", "security"]),
    ("GET", "incidents", &["viewer", "operator", "approver", "admin", "security"]),
    ("GET", "incidents/fraud-api:1", &["viewer", "operator", "approver", "admin", "security"]),
    ("GET", "incidents/fraud-api:1/plan", &["viewer", "operator", "approver", "admin", "security"]),
    ("GET", "incidents/fraud-api:1/decisions", &["viewer", "operator", "approver", "admin", "security"]),
    ("GET", "incidents/fraud-api:1/wait", &["viewer", "operator", "approver", "admin", "security"]),
    ("GET", "sets", &["viewer", "operator", "approver", "admin", "security"]),
    ("GET", "sets/fraud", &["viewer", "operator", "approver", "admin", "security"]),
    ("GET", "sets/fraud/runs/1", &["viewer", "operator", "approver", "admin", "security"]),
    ("GET", "data", &["viewer", "operator", "approver", "admin", "security"]),
    ("GET", "holds", &["viewer", "operator", "approver", "admin", "security"]),
    ("GET", "signals/set-aside", &["viewer", "operator", "approver", "admin", "security"]),
    ("GET", "signals/unrouted", &["viewer", "operator", "approver", "admin", "security"]),
    ("POST", "services/fraud-api/pull", &["operator"]),
    ("POST", "sets/fraud/pull", &["operator"]),
    ("POST", "services/fraud-api/pause", &["operator"]),
    ("POST", "services/fraud-api/resume", &["operator"]),
    ("POST", "services/fraud-api/adopt", &["admin"]),
    ("POST", "services/fraud-api/holds/1.4.0/lift", &["admin"]),
    ("POST", "services/fraud-api/data/condemn", &["operator"]),
    ("POST", "services/fraud-api/data/lift", &["admin"]),
    ("POST", "services/fraud-api/latches/threshold-trigger/lift", &["operator"]),
    ("POST", "pause", &["operator"]),
    ("POST", "resume", &["operator"]),
    ("POST", "incidents/fraud-api:1/approve", &["approver"]),
    ("POST", "incidents/fraud-api:1/refuse", &["approver"]),
    ("POST", "incidents/fraud-api:1/abort", &["operator"]),
    ("POST", "incidents/fraud-api:1/dismiss", &["operator"]),
    ("POST", "incidents/fraud-api:1/answer", &["operator"]),
    ("POST", "incidents/fraud-api:1/close-review", &["approver"]),
    ("POST", "incidents/fraud-api:1/stop-run", &["operator"]),
    ("POST", "incidents/fraud-api:1/keep", &["admin"]),
    ("POST", "incidents/fraud-api:1/release", &["admin"]),
    ("POST", "reload", &["admin"]),
    ("POST", "store/prune", &["admin"]),
];

#[test]
fn every_page_that_people_use_is_listed_with_its_roles() {
    let listed = PAGES.iter().map(|(method, path, _)| {
        let found = operation(&method.parse().unwrap(), &format!("/api/v1/{path}"));
        found.unwrap_or_else(|| panic!("the host has no `{method} {path}`")).0
    });
    let listed: BTreeSet<_> = listed.map(str::to_owned).collect();
    let all: BTreeSet<_> =
        ripcord::http::paths().into_iter().filter(|path| path.starts_with("/api/")).collect();
    assert_eq!(listed, all);
}

fn plan() -> Value {
    json!({"plan": "0".repeat(64)})
}

#[tokio::test]
async fn every_page_is_closed_to_strangers_and_to_other_roles() {
    let host = host().await;
    for (method, path, roles) in PAGES {
        let votes = path.ends_with("approve") || path.ends_with("refuse");
        let sent = (*method == "POST").then(|| if votes { plan() } else { json!({}) });
        let method: Method = method.parse().unwrap();
        let (status, _) = host.ask("", method.clone(), path, sent.clone()).await;
        assert_eq!(status, 401, "{method} {path} by nobody");
        // Anna has a key and must sign: that has tests of its own.
        for (name, role) in PEOPLE.into_iter().filter(|(name, _)| *name != "anna") {
            let (status, body) = host.ask(name, method.clone(), path, sent.clone()).await;
            // An empty body is refused too, but only after the role was found good.
            assert_eq!(status != 403, roles.contains(&role), "{method} {path} by {role}: {status} {body}");
        }
    }
}

/// A set gives nobody more rights over a member than the member does.
#[tokio::test]
async fn who_may_pull_a_set_must_be_allowed_to_pull_each_member_that_moves() {
    let host = host().await;
    let reason = "they do not fit";
    let pull = |to: Value| json!({"to": to, "reason": reason});
    // Sam's role may pull the set `guarded`, and none of its members.
    let (status, problem) = host.post("sam", "sets/guarded/pull", pull(json!({"pipeline": "1.3.2"}))).await;
    assert_eq!(status, 403, "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("`sam` may not pull `pipeline`"), "{problem}");
    // Olga may pull each of them, and not the set.
    let (status, problem) = host.post("olga", "sets/guarded/pull", pull(json!({"pipeline": "1.3.2"}))).await;
    assert_eq!(status, 403, "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("the set `guarded`"), "{problem}");
    let (status, problem) = host.post("olga", "sets/fraud/pull", pull(json!({"stranger": "1"}))).await;
    assert_eq!(status, 409, "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("no member of `fraud`"), "{problem}");
    let (status, _) = host.post("olga", "sets/nowhere/pull", pull(json!({}))).await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn commands_need_a_reason_and_known_keys() {
    let host = host().await;
    for (sent, expected) in [
        (json!({}), "missing field `reason`"),
        (json!({"reason": "  "}), "`reason` is empty"),
        (json!({"reason": "x".repeat(4_001)}), "more than 4000"),
        (json!({"reason": "x", "version": "1"}), "unknown field"),
        (json!([1]), "invalid"),
    ] {
        let (status, problem) = host.post("olga", "services/fraud-api/pull", sent).await;
        assert_eq!(status, 400);
        assert!(problem["detail"].as_str().unwrap().contains(expected), "{problem}");
    }
}
