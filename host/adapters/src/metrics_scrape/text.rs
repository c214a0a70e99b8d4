//! The text of series: `name{label="value"}`, as the Prometheus exposition format 0.0.4 and plain selectors write it.
//!
//! A reader of our own, because the crates that there are do not do: `prometheus-parse` 0.2.5 drops, without a word, lines whose label
//! values hold `}` (such as the routes that MLServer reports) and labels whose values hold `,` or `=`; `openmetrics-parser` 0.5.1 is under the
//! LGPL, refuses a whole page if series of one name have different labels, which the format allows, and loses the text of `le`.

use ripcord_core::signal::Label;

/// The label under which a series' name is kept, as Prometheus does.
pub(crate) const NAME: &str = "__name__";

/// What is not the text of a series: a sentence.
pub(crate) type Refused = String;

/// One line of a page of metrics.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Line {
    /// Sorted by name, the series' name among them.
    pub(crate) labels: Vec<Label>,
    pub(crate) value: f64,
    /// Unix milliseconds, where the page says so.
    pub(crate) at: Option<u64>,
}

/// What is known of the series of a line that cannot be read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum OddSeries {
    /// Its labels, sorted by name, the series' name among them.
    Known(Vec<Label>),
    /// Its name.
    Named(String),
    /// Nothing.
    Unknown,
}

/// A line that cannot be read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Odd {
    pub(crate) series: OddSeries,
    /// The rest of a sentence that begins with the line.
    pub(crate) why: Refused,
}

impl Odd {
    /// Whether its series is known to be this one.
    pub(super) fn is(&self, labels: &[Label]) -> bool {
        matches!(&self.series, OddSeries::Known(known) if known == labels)
    }
}

/// In what times are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimeUnit {
    /// Whole milliseconds.
    Millis,
    /// Seconds, possibly with a fraction.
    Seconds,
}

/// How a selector compares a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Unequal,
}

/// One part of a selector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Matcher {
    pub(super) label: Label,
    pub(super) comparison: Comparison,
}

/// A plain series selector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Selector(Vec<Matcher>);

impl Selector {
    /// Reads `name{label="value",other!="x"}`. Anything that Prometheus would have to compute is refused.
    pub(super) fn parse(query: &str) -> Result<Self, Refused> {
        let refused = |why: &str| {
            format!(
                "`{}` {why}: a scraped source only selects series, as in `name{{label=\"value\",other!=\"x\"}}`; configure a Prometheus for more",
                query.chars().take(200).collect::<String>()
            )
        };
        let mut reader = Reader { left: query.trim() };
        let matchers = reader.series().map_err(|why| refused(&why))?;
        if !reader.left.is_empty() {
            return Err(refused("is more than a selection of series"));
        }
        if !matchers.iter().any(|m| m.comparison == Comparison::Equal && !m.label.value.is_empty()) {
            return Err(refused("selects by nothing that a series has"));
        }
        Ok(Self(matchers))
    }

    /// Whether it may select the series of a line that cannot be read. Where only the name is known, that must not fit.
    pub(super) fn may_select(&self, odd: &Odd) -> bool {
        let mut names = self.0.iter().filter(|matcher| matcher.label.name == NAME);
        match &odd.series {
            OddSeries::Known(labels) => self.selects(labels),
            OddSeries::Named(name) => names
                .all(|matcher| (matcher.label.value == *name) == (matcher.comparison == Comparison::Equal)),
            OddSeries::Unknown => !names.any(|matcher| matcher.comparison == Comparison::Equal),
        }
    }

    /// Whether it selects the series with these labels. A label that is absent is empty.
    pub(super) fn selects(&self, labels: &[Label]) -> bool {
        self.0.iter().all(|matcher| {
            let found = labels.iter().find(|label| label.name == matcher.label.name);
            let equal = found.map_or("", |label| &label.value) == matcher.label.value;
            equal == (matcher.comparison == Comparison::Equal)
        })
    }
}

/// Reads a line of a page; none for comments and empty lines.
pub(crate) fn line(text: &str, unit: TimeUnit) -> Result<Option<Line>, Odd> {
    let text = text.trim();
    if text.is_empty() || text.starts_with('#') {
        return Ok(None);
    }
    let mut reader = Reader { left: text };
    let labels = series(&mut reader).map_err(|why| {
        let name = Reader { left: text }.word(|c| c.is_ascii_alphabetic() || c == '_' || c == ':');
        let series = name.map_or(OddSeries::Unknown, |name| OddSeries::Named(name.to_owned()));
        Odd { series, why }
    })?;
    match sample(reader.left, unit) {
        Ok((value, at)) => Ok(Some(Line { labels, value, at })),
        Err(why) => Err(Odd { series: OddSeries::Known(labels), why }),
    }
}

fn series(reader: &mut Reader<'_>) -> Result<Vec<Label>, Refused> {
    let mut labels = Vec::new();
    for matcher in reader.series()? {
        if matcher.comparison != Comparison::Equal {
            return Err("compares a label with `!=`".to_owned());
        }
        labels.push(matcher.label);
    }
    labels.sort();
    if !labels.iter().any(|label| label.name == NAME) {
        return Err("has no name".to_owned());
    }
    if labels.windows(2).any(|pair| pair[0].name == pair[1].name) {
        return Err("has a label twice".to_owned());
    }
    Ok(labels)
}

/// A value and its time, Unix milliseconds.
fn sample(text: &str, unit: TimeUnit) -> Result<(f64, Option<u64>), Refused> {
    let mut words = text.split_ascii_whitespace();
    let value = words.next().ok_or("has no value")?;
    let value = value.parse().map_err(|_| format!("has the value `{value}`, which is no number"))?;
    let at = match words.next() {
        // What follows `#` is an exemplar.
        None | Some("#") => return Ok((value, None)),
        Some(time) => time_of(time, unit).ok_or_else(|| format!("has the time `{time}`, which is none"))?,
    };
    match words.next() {
        None | Some("#") => Ok((value, Some(at))),
        Some(more) => Err(format!("has `{more}` after its time")),
    }
}

fn time_of(text: &str, unit: TimeUnit) -> Option<u64> {
    match unit {
        TimeUnit::Millis => text.parse().ok(),
        TimeUnit::Seconds => {
            let seconds: f64 = text.parse().ok()?;
            // Instants are far below 2^53 milliseconds; larger ones saturate.
            (seconds.is_finite() && seconds >= 0.0).then(|| (seconds * 1_000.0).round() as u64)
        }
    }
}

/// A series for people.
pub(super) fn shown(labels: &[Label]) -> String {
    let name = labels.iter().find(|label| label.name == NAME).map(|label| label.value.as_str());
    let others = labels.iter().filter(|label| label.name != NAME);
    let others: Vec<_> = others.map(|label| format!("{}=\"{}\"", label.name, label.value)).collect();
    format!("{}{{{}}}", name.unwrap_or_default(), others.join(",")).chars().take(300).collect()
}

struct Reader<'a> {
    left: &'a str,
}

impl<'a> Reader<'a> {
    /// `name`, `name{…}` or `{…}`; in braces a quoted text without a comparison is the name.
    fn series(&mut self) -> Result<Vec<Matcher>, Refused> {
        let mut matchers = Vec::new();
        if let Some(name) = self.word(|c| c.is_ascii_alphabetic() || c == '_' || c == ':') {
            matchers.push(equal(NAME, name));
        }
        if !self.take("{") {
            return if matchers.is_empty() {
                Err("does not begin with a name".to_owned())
            } else {
                Ok(matchers)
            };
        }
        while !self.take("}") {
            matchers.push(self.matcher()?);
            if !self.take(",") && !self.left.starts_with('}') {
                return Err("has something other than `,` or `}` after a label".to_owned());
            }
        }
        self.skip_space();
        Ok(matchers)
    }

    fn matcher(&mut self) -> Result<Matcher, Refused> {
        self.skip_space();
        if self.left.starts_with('"') {
            let text = self.quoted()?;
            return Ok(match self.comparison() {
                Some(comparison) => Matcher { label: Label::new(text, self.quoted()?), comparison },
                None => equal(NAME, &text),
            });
        }
        let Some(name) = self.word(|c| c.is_ascii_alphabetic() || c == '_') else {
            return Err("has something other than a label between its braces".to_owned());
        };
        let comparison = self
            .comparison()
            .ok_or_else(|| format!("does not compare the label `{name}` with `=` or `!=`"))?;
        Ok(Matcher { label: Label::new(name, self.quoted()?), comparison })
    }

    fn comparison(&mut self) -> Option<Comparison> {
        self.skip_space();
        if self.left.starts_with("=~") {
            None
        } else if self.take("!=") {
            Some(Comparison::Unequal)
        } else if self.take("=") {
            Some(Comparison::Equal)
        } else {
            None
        }
    }

    fn word(&mut self, first: impl Fn(char) -> bool) -> Option<&'a str> {
        self.skip_space();
        if !self.left.starts_with(&first) {
            return None;
        }
        let end = self.left.find(|c: char| !first(c) && !c.is_ascii_digit()).unwrap_or(self.left.len());
        let (word, left) = self.left.split_at(end);
        self.left = left;
        Some(word)
    }

    fn quoted(&mut self) -> Result<String, Refused> {
        self.skip_space();
        let mut chars = self.left.char_indices();
        if chars.next().map(|(_, c)| c) != Some('"') {
            return Err("has a value without quotes".to_owned());
        }
        let mut text = String::new();
        while let Some((index, c)) = chars.next() {
            match c {
                '"' => {
                    self.left = &self.left[index + 1..];
                    return Ok(text);
                }
                '\\' => match chars.next() {
                    Some((_, 'n')) => text.push('\n'),
                    Some((_, c @ ('\\' | '"'))) => text.push(c),
                    // An escape that Prometheus does not know stays as it stands, as there: exporters forget to escape paths.
                    Some((_, c)) => text.extend(['\\', c]),
                    None => break,
                },
                c => text.push(c),
            }
        }
        Err("has a value without an end".to_owned())
    }

    fn take(&mut self, token: &str) -> bool {
        self.skip_space();
        match self.left.strip_prefix(token) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }

    fn skip_space(&mut self) {
        self.left = self.left.trim_start();
    }
}

fn equal(name: &str, value: &str) -> Matcher {
    Matcher { label: Label::new(name, value), comparison: Comparison::Equal }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn labels(pairs: &[(&str, &str)]) -> Vec<Label> {
        let mut labels: Vec<_> = pairs.iter().map(|(name, value)| Label::new(*name, *value)).collect();
        labels.sort();
        labels
    }

    #[test]
    fn lines_of_real_servers() {
        let check = |text: &str, expected: &[(&str, &str)], value: f64, at: Option<u64>| {
            let read = line(text, TimeUnit::Millis).unwrap().unwrap();
            assert_eq!((read.labels, read.value, read.at), (labels(expected), value, at), "{text}");
        };
        check("up 1", &[(NAME, "up")], 1.0, None);
        check("job:errors:rate5m{} 0.5", &[(NAME, "job:errors:rate5m")], 0.5, None);
        check(
            r#"rest_server_requests_total{method="POST",path="/v2/models/{model_name}/infer",} 3.0 1395066363000"#,
            &[
                (NAME, "rest_server_requests_total"),
                ("method", "POST"),
                ("path", "/v2/models/{model_name}/infer"),
            ],
            3.0,
            Some(1_395_066_363_000),
        );
        check(
            r#"m { a = "x=y,z" , b = "C:\\D \"E\"\n" } +Inf"#,
            &[(NAME, "m"), ("a", "x=y,z"), ("b", "C:\\D \"E\"\n")],
            f64::INFINITY,
            None,
        );
        check(r#"{"my.metric",le="0.1"} 2"#, &[(NAME, "my.metric"), ("le", "0.1")], 2.0, None);
        check(r#"h_bucket{le="1"} 2 # {trace="x"} 0.5"#, &[(NAME, "h_bucket"), ("le", "1")], 2.0, None);
        assert!(line("x NaN", TimeUnit::Millis).unwrap().unwrap().value.is_nan());
        for comment in ["", "  ", "# HELP a b", "#", "# EOF"] {
            assert_eq!(line(comment, TimeUnit::Millis), Ok(None));
        }
    }

    #[test]
    fn other_lines_are_refused_with_the_reason() {
        for (text, expected) in [
            ("<html>", "does not begin with a name"),
            ("a", "no value"),
            ("a b", "`b`"),
            ("a 1 b", "`b`"),
            ("a{b=\"c} 1", "without an end"),
            ("a{b=c} 1", "without quotes"),
            ("a 1 2 3", "`3` after its time"),
            ("a{b=\"1\",b=\"2\"} 1", "twice"),
            ("a{b!=\"1\"} 1", "!="),
            ("a{b=\"1\" c=\"2\"} 1", "other than `,`"),
            ("{b=\"1\"} 1", "no name"),
        ] {
            let why = line(text, TimeUnit::Millis).unwrap_err().why;
            assert!(why.contains(expected), "{text}: {why}");
        }
    }

    #[test]
    fn an_escape_that_is_none_stays_as_it_stands() {
        for (written, read_as) in [
            (r"C:\models\fraud\1.4.0", r"C:\models\fraud\1.4.0"),
            (r"^/api/\d+\.json$", r"^/api/\d+\.json$"),
            (r"a\\b", r"a\b"),
            (r"\new", "\new"),
        ] {
            let read = line(&format!("a{{p=\"{written}\"}} 1"), TimeUnit::Millis).unwrap().unwrap();
            assert_eq!(read.labels[1].value, read_as, "{written}");
        }
    }

    #[test]
    fn an_odd_line_is_of_the_series_that_it_may_be_of() {
        for (text, query, expected) in [
            ("a{b=\"1\"} many", "a", true),
            ("a{b=\"1\"} many", "a{b=\"1\"}", true),
            ("a{b=\"1\"} many", "a{b=\"2\"}", false),
            ("a{b=\"1} 1", "a{b=\"2\"}", true),
            ("a{b=\"1} 1", "c", false),
            ("a{b=\"1} 1", "{b=\"2\"}", true),
            ("<html>", "a", false),
            ("<html>", "{b=\"2\"}", true),
            ("{b=\"2\"} 1", "{__name__!=\"a\",b=\"2\"}", true),
        ] {
            let odd = line(text, TimeUnit::Millis).unwrap_err();
            assert_eq!(Selector::parse(query).unwrap().may_select(&odd), expected, "{text}: {query}");
        }
    }

    #[test]
    fn selectors_select_by_equal_and_unequal() {
        let series = labels(&[(NAME, "requests"), ("code", "200"), ("model", "fraud")]);
        for (query, expected) in [
            ("requests", true),
            (" requests{} ", true),
            ("other", false),
            ("requests{code=\"200\"}", true),
            ("requests{code=\"500\"}", false),
            ("requests{code!=\"500\",model=\"fraud\"}", true),
            ("requests{code!=\"200\"}", false),
            ("requests{absent=\"\"}", true),
            ("requests{absent!=\"\"}", false),
            ("{__name__=\"requests\"}", true),
        ] {
            assert_eq!(Selector::parse(query).unwrap().selects(&series), expected, "{query}");
        }
    }

    #[test]
    fn what_would_have_to_be_computed_is_refused() {
        for query in [
            "",
            "rate(requests[5m])",
            "requests[5m]",
            "a + b",
            "requests offset 5m",
            "sum(requests)",
            "requests > 1",
            "requests{code=~\"5..\"}",
            "requests{code!~\"5..\"}",
            "{code!=\"\"}",
            "{}",
            "1",
        ] {
            let why = Selector::parse(query).unwrap_err();
            assert!(why.contains("only selects series"), "{query}: {why}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(name in "[a-zA-Z_:][a-zA-Z0-9_:]{0,9}", value in ".*", number: f64) {
            let escaped = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let read = line(&format!("{name}{{l=\"{escaped}\"}} {number}"), TimeUnit::Millis).unwrap().unwrap();
            prop_assert_eq!(read.labels, labels(&[(NAME, &name), ("l", &value)]));
            prop_assert_eq!(read.value, number);
        }

        #[test]
        fn no_text_breaks_the_reader(text in ".*") {
            let _ = line(&text, TimeUnit::Millis);
            let _ = line(&text, TimeUnit::Seconds);
            let _ = Selector::parse(&text);
        }
    }
}
