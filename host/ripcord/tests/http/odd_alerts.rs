use serde_json::{Value, json};

use crate::http::support::{host, recorded};

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
async fn a_payload_of_nothing_but_bad_alerts_is_refused() {
    let host = host().await;
    let mut payload = recorded(TWO_FIRING);
    for alert in payload["alerts"].as_array_mut().unwrap() {
        alert["status"] = json!("maybe");
    }
    let (status, problem) = host.hook(&payload).await;
    assert_eq!(status, 400);
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.starts_with("no alert of the payload can be judged: alert 1 has the status `maybe`"),
        "{detail}"
    );
    assert_eq!(host.get("signals/unrouted").await, json!([]));
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
