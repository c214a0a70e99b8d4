//! Constructors for what a policy answers.

use std::fmt;

use serde::Serialize;

use crate::contract::facts::{Unavailable, UnavailableReason};
use crate::contract::trigger::{Assessment, Verdict};
use crate::contract::types::{Finding, Instant, Note, Proposal, Severity, Strategy, Target, Urgency};
use crate::contract::{approval, planner, verification};

impl Note {
    /// Something a reader may want to know.
    pub fn info(text: impl Into<String>) -> Self {
        Self { severity: Severity::Info, text: text.into() }
    }

    /// Something a person should look at, such as missing data.
    pub fn warning(text: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, text: text.into() }
    }

    /// Something a person must look at.
    pub fn critical(text: impl Into<String>) -> Self {
        Self { severity: Severity::Critical, text: text.into() }
    }
}

impl Proposal {
    /// A routine rollback of the version; `cause` is one sentence with the numbers that led to it.
    pub fn new(cause: impl Into<String>) -> Self {
        Self {
            cause: cause.into(),
            strategy: Strategy::Version,
            urgency: Urgency::Routine,
            harm_began_at: None,
        }
    }

    /// With this strategy.
    pub fn by(mut self, strategy: impl Into<Strategy>) -> Self {
        self.strategy = strategy.into();
        self
    }

    /// So urgent.
    pub fn with(mut self, urgency: impl Into<Urgency>) -> Self {
        self.urgency = urgency.into();
        self
    }

    /// The harm began at this instant, Unix milliseconds.
    pub fn since(mut self, harm_began_at: Instant) -> Self {
        self.harm_began_at = Some(harm_began_at);
        self
    }
}

impl Finding {
    /// One check with what was seen and what was wanted, both with units.
    pub fn passed(
        check: impl Into<String>,
        observed: impl Into<String>,
        expected: impl Into<String>,
    ) -> Self {
        Self { check: check.into(), passed: true, observed: observed.into(), expected: expected.into() }
    }

    /// As [`Finding::passed`], for a check that failed.
    pub fn failed(
        check: impl Into<String>,
        observed: impl Into<String>,
        expected: impl Into<String>,
    ) -> Self {
        Self { passed: false, ..Self::passed(check, observed, expected) }
    }
}

/// A memo that does not serialise is none: the next decision starts fresh.
fn encode(memo: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(memo).unwrap_or_default()
}

impl Assessment {
    fn of(verdict: Verdict) -> Self {
        Self { verdict, notes: Vec::new(), memo: Vec::new() }
    }

    /// No reason to roll back.
    pub fn ignore() -> Self {
        Self::of(Verdict::Ignore)
    }

    /// Not decided: ask again at this instant (Unix milliseconds) or at the next signal.
    pub fn watch(until: Instant) -> Self {
        Self::of(Verdict::Watch(until))
    }

    /// A reason to roll back.
    pub fn roll_back(proposal: Proposal) -> Self {
        Self::of(Verdict::RollBack(proposal))
    }

    /// The reason is gone.
    pub fn stand_down(why: impl Into<String>) -> Self {
        Self::of(Verdict::StandDown(why.into()))
    }

    /// Remembers this for the next decision. Without it the policy forgets.
    pub fn remember(mut self, memo: &impl Serialize) -> Self {
        self.memo = encode(memo);
        self
    }
}

impl planner::Answer {
    fn of(verdict: planner::Verdict) -> Self {
        Self { verdict, suspects: Vec::new(), notes: Vec::new() }
    }

    /// This ladder, best target first.
    pub fn choose(choice: planner::Choice) -> Self {
        Self::of(planner::Verdict::Choose(choice))
    }

    /// There is nothing to go back to; each candidate with its reason.
    pub fn nothing_suitable(refused: Vec<planner::Refusal>) -> Self {
        Self::of(planner::Verdict::NothingSuitable(refused))
    }

    /// A rollback would not remove the cause.
    pub fn will_not_help(why: impl Into<String>) -> Self {
        Self::of(planner::Verdict::WillNotHelp(planner::NoHelp { reason: why.into(), hand_over_to: None }))
    }

    /// As [`Answer::will_not_help`](planner::Answer::will_not_help), with who can help: a role, a team or what kind of people.
    pub fn hand_over(to: impl Into<String>, why: impl Into<String>) -> Self {
        let hand_over_to = Some(to.into());
        Self::of(planner::Verdict::WillNotHelp(planner::NoHelp { reason: why.into(), hand_over_to }))
    }
}

impl planner::Refusal {
    /// This target was not chosen, for this reason.
    pub fn new(target: Target, reason: impl Into<String>) -> Self {
        Self { target, reason: reason.into() }
    }
}

impl approval::Answer {
    fn of(verdict: approval::Verdict) -> Self {
        Self { verdict, notes: Vec::new() }
    }

    /// Enough people agreed.
    pub fn granted() -> Self {
        Self::of(approval::Verdict::Granted)
    }

    /// Not enough yet.
    pub fn waiting(requirement: approval::Requirement) -> Self {
        Self::of(approval::Verdict::Waiting(requirement))
    }

    /// No.
    pub fn refused(why: impl Into<String>) -> Self {
        Self::of(approval::Verdict::Refused(why.into()))
    }
}

impl verification::Answer {
    fn of(verdict: verification::Verdict, findings: Vec<Finding>) -> Self {
        Self { verdict, findings, notes: Vec::new(), memo: Vec::new() }
    }

    /// What is judged is well.
    pub fn healthy(findings: Vec<Finding>) -> Self {
        Self::of(verification::Verdict::Healthy, findings)
    }

    /// What is judged is not well, and the findings say why.
    pub fn unhealthy(findings: Vec<Finding>) -> Self {
        Self::of(verification::Verdict::Unhealthy, findings)
    }

    /// Not known yet: ask again at this instant, Unix milliseconds.
    pub fn inconclusive(recheck_at: Instant, findings: Vec<Finding>) -> Self {
        Self::of(verification::Verdict::Inconclusive(recheck_at), findings)
    }

    /// Remembers this for the next decision. Without it the policy forgets.
    pub fn remember(mut self, memo: &impl Serialize) -> Self {
        self.memo = encode(memo);
        self
    }
}

macro_rules! notes {
    ($($answer:ty),+) => {$(
        impl $answer {
            /// Keeps a remark with the decision.
            pub fn note(mut self, note: Note) -> Self {
                self.notes.push(note);
                self
            }

            /// Keeps several remarks with the decision.
            pub fn notes(mut self, notes: impl IntoIterator<Item = Note>) -> Self {
                self.notes.extend(notes);
                self
            }
        }
    )+};
}

notes!(Assessment, planner::Answer, approval::Answer, verification::Answer);

impl fmt::Display for Unavailable {
    /// The reason in words, then what the host said about it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = match &self.reason {
            UnavailableReason::NoData => "no data",
            UnavailableReason::Failed => "failed to fetch",
            UnavailableReason::TimedOut => "timed out",
            UnavailableReason::Denied => "access denied",
            UnavailableReason::Unsupported => "not supported by the source",
            UnavailableReason::TooLarge => "too large",
            UnavailableReason::BadQuery => "bad query",
            UnavailableReason::Redacted => "redacted",
            UnavailableReason::NotRecorded => "not recorded",
            UnavailableReason::Other(reason) => reason,
        };
        if self.message.is_empty() { f.write_str(reason) } else { write!(f, "{reason}: {}", self.message) }
    }
}
