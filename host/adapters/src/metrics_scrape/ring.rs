//! The scrapes that are kept.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use ripcord_core::fact::{Point, Sample, Series};
use ripcord_core::signal::Label;
use ripcord_core::target::Window;
use ripcord_core::time::{Millis, UnixMillis};

use super::page::Page;
use super::text::{self, Odd, Selector};

type Labels = Arc<[Label]>;

/// The newest scrapes, oldest first, and the labels that they share.
#[derive(Debug)]
pub(super) struct Ring {
    keep: usize,
    scrapes: VecDeque<Scrape>,
    interned: HashMap<Labels, ()>,
}

#[derive(Debug)]
struct Scrape {
    at: UnixMillis,
    samples: Vec<(Labels, Point)>,
    /// Lines that could not be read.
    odd: Vec<Odd>,
}

/// Why something that is there, or may be, is not known: a sentence.
pub(super) type NotKnown = String;

impl Scrape {
    /// Whether all that is selected could be read, and is not older at `at` than `stale_after`.
    fn knows(&self, selector: &Selector, at: UnixMillis, stale_after: Millis) -> Result<(), NotKnown> {
        if let Some(odd) = self.odd.iter().find(|odd| selector.may_select(odd)) {
            return Err(format!("has an answer that cannot be read whole: {}", odd.why));
        }
        let selected = self.samples.iter().filter(|(labels, _)| selector.selects(labels));
        let mut old = selected.filter(|(_, point)| at.since(point.at) > stale_after);
        old.next().map_or(Ok(()), |(labels, point)| {
            let age = at.since(point.at);
            Err(format!("shows `{}` with a value that is {age} old", text::shown(labels)))
        })
    }
}

impl Ring {
    pub(super) fn new(keep: usize) -> Self {
        Self { keep, scrapes: VecDeque::new(), interned: HashMap::new() }
    }

    /// Adds a scrape. One that is not newer than the last, because the clock was set back, drops those after it.
    pub(super) fn push(&mut self, at: UnixMillis, page: Page) {
        while self.scrapes.back().is_some_and(|last| last.at >= at) {
            self.scrapes.pop_back();
        }
        let samples = page
            .lines
            .into_iter()
            .map(|line| {
                let point = Point { at: line.at.map_or(at, UnixMillis), value: line.value };
                (self.intern(line.labels), point)
            })
            .collect();
        self.scrapes.push_back(Scrape { at, samples, odd: page.odd });
        while self.scrapes.len() > self.keep {
            self.scrapes.pop_front();
        }
        // Labels that only dropped scrapes had are held by nobody else.
        self.interned.retain(|labels, ()| Arc::strong_count(labels) > 1);
    }

    fn intern(&mut self, labels: Vec<Label>) -> Labels {
        if let Some((known, ())) = self.interned.get_key_value(labels.as_slice()) {
            return Arc::clone(known);
        }
        let labels: Labels = labels.into();
        self.interned.insert(Arc::clone(&labels), ());
        labels
    }

    /// The newest scrape's instant.
    pub(super) fn newest(&self) -> Option<UnixMillis> {
        self.scrapes.back().map(|scrape| scrape.at)
    }

    /// The selected samples of the newest scrape at or before `at`. A series that this scrape no longer has is gone, and a scrape that is older than
    /// `stale_after` says nothing. A sample that the page shows and that is older is not known: it is neither there nor gone.
    pub(super) fn instant(
        &self,
        selector: &Selector,
        at: UnixMillis,
        stale_after: Millis,
    ) -> Result<Vec<Sample>, NotKnown> {
        let scrape = self.scrapes.iter().rev().find(|scrape| scrape.at <= at);
        let Some(scrape) = scrape.filter(|scrape| at.since(scrape.at) <= stale_after) else {
            return Ok(Vec::new());
        };
        scrape.knows(selector, at, stale_after)?;
        let mut samples: Vec<_> = scrape
            .samples
            .iter()
            .filter(|(labels, _)| selector.selects(labels))
            .map(|(labels, point)| Sample { labels: labels.to_vec(), value: point.value, at: point.at })
            .collect();
        samples.sort_by(|a, b| a.labels.cmp(&b.labels));
        Ok(samples)
    }

    /// The selected points within `window`, at most one in each `step`: the last of each.
    pub(super) fn range(
        &self,
        selector: &Selector,
        window: Window,
        step: Millis,
        stale_after: Millis,
    ) -> Result<Vec<Series>, NotKnown> {
        let step = step.0.max(1);
        let mut series: BTreeMap<&Labels, Vec<Point>> = BTreeMap::new();
        for scrape in self.scrapes.iter().filter(|scrape| scrape.at <= window.end) {
            if scrape.at >= window.start {
                scrape.knows(selector, scrape.at, stale_after)?;
            }
            for (labels, point) in &scrape.samples {
                if !(window.start..=window.end).contains(&point.at) || !selector.selects(labels) {
                    continue;
                }
                let points = series.entry(labels).or_default();
                let bucket = |point: &Point| point.at.since(window.start).0 / step;
                match points.last_mut() {
                    // A page may repeat a sample with the time that it had.
                    Some(last) if point.at <= last.at => {}
                    Some(last) if bucket(last) == bucket(point) => *last = *point,
                    _ => points.push(*point),
                }
            }
        }
        Ok(series.into_iter().map(|(labels, points)| Series { labels: labels.to_vec(), points }).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics_scrape::page;

    fn ring(keep: usize, scrapes: &[(u64, &str)]) -> Ring {
        let mut ring = Ring::new(keep);
        for (at, page) in scrapes {
            ring.push(UnixMillis(*at), page_at(*at, page));
        }
        ring
    }

    fn page_at(at: u64, text: &str) -> Page {
        page::read(text.as_bytes(), None, UnixMillis(at), 100).unwrap()
    }

    fn values(ring: &Ring, query: &str, at: u64) -> Vec<(f64, u64)> {
        let selector = Selector::parse(query).unwrap();
        let samples = ring.instant(&selector, UnixMillis(at), Millis(300)).unwrap();
        samples.iter().map(|sample| (sample.value, sample.at.0)).collect()
    }

    fn points(ring: &Ring, query: &str, start: u64, end: u64, step: u64) -> Vec<(u64, f64)> {
        let window = Window { start: UnixMillis(start), end: UnixMillis(end) };
        let series = ring.range(&Selector::parse(query).unwrap(), window, Millis(step), Millis(300)).unwrap();
        series.iter().flat_map(|series| series.points.iter().map(|p| (p.at.0, p.value))).collect()
    }

    #[test]
    fn an_instant_is_the_newest_scrape_at_or_before_it() {
        let ring = ring(10, &[(100, "a 1"), (200, "a 2"), (300, "b 3")]);
        assert_eq!(values(&ring, "a", 99), []);
        assert_eq!(values(&ring, "a", 100), [(1.0, 100)]);
        assert_eq!(values(&ring, "a", 299), [(2.0, 200)]);
        assert_eq!(values(&ring, "a", 300), [], "a series that the page no longer has is gone");
        assert_eq!(values(&ring, "b", 600), [(3.0, 300)]);
        assert_eq!(values(&ring, "b", 601), [], "too old");
    }

    #[test]
    fn a_page_that_repeats_an_old_sample_does_not_make_it_new() {
        let ring = ring(10, &[(1_000, "a 1 900"), (1_200, "a 1 900\nb 1 9999")]);
        assert_eq!(values(&ring, "a", 1_200), [(1.0, 900)]);
        assert_eq!(values(&ring, "b", 1_200), [(1.0, 1_200)], "a clock that is ahead");
        assert_eq!(points(&ring, "a", 0, 2_000, 1), [(900, 1.0)]);
    }

    #[test]
    fn what_the_page_shows_and_cannot_be_known_is_not_taken_for_gone() {
        let ring =
            ring(10, &[(1_000, "a 1 900\nb 1\nc{d=\"1\"} many"), (1_200, "a 1 900\nb 2\nc{d=\"1\"} 3")]);
        let ask = |query: &str, at: u64| {
            let selector = Selector::parse(query).unwrap();
            let window = Window { start: UnixMillis(at - 300), end: UnixMillis(at) };
            let instant = ring.instant(&selector, UnixMillis(at), Millis(300)).map(|samples| samples.len());
            let range = ring.range(&selector, window, Millis(1), Millis(300)).map(|series| series.len());
            (instant, range)
        };
        assert_eq!(ask("b", 1_200), (Ok(1), Ok(1)), "other lines take nothing from it");
        let (old, _) = ask("a", 1_201);
        assert_eq!(old, Err("shows `a{}` with a value that is 301 ms old".to_owned()));
        let (odd, odd_range) = ask("c", 1_000);
        assert!(odd.as_ref().is_err_and(|why| why.contains("`many`")), "{odd:?}");
        assert_eq!(odd.map(drop), odd_range.map(drop));
        assert_eq!(ask("c{d=\"2\"}", 1_000), (Ok(0), Ok(0)), "it is not of that series");
        let (now, range) = ask("c", 1_200);
        assert!(now == Ok(1) && range.is_err(), "a window that reaches into it: {range:?}");
    }

    #[test]
    fn a_range_keeps_the_last_point_of_each_step() {
        let ring = ring(10, &[(100, "a 1"), (200, "a 2"), (300, "a 3"), (400, "a 4")]);
        assert_eq!(points(&ring, "a", 100, 300, 1), [(100, 1.0), (200, 2.0), (300, 3.0)]);
        assert_eq!(points(&ring, "a", 100, 400, 200), [(200, 2.0), (400, 4.0)]);
        assert_eq!(points(&ring, "a", 401, 500, 0), []);
    }

    #[test]
    fn it_forgets_the_oldest_and_survives_a_clock_that_is_set_back() {
        let mut kept = ring(2, &[(100, "a 1"), (200, "b 2"), (300, "b 3")]);
        assert_eq!(points(&kept, "a", 0, 900, 1), []);
        assert_eq!(kept.interned.len(), 1);
        kept.push(UnixMillis(250), page_at(250, "b 9"));
        assert_eq!(points(&kept, "b", 0, 900, 1), [(200, 2.0), (250, 9.0)]);
    }
}
