//! What people are told: by their votes, of a refusal, of a pull that would change nothing or too much, and why a version is not gone back to.

use serde_json::{Value, json};

use crate::http::support::{Host, host, host_with};

fn text(body: &Value) -> &str {
    body["text"].as_str().unwrap_or_else(|| panic!("{body}"))
}

const TWO_ROLES: &str = "[{ role = \"approver\", people = 1 }, { role = \"security\", people = 1 }]";

async fn vote(host: &Host, who: &str, incident: &str, word: &str, sent: Value) -> Value {
    let (status, body) = host.post(who, &format!("incidents/{incident}/{word}"), sent).await;
    assert_eq!(status, 200, "{body}");
    body
}

#[tokio::test]
async fn whoever_votes_is_told_what_the_vote_did() {
    let host = host_with("ask", TWO_ROLES).await;
    let (incident, plan) = host.waiting().await;
    let first = vote(&host, "abel", &incident, "approve", json!({"plan": plan})).await;
    assert!(text(&first).contains("it still waits for 1 more of 1 with role `security`"), "{first}");
    assert!(text(&first).contains("sam, sue may"), "{first}");
    let waiting = host.get("services/fraud-api").await["incident"].clone();
    assert_eq!(waiting["tally"][0]["agreed"], json!(["abel"]), "{waiting}");
    assert_eq!(waiting["tally"][1]["may"], json!(["sam", "sue"]), "{waiting}");
    assert!(waiting["waits_since"].is_string() && waiting["expires_at"].is_string(), "{waiting}");
    let shown = host.get(&format!("incidents/{incident}/plan")).await;
    assert_eq!((&shown["cause"], &shown["tally"]), (&json!("it declines everyone"), &waiting["tally"]));
    let last = vote(&host, "sam", &incident, "approve", json!({"plan": plan})).await;
    assert!(text(&last).contains("all who must agree have, so the host shifts `fraud-api`"), "{last}");
    host.until(&incident, "settled").await;
}

#[tokio::test]
async fn why_a_plan_was_refused_is_kept_and_shown() {
    let host = host().await;
    let (incident, plan) = host.waiting().await;
    let sent = json!({"plan": plan, "reason": "wait for the nightly job"});
    vote(&host, "abel", &incident, "refuse", sent).await;
    host.until(&incident, "settled").await;
    let view = host.get(&format!("incidents/{incident}")).await;
    assert_eq!(view["votes"][0]["reason"], "wait for the nightly job", "{view}");
    let told = view["timeline"].to_string();
    assert!(told.contains("by session: wait for the nightly job"), "{told}");
}

#[tokio::test]
async fn a_pull_to_what_is_live_says_so_and_opens_nothing() {
    let host = host().await;
    let (status, done) =
        host.post("olga", "services/fraud-api/pull", json!({"to": "1.4.0", "reason": "stay"})).await;
    assert_eq!((status, &done["incident"]), (200, &Value::Null), "{done}");
    assert!(text(&done).contains("`1.4.0` is live already"), "{done}");
    assert_eq!(host.get("incidents").await, json!([]));
}

#[tokio::test]
async fn a_second_pull_keeps_the_plan_that_waits_unless_it_is_to_replace_it() {
    let host = host().await;
    let (incident, plan) = host.waiting().await;
    vote(&host, "abel", &incident, "approve", json!({"plan": plan})).await;
    let mut second = json!({"reason": "me too"});
    let (status, problem) = host.post("olga", "services/fraud-api/pull", second.clone()).await;
    assert_eq!(status, 409, "{problem}");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("--replace") && detail.contains("abel agreed"), "{detail}");
    assert_eq!(host.get(&format!("incidents/{incident}")).await["plan_digest"], json!(plan));
    second["pending"] = json!("replace");
    second["to"] = json!("1.3.2");
    second["leaving"] = json!("keep");
    let (status, done) = host.post("olga", "services/fraud-api/pull", second).await;
    assert_eq!(status, 200, "{done}");
    let state = host.until(&incident, "waiting for approval").await;
    assert_ne!(state["plan"], json!(plan));
    let replaced = host.get(&format!("incidents/{incident}/plan")).await;
    assert_eq!(replaced["plan"]["leaving"], "keep", "whoever agrees sees that nothing is condemned");
}

#[tokio::test]
async fn every_version_says_why_it_is_not_gone_back_to_and_the_advice_works() {
    let host = host().await;
    let why = async |version: &str| {
        let view = host.get("services/fraud-api/versions").await;
        let all = view["versions"].as_array().unwrap().clone();
        all.into_iter().find(|one| one["version"] == version).unwrap()["why_not"].clone()
    };
    let unproven = why("1.3.2").await;
    assert!(
        unproven.as_str().unwrap().contains("`ripcord adopt fraud-api 1.3.2 --reason TEXT`"),
        "{unproven}"
    );
    let adopted = host
        .post("adam", "services/fraud-api/adopt", json!({"revision": "1.3.2", "reason": "served well"}))
        .await;
    assert_eq!(adopted.0, 200, "{}", adopted.1);
    assert_eq!(why("1.3.2").await, Value::Null, "the advice was followed");
    let not_listed = host.get("services/fraud-api/versions").await["not_listed"].clone();
    assert_eq!(not_listed, Value::Null);
}

#[tokio::test]
async fn a_service_with_nothing_to_go_back_to_does_not_look_fine() {
    let host = host().await;
    let state = host.get("services/fraud-api").await;
    let told = state["unprotected"].to_string();
    assert!(
        told.contains("there is nothing to go back to") && told.contains("no trigger is configured"),
        "{told}"
    );
}
