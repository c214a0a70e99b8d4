//! Payloads as a real Alertmanager 0.25 sent them.

use std::collections::BTreeSet;

use ripcord_adapters::alerts_alertmanager::{ParsedAlert, ParsedPayload, parse};
use ripcord_core::signal::{Severity, SignalStatus};
use ripcord_core::time::UnixMillis;

use crate::adapters::support::fixture;

fn recorded(name: &str) -> ParsedPayload {
    parse(&fixture(&format!("alertmanager/{name}.json"))).unwrap()
}

fn brief(alert: &ParsedAlert) -> (SignalStatus, String, bool) {
    let feature = alert.labels.iter().find(|label| label.name == "feature").unwrap();
    (alert.status, feature.value.clone(), alert.ended_at.is_some())
}

#[test]
fn every_part_of_an_alert_is_taken_in() {
    let payload = recorded("01-hooks_alertmanager-firing-2");
    assert_eq!((payload.alerts.len(), payload.truncated), (2, 0));
    let alert = &payload.alerts[0];
    assert_eq!(alert.rule, "ModelAccuracyLow");
    assert_eq!(alert.status, SignalStatus::Firing);
    assert_eq!(alert.severity, Severity::Critical, "`page` is critical");
    assert_eq!(alert.started_at, UnixMillis(1_795_373_540_443));
    assert_eq!(alert.ended_at, None, "the year 1 is no end");
    assert_eq!(alert.fingerprint, "c1663320d626d4f7");
    assert_eq!(alert.group_key, "{}/{}:{alertname=\"ModelAccuracyLow\", model=\"fraud\"}");
    let names: Vec<_> = alert.labels.iter().map(|label| label.name.as_str()).collect();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    assert_eq!(names, sorted);
    assert_eq!(names.len(), 10);
    assert_eq!(alert.annotations[1].value, "accuracy of fraud v2 is 610m");
}

#[test]
fn a_payload_of_firing_and_resolved_alerts_is_judged_per_alert() {
    let payload = recorded("10-hooks_alertmanager-firing-2");
    let brief: Vec<_> = payload.alerts.iter().map(brief).collect();
    let expected = [
        (SignalStatus::Resolved, "age".to_owned(), true),
        (SignalStatus::Firing, "amount".to_owned(), false),
    ];
    assert_eq!(brief, expected);
    assert_eq!(payload.alerts[0].severity, Severity::Warning, "no label `severity`");
}

#[test]
fn what_is_delivered_twice_has_one_key() {
    let keys = |names: &[&str]| -> (usize, BTreeSet<_>) {
        let keys: Vec<_> =
            names.iter().flat_map(|name| recorded(name).alerts).map(|a| a.dedupe_key).collect();
        (keys.len(), keys.into_iter().collect())
    };
    let check = |names: &[&str], delivered: usize, distinct: usize| {
        let (all, once) = keys(names);
        assert_eq!((all, once.len()), (delivered, distinct), "{names:?}");
    };
    // `continue: true`: two receivers.
    check(&["01-hooks_alertmanager-firing-2", "02-hooks_bearer-firing-2"], 4, 2);
    check(&["03-hooks_bearer-resolved-2", "04-hooks_alertmanager-resolved-2"], 4, 2);
    // A retry after 503.
    check(&["11-flaky-firing-1", "12-flaky-firing-1"], 2, 1);
    check(&["13-flaky-resolved-1", "14-flaky-resolved-1"], 2, 1);
    // A group that is sent again because one of its alerts changed: only the change is new.
    check(&["09-hooks_alertmanager-firing-2", "10-hooks_alertmanager-firing-2"], 4, 3);
    // Beginning and end of one alert are two.
    check(&["11-flaky-firing-1", "13-flaky-resolved-1"], 2, 2);
}

#[test]
fn an_alert_that_begins_anew_has_another_key() {
    let body = String::from_utf8(fixture("alertmanager/11-flaky-firing-1.json")).unwrap();
    let again = body.replace("18:55:06Z", "18:59:06Z");
    assert_ne!(body, again);
    let key = |body: &str| parse(body.as_bytes()).unwrap().alerts[0].dedupe_key;
    assert_ne!(key(&body), key(&again));
}

#[test]
fn an_alert_that_is_twice_in_one_payload_counts_once() {
    let body = fixture("alertmanager/11-flaky-firing-1.json");
    let mut json: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let twice = json["alerts"][0].clone();
    json["alerts"].as_array_mut().unwrap().push(twice);
    json["truncatedAlerts"] = 3.into();
    let payload = parse(json.to_string().as_bytes()).unwrap();
    assert_eq!((payload.alerts.len(), payload.truncated), (1, 3));
}

#[test]
fn every_recorded_payload_is_taken_in() {
    let folder = format!("{}/tests/fixtures/alertmanager", env!("CARGO_MANIFEST_DIR"));
    let mut read = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let payload = parse(&std::fs::read(entry.path()).unwrap()).unwrap();
        assert!(!payload.alerts.is_empty(), "{:?}", entry.path());
        read += 1;
    }
    assert_eq!(read, 14);
}

#[test]
fn other_payloads_are_refused_with_a_sentence() {
    let check = |body: &str, expected: &str| {
        let message = parse(body.as_bytes()).unwrap_err().to_string();
        assert!(message.contains(expected), "{body}: {message}");
    };
    check("", "not the JSON");
    for no_object in ["[]", "[1]", "\"4\"", "4", "null"] {
        check(no_object, "no object: send what Alertmanager sends, an object with `version` and `alerts`");
    }
    check("{\"alerts\":[]}", "no `version`");
    check(r#"{"version":"3","alert":[]}"#, "version `3`");
    check(r#"{"version":4}"#, "`version` is no text");
    check(r#"{"version":"4"}"#, "`alerts`");
}

#[test]
fn an_alert_that_cannot_be_judged_is_kept_with_a_sentence() {
    let check = |alert: &str, expected: &str| {
        let payload = parse(format!(r#"{{"version":"4","alerts":[{alert}]}}"#).as_bytes()).unwrap();
        let [bad] = &payload.bad[..] else { panic!("{alert}: {payload:?}") };
        assert!(
            payload.alerts.is_empty() && bad.number == 1 && bad.why.contains(expected),
            "{alert}: {bad:?}"
        );
    };
    check(r#"{"status":"firing","labels":{},"startsAt":"2026-11-22T18:55:06Z"}"#, "has no label `alertname`");
    check(r#"{"status":"on","labels":{"alertname":"A"},"startsAt":"2026-11-22T18:55:06Z"}"#, "status `on`");
    check(r#"{"status":"firing","labels":{"alertname":"A"},"startsAt":"now"}"#, "bad `startsAt`: `now`");
    check(
        r#"{"status":"resolved","labels":{"alertname":"A"},"startsAt":"2026-11-22T18:55:06Z","endsAt":"x"}"#,
        "bad `endsAt`: `x`",
    );
    check(r#"{"status":"firing","labels":{"alertname":7},"startsAt":"x"}"#, "is not of the known form");
}

#[test]
fn a_webhook_of_grafana_itself_is_taken_in() {
    for name in ["grafana-webhook", "grafana-webhook-one"] {
        let payload = parse(&fixture(&format!("grafana/{name}.json"))).unwrap();
        assert!(!payload.alerts.is_empty() && payload.bad.is_empty(), "{name}");
        let alert = &payload.alerts[0];
        assert_eq!(alert.rule, "Fraud error ratio");
        assert_eq!(alert.started_at, text("2026-11-23T09:02:00Z"), "its times have the server's own offset");
    }
    // Alertmanager's own version 1 was another format.
    let old = parse(br#"{"version":"1","alerts":[]}"#).unwrap_err().to_string();
    assert!(old.contains("version `1`") && old.contains("Grafana"), "{old}");
}

fn text(instant: &str) -> UnixMillis {
    let body = format!(
        r#"{{"version":"4","alerts":[{{"status":"firing","labels":{{"alertname":"A"}},"startsAt":"{instant}"}}]}}"#
    );
    parse(body.as_bytes()).unwrap().alerts[0].started_at
}

#[test]
fn alerts_beyond_the_most_that_a_payload_may_hold_are_counted() {
    let alert = |number: usize, at: &str| {
        format!(r#"{{"status":"firing","labels":{{"alertname":"A","n":"{number}"}},"startsAt":"{at}"}}"#)
    };
    let mut alerts: Vec<String> = (0..10_003).map(|number| alert(number, "2026-11-22T18:55:06Z")).collect();
    let payload = |alerts: &[String]| {
        parse(format!(r#"{{"version":"4","alerts":[{}]}}"#, alerts.join(",")).as_bytes()).unwrap()
    };
    let read = payload(&alerts);
    assert_eq!((read.alerts.len(), read.unread), (10_000, 3));
    alerts[7] = alert(7, "yesterday");
    let read = payload(&alerts);
    assert_eq!((read.alerts.len(), read.bad.len(), read.unread), (9_999, 1, 3), "also where one is bad");
}

#[test]
fn one_bad_alert_does_not_take_the_good_ones_with_it() {
    let body = fixture("alertmanager/01-hooks_alertmanager-firing-2.json");
    let mut json: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let good = parse(&body).unwrap();
    let alerts = json["alerts"].as_array_mut().unwrap();
    let mut bad = alerts[0].clone();
    bad["startsAt"] = "yesterday".into();
    bad["labels"]["number"] = 7.into();
    alerts.insert(1, bad.clone());
    alerts.push(bad);
    alerts.push("no alert".into());
    let payload = parse(json.to_string().as_bytes()).unwrap();
    assert_eq!(payload.alerts, good.alerts);
    let [first, second] = &payload.bad[..] else { panic!("{:?}", payload.bad) };
    assert_eq!((first.number, second.number), (2, 5), "the same text twice is one");
    assert!(first.why.contains("not of the known form") && second.labels.is_empty(), "{first:?}");
    assert!(first.labels.iter().any(|label| label.name == "alertname"));
    assert!(first.labels.iter().all(|label| label.name != "number"), "only text is a label");
}
