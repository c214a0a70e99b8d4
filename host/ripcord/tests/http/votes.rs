use ed25519_dalek::Signer;
use ripcord_core::digest::Digest;
use ripcord_core::name::{IncidentId, PersonName};
use ripcord_core::plan::VoteStatement;
use serde_json::{Value, json};

use crate::http::support::{Host, anna, hex, host, host_with};

fn signature(incident: &str, plan: &str, person: &str, granted: bool) -> String {
    let statement = VoteStatement {
        incident: IncidentId::new(incident).unwrap(),
        plan: plan.parse::<Digest>().unwrap(),
        person: PersonName::new(person).unwrap(),
        granted,
    };
    hex(&anna().sign(&statement.signed_bytes().unwrap()).to_bytes())
}

async fn vote(host: &Host, who: &str, incident: &str, sent: Value) -> (u16, Value) {
    host.post(who, &format!("incidents/{incident}/approve"), sent).await
}

#[tokio::test]
async fn a_pull_is_approved_shifted_and_settled() {
    let host =
        host_with("ask", "[{ role = \"approver\", people = 2 }, { role = \"security\", people = 2 }]").await;
    let (incident, plan) = host.waiting().await;
    let (status, body) = vote(&host, "abel", &incident, json!({"plan": "0".repeat(64)})).await;
    assert_eq!(status, 409, "another plan: {body}");
    let signature = signature(&incident, &plan, "anna", true);
    for (who, sent) in [
        ("anna", json!({"plan": plan, "signature": signature})),
        ("abel", json!({"plan": plan})),
        // A team's own role may vote because the plan waits for it.
        ("sam", json!({"plan": plan})),
    ] {
        let (status, body) = vote(&host, who, &incident, sent).await;
        assert_eq!(status, 200, "{who}: {body}");
    }
    let state = host.get(&format!("incidents/{incident}/wait?seconds=0")).await;
    assert_eq!(state["phase"], "waiting for approval", "one more of security is to agree");
    assert_eq!(vote(&host, "sue", &incident, json!({"plan": plan})).await.0, 200);
    let settled = host.until(&incident, "settled").await;
    assert_eq!(settled["outcome"], "rolled-back", "{}", host.get(&format!("incidents/{incident}")).await);
    assert_eq!(std::fs::read_to_string(host.folder.path().join("live")).unwrap(), "1.3.2");
    let service = host.get("services/fraud-api?live=true").await;
    assert_eq!(service["live"]["version"], "1.3.2");
    assert_eq!(service["holds"][0]["revision"], "1.4.0");
    let (status, body) =
        host.post("adam", "services/fraud-api/holds/1.4.0/lift", json!({"reason": "mended"})).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(host.get("services/fraud-api/holds").await, json!([]));
}

#[tokio::test]
async fn a_signature_counts_only_for_what_was_signed() {
    let host = host().await;
    let (incident, plan) = host.waiting().await;
    let good = signature(&incident, &plan, "anna", true);
    let refused = [
        ("of a refusal", json!({"plan": plan, "signature": signature(&incident, &plan, "anna", false)})),
        (
            "of another incident",
            json!({"plan": plan, "signature": signature("fraud-api:2", &plan, "anna", true)}),
        ),
        ("of another person", json!({"plan": plan, "signature": signature(&incident, &plan, "sam", true)})),
        ("of nothing", json!({"plan": plan, "signature": "00".repeat(64)})),
        ("cut off", json!({"plan": plan, "signature": &good[..126]})),
        ("with another key", json!({"plan": plan, "signature": good, "public_key": "00".repeat(32)})),
    ];
    for (what, sent) in refused {
        let (status, problem) = vote(&host, "anna", &incident, sent).await;
        assert_eq!(status, 403, "{what}: {problem}");
    }
    // Somebody else's token with anna's signature; and a signature in the name of someone who has no key.
    assert_eq!(
        vote(&host, "olga", &incident, json!({"plan": plan, "signature": good, "person": "anna"})).await.0,
        403
    );
    assert_eq!(
        vote(&host, "", &incident, json!({"plan": plan, "signature": good, "person": "olga"})).await.0,
        403
    );
    assert_eq!(
        vote(&host, "", &incident, json!({"plan": plan, "person": "anna"})).await.0,
        401,
        "no signature, no token"
    );
    // The signature alone says who it is.
    let (status, body) =
        vote(&host, "", &incident, json!({"plan": plan, "signature": good, "person": "anna"})).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(vote(&host, "abel", &incident, json!({"plan": plan})).await.0, 200);
    host.until(&incident, "settled").await;
    let view = host.get(&format!("incidents/{incident}")).await;
    assert_eq!(view["votes"][0]["kind"], "signature", "{view}");
}

#[tokio::test]
async fn a_refusal_ends_it() {
    let host = host().await;
    let (incident, plan) = host.waiting().await;
    let (status, _) = host
        .post("abel", &format!("incidents/{incident}/refuse"), json!({"plan": plan, "reason": "no"}))
        .await;
    assert_eq!(status, 200);
    assert_eq!(host.until(&incident, "settled").await["outcome"], "refused");
    assert_eq!(std::fs::read_to_string(host.folder.path().join("live")).unwrap(), "1.4.0");
}

#[tokio::test]
async fn who_has_a_key_must_sign() {
    let host =
        host_with("ask", "[{ role = \"approver\", people = 1 }, { role = \"security\", people = 1 }]").await;
    let (incident, plan) = host.waiting().await;
    for word in ["approve", "refuse"] {
        let (status, problem) =
            host.post("anna", &format!("incidents/{incident}/{word}"), json!({"plan": plan})).await;
        assert_eq!(status, 403, "{problem}");
        let detail = problem["detail"].as_str().unwrap();
        assert_eq!(
            detail,
            format!(
                "`anna` has a public key, so only a signature counts: sign with `ripcord {word} {incident} --key FILE`"
            )
        );
    }
    let state = host.get(&format!("incidents/{incident}/wait?seconds=0")).await;
    assert_eq!(state["phase"], "waiting for approval", "neither counted");
    assert_eq!(host.get(&format!("incidents/{incident}")).await["votes"], json!([]));
    let signed = json!({"plan": plan, "signature": signature(&incident, &plan, "anna", true)});
    assert_eq!(vote(&host, "anna", &incident, signed).await.0, 200);
    assert_eq!(host.get(&format!("incidents/{incident}")).await["votes"][0]["kind"], "signature");
}
