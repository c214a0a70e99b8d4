use ed25519_dalek::Signer;
use ripcord_core::digest::Digest;
use ripcord_core::name::{IncidentId, PersonName};
use ripcord_core::plan::VoteStatement;
use serde_json::{Value, json};

use crate::http::support::{Host, anna, hex, host, host_with, host_with_more};

fn signature(incident: &str, plan: &str, person: &str, granted: bool) -> String {
    signed(incident, plan, person, granted, false)
}

fn signed(incident: &str, plan: &str, person: &str, granted: bool, break_glass: bool) -> String {
    let statement = VoteStatement {
        incident: IncidentId::new(incident).unwrap(),
        plan: plan.parse::<Digest>().unwrap(),
        person: PersonName::new(person).unwrap(),
        granted,
        break_glass,
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

#[tokio::test]
async fn one_person_breaks_the_glass_with_a_reason_and_somebody_else_looks_at_it() {
    let host = host().await;
    let (incident, plan) = host.waiting().await;
    let refused = [
        (
            "who may vote",
            "abel",
            403,
            json!({"plan": plan, "break_glass": true, "reason": "now"}),
            "`abel` may not break the glass for `fraud-api`: it takes the role `admin`",
        ),
        ("without a reason", "adam", 400, json!({"plan": plan, "break_glass": true}), "`reason` is empty"),
        (
            "for another plan",
            "adam",
            409,
            json!({"plan": "0".repeat(64), "break_glass": true, "reason": "now"}),
            "the plan changed",
        ),
        ("as an ordinary vote", "adam", 403, json!({"plan": plan}), "`approver`"),
    ];
    for (what, who, wanted, sent, text) in refused {
        let (status, problem) = vote(&host, who, &incident, sent).await;
        assert_eq!(status, wanted, "{what}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(text), "{what}: {problem}");
    }
    let sent = json!({"plan": plan, "break_glass": true, "reason": "nobody else is awake"});
    let (status, problem) = host.post("adam", &format!("incidents/{incident}/refuse"), sent.clone()).await;
    assert_eq!(status, 400, "{problem}");
    let close = format!("incidents/{incident}/close-review");
    let why = json!({"reason": "it was right"});
    assert_eq!(host.post("abel", &close, why.clone()).await.0, 409, "nothing was broken");
    let (status, done) = vote(&host, "adam", &incident, sent).await;
    assert_eq!(status, 200, "{done}");
    assert_eq!(host.until(&incident, "settled").await["outcome"], "rolled-back");
    let view = host.get(&format!("incidents/{incident}")).await;
    assert_eq!(view["votes"][0]["kind"], "break-glass", "{view}");
    assert!(
        view.to_string().contains("adam approved plan")
            && view.to_string().contains("by breaking the glass: nobody else is awake"),
        "{view}"
    );
    let service = host.get("services/fraud-api").await;
    assert_eq!(service["reviews"][0]["incident"], incident.as_str(), "{service}");
    // Who has no say on plans closes none.
    assert_eq!(host.post("adam", &close, why.clone()).await.0, 403);
    assert_eq!(host.post("abel", &close, json!({"reason": " "})).await.0, 400);
    assert_eq!(host.post("abel", &close, why.clone()).await.0, 200);
    assert_eq!(host.post("abel", &close, why).await.0, 409);
    assert_eq!(host.get("services/fraud-api").await["reviews"], json!([]));
}

#[tokio::test]
async fn a_signature_over_a_vote_breaks_no_glass() {
    let more = "[services.glass]\nmode = \"ask\"\nmodel = \"fraud\"\nfloor = [{ role = \"approver\", people = 2 }]\nbreak-glass = [\"approver\"]\nproof-min = \"control-plane\"\nregistry = { kind = \"command\", list = [\"./list.sh\"], fetch = [\"./fetch.sh\", \"{into}\"] }\ndeployer = { kind = \"command\", shift = [\"./shift.sh\", \"{version}\"], live = [\"./live.sh\"], effect = \"observable\" }\n";
    let host = host_with_more(more).await;
    let pull = json!({"to": "1.3.2", "reason": "it declines everyone", "break_glass": true});
    let (status, problem) = host.post("olga", "services/glass/pull", pull.clone()).await;
    assert_eq!(status, 403, "{problem}");
    let pull = json!({"to": "1.3.2", "reason": "it declines everyone"});
    let (status, done) = host.post("olga", "services/glass/pull", pull).await;
    assert_eq!(status, 200, "{done}");
    let incident = done["incident"].as_str().unwrap();
    let plan = host.until(incident, "waiting for approval").await["plan"].as_str().unwrap().to_owned();
    let of = |break_glass| signed(incident, &plan, "anna", true, break_glass);
    let sent = |signature, break_glass| json!({"plan": plan, "signature": signature, "break_glass": break_glass, "reason": "now"});
    assert_eq!(vote(&host, "anna", incident, sent(of(false), true)).await.0, 403, "signed as a vote");
    assert_eq!(
        vote(&host, "anna", incident, sent(of(true), false)).await.0,
        403,
        "signed for a broken glass"
    );
    let (status, done) = vote(&host, "anna", incident, sent(of(true), true)).await;
    assert_eq!(status, 200, "{done}");
    assert_eq!(host.until(incident, "settled").await["outcome"], "rolled-back");
}
