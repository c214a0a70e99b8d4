//! Webhooks of JSON, read by places.

use ripcord_adapters::alerts_json::{JsonAlerts, JsonAlertsConfig};
use ripcord_adapters::conformance::alert_source::{Sent, conforms};
use ripcord_core::signal::{Label, Severity, SignalKind, SignalStatus};
use ripcord_core::time::UnixMillis;
use ripcord_ports::AlertSource;
use ripcord_ports::alert_source::{Delivery, ParsedPayload};
use serde_json::{Value, json};

use super::support::StandingClock;

const NOW: UnixMillis = UnixMillis(1_795_374_754_000);

const PAGERDUTY: &str = r#"
    rule = "/event/data/title"
    id = "/event/data/id"
    status = "/event/event_type"
    firing = ["incident.triggered", "incident.reopened"]
    resolved = ["incident.resolved"]
    ignored = ["incident.acknowledged"]
    severity = "/event/data/urgency"
    started-at = "/event/data/created_at"
    ended-at = "/event/occurred_at"
    labels = { service = "/event/data/service/summary", number = "/event/data/number" }
    annotations = { page = "/event/data/html_url" }
"#;

const LIST: &str = r#"
    alerts = "/tests"
    rule = "/name"
    status = "/status"
    firing = ["FAIL"]
    no-data = ["MISSING"]
    resolved = ["SUCCESS"]
    ignored = ["SKIPPED"]
    started-at = "body:/timestamp"
    labels = { model = "body:/model", sender = "header:X-Sender" }
"#;

fn source(text: &str) -> Result<JsonAlerts, String> {
    let config: JsonAlertsConfig = toml::from_str(text).map_err(|error| error.to_string())?;
    JsonAlerts::new(config, StandingClock::at(NOW.0)).map_err(|error| error.to_string())
}

fn read(text: &str, body: &Value) -> Result<ParsedPayload, String> {
    let body = body.to_string();
    let headers = [("x-sender", "nightly")];
    let delivery = Delivery { headers: &headers, body: body.as_bytes() };
    source(text).unwrap().read(&delivery).map_err(|error| error.to_string())
}

fn pagerduty(event: &str) -> Value {
    json!({ "event": {
        "id": "5ac64822-4adc-4fda-ade0-410becf0de4f", "event_type": event, "resource_type": "incident",
        "occurred_at": "2026-11-22T19:00:00.000Z",
        "data": {
            "id": "PT4KHLK", "type": "incident", "number": 1234, "title": "declines everyone", "urgency": "critical",
            "created_at": "2026-11-22T18:53:29.000Z", "html_url": "https://acme.example/incidents/PT4KHLK",
            "service": { "id": "PIJ90N7", "summary": "fraud-api" },
        },
    }})
}

fn listed(status: &str) -> Value {
    json!({ "model": "fraud", "timestamp": 1_795_374_000, "tests": [{ "name": "drift", "status": status }] })
}

#[test]
fn places_become_an_alert() {
    let payload = read(PAGERDUTY, &pagerduty("incident.triggered")).unwrap();
    let [alert] = &payload.alerts[..] else { panic!("one alert") };
    assert_eq!((alert.rule.as_str(), alert.fingerprint.as_str()), ("declines everyone", "PT4KHLK"));
    assert_eq!((alert.status, alert.kind), (SignalStatus::Firing, SignalKind::Condition));
    assert_eq!(alert.severity, Severity::Critical);
    assert_eq!(alert.labels, [Label::new("number", "1234"), Label::new("service", "fraud-api")]);
    assert_eq!(alert.annotations, [Label::new("page", "https://acme.example/incidents/PT4KHLK")]);
    assert_eq!((alert.started_at, alert.ended_at), (UnixMillis(1_795_373_609_000), None));
    let ended = read(PAGERDUTY, &pagerduty("Incident.Resolved")).unwrap().alerts.remove(0);
    assert_eq!((ended.status, ended.ended_at), (SignalStatus::Resolved, Some(UnixMillis(1_795_374_000_000))));
    assert_ne!(ended.dedupe_key, alert.dedupe_key);
    assert!(alert.turn.unwrap().other_keys.contains(&ended.dedupe_key), "they take turns");
    assert!(read(PAGERDUTY, &pagerduty("incident.acknowledged")).unwrap().alerts.is_empty());
}

#[test]
fn a_list_has_what_stands_beside_it_and_one_bad_alert_hides_no_other() {
    let mut body = listed("FAIL");
    body["tests"] = json!([
        { "name": "drift", "status": "FAIL" },
        { "name": "drift", "status": "FAIL" },
        { "name": "nulls", "status": "MISSING" },
        { "name": "old", "status": "SUCCESS" },
        { "name": "later", "status": "SKIPPED" },
        { "name": "odd", "status": "PERHAPS" },
        { "status": "FAIL" },
        7,
    ]);
    let payload = read(LIST, &body).unwrap();
    let kinds: Vec<_> = payload.alerts.iter().map(|alert| (alert.rule.as_str(), alert.kind)).collect();
    let (condition, missing) = (SignalKind::Condition, SignalKind::MissingData);
    assert_eq!(kinds, [("drift", condition), ("nulls", missing), ("old", condition)]);
    let labels = [Label::new("model", "fraud"), Label::new("sender", "nightly")];
    assert!(payload.alerts.iter().all(|alert| alert.labels == labels));
    assert!(payload.alerts.iter().all(|alert| alert.started_at == UnixMillis(1_795_374_000_000)));
    let bad: Vec<_> = payload.bad.iter().map(|bad| (bad.number, bad.why.as_str())).collect();
    assert_eq!(
        bad,
        [
            (
                6,
                "has the status `PERHAPS`, which is in none of `firing`, `resolved`, `no-data` and `ignored` of this source"
            ),
            (7, "has nothing at `/name`, where `rule` of this source is"),
            (8, "is no object"),
        ]
    );
    assert_eq!(payload.bad[0].labels, labels, "by which it is listed");
    body["tests"] = json!([{ "name": "drift", "status": "FAIL" }]);
    body["model"] = "m".repeat(70 << 10).into();
    let payload = read(LIST, &body).unwrap();
    let why = "has more than 65536 bytes at `body:/model`: name a place with a shorter text";
    assert_eq!((payload.alerts.len(), payload.bad[0].why.as_str()), (0, why));
    let numbered = |count: usize| -> Value {
        (0..count).map(|number| json!({ "name": format!("t{number}"), "status": "FAIL" })).collect()
    };
    body["tests"] = numbered(1_000);
    body["model"] = "m".repeat(60 << 10).into();
    let payload = read(LIST, &body).unwrap();
    assert!(payload.alerts.len() < 1_000 && payload.unread > 0, "{}", payload.unread);
    assert_eq!(payload.alerts.len() as u64 + payload.unread, 1_000, "each is read or counted");
    // Also those that cannot be judged keep what they are listed by.
    for alert in body["tests"].as_array_mut().unwrap() {
        alert["status"] = "PERHAPS".into();
    }
    let payload = read(LIST, &body).unwrap();
    assert!(payload.bad.len() < 1_000 && payload.unread > 0, "{}", payload.unread);
    assert_eq!(payload.bad.len() as u64 + payload.unread, 1_000);
    body["model"] = "fraud".into();
    body["tests"] = numbered(10_002);
    let payload = read(LIST, &body).unwrap();
    assert_eq!((payload.alerts.len(), payload.unread), (10_000, 2));
}

#[test]
fn instants_are_text_or_numbers() {
    let at = |value: Value| {
        let mut body = listed("FAIL");
        body["timestamp"] = value;
        let payload = read(LIST, &body).unwrap();
        payload.alerts.first().map(|alert| alert.started_at.0).ok_or_else(|| payload.bad[0].why.clone())
    };
    for same in [
        json!(1_795_374_000),
        json!("1795374000"),
        json!(1_795_374_000.5),
        json!(1_795_374_000_000_u64),
        json!("2026-11-22T19:00:00Z"),
    ] {
        assert_eq!(at(same.clone()), Ok(1_795_374_000_000), "{same}");
    }
    for none in [Value::Null, json!("")] {
        assert_eq!(at(none), Ok(NOW.0), "when it came");
    }
    for (wrong, said) in [
        (json!("yesterday\u{1b}[2J"), "has no instant at `body:/timestamp`: `yesterday"),
        (json!("99999999999999999999999"), "is too large: send seconds or milliseconds"),
        (json!(1_795_374_000_000_000_000_u64), "is too large: send seconds or milliseconds"),
        (json!(1_795_374_000_000_000_u64), "is too large: send seconds or milliseconds"),
        (json!("28.11.2026 10:00"), "has no instant"),
        (json!("2026.11.28"), "has no instant"),
        (json!("1795374000."), "has no instant"),
        (json!(1.795_374e18), "has no instant"),
        (json!(-5), "has no instant"),
        (json!({}), "has a list or an object at `body:/timestamp`: name one value in it"),
    ] {
        let why = at(wrong).unwrap_err();
        assert!(why.contains(said) && !why.contains('\u{1b}'), "{why}");
    }
}

#[test]
fn what_is_no_alert_of_this_sender_is_refused() {
    let refused = [
        (
            PAGERDUTY,
            json!({}),
            "the body has nothing at `/event/event_type`, where `status` of this source is",
        ),
        (
            PAGERDUTY,
            json!({"event": {"event_type": "incident.triggered"}}),
            "the body has nothing at `/event/data/title`",
        ),
        (
            PAGERDUTY,
            json!({"event": {"event_type": "incident.triggered", "data": {"title": "t"}}}),
            "the body has nothing at `/event/data/id`",
        ),
        (PAGERDUTY, json!([]), "where it holds a list of alerts, `alerts` of this source says where"),
        (
            PAGERDUTY,
            json!({"event": {"event_type": ["x"]}}),
            "the body has a list or an object at `/event/event_type`",
        ),
        (LIST, json!({"model": "fraud"}), "there is nothing at `/tests`"),
        (LIST, json!({"tests": {"name": "drift"}}), "`/tests` is no list"),
    ];
    for (config, body, said) in refused {
        let why = read(config, &body).unwrap_err();
        assert!(why.contains(said), "{body}: {why}");
    }
}

#[test]
fn places_that_make_no_sense_are_refused_with_what_to_write() {
    let refused = [
        ("rule = \"title\"", "`rule = \"title\"` is no place: write a JSON pointer such as `/event/title`"),
        ("rule = \"\"", "is no place"),
        ("rule = \"header:\"", "is no place"),
        ("rule = \"header:a b\"", "is no place"),
        (
            "rule = \"/a\"\nlabels = { who = \"header:Authorization\" }",
            "`labels.who` names a header that holds a secret: name another",
        ),
        ("rule = \"header:proxy-authorization\"", "names a header that holds a secret"),
        ("rule = \"/a\"\nid = \"header:cookie\"", "names a header that holds a secret"),
        ("rule = \"/a\"\nlabels = { model = \"body:x\" }", "`labels.model = \"body:x\"` is no place"),
        ("rule = \"/a\"\nalerts = \"tests\"", "is no JSON pointer to a list"),
        ("rule = \"/a\"\nfiring = [\"x\"]", "write where it stands, as in `status = \"/status\"`"),
        ("rule = \"/a\"\nstatus = \"/s\"", "`firing` lists the words"),
        (
            "rule = \"/a\"\nstatus = \"/s\"\nfiring = [\"up\"]\nresolved = [\"UP\"]",
            "the word `UP` of the status has two meanings",
        ),
        ("rule = \"/a\"\nseverity = \"high\"", "`severity = \"high\"` is no place"),
    ];
    for (text, said) in refused {
        let why = source(text).unwrap_err();
        assert!(why.contains(said), "{text}: {why}");
    }
    let many: String = (0..65).map(|number| format!("l{number} = \"/a\"\n")).collect();
    let why = source(&format!("rule = \"/a\"\n[labels]\n{many}")).unwrap_err();
    assert!(why.contains("`labels` names more than 64"), "{why}");
}

#[test]
fn words_for_people_that_make_no_sense_lose_no_alert() {
    let mut body = pagerduty("incident.triggered");
    for (odd, said) in [
        (json!(["x"]), "(it has a list or an object at `/event/data/html_url`: name one value in it)"),
        (
            json!("x".repeat(70 << 10)),
            "(it has more than 65536 bytes at `/event/data/html_url`: name a place with a shorter text)",
        ),
    ] {
        body["event"]["data"]["html_url"] = odd;
        let payload = read(PAGERDUTY, &body).unwrap();
        let [alert] = &payload.alerts[..] else { panic!("one alert") };
        assert_eq!((alert.status, payload.bad.len()), (SignalStatus::Firing, 0));
        assert_eq!(alert.annotations, [Label::new("page", said)]);
    }
}

/// The sources of the page, by name, each as its table without what is of every source.
fn on_the_page() -> std::collections::BTreeMap<String, String> {
    let page = include_str!("../../src/alerts_json/README.md");
    let lines: String =
        page.lines().filter_map(|line| line.strip_prefix("    ")).map(|line| format!("{line}\n")).collect();
    let all: toml::Table = lines.parse().unwrap();
    let sources = all["sources"].as_table().unwrap();
    let own = |(name, table): (&String, &toml::Value)| {
        let mut table = table.as_table().unwrap().clone();
        assert_eq!(table.remove("kind").unwrap().as_str(), Some("json"), "{name}");
        assert!(table.remove("auth").is_some(), "{name}");
        (name.clone(), toml::to_string(&table).unwrap())
    };
    sources.iter().map(own).collect()
}

#[test]
fn the_sources_of_the_page_read_what_they_are_for() {
    let page = on_the_page();
    let names: Vec<_> = page.keys().map(String::as_str).collect();
    assert_eq!(names, ["datadog", "drift", "events", "pagerduty"]);
    for (name, text) in &page {
        source(text).unwrap_or_else(|why| panic!("{name}: {why}"));
    }
    // As the page has its payload written, each transition at an instant of its own.
    let sent = include_str!("../../src/alerts_json/README.md").lines().find(|line| line.starts_with('{'));
    let datadog = |(number, state): (usize, &str)| {
        let body = sent.unwrap().replace("$ALERT_TRANSITION", state).replace("$ALERT_CYCLE_KEY", "7");
        let body = body.replace("$DATE", &(1_795_374_000_000 + number).to_string());
        read(&page["datadog"], &serde_json::from_str(&body).unwrap()).unwrap().alerts.remove(0)
    };
    let all = ["Triggered", "Re-Triggered", "Renotify", "Recovered"];
    let all: Vec<_> = all.into_iter().enumerate().map(datadog).collect();
    assert!(all[..3].iter().all(|alert| alert.dedupe_key == all[0].dedupe_key), "repeats are no news");
    assert!(all[3].turn.as_ref().unwrap().other_keys.contains(&all[0].dedupe_key), "it ends them");
    let of_pagerduty = |event: &str| read(&page["pagerduty"], &pagerduty(event)).unwrap().alerts.len();
    assert_eq!(of_pagerduty("incident.triggered"), 1);
    for event in [
        "incident.responder.added",
        "incident.responder.replied",
        "incident.status_update_published",
        "incident.acknowledged",
    ] {
        assert_eq!(of_pagerduty(event), 0, "{event}");
    }
}

#[test]
fn an_event_without_status_id_and_time_is_known_by_its_words() {
    let event = |title: &str| read("rule = \"/title\"", &json!({ "title": title })).unwrap().alerts.remove(0);
    let first = event("drift");
    assert_eq!((first.status, first.started_at, first.turn), (SignalStatus::Firing, NOW, None));
    assert_eq!(event("drift").dedupe_key, first.dedupe_key);
    assert_ne!(event("other").dedupe_key, first.dedupe_key);
}

#[tokio::test]
async fn it_conforms() {
    let sent = |body: Value, alerts| Sent { body: body.to_string().into_bytes(), alerts, ..Sent::default() };
    let all = [sent(pagerduty("incident.triggered"), 1), sent(pagerduty("incident.resolved"), 1)];
    conforms(&source(PAGERDUTY).unwrap(), &all).await;
    conforms(&source(LIST).unwrap(), &[sent(listed("FAIL"), 1), sent(listed("SUCCESS"), 1)]).await;
}
