//! The metrics source against a real Prometheus. Not run unless asked for; then a missing `prometheus` or `promtool` fails the suite:
//!
//!     PATH=$(.ci/monitoring):$PATH cargo test --workspace --test suite -- --ignored monitoring::
#![allow(clippy::unwrap_used, clippy::panic)]

mod page;
mod server;

use std::sync::Arc;
use std::time::{Duration, Instant};

use UnavailableReason::{BadQuery, Failed, NoData, TimedOut, TooLarge};
use async_trait::async_trait;
use ripcord_adapters::clock_system::SystemClock;
use ripcord_adapters::conformance::metrics::{Asked, Expected, Lie, System, conforms};
use ripcord_adapters::conformance::metrics_faults::conforms_in_faults;
use ripcord_adapters::fault_proxy::{Canned, FaultProxy};
use ripcord_adapters::metrics_prometheus::{PrometheusConfig, PrometheusMetrics};
use ripcord_adapters::{Http, Secret, Shared};
use ripcord_core::fact::{Sample, Unavailable, UnavailableReason};
use ripcord_core::target::Window;
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_ports::{Clock, Metrics};

use crate::adapters::metrics_suite::systems::{ANSWER_BYTES_MAX, Forger, KNOWN, VALUES, expected};
use page::Page;
use server::{Account, Prometheus, Setup};

const MINUTE: u64 = 60_000;
const PATIENCE: Duration = Duration::from_secs(30);

fn now() -> UnixMillis {
    SystemClock.now()
}

fn source(server: &Prometheus) -> PrometheusMetrics {
    reached(server, None, None, 10_000)
}

fn reached(
    server: &Prometheus,
    user: Option<&str>,
    secret: Option<&str>,
    deadline_ms: u64,
) -> PrometheusMetrics {
    let config = PrometheusConfig {
        url: server.url(),
        user: user.map(str::to_owned),
        deadline_ms,
        answer_bytes_max: 8 << 20,
    };
    let shared = Shared { http: Http::new().unwrap(), clock: Arc::new(SystemClock) };
    PrometheusMetrics::new(config, secret.map(Secret::new), &shared).unwrap()
}

/// The one value of a query.
async fn value(source: &PrometheusMetrics, query: &str, at: UnixMillis) -> Result<f64, Unavailable> {
    let samples: Vec<Sample> = source.instant(query, at).await?;
    assert_eq!(samples.len(), 1, "{query}: {samples:?}");
    Ok(samples[0].value)
}

async fn refused(source: &PrometheusMetrics, query: &str, at: UnixMillis) -> Unavailable {
    match source.instant(query, at).await {
        Ok(samples) => panic!("`{query}` gave {} samples, the first {:?}", samples.len(), samples.first()),
        Err(unavailable) => unavailable,
    }
}

/// Two hours of three days ago: a value a minute that counts the minutes, odd numbers, and many series.
fn past() -> (UnixMillis, String) {
    let begin = now().0 / (120 * MINUTE) * (120 * MINUTE) - 3 * 24 * 60 * MINUTE;
    let mut text = String::from("# TYPE minutes gauge\n");
    for minute in 0..120 {
        text += &format!("minutes{{version=\"1\"}} {minute} {}\n", (begin + minute * MINUTE) / 1_000);
    }
    text += "# TYPE odd gauge\n";
    for (kind, odd) in [("nan", "NaN"), ("over", "+Inf"), ("under", "-Inf")] {
        text += &format!("odd{{kind=\"{kind}\"}} {odd} {}\n", begin / 1_000);
    }
    text += "# TYPE many gauge\n";
    for number in 0..200 {
        for minute in 0..60 {
            text += &format!("many{{number=\"{number}\"}} 1 {}\n", (begin + minute * MINUTE) / 1_000);
        }
    }
    (UnixMillis(begin), text + "# EOF\n")
}

/// The real server, between whose answers wrong ones are put.
struct RealSystem;

#[async_trait]
impl System for RealSystem {
    async fn now(&self) -> UnixMillis {
        now()
    }

    async fn forged(&self, lie: Lie, asked: Asked, at: UnixMillis) -> Option<Canned> {
        Forger.forged(lie, asked, at).await
    }
}

#[tokio::test]
#[ignore = "wants prometheus and promtool"]
async fn it_conforms_with_the_fault_proxy_between() {
    let server = Prometheus::start(Setup::default()).await;
    let proxy = FaultProxy::start(&server.url()).await.unwrap();
    // Three series that are there at any time, without anything that is scraped.
    let one = |(code, value): (&str, &str)| {
        let coded = format!("label_replace(vector({value}), \"code\", \"{code}\", \"\", \"\")");
        format!("label_replace({coded}, \"__name__\", \"{KNOWN}\", \"\", \"\")")
    };
    let expected = Expected {
        known: VALUES.map(one).join(" or "),
        deadline: Millis(2_000),
        ..expected(["sum(", "requests_total{"])
    };
    let config = PrometheusConfig {
        url: proxy.url(),
        user: None,
        deadline_ms: expected.deadline.0,
        answer_bytes_max: ANSWER_BYTES_MAX as u64,
    };
    let shared = Shared { http: Http::new().unwrap(), clock: Arc::new(SystemClock) };
    let source = PrometheusMetrics::new(config, None, &shared).unwrap();
    conforms(&source, &RealSystem, &expected).await;
    conforms_in_faults(&source, &RealSystem, &proxy, &expected).await;
}

#[tokio::test]
#[ignore = "wants prometheus and promtool"]
async fn what_was_so_then_is_told_as_of_then() {
    let (begin, text) = past();
    let server = Prometheus::start(Setup { past: Some(text), ..Setup::default() }).await;
    let source = source(&server);
    let after = |minutes: u64| UnixMillis(begin.0 + minutes * MINUTE);
    for (at, expected) in [
        (after(0), 0.0),
        (after(10), 10.0),
        (UnixMillis(after(11).0 - 1), 10.0),
        (after(119), 119.0),
        (after(123), 119.0),
    ] {
        assert_eq!(value(&source, "minutes", at).await, Ok(expected), "{}", at.0 - begin.0);
    }
    let samples = source.instant("minutes", after(10)).await.unwrap();
    assert_eq!(samples[0].at, after(10), "it speaks of the instant that was asked for");
    let labels: Vec<_> =
        samples[0].labels.iter().map(|label| (label.name.as_str(), label.value.as_str())).collect();
    assert!(labels.contains(&("version", "1")), "{labels:?}");
    // Before the first value, after the last one has become too old, now, and in the future: there is nothing, and that is said.
    for at in [UnixMillis(begin.0 - 1), after(125), now(), UnixMillis(now().0 + 60 * MINUTE)] {
        assert_eq!(refused(&source, "minutes", at).await.reason, NoData);
    }

    let window = Window { start: after(0), end: after(10) };
    let series = source.range("minutes", window, Millis(MINUTE)).await.unwrap();
    let points: Vec<_> = series[0].points.iter().map(|point| (point.at, point.value)).collect();
    assert_eq!(points, (0..=10).map(|minute| (after(minute), minute as f64)).collect::<Vec<_>>());
    let beyond = Window { start: after(118), end: after(200) };
    let series = source.range("minutes", beyond, Millis(MINUTE)).await.unwrap();
    // A value holds for five minutes; releases differ in whether the last instant of them counts.
    let last = series[0].points.last().unwrap().at;
    assert!(last == after(123) || last == after(124), "no point after the last value is too old: {}", last.0);
    let empty = Window { start: after(1_000), end: after(1_010) };
    assert_eq!(source.range("minutes", empty, Millis(MINUTE)).await.unwrap_err().reason, NoData);

    let odd = source.instant("odd", begin).await.unwrap();
    let of = |kind: &str| {
        odd.iter().find(|sample| sample.labels.iter().any(|label| label.value == kind)).unwrap().value
    };
    assert!(of("nan").is_nan());
    assert_eq!((of("over"), of("under")), (f64::INFINITY, f64::NEG_INFINITY));
}

#[tokio::test]
#[ignore = "wants prometheus and promtool"]
async fn a_query_that_is_wrong_is_told_from_one_that_finds_nothing() {
    let (begin, text) = past();
    let server = Prometheus::start(Setup {
        past: Some(text),
        arguments: &["--query.max-samples=5000"],
        ..Setup::default()
    })
    .await;
    let source = source(&server);
    for (query, reason, expected) in [
        ("nothing_at_all", NoData, "has nothing for `nothing_at_all`"),
        ("sum(", BadQuery, "parse error"),
        ("minutes[5m]", BadQuery, "gives a matrix"),
        ("\"text\"", BadQuery, "gives a string"),
        ("minutes * on() many", BadQuery, "many-to-many matching not allowed"),
        ("sum(sum_over_time(many[1h:1m]))", TooLarge, "too many samples"),
    ] {
        let unavailable = refused(&source, query, UnixMillis(begin.0 + 59 * MINUTE)).await;
        assert_eq!(unavailable.reason, reason, "{query}: {unavailable}");
        assert!(unavailable.message.contains(expected), "{query}: {unavailable}");
    }
    let hours = Window { start: begin, end: UnixMillis(begin.0 + 240 * MINUTE) };
    let fine = source.range("minutes", hours, Millis(1_000)).await.unwrap_err();
    assert_eq!(fine.reason, BadQuery, "{fine}");
    assert!(fine.message.contains("11,000 points per timeseries"), "{fine}");
    let kind = source.range("minutes[5m]", hours, Millis(MINUTE)).await.unwrap_err();
    assert_eq!(kind.reason, BadQuery, "{kind}");
}

#[tokio::test]
#[ignore = "wants prometheus and promtool"]
async fn a_server_that_starts_hangs_or_is_gone_has_failed_and_never_has_nothing() {
    let (begin, text) = past();
    let mut server = Prometheus::start(Setup {
        past: Some(text),
        arguments: &["--query.timeout=1ms"],
        ..Setup::default()
    })
    .await;
    let patient = source(&server);
    // So much work takes longer than the server's own millisecond.
    let heavy = "sum(sum_over_time(sum_over_time(many[5m])[1h:1s]))";
    let late = refused(&patient, heavy, UnixMillis(begin.0 + 59 * MINUTE)).await;
    assert_eq!(late.reason, TimedOut, "{late}");
    assert!(late.message.contains("query timed out"), "{late}");

    let hasty = reached(&server, None, None, 300);
    server.hang();
    let hung = refused(&hasty, "minutes", begin).await;
    server.go_on();
    assert_eq!(hung.reason, TimedOut, "{hung}");

    server.kill();
    let gone = refused(&hasty, "minutes", begin).await;
    assert_eq!(gone.reason, Failed, "{gone}");
    assert!(gone.message.contains("found no connection"), "{gone}");

    // From no connection over `503 Service Unavailable` to an answer: at no time is there "nothing".
    server.launch();
    let since = Instant::now();
    let mut reasons = Vec::new();
    loop {
        match hasty.instant("vector(1)", begin).await {
            Ok(_) => break,
            Err(unavailable) => reasons.push(unavailable),
        }
        assert!(since.elapsed() < PATIENCE, "{reasons:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert!(reasons.iter().all(|unavailable| matches!(unavailable.reason, Failed | TimedOut)), "{reasons:?}");
}

#[tokio::test]
#[ignore = "wants prometheus and promtool"]
async fn what_is_no_longer_exported_has_no_value_at_once_and_keeps_its_past() {
    let page = Page::start("present 1\nalways 1\n").await;
    let server = Prometheus::start(Setup { scraped: Some(page.address()), ..Setup::default() }).await;
    let source = source(&server);
    let until = async |query: &str, wanted: fn(&Result<f64, Unavailable>) -> bool| {
        let since = Instant::now();
        loop {
            let found = value(&source, query, now()).await;
            if wanted(&found) {
                return found;
            }
            assert!(since.elapsed() < PATIENCE, "{query}: {found:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    until("present", |found| *found == Ok(1.0)).await.unwrap();
    let then = now();
    assert_eq!(value(&source, "present", then).await, Ok(1.0));
    page.show("always 1\n");
    let gone = until("present", Result::is_err).await.unwrap_err();
    assert_eq!(
        gone.reason, NoData,
        "the five minutes for which a value holds are no reason to go on: {gone}"
    );
    assert_eq!(value(&source, "present", then).await, Ok(1.0), "what was so then does not change");
    assert_eq!(value(&source, "always", now()).await, Ok(1.0));

    // A target that does not answer has no values, and says so of itself.
    page.stop().await;
    let gone = until("always", Result::is_err).await.unwrap_err();
    assert_eq!(gone.reason, NoData, "{gone}");
    assert_eq!(value(&source, "up", now()).await, Ok(0.0));
}

#[tokio::test]
#[ignore = "wants prometheus and promtool"]
async fn an_account_that_the_server_does_not_know_has_failed() {
    let account = Account {
        user: "ripcord",
        password: "s3cret",
        bcrypt: "$2b$04$lqrrwjtFL5KK0bUxhfygAufyjY2GR6Q7GJrGJgplFBiEHwaZhnCCO",
    };
    let server = Prometheus::start(Setup { account: Some(account), ..Setup::default() }).await;
    let right = reached(&server, Some(account.user), Some(account.password), 10_000);
    assert_eq!(value(&right, "vector(7)", now()).await, Ok(7.0));
    for (user, secret) in [
        (Some("ripcord"), Some("s3cre")),
        (Some("other"), Some("s3cret")),
        (None, None),
        (None, Some("s3cret")),
    ] {
        let wrong = reached(&server, user, secret, 10_000);
        let unavailable = refused(&wrong, "vector(7)", now()).await;
        assert_eq!(unavailable.reason, Failed, "{unavailable}");
        assert!(unavailable.message.contains("401"), "{unavailable}");
        assert!(!unavailable.message.contains("s3cre"), "{unavailable}");
    }
}

#[tokio::test]
#[ignore = "wants prometheus and promtool"]
async fn a_part_that_could_not_be_asked_is_no_absence() {
    // Older values lie at another server, which is not there: Prometheus answers with what it has itself, and a warning.
    let server = Prometheus::start(Setup {
        more: "remote_read: [{ url: 'http://127.0.0.1:9/read', read_recent: true }]\n",
        ..Setup::default()
    })
    .await;
    let source = source(&server);
    let unavailable = refused(&source, "kept_elsewhere", now()).await;
    assert_eq!(unavailable.reason, Failed, "{unavailable}");
    assert!(unavailable.message.contains("not known to be whole"), "{unavailable}");
    let window = Window { start: UnixMillis(now().0 - 10 * MINUTE), end: now() };
    let unavailable = source.range("kept_elsewhere", window, Millis(MINUTE)).await.unwrap_err();
    assert_eq!(unavailable.reason, Failed, "{unavailable}");
}
