//! What differs from one system to the next.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use ripcord_core::digest::Digest;
use ripcord_core::request::Request;
use ripcord_core::time::Millis;
use ripcord_ports::{PortError, Retry};
use serde::{Deserialize, Serialize};

use super::{Inputs, Tail};

/// So many runs of one order are looked for: whoever asks for more has to look.
pub(crate) const ATTEMPTS_MAX: u32 = 64;
const DIGITS: usize = 32;
const BEGINNING: &str = "ripcord-";

/// By what the runs of one order are known: the same beginning, and which of them it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Marks {
    base: String,
    attempt: u32,
}

impl Marks {
    /// Those of an order's key.
    pub(crate) fn of(key: &str) -> Self {
        let digest = Digest::tagged("ripcord pipeline 1", &[key.as_bytes()]).to_string();
        Self { base: format!("{BEGINNING}{}", &digest[..DIGITS]), attempt: 1 }
    }

    /// What all runs of the order have in common: of `a-z`, `0-9` and `-`.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// Which run it is, counted from one.
    pub(crate) fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The mark of this run.
    pub(crate) fn whole(&self) -> String {
        format!("{}-{}", self.base, self.attempt)
    }

    /// The same of another run.
    pub(crate) fn at(&self, attempt: u32) -> Self {
        Self { base: self.base.clone(), attempt }
    }

    /// Which run of the order a text names, such as a title that somebody may have put words around.
    pub(crate) fn attempt_in(&self, text: &str) -> Option<u32> {
        let (_, after) = text.split_once(self.base.as_str())?;
        let after = after.strip_prefix('-')?;
        let end = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
        after[..end].parse().ok().filter(|attempt| (1..=ATTEMPTS_MAX).contains(attempt))
    }
}

/// Whether a start under a mark that is taken begins no second run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keyed {
    /// The mark is the system's own key.
    Yes,
    /// It is only written on the run: what cannot be found may still be there.
    No,
}

/// How far a run is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RunState {
    /// It waits or works. The word is the system's.
    GoesOn(String),
    /// It has ended well, as far as it says.
    Succeeded,
    /// It has ended otherwise, or was cut, and may have left work behind that goes on. The word is the system's.
    Failed(String),
    /// It has ended, and nothing of it was ever at work.
    NeverBegan {
        /// The system's word.
        word: String,
        /// Whether the same run may work another time.
        retry: Retry,
    },
}

impl RunState {
    pub(crate) fn has_ended(&self) -> bool {
        !matches!(self, Self::GoesOn(_))
    }

    /// How it ended, or how far it is, in the system's word.
    pub(crate) fn word(&self) -> &str {
        match self {
            Self::GoesOn(word) | Self::Failed(word) | Self::NeverBegan { word, .. } => word,
            Self::Succeeded => "succeeded",
        }
    }
}

/// A run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Run {
    /// By which the system is asked for it.
    pub(crate) id: String,
    /// For people, as the system calls it.
    pub(crate) shown: String,
    /// How far it is.
    pub(crate) state: RunState,
}

/// A run of an order that the system tells of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// Which of them.
    pub(crate) attempt: u32,
    /// The run itself.
    pub(crate) run: Run,
}

/// A system that runs pipelines, and one pipeline of it.
#[async_trait]
pub(crate) trait Engine: fmt::Debug + Send + Sync {
    /// The adapter's name.
    fn name(&self) -> &'static str;

    /// The system, as people call it.
    fn system(&self) -> &'static str;

    /// The pipeline and where it is, for people.
    fn shown(&self) -> String;

    /// Whether the mark is the system's own key.
    fn keyed(&self) -> Keyed;

    /// What a plan's request has of it besides [`Self::shown`]. No secrets.
    fn in_request(&self, request: Request) -> Request {
        request
    }

    /// Begins a run under the mark, and gives its id where the answer has it. A refusal is *not applied* only where nothing was begun.
    async fn begin(
        &self,
        marks: &Marks,
        inputs: &Inputs,
        deadline: Millis,
    ) -> Result<Option<String>, PortError>;

    /// The runs of the order, oldest first. That there is none is no error; that the pipeline is not there, or that not all could be looked at, is one.
    async fn find(&self, marks: &Marks) -> Result<Vec<Found>, PortError>;

    /// One run. [`ripcord_ports::ErrorKind::NotFound`] where the system itself says that it has none. Only this, and not [`Self::find`], has to tell
    /// [`RunState::NeverBegan`] from [`RunState::Failed`] where that takes another question.
    async fn look(&self, run: &str) -> Result<Run, PortError>;

    /// The end of what the run wrote, without secrets of ours.
    async fn log(&self, run: &str) -> Result<Tail, PortError>;

    /// Has the run end. One that has ended stays as it is.
    async fn cancel(&self, run: &str) -> Result<(), PortError>;

    /// So long a run that was told to end may work on after the system calls it ended.
    fn stops_within(&self) -> Duration {
        Duration::ZERO
    }

    /// What makes every run impossible, where that can be seen beforehand.
    async fn obstacle(&self) -> Option<String> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_found_within_words_and_no_other_is_taken_for_it() {
        let marks = Marks::of("a");
        let whole = marks.at(3).whole();
        assert_eq!(marks.attempt_in(&format!("roll back to 1.3 ({whole})")), Some(3));
        assert_eq!(marks.attempt_in(&whole), Some(3));
        assert_eq!(Marks::of("b").attempt_in(&whole), None);
        for text in ["", marks.base(), &format!("{}-", marks.base()), &format!("{}-0", marks.base())] {
            assert_eq!(marks.attempt_in(text), None, "{text}");
        }
        assert_eq!(marks.attempt_in(&format!("{}-99999999999999", marks.base())), None);
        assert!(whole.len() <= 64 && whole.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'));
    }
}
