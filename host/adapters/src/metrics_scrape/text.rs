//! The text of series: `name{label="value"}`, as the Prometheus exposition format 0.0.4 and plain selectors write it.
//!
//! A reader of our own, because the crates that there are do not do: `prometheus-parse` 0.2.5 drops, without a word, lines whose label
//! values hold `}` (such as the routes that MLServer reports) and labels whose values hold `,` or `=`; `openmetrics-parser` 0.5.1 is under the
//! LGPL, refuses a whole page if series of one name have different labels, which the format allows, and loses the text of `le`.

use ripcord_core::signal::Label;

/// The label under which a series' name is kept, as Prometheus does.
pub(super) const NAME: &str = "__name__";

/// What is not the text of a series: a sentence.
pub(super) type Refused = String;

/// One line of a page of metrics.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    /// Sorted by name, the series' name among them.
    pub(super) labels: Vec<Label>,
    pub(super) value: f64,
    /// Unix milliseconds, where the page says so.
    pub(super) at: Option<u64>,
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
pub(super) fn line(text: &str) -> Result<Option<Line>, Refused> {
    let text = text.trim();
    if text.is_empty() || text.starts_with('#') {
        return Ok(None);
    }
    let mut reader = Reader { left: text };
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
    let mut words = reader.left.split_ascii_whitespace();
    let value = words.next().ok_or("has no value")?;
    let value = value.parse().map_err(|_| format!("has the value `{value}`, which is no number"))?;
    let at = match words.next() {
        // What follows `#` is an exemplar.
        None | Some("#") => None,
        Some(time) => Some(time.parse::<u64>().map_err(|_| format!("has the time `{time}`, which is none"))?),
    };
    Ok(Some(Line { labels, value, at }))
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
                    _ => return Err("has an unknown escape in a value".to_owned()),
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
            let read = line(text).unwrap().unwrap();
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
        assert!(line("x NaN").unwrap().unwrap().value.is_nan());
        for comment in ["", "  ", "# HELP a b", "#", "# EOF"] {
            assert_eq!(line(comment), Ok(None));
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
            ("a{b=\"\\x\"} 1", "escape"),
            ("a{b=\"1\",b=\"2\"} 1", "twice"),
            ("a{b!=\"1\"} 1", "!="),
            ("a{b=\"1\" c=\"2\"} 1", "other than `,`"),
            ("{b=\"1\"} 1", "no name"),
        ] {
            let why = line(text).unwrap_err();
            assert!(why.contains(expected), "{text}: {why}");
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
            let read = line(&format!("{name}{{l=\"{escaped}\"}} {number}")).unwrap().unwrap();
            prop_assert_eq!(read.labels, labels(&[(NAME, &name), ("l", &value)]));
            prop_assert_eq!(read.value, number);
        }

        #[test]
        fn no_text_breaks_the_reader(text in ".*") {
            let _ = line(&text);
            let _ = Selector::parse(&text);
        }
    }
}
