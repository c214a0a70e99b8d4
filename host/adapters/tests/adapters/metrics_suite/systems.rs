//! Pretend systems for the suite: one with the API of Prometheus, and a page of metrics.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Form, Router};
use ripcord_adapters::conformance::metrics::{Asked, Expected, Lie, System};
use ripcord_adapters::fault_proxy::{Canned, FaultProxy};
use ripcord_adapters::metrics_prometheus::{PrometheusConfig, PrometheusMetrics};
use ripcord_adapters::metrics_scrape::{ScrapeConfig, ScrapedMetrics};
use ripcord_core::signal::Label;
use ripcord_core::time::{Millis, UnixMillis};

use crate::adapters::support::{Server, StandingClock, shared, shared_at};

const NOW: u64 = 1_795_373_541_000;
pub(crate) const KNOWN: &str = "requests_total";
pub(crate) const VALUES: [(&str, &str); 3] = [("200", "1200"), ("429", "17"), ("500", "0.5")];
pub(crate) const ANSWER_BYTES_MAX: usize = 20_000;

pub(crate) fn expected(wrong: [&str; 2]) -> Expected {
    let values = VALUES.map(|(code, value)| {
        (vec![Label::new("__name__", KNOWN), Label::new("code", code)], value.parse().unwrap())
    });
    Expected {
        known: KNOWN.into(),
        values: values.to_vec(),
        absent: "no_such_series".into(),
        wrong: wrong.map(str::to_owned).to_vec(),
        back: Millis::minutes(1),
        step: Millis::seconds(15),
        deadline: Millis(1_000),
    }
}

/// A server with the API of Prometheus, whose answers are made as those of [`Forger`].
pub(super) struct Prometheus {
    pub(super) source: PrometheusMetrics,
    pub(super) proxy: FaultProxy,
    pub(super) expected: Expected,
    pub(super) _server: Server,
}

/// Writes answers of the API.
pub(crate) struct Forger;

async fn api(Form(form): Form<BTreeMap<String, String>>) -> Response {
    let at = |name: &str| form.get(name).map(|text| (text.parse::<f64>().unwrap() * 1_000.0).round() as u64);
    let (asked, at) = match (at("time"), at("end")) {
        (Some(at), _) => (Asked::Instant, at),
        (None, at) => (Asked::Range, at.unwrap()),
    };
    match form["query"].as_str() {
        KNOWN => whole(asked, at, &VALUES).into_response(),
        "no_such_series" => whole(asked, at, &[]).into_response(),
        _ => {
            let error =
                r#"{"status":"error","errorType":"bad_data","error":"parse error: unexpected end of input"}"#;
            (StatusCode::BAD_REQUEST, error).into_response()
        }
    }
}

fn one(asked: Asked, at: u64, code: &str, values: &[(u64, &str)]) -> String {
    let timed = |(back, value): &(u64, &str)| format!("[{:.3},{value}]", (at - back) as f64 / 1_000.0);
    let values = match asked {
        Asked::Instant => format!("\"value\":{}", values.last().map(timed).unwrap()),
        Asked::Range => format!("\"values\":[{}]", values.iter().map(timed).collect::<Vec<_>>().join(",")),
    };
    format!("{{\"metric\":{{\"__name__\":\"{KNOWN}\",\"code\":\"{code}\"}},{values}}}")
}

fn answer(asked: Asked, result: &str, more: &str) -> String {
    let kind = if asked == Asked::Instant { "vector" } else { "matrix" };
    format!("{{\"status\":\"success\",\"data\":{{\"resultType\":\"{kind}\",\"result\":{result}}}{more}}}")
}

fn whole(asked: Asked, at: u64, values: &[(&str, &str)]) -> String {
    answer(asked, &list(asked, at, values), "")
}

fn list(asked: Asked, at: u64, values: &[(&str, &str)]) -> String {
    let quoted = |value: &str| format!("\"{value}\"");
    let each: Vec<_> = values
        .iter()
        .map(|(code, value)| one(asked, at, code, &[(15_000, &quoted(value)), (0, &quoted(value))]))
        .collect();
    format!("[{}]", each.join(","))
}

#[async_trait]
impl System for Forger {
    async fn now(&self) -> UnixMillis {
        UnixMillis(NOW)
    }

    async fn forged(&self, lie: Lie, asked: Asked, at: UnixMillis) -> Option<Canned> {
        let at = at.0;
        let only =
            |values: &[(u64, &str)]| answer(asked, &format!("[{}]", one(asked, at, "200", values)), "");
        let values = |values: &[(&str, &str)]| whole(asked, at, values);
        let [first, second, third] = VALUES;
        let body = match lie {
            Lie::TwoValues => values(&[first, second, third, (first.0, "90")]),
            Lie::OutOfOrder if asked == Asked::Range => only(&[(0, "\"1\""), (15_000, "\"1\"")]),
            Lie::OutOfOrder => return None,
            Lie::NoNumber => values(&[first, (second.0, "many"), third]),
            Lie::NoValue => only(&[(0, "null")]),
            // Milliseconds where the API has seconds.
            Lie::OtherTime => whole(asked, at * 1_000, &VALUES),
            Lie::Part => {
                let warning = ",\"warnings\":[\"2 of 3 stores did not answer\"]";
                answer(asked, &list(asked, at, &VALUES), warning)
            }
            Lie::CutShort => values(&VALUES)[..90].to_owned(),
            Lie::TooMuch => values(&VALUES) + &" ".repeat(ANSWER_BYTES_MAX),
            Lie::Doubled => values(&[first, second, first, third]),
            Lie::NotFinite => values(&[(first.0, "NaN"), (second.0, "+Inf"), (third.0, "-Inf")]),
            Lie::Nothing => answer(asked, "null", ""),
        };
        Some(success("application/json", body))
    }
}

fn success(content_type: &'static str, body: String) -> Canned {
    Canned { status: 200, content_type, retry_after: None, body: body.into_bytes() }
}

impl Prometheus {
    pub(super) async fn start() -> Self {
        let server = Server::start(Router::new().route("/api/v1/{path}", post(api))).await;
        let proxy = FaultProxy::start(&server.url("")).await.unwrap();
        let expected = expected(["sum(", "requests_total{"]);
        let config = PrometheusConfig {
            url: proxy.url(),
            user: None,
            deadline_ms: expected.deadline.0,
            answer_bytes_max: ANSWER_BYTES_MAX as u64,
        };
        let source = PrometheusMetrics::new(config, None, &shared()).unwrap();
        Self { source, proxy, expected, _server: server }
    }
}

#[async_trait]
impl System for Prometheus {
    async fn now(&self) -> UnixMillis {
        Forger.now().await
    }

    async fn forged(&self, lie: Lie, asked: Asked, at: UnixMillis) -> Option<Canned> {
        Forger.forged(lie, asked, at).await
    }
}

/// A service's own page of metrics.
pub(super) struct Scraped {
    pub(super) source: ScrapedMetrics,
    pub(super) proxy: FaultProxy,
    pub(super) expected: Expected,
    clock: Arc<StandingClock>,
    _server: Server,
}

const TEXT: &str = "text/plain; version=0.0.4";
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

fn page(values: &[(&str, &str)]) -> String {
    let line = |(code, value): &(&str, &str)| format!("{KNOWN}{{code=\"{code}\"}} {value}\n");
    let lines: String = values.iter().map(line).collect();
    format!("# TYPE {KNOWN} counter\n{lines}process_open_fds 12\n")
}

impl Scraped {
    pub(super) async fn start() -> Self {
        let answer = || async { ([("content-type", TEXT)], page(&VALUES)) };
        let server = Server::start(Router::new().route("/metrics", get(answer))).await;
        let proxy = FaultProxy::start(&server.url("")).await.unwrap();
        let expected = expected(["rate(requests_total[5m])", "requests_total{"]);
        let mut config: ScrapeConfig = toml::from_str(&format!("url = \"{}/metrics\"", proxy.url())).unwrap();
        config.deadline_ms = expected.deadline.0;
        config.series_max = 10;
        let clock = StandingClock::at(NOW);
        let source = ScrapedMetrics::new(config, None, &shared_at(Arc::clone(&clock))).unwrap();
        Self { source, proxy, expected, clock, _server: server }
    }
}

#[async_trait]
impl System for Scraped {
    async fn now(&self) -> UnixMillis {
        let more = self.expected.back.0 + 1_000;
        UnixMillis(self.clock.0.fetch_add(more, Ordering::SeqCst) + more)
    }

    async fn forged(&self, lie: Lie, _asked: Asked, _at: UnixMillis) -> Option<Canned> {
        let [first, second, third] = VALUES;
        let body = match lie {
            // A page is of one instant, and does not say what is not on it.
            Lie::OutOfOrder | Lie::Part => return None,
            Lie::TwoValues => page(&[first, second, third, (first.0, "90")]),
            Lie::NoNumber => page(&[first, (second.0, "many"), third]),
            Lie::NoValue => page(&[first, (second.0, ""), third]),
            // Seconds where the page has milliseconds.
            Lie::OtherTime => page(&[first, (second.0, "17 1795373540"), third]),
            Lie::CutShort => return Some(success(OPENMETRICS, page(&VALUES))),
            Lie::TooMuch => {
                let codes: Vec<String> = (300..320).map(|code| code.to_string()).collect();
                page(&codes.iter().map(|code| (code.as_str(), "1")).collect::<Vec<_>>())
            }
            Lie::Doubled => page(&[first, second, first, third]),
            Lie::NotFinite => page(&[(first.0, "NaN"), (second.0, "+Inf"), (third.0, "-Inf")]),
            Lie::Nothing => page(&[]),
        };
        Some(success(TEXT, body))
    }
}
