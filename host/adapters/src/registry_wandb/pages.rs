//! Lists that come in pages.

use ripcord_ports::{ErrorKind, PortError};

use super::wire::Connection;

/// More are no list that anybody looks through.
const PAGES_MAX: usize = 100;

/// A list that comes in pages.
#[derive(Debug)]
pub(super) struct Pages<E> {
    what: String,
    pub(super) all: Vec<E>,
    cursors: Vec<String>,
}

impl<E> Pages<E> {
    pub(super) fn of(what: String) -> Self {
        Self { what, all: Vec::new(), cursors: Vec::new() }
    }

    /// Where the next page begins; none for the first.
    pub(super) fn cursor(&self) -> Option<&str> {
        self.cursors.last().map(String::as_str)
    }

    /// Takes a page. A cursor that comes again would never end.
    pub(super) fn is_last(&mut self, page: Connection<E>) -> Result<bool, PortError> {
        self.all.extend(page.edges);
        if !page.page_info.has_next_page {
            return Ok(true);
        }
        let next = page.page_info.end_cursor.filter(|next| !next.is_empty() && !self.cursors.contains(next));
        let Some(next) = next else {
            let text = format!(
                "W&B says that there are more pages of {}, and gives no place to go on from, or one that was read already: nothing of it is used",
                self.what
            );
            return Err(PortError::not_applied(ErrorKind::BadAnswer, text));
        };
        if self.cursors.len() + 1 >= PAGES_MAX {
            let text = format!(
                "W&B has more than {PAGES_MAX} pages of {}: delete what nobody goes back to",
                self.what
            );
            return Err(PortError::not_applied(ErrorKind::TooLarge, text));
        }
        self.cursors.push(next);
        Ok(false)
    }
}
