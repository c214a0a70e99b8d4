//! Events that cannot happen to a set.

use crate::digest::Digest;
use crate::name::{PersonName, ServiceName, SetId, SetName};

/// An event that cannot happen in this state. The text says what the reader can do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SetIllegal {
    /// It is of several services at once.
    #[error("nobody breaks the glass for a run of a set: pull its members one by one, and break it for each")]
    NoBreakGlass,
    /// It has no terms, or impossible ones.
    #[error("`{set}` {why}")]
    NotConfigured {
        /// Which.
        set: SetName,
        /// In words.
        why: &'static str,
    },
    /// A run goes on.
    #[error(
        "`{run}` goes on ({phase}): wait until it is over, or `ripcord abort {run}` stops it before its first part"
    )]
    Busy {
        /// Which.
        run: SetId,
        /// How far it is.
        phase: &'static str,
    },
    /// It does not belong to the set.
    #[error("`{1}` is no member of `{0}`: `ripcord sets show {0}` lists them")]
    NotMember(SetName, ServiceName),
    /// Nothing is to move.
    #[error("nothing of `{0}` is to move: name a target with `ripcord pull --set {0} --to MEMBER=VERSION`")]
    NoTargets(SetName),
    /// Nothing is known to go back to.
    #[error(
        "no run has moved all of `{0}` to anything else than what is live, as its members are configured now, so there is no consistent set to go back to: name targets with `ripcord pull --set {0} --to MEMBER=VERSION`"
    )]
    NothingConsistent(SetName),
    /// A part moves one facet.
    #[error(
        "`{0}` would have to move in more than one facet, and a part moves one: name one with `--to MEMBER=VERSION`"
    )]
    TwoFacets(ServiceName),
    /// Its part is in place.
    #[error("`{0}` has moved already in this run: name a target for a member that has not")]
    HasMoved(ServiceName),
    /// A member that is to move is not enlisted any more.
    #[error(
        "`{member}` is not enlisted any more: `ripcord dismiss {run}` ends the run, then ask for a new one"
    )]
    NotEnlisted {
        /// Which.
        member: ServiceName,
        /// By which run.
        run: SetId,
    },
    /// A version is made first.
    #[error("`{0}` would have to make a version first: make it with `ripcord pull {0}`, then name it here")]
    IsProduced(ServiceName),
    /// No run goes on.
    #[error(
        "no run of `{0}` goes on: `ripcord pull --set {0}` asks for one, and `ripcord sets show {0}` says how the last one ended"
    )]
    NoRun(SetName),
    /// Another run goes on.
    #[error(
        "`{meant}` is over, and `{open}` goes on: look at it with `ripcord incidents show {open}`, and say what is to be done with that one"
    )]
    OtherRun {
        /// Which was meant.
        meant: SetId,
        /// Which goes on.
        open: SetId,
    },
    /// It is too late, or too early.
    #[error("`{run}` is {phase}: {wanted}")]
    WrongPhase {
        /// Which.
        run: SetId,
        /// How far it is.
        phase: &'static str,
        /// What can be done instead.
        wanted: &'static str,
    },
    /// The vote is for another plan.
    #[error("the plan changed: the plan at hand is `{at_hand}`; read it and vote again")]
    OtherPlan {
        /// The plan at hand.
        at_hand: Digest,
    },
    /// Nobody of that name may act.
    #[error("`{0}` is not among those who may act now; someone who is must do this")]
    UnknownPerson(PersonName),
    /// The vote was given with another key than the one in force.
    #[error(
        "`{0}` has another key now, or one at all, or it is not valid now: vote again, and sign with a key in force"
    )]
    OtherKey(PersonName),
    /// A signature counts once.
    #[error("this signature of `{0}` was used before: sign again, each signature has a nonce of its own")]
    SignatureUsed(PersonName),
    /// It is as asked already. Nothing is recorded.
    #[error("`{0}` has said so already: nothing has changed")]
    Unchanged(PersonName),
    /// Whoever asks has asked too often.
    #[error("`{0}` has voted on this plan too often; abort the run, and ask for a new one")]
    TooOften(PersonName),
    /// Time ran backwards in the journal.
    #[error("the event is dated before the last one")]
    Backwards,
    /// A stale completion: the state has moved on. Only the shell sees it.
    #[error("the state has moved on: the result is no longer wanted")]
    Stale,
}
