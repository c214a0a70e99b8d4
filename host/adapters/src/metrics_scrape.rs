//! Metrics from a service's own `/metrics`, for those without Prometheus: the page is read every so often into a bounded ring.
//!
//! A query selects series and computes nothing. What failed is told apart from what is not there. A line that cannot be read takes nothing but its own
//! series with it, and that is then not known rather than absent.

pub(crate) mod page;
mod ring;
pub(crate) mod text;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::{Method, Url};
use ripcord_core::fact::{Sample, Series, Unavailable, UnavailableReason};
use ripcord_core::target::Window;
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_ports::{ErrorKind, Metrics, PortError};
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::adapter::{Adapter, MadeMetrics, SecretKey, StartScraping};
use crate::secret::Secret;
use crate::{Shared, http};

use page::NoPage;
use ring::Ring;
use text::Selector;

/// Where the page is and how much of it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ScrapeConfig {
    /// The page, such as `http://127.0.0.1:8080/metrics`.
    pub url: String,
    /// Between two scrapes, in milliseconds. Default: 15000.
    #[serde(default = "every_default")]
    pub every_ms: u64,
    /// How many scrapes are kept. Default: 240, an hour at the default pace.
    #[serde(default = "keep_default")]
    pub keep: usize,
    /// The most series of a page. Default: 5000.
    #[serde(default = "series_max_default")]
    pub series_max: usize,
    /// The largest page, in bytes. Default: 4194304.
    #[serde(default = "page_bytes_max_default")]
    pub page_bytes_max: u64,
    /// For one scrape, in milliseconds. Default: 10000.
    #[serde(default = "deadline_default")]
    pub deadline_ms: u64,
    /// How old a sample may be to speak of an instant, in milliseconds. Default: five minutes, or five times `every-ms` if that is more.
    #[serde(default)]
    pub stale_after_ms: Option<u64>,
}

/// For the catalogue.
pub const ADAPTER: Adapter<ScrapeConfig, dyn Metrics> = Adapter {
    kind: "scrape",
    system: "a page of metrics, without Prometheus",
    summary: "a service's own page of metrics, read every so often",
    page: "metrics_scrape/README.md",
    secret: SecretKey::Token,
    example: "url = \"http://127.0.0.1:8080/metrics\"",
    start: |_, _| {},
    says: |_| (),
    make: |config, with| {
        let page = ScrapedMetrics::new(config, with.secret, with.shared)?;
        let background = page.clone();
        let background: StartScraping = Box::new(move || background.start());
        Ok(MadeMetrics { source: Arc::new(page), background: Some(background) })
    },
};

fn every_default() -> u64 {
    15_000
}

fn keep_default() -> usize {
    240
}

fn series_max_default() -> usize {
    5_000
}

fn page_bytes_max_default() -> u64 {
    4 << 20
}

fn deadline_default() -> u64 {
    http::DEADLINE_DEFAULT.0
}

/// One scraped page.
#[derive(Debug, Clone)]
pub struct ScrapedMetrics {
    page: Arc<Page>,
}

#[derive(Debug)]
struct Page {
    url: Url,
    token: Option<Secret>,
    config: ScrapeConfig,
    stale_after: Millis,
    shared: Shared,
    kept: Mutex<Kept>,
}

#[derive(Debug)]
struct Kept {
    ring: Ring,
    /// Of the last scrape, if it failed.
    failure: Option<Unavailable>,
    /// What was said last of lines that cannot be read.
    odd: Option<String>,
    /// When the last scrape was tried.
    tried_at: Option<UnixMillis>,
}

/// Scrapes until it is dropped.
#[derive(Debug)]
#[must_use = "scraping ends when this is dropped"]
pub struct Scraping {
    _task: JoinSet<()>,
}

impl ScrapedMetrics {
    /// Checks the configuration. Nothing is scraped before a query, or [`Self::start`].
    pub fn new(config: ScrapeConfig, token: Option<Secret>, shared: &Shared) -> Result<Self, PortError> {
        if config.every_ms == 0 || config.keep == 0 || config.series_max == 0 || config.deadline_ms == 0 {
            return Err(PortError::not_applied(
                ErrorKind::Configuration,
                "`every-ms`, `keep`, `series-max` and `deadline-ms` must be 1 or more",
            ));
        }
        let url = http::page(&config.url)?;
        let stale_after = config
            .stale_after_ms
            .map_or(Millis::minutes(5).max(Millis(config.every_ms.saturating_mul(5))), Millis);
        let kept = Kept { ring: Ring::new(config.keep), failure: None, odd: None, tried_at: None };
        let page = Page { url, token, config, stale_after, shared: shared.clone(), kept: Mutex::new(kept) };
        Ok(Self { page: Arc::new(page) })
    }

    /// Starts scraping in the background.
    pub fn start(&self) -> Scraping {
        let page = Arc::clone(&self.page);
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut pace = tokio::time::interval(Duration::from_millis(page.config.every_ms));
            pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                pace.tick().await;
                let mut kept = page.kept.lock().await;
                let failing = kept.failure.is_some();
                let now = page.shared.clock.now();
                page.scrape(&mut kept, now).await;
                match (&kept.failure, failing) {
                    (Some(failure), false) => tracing::warn!(url = %http::shown(&page.url), "{failure}"),
                    (None, true) => tracing::info!(url = %http::shown(&page.url), "scraping works again"),
                    _ => {}
                }
            }
        });
        Scraping { _task: task }
    }
}

impl Page {
    async fn scrape(&self, kept: &mut Kept, at: UnixMillis) {
        kept.tried_at = Some(at);
        kept.failure = match self.read(at).await {
            Ok(page) => {
                self.tell_odd(kept, &page);
                kept.ring.push(at, page);
                None
            }
            Err(failure) => Some(failure),
        };
    }

    /// Says once that lines cannot be read, and once that all can be.
    fn tell_odd(&self, kept: &mut Kept, page: &page::Page) {
        let odd = page.odd.first().map(|odd| odd.why.clone());
        let url = http::shown(&self.url);
        match (&odd, &kept.odd) {
            (Some(why), told) if told.as_ref() != Some(why) => {
                tracing::warn!(%url, lines = page.odd.len(), "a page of metrics cannot be read whole: {why}; questions about that series are answered as not known, the rest is read");
            }
            (None, Some(_)) => tracing::info!(%url, "a page of metrics can be read whole again"),
            _ => {}
        }
        kept.odd = odd;
    }

    async fn read(&self, at: UnixMillis) -> Result<page::Page, Unavailable> {
        let answer = self
            .shared
            .http
            .call(Method::GET, &self.url)
            .deadline(Millis(self.config.deadline_ms))
            .answer_bytes_max(self.config.page_bytes_max)
            .bearer(self.token.as_ref())
            .header("accept", "text/plain;version=0.0.4")
            .send()
            .await
            .map_err(|error| unavailable(&error))?;
        let (url, most) = (http::shown(&self.url), self.config.series_max);
        page::read(&answer.body, answer.content_type(), at, most).map_err(|none| match none {
            NoPage::TooMany => Unavailable::new(
                UnavailableReason::TooLarge,
                format!("{url} has more than {most} series: raise `series-max`"),
            ),
            NoPage::Other(_) => Unavailable::new(UnavailableReason::Failed, format!("{url} {none}")),
        })
    }

    /// The kept scrapes, after a new one where the last is older than the pace.
    async fn kept_for(&self, at: UnixMillis) -> tokio::sync::MutexGuard<'_, Kept> {
        let mut kept = self.kept.lock().await;
        let now = self.shared.clock.now();
        let due = kept.tried_at.is_none_or(|tried| now.since(tried).0 > self.config.every_ms || tried > now);
        // A question about the past is not answered better by a scrape of now.
        let past = kept.ring.newest().is_some_and(|newest| at <= newest);
        if due && !past {
            // A decision asks for the instant at which it began, which is a moment ago: the scrape that it causes speaks of that instant.
            let just_now = at <= now && now.since(at).0 <= self.config.every_ms;
            self.scrape(&mut kept, if just_now { at } else { now }).await;
        }
        kept
    }

    fn not_known(&self, why: &str) -> Unavailable {
        Unavailable::new(UnavailableReason::Failed, format!("{} {why}", http::shown(&self.url)))
    }

    /// Why there is nothing: the last scrape failed and `at` is not covered by those before it, or there is no such series.
    fn nothing(&self, kept: &Kept, query: &str) -> Unavailable {
        kept.failure.clone().unwrap_or_else(|| {
            Unavailable::new(
                UnavailableReason::NoData,
                format!("{} has no series `{query}` at that time", http::shown(&self.url)),
            )
        })
    }
}

/// A failed call as the reason why there is no value.
pub(crate) fn unavailable(error: &PortError) -> Unavailable {
    let reason = match error.kind {
        ErrorKind::TimedOut => UnavailableReason::TimedOut,
        ErrorKind::TooLarge => UnavailableReason::TooLarge,
        _ => UnavailableReason::Failed,
    };
    Unavailable::new(reason, error.to_string())
}

fn selector(query: &str) -> Result<Selector, Unavailable> {
    Selector::parse(query).map_err(|why| Unavailable::new(UnavailableReason::BadQuery, why))
}

#[async_trait]
impl Metrics for ScrapedMetrics {
    fn name(&self) -> &str {
        "metrics_scrape"
    }

    async fn instant(&self, query: &str, at: UnixMillis) -> Result<Vec<Sample>, Unavailable> {
        let selector = selector(query)?;
        let kept = self.page.kept_for(at).await;
        // While scraping fails, what was there before says nothing about an instant after it.
        if let Some(failure) = &kept.failure
            && kept.ring.newest().is_none_or(|newest| newest < at)
        {
            return Err(failure.clone());
        }
        let samples = kept.ring.instant(&selector, at, self.page.stale_after);
        let samples = samples.map_err(|why| self.page.not_known(&why))?;
        if samples.is_empty() { Err(self.page.nothing(&kept, query)) } else { Ok(samples) }
    }

    async fn range(&self, query: &str, window: Window, step: Millis) -> Result<Vec<Series>, Unavailable> {
        let selector = selector(query)?;
        if window.end < window.start {
            return Err(Unavailable::new(UnavailableReason::BadQuery, "the window ends before it begins"));
        }
        let kept = self.page.kept_for(window.end).await;
        // A window that reaches into a failure would look whole and is not.
        if let Some(failure) = &kept.failure
            && kept.ring.newest().is_none_or(|newest| newest < window.end)
        {
            return Err(failure.clone());
        }
        let series = kept.ring.range(&selector, window, step, self.page.stale_after);
        let series = series.map_err(|why| self.page.not_known(&why))?;
        if series.is_empty() { Err(self.page.nothing(&kept, query)) } else { Ok(series) }
    }
}
