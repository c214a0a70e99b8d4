//! A page of metrics that Prometheus reads.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use tokio::task::JoinSet;

pub(crate) struct Page {
    text: Arc<Mutex<String>>,
    address: SocketAddr,
    serving: Mutex<JoinSet<()>>,
}

async fn shown(State(text): State<Arc<Mutex<String>>>) -> String {
    text.lock().unwrap().clone()
}

impl Page {
    pub(crate) async fn start(text: &str) -> Self {
        let text = Arc::new(Mutex::new(text.to_owned()));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/metrics", get(shown)).with_state(Arc::clone(&text));
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { text, address, serving: Mutex::new(serving) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on.
    pub(crate) fn show(&self, text: &str) {
        text.clone_into(&mut self.text.lock().unwrap());
    }

    /// Nobody answers any more. Connections that are open stay open, so what they are asked is told to be nothing readable.
    pub(crate) async fn stop(&self) {
        self.show("this is no page of metrics {\n");
        let mut serving = std::mem::take(&mut *self.serving.lock().unwrap());
        serving.shutdown().await;
    }
}
