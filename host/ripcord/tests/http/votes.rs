use ed25519_dalek::Signer;
use ripcord_core::digest::Digest;
use ripcord_core::name::{IncidentId, PersonName};
use ripcord_core::plan::{Plan, VoteStatement, Word};
use ripcord_core::time::UnixMillis;
use ripcord_core::votes::Nonce;
use serde_json::{Value, json};

use crate::http::support::{Host, anna, hex, host, host_with, host_with_more};

/// What a person signs for the plan at hand.
async fn statement(
    host: &Host,
    incident: &str,
    person: &str,
    granted: bool,
    break_glass: bool,
) -> VoteStatement {
    let view = host.get(&format!("incidents/{incident}/plan")).await;
    let plan: Plan = serde_json::from_value(view["plan"].clone()).unwrap();
    let word = Word { person: PersonName::new(person).unwrap(), granted, break_glass };
    VoteStatement::of(&plan, &IncidentId::new(incident).unwrap(), word, Nonce::of([9; 16])).unwrap()
}

/// Anna's signature over it, as it is sent.
fn signed(statement: &VoteStatement) -> Value {
    let signature = hex(&anna().sign(statement.signed_text().unwrap().as_bytes()).to_bytes());
    json!({"plan": statement.plan, "signature": signature, "nonce": statement.nonce})
}

async fn signed_by_anna(host: &Host, incident: &str, granted: bool) -> Value {
    signed(&statement(host, incident, "anna", granted, false).await)
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
    for (who, sent) in [
        ("anna", signed_by_anna(&host, &incident, true).await),
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
    let base = statement(&host, &incident, "anna", true, false).await;
    let good = signed(&base);
    // Each is signed by anna's key: she said it of something else.
    let of = |other: VoteStatement| json!({"signature": signed(&other)["signature"]});
    let other_digest = Digest::of("other");
    let refused = [
        ("of a refusal", of(VoteStatement { granted: false, ..base.clone() })),
        (
            "of another incident",
            of(VoteStatement { incident: IncidentId::new("fraud-api:2").unwrap(), ..base.clone() }),
        ),
        ("of another person", of(VoteStatement { person: PersonName::new("sam").unwrap(), ..base.clone() })),
        ("of another plan", of(VoteStatement { plan: other_digest, ..base.clone() })),
        ("of another installation", of(VoteStatement { installation: other_digest, ..base.clone() })),
        ("of another requester", of(VoteStatement { requested_by: Vec::new(), ..base.clone() })),
        ("until later", of(VoteStatement { expires_at: UnixMillis(u64::MAX), ..base.clone() })),
        ("with another nonce", of(VoteStatement { nonce: Nonce::of([1; 16]), ..base.clone() })),
        ("of a broken glass", of(VoteStatement { break_glass: true, ..base.clone() })),
        ("of another environment", {
            let mut other = base.clone();
            other.places[0].environment = "staging".to_owned();
            of(other)
        }),
        ("of another service", {
            let mut other = base.clone();
            other.places[0].service = "pipeline".parse().unwrap();
            of(other)
        }),
        ("of nothing", json!({"signature": "00".repeat(64)})),
        ("cut off", json!({"signature": &good["signature"].as_str().unwrap()[..126]})),
        (
            "that is no SSH signature",
            json!({"signature": "-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----"}),
        ),
    ];
    for (what, change) in refused {
        let mut sent = good.clone();
        sent["signature"] = change["signature"].clone();
        let (status, problem) = vote(&host, "anna", &incident, sent).await;
        assert_eq!(status, 403, "{what}: {problem}");
    }
    for (what, nonce, wanted) in [("none", json!(null), 400), ("that is none", json!("0"), 400)] {
        let mut sent = good.clone();
        sent["nonce"] = nonce;
        let (status, problem) = vote(&host, "anna", &incident, sent).await;
        assert_eq!(status, wanted, "a nonce {what}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains("nonce"), "{problem}");
    }
    let with = |more: Value| {
        let mut sent = good.clone();
        sent.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        sent
    };
    // Who has shown nothing is told nothing: neither what there is, nor how far it is.
    let stranger = |plan: &str| json!({"plan": plan, "signature": "00".repeat(64), "nonce": base.nonce, "person": "anna"});
    let mut said = Vec::new();
    for (of, plan) in
        [(incident.as_str(), plan.as_str()), (&incident, &"0".repeat(64)), ("fraud-api:999", &plan)]
    {
        let (status, problem) = vote(&host, "", of, stranger(plan)).await;
        assert_eq!(status, 403, "{of}: {problem}");
        said.push(problem["detail"].clone());
    }
    // Nor who there is, nor who has a key.
    for name in ["olga", "nobody"] {
        let mut sent = stranger(&plan);
        sent["person"] = json!(name);
        sent["nonce"] = json!(null);
        let (status, problem) = vote(&host, "", &incident, sent).await;
        assert_eq!(status, 403, "{name}: {problem}");
        said.push(problem["detail"].clone());
    }
    assert!(said.iter().all(|one| *one == said[0]), "{said:?}");
    // Somebody else's token with anna's signature; and a signature in the name of someone who has no key.
    assert_eq!(vote(&host, "olga", &incident, with(json!({"person": "anna"}))).await.0, 403);
    assert_eq!(vote(&host, "", &incident, with(json!({"person": "olga"}))).await.0, 403);
    assert_eq!(
        vote(&host, "", &incident, json!({"plan": plan, "person": "anna"})).await.0,
        401,
        "no signature, no token"
    );
    // The signature alone says who it is.
    let (status, body) = vote(&host, "", &incident, with(json!({"person": "anna"}))).await;
    assert_eq!(status, 200, "{body}");
    let again = vote(&host, "anna", &incident, good.clone()).await;
    assert_eq!(again.0, 200, "it is said already: {}", again.1);
    assert_eq!(vote(&host, "abel", &incident, json!({"plan": plan})).await.0, 200);
    host.until(&incident, "settled").await;
    let view = host.get(&format!("incidents/{incident}")).await;
    assert_eq!(view["votes"][0]["kind"], "signature", "{view}");
    let (text, by) = (base.signed_text().unwrap(), hex(&anna().verifying_key().to_bytes()));
    let kept = format!("{text}{by}:{}\n", good["signature"].as_str().unwrap());
    assert_eq!(view["votes"][0]["signed"], kept.as_str(), "anybody can check it");
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
    for (word, more) in [("approve", ""), ("refuse", " --reason TEXT")] {
        let (status, problem) =
            host.post("anna", &format!("incidents/{incident}/{word}"), json!({"plan": plan})).await;
        assert_eq!(status, 403, "{problem}");
        let detail = problem["detail"].as_str().unwrap();
        assert_eq!(
            detail,
            format!(
                "`anna` has a public key, so only a signature counts: sign with `ripcord {word} {incident} --key FILE{more}`"
            )
        );
    }
    let state = host.get(&format!("incidents/{incident}/wait?seconds=0")).await;
    assert_eq!(state["phase"], "waiting for approval", "neither counted");
    assert_eq!(host.get(&format!("incidents/{incident}")).await["votes"], json!([]));
    let signed = signed_by_anna(&host, &incident, true).await;
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
    host.until(incident, "waiting for approval").await;
    let (with, without) = (
        signed(&statement(&host, incident, "anna", true, true).await),
        signed(&statement(&host, incident, "anna", true, false).await),
    );
    let sent = |signed: &Value, break_glass: bool| {
        let mut sent = signed.clone();
        sent["break_glass"] = json!(break_glass);
        sent["reason"] = json!("now");
        sent
    };
    assert_eq!(vote(&host, "anna", incident, sent(&without, true)).await.0, 403, "signed as a vote");
    assert_eq!(vote(&host, "anna", incident, sent(&with, false)).await.0, 403, "signed for a broken glass");
    let (status, done) = vote(&host, "anna", incident, sent(&with, true)).await;
    assert_eq!(status, 200, "{done}");
    assert_eq!(host.until(incident, "settled").await["outcome"], "rolled-back");
}

#[tokio::test]
async fn what_is_signed_for_one_member_of_a_set_or_for_the_run_is_worth_nothing_for_another() {
    let host = host().await;
    let pull = json!({"to": {"pipeline": "1.3.2", "fraud-api": "1.3.2"}, "reason": "they do not fit"});
    let (status, done) = host.post("olga", "sets/fraud/pull", pull).await;
    assert_eq!(status, 200, "{done}");
    let run = done["incident"].as_str().unwrap().to_owned();
    host.until(&run, "waiting for approval").await;
    let of_run = statement(&host, &run, "anna", true, false).await;
    assert_eq!((of_run.places.len(), of_run.incident.to_string()), (2, run.clone()));
    let view = host.get(&format!("incidents/{run}/plan")).await;
    let plan: Plan = serde_json::from_value(view["plan"].clone()).unwrap();
    let about = |incident: &str| {
        let word = Word { person: PersonName::new("anna").unwrap(), granted: true, break_glass: false };
        VoteStatement::of(&plan, &IncidentId::new(incident).unwrap(), word, Nonce::of([9; 16])).unwrap()
    };
    let (one, other) = (about("pipeline:1"), about("fraud-api:1"));
    assert_eq!((one.places.len(), one.places[0].service.as_str()), (1, "pipeline"));
    for wrong in [one, other] {
        let (status, problem) = vote(&host, "anna", &run, signed(&wrong)).await;
        assert_eq!(status, 403, "{problem}");
    }
    let (status, done) = vote(&host, "anna", &run, signed(&of_run)).await;
    assert_eq!(status, 200, "{done}");
}

#[tokio::test]
async fn who_has_only_a_veto_may_refuse_and_not_approve() {
    let more = "[services.vetoed]\nmode = \"ask\"\nmodel = \"fraud\"\nfloor = [{ role = \"approver\", people = 2 }]\nveto = [\"security\"]\nproof-min = \"control-plane\"\nregistry = { kind = \"command\", list = [\"./list.sh\"], fetch = [\"./fetch.sh\", \"{into}\"] }\ndeployer = { kind = \"command\", shift = [\"./shift.sh\", \"{version}\"], live = [\"./live.sh\"], effect = \"observable\" }\n";
    let host = host_with_more(more).await;
    let pull = json!({"to": "1.3.2", "reason": "it declines everyone"});
    let (status, done) = host.post("olga", "services/vetoed/pull", pull).await;
    assert_eq!(status, 200, "{done}");
    let incident = done["incident"].as_str().unwrap();
    let plan = host.until(incident, "waiting for approval").await["plan"].as_str().unwrap().to_owned();
    let word = |reason: &str| json!({"plan": plan, "reason": reason});
    assert_eq!(vote(&host, "sue", incident, word("")).await.0, 403, "she has no say in approving");
    let refuse = format!("incidents/{incident}/refuse");
    assert_eq!(host.post("abel", &refuse, word("")).await.0, 400, "a refusal says why");
    assert_eq!(host.post("abel", &refuse, word("I am not sure")).await.0, 200);
    assert_eq!(host.until(incident, "waiting for approval").await["phase"], "waiting for approval");
    assert_eq!(host.post("vera", &refuse, word("no")).await.0, 403);
    assert_eq!(host.post("sue", &refuse, word("the data leaked")).await.0, 200);
    assert_eq!(host.until(incident, "settled").await["outcome"], "refused");
}
