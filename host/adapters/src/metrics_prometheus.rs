//! Metrics from a server with the Prometheus HTTP API, version 1.
//!
//! Queries are PromQL, which the server computes. An empty answer is "no data"; a query that the server does not understand, a server that fails, is
//! late or answers too much are each told apart from it. So is an answer of which a part is missing, whether it has values or none.
//! `README.md` beside this module says what to configure and what was tried.

mod answer;
pub mod sight;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use reqwest::{Method, Url};
use ripcord_core::fact::{Sample, Series, Unavailable, UnavailableReason};
use ripcord_core::target::Window;
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_ports::{ErrorKind, Metrics, PortError};
use serde::Deserialize;

use crate::adapter::{Adapter, MadeMetrics, SecretKey};
use crate::http::{self, Answer, Call, Credentials, Http};
use crate::secret::Secret;
use crate::{Shared, metrics_scrape};

use answer::Envelope;

/// Where the server is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PrometheusConfig {
    /// The server's address, such as `http://127.0.0.1:9090`.
    pub url: String,
    /// The account's name, where the server wants basic authentication. Default: none.
    #[serde(default)]
    pub user: Option<String>,
    /// For one query, in milliseconds. Default: 10000.
    #[serde(default = "deadline_default")]
    pub deadline_ms: u64,
    /// The largest answer, in bytes. Default: 8388608.
    #[serde(default = "answer_bytes_max_default")]
    pub answer_bytes_max: u64,
}

/// For the catalogue.
pub const ADAPTER: Adapter<PrometheusConfig, dyn Metrics> = Adapter {
    kind: "prometheus",
    system: "Prometheus",
    summary: "a server with Prometheus' HTTP API; queries are PromQL",
    page: "metrics_prometheus/README.md",
    secret: SecretKey::TokenOrPassword,
    example: "url = \"http://127.0.0.1:9090\"",
    start: |_, _| {},
    says: |_| (),
    make: |config, with| {
        let source = Arc::new(PrometheusMetrics::new(config, with.secret, with.shared)?);
        Ok(MadeMetrics { source, background: None })
    },
};

fn deadline_default() -> u64 {
    http::DEADLINE_DEFAULT.0
}

fn answer_bytes_max_default() -> u64 {
    http::ANSWER_BYTES_MAX
}

/// Longer addresses are refused by what stands in front of servers.
const ADDRESS_BYTES_MAX: usize = 7 << 10;

/// One server.
#[derive(Debug)]
pub struct PrometheusMetrics {
    http: Http,
    url: Url,
    credentials: Credentials,
    deadline: Millis,
    answer_bytes_max: u64,
    /// Whether something in front of the server has refused to let POST through, and let GET through.
    gets: AtomicBool,
}

impl PrometheusMetrics {
    /// Checks the configuration; the server is not asked. `secret` is the password of `user` where there is one, else a bearer token.
    pub fn new(config: PrometheusConfig, secret: Option<Secret>, shared: &Shared) -> Result<Self, PortError> {
        let credentials = match (config.user, secret) {
            (Some(user), Some(password)) => Credentials::Basic { user, password },
            (Some(user), None) => {
                return Err(PortError::not_applied(
                    ErrorKind::Configuration,
                    format!(
                        "`user` is `{user}` and its password is missing: add `password-file` or `password-env`"
                    ),
                ));
            }
            (None, Some(token)) => Credentials::Bearer(token),
            (None, None) => Credentials::None,
        };
        Ok(Self {
            http: shared.http.clone(),
            url: http::address(&config.url)?,
            credentials,
            deadline: Millis(config.deadline_ms),
            answer_bytes_max: config.answer_bytes_max,
            gets: AtomicBool::new(false),
        })
    }

    async fn ask(&self, path: &str, form: &[(&str, String)]) -> Result<(Envelope, u16), Unavailable> {
        // The server gives up a little before we do, so that its own reason is heard.
        let timeout = format!("{}ms", self.deadline.0.saturating_mul(9) / 10);
        let form: Vec<_> = form.iter().cloned().chain([("timeout", timeout)]).collect();
        if self.gets.load(Ordering::Relaxed) {
            let answer = self.get(path, &form).await?;
            // Whatever stood in front may have changed: the next question begins with POST again.
            self.gets.store(!refuses(&answer), Ordering::Relaxed);
            return read(&answer);
        }
        let url = http::under(&self.url, &["api", "v1", path]);
        let posted = self.call(Method::POST, &url).form(&form).exchange().await.map_err(failed)?;
        if !refuses(&posted) {
            return read(&posted);
        }
        // A gateway that knows GET only, or rights by method: POST is "create" there, which a reader may not.
        let refused = posted.error();
        let got = self.get(path, &form).await;
        match got.and_then(|answer| read(&answer)) {
            Ok(answer) => {
                self.gets.store(true, Ordering::Relaxed);
                tracing::info!(url = %http::shown(&self.url), "the metrics server is asked by GET from now on: {refused}");
                Ok(answer)
            }
            Err(why) => Err(Unavailable::new(
                why.reason,
                format!(
                    "{refused}; and by GET: {}; let what stands in front of the server pass POST, or GET, to `/api/v1/query` and `/api/v1/query_range`",
                    why.message
                ),
            )),
        }
    }

    async fn get(&self, path: &str, form: &[(&str, String)]) -> Result<Answer, Unavailable> {
        let mut url = http::under(&self.url, &["api", "v1", path]);
        url.query_pairs_mut().extend_pairs(form);
        let length = url.as_str().len();
        if length > ADDRESS_BYTES_MAX {
            let why = format!("the query makes an address of {length} bytes, which is too long for GET");
            return Err(Unavailable::new(UnavailableReason::Failed, why));
        }
        self.call(Method::GET, &url).exchange().await.map_err(failed)
    }

    fn call(&self, method: Method, url: &Url) -> Call {
        let call = self.http.call(method, url).only_reads().of("Prometheus").deadline(self.deadline);
        call.answer_bytes_max(self.answer_bytes_max).credentials(&self.credentials)
    }

    fn nothing(&self, query: &str) -> Unavailable {
        let query: String = query.chars().take(200).collect();
        Unavailable::new(
            UnavailableReason::NoData,
            format!("{} has nothing for `{query}` at that time", http::shown(&self.url)),
        )
    }
}

/// Whether it may be POST that is refused, and not the question.
fn refuses(answer: &Answer) -> bool {
    matches!(answer.status.as_u16(), 403 | 405 | 501)
}

fn failed(error: PortError) -> Unavailable {
    metrics_scrape::unavailable(&error)
}

/// The API's answer, with its status.
fn read(answer: &Answer) -> Result<(Envelope, u16), Unavailable> {
    let status = answer.status;
    match answer.json::<Envelope>() {
        Ok(envelope) if envelope.is_of_the_api() => Ok((envelope, status.as_u16())),
        // A proxy's page, or its own JSON: its status says more than that it is not what was expected.
        _ if !status.is_success() => Err(failed(answer.error())),
        Err(error) => Err(failed(error)),
        Ok(_) => {
            let what = format!("the answer is JSON, but not of the Prometheus API: {}", answer.excerpt());
            Err(Unavailable::new(UnavailableReason::Failed, what))
        }
    }
}

/// Seconds with a fraction, as the API writes instants.
fn seconds(at: u64) -> String {
    format!("{}.{:03}", at / 1_000, at % 1_000)
}

#[async_trait]
impl Metrics for PrometheusMetrics {
    fn name(&self) -> &str {
        "metrics_prometheus"
    }

    async fn instant(&self, query: &str, at: UnixMillis) -> Result<Vec<Sample>, Unavailable> {
        let form = [("query", query.to_owned()), ("time", seconds(at.0))];
        let (envelope, status) = self.ask("query", &form).await?;
        let samples = envelope.given(&http::shown(&self.url), status)?.samples(at)?;
        if samples.is_empty() { Err(self.nothing(query)) } else { Ok(samples) }
    }

    async fn range(&self, query: &str, window: Window, step: Millis) -> Result<Vec<Series>, Unavailable> {
        if window.end < window.start || step.0 == 0 {
            return Err(Unavailable::new(
                UnavailableReason::BadQuery,
                "the window ends before it begins, or its step is zero",
            ));
        }
        let form = [
            ("query", query.to_owned()),
            ("start", seconds(window.start.0)),
            ("end", seconds(window.end.0)),
            ("step", seconds(step.0)),
        ];
        let (envelope, status) = self.ask("query_range", &form).await?;
        let series = envelope.given(&http::shown(&self.url), status)?.series(window, step)?;
        if series.iter().all(|series| series.points.is_empty()) {
            Err(self.nothing(query))
        } else {
            Ok(series)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_keep_their_milliseconds() {
        assert_eq!(seconds(1_795_373_711_364), "1795373711.364");
        assert_eq!(seconds(1_007), "1.007");
    }
}
