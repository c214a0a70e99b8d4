//! Telling people.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use futures_util::FutureExt as _;
use ripcord_adapters::Secret;
use ripcord_adapters::conformance::notifier::{Received, Receiver, conforms, conforms_in_faults};
use ripcord_adapters::fault_proxy::FaultProxy;
use ripcord_adapters::notifier_log::LogNotifier;
use ripcord_adapters::notifier_webhook::{WebhookNotifier, WebhookNotifierConfig};
use ripcord_core::name::{IncidentId, ServiceName};
use ripcord_core::signal::Severity;
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_ports::notifier::Announcement;
use ripcord_ports::{Applied, ErrorKind, Notifier, PortError, Retry};
use serde_json::{Value, json};

use crate::adapters::support::{Server, shared};

type Seen = Arc<Mutex<Vec<(Value, String, String)>>>;

async fn take(State(seen): State<Seen>, request: Request) -> (StatusCode, [(&'static str, &'static str); 1]) {
    let (parts, body) = request.into_parts();
    let header = |name: &str| parts.headers[name].to_str().unwrap().to_owned();
    let (key, authorization) = (header("idempotency-key"), header("authorization"));
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let mut seen = seen.lock().unwrap();
    seen.push((serde_json::from_slice(&body).unwrap(), key, authorization));
    let status = if seen.len() == 1 { StatusCode::OK } else { StatusCode::TOO_MANY_REQUESTS };
    (status, [("retry-after", "7")])
}

fn announcement() -> Announcement {
    let service = ServiceName::new("fraud-api").unwrap();
    Announcement {
        id: "a-1".into(),
        incident: Some(IncidentId::numbered(&service, 7)),
        service,
        severity: Severity::Critical,
        topic: "approval-wanted".into(),
        text: "fraud-api: two keys are wanted".into(),
        at: UnixMillis(1_795_373_540_443),
    }
}

#[tokio::test]
async fn an_announcement_is_posted_with_its_stable_id() {
    let seen = Seen::default();
    let server = Server::start(Router::new().route("/hook", post(take)).with_state(Arc::clone(&seen))).await;
    let config = WebhookNotifierConfig { url: server.url("/hook"), deadline_ms: 5_000 };
    let notifier = WebhookNotifier::new("team", config, Some(Secret::new("hunter2")), &shared()).unwrap();
    assert_eq!(notifier.name(), "team");
    assert!(!format!("{notifier:?}").contains("hunter2"));
    notifier.announce(&announcement()).await.unwrap();
    let (body, key, authorization) = seen.lock().unwrap()[0].clone();
    assert_eq!((key.as_str(), authorization.as_str()), ("a-1", "Bearer hunter2"));
    assert_eq!(
        body,
        json!({"id": "a-1", "service": "fraud-api", "incident": "fraud-api:7", "severity": "critical",
            "topic": "approval-wanted", "text": "fraud-api: two keys are wanted", "at": "2026-11-22T18:52:20.443Z"})
    );
    let error = notifier.announce(&announcement()).await.unwrap_err();
    assert_eq!(
        (error.kind, error.retry, error.applied),
        (ErrorKind::Failed, Retry::After(Millis::seconds(7)), Applied::No)
    );
}

#[tokio::test]
async fn a_receiver_that_is_not_there_may_be_tried_again() {
    let config = WebhookNotifierConfig {
        url: "http://user:hunter2@127.0.0.1:9/hook?token=hunter2".into(),
        deadline_ms: 500,
    };
    let notifier = WebhookNotifier::new("team", config, None, &shared()).unwrap();
    let error = notifier.announce(&announcement()).await.unwrap_err();
    assert_eq!((error.kind, error.retry), (ErrorKind::Unreachable, Retry::Later));
    let shown = format!("{error} {error:?}");
    assert!(shown.contains("POST http://127.0.0.1:9/hook") && !shown.contains("hunter2"), "{shown}");
}

/// A receiver that keeps what it was sent.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<Received>>>);

#[async_trait]
impl Receiver for Kept {
    async fn received(&self) -> Vec<Received> {
        self.0.lock().unwrap().clone()
    }
}

async fn keep(State(kept): State<Kept>, Json(body): Json<Value>) {
    let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
    let shown = ["service", "incident", "topic", "text"].map(text).join(" | ");
    kept.0.lock().unwrap().push(Received { id: text("id"), shown });
}

async fn receiver() -> (Server, Kept, FaultProxy) {
    let kept = Kept::default();
    let server = Server::start(Router::new().route("/hook", post(keep)).with_state(kept.clone())).await;
    let proxy = FaultProxy::start(&server.url("")).await.unwrap();
    (server, kept, proxy)
}

#[tokio::test]
async fn the_webhook_conforms_and_in_faults_too() {
    let (_server, kept, proxy) = receiver().await;
    let config = WebhookNotifierConfig { url: format!("{}/hook", proxy.url()), deadline_ms: 5_000 };
    let notifier = WebhookNotifier::new("team", config, None, &shared()).unwrap();
    conforms(&notifier, &kept).await;
    conforms_in_faults(&notifier, &kept, &proxy).await;
}

/// What is wrong with one of these the suite finds.
#[tokio::test]
async fn the_suite_finds_a_notifier_that_loses_words_or_says_that_it_did_not() {
    struct Bad {
        inner: WebhookNotifier,
        change: fn(&mut Announcement),
        hides_errors: bool,
    }
    #[async_trait]
    impl Notifier for Bad {
        fn name(&self) -> &str {
            "bad"
        }
        async fn announce(&self, announcement: &Announcement) -> Result<(), PortError> {
            let mut changed = announcement.clone();
            (self.change)(&mut changed);
            let told = self.inner.announce(&changed).await;
            if self.hides_errors { Ok(()) } else { told }
        }
    }
    let (_server, kept, proxy) = receiver().await;
    let bad = |change: fn(&mut Announcement), hides_errors| {
        let config = WebhookNotifierConfig { url: format!("{}/hook", proxy.url()), deadline_ms: 5_000 };
        Bad { inner: WebhookNotifier::new("team", config, None, &shared()).unwrap(), change, hides_errors }
    };
    let broken = async |rule: &str, suite: Pin<Box<dyn Future<Output = ()> + '_>>| {
        let panic = AssertUnwindSafe(suite).catch_unwind().await.unwrap_err();
        let said = panic.downcast_ref::<String>().cloned().unwrap_or_default();
        assert!(said.starts_with(&format!("the rule `{rule}` is broken")), "{said}");
    };
    let nameless = bad(|news| news.incident = None, false);
    broken("delivers-what-was-announced", Box::pin(conforms(&nameless, &kept))).await;
    let hides = bad(|_| (), true);
    broken("undelivered-is-an-error", Box::pin(conforms_in_faults(&hides, &kept, &proxy))).await;
}

#[tokio::test]
async fn the_log_takes_every_severity() {
    let notifier = LogNotifier::new("log");
    for severity in [Severity::Info, Severity::Warning, Severity::Critical, Severity::Other("odd".into())] {
        notifier.announce(&Announcement { severity, incident: None, ..announcement() }).await.unwrap();
    }
}
