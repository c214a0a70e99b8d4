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

type Page = Arc<Mutex<(StatusCode, String, u32)>>;

struct Rig {
    page: Page,
    clock: Arc<StandingClock>,
    metrics: ScrapedMetrics,
    _server: Server,
}

impl Rig {
    async fn new(change: impl Fn(&mut ScrapeConfig)) -> Self {
        let page: Page = Arc::new(Mutex::new((StatusCode::OK, String::new(), 0)));
        let answer = |State(page): State<Page>| async move {
            let mut page = page.lock().unwrap();
            page.2 += 1;
            let answer: Response = (page.0, page.1.clone()).into_response();
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
        (page.0, page.1) = (StatusCode::OK, text.to_owned());
    }

    fn fails(&self, status: StatusCode, text: &str) {
        let mut page = self.page.lock().unwrap();
        (page.0, page.1) = (status, text.to_owned());
    }

    fn scrapes(&self) -> u32 {
        self.page.lock().unwrap().2
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
