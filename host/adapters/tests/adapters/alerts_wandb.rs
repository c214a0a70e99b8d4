//! Webhooks of W&B's automations. None was recorded: they are as W&B's own page writes them.

use ripcord_adapters::Secret;
use ripcord_adapters::alerts_wandb::{DeliveryError, Wandb, authenticate, parse};
use ripcord_adapters::conformance::alert_source::{Sent, conforms};
use ripcord_core::signal::{Label, Severity, SignalStatus};
use ripcord_core::time::UnixMillis;
use ripcord_ports::alert_source::ParsedAlert;
use serde_json::{Value, json};

use super::support::StandingClock;

const NOW: UnixMillis = UnixMillis(1_795_374_754_000);

/// What the payload of `alerts_wandb/README.md` becomes when an alias was added.
fn added() -> Value {
    json!({
        "event_type": "ADD_ARTIFACT_ALIAS",
        "event_author": "ada",
        "alias": "production",
        "tag": "",
        "artifact_version": "wandb-artifact://_id/QXJ0aWZhY3Q6NTE3ODg5ODg3",
        "artifact_version_string": "acme/wandb-registry-model/fraud:v3",
        "artifact_collection_name": "fraud",
        "project_name": "wandb-registry-model",
        "entity_name": "acme",
    })
}

fn read(payload: &Value) -> Result<Vec<ParsedAlert>, DeliveryError> {
    parse(payload.to_string().as_bytes(), NOW).map(|payload| payload.alerts)
}

fn with(key: &str, value: impl Into<Value>) -> Value {
    let mut payload = added();
    payload[key] = value.into();
    payload
}

#[test]
fn an_alias_that_was_added_is_an_alert() {
    let alerts = read(&added()).unwrap();
    let [alert] = &alerts[..] else { panic!("one alert") };
    assert_eq!(alert.rule, "ADD_ARTIFACT_ALIAS");
    assert_eq!((alert.status, &alert.severity), (SignalStatus::Firing, &Severity::Info));
    assert_eq!(
        alert.labels,
        [
            Label::new("alias", "production"),
            Label::new("collection", "fraud"),
            Label::new("entity", "acme"),
            Label::new("event", "ADD_ARTIFACT_ALIAS"),
            Label::new("project", "wandb-registry-model"),
            Label::new("version", "v3"),
        ]
    );
    assert_eq!(alert.annotations[2], Label::new("author", "ada"));
    assert_eq!((alert.started_at, alert.ended_at), (NOW, None), "it says no time of its own");
}

#[test]
fn a_payload_for_github_is_read_where_it_has_the_rest() {
    let mut nested = added();
    let event = nested.as_object_mut().unwrap().remove("event_type").unwrap();
    let dispatch = json!({ "event_type": event, "client_payload": nested });
    assert_eq!(read(&dispatch).unwrap()[0].labels, read(&added()).unwrap()[0].labels);
}

#[test]
fn what_ripcord_tagged_itself_is_no_alert() {
    let own = with("tag", "ripcord-hold fraud-api 7");
    assert_eq!(read(&own), Ok(vec![]));
    assert_eq!(read(&with("tag", "validated")).unwrap().len(), 1);
}

#[test]
fn another_event_has_another_key_and_the_same_one_the_same() {
    let key = |payload: &Value| read(payload).unwrap()[0].dedupe_key;
    assert_eq!(
        key(&added()),
        parse(added().to_string().as_bytes(), UnixMillis(1)).unwrap().alerts[0].dedupe_key
    );
    for other in
        [with("alias", "staging"), with("artifact_version_string", "acme/wandb-registry-model/fraud:v4")]
    {
        assert_ne!(key(&added()), key(&other));
    }
}

#[test]
fn what_cannot_be_read_says_what_to_do() {
    let says = |payload: &Value, wanted: &str| {
        let error = read(payload).unwrap_err().to_string();
        assert!(error.contains(wanted) && error.contains("this adapter's page"), "{error}");
    };
    says(&with("event_type", ""), "`event_type` of the payload is missing");
    says(&with("event_type", "x".repeat(101)), "is too long");
    says(
        &with("alias", "${aliass}"),
        "`alias` of the payload is still `${aliass}`: W&B knows no such variable",
    );
    says(&with("entity_name", Value::Null), "`entity_name` of the payload is missing");
    says(&with("project_name", ""), "`project_name`");
    says(&with("artifact_collection_name", ""), "which model it is about");
    says(&with("alias", 7), "is no text");
    // An event of a run has no collection.
    let run = json!({ "event_type": "RUN_METRIC", "entity_name": "acme", "project_name": "fraud" });
    assert_eq!(read(&run).unwrap()[0].rule, "RUN_METRIC");
}

#[test]
fn the_code_covers_the_body_in_either_form() {
    let secret = Secret::new("your_api_secret");
    // As the script on W&B's page makes it of this body.
    let body = br#"{"key1": "value1", "key2": "value2"}"#;
    let hexadecimal = "e2d2aa9d61dac87d15772d26b6233f2db67b6ce18aee1f94ac73b9178d1493c5";
    let base_64 = "4tKqnWHayH0Vdy0mtiM/LbZ7bOGK7h+UrHO5F40Uk8U=";
    for code in [hexadecimal, base_64, &format!("sha256={hexadecimal}"), &hexadecimal.to_uppercase()] {
        assert_eq!(authenticate(code, &secret, body), Ok(()), "{code}");
    }
    for code in ["", "sha256=", &hexadecimal[..62], &base_64[..43], "ÄÖ", &format!("{hexadecimal}00")] {
        assert_eq!(authenticate(code, &secret, body), Err(DeliveryError::Signature), "{code}");
    }
    for (secret, body) in [("other", body.as_slice()), ("your_api_secret", b"{}")] {
        assert_eq!(authenticate(base_64, &Secret::new(secret), body), Err(DeliveryError::Signature));
    }
}

#[tokio::test]
async fn it_conforms() {
    let sent =
        |payload: &Value| Sent { body: payload.to_string().into_bytes(), alerts: 1, ..Sent::default() };
    let linked = with("event_type", "LINK_ARTIFACT");
    conforms(&Wandb::new(StandingClock::at(NOW.0)), &[sent(&added()), sent(&linked)]).await;
}
