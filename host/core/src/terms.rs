//! What the operator has configured for a service, as far as transitions depend on it. Part of the record.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::facet::Facet;
use crate::live::Proof;
use crate::name::{PersonName, RoleName};
use crate::plan::Quorum;
use crate::policy::{PolicyRef, Role};
use crate::target::{Strategy, Target};
use crate::time::{Millis, UnixMillis};
use crate::wave::Wave;

/// How far policies may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Whole incidents and plans, no shift.
    #[default]
    Observe,
    /// People approve every shift.
    Ask,
    /// Policies decide who must agree.
    Act,
}

/// Whether a rollback may go on without all evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
pub enum EvidenceRule {
    /// It may; what is missing is recorded.
    #[default]
    BestEffort,
    /// A person decides.
    Required,
}

/// Whether a version is tried beside what is live before it is shifted to, where its deployer can hold two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
pub enum PreflightRule {
    /// It is; where it cannot be tried, the rollback goes on, and people are told.
    #[default]
    BestEffort,
    /// It is; where it cannot be tried, a person decides.
    Required,
    /// It is not.
    Off,
}

/// Whether who asked for a rollback counts towards a quorum of several people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
pub enum RequesterVote {
    /// Only where one person is enough.
    #[default]
    AloneOnly,
    /// Always.
    Counts,
}

/// How an interrupted shift of the service's deployer can be settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EffectClass {
    /// The same key twice has the effect of once.
    Idempotent,
    /// The system itself refuses a shift when live is not what was expected.
    Conditional,
    /// Live can be read, and tells whether the shift happened.
    Observable,
    /// Nothing can tell: after an interruption a person is asked.
    Blind,
}

/// Limits on shifts that no person agreed to. Beyond them, people are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breaker {
    /// Automatic shifts of this service within an hour.
    pub service_shifts_per_hour: u32,
    /// Automatic shifts of all services of this host within an hour.
    pub host_shifts_per_hour: u32,
    /// Time between two automatic shifts of this service.
    pub cool_down: Millis,
    /// A version that was left is not returned to for so long.
    pub no_return: Millis,
}

/// How long things may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Deadlines {
    /// One call of another system that no step gives more time to: a look at live, a probe, a listing, a query, a mark. What does not answer within it
    /// has failed. Longer than the longest deadline that an adapter has of its own.
    #[serde(default = "call_default")]
    pub call: Millis,
    /// Preserving evidence.
    pub evidence: Millis,
    /// Making a plan, while the systems that it is made from do not answer.
    #[serde(default = "planning_default")]
    pub planning: Millis,
    /// From a plan's making to its expiry; policies may ask for less.
    pub approval: Millis,
    /// Between two reminders while people are waited for.
    #[serde(default = "reminder_default")]
    pub reminder: Millis,
    /// Staging one target, retries included.
    pub stage: Millis,
    /// Trying one target beside what is live, retries included.
    #[serde(default = "preflight_default")]
    pub preflight: Millis,
    /// One shift call.
    pub shift: Millis,
    /// From a shift to the read-back that shows it.
    pub read_back: Millis,
    /// From the read-back to *healthy*.
    pub verification: Millis,
    /// Without data before people are told.
    pub no_data: Millis,
    /// Between two looks at production while a hold stands.
    pub hold_watch: Millis,
    /// Between two looks at production otherwise.
    pub elsewhere_watch: Millis,
    /// How long a version that someone else put live must be live at least before it is known good.
    pub soak: Millis,
    /// From when such a version was noticed until it is given up to verify it; never before `soak`.
    pub probation: Millis,
    /// How long a verified version stays known good.
    pub known_good: Millis,
    /// A trigger that watches, or a verification that does not know yet, is asked again after so long at the soonest.
    pub watch_floor: Millis,
    /// How long a verification policy's *healthy* counts while others do not know yet.
    pub healthy: Millis,
    /// After an incident ended without a rollback its trigger opens none for so long, unless there is news.
    pub reopen_after: Millis,
    /// Between two looks whether a rollback could be made.
    #[serde(default = "readiness_default")]
    pub readiness: Millis,
}

/// What puts one facet beside the model back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FacetTerms {
    /// Which.
    pub facet: Facet,
    /// How an interrupted shift of it can be settled.
    pub class: EffectClass,
    /// The weakest proof of what is in force that settles a rollback of it.
    pub proof_min: Proof,
}

/// What makes versions for the service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProducerTerms {
    /// What it can make a version of.
    pub makes: Vec<Strategy>,
    /// How an interrupted start can be settled.
    pub class: EffectClass,
    /// Of its arguments. Another producer knows nothing of a run that was begun with this one. [`Terms::equipment`] covers them, too.
    pub equipment: Digest,
    /// A whole run, from the grant on: then it is stopped, and people are told.
    pub deadline: Millis,
    /// Between two looks at a run.
    pub every: Millis,
}

/// One policy in its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyUse {
    /// What it is asked.
    pub role: Role,
    /// Which one.
    pub policy: PolicyRef,
    /// Of its settings' canonical JSON: a change clears its memo.
    pub settings: Digest,
}

/// Someone who may act. Their word counts with the roles and the key of the terms in force when it is used, not of those when it was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownPerson {
    /// As configured.
    pub name: PersonName,
    /// As configured.
    pub roles: Vec<RoleName>,
    /// Those that their votes are signed with; none where they vote by session.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<KnownKey>,
}

/// A public key of someone who may act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownKey {
    /// Of the key: of its 32 bytes for one that Ripcord made, of its form on the wire for an SSH key.
    pub key: Digest,
    /// It counts from then on; none always did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_after: Option<UnixMillis>,
    /// It counts until then; none does for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_before: Option<UnixMillis>,
}

impl KnownKey {
    /// One that always counts.
    pub fn always(key: Digest) -> Self {
        Self { key, valid_after: None, valid_before: None }
    }

    /// Whether what is signed at that time counts.
    pub fn is_valid_at(&self, at: UnixMillis) -> bool {
        self.valid_after.is_none_or(|after| after <= at)
            && self.valid_before.is_none_or(|before| at <= before)
    }
}

/// What is configured for a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// How far policies may go.
    pub mode: Mode,
    /// Such as `production`.
    pub environment: String,
    /// How an interrupted shift can be settled.
    pub deployer: EffectClass,
    /// What puts the other facets back.
    #[serde(default)]
    pub facets: Vec<FacetTerms>,
    /// What a version is shifted in, the last wave, everything that is left, not among them; none where it moves at once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waves: Vec<Wave>,
    /// What makes versions of checkpoints or of mended data, if anything does.
    #[serde(default)]
    pub producer: Option<ProducerTerms>,
    /// What the steps of a plan are carried out with, and where: a digest of their arguments. A plan is carried out with no other than it was approved
    /// for.
    pub equipment: Digest,
    /// The weakest proof of identity that settles a rollback.
    pub proof_min: Proof,
    /// Everyone who may act.
    pub people: Vec<KnownPerson>,
    /// Under every approval policy.
    pub floor: Vec<Quorum>,
    /// Whether who asked counts.
    pub requester_vote: RequesterVote,
    /// Whose refusal ends a plan; anybody's who may vote where there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub veto: Vec<RoleName>,
    /// Who signed policies that have a say, where their word counts towards no quorum for that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authors: Vec<PersonName>,
    /// Who may break the glass: grant a plan alone and at once, whatever floor and policies want.
    #[serde(default)]
    pub break_glass: Vec<RoleName>,
    /// Whether a rollback may go on without all evidence.
    pub evidence: EvidenceRule,
    /// Whether versions are tried before they are shifted to.
    #[serde(default)]
    pub preflight: PreflightRule,
    /// The golden data set whose answers identify a version, if one does.
    #[serde(default)]
    pub fingerprint: Option<String>,
    /// Limits on automatic shifts.
    pub breaker: Breaker,
    /// How long things may take.
    pub deadlines: Deadlines,
    /// Trials in one incident.
    pub trials_max: u32,
    /// A trigger is asked this often without any signal.
    pub schedule: Option<Millis>,
    /// In the order of the configuration.
    pub policies: Vec<PolicyUse>,
}

const fn call_default() -> Millis {
    Millis::minutes(2)
}

const fn planning_default() -> Millis {
    Millis::minutes(5)
}

const fn reminder_default() -> Millis {
    Millis::minutes(15)
}

const fn readiness_default() -> Millis {
    Millis::minutes(10)
}

const fn preflight_default() -> Millis {
    Millis::minutes(2)
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            service_shifts_per_hour: 2,
            host_shifts_per_hour: 10,
            cool_down: Millis::minutes(10),
            no_return: Millis::hours(24),
        }
    }
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            call: call_default(),
            evidence: Millis::seconds(30),
            planning: planning_default(),
            approval: Millis::hours(1),
            reminder: reminder_default(),
            stage: Millis::minutes(10),
            preflight: preflight_default(),
            shift: Millis::minutes(5),
            read_back: Millis::minutes(10),
            verification: Millis::minutes(30),
            no_data: Millis::minutes(10),
            hold_watch: Millis::seconds(30),
            elsewhere_watch: Millis::minutes(1),
            soak: Millis::minutes(10),
            probation: Millis::hours(1),
            known_good: Millis::hours(24 * 90),
            watch_floor: Millis::seconds(5),
            healthy: Millis::minutes(5),
            reopen_after: Millis::hours(4),
            readiness: readiness_default(),
        }
    }
}

impl Terms {
    /// What is configured for a facet beside the model.
    pub fn facet(&self, facet: &Facet) -> Option<&FacetTerms> {
        self.facets.iter().find(|terms| terms.facet == *facet)
    }

    /// How an interrupted shift of this facet can be settled; nothing is promised for one that nothing puts back.
    pub fn class(&self, facet: &Facet) -> EffectClass {
        match facet {
            Facet::Model => self.deployer,
            other => self.facet(other).map_or(EffectClass::Blind, |terms| terms.class),
        }
    }

    /// The weakest proof of what is in force of this facet that settles a rollback.
    pub fn proof_min(&self, facet: &Facet) -> Proof {
        match facet {
            Facet::Model => self.proof_min,
            other => self.facet(other).map_or(Proof::Digest, |terms| terms.proof_min),
        }
    }

    /// What makes a version of such a target, if anything does.
    pub fn producer_of(&self, target: &Target) -> Option<&ProducerTerms> {
        let producer = self.producer.as_ref().filter(|_| target.is_produced())?;
        producer.makes.contains(&target.strategy()).then_some(producer)
    }

    /// The person of that name, if they may act.
    pub fn person(&self, name: &PersonName) -> Option<&KnownPerson> {
        self.people.iter().find(|person| person.name == *name)
    }

    /// Whether that person may break the glass now.
    pub fn may_break_glass(&self, name: &PersonName) -> bool {
        let person = self.person(name);
        person.is_some_and(|person| person.roles.iter().any(|role| self.break_glass.contains(role)))
    }

    /// Whether a refusal of that person ends a plan.
    pub fn may_veto(&self, name: &PersonName) -> bool {
        let has = |role: &RoleName| self.person(name).is_some_and(|person| person.roles.contains(role));
        self.veto.is_empty() || self.veto.iter().any(has)
    }

    /// The policies of `role`, in order.
    pub fn policies(&self, role: Role) -> impl Iterator<Item = &PolicyUse> {
        self.policies.iter().filter(move |used| used.role == role)
    }
}

impl Mode {
    /// The word that the configuration uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Ask => "ask",
            Self::Act => "act",
        }
    }
}

impl std::fmt::Display for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
