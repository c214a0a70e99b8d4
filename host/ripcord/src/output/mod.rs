//! What a command prints: one page, as text for people or as one JSON document for scripts.
//!
//! Commands return a [`Page`] and print nothing themselves: everything that the program says to people is a [`Text`] that this module prints.
//! Text carries styles, which are dropped where no person looks.

pub mod asked;
pub mod decisions;
pub mod document;
mod failure;
pub mod held_up;
#[cfg(test)]
pub(crate) mod hostile;
pub mod incident;
pub mod json;
pub mod makeable;
pub mod measured;
pub mod natural;
pub mod plan;
pub mod playbook;
pub mod progress;
pub mod ranking;
pub mod report;
pub mod runbook;
mod score_again;
pub mod sets;
pub mod style;
pub mod table;
pub mod text;
pub mod time;

use std::io::Write as _;
use std::process::ExitCode;

use anstream::{AutoStream, ColorChoice};
use serde::Serialize;
use serde_json::{Value, json};

pub use failure::{Exit, Failure};
pub use progress::Progress;
pub use text::{Paragraph, Show, Text, Whole};

pub(crate) use text::text;

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Color {
    /// Where a person looks at a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl From<Color> for ColorChoice {
    fn from(color: Color) -> Self {
        match color {
            Color::Auto => Self::Auto,
            Color::Always => Self::Always,
            Color::Never => Self::Never,
        }
    }
}

/// In which form a command answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// For people.
    Text,
    /// One JSON document on standard output.
    Json,
}

/// What a command has to say, in both forms.
#[derive(Debug, Clone)]
pub struct Page {
    /// How the process ends.
    pub exit: Exit,
    /// For people; empty prints nothing.
    pub text: Text,
    /// For scripts.
    pub json: Value,
}

impl Page {
    /// A page of a command that did what it was asked.
    pub fn done(text: impl Show, json: &impl Serialize) -> Self {
        Self::new(Exit::Done, text, json)
    }

    /// A page.
    pub fn new(exit: Exit, text: impl Show, json: &impl Serialize) -> Self {
        // What commands print has text keys only, so it always has a JSON form.
        let json = serde_json::to_value(json).unwrap_or(Value::Null);
        Self { exit, text: text!("{}", text), json }
    }

    /// The text without styles.
    pub fn plain(&self) -> String {
        self.text.plain()
    }
}

/// Prints the outcome of a command and tells how the process ends.
pub fn print(form: Form, color: Color, outcome: Result<Page, Failure>) -> ExitCode {
    let exit = outcome.as_ref().map_or_else(|failure| failure.exit, |page| page.exit);
    match (form, outcome) {
        // What has printed all by itself has nothing to add.
        (Form::Json, Ok(page)) if page.json.is_null() => {}
        (Form::Json, Ok(page)) => print_json(&json::with_instants(&page.json)),
        (Form::Json, Err(failure)) => print_json(&json!({ "error": failure.json() })),
        (Form::Text, Ok(page)) => print_line(AutoStream::new(std::io::stdout(), color.into()), &page.text),
        (Form::Text, Err(failure)) => tell(color, &failure.text()),
    }
    exit.into()
}

/// Says something to a person on standard error.
pub fn tell(color: Color, text: &Text) {
    print_line(AutoStream::new(std::io::stderr(), color.into()), text);
}

/// Asks something on standard error, and leaves the cursor behind the question.
pub fn prompt(color: Color, question: &Text) {
    let mut stream = AutoStream::new(std::io::stderr(), color.into());
    let _ = write!(stream, "{}", question.styled());
    let _ = stream.flush();
}

/// A reader that went away is no reason to fail: the command has done its work.
fn print_line(mut stream: impl std::io::Write, text: &Text) {
    if !text.is_empty() {
        let _ = writeln!(stream, "{}", text.styled().trim_end());
        let _ = stream.flush();
    }
}

fn print_json(value: &Value) {
    let _ = writeln!(std::io::stdout().lock(), "{}", json::pretty(value));
}
