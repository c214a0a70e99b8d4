//! The scrapes that are kept.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use ripcord_core::fact::{Point, Sample, Series};
use ripcord_core::signal::Label;
use ripcord_core::target::Window;
use ripcord_core::time::{Millis, UnixMillis};

use super::text::{Line, Selector};

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
}

impl Ring {
    pub(super) fn new(keep: usize) -> Self {
        Self { keep, scrapes: VecDeque::new(), interned: HashMap::new() }
    }

    /// Adds a scrape. One that is not newer than the last, because the clock was set back, drops those after it.
    pub(super) fn push(&mut self, at: UnixMillis, lines: Vec<Line>) {
        while self.scrapes.back().is_some_and(|last| last.at >= at) {
            self.scrapes.pop_back();
        }
        let samples = lines
            .into_iter()
            .map(|line| {
                let point = Point { at: line.at.map_or(at, UnixMillis), value: line.value };
                (self.intern(line.labels), point)
            })
            .collect();
        self.scrapes.push_back(Scrape { at, samples });
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

    /// The selected samples of the newest scrape at or before `at`. A series that this scrape no longer has is gone; a sample that is
    /// older than `stale_after` is too.
    pub(super) fn instant(&self, selector: &Selector, at: UnixMillis, stale_after: Millis) -> Vec<Sample> {
        let Some(scrape) = self.scrapes.iter().rev().find(|scrape| scrape.at <= at) else {
            return Vec::new();
        };
        let fresh = |then: UnixMillis| then <= at && at.since(then) <= stale_after;
        if !fresh(scrape.at) {
            return Vec::new();
        }
        let mut samples: Vec<_> = scrape
            .samples
            .iter()
            .filter(|(labels, point)| fresh(point.at) && selector.selects(labels))
            .map(|(labels, point)| Sample { labels: labels.to_vec(), value: point.value, at: point.at })
            .collect();
        samples.sort_by(|a, b| a.labels.cmp(&b.labels));
        samples
    }

    /// The selected points within `window`, at most one in each `step`: the last of each.
    pub(super) fn range(&self, selector: &Selector, window: Window, step: Millis) -> Vec<Series> {
        let step = step.0.max(1);
        let mut series: BTreeMap<&Labels, Vec<Point>> = BTreeMap::new();
        for scrape in self.scrapes.iter().filter(|scrape| scrape.at <= window.end) {
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
        series.into_iter().map(|(labels, points)| Series { labels: labels.to_vec(), points }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics_scrape::text::line;

    fn ring(keep: usize, scrapes: &[(u64, &str)]) -> Ring {
        let mut ring = Ring::new(keep);
        for (at, page) in scrapes {
            ring.push(UnixMillis(*at), page.lines().filter_map(|text| line(text).unwrap()).collect());
        }
        ring
    }

    fn values(ring: &Ring, query: &str, at: u64) -> Vec<(f64, u64)> {
        let selector = Selector::parse(query).unwrap();
        let samples = ring.instant(&selector, UnixMillis(at), Millis(300));
        samples.iter().map(|sample| (sample.value, sample.at.0)).collect()
    }

    fn points(ring: &Ring, query: &str, start: u64, end: u64, step: u64) -> Vec<(u64, f64)> {
        let window = Window { start: UnixMillis(start), end: UnixMillis(end) };
        let series = ring.range(&Selector::parse(query).unwrap(), window, Millis(step));
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
        assert_eq!(values(&ring, "a", 1_201), []);
        assert_eq!(values(&ring, "b", 1_200), [], "a sample of the future");
        assert_eq!(points(&ring, "a", 0, 2_000, 1), [(900, 1.0)]);
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
        kept.push(UnixMillis(250), vec![line("b 9").unwrap().unwrap()]);
        assert_eq!(points(&kept, "b", 0, 900, 1), [(200, 2.0), (250, 9.0)]);
    }
}
