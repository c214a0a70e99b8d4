//! The Prometheus HTTP API: a recorded answer, and the failures told apart.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Form, Router};
use ripcord_adapters::metrics_prometheus::{PrometheusConfig, PrometheusMetrics};
use ripcord_core::fact::UnavailableReason;
use ripcord_core::target::Window;
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_ports::Metrics;

use crate::adapters::support::{Server, fixture, shared};

type Asked = Arc<Mutex<Vec<(String, BTreeMap<String, String>)>>>;

fn success(kind: &str, result: &str) -> Response {
    format!(r#"{{"status":"success","data":{{"resultType":"{kind}","result":{result}}}}}"#).into_response()
}

fn failure(status: StatusCode, kind: &str, error: &str) -> Response {
    (status, format!(r#"{{"status":"error","errorType":"{kind}","error":"{error}"}}"#)).into_response()
}

async fn answer(
    State(asked): State<Asked>,
    Path(path): Path<String>,
    Form(form): Form<BTreeMap<String, String>>,
) -> Response {
    let query = form["query"].clone();
    asked.lock().unwrap().push((path, form));
    match query.as_str() {
        "recorded" => fixture("prometheus/query.json").into_response(),
        "empty" => success("vector", "[]"),
        "empty-range" => success("matrix", "[]"),
        "scalar" => success("scalar", "[12.5,\"3\"]"),
        "odd" => success(
            "vector",
            r#"[{"metric":{},"value":[1,"NaN"]},{"metric":{},"value":[1,"+Inf"]},{"metric":{},"value":[1,"-Inf"]}]"#,
        ),
        "matrix" => success("matrix", r#"[{"metric":{"b":"1","a":"2"},"values":[[1.5,"1"],[2.5,"2"]]}]"#),
        "native" => success("vector", r#"[{"metric":{},"histogram":[1,{"count":"1"}]}]"#),
        "bad" => failure(StatusCode::BAD_REQUEST, "bad_data", "parse error: unexpected end of input"),
        "late" => failure(StatusCode::SERVICE_UNAVAILABLE, "timeout", "query timed out"),
        "samples" => failure(
            StatusCode::UNPROCESSABLE_ENTITY,
            "execution",
            "query processing would load too many samples into memory",
        ),
        "execution" => failure(StatusCode::UNPROCESSABLE_ENTITY, "execution", "expanding series: connection refused"),
        "matching" => failure(
            StatusCode::UNPROCESSABLE_ENTITY,
            "execution",
            "found duplicate series for the match group {} on the right hand-side of the operation",
        ),
        "partial" => r#"{"status":"success","data":{"resultType":"vector","result":[]},"warnings":["remote_read: connection refused"]}"#.into_response(),
        "partial-range" => r#"{"status":"success","data":{"resultType":"matrix","result":[]},"warnings":["remote_read: connection refused"]}"#.into_response(),
        "remarks" => r#"{"status":"success","data":{"resultType":"scalar","result":[1,"1"]},"warnings":["one shard is late"],"infos":["no counter"]}"#.into_response(),
        "proxy" => (StatusCode::BAD_GATEWAY, "<html>no upstream").into_response(),
        "html" => "<html>log in".into_response(),
        "denied" => (StatusCode::UNAUTHORIZED, "Unauthorized").into_response(),
        "nonsense" => success("vector", r#"[{"metric":{},"value":[1,"many"]}]"#),
        "huge" => vec![b' '; 3_000].into_response(),
        "slow" => {
            tokio::time::sleep(Duration::from_secs(30)).await;
            StatusCode::OK.into_response()
        }
        other => panic!("{other}"),
    }
}

async fn rig() -> (Server, PrometheusMetrics, Asked) {
    let asked = Asked::default();
    let router = Router::new().route("/sub/api/v1/{path}", post(answer)).with_state(Arc::clone(&asked));
    let server = Server::start(router).await;
    let config =
        PrometheusConfig { url: server.url("/sub"), user: None, deadline_ms: 500, answer_bytes_max: 2_000 };
    let metrics = PrometheusMetrics::new(config, None, &shared()).unwrap();
    (server, metrics, asked)
}

#[tokio::test]
async fn the_recorded_answer_is_read_and_the_instant_is_asked_for() {
    let (_server, metrics, asked) = rig().await;
    let samples = metrics.instant("recorded", UnixMillis(1_795_373_711_364)).await.unwrap();
    assert_eq!(samples.len(), 1);
    assert_eq!((samples[0].value, samples[0].at), (0.95, UnixMillis(1_795_373_711_364)));
    let names: Vec<_> = samples[0].labels.iter().map(|label| label.name.as_str()).collect();
    assert_eq!(names, ["__name__", "instance", "job", "model", "slice", "version"]);
    let asked = asked.lock().unwrap();
    assert_eq!((asked[0].0.as_str(), asked[0].1["time"].as_str()), ("query", "1795373711.364"));
}

#[tokio::test]
async fn scalars_odd_numbers_and_ranges_are_read() {
    let (_server, metrics, asked) = rig().await;
    let at = UnixMillis(1);
    let scalar = metrics.instant("scalar", at).await.unwrap();
    assert_eq!((scalar[0].value, scalar[0].at), (3.0, UnixMillis(12_500)));
    let odd = metrics.instant("odd", at).await.unwrap();
    assert!(odd[0].value.is_nan());
    assert_eq!((odd[1].value, odd[2].value), (f64::INFINITY, f64::NEG_INFINITY));
    let window = Window { start: UnixMillis(1_500), end: UnixMillis(2_500) };
    let series = metrics.range("matrix", window, Millis(1_000)).await.unwrap();
    let points: Vec<_> = series[0].points.iter().map(|point| (point.at.0, point.value)).collect();
    assert_eq!(points, [(1_500, 1.0), (2_500, 2.0)]);
    assert_eq!(series[0].labels[0].name, "a", "labels are sorted");
    let asked = asked.lock().unwrap();
    let (path, form) = asked.last().unwrap();
    assert_eq!(
        (path.as_str(), form["start"].as_str(), form["step"].as_str()),
        ("query_range", "1.500", "1.000")
    );
}

#[tokio::test]
async fn what_is_not_a_value_is_told_apart() {
    let (_server, metrics, _) = rig().await;
    use UnavailableReason::{BadQuery, Failed, NoData, TimedOut, TooLarge};
    for (query, reason, expected) in [
        ("empty", NoData, "nothing for `empty`"),
        ("bad", BadQuery, "parse error"),
        ("matrix", BadQuery, "gives a matrix"),
        ("native", BadQuery, "native histograms"),
        ("late", TimedOut, "query timed out"),
        ("slow", TimedOut, "deadline"),
        ("samples", TooLarge, "too many samples"),
        ("huge", TooLarge, "more than 2000 bytes"),
        ("execution", Failed, "connection refused"),
        ("matching", BadQuery, "duplicate series"),
        ("partial", Failed, "could not look everywhere: `remote_read: connection refused`"),
        ("proxy", Failed, "502: `<html>no upstream`"),
        ("html", Failed, "not the JSON"),
        ("denied", Failed, "401"),
        ("nonsense", Failed, "`many`"),
    ] {
        let unavailable = metrics.instant(query, UnixMillis(1)).await.unwrap_err();
        assert_eq!(unavailable.reason, reason, "{query}: {}", unavailable.message);
        assert!(unavailable.message.contains(expected), "{query}: {}", unavailable.message);
    }
    let window = Window { start: UnixMillis(2), end: UnixMillis(1) };
    assert_eq!(metrics.range("matrix", window, Millis(1)).await.unwrap_err().reason, BadQuery);
    let window = Window { start: UnixMillis(1), end: UnixMillis(2) };
    assert_eq!(metrics.range("matrix", window, Millis(0)).await.unwrap_err().reason, BadQuery);
    assert_eq!(metrics.range("empty-range", window, Millis(1)).await.unwrap_err().reason, NoData);
    assert_eq!(metrics.range("partial-range", window, Millis(1)).await.unwrap_err().reason, Failed);
    assert_eq!(metrics.range("empty", window, Millis(1)).await.unwrap_err().reason, BadQuery);
}

#[tokio::test]
async fn a_server_that_is_not_there_has_failed() {
    let config = PrometheusConfig {
        url: "http://127.0.0.1:9".into(),
        user: None,
        deadline_ms: 500,
        answer_bytes_max: 2_000,
    };
    let metrics = PrometheusMetrics::new(config, None, &shared()).unwrap();
    let unavailable = metrics.instant("up", UnixMillis(1)).await.unwrap_err();
    assert_eq!(unavailable.reason, UnavailableReason::Failed);
    assert!(
        unavailable.message.contains("POST http://127.0.0.1:9/api/v1/query found no connection"),
        "{}",
        unavailable.message
    );
}

/// Keeps the messages of events.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<String>>>);

impl tracing::Subscriber for Heard {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        struct Message<'a>(&'a mut Vec<String>, tracing::Level);
        impl tracing::field::Visit for Message<'_> {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                if field.name() == "message" {
                    self.0.push(format!("{} {value:?}", self.1));
                }
            }
        }
        event.record(&mut Message(&mut self.0.lock().unwrap(), *event.metadata().level()));
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test]
async fn what_the_server_remarks_is_in_the_log() {
    let (_server, metrics, _) = rig().await;
    let heard = Heard::default();
    let _guard = tracing::subscriber::set_default(heard.clone());
    assert_eq!(metrics.instant("remarks", UnixMillis(1)).await.unwrap().len(), 1);
    let said = heard.0.lock().unwrap().clone();
    for expected in
        ["WARN the metrics server warns: one shard is late", "INFO the metrics server remarks: no counter"]
    {
        assert!(said.iter().any(|line| line == expected), "{expected}: {said:?}");
    }
}

#[test]
fn a_user_without_a_password_is_refused() {
    let config = PrometheusConfig {
        url: "http://127.0.0.1:9".into(),
        user: Some("ripcord".into()),
        deadline_ms: 500,
        answer_bytes_max: 2_000,
    };
    let error = PrometheusMetrics::new(config, None, &shared()).unwrap_err();
    assert!(error.to_string().contains("`user` is `ripcord` and its password is missing"), "{error}");
}
