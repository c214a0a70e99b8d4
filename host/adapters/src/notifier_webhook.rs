//! Announcements as HTTP requests: a POST of JSON with a stable id, so that the receiver can drop repeats.

use std::sync::Arc;

use async_trait::async_trait;
use reqwest::{Method, Url};
use ripcord_core::foreign::Foreign;
use ripcord_core::time::Millis;
use ripcord_ports::notifier::Announcement;
use ripcord_ports::{Notifier, PortError};
use serde::Deserialize;
use serde_json::json;

use crate::adapter::{Adapter, SecretKey};
use crate::http::{self, Http};
use crate::secret::Secret;
use crate::{Shared, text_time};

/// Where announcements go.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct WebhookNotifierConfig {
    /// The receiver's address.
    pub url: String,
    /// For one delivery, in milliseconds. Default: 10000.
    #[serde(default = "deadline_default")]
    pub deadline_ms: u64,
}

/// For the catalogue.
pub const ADAPTER: Adapter<WebhookNotifierConfig, dyn Notifier> = Adapter {
    kind: "webhook",
    system: "whatever takes a POST",
    summary: "one POST of JSON for each announcement, with an id that stays the same when it is sent again",
    page: "notifier_webhook/README.md",
    secret: SecretKey::Token,
    example: "url = \"http://127.0.0.1:9000/ripcord\"",
    start: |_, _| {},
    says: |_| (),
    make: |config, with| {
        let name = with.place.display().to_string();
        Ok(Arc::new(WebhookNotifier::new(name, config, with.secret, with.shared)?))
    },
};

fn deadline_default() -> u64 {
    http::DEADLINE_DEFAULT.0
}

/// Sends announcements to one receiver.
#[derive(Debug)]
pub struct WebhookNotifier {
    name: String,
    http: Http,
    url: Url,
    token: Option<Secret>,
    deadline: Millis,
}

impl WebhookNotifier {
    /// Checks the configuration. `name` is the configured name of this notifier.
    pub fn new(
        name: impl Into<String>,
        config: WebhookNotifierConfig,
        token: Option<Secret>,
        shared: &Shared,
    ) -> Result<Self, PortError> {
        Ok(Self {
            name: name.into(),
            http: shared.http.clone(),
            url: http::page(&config.url)?,
            token,
            deadline: Millis(config.deadline_ms),
        })
    }
}

#[async_trait]
impl Notifier for WebhookNotifier {
    fn name(&self) -> &str {
        &self.name
    }

    async fn announce(&self, announcement: &Announcement) -> Result<(), PortError> {
        let body = json!({
            "id": announcement.id,
            "service": announcement.service,
            "incident": announcement.incident,
            "severity": announcement.severity.to_string(),
            "topic": announcement.topic,
            // Shown by the receiver as it is.
            "text": Foreign::new(&announcement.text).to_string(),
            "at": text_time::format(announcement.at),
        });
        self.http
            .call(Method::POST, &self.url)
            .deadline(self.deadline)
            .bearer(self.token.as_ref())
            .header("idempotency-key", &announcement.id)
            .json(&body)
            .send()
            .await?;
        Ok(())
    }
}
