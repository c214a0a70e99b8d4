//! Events that cannot happen.

use crate::data::DataRevision;
use crate::digest::Digest;
use crate::facet::Revision;
use crate::name::{IncidentId, PersonName, ServiceName, SetId};

/// An event that cannot happen in this state. The text says what the reader can do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Illegal {
    /// There is no incident.
    #[error("`{0}` has no open incident")]
    NoIncident(ServiceName),
    /// The incident is elsewhere.
    #[error("incident `{incident}` is {phase}: {wanted}")]
    WrongPhase {
        /// Which.
        incident: IncidentId,
        /// Where it is.
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
    /// The plan has expired.
    #[error("the plan has expired; pull again for a new one")]
    Expired,
    /// Nothing of that name.
    #[error("`{0}` has no hold on that; `ripcord hold list` shows all")]
    NoHold(ServiceName),
    /// It is not condemned.
    #[error("`{1}` is not condemned for `{0}`; `ripcord hold list` shows what is")]
    DataNotCondemned(ServiceName, DataRevision),
    /// It was lifted meanwhile, and condemned again.
    #[error(
        "`{0}` was lifted and condemned again meanwhile: look at it with `ripcord hold list`, then lift it"
    )]
    OtherCondemnation(DataRevision),
    /// Nothing of that name.
    #[error("`{0}` has no latch on that trigger; `ripcord status` shows all")]
    NoLatch(ServiceName),
    /// Nothing is being made, or by the order of another incident.
    #[error(
        "no run that `{0}` ordered goes on; `ripcord runs list` shows those that do, and what became of the last ones"
    )]
    NoRun(IncidentId),
    /// The revision is condemned.
    #[error(
        "`{revision}` is condemned; `ripcord hold lift {service} {} --reason TEXT` comes before you vouch for it",
        revision.as_text()
    )]
    Condemned {
        /// Of which service.
        service: ServiceName,
        /// Which.
        revision: Revision,
    },
    /// A plan waits that the pull would throw away.
    #[error(
        "`{incident}` has a plan already, to {to}, {state}: `ripcord plan show {incident}` shows it; with `--replace` this pull throws it away, with the votes for it, and makes another"
    )]
    PlanPending {
        /// Of which incident.
        incident: IncidentId,
        /// Its first target.
        to: String,
        /// How far it is.
        state: String,
    },
    /// Already so.
    #[error("`{0}` is {1} already")]
    Already(ServiceName, &'static str),
    /// No incident of that id.
    #[error("there is no incident `{0}`; `ripcord incidents list` shows all")]
    UnknownIncident(IncidentId),
    /// Rules found that what is live does harm: it is not left as it was on one person's word.
    #[error(
        "`{0}` was not opened by a person: what is live was found to do harm, so it is condemned when it is left; leave out `--no-hold`, and lift the hold afterwards if that was wrong"
    )]
    DoesHarm(IncidentId),
    /// A set has the right to shift.
    #[error(
        "`{incident}` is open for `{run}`: the set alone moves the service meanwhile: `ripcord incidents show {run}` says how far it is; wait until it is over, or `ripcord dismiss {incident}` takes the service out of it"
    )]
    MovesWithSet {
        /// Which incident.
        incident: IncidentId,
        /// For which run.
        run: SetId,
    },
    /// It is not kept.
    #[error("`{0}` is not kept: its content goes by its age")]
    NotKept(IncidentId),
    /// More would never be forgotten.
    #[error("{0} incidents are kept already; `ripcord incidents release INCIDENT` lets one go")]
    TooManyKept(usize),
    /// It is over.
    #[error("incident `{0}` is not open, and no other is; `ripcord incidents show {0}` says how it ended")]
    NotOpen(IncidentId),
    /// It is over, and another one is open.
    #[error("{} is not open: `{open}` is; look at it with `ripcord incidents show {open}`, and say what is to be done with that one", meant_incident(meant.as_ref()))]
    OtherIncident {
        /// Which was meant; none is a pull that was to open one.
        meant: Option<IncidentId>,
        /// Which is open.
        open: IncidentId,
    },
    /// The answer is to an earlier question.
    #[error(
        "incident `{incident}` asks for the {asked}. time whether a shift happened, and this answers another question: look at the service again, then add `--question {asked}`"
    )]
    OtherQuestion {
        /// Of which incident.
        incident: IncidentId,
        /// The question at hand.
        asked: u32,
    },
    /// The revision is held for another reason by now.
    #[error(
        "the hold on `{revision}` is of incident `{by}` by now, not of `{meant}`: look at it with `ripcord hold list`, and name that one"
    )]
    OtherHold {
        /// On what.
        revision: Revision,
        /// Which incident condemned it.
        by: IncidentId,
        /// Whose hold was meant.
        meant: IncidentId,
    },
    /// The trigger is latched for another reason by now.
    #[error(
        "that trigger is latched by the end of incident `{0}` by now: look at it with `ripcord status`, and name that one"
    )]
    OtherLatch(IncidentId),
    /// Something else stands under the revision's name.
    #[error(
        "`{revision}` has digest `{now}`, but `{pinned}` was pinned: it was changed; restore it where it is kept"
    )]
    OtherDigest {
        /// Of what.
        revision: Revision,
        /// The digest that was pinned.
        pinned: Digest,
        /// The registry's now.
        now: Digest,
    },
    /// Nobody of that name may act.
    #[error("`{0}` is not among those who may act now; someone who is must do this")]
    UnknownPerson(PersonName),
    /// They may vote, and not in place of all others.
    #[error("`{person}` may not break the glass: it takes the role {roles} (`break-glass` of the service)")]
    NoBreakGlass {
        /// Who.
        person: PersonName,
        /// Who may.
        roles: String,
    },
    /// Nothing was done by breaking the glass, or it was looked at since.
    #[error("`{0}` has no open review; `ripcord status` shows all")]
    NoReview(IncidentId),
    /// Who has no say on plans looks at none that were carried out.
    #[error("`{person}` may not close a review: it takes the role {roles}")]
    MayNotReview {
        /// Who.
        person: PersonName,
        /// Who may.
        roles: String,
    },
    /// Who broke the glass does not say that it was well.
    #[error("who broke the glass does not close the review of `{0}`: another approver must")]
    OwnReview(IncidentId),
    /// It is still going on.
    #[error("`{0}` is still open: close its review when it has ended")]
    ReviewedTooSoon(IncidentId),
    /// The vote was given with another key than the one in force.
    #[error(
        "`{0}` has another key now, or one at all, or it is not valid now: vote again, and sign with a key in force"
    )]
    OtherKey(PersonName),
    /// A signature counts once.
    #[error("this signature of `{0}` was used before: sign again, each signature has a nonce of its own")]
    SignatureUsed(PersonName),
    /// It is as asked already. Nothing is recorded.
    #[error("{0}: nothing has changed")]
    Unchanged(String),
    /// Whoever asks has asked too often.
    #[error("{0}; {1}")]
    TooOften(String, &'static str),
    /// Time ran backwards in the journal.
    #[error("the event is dated before the last one")]
    Backwards,
    /// A stale completion: the state has moved on. Only the shell sees it.
    #[error("the state has moved on: the result is no longer wanted")]
    Stale,
}

fn meant_incident(meant: Option<&IncidentId>) -> String {
    meant.map_or_else(|| "a new incident".to_owned(), |id| format!("incident `{id}`"))
}
