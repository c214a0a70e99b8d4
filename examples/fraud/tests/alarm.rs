//! Traffic on the poisoned version raises the alarm once, and going back ends it once.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods)]

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::Setup;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use fraud::{traffic, watch};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

/// A webhook that writes down what it gets and answers the first posts with the given statuses, then with 200.
#[derive(Debug, Clone, Default)]
struct Webhook {
    got: Arc<Mutex<Vec<(u16, String, Value)>>>,
    first: Arc<Mutex<Vec<u16>>>,
}

impl Webhook {
    async fn start(first: &[u16]) -> (Self, String) {
        let webhook =
            Self { first: Arc::new(Mutex::new(first.iter().rev().copied().collect())), ..Self::default() };
        let router = Router::new().route("/hooks/alerts", post(Self::take)).with_state(webhook.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hooks/alerts", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (webhook, url)
    }

    async fn take(State(webhook): State<Self>, headers: HeaderMap, body: Bytes) -> StatusCode {
        let status = webhook.first.lock().unwrap().pop().unwrap_or(200);
        let bearer = headers["authorization"].to_str().unwrap().to_owned();
        webhook.got.lock().unwrap().push((status, bearer, serde_json::from_slice(&body).unwrap()));
        StatusCode::from_u16(status).unwrap()
    }

    fn got(&self) -> Vec<(u16, String, Value)> {
        self.got.lock().unwrap().clone()
    }

    async fn wait_for(&self, posts: usize) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.got().len() < posts {
            assert!(Instant::now() < deadline, "{posts} posts are expected, got {:?}", self.got());
            sleep(Duration::from_millis(20)).await;
        }
    }
}

fn traffic_args(url: &str, seconds: u32) -> traffic::Args {
    traffic::Args { url: url.to_owned(), rate: 150, seconds, seed: 7, json: true }
}

fn watch_args(setup: &Setup, webhook: &str) -> watch::Args {
    let bearer_file = setup.path("token");
    fs::write(&bearer_file, "tok-123\n").unwrap();
    watch::Args {
        metrics: format!("{}/metrics", setup.url()),
        webhook: webhook.to_owned(),
        bearer_file,
        every_ms: 100,
        seconds: 60,
        max_false_positive_share: 0.1,
        min_volume: 30,
        window_ms: 1_000,
        for_ms: 300,
        service: "fraud-api".to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_firing_then_one_resolved() {
    let setup = Setup::new(Some("1.4.0")).await;
    // The first post of the alert fails on the webhook's side and is repeated.
    let (webhook, url) = Webhook::start(&[503]).await;
    let watching = tokio::spawn(watch::run(watch_args(&setup, &url)));
    let sending = {
        let args = traffic_args(setup.url(), 60);
        tokio::spawn(async move { traffic::send(&args).await })
    };

    webhook.wait_for(2).await;
    fraud::train::deploy(&setup.layout, "1.3.2").unwrap();
    assert_eq!(setup.post("/v2/repository/models/fraud/load", json!({})).await.0, 200);
    webhook.wait_for(3).await;
    // Nothing more comes while all is well.
    sleep(Duration::from_millis(1_500)).await;
    sending.abort();
    watching.abort();

    let got = webhook.got();
    let statuses: Vec<(u16, &str)> =
        got.iter().map(|(status, _, body)| (*status, body["status"].as_str().unwrap())).collect();
    assert_eq!(statuses, [(503, "firing"), (200, "firing"), (200, "resolved")]);
    assert!(got.iter().all(|(_, bearer, _)| bearer == "Bearer tok-123"));
    let (firing, resolved) = (&got[1].2, &got[2].2);
    assert_eq!(got[0].2, *firing, "a repeated post is the same post");
    let labels = json!({
        "alertname": "FraudFalsePositives", "model": "fraud", "service": "fraud-api", "severity": "critical", "team": "payments",
        "version": "1.4.0",
    });
    assert_eq!(firing["alerts"][0]["labels"], labels);
    assert_eq!(firing["version"], "4");
    for same in ["labels", "fingerprint", "startsAt"] {
        assert_eq!(firing["alerts"][0][same], resolved["alerts"][0][same]);
    }
    assert_eq!(firing["alerts"][0]["endsAt"], "0001-01-01T00:00:00Z");
    assert_ne!(resolved["alerts"][0]["endsAt"], "0001-01-01T00:00:00Z");

    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let mut top = keys(firing);
    top.sort();
    let of_alertmanager = [
        "alerts",
        "commonAnnotations",
        "commonLabels",
        "externalURL",
        "groupKey",
        "groupLabels",
        "receiver",
        "status",
        "truncatedAlerts",
        "version",
    ];
    assert_eq!(top, of_alertmanager);
    let mut inner = keys(&firing["alerts"][0]);
    inner.sort();
    assert_eq!(
        inner,
        ["annotations", "endsAt", "fingerprint", "generatorURL", "labels", "startsAt", "status"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn good_traffic_raises_nothing_and_is_summed_up() {
    let setup = Setup::new(Some("1.3.2")).await;
    let (webhook, url) = Webhook::start(&[]).await;
    let watching = tokio::spawn(watch::run(watch_args(&setup, &url)));
    let summary = traffic::send(&traffic_args(setup.url(), 3)).await.unwrap();
    watching.abort();
    assert!(webhook.got().is_empty(), "{:?}", webhook.got());

    assert_eq!((summary.errors, summary.feedback_errors), (0, 0), "{summary:?}");
    assert!(summary.requests > 200 && summary.versions.keys().eq(["1.3.2"]), "{summary:?}");
    assert!(summary.decline_share < 0.1 && summary.false_positive_share < 0.03, "{summary:?}");
    let declined = setup.metric("fraud_decisions_total{decision=\"decline\",version=\"1.3.2\"}").await;
    assert_eq!(declined, summary.declined as f64);
    let false_positives =
        setup.metric("fraud_feedback_total{result=\"false_positive\",version=\"1.3.2\"}").await;
    assert_eq!(false_positives, summary.false_positives as f64);
}

#[tokio::test]
async fn a_webhook_that_refuses_is_not_asked_again() {
    let setup = Setup::new(Some("1.4.0")).await;
    let (webhook, url) = Webhook::start(&[401]).await;
    let watching = tokio::spawn(watch::run(watch_args(&setup, &url)));
    let summary = traffic::send(&traffic_args(setup.url(), 3)).await.unwrap();
    watching.abort();
    assert!(summary.decline_share > 0.25, "{summary:?}");
    assert_eq!(webhook.got().len(), 1);
}

#[tokio::test]
async fn mistakes_are_told() {
    let setup = Setup::new(Some("1.3.2")).await;
    let good = watch_args(&setup, "http://127.0.0.1:9/");
    let check = async |args: watch::Args, expected: &str| {
        let message = watch::run(args).await.unwrap_err().with_causes();
        assert!(message.contains(expected), "{message}");
    };
    check(watch::Args { metrics: "here".to_owned(), ..good.clone() }, "`here` is not a url for `--metrics`")
        .await;
    check(
        watch::Args { webhook: "there".to_owned(), ..good.clone() },
        "`there` is not a url for `--webhook`",
    )
    .await;
    check(watch::Args { max_false_positive_share: 7.0, ..good.clone() }, "`7` is not a share").await;
    check(watch::Args { bearer_file: setup.path("missing"), ..good.clone() }, "cannot read `").await;
    fs::write(setup.path("empty"), " \n").unwrap();
    check(watch::Args { bearer_file: setup.path("empty"), ..good }, "holds no bearer token").await;

    let nobody =
        traffic::Args { url: "http://127.0.0.1:9".to_owned(), rate: 5, seconds: 1, seed: 1, json: true };
    let message = traffic::run(nobody).await.unwrap_err().to_string();
    assert!(message.starts_with("none of ") && message.contains("http://127.0.0.1:9"), "{message}");
}
