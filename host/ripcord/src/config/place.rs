//! Mistakes in a configuration file, each shown at its place.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use ripcord_core::foreign::Foreign;

use crate::output::{Paragraph, Text, Whole, text};

/// One mistake and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Bytes of the file that it is about.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do; may be empty.
    pub help: String,
}

/// Mistakes as they are found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mistakes(pub Vec<Mistake>);

impl Mistakes {
    /// Notes one.
    pub fn add(&mut self, span: Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        let mistake = Mistake { span, message: message.into(), help: help.into() };
        if !self.0.contains(&mistake) {
            self.0.push(mistake);
        }
    }

    /// Notes what was found elsewhere.
    pub(crate) fn extend(&mut self, found: Self) {
        for mistake in found.0 {
            self.add(mistake.span, mistake.message, mistake.help);
        }
    }

    /// Takes the value, or notes the error.
    pub fn ok<T, E: fmt::Display>(
        &mut self,
        span: &Range<usize>,
        what: Result<T, E>,
        help: &str,
    ) -> Option<T> {
        what.map_err(|error| self.add(span.clone(), error.to_string(), help)).ok()
    }
}

/// A configuration file, kept so that later findings can be shown at their place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// As it was named.
    pub path: PathBuf,
    /// Its content.
    pub text: String,
}

/// Where something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Position {
    /// From one.
    pub line: usize,
    /// In characters, from one.
    pub column: usize,
}

impl SourceFile {
    /// Line and column of a byte.
    pub fn position(&self, byte: usize) -> Position {
        let (start, line) = self.line_start(byte);
        let column = self.text.get(start..self.clamp(byte)).map_or(0, |text| text.chars().count()) + 1;
        Position { line, column }
    }

    fn clamp(&self, byte: usize) -> usize {
        let mut byte = byte.min(self.text.len());
        while !self.text.is_char_boundary(byte) {
            byte -= 1;
        }
        byte
    }

    fn line_start(&self, byte: usize) -> (usize, usize) {
        let before = &self.text[..self.clamp(byte)];
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (start, before.matches('\n').count() + 1)
    }

    /// The folder that relative paths start from.
    pub fn folder(&self) -> PathBuf {
        match self.path.parent() {
            Some(parent) if parent != Path::new("") => parent.to_path_buf(),
            _ => PathBuf::from("."),
        }
    }

    fn show(&self, mistake: &Mistake) -> Text {
        let (start, line) = self.line_start(mistake.span.start);
        let column = self.position(mistake.span.start).column;
        let source = self.text[start..].lines().next().unwrap_or_default();
        let (source, hidden) = without_secret(source);
        let room = source.chars().count().saturating_sub(column - 1).max(1);
        let marked = self
            .text
            .get(self.clamp(mistake.span.start)..self.clamp(mistake.span.end))
            .map_or(1, |marked| marked.lines().next().unwrap_or_default().chars().count());
        let gutter = " ".repeat(line.to_string().len());
        let shown = source.replace('\t', " ");
        let mut text = text!("error: {}\n", Paragraph(&mistake.message));
        text.push(text!("{}--> {}:{}:{}\n", gutter, self.path.display(), line, column));
        text.push(text!("{} |\n", gutter));
        text.push(text!("{} | {}\n", line, Whole(Foreign::source(&shown))));
        if column <= source.chars().count() + 1 || !hidden {
            let mark = " ".repeat(column - 1) + &"^".repeat(marked.clamp(1, room));
            text.push(text!("{} | {}\n", gutter, Whole(Foreign::source(&mark))));
        }
        if !mistake.help.is_empty() {
            text.push(text!("{} = {}\n", gutter, Paragraph(&mistake.help)));
        }
        text
    }
}

/// Cuts the value off a line that seems to hold a secret, so that a mistake does not carry it into a log.
fn without_secret(line: &str) -> (String, bool) {
    let lower = line.to_ascii_lowercase();
    let secret =
        ["token", "password", "secret", "bearer", "passwd", "api-key", "apikey"].iter().any(|word| {
            lower.match_indices(word).any(|(at, _)| {
                let rest = lower[at + word.len()..].trim_start_matches(['"', '\'', ' ', '\t']);
                rest.starts_with('=')
            })
        });
    let secret = secret || line.split_once("://").is_some_and(|(_, rest)| rest.contains('@'));
    match line.find('=') {
        Some(at) if secret => (format!("{}= …", &line[..at]), true),
        _ => (line.to_owned(), false),
    }
}

/// A configuration that cannot be used: every mistake at its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The file.
    pub file: SourceFile,
    /// At least one, in the order of the file.
    pub mistakes: Vec<Mistake>,
}

impl ConfigError {
    /// Sorts the mistakes; none if there are none.
    pub fn new(file: SourceFile, mistakes: Mistakes) -> Option<Self> {
        let mut mistakes = mistakes.0;
        mistakes.sort_by_key(|mistake| (mistake.span.start, mistake.span.end));
        (!mistakes.is_empty()).then_some(Self { file, mistakes })
    }
}

impl ConfigError {
    /// For people: each mistake with its line.
    pub fn text(&self) -> Text {
        let mut text = Text::default();
        for mistake in &self.mistakes {
            text.push(text!("{}\n", self.file.show(mistake)));
        }
        let mistakes = if self.mistakes.len() == 1 { "mistake" } else { "mistakes" };
        text.push(text!("`{}` has {} {}", self.file.path.display(), self.mistakes.len(), mistakes));
        text
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text().plain())
    }
}

impl std::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters() {
        let file = SourceFile { path: "r.toml".into(), text: "a = 1\nü = 2\n".into() };
        assert_eq!(file.position(0), Position { line: 1, column: 1 });
        assert_eq!(file.position(9), Position { line: 2, column: 3 });
        assert_eq!(file.position(999), Position { line: 3, column: 1 });
        assert_eq!(file.position(7), Position { line: 2, column: 1 });
    }

    #[test]
    fn a_secret_in_the_file_is_not_shown() {
        for line in ["token = \"hunter2\"", "\"password\"='hunter2'", "auth = { bearer = \"hunter2\" }"] {
            assert!(!without_secret(line).0.contains("hunter2"), "{line}");
        }
        let kept = "token-file = \"secrets/ada\"";
        assert_eq!(without_secret(kept).0, kept);
    }
}
