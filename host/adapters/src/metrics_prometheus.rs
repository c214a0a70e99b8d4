//! Metrics from a server with the Prometheus HTTP API, version 1.
//!
//! Queries are PromQL, which the server computes. An empty answer is "no data"; a query that the server does not understand, a server that fails, is
//! late or answers too much are each told apart from it. So is an empty answer with a warning: the server says that it could not ask everyone.
//! `README.md` beside this module says what to configure and what was tried.

use async_trait::async_trait;
use reqwest::{Method, Url};
use ripcord_core::fact::{Point, Sample, Series, Unavailable, UnavailableReason};
use ripcord_core::signal::Label;
use ripcord_core::target::Window;
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_ports::{ErrorKind, Metrics, PortError};
use serde::Deserialize;
use serde_json::Value;

use crate::http::{self, Answer, Credentials, Http};
use crate::secret::Secret;
use crate::{Shared, metrics_scrape};

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

fn deadline_default() -> u64 {
    http::DEADLINE_DEFAULT.0
}

fn answer_bytes_max_default() -> u64 {
    http::ANSWER_BYTES_MAX
}

/// Of each kind of remark in one answer, so many are written into the log.
const SAID_MAX: usize = 10;

/// How the server says that a query's operators find no, or no single, partner for a series.
const NO_MATCH: [&str; 4] = [
    "for the match group",
    "multiple matches for labels",
    "many-to-many matching not allowed",
    "metrics with the same labelset",
];

/// One server.
#[derive(Debug)]
pub struct PrometheusMetrics {
    http: Http,
    url: Url,
    credentials: Credentials,
    deadline: Millis,
    answer_bytes_max: u64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    status: String,
    #[serde(default)]
    data: Option<Data>,
    #[serde(default)]
    error_type: String,
    #[serde(default)]
    error: String,
    #[serde(default)]
    warnings: Vec<String>,
    #[serde(default)]
    infos: Vec<String>,
}

/// What a query gave.
struct Given {
    kind: String,
    result: Value,
    /// What the server could not ask or is not sure of.
    warnings: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    result_type: String,
    result: Value,
}

#[derive(Debug, Deserialize)]
struct Vector {
    metric: std::collections::BTreeMap<String, String>,
    value: Option<(f64, String)>,
}

#[derive(Debug, Deserialize)]
struct Matrix {
    metric: std::collections::BTreeMap<String, String>,
    values: Option<Vec<(f64, String)>>,
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
        })
    }

    async fn ask(&self, path: &str, form: &[(&str, String)]) -> Result<Given, Unavailable> {
        // The server gives up a little before we do, so that its own reason is heard.
        let timeout = format!("{}ms", self.deadline.0.saturating_mul(9) / 10);
        let form: Vec<_> = form.iter().cloned().chain([("timeout", timeout)]).collect();
        let answer = self
            .http
            .call(Method::POST, &http::under(&self.url, &["api", "v1", path]))
            .of("Prometheus")
            .deadline(self.deadline)
            .answer_bytes_max(self.answer_bytes_max)
            .credentials(&self.credentials)
            .form(&form)
            .exchange()
            .await
            .map_err(|error| metrics_scrape::unavailable(&error))?;
        self.read(answer)
    }

    fn read(&self, answer: Answer) -> Result<Given, Unavailable> {
        let status = answer.status;
        let envelope: Envelope = match answer.json() {
            Ok(envelope) => envelope,
            // A proxy's page: its status says more than that it is not JSON.
            Err(error) => {
                let error = answer.successful().err().unwrap_or(error);
                return Err(metrics_scrape::unavailable(&error));
            }
        };
        if envelope.status != "success" {
            let shown: String = envelope.error.chars().take(500).collect();
            let reason = match envelope.error_type.as_str() {
                "bad_data" => UnavailableReason::BadQuery,
                "timeout" | "canceled" => UnavailableReason::TimedOut,
                // Neither the server's limit on samples nor series that do not match have a type of their own.
                "execution" if shown.contains("too many samples") => UnavailableReason::TooLarge,
                "execution" if NO_MATCH.iter().any(|said| shown.contains(said)) => {
                    UnavailableReason::BadQuery
                }
                _ => UnavailableReason::Failed,
            };
            return Err(Unavailable::new(
                reason,
                format!("{} answered {}: `{shown}`", http::shown(&self.url), status.as_u16()),
            ));
        }
        for warning in envelope.warnings.iter().take(SAID_MAX) {
            tracing::warn!(url = %http::shown(&self.url), "the metrics server warns: {warning}");
        }
        for info in envelope.infos.iter().take(SAID_MAX) {
            tracing::info!(url = %http::shown(&self.url), "the metrics server remarks: {info}");
        }
        let data = envelope.data.ok_or_else(|| self.nonsense("an answer without data"))?;
        Ok(Given { kind: data.result_type, result: data.result, warnings: envelope.warnings })
    }

    fn nonsense(&self, what: &str) -> Unavailable {
        Unavailable::new(UnavailableReason::Failed, format!("{} gave {what}", http::shown(&self.url)))
    }

    fn vector(&self, result: Value) -> Result<Vec<Sample>, Unavailable> {
        let read: Vec<Vector> = serde_json::from_value(result)
            .map_err(|error| self.nonsense(&format!("a vector that does not read ({error})")))?;
        let sample = |vector: Vector| {
            let (at, value) = vector.value.ok_or_else(histogram)?;
            Ok(Sample { labels: labels(vector.metric), value: self.number(&value)?, at: instant(at) })
        };
        read.into_iter().map(sample).collect()
    }

    fn matrix(&self, result: Value) -> Result<Vec<Series>, Unavailable> {
        let read: Vec<Matrix> = serde_json::from_value(result)
            .map_err(|error| self.nonsense(&format!("a matrix that does not read ({error})")))?;
        let series = |matrix: Matrix| {
            let values = matrix.values.ok_or_else(histogram)?;
            let point =
                |(at, value): (f64, String)| Ok(Point { at: instant(at), value: self.number(&value)? });
            let points = values.into_iter().map(point).collect::<Result<_, _>>()?;
            Ok(Series { labels: labels(matrix.metric), points })
        };
        read.into_iter().map(series).collect()
    }

    /// `NaN`, `+Inf` and `-Inf` are numbers here.
    fn number(&self, text: &str) -> Result<f64, Unavailable> {
        text.parse().map_err(|_| self.nonsense(&format!("the value `{text}`, which is no number")))
    }

    /// Nothing was found. Where the server warns, it could not look everywhere, and what is there is not known.
    fn nothing(&self, query: &str, warnings: &[String]) -> Unavailable {
        if let Some(warning) = warnings.first() {
            let warning: String = warning.chars().take(500).collect();
            return Unavailable::new(
                UnavailableReason::Failed,
                format!(
                    "{} found nothing, and warns that it could not look everywhere: `{warning}`",
                    http::shown(&self.url)
                ),
            );
        }
        let query: String = query.chars().take(200).collect();
        Unavailable::new(
            UnavailableReason::NoData,
            format!("{} has nothing for `{query}` at that time", http::shown(&self.url)),
        )
    }
}

fn histogram() -> Unavailable {
    Unavailable::new(
        UnavailableReason::BadQuery,
        "the query gives native histograms: apply `histogram_quantile` or `histogram_count`",
    )
}

fn not_of_kind(kind: &str, wanted: &str) -> Unavailable {
    Unavailable::new(
        UnavailableReason::BadQuery,
        format!("the query gives a {kind} where {wanted} is asked for"),
    )
}

fn labels(metric: std::collections::BTreeMap<String, String>) -> Vec<Label> {
    metric.into_iter().map(|(name, value)| Label { name, value }).collect()
}

/// Seconds with a fraction, as the API writes instants.
fn seconds(at: u64) -> String {
    format!("{}.{:03}", at / 1_000, at % 1_000)
}

fn instant(seconds: f64) -> UnixMillis {
    // Instants are far below 2^53 milliseconds; negative and non-finite ones saturate.
    UnixMillis((seconds * 1_000.0).round() as u64)
}

#[async_trait]
impl Metrics for PrometheusMetrics {
    fn name(&self) -> &str {
        "metrics_prometheus"
    }

    async fn instant(&self, query: &str, at: UnixMillis) -> Result<Vec<Sample>, Unavailable> {
        let given = self.ask("query", &[("query", query.to_owned()), ("time", seconds(at.0))]).await?;
        let samples = match given.kind.as_str() {
            "vector" => self.vector(given.result)?,
            "scalar" => {
                let (at, value): (f64, String) = serde_json::from_value(given.result)
                    .map_err(|_| self.nonsense("a scalar that does not read"))?;
                vec![Sample { labels: Vec::new(), value: self.number(&value)?, at: instant(at) }]
            }
            kind => return Err(not_of_kind(kind, "a value at an instant")),
        };
        if samples.is_empty() { Err(self.nothing(query, &given.warnings)) } else { Ok(samples) }
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
        let given = self.ask("query_range", &form).await?;
        let series = match given.kind.as_str() {
            "matrix" => self.matrix(given.result)?,
            kind => return Err(not_of_kind(kind, "a value over a window")),
        };
        if series.iter().all(|series| series.points.is_empty()) {
            Err(self.nothing(query, &given.warnings))
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
        assert_eq!(instant(1_795_373_711.364), UnixMillis(1_795_373_711_364));
        assert_eq!(instant(f64::NAN), UnixMillis(0));
        assert_eq!(instant(-1.0), UnixMillis(0));
    }
}
