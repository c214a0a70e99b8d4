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
    let alert = |alert: &str| format!(r#"{{"version":"4","alerts":[{alert}]}}"#);
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
    check(
        &alert(r#"{"status":"firing","labels":{},"startsAt":"2026-11-22T18:55:06Z"}"#),
        "no alert of the payload can be judged: alert 1 has no label `alertname`",
    );
    check(
        &alert(r#"{"status":"on","labels":{"alertname":"A"},"startsAt":"2026-11-22T18:55:06Z"}"#),
        "status `on`",
    );
    check(
        &alert(r#"{"status":"firing","labels":{"alertname":"A"},"startsAt":"now"}"#),
        "bad `startsAt`: `now`",
    );
    check(
        &alert(
            r#"{"status":"resolved","labels":{"alertname":"A"},"startsAt":"2026-11-22T18:55:06Z","endsAt":"x"}"#,
        ),
        "bad `endsAt`: `x`",
    );
    check(
        &alert(r#"{"status":"firing","labels":{"alertname":7},"startsAt":"x"}"#),
        "alert 1 is not of the known form",
    );
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
