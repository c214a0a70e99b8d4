//! How far back a query's value tells, and the same query over a shorter time.
//!
//! The value of `rate(errors_total[30m])` tells of the last thirty minutes, whoever was live in them. What is written in the query is read
//! here: ranges, subqueries and `offset`, and the window that a recorded rule has in its name by convention (`job:errors:ratio_rate5m`).

use crate::{Duration, hours, millis};

/// How far back a query's value tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// So far, seen from the instant that it is asked about.
    Over(Duration),
    /// The query does not show it: a recorded rule without a window in its name, or an instant of its own (`@`).
    Unseen,
}

/// What [`Reach::Unseen`] is taken for where nothing else is configured.
pub const UNSEEN: Duration = hours(1);

/// What a query is made of, as far as time is concerned.
struct Scan<'q> {
    /// None is unseen.
    reach: Option<Duration>,
    /// The ranges as they are written, with their lengths; where they lie in the text.
    ranges: Vec<(std::ops::Range<usize>, Duration)>,
    /// Whether each value tells of just the longest of the ranges: no subquery, no `offset`, no `@`, no recorded rule.
    plain: bool,
    /// A function whose value grows with its range, such as `increase`.
    counts: bool,
    divides: bool,
    query: &'q str,
}

impl Reach {
    /// Of this query.
    pub fn of(query: &str) -> Self {
        Scan::of(query).reach.map_or(Self::Unseen, Self::Over)
    }
}

/// The query with every range longer than `to` cut to `to`, so that its value tells only of that time. None where this cannot be said of the
/// result: a recorded rule has its own window, `offset` and subqueries reach farther.
pub fn shortened(query: &str, to: Duration) -> Option<String> {
    let scan = Scan::of(query);
    if !scan.plain || to.is_zero() {
        return None;
    }
    let mut shorter = String::with_capacity(query.len());
    let mut from = 0;
    for (place, length) in scan.ranges.into_iter().filter(|(_, length)| *length > to) {
        debug_assert!(length > to);
        shorter.push_str(&query[from..place.start]);
        shorter.push_str(&to.to_string());
        from = place.end;
    }
    shorter.push_str(&query[from..]);
    Some(shorter)
}

/// Whether the value is a number of events that is smaller over a shorter range, and not divided by another.
pub fn counts(query: &str) -> bool {
    let scan = Scan::of(query);
    scan.counts && !scan.divides
}

/// Functions whose value grows with their range.
const COUNTING: [&str; 9] = [
    "increase",
    "increase_pure",
    "delta",
    "changes",
    "resets",
    "sum_over_time",
    "count_over_time",
    "integrate",
    "increases_over_time",
];

/// An expression within parentheses: the farthest reach of what is finished, and that of what was read last, to which a range still adds.
#[derive(Default)]
struct Frame {
    farthest: Duration,
    last: Duration,
}

impl Frame {
    fn next(&mut self, reach: Duration) {
        self.farthest = self.farthest.max(self.last);
        self.last = reach;
    }

    fn whole(&self) -> Duration {
        self.farthest.max(self.last)
    }
}

impl<'q> Scan<'q> {
    fn of(query: &'q str) -> Self {
        let mut scan = Self {
            reach: Some(Duration::ZERO),
            ranges: Vec::new(),
            plain: true,
            counts: false,
            divides: false,
            query,
        };
        let mut frames = vec![Frame::default()];
        let bytes = query.as_bytes();
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            // There is always one: a closing parenthesis too many takes none away.
            let Some(frame) = frames.last_mut() else { break };
            at = match byte {
                b'"' | b'\'' | b'`' => end_of_text(bytes, at),
                b'#' => bytes[at..].iter().position(|b| *b == b'\n').map_or(bytes.len(), |n| at + n),
                b'{' => {
                    let end = end_of_matchers(bytes, at);
                    scan.names_in_matchers(at..end, frame);
                    end
                }
                b'[' => {
                    let end = bytes[at..].iter().position(|b| *b == b']').map_or(bytes.len(), |n| at + n);
                    scan.range(at + 1..end, frame);
                    end + 1
                }
                b'(' => {
                    frames.push(Frame::default());
                    at + 1
                }
                b')' => {
                    if frames.len() > 1
                        && let Some(inner) = frames.pop()
                        && let Some(outer) = frames.last_mut()
                    {
                        outer.next(inner.whole());
                    }
                    at + 1
                }
                b'@' => {
                    scan.unseen();
                    at + 1
                }
                b'/' => {
                    scan.divides = true;
                    at + 1
                }
                byte if byte.is_ascii_alphabetic() || byte == b'_' || byte == b':' => {
                    let end = end_of_name(bytes, at);
                    match &query[at..end] {
                        "offset" => scan.offset(end, frame),
                        name => {
                            scan.name(name, bytes.get(end) == Some(&b'('), frame);
                            end
                        }
                    }
                }
                byte if byte.is_ascii_digit() => {
                    frame.next(Duration::ZERO);
                    end_of_name(bytes, at)
                }
                _ => at + 1,
            };
        }
        let whole = frames.iter().map(Frame::whole).max().unwrap_or_default();
        scan.reach = scan.reach.map(|_| whole);
        scan
    }

    fn unseen(&mut self) {
        (self.reach, self.plain) = (None, false);
    }

    fn name(&mut self, name: &str, called: bool, frame: &mut Frame) {
        self.counts |= called && COUNTING.contains(&name);
        frame.next(Duration::ZERO);
        if name.contains(':') {
            self.plain = false;
            match window_in_name(name) {
                Some(window) => frame.last = window,
                None => self.unseen(),
            }
        }
    }

    /// A selector may have its name among its matchers: `{__name__="job:errors:ratio"}`, `{"job:errors:ratio"}`.
    fn names_in_matchers(&mut self, place: std::ops::Range<usize>, frame: &mut Frame) {
        let text = &self.query[place];
        let named = |part: &str| -> Option<String> {
            let part = part.trim();
            let (label, value) = part.split_once('=').map_or(("__name__", part), |(l, v)| (l.trim(), v));
            let value = value.trim_matches(|c: char| c.is_whitespace() || "~\"'`".contains(c));
            (label == "__name__" && value.contains(':')).then(|| value.to_owned())
        };
        let inside = text.trim_start_matches('{').trim_end_matches('}');
        if let Some(name) = inside.split(',').find_map(named) {
            self.name(&name, false, frame);
        }
    }

    fn range(&mut self, place: std::ops::Range<usize>, frame: &mut Frame) {
        let text = &self.query[place.clone()];
        let (range, is_subquery) = text.split_once(':').map_or((text, false), |(range, _)| (range, true));
        self.plain &= !is_subquery;
        match duration(range) {
            Some(length) => {
                frame.last = frame.last + length;
                self.ranges.push((place, length));
            }
            None => self.unseen(),
        }
    }

    /// Where what follows `offset` ends. A negative one looks ahead, and reaches back no farther.
    fn offset(&mut self, from: usize, frame: &mut Frame) -> usize {
        self.plain = false;
        let rest = &self.query[from..];
        let text = rest.trim_start();
        let length = text.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'-').count();
        match (text.starts_with('-'), duration(&text[..length])) {
            (true, _) => {}
            (false, Some(offset)) => frame.last = frame.last + offset,
            (false, None) => self.unseen(),
        }
        from + (rest.len() - text.len()) + length
    }
}

fn end_of_text(bytes: &[u8], from: usize) -> usize {
    let quote = bytes[from];
    let mut at = from + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' if quote != b'`' => at += 2,
            byte if *byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn end_of_matchers(bytes: &[u8], from: usize) -> usize {
    let mut at = from + 1;
    while let Some(byte) = bytes.get(at) {
        at = match byte {
            b'"' | b'\'' | b'`' => end_of_text(bytes, at),
            b'}' => return at + 1,
            _ => at + 1,
        };
    }
    bytes.len()
}

fn end_of_name(bytes: &[u8], from: usize) -> usize {
    let is_of_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':' | b'.');
    bytes[from..].iter().position(|byte| !is_of_name(byte)).map_or(bytes.len(), |length| from + length)
}

/// `5m`, `1h30m`, or a number of seconds.
fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        return (seconds >= 0.0).then(|| millis((seconds * 1_000.0) as u64));
    }
    let mut rest = text;
    let mut whole = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let (name, unit) = UNITS.iter().find(|(name, _)| rest.starts_with(name))?;
        whole = whole + millis(number.checked_mul(*unit)?);
        rest = &rest[name.len()..];
    }
    (!text.is_empty()).then_some(whole)
}

/// As PromQL has them; `ms` before `m`.
const UNITS: [(&str, u64); 7] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
    ("w", 604_800_000),
    ("y", 31_536_000_000),
];

/// The window at the end of a recorded rule's name: `job:errors:ratio_rate5m`, `slo:burn:1h`.
fn window_in_name(name: &str) -> Option<Duration> {
    let unit = name.bytes().rev().take_while(u8::is_ascii_alphabetic).count();
    let digits = name[..name.len() - unit].bytes().rev().take_while(u8::is_ascii_digit).count();
    let window = &name[name.len() - unit - digits..];
    (digits > 0 && unit > 0).then(|| duration(window))?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{days, minutes, seconds};

    #[test]
    fn a_query_tells_as_far_back_as_its_ranges_and_offsets_reach() {
        for (query, reach) in [
            ("errors_total", Duration::ZERO),
            (r#"errors_total{path="/a[30m]"}"#, Duration::ZERO),
            ("up # rate(x[1h])", Duration::ZERO),
            ("rate(errors_total[5m])", minutes(5)),
            ("sum by (job) (rate(a[1h30m])) / sum(rate(b[5m]))", minutes(90)),
            ("rate(a[ 300 ])", minutes(5)),
            ("errors_total offset 10m", minutes(10)),
            ("rate(errors_total[5m] offset 1h)", minutes(65)),
            ("rate(errors_total[5m] offset -1h)", minutes(5)),
            ("max_over_time(rate(a[5m])[30m:1m])", minutes(35)),
            ("max_over_time((rate(a[5m]) > 0)[1h:] offset 5m) or vector(0)", minutes(70)),
            ("quantile_over_time(0.99, latency[1w])", days(7)),
            ("avg_over_time(g[90s])", seconds(90)),
            ("job:errors:ratio_rate5m", minutes(5)),
            (r#"slo:burn:1h{service="a"} > 0.99"#, hours(1)),
            (r#"{__name__="job:errors:rate30m", job="a"}"#, minutes(30)),
            ("max_over_time(job:errors:rate5m[30m])", minutes(35)),
        ] {
            assert_eq!(Reach::of(query), Reach::Over(reach), "{query}");
        }
    }

    #[test]
    fn what_a_query_does_not_show_is_said_to_be_unseen() {
        for query in [
            "job:errors:ratio",
            r#"{"job:errors:ratio"}"#,
            "job:errors:ratio / job:requests:rate5m",
            "rate(a[$__rate_interval])",
            "rate(a[5m] @ end())",
            "a offset $shift",
        ] {
            assert_eq!(Reach::of(query), Reach::Unseen, "{query}");
        }
        // Nonsense ends, too.
        for query in ["", "rate(a[5m", "((((", "))))", "\"", "{a=\"", "[", "offset"] {
            let _ = Reach::of(query);
        }
    }

    #[test]
    fn only_where_each_value_tells_of_a_range_it_is_shortened() {
        let to = |query| shortened(query, minutes(2));
        assert_eq!(to("rate(a[30m]) / rate(b[1m])").as_deref(), Some("rate(a[2m]) / rate(b[1m])"));
        assert_eq!(
            to("sum(increase(a{x=\"[9m]\"}[1h30m]))").as_deref(),
            Some("sum(increase(a{x=\"[9m]\"}[2m]))")
        );
        assert_eq!(to("errors_total").as_deref(), Some("errors_total"));
        for query in ["a[5m] offset 1h", "max_over_time(a[30m:1m])", "job:errors:rate30m", "rate(a[5m] @ 0)"]
        {
            assert_eq!(to(query), None, "{query}");
        }
        assert!(counts("sum(increase(a[30m]))") && !counts("increase(a[5m]) / increase(b[5m])"));
        assert!(!counts("rate(a[5m])"));
    }
}
