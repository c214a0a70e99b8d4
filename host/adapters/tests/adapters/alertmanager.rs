//! Payloads as a real Alertmanager 0.25 sent them.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use ripcord_adapters::alerts_alertmanager::{Alertmanager, parse};
use ripcord_adapters::conformance::alert_source::{Sent, conforms};
use ripcord_core::signal::{Severity, SignalStatus};
use ripcord_core::time::UnixMillis;
use ripcord_ports::AlertSource;
use ripcord_ports::alert_source::{Delivery, ParsedAlert, ParsedPayload, Unreadable};

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

fn one(alert: &str) -> ParsedPayload {
    parse(format!(r#"{{"version":"4","alerts":[{alert}]}}"#).as_bytes()).unwrap()
}

#[test]
fn null_is_as_good_as_left_out() {
    let bare = r#"{"version":"4","alerts":[{"status":"firing","labels":{"alertname":"A"},"startsAt":"2026-11-22T18:55:06Z"}]}"#;
    let nulls = r#"{"version":"4","groupKey":null,"truncatedAlerts":null,"externalURL":null,"orgId":null,"title":null,"receiver":null,
        "groupLabels":null,"commonLabels":null,"alerts":[{"status":"firing","labels":{"alertname":"A","team":null},"annotations":null,
        "startsAt":"2026-11-22T18:55:06Z","endsAt":null,"fingerprint":null,"generatorURL":null,"values":null}]}"#;
    assert_eq!(parse(nulls.as_bytes()).unwrap(), parse(bare.as_bytes()).unwrap());
    let one_annotation = r#"{"status":"resolved","labels":{"alertname":"A"},"annotations":{"a":"b","c":null},"startsAt":"2026-11-22T18:55:06Z","endsAt":null}"#;
    let payload = one(one_annotation);
    assert_eq!((payload.alerts[0].annotations.len(), payload.alerts[0].ended_at), (1, None));
    for (alert, why) in [
        (
            r#"{"status":null,"labels":{"alertname":"A"},"startsAt":"2026-11-22T18:55:06Z"}"#,
            "has no `status`",
        ),
        (
            r#"{"status":"firing","labels":null,"startsAt":"2026-11-22T18:55:06Z"}"#,
            "has no label `alertname`",
        ),
        (
            r#"{"status":"firing","labels":{"alertname":null},"startsAt":"2026-11-22T18:55:06Z"}"#,
            "has no label `alertname`",
        ),
        (r#"{"status":"firing","labels":{"alertname":"A"},"startsAt":null}"#, "has no `startsAt`"),
        ("null", "not of the known form"),
    ] {
        let payload = one(alert);
        assert!(payload.bad.len() == 1 && payload.bad[0].why.contains(why), "{alert}: {:?}", payload.bad);
    }
    for (body, why) in [
        (r#"{"version":null,"alerts":[]}"#, "it has no `version`"),
        (r#"{"version":"4","alerts":null}"#, "it has no `alerts`"),
    ] {
        assert!(parse(body.as_bytes()).unwrap_err().to_string().contains(why), "{body}");
    }
}

#[test]
fn webhooks_of_other_systems_are_refused_by_name_with_what_to_do() {
    for (body, system, advice) in [
        (
            r#"{"ruleName":"Fraud","ruleId":7,"state":"alerting","evalMatches":[],"title":"[Alerting] Fraud"}"#,
            "Grafana's legacy alerting",
            "unified alerting",
        ),
        (
            r#"{"id":"1","event_type":"metric_alert_monitor","title":"[No Data] Fraud","body":"…","org":{"id":"1","name":"shop"},"last_updated":"1"}"#,
            "Datadog",
            "Alertmanager",
        ),
        (r#"{"alert_transition":"Triggered","alert_id":"1","text":"Fraud"}"#, "Datadog", "Alertmanager"),
        (
            r#"{"Type":"Notification","TopicArn":"arn:aws:sns:eu-1:1:t","Message":"{\"AlarmName\":\"Fraud\"}"}"#,
            "Amazon SNS",
            "Alertmanager",
        ),
        (
            r#"{"Type":"SubscriptionConfirmation","TopicArn":"arn:aws:sns:eu-1:1:t","SubscribeURL":"https://x","Message":"…"}"#,
            "confirmed",
            "function",
        ),
        (
            r#"{"AlarmName":"Fraud","NewStateValue":"INSUFFICIENT_DATA","OldStateValue":"OK"}"#,
            "Amazon CloudWatch",
            "Alertmanager",
        ),
        (
            r#"{"detail-type":"CloudWatch Alarm State Change","detail":{"alarmName":"Fraud","state":{"value":"ALARM"}}}"#,
            "Amazon CloudWatch",
            "Alertmanager",
        ),
        (
            r#"{"action":"Create","alert":{"alertId":"1","message":"Fraud"},"integrationName":"x"}"#,
            "Opsgenie",
            "Alertmanager",
        ),
        (
            r#"{"event":{"id":"1","event_type":"incident.triggered","data":{"type":"incident"}}}"#,
            "PagerDuty",
            "Alertmanager",
        ),
        (r#"{"messages":[{"event":"incident.trigger","incident":{"id":"1"}}]}"#, "PagerDuty", "Alertmanager"),
        (r#"{"schemaId":"azureMonitorCommonAlertSchema","data":{}}"#, "Azure Monitor", "Alertmanager"),
        (
            r#"{"version":"1.2","incident":{"condition_name":"Fraud","policy_name":"p","state":"open"}}"#,
            "Google Cloud Monitoring",
            "Alertmanager",
        ),
        (
            r#"{"entity":"model_version","action":"created","timestamp":"2026-11-22T18:55:06Z","data":{}}"#,
            "MLflow",
            "kind = \"mlflow\"",
        ),
        (
            r#"{"event_type":"ADD_ARTIFACT_ALIAS","artifact_collection_name":"fraud","alias":"production"}"#,
            "Weights & Biases",
            "kind = \"wandb\"",
        ),
        (
            r#"[{"labels":{"alertname":"A"},"startsAt":"2026-11-22T18:55:06Z"}]"#,
            "posted to an Alertmanager",
            "send its webhook here",
        ),
        (
            r#"{"version":"2","orgId":1,"alerts":[]}"#,
            "Grafana's own webhook of version `2`",
            "default payload",
        ),
        (
            r#"{"version":"3","title":"x","message":"y","state":"alerting","alerts":[]}"#,
            "Grafana's own webhook",
            "default payload",
        ),
        ("\u{1f}\u{8b}\u{8}", "the payload is not the JSON", ""),
        ("payload=%7B%7D", "form with a `payload`", "post the JSON itself"),
        ("<alert/>", "XML", ""),
        ("", "it is empty", ""),
    ] {
        let message = parse(body.as_bytes()).unwrap_err().to_string();
        assert!(message.contains(system) && message.contains(advice), "{body}: {message}");
        assert!(!message.contains("update the Alertmanager"), "{message}");
    }
    let compressed = parse(&[0x1f, 0x8b, 8, 0]).unwrap_err().to_string();
    assert!(compressed.contains("compressed (gzip)"), "{compressed}");
    assert!(parse(b"\xff\xfe{\0").unwrap_err().to_string().contains("UTF-16"));
}

#[test]
fn a_byte_order_mark_is_no_obstacle() {
    let body = [b"\xef\xbb\xbf".as_slice(), &fixture("alertmanager/11-flaky-firing-1.json")].concat();
    assert_eq!(parse(&body).unwrap(), recorded("11-flaky-firing-1"));
}

#[test]
fn grafana_is_known_by_what_only_it_writes() {
    let alert = r#"{"status":"firing","labels":{"alertname":"A"},"startsAt":"2026-11-22T18:55:06+02:00","values":null,"valueString":"","silenceURL":"x"}"#;
    for head in [r#""orgId":1"#, r#""orgId":null,"title":"[FIRING:1]","state":"alerting","message":"m""#] {
        let body = format!(r#"{{"version":"1",{head},"alerts":[{alert}]}}"#);
        assert_eq!(parse(body.as_bytes()).unwrap().alerts.len(), 1, "{head}");
    }
}

#[test]
fn what_an_alert_tells_of_is_read_and_part_of_its_key() {
    use ripcord_core::signal::SignalKind::{BrokenRule, Condition, LostSight, MissingData};
    let read = |status: &str, name: &str, annotations: &str, url: &str| {
        let alert = format!(
            r#"{{"status":"{status}","labels":{{"alertname":"{name}"}},"annotations":{{{annotations}}},"startsAt":"2026-11-22T18:55:06Z","generatorURL":"{url}"}}"#
        );
        one(&alert).alerts.remove(0)
    };
    let reason = r#""grafana_state_reason":"NoData""#;
    for (alert, expected) in [
        (read("firing", "FraudErrorRatio", "", ""), Condition),
        (read("firing", "DatasourceNoData", "", ""), MissingData),
        (read("firing", "DatasourceError", "", ""), BrokenRule),
        (read("firing", "FraudErrorRatio", reason, ""), MissingData),
        (read("resolved", "FraudErrorRatio", reason, ""), LostSight),
        (
            read("firing", "FraudGone", "", "http://p:9090/graph?g0.expr=absent%28fraud%29&g0.tab=1"),
            MissingData,
        ),
        (
            read("firing", "FraudDown", "", "http://p:9090/graph?g0.expr=up%7Bjob%3D%22fraud%22%7D+%3D%3D+0"),
            MissingData,
        ),
    ] {
        assert_eq!(alert.kind, expected, "{alert:?}");
    }
    // The same alert for another reason is news.
    let harm = read("firing", "FraudErrorRatio", "", "");
    let without = read("firing", "FraudErrorRatio", reason, "");
    let ended = read("resolved", "FraudErrorRatio", "", "");
    assert_ne!(harm.dedupe_key, without.dedupe_key);
    assert_eq!(without.turn.unwrap().other_keys, [ended.dedupe_key, harm.dedupe_key]);
    assert_eq!(ended.dedupe_key, read("resolved", "FraudErrorRatio", reason, "").dedupe_key);
}

#[tokio::test]
async fn it_conforms_with_what_alertmanager_and_grafana_sent() {
    let sent = |name: &str, alerts| Sent { body: fixture(name), alerts, ..Sent::default() };
    let sent = [
        sent("alertmanager/01-hooks_alertmanager-firing-2.json", 2),
        sent("alertmanager/03-hooks_bearer-resolved-2.json", 2),
        sent("alertmanager/11-flaky-firing-1.json", 1),
        sent("grafana/grafana-webhook-one.json", 1),
    ];
    conforms(&Alertmanager, &sent).await;
}

/// What is wrong with one of these the suite finds.
#[tokio::test]
async fn the_suite_finds_a_source_that_takes_anything_for_a_webhook() {
    struct Takes;
    impl AlertSource for Takes {
        fn name(&self) -> &str {
            "takes"
        }
        fn read(&self, delivery: &Delivery<'_>) -> Result<ParsedPayload, Unreadable> {
            Ok(Alertmanager.read(delivery).unwrap_or_default())
        }
    }
    let body = fixture("alertmanager/11-flaky-firing-1.json");
    let sent = [Sent { body, alerts: 1, ..Sent::default() }];
    let panic = AssertUnwindSafe(conforms(&Takes, &sent)).catch_unwind().await.unwrap_err();
    let said = panic.downcast_ref::<String>().cloned().unwrap_or_default();
    assert!(said.starts_with("the rule `what-is-no-webhook-is-refused` is broken"), "{said}");
}
