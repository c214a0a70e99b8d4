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
            r#"[{"metric":{"a":"1"},"value":[1,"NaN"]},{"metric":{"a":"2"},"value":[1,"+Inf"]},{"metric":{"a":"3"},"value":[1,"-Inf"]}]"#,
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
        "remarks" => r#"{"status":"success","data":{"resultType":"scalar","result":[1,"1"]},"warnings":["PromQL info: no counter, it says here"],"infos":["no counter"]}"#.into_response(),
        "late shard" => r#"{"status":"success","data":{"resultType":"scalar","result":[1,"1"]},"warnings":["one shard is late"]}"#.into_response(),
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
        ("partial", Failed, "not known to be whole, since it warns: `remote_read: connection refused`"),
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
    assert!(metrics.instant("late shard", UnixMillis(1)).await.is_err());
    let said = heard.0.lock().unwrap().clone();
    for expected in [
        "WARN the metrics server warns: PromQL info: no counter, it says here",
        "WARN the metrics server warns: one shard is late",
        "INFO the metrics server remarks: no counter",
    ] {
        assert!(said.iter().any(|line| line == expected), "{expected}: {said:?}");
    }
}

/// A server whose answer to every question is this.
async fn answers(body: &str) -> (Server, PrometheusMetrics) {
    let body = body.to_owned();
    let answer = move || {
        let body = body.clone();
        async move { body }
    };
    let server = Server::start(Router::new().route("/api/v1/{path}", post(answer))).await;
    let config =
        PrometheusConfig { url: server.url(""), user: None, deadline_ms: 5_000, answer_bytes_max: 1 << 20 };
    let metrics = PrometheusMetrics::new(config, None, &shared()).unwrap();
    (server, metrics)
}

const NOW: u64 = 1_795_373_711_364;

/// How many values an instant and a range query get of this answer, or why none.
async fn both(body: &str) -> [Result<usize, (UnavailableReason, String)>; 2] {
    let (_server, metrics) = answers(body).await;
    let why = |unavailable: ripcord_core::fact::Unavailable| (unavailable.reason, unavailable.message);
    let window = Window { start: UnixMillis(NOW - 60_000), end: UnixMillis(NOW) };
    let instant = metrics.instant("q", UnixMillis(NOW)).await.map(|samples| samples.len());
    let range = metrics.range("q", window, Millis(15_000)).await;
    [instant.map_err(why), range.map(|series| series.iter().map(|one| one.points.len()).sum()).map_err(why)]
}

fn of_kind(kind: &str, result: &str, more: &str) -> String {
    format!(r#"{{"status":"success","data":{{"resultType":{kind},"result":{result}}}{more}}}"#)
}

#[tokio::test]
async fn null_is_as_good_as_an_empty_list() {
    use UnavailableReason::{Failed, NoData};
    for (kind, range, result, reason) in [
        ("\"vector\"", false, "null", NoData),
        ("\"matrix\"", true, "null", NoData),
        ("\"\"", false, "null", NoData),
        ("\"\"", true, "null", NoData),
        ("null", false, "null", NoData),
        ("\"matrix\"", true, r#"[{"metric":{},"values":null}]"#, NoData),
        ("\"matrix\"", true, r#"[{"metric":null,"values":[],"histograms":null}]"#, NoData),
        // Something came, and nobody says what.
        ("\"\"", false, "[]", Failed),
        ("\"vector\"", false, r#"[{"metric":{},"value":null}]"#, Failed),
    ] {
        let answer = of_kind(kind, result, r#","warnings":null,"infos":null,"error":null"#);
        let told = &both(&answer).await[usize::from(range)];
        let (told, message) = told.as_ref().unwrap_err();
        assert_eq!(*told, reason, "{answer}: {message}");
        assert!(!message.contains("gives a  where"), "{message}");
    }
}

#[tokio::test]
async fn a_part_that_is_missing_makes_an_answer_a_failure() {
    let vector = r#"[{"metric":{"a":"1"},"value":[1795373711,"5"]}]"#;
    let matrix = r#"[{"metric":{"a":"1"},"values":[[1795373711,"5"]]}]"#;
    for more in [
        r#","warnings":["2 of 3 stores did not answer"]"#,
        r#","warnings":["PromQL warning: encountered a mix of histograms and floats for aggregation"]"#,
        r#","warnings":["PromQL info: ignored histograms in a range containing both floats and histograms"]"#,
        r#","infos":["PromQL info: ignored histogram in sum aggregation"]"#,
        r#","infos":["PromQL info: incompatible sample types encountered for binary operator \"+\""]"#,
        r#","warnings":["results truncated due to limit"]"#,
        r#","isPartial":true"#,
        r#","error":"one of the shards broke off""#,
    ] {
        for (values, none, kind, range) in [
            (vector, "[]", "\"vector\"", 0),
            (matrix, "[]", "\"matrix\"", 1),
            (vector, "null", "\"vector\"", 0),
        ] {
            for result in [values, none] {
                let told = &both(&of_kind(kind, result, more)).await[range];
                assert!(
                    told.as_ref().is_err_and(|(reason, _)| *reason == UnavailableReason::Failed),
                    "{result} {more}: {told:?}"
                );
            }
        }
    }
    for more in [
        r#","warnings":["PromQL info: metric might not be a counter, name does not end in _total"]"#,
        r#","infos":["PromQL info: metric might not be a counter"]"#,
        r#","isPartial":false"#,
        r#","warnings":[]"#,
    ] {
        let [instant, _] = both(&of_kind("\"vector\"", vector, more)).await;
        assert_eq!(instant, Ok(1), "{more}");
        let [_, range] = both(&of_kind("\"matrix\"", matrix, more)).await;
        assert_eq!(range, Ok(1), "{more}");
        let [none, _] = both(&of_kind("\"vector\"", "[]", more)).await;
        assert!(none.is_err_and(|(reason, _)| reason == UnavailableReason::NoData), "{more}");
    }
}

#[tokio::test]
async fn histograms_beside_values_are_not_passed_over() {
    for (kind, range, result) in [
        (
            "\"vector\"",
            0,
            r#"[{"metric":{"a":"1"},"value":[1795373711,"5"]},{"metric":{"a":"2"},"histogram":[1795373711,{"count":"1"}]}]"#,
        ),
        (
            "\"vector\"",
            0,
            r#"[{"metric":{"a":"2"},"value":[1795373711,"5"],"histogram":[1795373711,{"count":"1"}]}]"#,
        ),
        (
            "\"matrix\"",
            1,
            r#"[{"metric":{"a":"2"},"values":[[1795373681,"5"]],"histograms":[[1795373711,{"count":"1"}]]}]"#,
        ),
        (
            "\"matrix\"",
            1,
            r#"[{"metric":{"a":"1"},"values":[[1795373681,"5"]]},{"metric":{"a":"2"},"histograms":[[1795373711,{"count":"1"}]]}]"#,
        ),
    ] {
        let told = &both(&of_kind(kind, result, "")).await[range];
        let (reason, message) = told.as_ref().unwrap_err();
        assert_eq!(*reason, UnavailableReason::BadQuery, "{result}");
        assert!(message.contains("native histograms (`{a=\"2\"}`)"), "{result}: {message}");
    }
}

#[tokio::test]
async fn times_that_cannot_be_meant_are_a_failure_and_say_the_unit() {
    for (time, expected) in [
        ("1795373711364", "seems to be in milliseconds"),
        ("1795373711364000", "seems to be in microseconds"),
        ("1795373711364000000", "seems to be in nanoseconds"),
        ("0", "far from what was asked for"),
        ("-1", "far from what was asked for"),
        ("1795473711", "far from what was asked for"),
    ] {
        let vector = of_kind("\"vector\"", &format!(r#"[{{"metric":{{}},"value":[{time},"5"]}}]"#), "");
        let matrix = of_kind("\"matrix\"", &format!(r#"[{{"metric":{{}},"values":[[{time},"5"]]}}]"#), "");
        let scalar = of_kind("\"scalar\"", &format!(r#"[{time},"5"]"#), "");
        for (answer, range) in [(vector, 0), (matrix, 1), (scalar, 0)] {
            let told = &both(&answer).await[range];
            let (reason, message) = told.as_ref().unwrap_err();
            assert_eq!(*reason, UnavailableReason::Failed, "{answer}");
            assert!(message.contains(expected), "{answer}: {message}");
        }
    }
    // As the API has them, and as servers that move a window to whole steps do.
    for time in ["1795373711.364", "1795373690", "1795373640"] {
        let matrix = of_kind("\"matrix\"", &format!(r#"[{{"metric":{{}},"values":[[{time},"5"]]}}]"#), "");
        assert_eq!(both(&matrix).await[1], Ok(1), "{time}");
    }
    let backwards = r#"[{"metric":{},"values":[[1795373711,"5"],[1795373696,"4"]]}]"#;
    let told = &both(&of_kind("\"matrix\"", backwards, "")).await[1];
    assert!(told.as_ref().is_err_and(|(_, why)| why.contains("not in order of time")), "{told:?}");
}

#[tokio::test]
async fn a_series_that_is_there_twice_counts_once_and_with_two_values_not_at_all() {
    let vector = |a: &str, b: &str| {
        let one = |value| format!(r#"{{"metric":{{"a":"1"}},"value":[1795373711,"{value}"]}}"#);
        of_kind("\"vector\"", &format!("[{},{}]", one(a), one(b)), "")
    };
    let matrix = |a: &str, b: &str| {
        let one = |value| format!(r#"{{"metric":{{"a":"1"}},"values":[[1795373711,"{value}"]]}}"#);
        of_kind("\"matrix\"", &format!("[{},{}]", one(a), one(b)), "")
    };
    for value in ["40", "NaN", "+Inf"] {
        assert_eq!(both(&vector(value, value)).await[0], Ok(1), "{value}");
        assert_eq!(both(&matrix(value, value)).await[1], Ok(1), "{value}");
    }
    for (answer, range) in [(vector("1", "90"), 0), (matrix("1", "90"), 1)] {
        let told = &both(&answer).await[range];
        assert!(
            told.as_ref().is_err_and(|(_, why)| why.contains("`{a=\"1\"}` twice, with different values")),
            "{told:?}"
        );
    }
}

#[tokio::test]
async fn where_post_is_refused_get_is_asked_and_that_is_remembered() {
    let value = r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1795373711,"0.01"]}]}}"#;
    for (status, page) in [
        (StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed"),
        (StatusCode::FORBIDDEN, "user cannot create resource"),
        (StatusCode::NOT_IMPLEMENTED, r#"{"message":"no such method"}"#),
    ] {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (posts, gets) = (Arc::clone(&asked), Arc::clone(&asked));
        let posted = move || {
            posts.lock().unwrap().push("POST".to_owned());
            async move { (status, page) }
        };
        let got = move |axum::extract::Query(query): axum::extract::Query<BTreeMap<String, String>>| {
            gets.lock().unwrap().push(format!("GET {} {}", query["query"], query["time"]));
            async move { value }
        };
        let router = Router::new().route("/api/v1/{path}", post(posted).get(got));
        let server = Server::start(router).await;
        let config =
            PrometheusConfig { url: server.url(""), user: None, deadline_ms: 5_000, answer_bytes_max: 2_000 };
        let metrics = PrometheusMetrics::new(config, None, &shared()).unwrap();
        for _ in 0..2 {
            let samples = metrics.instant("a{b=\"1 & 2\"}", UnixMillis(NOW)).await.unwrap();
            assert_eq!(samples[0].value, 0.01, "{status}");
        }
        let get = "GET a{b=\"1 & 2\"} 1795373711.364";
        assert_eq!(*asked.lock().unwrap(), ["POST", get, get], "{status}");
        let long = metrics.instant(&"a".repeat(8_000), UnixMillis(NOW)).await.unwrap_err();
        assert!(long.message.contains("too long for GET"), "{}", long.message);
    }
}

#[tokio::test]
async fn where_neither_is_let_through_the_failure_says_what_to_allow() {
    let refused = || async { (StatusCode::FORBIDDEN, "no rights") };
    let server = Server::start(Router::new().route("/api/v1/{path}", post(refused).get(refused))).await;
    let config =
        PrometheusConfig { url: server.url(""), user: None, deadline_ms: 5_000, answer_bytes_max: 2_000 };
    let metrics = PrometheusMetrics::new(config, None, &shared()).unwrap();
    let why = metrics.instant("a", UnixMillis(NOW)).await.unwrap_err().message;
    for expected in [
        "POST http",
        "answered 403: `no rights`; and by GET: GET http",
        "pass POST, or GET, to `/api/v1/query`",
    ] {
        assert!(why.contains(expected), "{expected}: {why}");
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
