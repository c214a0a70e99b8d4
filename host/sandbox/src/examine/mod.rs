//! From bytes that nobody has approved to compiled code, within one budget of time and memory.
//!
//! The bytes of a policy are the least trusted of all: they are read before anyone has said yes to them. First their shape is counted, then
//! a child process validates, compiles and links them under limits of the operating system, and hands the code back. No code of the policy
//! runs in that child, so what it hands back is the compiler's own word. What is left to the host (taking the code, asking `describe`, reading
//! the settings schema) has limits of its own.

mod answer;
mod budget;
mod compile;
mod parent;
mod shape;

use std::ffi::OsString;
use std::path::PathBuf;

pub(crate) use answer::{CODE, REFUSED, Refused};
pub(crate) use budget::EXAMINE_CPU_SECONDS;
pub use budget::EXAMINE_MEMORY_BYTES;
pub(crate) use compile::{compile, count, refused};
pub use parent::ExaminationError;
pub(crate) use parent::ask;
pub use shape::{Part, TooMuch};

/// Where unapproved bytes are validated and compiled.
#[derive(Debug, Clone)]
pub enum Examiner {
    /// In a child process that this program and these arguments start. It must be the same build, and call [`crate::examine_for_parent`].
    Program {
        /// Which program.
        program: PathBuf,
        /// What it is given.
        arguments: Vec<OsString>,
    },
    /// In this process, within the limits on shape alone. For whoever has built the components: tests, benchmarks, the examiner itself.
    ThisProcess,
}
