use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::http::support::{body, host, recorded};

const TWO_FIRING: &str = "01-hooks_alertmanager-firing-2.json";

/// A recorded payload with a third alert, without a time, between its two.
fn mixed() -> Value {
    let mut payload = recorded(TWO_FIRING);
    let mut bad = payload["alerts"][0].clone();
    bad["startsAt"] = json!("yesterday");
    payload["alerts"].as_array_mut().unwrap().insert(1, bad);
    payload
}

#[tokio::test]
async fn the_good_alerts_are_taken_in_and_the_bad_one_is_kept_and_listed() {
    let host = host().await;
    let (status, intake) = host.hook(&mixed()).await;
    assert_eq!(status, 200, "{intake}");
    assert_eq!(
        (&intake["accepted"], &intake["unrouted"], &intake["unreadable"]),
        (&json!(2), &json!(0), &json!(1))
    );
    let (_, again) = host.hook(&mixed()).await;
    assert_eq!(
        (&again["accepted"], &again["repeated"], &again["unreadable"]),
        (&json!(0), &json!(2), &json!(1))
    );
    let listed = host.get("signals/unrouted").await;
    let [bad] = &listed.as_array().unwrap()[..] else { panic!("{listed}") };
    let why = bad["why"].as_str().unwrap();
    assert!(why.starts_with("alert 2 of its payload has a bad `startsAt`: `yesterday`"), "{why}");
    assert_eq!((&bad["times"], &bad["source"]), (&json!(2), &json!("bearer")));
    assert_eq!(bad["signal"]["rule"], recorded(TWO_FIRING)["alerts"][0]["labels"]["alertname"]);
}

#[tokio::test]
async fn an_unrouted_alert_says_so() {
    let host = host().await;
    host.hook(&recorded("05-hooks_alertmanager-firing-1.json")).await;
    assert_eq!(host.get("signals/unrouted").await[0]["why"], "no route takes it");
}

#[tokio::test]
async fn bad_alerts_are_kept_and_listed_also_when_there_is_no_good_one() {
    let host = host().await;
    let mut payload = recorded(TWO_FIRING);
    for alert in payload["alerts"].as_array_mut().unwrap() {
        alert["status"] = json!("maybe");
    }
    let (status, intake) = host.hook(&payload).await;
    assert_eq!((status, &intake["accepted"], &intake["unreadable"]), (200, &json!(0), &json!(2)), "{intake}");
    let listed = host.get("signals/unrouted").await;
    let whys: Vec<_> = listed.as_array().unwrap().iter().map(|one| one["why"].as_str().unwrap()).collect();
    assert!(whys.iter().all(|why| why.contains("has the status `maybe`")) && whys.len() == 2, "{whys:?}");
}

/// A group of so many alerts, the last of which is for the service.
fn group(alerts: usize) -> Value {
    let mut payload = recorded(TWO_FIRING);
    let model = payload["alerts"][0].clone();
    let other = |number: usize| {
        let mut alert = model.clone();
        alert["labels"] =
            json!({"alertname": "TargetDown", "severity": "warning", "instance": format!("host-{number}")});
        alert["annotations"] = json!({"description": "x".repeat(500)});
        alert
    };
    let alerts: Vec<Value> = (1..alerts).map(other).chain([model.clone()]).collect();
    payload["alerts"] = json!(alerts);
    payload
}

#[tokio::test]
async fn a_group_beyond_a_mebibyte_is_taken_in() {
    let host = host().await;
    let payload = group(1_500);
    assert!(payload.to_string().len() > 1 << 20);
    let (status, intake) = host.hook(&payload).await;
    assert_eq!((status, &intake["accepted"], &intake["unrouted"]), (200, &json!(1_500), &json!(1_499)));
    // Without a declared length, too.
    let mut socket = tokio::net::TcpStream::connect(host.running.address().unwrap()).await.unwrap();
    let head = "POST /hooks/bearer HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer tok-123\r\ntransfer-encoding: chunked\r\n\r\n";
    let sent = payload.to_string();
    socket.write_all(format!("{head}{:x}\r\n{sent}\r\n0\r\n\r\n", sent.len()).as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"repeated\":1500"), "{answer}");
}

#[tokio::test]
async fn alerts_beyond_what_a_payload_may_hold_are_listed() {
    let host = host().await;
    let mut payload = group(10_001);
    for alert in payload["alerts"].as_array_mut().unwrap() {
        alert["annotations"] = json!({});
    }
    let (status, intake) = host.hook(&payload).await;
    assert_eq!(
        (status, &intake["accepted"], &intake["truncated"]),
        (200, &json!(10_000), &json!(1)),
        "{intake}"
    );
    let listed = host.get("signals/unrouted?limit=1").await;
    let why = listed[0]["why"].as_str().unwrap();
    assert!(why.contains("held 1 alerts more than are read") && why.contains("`max_alerts`"), "{why}");
}

#[tokio::test]
async fn a_webhook_that_is_refused_for_good_is_listed() {
    let host = host().await;
    let post = |sent: String| {
        let request = host.http.post(format!("{}/hooks/bearer", host.url)).bearer_auth("tok-123").body(sent);
        async { body(request.send().await.unwrap()).await }
    };
    for (sent, word) in [
        ("[]", "no object"),
        (r#"{"version": "3", "alerts": []}"#, "of version `3`"),
        (r#"{"alert_transition": "No Data", "title": "[No Data] Fraud"}"#, "Datadog's own"),
        (r#"{"Type": "Notification", "TopicArn": "arn:aws:sns:x", "Message": "{}"}"#, "Amazon SNS's own"),
        (r#"{"action": "Create", "alert": {"alertId": "1"}}"#, "Opsgenie's own"),
        (r#"{"event": {"event_type": "incident.triggered", "data": {}}}"#, "PagerDuty's own"),
        (r#"{"version": "2", "orgId": 1, "alerts": []}"#, "Grafana's own webhook of version `2`"),
    ] {
        let (status, problem) = post(sent.to_owned()).await;
        assert_eq!(status, 400, "{problem}");
        let listed = host.get("signals/unrouted?limit=1").await;
        let why = listed[0]["why"].as_str().unwrap();
        assert!(
            why.starts_with("a webhook was refused, and its alerts are lost") && why.contains(word),
            "{why}"
        );
        assert_eq!(listed[0]["signal"]["severity"], "critical");
    }
    let (status, problem) = post(" ".repeat(17 << 20)).await;
    assert_eq!(status, 413);
    let listed = host.get("signals/unrouted?limit=1").await;
    for told in [&problem["detail"], &listed[0]["why"]] {
        let told = told.as_str().unwrap();
        assert!(told.contains("`body-kib-max`") && told.contains("`max_alerts`"), "{told}");
    }
    assert!(listed[0]["why"].as_str().unwrap().contains("of 17825792 bytes"), "{listed}");
    assert_eq!(host.metric("ripcord_webhooks_lost_total").await, 8);
    // A stranger fills neither the list nor the store.
    let stranger = host.http.post(format!("{}/hooks/hmac", host.url)).body(" ".repeat(17 << 20));
    assert_eq!(body(stranger.send().await.unwrap()).await.0, 401);
    assert_eq!(host.get("signals/unrouted").await.as_array().unwrap().len(), 8);
}

#[tokio::test]
async fn alerts_that_the_sender_left_out_are_listed_once_a_group() {
    let host = host().await;
    let mut payload = recorded(TWO_FIRING);
    payload["truncatedAlerts"] = json!(3);
    for _ in 0..2 {
        let (status, intake) = host.hook(&payload).await;
        assert_eq!((status, &intake["truncated"]), (200, &json!(3)), "{intake}");
    }
    let mut other = payload.clone();
    other["groupKey"] = json!("{}:{alertname=\"other\"}");
    host.hook(&other).await;
    let listed = host.get("signals/unrouted").await;
    let listed = listed.as_array().unwrap();
    let group = payload["groupKey"].as_str().unwrap();
    let of_group: Vec<_> =
        listed.iter().filter(|one| one["why"].as_str().unwrap().contains(&format!("`{group}`"))).collect();
    assert_eq!((listed.len(), of_group.len()), (2, 1), "{listed:?}");
    assert!(of_group[0]["why"].as_str().unwrap().starts_with("the sender left 3 alerts of the group"));
    assert_eq!((&of_group[0]["times"], &of_group[0]["signal"]["severity"]), (&json!(2), &json!("critical")));
}
