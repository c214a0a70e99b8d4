//! News while a person waits, on standard error and only where it is a terminal.

use std::io::{IsTerminal as _, Write as _};
use std::time::Instant;

use anstream::AutoStream;

use super::style::{DIM, paint};
use super::{Color, Form};

/// Tells a waiting person what is going on.
#[derive(Debug)]
pub struct Progress {
    since: Instant,
    audience: Audience,
    color: Color,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Audience {
    Person,
    Nobody,
}

impl Progress {
    /// Begins to count the time.
    pub fn new(form: Form, color: Color) -> Self {
        let watched = form == Form::Text && std::io::stderr().is_terminal();
        let audience = if watched { Audience::Person } else { Audience::Nobody };
        Self { since: Instant::now(), audience, color }
    }

    /// Says nothing.
    pub fn silent() -> Self {
        Self { since: Instant::now(), audience: Audience::Nobody, color: Color::Never }
    }

    /// One line, with the time since the start.
    pub fn say(&self, text: impl std::fmt::Display) {
        if self.audience == Audience::Person {
            let elapsed = self.since.elapsed().as_secs_f64();
            let mut stream = AutoStream::new(std::io::stderr(), self.color.into());
            let _ = writeln!(stream, "{} {text}", paint(DIM, format!("{elapsed:6.1} s")));
        }
    }
}
