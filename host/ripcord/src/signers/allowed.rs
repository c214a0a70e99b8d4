//! A file of allowed signers, as `ssh-keygen` describes it: lines of principals, options and a key.
//!
//! Nothing of it is passed over in silence that is about a person of the configuration: a line that cannot be read, a certificate authority, or a kind of
//! key that is not taken is a mistake with its number.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use ripcord_core::time::UnixMillis;

use super::ssh::{SshKey, VOTE_NAMESPACE};
use super::{PublicKey, Signer};

/// A longer file is none.
pub const FILE_BYTES_MAX: u64 = 1 << 20;

/// One line that names a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Of the file, from one.
    pub number: usize,
    principals: Vec<Pattern>,
    /// The key with its dates, or why it cannot be taken.
    key: Result<Signer, String>,
}

/// What is wrong with a line, and who it is about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {number}: {what}")]
pub struct BadLine {
    /// From one.
    pub number: usize,
    /// For people.
    pub what: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern {
    text: String,
    negated: bool,
}

impl Line {
    /// Whether the line is about this principal: one of its patterns matches, and none that is negated.
    pub fn is_about(&self, principal: &str) -> bool {
        let matching = || self.principals.iter().filter(|pattern| matches(&pattern.text, principal));
        matching().next().is_some() && matching().all(|pattern| !pattern.negated)
    }

    /// Its key.
    ///
    /// # Errors
    /// It is not taken.
    pub fn signer(&self) -> Result<&Signer, BadLine> {
        self.key.as_ref().map_err(|what| BadLine { number: self.number, what: what.clone() })
    }
}

/// All lines that name a key for votes. A line for other namespaces alone is none of them.
///
/// # Errors
/// A line whose principals cannot be read: nobody knows who it is about.
pub fn lines(text: &str) -> Result<Vec<Line>, BadLine> {
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let (number, line) = (index + 1, line.trim());
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let bad = |what: &str| BadLine { number, what: what.to_owned() };
        let (principals, rest) = word(line).ok_or_else(|| bad("a quotation mark that is not closed"))?;
        let principals = principals.split(',').filter(|text| !text.is_empty()).map(Pattern::of).collect();
        let rest = rest.trim_start();
        match read(rest) {
            Ok(None) => {}
            Ok(Some(signer)) => found.push(Line { number, principals, key: Ok(signer) }),
            Err(what) => found.push(Line { number, principals, key: Err(what) }),
        }
    }
    Ok(found)
}

/// `[OPTIONS] TYPE BASE64 [COMMENT]`; none where it is for other namespaces.
fn read(rest: &str) -> Result<Option<Signer>, String> {
    if rest.is_empty() {
        return Err("a principal without a key".to_owned());
    }
    let first = rest.split_whitespace().next().unwrap_or_default();
    let (options, key) = if is_kind(first) {
        ("", rest)
    } else {
        let (options, key) = raw_word(rest).ok_or("a quotation mark that is not closed")?;
        (options, key.trim_start())
    };
    let options = Options::read(options)?;
    if !options.is_for_votes {
        return Ok(None);
    }
    let key = SshKey::parse(key).map_err(|error| error.to_string())?;
    let Options { valid_after, valid_before, .. } = options;
    if let (Some(after), Some(before)) = (valid_after, valid_before)
        && before < after
    {
        return Err("`valid-before` is before `valid-after`: the key would never count".to_owned());
    }
    Ok(Some(Signer { key: PublicKey::Ssh(key), valid_after, valid_before }))
}

/// Whether it is the name of a kind of key, and no option.
fn is_kind(word: &str) -> bool {
    ["ssh-", "ecdsa-", "sk-"].iter().any(|start| word.starts_with(start))
}

struct Options {
    is_for_votes: bool,
    valid_after: Option<UnixMillis>,
    valid_before: Option<UnixMillis>,
}

impl Options {
    fn read(text: &str) -> Result<Self, String> {
        let mut options = Self { is_for_votes: true, valid_after: None, valid_before: None };
        for option in separated(text) {
            let (name, value) = option.split_once('=').unwrap_or((option.as_str(), ""));
            let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
            match name.to_ascii_lowercase().as_str() {
                "" => {}
                "namespaces" => {
                    let patterns: Vec<_> = value.split(',').map(Pattern::of).collect();
                    let mut matching =
                        patterns.iter().filter(|pattern| matches(&pattern.text, VOTE_NAMESPACE)).peekable();
                    options.is_for_votes =
                        matching.peek().is_some() && matching.all(|pattern| !pattern.negated);
                }
                "valid-after" => options.valid_after = Some(instant(value)?),
                "valid-before" => options.valid_before = Some(instant(value)?),
                "cert-authority" => {
                    return Err("`cert-authority` is not taken: name each person's own key".to_owned());
                }
                other => return Err(format!("the option `{other}` is not known")),
            }
        }
        Ok(options)
    }
}

impl Pattern {
    fn of(text: &str) -> Self {
        let text = text.trim();
        match text.strip_prefix('!') {
            Some(rest) => Self { text: rest.to_owned(), negated: true },
            None => Self { text: text.to_owned(), negated: false },
        }
    }
}

/// `YYYYMMDD[HHMM[SS]]Z`.
fn instant(text: &str) -> Result<UnixMillis, String> {
    let bad = || format!("`{text}` is no time: write it as `20270131Z` or `20270131235959Z`");
    let Some(digits) = text.strip_suffix(['Z', 'z']) else {
        let is_time = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        return Err(if is_time {
            format!("`{text}` means another time on another machine: write it in UTC, with a `Z` at its end")
        } else {
            bad()
        });
    };
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) || ![8, 12, 14].contains(&digits.len()) {
        return Err(bad());
    }
    let part = |from: usize, to: usize| digits.get(from..to).map_or(Ok(0), str::parse::<i16>);
    let small = |from: usize, to: usize| part(from, to).ok().and_then(|value| i8::try_from(value).ok());
    let date = || Date::new(part(0, 4).ok()?, small(4, 6)?, small(6, 8)?).ok();
    let time = || Time::new(small(8, 10)?, small(10, 12)?, small(12, 14)?, 0).ok();
    let civil = DateTime::from_parts(date().ok_or_else(bad)?, time().ok_or_else(bad)?);
    let zoned = civil.to_zoned(TimeZone::UTC).map_err(|_| bad())?;
    u64::try_from(zoned.timestamp().as_millisecond()).map(UnixMillis).map_err(|_| bad())
}

/// The first word and what follows; a word in quotation marks may hold spaces.
fn word(text: &str) -> Option<(&str, &str)> {
    match text.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"'),
        None => Some(text.split_once(char::is_whitespace).unwrap_or((text, ""))),
    }
}

/// The same, where quotation marks may stand within a word, and a backslash before one makes it part of the text.
fn raw_word(text: &str) -> Option<(&str, &str)> {
    let (mut quoted, mut before) = (false, ' ');
    for (at, c) in text.char_indices() {
        match c {
            '"' if before != '\\' => quoted = !quoted,
            c if c.is_whitespace() && !quoted => return Some((&text[..at], &text[at..])),
            _ => {}
        }
        before = c;
    }
    (!quoted).then_some((text, ""))
}

/// Split at commas outside quotation marks.
fn separated(text: &str) -> Vec<String> {
    let (mut all, mut one, mut quoted) = (Vec::new(), String::new(), false);
    for c in text.chars() {
        match c {
            '"' => {
                quoted = !quoted;
                one.push(c);
            }
            ',' if !quoted => all.push(std::mem::take(&mut one)),
            c => one.push(c),
        }
    }
    all.push(one);
    all
}

/// OpenSSH's patterns: `*` is any text, `?` any one character.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // Where to go on after the last `*`, should the rest not fit.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == '?' || *c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match &mut star {
                Some((at, taken)) => {
                    *taken += 1;
                    (p, t) = (*at + 1, *taken);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti ada@laptop";

    fn one(line: &str) -> Result<Option<Signer>, String> {
        let lines = lines(line).map_err(|bad| bad.to_string())?;
        match lines.first() {
            None => Ok(None),
            Some(line) => line.signer().map(|signer| Some(signer.clone())).map_err(|bad| bad.to_string()),
        }
    }

    #[test]
    fn lines_say_who_when_and_what_for() {
        let plain = one(&format!("ada {KEY}")).expect("line").expect("a signer");
        assert_eq!((plain.valid_after, plain.valid_before), (None, None));
        let dated = format!(
            "ada namespaces=\"git,ripcord-*\",valid-after=\"20260101Z\",valid-before=\"20261231235959Z\" {KEY}"
        );
        let dated = one(&dated).expect("line").expect("a signer");
        assert_eq!(dated.key, plain.key);
        assert_eq!(dated.valid_after, Some(UnixMillis(1_767_225_600_000)));
        assert_eq!(dated.valid_before, Some(UnixMillis(1_798_761_599_000)));
        for other in ["namespaces=\"git\"", "namespaces=\"*,!ripcord-vote\"", "namespaces=\"file,git\""] {
            assert_eq!(one(&format!("ada {other} {KEY}")), Ok(None), "{other}");
        }
        assert_eq!(lines(&format!("\n# ada {KEY}\n   \n")).expect("lines"), []);
    }

    #[test]
    fn what_cannot_be_taken_is_said_with_its_line() {
        let table = [
            ("ada", "line 1: a principal without a key"),
            ("ada ssh-ed25519 AAAA", "line 1: it is no public key of OpenSSH"),
            (&format!("ada cert-authority {KEY}"), "`cert-authority` is not taken"),
            (&format!("ada sometimes {KEY}"), "the option `sometimes` is not known"),
            (&format!("ada valid-after=\"20260101\" {KEY}"), "write it in UTC, with a `Z`"),
            (&format!("ada valid-after=\"20261301Z\" {KEY}"), "is no time"),
            (&format!("ada valid-after=\"soon\" {KEY}"), "is no time"),
            (&format!("ada valid-after=\"20270101Z\",valid-before=\"20260101Z\" {KEY}"), "would never count"),
            (&format!("ada valid-after=\"20260101Z {KEY}"), "a quotation mark that is not closed"),
            (&format!("\"ada {KEY}"), "a quotation mark that is not closed"),
            ("ada ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQC7vbqajDhA", "it is no public key of OpenSSH"),
            (
                "ada ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
                "it is a weak key",
            ),
        ];
        for (line, wanted) in table {
            let said = one(line).expect_err(line);
            assert!(said.contains(wanted), "{line}: {said}");
        }
    }

    #[test]
    fn principals_are_patterns_and_one_that_is_negated_wins() {
        let about = |principals: &str, who: &str| {
            lines(&format!("{principals} {KEY}")).expect("line")[0].is_about(who)
        };
        for (principals, who, is_about) in [
            ("ada", "ada", true),
            ("ada", "Ada", false),
            ("bob,ada", "ada", true),
            ("*@example.com", "ada@example.com", true),
            ("*@example.com,!ada@*", "ada@example.com", false),
            ("!ada", "bob", false),
            ("a?a", "ada", true),
            ("a*a*a", "adabra", true),
            ("a*b", "ada", false),
            ("*", "", true),
            ("\"ada lovelace,bob\"", "ada lovelace", true),
        ] {
            assert_eq!(about(principals, who), is_about, "{principals} {who}");
        }
    }
}
