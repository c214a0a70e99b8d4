//! Scraping a page of metrics.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use ripcord_adapters::metrics_scrape::{ScrapeConfig, ScrapedMetrics};
use ripcord_core::fact::UnavailableReason;
use ripcord_core::target::Window;
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_ports::{ErrorKind, Metrics};

use crate::adapters::support::{Server, StandingClock, shared_at};

/// Status, content type, text, and how often it was fetched.
type Page = Arc<Mutex<(StatusCode, &'static str, String, u32)>>;

const TEXT: &str = "text/plain; version=0.0.4";

struct Rig {
    page: Page,
    clock: Arc<StandingClock>,
    metrics: ScrapedMetrics,
    _server: Server,
}

impl Rig {
    async fn new(change: impl Fn(&mut ScrapeConfig)) -> Self {
        let page: Page = Arc::new(Mutex::new((StatusCode::OK, TEXT, String::new(), 0)));
        let answer = |State(page): State<Page>| async move {
            let mut page = page.lock().unwrap();
            page.3 += 1;
            let answer: Response = (page.0, [("content-type", page.1)], page.2.clone()).into_response();
            answer
        };
        let server =
            Server::start(Router::new().route("/metrics", get(answer)).with_state(Arc::clone(&page))).await;
        let clock = StandingClock::at(1_000_000);
        let mut config: ScrapeConfig =
            toml::from_str(&format!("url = \"{}\"", server.url("/metrics"))).unwrap();
        config.every_ms = 1_000;
        change(&mut config);
        let metrics = ScrapedMetrics::new(config, None, &shared_at(Arc::clone(&clock))).unwrap();
        Self { page, clock, metrics, _server: server }
    }

    fn shows(&self, text: &str) {
        let mut page = self.page.lock().unwrap();
        (page.0, page.1, page.2) = (StatusCode::OK, TEXT, text.to_owned());
    }

    fn shows_openmetrics(&self, text: &str) {
        self.shows(text);
        self.page.lock().unwrap().1 = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    }

    fn fails(&self, status: StatusCode, text: &str) {
        let mut page = self.page.lock().unwrap();
        (page.0, page.2) = (status, text.to_owned());
    }

    fn scrapes(&self) -> u32 {
        self.page.lock().unwrap().3
    }

    async fn value(&self, query: &str, at: u64) -> Result<f64, UnavailableReason> {
        match self.metrics.instant(query, UnixMillis(at)).await {
            Ok(samples) => Ok(samples[0].value),
            Err(unavailable) => Err(unavailable.reason),
        }
    }
}

#[tokio::test]
async fn a_query_scrapes_when_the_last_scrape_is_older_than_the_pace() {
    let rig = Rig::new(|_| {}).await;
    rig.shows("requests_total{code=\"200\"} 5\n");
    rig.clock.set(1_000_005);
    assert_eq!(rig.value("requests_total", 1_000_000).await, Ok(5.0), "a decision that began a moment ago");
    rig.shows("requests_total{code=\"200\"} 6\n");
    rig.clock.set(1_001_000);
    assert_eq!(rig.value("requests_total", 1_001_000).await, Ok(5.0));
    assert_eq!(rig.scrapes(), 1);
    rig.clock.set(1_001_001);
    assert_eq!(rig.value("requests_total", 1_001_001).await, Ok(6.0));
    assert_eq!(rig.value("requests_total", 1_000_500).await, Ok(5.0), "the past stays");
    assert_eq!(rig.scrapes(), 2);
    let window = Window { start: UnixMillis(0), end: UnixMillis(1_001_001) };
    let series = rig.metrics.range("requests_total", window, Millis(1)).await.unwrap();
    let points: Vec<_> = series[0].points.iter().map(|point| (point.at.0, point.value)).collect();
    assert_eq!(points, [(1_000_000, 5.0), (1_001_001, 6.0)]);
}

#[tokio::test]
async fn what_is_missing_failed_wrong_and_too_large_are_told_apart() {
    let rig = Rig::new(|config| config.series_max = 2).await;
    let mut now = 1_000_000;
    let mut check = async |query: &str, expected: UnavailableReason| {
        now += 10_000;
        rig.clock.set(now);
        assert_eq!(rig.value(query, now).await, Err(expected), "{query}");
    };
    rig.shows("a 1\n");
    check("b", UnavailableReason::NoData).await;
    check("rate(a[5m])", UnavailableReason::BadQuery).await;
    rig.shows("a 1\nb 2\nc 3\n");
    check("a", UnavailableReason::TooLarge).await;
    rig.fails(StatusCode::INTERNAL_SERVER_ERROR, "oh");
    check("a", UnavailableReason::Failed).await;
    rig.shows("<html>\n");
    check("a", UnavailableReason::Failed).await;
    rig.shows("");
    check("a", UnavailableReason::NoData).await;
}

#[tokio::test]
async fn while_scraping_fails_what_was_there_before_says_nothing() {
    let rig = Rig::new(|_| {}).await;
    rig.shows("a 1\n");
    assert_eq!(rig.value("a", 1_000_000).await, Ok(1.0));
    rig.fails(StatusCode::BAD_GATEWAY, "gone");
    rig.clock.set(1_010_000);
    let failed = rig.metrics.instant("a", UnixMillis(1_010_000)).await.unwrap_err();
    assert_eq!(failed.reason, UnavailableReason::Failed);
    assert!(failed.message.contains("/metrics answered 502: `gone`"), "{}", failed.message);
    let window = Window { start: UnixMillis(0), end: UnixMillis(1_010_000) };
    assert!(rig.metrics.range("a", window, Millis(1)).await.is_err());
    assert_eq!(rig.value("a", 1_000_000).await, Ok(1.0), "the past stays");
}

const NOW: u64 = 1_795_373_541_000;

impl Rig {
    /// What a query finds at the instant and over the two minutes before it: values, or why there are none.
    async fn both(&self, query: &str) -> [Result<Vec<f64>, (UnavailableReason, String)>; 2] {
        self.clock.set(NOW);
        let why = |unavailable: ripcord_core::fact::Unavailable| (unavailable.reason, unavailable.message);
        let instant = self.metrics.instant(query, UnixMillis(NOW)).await;
        let window = Window { start: UnixMillis(NOW - 120_000), end: UnixMillis(NOW) };
        let range = self.metrics.range(query, window, Millis(1_000)).await;
        [
            instant.map(|samples| samples.iter().map(|sample| sample.value).collect()).map_err(why),
            range
                .map(|series| {
                    series.iter().flat_map(|one| one.points.iter().map(|point| point.value)).collect()
                })
                .map_err(why),
        ]
    }
}

#[tokio::test]
async fn openmetrics_is_read_with_its_seconds() {
    for (what, page) in [
        (
            "whole seconds",
            "# TYPE errors counter\nerrors_total 40 1795373540\nerrors_created 1795300000\n# EOF\n",
        ),
        ("fractions", "errors_total 40 1795373540.477\n# EOF\n"),
        ("an exemplar", "errors_total 40 1795373540 # {trace=\"x\"} 1 1795373539.1\n# EOF\n"),
    ] {
        let rig = Rig::new(|_| {}).await;
        rig.shows_openmetrics(page);
        assert_eq!(rig.both("errors_total").await, [Ok(vec![40.0]), Ok(vec![40.0])], "{what}");
        let rig = Rig::new(|_| {}).await;
        rig.shows(page);
        assert_eq!(rig.both("errors_total").await, [Ok(vec![40.0]), Ok(vec![40.0])], "{what}, not named");
    }
}

#[tokio::test]
async fn a_series_whose_time_is_of_another_unit_is_not_known_rather_than_absent() {
    for time in ["1795373540", "1795373540000000", "1795373540.5", "-1"] {
        let rig = Rig::new(|_| {}).await;
        rig.shows(&format!("requests_total 100\nerrors_total 40 {time}\n"));
        for told in rig.both("errors_total").await {
            let (reason, message) = told.unwrap_err();
            assert_eq!(reason, UnavailableReason::Failed, "{time}: {message}");
            assert!(message.contains("line 2") && message.contains(time), "{time}: {message}");
        }
        assert_eq!(rig.both("requests_total").await, [Ok(vec![100.0]), Ok(vec![100.0])], "{time}");
    }
}

#[tokio::test]
async fn a_series_that_is_twice_on_a_page_counts_once_at_the_instant_and_in_a_range() {
    let rig = Rig::new(|_| {}).await;
    rig.shows("errors_total{code=\"500\"} 40\nerrors_total{code=\"500\"} 40\n");
    assert_eq!(rig.both("errors_total").await, [Ok(vec![40.0]), Ok(vec![40.0])]);
    let rig = Rig::new(|_| {}).await;
    rig.shows("errors_total{code=\"500\"} 1\nerrors_total{code=\"500\"} 90\nother 7\n");
    for told in rig.both("errors_total").await {
        let (reason, message) = told.unwrap_err();
        assert_eq!(reason, UnavailableReason::Failed);
        assert!(message.contains("`errors_total{code=\"500\"}` is there twice"), "{message}");
    }
    assert_eq!(rig.both("other").await, [Ok(vec![7.0]), Ok(vec![7.0])]);
}

#[tokio::test]
async fn a_backslash_that_escapes_nothing_stays() {
    let rig = Rig::new(|_| {}).await;
    rig.shows("model_info{path=\"C:\\models\\fraud\\1.4.0\"} 1\nerrors_total{code=\"500\"} 40\n");
    assert_eq!(rig.both("errors_total").await[0], Ok(vec![40.0]));
    assert_eq!(rig.both("model_info").await[0], Ok(vec![1.0]));
}

#[tokio::test]
async fn scraping_goes_on_in_the_background_until_it_is_dropped() {
    let rig = Rig::new(|config| config.every_ms = 10).await;
    rig.shows("a 1\n");
    let scraping = rig.metrics.start();
    for _ in 0..500 {
        if rig.scrapes() >= 3 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(rig.scrapes() >= 3);
    drop(scraping);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let after = rig.scrapes();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(rig.scrapes(), after);
}

#[test]
fn a_configuration_that_cannot_work_is_refused() {
    let shared = shared_at(StandingClock::at(0));
    let config = |text: &str| toml::from_str::<ScrapeConfig>(text);
    assert!(config("url = \"http://x/\"\nevery = 5").unwrap_err().to_string().contains("every"));
    let zero = config("url = \"http://x/\"\nkeep = 0").unwrap();
    assert_eq!(ScrapedMetrics::new(zero, None, &shared).unwrap_err().kind, ErrorKind::Configuration);
}
