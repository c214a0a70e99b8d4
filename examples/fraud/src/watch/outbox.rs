use std::collections::VecDeque;
use std::path::Path;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Client, StatusCode, Url};
use tokio::time::Instant;

use super::alert::Notification;
use crate::Error;
use crate::client::reason;

const PAUSE_MIN: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Alerts that may wait for a webhook that is away; the oldest is dropped.
const WAITING_MAX: usize = 100;

/// The alerts that the webhook has not taken yet, in order.
#[derive(Debug)]
pub(super) struct Outbox {
    client: Client,
    webhook: Url,
    authorization: HeaderValue,
    waiting: VecDeque<(&'static str, Vec<u8>)>,
    /// Not before then, after a failure.
    next: Option<Instant>,
    pause: Duration,
}

/// What the webhook said.
enum Told {
    Taken(StatusCode),
    Later(String),
    Never(String),
}

impl Outbox {
    pub(super) fn new(client: Client, webhook: Url, bearer_file: &Path) -> Result<Self, Error> {
        let token = std::fs::read_to_string(bearer_file).map_err(Error::read(bearer_file))?;
        let token = token.trim();
        let header = HeaderValue::from_str(&format!("Bearer {token}")).ok().filter(|_| !token.is_empty());
        let mut authorization = header.ok_or_else(|| {
            Error::Setting(format!(
                "`{}` holds no bearer token: write it there, on one line",
                bearer_file.display()
            ))
        })?;
        authorization.set_sensitive(true);
        Ok(Self { client, webhook, authorization, waiting: VecDeque::new(), next: None, pause: PAUSE_MIN })
    }

    pub(super) fn put(&mut self, status: &'static str, notification: &Notification) -> Result<(), Error> {
        let body = serde_json::to_vec(notification).map_err(Error::encode("the alert"))?;
        if self.waiting.len() >= WAITING_MAX {
            self.waiting.pop_front();
        }
        self.waiting.push_back((status, body));
        Ok(())
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Posts the oldest alert if it is time, and says what came of it. A server that fails or is away is asked again; a server that
    /// refuses is not.
    pub(super) async fn post_due(&mut self) -> Option<String> {
        if self.next.is_some_and(|next| Instant::now() < next) {
            return None;
        }
        let (status, body) = self.waiting.front()?;
        let told = self.post(body.clone()).await;
        let line = match &told {
            Told::Taken(answer) => format!("posted {status} to `{}`: {answer}", self.webhook),
            Told::Later(problem) => format!("cannot post {status} to `{}` yet: {problem}", self.webhook),
            Told::Never(problem) => format!("`{}` refuses {status}: {problem}", self.webhook),
        };
        if matches!(told, Told::Later(_)) {
            self.next = Some(Instant::now() + self.pause);
            self.pause = (self.pause * 2).min(PAUSE_MAX);
        } else {
            self.waiting.pop_front();
            self.next = None;
            self.pause = PAUSE_MIN;
        }
        Some(line)
    }

    async fn post(&self, body: Vec<u8>) -> Told {
        let request = self
            .client
            .post(self.webhook.clone())
            .header(AUTHORIZATION, self.authorization.clone())
            .header(CONTENT_TYPE, "application/json")
            .body(body);
        match request.send().await {
            Err(error) => Told::Later(reason(error)),
            Ok(answer) => match answer.status() {
                status if status.is_success() => Told::Taken(status),
                status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                    Told::Later(status.to_string())
                }
                status => Told::Never(status.to_string()),
            },
        }
    }
}
