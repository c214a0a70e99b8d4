//! What could be restored and what moved, as people ask for it.

use std::path::Path;

use reqwest::Method;
use serde_json::{Value, json};

use crate::http::support::{Host, host, host_with_more, script, write};

const LIMITS: &str = r#"
[services.fraud-api.configurations.limits]
kind = "file"
file = "limits"
history = "limits-history"
"#;

/// A host whose service has thresholds in a file, with two revisions of which the second is in force.
async fn with_limits() -> Host {
    let host = host_with_more(LIMITS).await;
    let folder = host.folder.path();
    std::fs::create_dir_all(folder.join("limits-history")).unwrap();
    for (name, text, made_at) in [("l1", "limit = 1", "2026-01-01"), ("l2", "limit = 2", "2026-02-01")] {
        let about = format!("made-at = \"{made_at}T00:00:00Z\"\nmade-by = \"ada\"\n");
        write(folder, &format!("limits-history/{name}"), text);
        write(folder, &format!("limits-history/{name}.about.toml"), &about);
    }
    write(folder, "limits", "limit = 2");
    host
}

fn facet<'a>(view: &'a Value, facet: &Value) -> &'a Value {
    let all = view["facets"].as_array().unwrap();
    all.iter().find(|one| one["facet"] == *facet).unwrap_or_else(|| panic!("no {facet} in {view:#}"))
}

fn line<'a>(view: &'a Value, of: &Value, revision: &str) -> &'a Value {
    let all = facet(view, of)["targets"].as_array().unwrap();
    all.iter().find(|one| one["revision"] == revision).unwrap_or_else(|| panic!("no {revision} in {view:#}"))
}

#[tokio::test]
async fn what_could_be_restored_is_told_of_every_facet_or_of_one() {
    let host = with_limits().await;
    for revision in ["1.3.2", "limits=l1"] {
        let body = json!({"revision": revision, "reason": "ran for a year"});
        let (status, said) = host.post("adam", "services/fraud-api/adopt", body).await;
        assert_eq!(status, 200, "{said}");
    }
    let all = host.get("services/fraud-api/targets").await;
    let limits = json!({ "configuration": "limits" });
    for (of, revision, by) in [
        (json!("model"), "1.3.2", "rules"),
        (json!("model"), "1.4.0", "nobody"),
        (limits.clone(), "limits=l1", "rules"),
        (limits.clone(), "limits=l2", "nobody"),
    ] {
        assert_eq!(line(&all, &of, revision)["by"], by, "{revision}: {all:#}");
    }
    assert_eq!(line(&all, &limits, "limits=l1")["made_by"], "ada");
    assert_eq!(line(&all, &limits, "limits=l1")["content_seen"], true);
    let one = host.get("services/fraud-api/targets?facet=limits").await;
    assert_eq!(one["facets"].as_array().unwrap().len(), 1);
    assert_eq!(facet(&one, &limits)["in_force"], json!(["l2"]));
}

#[tokio::test]
async fn a_question_that_makes_no_sense_says_which_would() {
    let host = with_limits().await;
    for (path, expected, said) in [
        ("services/nobody/targets", 404, "there is no service `nobody`"),
        ("services/nobody/changes", 404, "there is no service `nobody`"),
        ("services/fraud-api/targets?facet=prompt", 404, "it has `model`, `limits`"),
        ("services/fraud-api/targets?facet=fallback", 404, "no facet `fallback`"),
        ("services/fraud-api/targets?facet=", 404, "no facet ``"),
        ("services/fraud-api/targets?facet=a%20b", 404, "no facet `a b`"),
        ("services/fraud-api/targets?facets=model", 400, "facets"),
        ("services/fraud-api/changes?since=yesterday", 400, "since"),
        ("services/fraud-api/changes?until=1", 400, "until"),
    ] {
        let (status, problem) = host.ask("vera", Method::GET, path, None).await;
        assert_eq!(status, expected, "{path}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(said), "{path}: {problem}");
    }
    for path in ["services/fraud-api/targets", "services/fraud-api/changes"] {
        assert_eq!(host.ask("", Method::GET, path, None).await.0, 401, "{path}");
    }
}

#[tokio::test]
async fn systems_that_do_not_answer_leave_a_gap_that_is_told() {
    let host = host().await;
    let folder = host.folder.path();
    for name in ["list.sh", "live.sh"] {
        script(folder, name, "echo broken >&2; exit 1");
    }
    let view = host.get("services/fraud-api/targets").await;
    let model = facet(&view, &json!("model"));
    assert!(model["not_listed"].is_string() && model["not_read"].is_string(), "{view:#}");
    let changes = host.get("services/fraud-api/changes").await;
    assert!(
        changes["gaps"][0].as_str().unwrap().contains("the registry's list cannot be read"),
        "{changes:#}"
    );
}

#[tokio::test]
async fn what_was_registered_and_what_its_history_has_is_told_among_the_changes() {
    let host = with_limits().await;
    let all = host.get("services/fraud-api/changes?since=0").await;
    let told: Vec<_> = all["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| {
            let facet = &change["what"]["facet"];
            format!(
                "{} {} {} {}",
                facet.as_str().unwrap_or("limits"),
                change["became"][0].as_str().unwrap(),
                change["noticed"].as_str().unwrap(),
                change["by"]
            )
        })
        .collect();
    let expected = [
        "limits l2 history \"ada\"",
        "model 1.4.0 registered null",
        "limits l1 history \"ada\"",
        "model 1.3.2 registered null",
    ];
    let mut sorted = (told.clone(), expected.map(str::to_owned).to_vec());
    sorted.0.sort();
    sorted.1.sort();
    assert_eq!(sorted.0, sorted.1, "{all:#}");
    let late = host.get("services/fraud-api/changes").await;
    assert_eq!(late["changes"], json!([]), "nothing of the last week: {late:#}");
}

/// What is live was read just now, and so is what is beside it.
#[tokio::test]
async fn what_is_in_force_beside_the_model_is_read_with_what_is_live_and_says_when() {
    let host = with_limits().await;
    let service = host.get("services/fraud-api?live=true").await;
    let limits = &service["live"]["facets"][0];
    assert_eq!(limits["state"]["in-force"]["revision"], "l2", "{service:#}");
    assert!(limits["observed_at"].is_string() && limits["standing"] == "unproven", "{service:#}");
    std::fs::remove_dir_all(host.folder.path().join("limits-history")).unwrap();
    remove(host.folder.path(), "limits");
    let service = host.get("services/fraud-api?live=true").await;
    let limits = &service["live"]["facets"][0];
    assert!(limits["state"]["unknown"].is_string() && limits["standing"].is_null(), "{service:#}");
}

fn remove(folder: &Path, name: &str) {
    std::fs::remove_file(folder.join(name)).unwrap();
}
