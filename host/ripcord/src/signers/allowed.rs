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

/// What parts words, and nothing else does.
const BLANKS: [char; 3] = [' ', '\t', '\r'];

/// One line that names a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Of the file, from one.
    pub number: usize,
    principals: Patterns,
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

/// Patterns of which one must match.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Patterns(Vec<Pattern>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern {
    text: String,
    negated: bool,
}

impl Line {
    /// Whether the line is about this principal: one of its patterns matches, and none that is negated.
    pub fn is_about(&self, principal: &str) -> bool {
        self.principals.match_one(principal)
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
        let (number, line) = (index + 1, line.trim_matches(BLANKS));
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let bad = |what: String| BadLine { number, what };
        let (principals, rest) = word(line)
            .ok_or_else(|| bad("a quotation mark that is not closed, or stands within a word".to_owned()))?;
        let principals = Patterns::of(principals).map_err(bad)?;
        let rest = rest.trim_start_matches(BLANKS);
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
    let first = rest.split(BLANKS).next().unwrap_or_default();
    let (options, key) = if is_kind(first) {
        ("", rest)
    } else {
        let (options, key) = raw_word(rest).ok_or("a quotation mark that is not closed")?;
        (options, key.trim_start_matches(BLANKS))
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
    /// As OpenSSH reads them: each once, each value between quotation marks, and nothing after a last comma.
    fn read(text: &str) -> Result<Self, String> {
        let mut options = Self { is_for_votes: true, valid_after: None, valid_before: None };
        let mut wrong = None;
        let mut seen = Vec::new();
        let all = if text.is_empty() { Vec::new() } else { separated(text) };
        for option in &all {
            let (name, value) = match option.split_once('=') {
                Some((name, value)) => (name.to_ascii_lowercase(), Some(value)),
                None => (option.to_ascii_lowercase(), None),
            };
            let bare = value.and_then(|value| value.strip_prefix('"')?.strip_suffix('"'));
            let said = match (name.as_str(), bare) {
                _ if seen.contains(&name) => Err(format!("the option `{name}` is there twice")),
                ("namespaces", Some(value)) => Patterns::of(value)
                    .map(|patterns| options.is_for_votes = patterns.match_one(VOTE_NAMESPACE)),
                ("valid-after", Some(value)) => instant(value).map(|at| options.valid_after = Some(at)),
                ("valid-before", Some(value)) => instant(value).map(|at| options.valid_before = Some(at)),
                ("namespaces" | "valid-after" | "valid-before", None) => {
                    Err(format!("the value of `{name}` belongs between quotation marks"))
                }
                ("cert-authority", _) => {
                    Err("`cert-authority` is not taken: name each person's own key".to_owned())
                }
                ("", _) => Err("an option is missing after a comma".to_owned()),
                (other, _) => Err(format!("the option `{other}` is not known")),
            };
            wrong = wrong.or(said.err());
            seen.push(name);
        }
        match wrong {
            // What is not for votes is none of ours, whatever is wrong with it.
            Some(what) if options.is_for_votes => Err(what),
            _ => Ok(options),
        }
    }
}

impl Patterns {
    /// Parted by commas. OpenSSH takes blanks around one for a part of it, which nobody means.
    fn of(text: &str) -> Result<Self, String> {
        let pattern = |text: &str| {
            if text.trim() != text {
                return Err(format!(
                    "`{text}` has a blank at its end or beginning: OpenSSH takes it for a part of the name"
                ));
            }
            Ok(match text.strip_prefix('!') {
                Some(rest) => Pattern { text: rest.to_owned(), negated: true },
                None => Pattern { text: text.to_owned(), negated: false },
            })
        };
        text.split(',').map(pattern).collect::<Result<_, _>>().map(Self)
    }

    /// Whether one matches, and none that is negated.
    fn match_one(&self, text: &str) -> bool {
        let matching = || self.0.iter().filter(|pattern| matches(&pattern.text, text));
        matching().next().is_some() && matching().all(|pattern| !pattern.negated)
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
    let (word, rest) = match text.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"')?,
        None => text.split_once(BLANKS).unwrap_or((text, "")),
    };
    (!word.contains('"')).then_some((word, rest))
}

/// The same, where quotation marks may stand within a word, and a backslash before one makes it part of the text.
fn raw_word(text: &str) -> Option<(&str, &str)> {
    let (mut quoted, mut before) = (false, ' ');
    for (at, c) in text.char_indices() {
        match c {
            '"' if before != '\\' => quoted = !quoted,
            c if BLANKS.contains(&c) && !quoted => return Some((&text[..at], &text[at..])),
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
        // Whatever is wrong with what is for git alone is not for us to say.
        assert_eq!(one(&format!("* cert-authority,namespaces=\"git\" {KEY}")), Ok(None));
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
            (&format!("a\"d\"a {KEY}"), "a quotation mark that is not closed, or stands within a word"),
            (&format!("\"ada, bob\" {KEY}"), "` bob` has a blank at its end or beginning"),
            (&format!("ada namespaces=\"git, ripcord-vote\" {KEY}"), "` ripcord-vote` has a blank"),
            (&format!("ada namespaces=ripcord-vote {KEY}"), "belongs between quotation marks"),
            (&format!("ada valid-before=20991231Z {KEY}"), "belongs between quotation marks"),
            (
                &format!("ada valid-before=\"20250101Z\",valid-before=\"20991231Z\" {KEY}"),
                "the option `valid-before` is there twice",
            ),
            (&format!("ada valid-after=\"20200101Z\", {KEY}"), "an option is missing after a comma"),
            (&format!("ada\u{a0}{KEY}"), "line 1: the option"),
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
