//! What an examiner answers: a byte that says which kind of answer it is, and the rest up to the end.

use serde::{Deserialize, Serialize};

use super::shape::TooMuch;

/// Compiled code, with its check before it.
pub(crate) const CODE: u8 = b'C';
/// A refusal as JSON.
pub(crate) const REFUSED: u8 = b'R';

/// What the compiler has to say against a component.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Refused {
    /// It is broken, or uses what is off.
    Invalid(String),
    /// It was not tried.
    TooMuch(TooMuch),
    /// The system gave no more memory.
    OutOfMemory,
}
