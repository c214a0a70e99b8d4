//! What people read: our own words, and between them what others wrote, made harmless on its way in.
//!
//! A [`Text`] can be made of three things only: literals, styles, and values that [`Show`] lets in. Every value that has a `Display` is let in
//! through [`Foreign`]; texts stay as they are. A `Text` has no `Display`, so it cannot slip through `format!` unnoticed, and only this module's
//! parent prints it.

use std::fmt;

use anstyle::Style;
use ripcord_core::foreign::Foreign;

/// Of one value so many characters are shown; pages say how many more there are, and `--json` has all.
const VALUE_CHARS_MAX: usize = 4_000;
/// Of a text of several lines so many are shown.
const LINES_MAX: usize = 200;

/// Text for people, harmless to their terminal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Text(String);

/// What can stand in a [`Text`].
pub trait Show {
    /// Writes it, harmless.
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

impl<T: fmt::Display + ?Sized> Show for T {
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Foreign::new(&self.to_string()).at_most(VALUE_CHARS_MAX), f)
    }
}

impl Show for Text {
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Show for &Text {
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A value within the arguments of `text!`.
#[derive(Debug)]
pub(crate) struct Shown<'a, T: ?Sized>(pub(crate) &'a T);

impl<T: Show + ?Sized> fmt::Display for Shown<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.show(f)
    }
}

/// A text from a literal with `{}` for each value. Names within the braces do not compile: they would go around [`Show`].
macro_rules! text {
    ($literal:literal $(, $value:expr)* $(,)?) => {
        // A literal that comes out of `concat!` can capture no names.
        $crate::output::Text::of_shown(format_args!(concat!($literal) $(, $crate::output::text::Shown(&$value))*))
    };
}
pub(crate) use text;

impl Text {
    /// For `text!`: every argument is a [`Shown`].
    pub(crate) fn of_shown(arguments: fmt::Arguments<'_>) -> Self {
        Self(arguments.to_string())
    }

    /// Whether there is nothing to read.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds to it.
    pub fn push(&mut self, piece: impl Show) {
        self.0.push_str(&Shown(&piece).to_string());
    }

    /// All of them, with a literal between two.
    pub fn joined(texts: impl IntoIterator<Item = Self>, between: &'static str) -> Self {
        let all: Vec<String> = texts.into_iter().map(|text| text.0).collect();
        Self(all.join(between))
    }

    /// The same without white space at its end.
    #[must_use]
    pub fn trimmed(mut self) -> Self {
        self.0.truncate(self.0.trim_end().len());
        self
    }

    /// The same with so many spaces after each line break.
    pub(super) fn indented(&self, columns: usize) -> Self {
        Self(self.0.replace('\n', &format!("\n{:columns$}", "")))
    }

    /// The widest line, in characters.
    pub(super) fn width(&self) -> usize {
        self.plain().lines().map(|line| line.chars().count()).max().unwrap_or_default()
    }

    /// Without styles.
    pub fn plain(&self) -> String {
        anstream::adapter::strip_str(&self.0).to_string()
    }

    /// With styles, for a stream that drops them where no person looks.
    pub(super) fn styled(&self) -> &str {
        &self.0
    }
}

/// The text in a style.
pub fn paint(style: Style, piece: impl Show) -> Text {
    Text(format!("{style}{}{style:#}", Shown(&piece)))
}

/// Text of others that may have several lines. Each line after the first is marked, so that none can pass for one of ours.
#[derive(Debug, Clone, Copy)]
pub struct Paragraph<'a>(pub &'a str);

impl Show for Paragraph<'_> {
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = self.0.trim_end().lines();
        for (index, line) in lines.by_ref().take(LINES_MAX).enumerate() {
            let mark = if index == 0 { "" } else { "\n| " };
            write!(f, "{mark}{}", Shown(line))?;
        }
        match lines.count() {
            0 => Ok(()),
            more => write!(f, "\n| … ({more} more lines)"),
        }
    }
}

/// Text of others as [`Foreign`] is told to show it, however long it is.
#[derive(Debug, Clone, Copy)]
pub struct Whole<'a>(pub Foreign<'a>);

impl Show for Whole<'_> {
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::style::BAD;

    #[test]
    fn values_are_made_harmless_and_our_own_words_stay() {
        let text = text!("{}\n  {} {}", paint(BAD, "needs:"), "a\u{1b}[2J\nb", text!("{}", 7));
        assert_eq!(text.styled(), format!("{BAD}needs:{BAD:#}\n  a\\u{{1b}}[2J\\nb 7"));
        assert_eq!(text.plain(), "needs:\n  a\\u{1b}[2J\\nb 7");
    }

    #[test]
    fn a_line_of_others_cannot_pass_for_one_of_ours() {
        let forged = "harmless\napproved by: ada\r\n\u{1b}[1A";
        assert_eq!(text!("{}", Paragraph(forged)).plain(), "harmless\n| approved by: ada\n| \\u{1b}[1A");
        let long = "x\n".repeat(LINES_MAX + 5);
        assert!(text!("{}", Paragraph(&long)).plain().ends_with("| x\n| … (5 more lines)"));
    }

    #[test]
    fn a_long_value_is_cut_and_says_so() {
        let text = text!("{}", "x".repeat(VALUE_CHARS_MAX + 1)).plain();
        assert!(text.ends_with("xxx… (1 more characters)"), "{}", text.len());
    }
}
