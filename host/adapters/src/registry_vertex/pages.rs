//! Lists that come in pages.

use ripcord_ports::{ErrorKind, PortError};

/// A list that comes in pages.
#[derive(Debug)]
pub(crate) struct Pages<E> {
    what: String,
    pages_max: usize,
    pub(crate) all: Vec<E>,
    tokens: Vec<String>,
}

impl<E> Pages<E> {
    pub(crate) fn of(what: String, pages_max: usize) -> Self {
        Self { what, pages_max, all: Vec::new(), tokens: Vec::new() }
    }

    /// Where the next page begins; none for the first.
    pub(crate) fn token(&self) -> Option<&str> {
        self.tokens.last().map(String::as_str)
    }

    /// Takes a page. A token that comes again would never end.
    pub(crate) fn is_last(&mut self, page: Vec<E>, next: Option<String>) -> Result<bool, PortError> {
        self.all.extend(page);
        let Some(next) = next.filter(|next| !next.is_empty()) else { return Ok(true) };
        if self.tokens.contains(&next) {
            let text = format!(
                "Google says that there are more pages of {}, and gives a place to go on from that was read already: nothing of it is used",
                self.what
            );
            return Err(PortError::not_applied(ErrorKind::BadAnswer, text));
        }
        if self.tokens.len() + 1 >= self.pages_max {
            let text = format!(
                "Google has more than {} pages of {}: delete what nobody goes back to",
                self.pages_max, self.what
            );
            return Err(PortError::not_applied(ErrorKind::TooLarge, text));
        }
        self.tokens.push(next);
        Ok(false)
    }
}
