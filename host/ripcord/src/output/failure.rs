use std::process::ExitCode;

use serde_json::{Value, json};

use super::style::{BAD, DIM, paint};
use super::text::{Paragraph, Text, text};

/// How a process of `ripcord` ends. `ripcord --help` lists these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// What was asked is done.
    Done,
    /// It failed, something is not well, or a replay differs.
    Failed,
    /// The arguments or the configuration are wrong.
    Usage,
    /// It waits for approval, or a person must decide.
    Waiting,
    /// A person, a policy or the host said no.
    Refused,
}

impl Exit {
    /// The number that the shell sees.
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Waiting => 3,
            Self::Refused => 4,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// How the process ends.
    pub exit: Exit,
    message: String,
    /// The message for people, where it has a layout of its own.
    layout: Option<Text>,
    help: Option<String>,
    #[source]
    cause: Option<Cause>,
}

impl Failure {
    /// A failure that ends so.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), layout: None, help: None, cause: None }
    }

    /// Something did not work.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Exit::Failed, message)
    }

    /// The arguments or the configuration are wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// The same with what the reader can do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same with what the reader can do, after what is said already.
    #[must_use]
    pub fn and_help(mut self, help: String) -> Self {
        self.help = Some(match self.help {
            Some(first) => format!("{first}; {help}"),
            None => help,
        });
        self
    }

    /// The same with its cause.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Cause>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// The same with a message that has a layout of its own for people.
    #[must_use]
    pub fn laid_out(mut self, text: Text) -> Self {
        self.layout = Some(text);
        self
    }

    /// An error whose text says all, with its causes.
    pub fn of(exit: Exit, error: impl std::error::Error + Send + Sync + 'static) -> Self {
        let causes: Option<Cause> = causes(&error)
            .into_iter()
            .rev()
            .fold(None, |inner, message| Some(Box::new(Said { message, cause: inner }) as Cause));
        let message = error.to_string();
        // A list of mistakes begins each one so, the first too.
        let message = message.strip_prefix("error: ").map_or(message.clone(), str::to_owned);
        Self { exit, message, layout: None, help: None, cause: causes }
    }

    /// For people.
    pub(crate) fn text(&self) -> Text {
        let mut lines = vec![match &self.layout {
            Some(text) => text.clone(),
            None => text!("{} {}", paint(BAD, "error:"), Paragraph(&self.message)),
        }];
        let also = |word: &str, said: &str| text!("  {} {}", paint(DIM, word), Paragraph(said));
        lines.extend(causes(self).iter().map(|cause| also("caused by:", cause)));
        lines.extend(self.help.iter().map(|help| also("help:", help)));
        Text::joined(lines, "\n")
    }

    /// For scripts.
    pub(crate) fn json(&self) -> Value {
        json!({ "message": self.message, "causes": causes(self), "help": self.help, "exit": self.exit.code() })
    }
}

/// A cause that was put into words because its type cannot be kept.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
struct Said {
    message: String,
    #[source]
    cause: Option<Cause>,
}

/// The texts of the causes; one that its parent has quoted already is left out.
fn causes(error: &dyn std::error::Error) -> Vec<String> {
    let mut before = error.to_string();
    let mut texts = Vec::new();
    for cause in std::iter::successors(error.source(), |cause| cause.source()) {
        let text = cause.to_string();
        if !before.contains(&text) {
            texts.push(text.clone());
            before = text;
        }
    }
    texts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_cause_and_remedy_once() {
        let io = std::io::Error::other("no such file");
        let failure = Failure::failed("cannot read `x.toml`").because(io).help("run `ripcord init`");
        insta::assert_snapshot!(failure.text().plain(), @r"
        error: cannot read `x.toml`
          caused by: no such file
          help: run `ripcord init`
        ");
        assert_eq!(failure.json()["causes"][0], "no such file");
    }

    #[test]
    fn what_others_said_stays_on_its_lines() {
        let io = std::io::Error::other("no\u{1b}[2J\nerror: all is well");
        let text = Failure::failed("it answered: a\r\nhelp: approve it").because(io).text();
        insta::assert_snapshot!(text.plain(), @r"
        error: it answered: a
        | help: approve it
          caused by: no\u{1b}[2J
        | error: all is well
        ");
    }

    #[test]
    fn nothing_that_others_wrote_gets_out_of_its_place() {
        for (name, text) in crate::output::hostile::table() {
            let failure =
                Failure::failed(&text).because(std::io::Error::other(format!("2{text}"))).help(&text);
            crate::output::hostile::assert_harmless(&failure.text(), name);
        }
    }

    #[test]
    fn a_wrapped_error_keeps_its_causes() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer")]
        struct Outer(#[source] std::io::Error);
        let failure = Failure::of(Exit::Failed, Outer(std::io::Error::other("inner")));
        assert_eq!(causes(&failure), ["inner"]);
        let quoted = Failure::failed("outer: inner").because(std::io::Error::other("inner"));
        assert!(causes(&quoted).is_empty());
    }
}
