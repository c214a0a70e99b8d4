//! What every notifier must do, also while the network or its receiver fails: what it says was delivered, was.

use async_trait::async_trait;
use ripcord_core::name::{IncidentId, ServiceName};
use ripcord_core::signal::Severity;
use ripcord_core::time::UnixMillis;
use ripcord_ports::notifier::Announcement;
use ripcord_ports::{Notifier, Retry};

use super::rule::holds;
use crate::fault_proxy::{Canned, Fault, FaultProxy, Which};

/// What people write in names and reasons, and terminals obey.
const HOSTILE: &str = "fine\u{1b}[2J\r\nall clear\u{202e}";

/// The receiver, asked by the test itself.
#[async_trait]
pub trait Receiver: Send + Sync {
    /// What came in, in order.
    async fn received(&self) -> Vec<Received>;
}

/// What the receiver made of one delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// By which it tells repeats.
    pub id: String,
    /// Everything that it shows to people: service, incident, topic, text.
    pub shown: String,
}

fn announcement(id: &str, text: &str) -> Announcement {
    let service = ServiceName::new("fraud-api").unwrap_or_else(|error| panic!("{error}"));
    Announcement {
        id: id.to_owned(),
        incident: Some(IncidentId::numbered(&service, 7)),
        service,
        severity: Severity::Critical,
        topic: "approval-wanted".to_owned(),
        text: text.to_owned(),
        at: UnixMillis(1_795_373_540_443),
    }
}

async fn told(receiver: &dyn Receiver, id: &str) -> Vec<Received> {
    let mut received = receiver.received().await;
    received.retain(|one| one.id == id);
    received
}

/// Checks the notifier.
pub async fn conforms(notifier: &dyn Notifier, receiver: &dyn Receiver) {
    assert!(!notifier.name().is_empty(), "it has a name");
    holds("delivers-what-was-announced", async {
        deliver(notifier, &announcement("conformance-1", "two keys are wanted")).await;
        let told = told(receiver, "conformance-1").await;
        let [one] = told.as_slice() else { panic!("it came in once: {told:?}") };
        for word in ["fraud-api", "fraud-api:7", "two keys are wanted"] {
            assert!(one.shown.contains(word), "`{word}` is told: {}", one.shown);
        }
    })
    .await;
    holds("a-repeat-keeps-its-id", async {
        deliver(notifier, &announcement("conformance-1", "two keys are wanted")).await;
        let told = told(receiver, "conformance-1").await;
        assert_eq!(told.len(), 2, "it is sent as often as it is announced");
        assert_eq!(told[0], told[1], "the receiver can tell that it is the same");
    })
    .await;
    holds("text-of-others-obeys-nobody", async {
        deliver(notifier, &announcement("conformance-2", HOSTILE)).await;
        let told = told(receiver, "conformance-2").await;
        let shown = told.first().map(|one| one.shown.as_str()).unwrap_or_default();
        assert!(shown.contains("fine") && shown.contains("all clear"), "its words are told: {shown:?}");
        let harmful: Vec<_> = shown.chars().filter(|sign| sign.is_control() || *sign == '\u{202e}').collect();
        assert!(harmful.is_empty(), "no character of it is obeyed: {harmful:?}");
    })
    .await;
}

async fn deliver(notifier: &dyn Notifier, announcement: &Announcement) {
    notifier
        .announce(announcement)
        .await
        .unwrap_or_else(|error| panic!("a receiver that takes it is no error: {error}"));
}

/// Checks the notifier, which must reach its receiver through `proxy`.
pub async fn conforms_in_faults(notifier: &dyn Notifier, receiver: &dyn Receiver, proxy: &FaultProxy) {
    let faults = [
        ("a connection that broke before the question", Fault::Unsent, true),
        ("a lost answer", Fault::AnswerLost, true),
        ("a 429", Fault::Instead(Canned::later(429, 3)), true),
        ("a 503", Fault::Instead(Canned::failure(503)), true),
        ("a 502 in place of the answer", Fault::InPlaceOf(Canned::failure(502)), true),
        ("a 401", Fault::Instead(Canned::failure(401)), false),
        ("a 404", Fault::Instead(Canned::failure(404)), false),
    ];
    for (number, (what, fault, passes)) in faults.into_iter().enumerate() {
        let news = announcement(&format!("conformance-fault-{number}"), "two keys are wanted");
        holds("undelivered-is-an-error", async {
            proxy.calm();
            proxy.order(Which::Any, fault, usize::MAX);
            let Err(error) = notifier.announce(&news).await else { panic!("{what} is taken for delivered") };
            // What does not pass by itself is for a person to mend.
            assert_eq!(error.retry != Retry::No, passes, "whether trying again helps after {what}: {error}");
        })
        .await;
        holds("what-was-not-delivered-can-be-sent-again", async {
            proxy.calm();
            deliver(notifier, &news).await;
            assert!(!told(receiver, &news.id).await.is_empty(), "after {what} it comes in");
        })
        .await;
    }
    proxy.calm();
}
