use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::http::support::{body, hex, host, recorded};

const TWO_FIRING: &str = "01-hooks_alertmanager-firing-2.json";
const MIXED: &str = "10-hooks_alertmanager-firing-2.json";

#[tokio::test]
async fn a_wrong_secret_is_refused_and_nothing_is_taken() {
    let host = host().await;
    let post =
        |source: &str| host.http.post(format!("{}/hooks/{source}", host.url)).json(&recorded(TWO_FIRING));
    let cases = [
        ("none at all", post("bearer")),
        ("wrong bearer", post("bearer").bearer_auth("tok-124")),
        ("basic at a bearer source", post("bearer").basic_auth("am", Some("s3cret"))),
        ("wrong password", post("basic").basic_auth("am", Some("s3cre"))),
        ("wrong user", post("basic").basic_auth("an", Some("s3cret"))),
        ("bearer at a basic source", post("basic").bearer_auth("tok-123")),
        ("a person's token", post("bearer").bearer_auth("olga-token-0123456789")),
        ("no code", post("hmac")),
    ];
    for (what, request) in cases {
        let answer = request.send().await.unwrap();
        assert!(answer.headers().contains_key("www-authenticate"), "{what}");
        let (status, problem) = body(answer).await;
        assert_eq!(status, 401, "{what}: {problem}");
        assert!(!problem.to_string().contains("tok-123") && !problem.to_string().contains("s3cret"));
    }
    assert_eq!(host.get("signals/unrouted").await, json!([]));
    let (_, intake) = host.hook(&recorded(TWO_FIRING)).await;
    assert_eq!(intake["accepted"], 2, "none of the refused ones was there before");
}

#[tokio::test]
async fn a_source_that_is_not_there() {
    let host = host().await;
    let (status, _) = body(
        host.http.post(format!("{}/hooks/nobody", host.url)).bearer_auth("tok-123").send().await.unwrap(),
    )
    .await;
    assert_eq!(status, 404);
    let (status, _) = body(host.http.get(format!("{}/hooks/bearer", host.url)).send().await.unwrap()).await;
    assert_eq!(status, 405);
}

#[tokio::test]
async fn recorded_payloads_are_taken_in_alert_by_alert_and_repeats_once() {
    let host = host().await;
    let host = &host;
    let intake = |payload: Value| async move { host.hook(&payload).await };
    let counts = |(status, body): (u16, Value)| {
        assert_eq!(status, 200, "{body}");
        (
            body["accepted"].as_u64().unwrap(),
            body["repeated"].as_u64().unwrap(),
            body["unrouted"].as_u64().unwrap(),
        )
    };
    assert_eq!(counts(intake(recorded(TWO_FIRING)).await), (2, 0, 0));
    assert_eq!(counts(intake(recorded(TWO_FIRING)).await), (0, 2, 0), "a repeat");
    assert_eq!(
        counts(intake(recorded("03-hooks_bearer-resolved-2.json")).await),
        (2, 0, 0),
        "resolved is news"
    );
    assert_eq!(counts(intake(recorded("09-hooks_alertmanager-firing-2.json")).await), (2, 0, 0));
    assert_eq!(counts(intake(recorded(MIXED)).await), (1, 1, 0), "one resolved, the other repeats");
    assert_eq!(
        counts(intake(recorded("05-hooks_alertmanager-firing-1.json")).await),
        (1, 0, 1),
        "no route for churn"
    );
}

#[tokio::test]
async fn one_source_does_not_swallow_what_another_sends() {
    let host = host().await;
    host.hook(&recorded("05-hooks_alertmanager-firing-1.json")).await;
    let request = host.http.post(format!("{}/hooks/basic", host.url)).basic_auth("am", Some("s3cret"));
    let (_, intake) =
        body(request.json(&recorded("05-hooks_alertmanager-firing-1.json")).send().await.unwrap()).await;
    assert_eq!(intake["accepted"], 1);
}

#[tokio::test]
async fn a_code_is_good_for_its_minute() {
    let host = host().await;
    let sent = recorded(TWO_FIRING).to_string();
    #[expect(clippy::disallowed_methods, reason = "the host under test uses the system's clock")]
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let post = |at: u64, signed: &str| {
        let mut mac = Hmac::<Sha256>::new_from_slice(b"key").unwrap();
        mac.update(format!("{at}.{signed}").as_bytes());
        let code = hex(&mac.finalize().into_bytes());
        let request =
            host.http.post(format!("{}/hooks/hmac", host.url)).header("x-at", at).header("x-code", code);
        let request = request.body(sent.clone());
        async { body(request.send().await.unwrap()).await }
    };
    assert_eq!(post(now - 120, &sent).await.0, 401, "a replay of two minutes ago");
    assert_eq!(post(now + 120, &sent).await.0, 401, "from the future");
    assert_eq!(post(now, "another body").await.0, 401);
    let (status, intake) = post(now, &sent).await;
    assert_eq!((status.as_u16(), &intake["accepted"]), (200, &json!(2)));
    assert_eq!(post(now, &sent).await.1["repeated"], 2, "a replay within the window changes nothing");
}

#[tokio::test]
async fn the_same_firing_after_its_end_is_taken_in_and_a_late_one_is_not() {
    let host = host().await;
    let payload = |member: &str, status: &str| {
        json!({
            "version": "4", "groupKey": "{}:{}", "receiver": "ripcord", "status": status, "truncatedAlerts": 0,
            "externalURL": format!("http://{member}:9093"), "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {},
            "alerts": [{
                "status": status, "labels": { "alertname": "FraudErrorRatio" }, "annotations": {},
                "startsAt": "2026-11-22T09:14:07.412Z",
                "endsAt": if status == "firing" { "0001-01-01T00:00:00Z" } else { "2026-11-22T09:26:37.412Z" },
            }],
        })
    };
    for (what, member, status, news) in [
        ("it fires", "a", "firing", true),
        ("again", "a", "firing", false),
        ("its end", "a", "resolved", true),
        ("the first firing of the other member, overtaken by the end", "b", "firing", false),
        ("the sender had lost sight of it: byte for byte the first payload", "a", "firing", true),
        ("the other member says so too", "b", "firing", false),
    ] {
        let (code, intake) = host.hook(&payload(member, status)).await;
        let expected = if news { (1, 0) } else { (0, 1) };
        let told = (intake["accepted"].as_u64().unwrap(), intake["repeated"].as_u64().unwrap());
        assert_eq!((code, told), (200, expected), "{what}: {intake}");
    }
}
