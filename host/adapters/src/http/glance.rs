//! A glance at a server that may be there: for a first configuration, where whatever does not answer at once is not there.

use reqwest::{Method, Url};
use ripcord_core::time::Millis;
use serde_json::Value;

use super::Http;

/// Long enough for this machine.
const PATIENCE: Millis = Millis(800);

impl Http {
    /// The JSON at an address; none where there is no such answer.
    pub(crate) async fn glance(&self, url: &str) -> Option<Value> {
        let answer = self.call(Method::GET, &Url::parse(url).ok()?).deadline(PATIENCE).send().await;
        answer.ok()?.json().ok()
    }

    /// The same by a POST that only reads.
    pub(crate) async fn glance_by_post(&self, url: &str, body: &Value) -> Option<Value> {
        let call = self.call(Method::POST, &Url::parse(url).ok()?).only_reads();
        call.json(body).deadline(PATIENCE).send().await.ok()?.json().ok()
    }
}
