//! One page of metrics, line by line. A line that cannot be read takes no other line with it; a question about its series is answered as *not known*.

use std::collections::HashMap;
use std::fmt;

use ripcord_core::signal::Label;
use ripcord_core::time::{Millis, UnixMillis};

use super::text::{self, Line, Odd, OddSeries, Refused, TimeUnit};

/// With more such lines it is no page of metrics.
const ODD_MAX: usize = 100;
/// An exporter's clock may be ahead by so much: its samples are then of the scrape.
const AHEAD_MAX: Millis = Millis::minutes(5);
/// A time so far away is of another unit.
const AWAY_MAX: Millis = Millis::hours(24 * 365);

/// A page that was read.
#[derive(Debug, Default)]
pub(crate) struct Page {
    /// Each series once.
    pub(crate) lines: Vec<Line>,
    /// At most [`ODD_MAX`].
    pub(crate) odd: Vec<Odd>,
}

/// A page that is none, or too large.
#[derive(Debug)]
pub(crate) enum NoPage {
    TooMany,
    Other(String),
}

impl fmt::Display for NoPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooMany => f.write_str("it has too many series"),
            Self::Other(why) => f.write_str(why),
        }
    }
}

/// Reads a page that was fetched at `at`.
pub(crate) fn read(
    body: &[u8],
    content_type: Option<&str>,
    at: UnixMillis,
    series_max: usize,
) -> Result<Page, NoPage> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let (unit, whole) = unit(body, content_type);
    if !whole {
        let why = "is a page in OpenMetrics that does not end in `# EOF`, so a part of it may be missing";
        return Err(NoPage::Other(why.to_owned()));
    }
    let (mut page, mut places) = (Page::default(), HashMap::new());
    for (index, bytes) in body.split(|byte| *byte == b'\n').enumerate() {
        match one(bytes, unit, at) {
            Ok(None) => {}
            Ok(Some(line)) => page.add(line, &mut places),
            Err(odd) => page.odd.push(Odd { why: format!("line {} {}", index + 1, odd.why), ..odd }),
        }
        if page.lines.len() > series_max {
            return Err(NoPage::TooMany);
        }
        if page.odd.len() > ODD_MAX {
            return Err(page.none(&format!("more than {ODD_MAX} lines cannot be read, ")));
        }
    }
    page.lines.retain(|line| !page.odd.iter().any(|odd| odd.is(&line.labels)));
    if page.lines.is_empty() && !page.odd.is_empty() { Err(page.none("")) } else { Ok(page) }
}

impl Page {
    /// A series that is there twice counts once, as Prometheus has it. One with two values is not known.
    fn add(&mut self, line: Line, places: &mut HashMap<Vec<Label>, usize>) {
        let Some(first) = places.get(&line.labels).and_then(|place| self.lines.get(*place)) else {
            places.insert(line.labels.clone(), self.lines.len());
            self.lines.push(line);
            return;
        };
        let is_same = first.at == line.at
            && (first.value == line.value || (first.value.is_nan() && line.value.is_nan()));
        if !is_same && !self.odd.iter().any(|odd| odd.is(&line.labels)) {
            let why = format!("series `{}` is there twice, with different values", text::shown(&line.labels));
            self.odd.push(Odd { series: OddSeries::Known(line.labels), why });
        }
    }

    fn none(&self, what: &str) -> NoPage {
        let first = self.odd.first().map(|odd| odd.why.as_str()).unwrap_or_default();
        NoPage::Other(format!("is not a page of metrics: {what}{first}"))
    }
}

/// `OpenMetrics` has seconds where the text format 0.0.4 has milliseconds. Some servers send it without naming it; its last line tells. Where it is named,
/// that line must be there: what was cut off on the way would look whole.
fn unit(body: &[u8], content_type: Option<&str>) -> (TimeUnit, bool) {
    let kind = content_type.unwrap_or_default().trim_start().to_ascii_lowercase();
    let named = kind.starts_with("application/openmetrics-text");
    let ends = body.trim_ascii_end().rsplit(|byte| *byte == b'\n').next();
    let ends = ends.is_some_and(|last| last.trim_ascii() == b"# EOF");
    (if named || ends { TimeUnit::Seconds } else { TimeUnit::Millis }, ends || !named)
}

fn one(bytes: &[u8], unit: TimeUnit, at: UnixMillis) -> Result<Option<Line>, Odd> {
    let Ok(read) = std::str::from_utf8(bytes) else {
        // What is left of its labels tells whose line it is.
        let why: Refused = "is not UTF-8 text".to_owned();
        return Err(match text::line(&String::from_utf8_lossy(bytes), unit) {
            Ok(Some(line)) => Odd { series: OddSeries::Known(line.labels), why },
            Ok(None) => return Ok(None),
            Err(odd) => Odd { why, ..odd },
        });
    };
    let Some(line) = text::line(read, unit)? else { return Ok(None) };
    match line.at.map(|time| dated(time, at)).transpose() {
        Ok(at) => Ok(Some(Line { at, ..line })),
        Err(why) => Err(Odd { series: OddSeries::Known(line.labels), why }),
    }
}

/// The time of a sample, Unix milliseconds, if it can be meant.
fn dated(time: u64, now: UnixMillis) -> Result<u64, Refused> {
    if UnixMillis(time) > now && time - now.0 <= AHEAD_MAX.0 {
        return Ok(now.0);
    }
    if (time <= now.0 && now.0 - time <= AWAY_MAX.0) || time == now.0 {
        return Ok(time);
    }
    let near = |time: u64| time.abs_diff(now.0) <= AWAY_MAX.0;
    let unit = if near(time.saturating_mul(1_000)) {
        ": it seems to be in seconds"
    } else if near(time / 1_000) {
        ": it seems to be in microseconds"
    } else if near(time / 1_000_000) {
        ": it seems to be in nanoseconds"
    } else {
        ""
    };
    Err(format!("has the time `{time}`, which is far from now{unit}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_795_373_541_000;
    const TEXT: Option<&str> = Some("text/plain; version=0.0.4");
    const OPEN: Option<&str> = Some("application/openmetrics-text; version=1.0.0; charset=utf-8");

    fn page(body: impl AsRef<[u8]>, content_type: Option<&str>) -> Page {
        let mut body = body.as_ref().to_vec();
        if content_type == OPEN && !body.ends_with(b"# EOF") {
            body.extend_from_slice(b"\n# EOF\n");
        }
        read(&body, content_type, UnixMillis(NOW), 1_000).unwrap()
    }

    #[test]
    fn a_page_that_was_cut_off_on_the_way_is_none() {
        for body in ["requests_total 1000 1795373540\n", "", "requests_total 1000\n# EO"] {
            let why = read(body.as_bytes(), OPEN, UnixMillis(NOW), 10).unwrap_err().to_string();
            assert!(why.contains("does not end in `# EOF`"), "{body}: {why}");
        }
        for named in ["Application/OpenMetrics-Text; version=1.0.0", " application/openmetrics-text"] {
            assert!(read(b"requests_total 1000\n", Some(named), UnixMillis(NOW), 10).is_err(), "{named}");
        }
    }

    #[test]
    fn times_are_of_the_format_that_the_page_is_in() {
        for (body, content_type, expected) in [
            ("a 1 1795373540000", TEXT, Some(NOW - 1_000)),
            ("a 1 1795373540", OPEN, Some(NOW - 1_000)),
            ("a 1 1795373540.477", OPEN, Some(NOW - 523)),
            ("a 1 1.79537354e9", OPEN, Some(NOW - 1_000)),
            ("a 1 1795373540 # {trace=\"x\"} 1 1795373540.1", OPEN, Some(NOW - 1_000)),
            ("a 1 # {trace=\"x\"} 1 1795373540.1", OPEN, None),
            // Not named, but it ends as OpenMetrics does.
            ("a 1 1795373540\n# EOF", TEXT, Some(NOW - 1_000)),
            ("a 1 1795373540\r\n# EOF\r\n", None, Some(NOW - 1_000)),
            // The exporter's clock is ahead.
            ("a 1 1795373543000", TEXT, Some(NOW)),
        ] {
            let page = page(body, content_type);
            assert_eq!((page.lines.len(), page.odd.len()), (1, 0), "{body}: {:?}", page.odd);
            assert_eq!(page.lines[0].at, expected, "{body}");
        }
    }

    #[test]
    fn a_time_that_cannot_be_meant_makes_its_series_odd_and_no_other() {
        for (body, content_type, expected) in [
            ("a 1 1795373540", TEXT, "seems to be in seconds"),
            ("a 1 1795373540000000", TEXT, "seems to be in microseconds"),
            ("a 1 1795373540000000000", TEXT, "seems to be in nanoseconds"),
            ("a 1 12", TEXT, "far from now"),
            ("a 1 1795374540000", TEXT, "far from now"),
            ("a 1 1795373540.5", TEXT, "which is none"),
            ("a 1 -5", TEXT, "which is none"),
            ("a 1 1795373540000", OPEN, "far from now"),
            ("a 1 soon", OPEN, "which is none"),
            ("a 1 NaN", OPEN, "which is none"),
        ] {
            let page = page(format!("{body}\nb 2\n"), content_type);
            assert_eq!(page.lines.len(), 1, "{body}");
            assert_eq!(page.lines[0].labels[0].value, "b");
            let [odd] = &page.odd[..] else { panic!("{body}: {:?}", page.odd) };
            assert!(odd.why.contains(expected) && odd.why.starts_with("line 1 "), "{body}: {}", odd.why);
        }
    }

    #[test]
    fn one_odd_line_is_told_and_the_rest_is_read() {
        for odd in [
            b"a{b=\"c} 1".as_slice(),
            b"a{b=\"\xff\"} 1",
            b"a b",
            b"a",
            b"a{b=\"1\",b=\"2\"} 1",
            b"a 1 2 3",
            b"<html>",
            b"a{b=c} 1",
        ] {
            let body = [b"x 1\n", odd, b"\ny{path=\"C:\\models\\fraud\\1.4.0\"} 2\nz 3\n"].concat();
            let page = page(&body, TEXT);
            let what = String::from_utf8_lossy(odd);
            assert_eq!(page.lines.len(), 3, "{what}: {page:?}");
            assert!(page.odd.len() == 1 && page.odd[0].why.starts_with("line 2 "), "{what}: {page:?}");
        }
    }

    #[test]
    fn a_series_that_is_there_twice_counts_once_and_with_two_values_not_at_all() {
        let twice = page("a{b=\"1\",c=\"2\"} 40\na{c=\"2\",b=\"1\"} 40\na{b=\"2\"} 1\n", TEXT);
        assert_eq!((twice.lines.len(), twice.odd.len()), (2, 0));
        assert_eq!(page("a NaN\na NaN\n", TEXT).lines.len(), 1);
        for conflicting in [
            "a{b=\"1\"} 1\na{b=\"1\"} 90\nc 1\n",
            "a{b=\"1\"} 1\na{b=\"1\"} 1 1795373540000\nc 1\na{b=\"1\"} 2\n",
        ] {
            let page = page(conflicting, TEXT);
            assert_eq!((page.lines.len(), page.odd.len()), (1, 1), "{page:?}");
            assert!(page.odd[0].why.contains("`a{b=\"1\"}` is there twice"), "{}", page.odd[0].why);
        }
    }

    #[test]
    fn what_is_no_page_at_all_is_refused() {
        for body in ["<html>\n<body>log in</body>\n", "{\"error\":\"no\"}", &"odd\n".repeat(200)] {
            let why = read(body.as_bytes(), None, UnixMillis(NOW), 10).unwrap_err().to_string();
            assert!(why.contains("is not a page of metrics"), "{body}: {why}");
        }
        let mostly = format!("a 1\n{}", "odd\n".repeat(200));
        assert!(read(mostly.as_bytes(), None, UnixMillis(NOW), 10).is_err());
        assert!(matches!(read(b"a 1\nb 2\nc 3\n", None, UnixMillis(NOW), 2), Err(NoPage::TooMany)));
        assert!(page("", TEXT).lines.is_empty());
    }
}
