//! One incident: why, on what evidence, who agreed, how far it is, and when it got there. What its plans do is its [`Ladder`].

use serde::{Deserialize, Serialize};

use crate::blob::BlobRef;
use crate::digest::Digest;
use crate::event::{EvidenceGap, EvidenceItem, InProduction, Observed, ObservedFacet, PlanDrafted, Reason};
use crate::facet::Revision;
use crate::fact::Outcome;
use crate::name::{IncidentId, PersonName, PolicyName, SetId, VersionName};
use crate::plan::{Leaving, Quorum};
use crate::signal::Origin;
use crate::target::Target;
use crate::time::{Millis, UnixMillis};
use crate::votes::Votes;

use super::ladder::{Acting, Ladder, StepState};
use super::spent::{Spent, TimePart};

/// What opens an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Opener {
    /// A trigger wants a rollback.
    Trigger(PolicyName),
    /// A person pulled.
    Person(PersonName),
    /// What this incident condemned is in production again.
    BrokenHold(IncidentId),
    /// What someone else put live was found unwell.
    FailedProbation(Revision),
    /// The run that this incident ordered has made a version.
    Produced(IncidentId),
    /// A run of a set enlisted the service.
    Set(SetId),
}

impl Opener {
    /// As plans and messages name it.
    pub fn origin(&self) -> Origin {
        match self {
            Self::Trigger(name) => Origin::Policy(name.to_string()),
            Self::Person(name) => Origin::Person(name.to_string()),
            Self::BrokenHold(incident) => Origin::Policy(format!("hold of {incident}")),
            Self::FailedProbation(revision) => Origin::Policy(format!("probation of {revision}")),
            Self::Produced(incident) => Origin::Policy(format!("run of {incident}")),
            Self::Set(run) => Origin::Policy(run.to_string()),
        }
    }
}

/// One episode of one service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// Its id.
    pub id: IncidentId,
    /// Why; of the trigger that won, or of the person.
    pub reason: Reason,
    /// What opened it.
    pub opened_by: Opener,
    /// Who asked.
    pub requested_by: Vec<Origin>,
    /// The person whose wish is carried out.
    pub requester: Option<PersonName>,
    /// All people who asked for a rollback in this incident.
    pub requesters: Vec<PersonName>,
    /// What [`Self::requester`] wants; none leaves it to the planner.
    pub wanted: Option<Target>,
    /// What becomes of the versions that are left, as whoever pulled last wants it.
    pub leaving: Leaving,
    /// Somebody broke the glass: evidence is what there is at once.
    #[serde(default)]
    pub hurried: bool,
    /// A person's wish that waits for the read-back.
    pub next_wish: Option<Wish>,
    /// How many are attached so far.
    pub signals: u64,
    /// What was preserved.
    pub evidence: Vec<EvidenceItem>,
    /// What could not be.
    pub missing: Vec<EvidenceGap>,
    /// What was live when evidence was preserved.
    pub live: Option<Observed>,
    /// What was in force of the other facets then.
    pub facets: Vec<ObservedFacet>,
    /// What the registry said then is in production.
    pub in_production: InProduction,
    /// What the registry's production name was moved to since, oldest first.
    pub promoted: Vec<VersionName>,
    /// What was known before the shift (CBOR of the [`crate::fact::Fact`]s).
    pub facts: Option<BlobRef>,
    /// What the planner said in the end: that going back does not help.
    pub no_help: Option<NoHelpSaid>,
    /// All plans, the last one is at hand.
    pub plans: Vec<PlanDrafted>,
    /// On the plan at hand, as they were given; [`Service::votes_in_force`](super::Service::votes_in_force) are those that count.
    pub votes: Votes,
    /// What was done by its plans, and what came of it.
    pub ladder: Ladder,
    /// How often people pulled.
    pub pulls: u32,
    /// The triggers say that the reason is gone, and people were told.
    pub reason_gone: bool,
    /// How often people were asked whether a shift happened.
    pub questions: u32,
    /// How far the clock has jumped since the plan at hand was made, and what was waited between its waves: added to its expiry.
    pub extension: Millis,
    /// How far it is.
    pub phase: Phase,
    /// When it got there.
    pub marks: Marks,
    /// Where the time went.
    pub spent: Spent,
}

/// That going back does not help, in the planner's words.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct NoHelpSaid {
    /// What the cause is instead.
    pub reason: BlobRef,
    /// Who can help, where the planner knows.
    pub hand_over_to: Option<BlobRef>,
}

/// What a person wants.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Wish {
    /// Who.
    pub person: PersonName,
    /// Where to.
    pub target: Option<Target>,
    /// What becomes of what is left.
    pub leaving: Leaving,
    /// Why and how fast.
    pub reason: Reason,
}

/// How far an incident is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Phase {
    /// Evidence first.
    Preserving,
    /// The planner is asked.
    Planning(Waiting),
    /// People and rules are asked.
    Authorising(Authorising),
    /// A set has the right to shift: it waits for its part, or for the parts of others.
    Enlisted,
    /// The plan is carried out.
    Acting(Acting),
    /// A person must decide.
    NeedsPerson(Need),
    /// The end.
    Settled(Outcome),
}

/// A step that is tried again later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// When the step was first due.
    pub since: UnixMillis,
    /// Failures so far.
    pub failures: u32,
    /// When it is due again; none is now.
    pub due_at: Option<UnixMillis>,
}

/// Who has agreed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Authorising {
    /// When approval was first asked for.
    pub opened_at: UnixMillis,
    /// Why people must agree whatever policies say; none leaves it to mode, floor and policies.
    pub people_because: Option<String>,
    /// Why it is asked again, for people; none the first time.
    pub again: Option<String>,
    /// What was being done when people became necessary; none before the first shift of the plan was due.
    pub resume: Option<Acting>,
    /// What the approval policies were asked about last, see [`Service::ballot`](super::Service::ballot); none before they were asked.
    pub seen: Option<Digest>,
    /// Whether all of them granted, when they were asked about [`Self::seen`].
    pub policies_granted: Agreement,
    /// What they wait for.
    pub quorums: Vec<Quorum>,
    /// The earliest expiry that they ask for.
    pub expires_at: UnixMillis,
    /// When to call for more people.
    pub escalate_at: Option<UnixMillis>,
    /// Whether more people were called.
    pub escalated: bool,
    /// When people are reminded; none while they were not asked.
    pub remind_at: Option<UnixMillis>,
    /// Whether one of them faulted when they were last asked: people were told.
    pub faulted: bool,
    /// When the policies are due again.
    pub due_at: Option<UnixMillis>,
}

/// Whether the approval policies agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Agreement {
    /// At least one waits or faulted.
    Open,
    /// All grant.
    Granted,
}

/// Who agreed to a plan, and what had to be met.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Grant {
    /// Whether a person agreed: then it is not an automatic shift.
    pub authority: Authority,
    /// Everything that the grant rests on. Where it is another one by now, it is asked again.
    pub consent: Digest,
    /// What the approval policies asked for.
    pub quorums: Vec<Quorum>,
    /// Why people had to agree whatever policies said.
    pub people_because: Option<String>,
}

/// By whose word a plan is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Authority {
    /// Rules alone.
    Policies,
    /// At least one person agreed.
    People,
    /// One person alone, past floor and policies.
    BreakGlass,
}

/// Why a person must decide.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Need {
    /// What is wanted of them.
    pub question: NeedKind,
    /// For people: what happened and what they can do.
    pub text: String,
    /// Since when.
    pub since: UnixMillis,
    /// What the incident was doing.
    pub resume: Option<Acting>,
}

/// What is wanted of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum NeedKind {
    /// Did the shift happen?
    DidTheShiftHappen,
    /// What now? Pull with a target, or dismiss.
    WhatNow,
}

/// When an incident got where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Marks {
    /// As the trigger says.
    pub harm_began_at: Option<UnixMillis>,
    /// The first signal was taken in.
    pub signalled_at: Option<UnixMillis>,
    /// The incident opened.
    pub opened_at: UnixMillis,
    /// Evidence was preserved.
    pub preserved_at: Option<UnixMillis>,
    /// The plan at hand was made.
    pub planned_at: Option<UnixMillis>,
    /// It was granted.
    pub granted_at: Option<UnixMillis>,
    /// The last shift was begun.
    pub shifted_at: Option<UnixMillis>,
    /// The read-back showed the target.
    pub read_back_at: Option<UnixMillis>,
    /// The end.
    pub settled_at: Option<UnixMillis>,
}

impl Waiting {
    /// Due now.
    pub const fn from(since: UnixMillis) -> Self {
        Self { since, failures: 0, due_at: None }
    }

    /// After one more failure: due again in 1 s, then twice as long each time, at most 60 s.
    #[must_use]
    pub fn later(self, at: UnixMillis) -> Self {
        let pause = Millis::seconds(1 << self.failures.min(6)).min(Millis::seconds(60));
        Self { failures: self.failures + 1, due_at: Some(at + pause), ..self }
    }
}

impl Incident {
    /// The plan at hand.
    pub fn plan(&self) -> Option<&PlanDrafted> {
        self.plans.last()
    }

    /// When the plan at hand expires: as it says, and as much later as the clock has jumped since.
    pub fn plan_expires_at(&self) -> Option<UnixMillis> {
        Some(self.plan()?.expires_at + self.extension)
    }

    /// Number of the plan at hand, from one; 0 without one.
    pub fn plan_number(&self) -> u32 {
        self.plan().map_or(0, |plan| plan.number)
    }

    /// The rung's target of the plan at hand.
    pub fn target(&self, rung: u32) -> Option<&Target> {
        self.plan()?.targets.get(rung as usize)
    }

    /// Whether the pivot is behind: a shift was begun.
    pub fn is_past_pivot(&self) -> bool {
        match &self.phase {
            Phase::Acting(acting) => acting.is_past_pivot(),
            Phase::NeedsPerson(need) => need.resume.as_ref().is_some_and(Acting::is_past_pivot),
            Phase::Authorising(authorising) => authorising.resume.as_ref().is_some_and(Acting::is_past_pivot),
            Phase::Enlisted => !self.ladder.tried.is_empty(),
            _ => false,
        }
    }

    /// Whether a person must decide how it goes on: nothing is under way that their word could disturb.
    pub fn waits_for_people(&self) -> bool {
        match &self.phase {
            Phase::NeedsPerson(need) => need.question == NeedKind::WhatNow,
            Phase::Authorising(_) => true,
            _ => false,
        }
    }

    /// What its time goes into now; none once it has ended.
    pub(super) const fn time_part(&self) -> Option<TimePart> {
        match &self.phase {
            Phase::Preserving | Phase::Planning(_) | Phase::Enlisted => Some(TimePart::Decide),
            Phase::Authorising(_) | Phase::NeedsPerson(_) => Some(TimePart::People),
            Phase::Acting(acting) => Some(match acting.step {
                StepState::Looking { .. } | StepState::Verifying { .. } => TimePart::Verify,
                _ => TimePart::Act,
            }),
            Phase::Settled(_) => None,
        }
    }

    /// Since when it waits for people, while it does.
    pub const fn waits_since(&self) -> Option<UnixMillis> {
        match &self.phase {
            Phase::Authorising(authorising) => Some(authorising.opened_at),
            Phase::NeedsPerson(need) => Some(need.since),
            _ => None,
        }
    }

    /// One word for the phase.
    pub fn phase_name(&self) -> &'static str {
        match &self.phase {
            Phase::Preserving => "preserving evidence",
            Phase::Planning(_) => "planning",
            Phase::Authorising(_) => "waiting for approval",
            Phase::Enlisted => "waiting for its set",
            Phase::Acting(acting) => acting.step.name(),
            Phase::NeedsPerson(_) => "needs a person",
            Phase::Settled(_) => "settled",
        }
    }
}
