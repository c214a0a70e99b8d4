//! News while a person waits, on standard error and only where it is a terminal.

use std::io::IsTerminal as _;
use std::time::Instant;

use ripcord_core::foreign::Foreign;

use super::style::{DIM, paint};
use super::text::{Show, Whole, text};
use super::{Color, Form, tell};

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

    /// Tells a person who asked for just that, terminal or not.
    pub fn always(form: Form, color: Color) -> Self {
        let audience = if form == Form::Text { Audience::Person } else { Audience::Nobody };
        Self { since: Instant::now(), audience, color }
    }

    /// Says nothing.
    pub fn silent() -> Self {
        Self { since: Instant::now(), audience: Audience::Nobody, color: Color::Never }
    }

    /// One line, with the time since the start.
    pub fn say(&self, piece: impl Show) {
        if self.audience == Audience::Person {
            let elapsed = format!("{:6.1} s", self.since.elapsed().as_secs_f64());
            let elapsed = Whole(Foreign::source(&elapsed));
            tell(self.color, &text!("{} {}", paint(DIM, elapsed), piece));
        }
    }
}
