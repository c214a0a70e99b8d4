//! Webhooks of MLflow's registry, against a delivery of a real server.

use ripcord_adapters::Secret;
use ripcord_adapters::alerts_mlflow::{DeliveryError, Headers, Mlflow, parse};
use ripcord_adapters::conformance::alert_source::{Sent, conforms};
use ripcord_core::signal::{Label, Severity, SignalStatus};
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_ports::AlertSource as _;
use ripcord_ports::alert_source::{Delivery, ParsedAlert};
use serde::Deserialize;
use serde_json::json;

use crate::adapters::support::fixture;

const WINDOW: Millis = Millis::minutes(5);

#[derive(Deserialize)]
struct Recorded {
    headers: std::collections::BTreeMap<String, String>,
    body: String,
}

impl Recorded {
    fn read() -> Self {
        serde_json::from_slice(&fixture("mlflow/delivery-alias.json")).unwrap()
    }

    fn headers(&self) -> Headers<'_> {
        Headers {
            id: &self.headers["x-mlflow-delivery-id"],
            timestamp: &self.headers["x-mlflow-timestamp"],
            signature: &self.headers["x-mlflow-signature"],
        }
    }
}

fn secret() -> Secret {
    Secret::new("s3cret")
}

#[test]
fn a_real_delivery_is_believed_and_read() {
    let recorded = Recorded::read();
    let headers = recorded.headers();
    let sent = UnixMillis(1_795_374_754_000);
    for now in [sent, sent + WINDOW, UnixMillis(sent.0 - WINDOW.0)] {
        assert_eq!(headers.check(now, WINDOW), Ok(()));
    }
    assert_eq!(headers.authenticate(&secret(), recorded.body.as_bytes()), Ok(()));
    let payload = parse(&headers, recorded.body.as_bytes()).unwrap();
    let [alert] = &payload.alerts[..] else { panic!("one alert") };
    assert_eq!(alert.rule, "model_version_alias.created");
    assert_eq!((alert.status, &alert.severity), (SignalStatus::Firing, &Severity::Info));
    assert_eq!(
        alert.labels,
        [
            Label::new("alias", "champion"),
            Label::new("event", "model_version_alias.created"),
            Label::new("model", "iris-clf"),
            Label::new("version", "2"),
        ]
    );
    assert_eq!((alert.started_at, alert.ended_at), (UnixMillis(1_795_374_754_516), None));
    assert_eq!(alert.fingerprint, headers.id);
}

#[test]
fn the_code_covers_id_time_and_body() {
    let recorded = Recorded::read();
    let good = recorded.headers();
    let body = recorded.body.as_bytes();
    let check = |headers: Headers<'_>, body: &[u8]| headers.authenticate(&secret(), body);
    let bare = good.signature.strip_prefix("v1,").unwrap();
    let (other_version, two, cut, many) = (
        format!("v2,{bare}"),
        format!("v1,AAAA v1,{bare}"),
        format!("v1,{}", &bare[..40]),
        format!("{}v1,{bare}", "v1,AAAA ".repeat(10)),
    );
    assert_eq!(check(Headers { signature: &two, ..good }, body), Ok(()));
    for (headers, body) in [
        (Headers { id: "another", ..good }, body),
        (Headers { timestamp: "1795374755", ..good }, body),
        (good, b"{}".as_slice()),
        (Headers { signature: bare, ..good }, body),
        (Headers { signature: &other_version, ..good }, body),
        (Headers { signature: &cut, ..good }, body),
        (Headers { signature: &many, ..good }, body),
        (Headers { signature: "v1,", ..good }, body),
        (Headers { signature: "", ..good }, body),
    ] {
        assert_eq!(check(headers, body), Err(DeliveryError::Signature), "{headers:?}");
    }
    assert_eq!(good.authenticate(&Secret::new("other"), body), Err(DeliveryError::Signature));
}

#[test]
fn what_is_old_or_odd_is_refused_before_the_body_is_read() {
    let recorded = Recorded::read();
    let good = recorded.headers();
    let now = UnixMillis(1_795_374_754_000);
    let late = UnixMillis(now.0 + WINDOW.0 + 1);
    let early = UnixMillis(now.0 - WINDOW.0 - 1);
    assert_eq!(good.check(late, WINDOW), Err(DeliveryError::OutsideWindow));
    assert_eq!(good.check(early, WINDOW), Err(DeliveryError::OutsideWindow));
    for timestamp in ["", "soon", "-1", "1795374754.5"] {
        assert_eq!(Headers { timestamp, ..good }.check(now, WINDOW), Err(DeliveryError::Timestamp));
    }
    let far = Headers { timestamp: "18446744073709551615", ..good };
    assert_eq!(far.check(now, WINDOW), Err(DeliveryError::OutsideWindow));
    for id in ["", &"x".repeat(201)] {
        assert_eq!(Headers { id, ..good }.check(now, WINDOW), Err(DeliveryError::Id));
    }
}

fn read(entity: &str, action: &str, data: serde_json::Value) -> Result<Vec<ParsedAlert>, DeliveryError> {
    let body = json!({
        "entity": entity, "action": action, "timestamp": "2026-11-22T19:12:34.516043+00:00", "data": data,
        "workspace": "default",
    });
    let headers = Headers { id: "d-1", timestamp: "1", signature: "" };
    parse(&headers, body.to_string().as_bytes()).map(|payload| payload.alerts)
}

fn label<'a>(alert: &'a ParsedAlert, name: &str) -> Option<&'a str> {
    let all = alert.labels.iter().chain(&alert.annotations);
    all.filter(|label| label.name == name).map(|label| label.value.as_str()).next()
}

#[test]
fn events_of_versions_aliases_and_tags_are_alerts() {
    let created = json!({
        "name": "fraud", "version": "3", "source": "models:/m-1", "run_id": null, "tags": {"a": "b"}, "description": null,
    });
    let alerts = read("model_version", "created", created).unwrap();
    assert_eq!((label(&alerts[0], "version"), label(&alerts[0], "source")), (Some("3"), Some("models:/m-1")));
    assert_eq!((label(&alerts[0], "run_id"), label(&alerts[0], "description")), (None, None));

    let tag = json!({"name": "fraud", "version": 3, "key": "validated", "value": "yes"});
    let alerts = read("model_version_tag", "set", tag).unwrap();
    assert_eq!((label(&alerts[0], "tag"), label(&alerts[0], "value")), (Some("validated"), Some("yes")));
    assert_eq!(label(&alerts[0], "version"), Some("3"));
    assert!(alerts[0].labels.is_sorted() && alerts[0].annotations.is_sorted());

    let gone = json!({"name": "fraud", "alias": "champion"});
    assert_eq!(read("model_version_alias", "deleted", gone).unwrap()[0].rule, "model_version_alias.deleted");
}

#[test]
fn what_ripcord_did_itself_and_what_it_does_not_know_is_no_alert() {
    let own = json!({"name": "fraud", "version": "3", "key": "ripcord.hold", "value": "fraud-api:7"});
    assert_eq!(read("model_version_tag", "set", own), Ok(vec![]));
    assert_eq!(read("registered_model", "created", json!({"name": "fraud"})), Ok(vec![]));
    assert_eq!(read("prompt_version", "created", json!({"name": "p"})), Ok(vec![]));
}

#[test]
fn deliveries_of_one_event_have_one_dedupe_key_and_others_another() {
    let recorded = Recorded::read();
    let key = |headers: &Headers<'_>| parse(headers, recorded.body.as_bytes()).unwrap().alerts[0].dedupe_key;
    let good = recorded.headers();
    assert_eq!(key(&good), key(&Headers { timestamp: "2", signature: "retried", ..good }));
    assert_ne!(key(&good), key(&Headers { id: "another", ..good }));
}

#[test]
fn what_cannot_be_read_says_what_is_wrong() {
    let headers = Headers { id: "d-1", timestamp: "1", signature: "" };
    let error = parse(&headers, b"<html>").unwrap_err().to_string();
    assert!(error.contains("not the JSON that mlflow sends"), "{error}");
    assert_eq!(parse(&headers, b"[]").unwrap_err(), DeliveryError::NoObject);
    let error = read("model_version_alias", "created", json!({"name": "fraud", "alias": ""})).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the event `model_version_alias.created` has no text `alias` in its `data`"
    );
    let body = json!({"entity": "model_version", "action": "created", "timestamp": "today",
        "data": {"name": "fraud", "version": "1"}});
    let error = parse(&headers, body.to_string().as_bytes()).unwrap_err().to_string();
    assert!(error.contains("`today`"), "{error}");
}

#[tokio::test]
async fn it_conforms() {
    let recorded = Recorded::read();
    let headers = recorded.headers.clone().into_iter().collect();
    let sent = Sent { headers, body: recorded.body.clone().into_bytes(), alerts: 1 };
    // Behind a proof that has no delivery's id, words are all that tells one event from another.
    let without = Sent { headers: Vec::new(), ..sent.clone() };
    conforms(&Mlflow, &[sent, without]).await;
    let other = recorded.body.replace("champion", "challenger");
    let key = |body: &str| {
        let delivery = Delivery { headers: &[], body: body.as_bytes() };
        Mlflow.read(&delivery).unwrap().alerts[0].dedupe_key
    };
    assert_ne!(key(&recorded.body), key(&other), "two events without an id are not one");
}
