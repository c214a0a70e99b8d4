//! Real deliveries: believed, read, and the same through retries.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use ripcord_adapters::Secret;
use ripcord_adapters::alerts_mlflow::{self, Headers, ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER};
use ripcord_core::time::Millis;
use ripcord_ports::Registry;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::mlflow::server::{Mlflow, Seeded, WEBHOOKS_KNOWN_AFTER};
use crate::mlflow::{MODEL, registry, shared, version};

const WAIT: Duration = Duration::from_secs(30);

struct Delivery {
    id: String,
    timestamp: String,
    signature: String,
    body: Vec<u8>,
}

/// Refuses the first delivery, as a host that is starting does.
#[derive(Clone)]
struct Receiver {
    sent: mpsc::UnboundedSender<Delivery>,
    first: std::sync::Arc<std::sync::atomic::AtomicBool>,
}

async fn receive(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let text = |name: &str| headers[name].to_str().unwrap().to_owned();
    let delivery = Delivery {
        id: text(ID_HEADER),
        timestamp: text(TIMESTAMP_HEADER),
        signature: text(SIGNATURE_HEADER),
        body: body.to_vec(),
    };
    receiver.sent.send(delivery).unwrap();
    let first = receiver.first.swap(false, std::sync::atomic::Ordering::SeqCst);
    if first { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }
}

pub(crate) async fn deliveries(server: &Mlflow, seeded: &Seeded) {
    let (sent, mut came) = mpsc::unbounded_channel();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let receiver = Receiver { sent, first: std::sync::Arc::new(true.into()) };
    let router = Router::new().fallback(receive).with_state(receiver);
    let mut serving = JoinSet::new();
    serving.spawn(async move { axum::serve(listener, router).await.unwrap() });

    let event = |entity: &str, action: &str| json!({"entity": entity, "action": action});
    let hook = json!({
        "name": "ripcord",
        "url": format!("http://{address}/hook"),
        "secret": "s3cret",
        "events": [
            event("MODEL_VERSION", "CREATED"),
            event("MODEL_VERSION_ALIAS", "CREATED"),
            event("MODEL_VERSION_TAG", "SET"),
        ],
    });
    server.post("api/2.0/mlflow/webhooks", &hook, None).await;
    tokio::time::sleep(WEBHOOKS_KNOWN_AFTER * 2).await;
    let mut next = async || {
        let delivery = tokio::time::timeout(WAIT, came.recv()).await;
        delivery.expect("a delivery within its time").unwrap()
    };

    let registry = registry(server.url());
    let now = registry.promoted().await.unwrap();
    let to = if now == Some(version("1")) { "2" } else { "1" };
    registry.promote(&version(to), now.as_ref()).await.unwrap();
    let (refused, again) = (next().await, next().await);
    assert_eq!((&refused.id, &refused.body), (&again.id, &again.body), "a retry is the same delivery");
    let alert = read(&again);
    assert_eq!(alert.rule, "model_version_alias.created");
    let labels: Vec<_> = alert.labels.iter().map(|label| label.value.as_str()).collect();
    assert_eq!(labels, ["champion", "model_version_alias.created", MODEL, to]);
    assert_eq!(read(&refused).dedupe_key, alert.dedupe_key);

    let tag = json!({"name": MODEL, "version": "1", "key": "validated", "value": "ja, größtenteils"});
    server.post("api/2.0/mlflow/model-versions/set-tag", &tag, None).await;
    let alert = read(&next().await);
    assert_eq!(alert.rule, "model_version_tag.set");
    assert_eq!(alert.annotations[0].value, "ja, größtenteils");

    server.register_nothing(MODEL, seeded).await;
    assert_eq!(read(&next().await).rule, "model_version.created");
}

fn read(delivery: &Delivery) -> ripcord_ports::alert_source::ParsedAlert {
    let Delivery { id, timestamp, signature, body } = delivery;
    let headers = Headers { id, timestamp, signature };
    headers.check(shared().clock.now(), Millis::minutes(5)).unwrap();
    headers.authenticate(&Secret::new("s3cret"), body).unwrap();
    headers.authenticate(&Secret::new("other"), body).unwrap_err();
    let mut payload = alerts_mlflow::parse(&headers, body).unwrap();
    assert_eq!(payload.alerts.len(), 1);
    payload.alerts.remove(0)
}
