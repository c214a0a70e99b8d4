use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::contract::describe::FactKind;

use crate::contract::trigger::Assessment;
use crate::contract::types::{
    Context, Digest, Finding, Instant, Plan, Proposal, Signal, SignalStatus, Target,
};
use crate::contract::verification::Subject;
use crate::contract::{approval, facts, planner, verification};
use crate::duration::{Duration, millis};
use crate::facts::{Facts, Step};

/// A rule: its settings, which all its roles share.
pub trait Policy {
    /// What the operator configures. The doc comments of its fields become the descriptions in the schema.
    /// `#[serde(deny_unknown_fields)]` makes a misspelt key an error.
    type Settings: DeserializeOwned + JsonSchema;

    /// What a type cannot say about the settings, such as one field depending on another.
    ///
    /// # Errors
    /// A sentence that names the setting and says what to write.
    fn check(settings: &Self::Settings) -> Result<(), String> {
        let _ = settings;
        Ok(())
    }
}

/// Is this a reason to roll back?
pub trait Trigger: Policy {
    /// All that [`Trigger::assess`] may ask for. Trials (golden, recheck) are not among it.
    const FACTS: &'static [FactKind];

    /// Judges the signals of one service.
    ///
    /// # Errors
    /// [`Stop`](crate::Stop): a fact is missing, or the policy cannot go on.
    fn assess(case: &TriggerCase, facts: &Facts, settings: &Self::Settings) -> Step<Assessment>;
}

/// With what strategy, to which targets?
pub trait Planner: Policy {
    /// All that [`Planner::propose`] may ask for.
    const FACTS: &'static [FactKind];

    /// Names the targets, best first, and why the others were refused.
    ///
    /// # Errors
    /// [`Stop`](crate::Stop): a fact is missing, or the policy cannot go on.
    fn propose(case: &PlannerCase, facts: &Facts, settings: &Self::Settings) -> Step<planner::Answer>;
}

/// Who must agree, and is it enough now?
pub trait Approval: Policy {
    /// All that [`Approval::authorize`] may ask for.
    const FACTS: &'static [FactKind];

    /// Judges the votes for a plan.
    ///
    /// # Errors
    /// [`Stop`](crate::Stop): a fact is missing, or the policy cannot go on.
    fn authorize(case: &ApprovalCase, facts: &Facts, settings: &Self::Settings) -> Step<approval::Answer>;
}

/// Is the service well again?
pub trait Verification: Policy {
    /// All that [`Verification::verify`] may ask for.
    const FACTS: &'static [FactKind];

    /// Judges what the [case](VerificationCase) is about: the service after a shift, a target before it, or a version that someone else put
    /// live. A subject that this version of the SDK does not know is answered *inconclusive* before the policy is called.
    ///
    /// # Errors
    /// [`Stop`](crate::Stop): a fact is missing, or the policy cannot go on.
    fn verify(
        case: &VerificationCase,
        facts: &Facts,
        settings: &Self::Settings,
    ) -> Step<verification::Answer>;
}

/// What a trigger is told.
#[derive(Clone, Debug)]
pub struct TriggerCase {
    /// What every policy is told.
    pub context: Context,
    /// The signals of the service, oldest first.
    pub signals: Vec<Signal>,
}

/// What a planner is told.
#[derive(Clone, Debug)]
pub struct PlannerCase {
    /// What every policy is told.
    pub context: Context,
    /// The signals of the incident, oldest first.
    pub signals: Vec<Signal>,
    /// What the trigger or a person proposed.
    pub proposal: Proposal,
    /// Targets that this incident shifted to already, and that did not help.
    pub tried: Vec<Target>,
}

/// What an approval is told.
#[derive(Clone, Debug)]
pub struct ApprovalCase {
    /// What every policy is told.
    pub context: Context,
    /// The signals of the incident, oldest first.
    pub signals: Vec<Signal>,
    /// What the trigger or a person proposed.
    pub proposal: Proposal,
    /// The plan to agree to.
    pub plan: Plan,
    /// Lower-case hex sha-256 of the plan, which the votes name.
    pub plan_digest: Digest,
    /// When people were first asked for this plan, Unix milliseconds; later by as much as the host's clock has jumped forward since.
    pub opened_at: Instant,
    /// How far the host's clock has jumped forward since the plan was made, milliseconds. [`ApprovalCase::expires_at`] and
    /// [`ApprovalCase::plan_age`] allow for it.
    pub clock_jumped: u64,
}

impl ApprovalCase {
    /// When the plan expires, Unix milliseconds: later than it says where the host's clock has jumped forward since.
    pub fn expires_at(&self) -> Instant {
        self.plan.expires_at.saturating_add(self.clock_jumped)
    }

    /// How old the plan is: what the host's clock has jumped is no age.
    pub fn plan_age(&self) -> Duration {
        millis(self.context.now.saturating_sub(self.plan.created_at).saturating_sub(self.clock_jumped))
    }
}

/// What a verification is told.
#[derive(Clone, Debug)]
pub struct VerificationCase {
    /// What every policy is told.
    pub context: Context,
    /// What is judged. Most policies need [`VerificationCase::target`], [`VerificationCase::served_since`] and
    /// [`VerificationCase::golden`] instead, which know the differences.
    pub subject: Subject,
    /// The signals of the incident, oldest first; none for a promotion.
    pub signals: Vec<Signal>,
    /// The facts of the decisions that led to the shift, and golden data through what was live before it; empty for a promotion.
    pub before: Vec<facts::Fact>,
    /// Findings of the verdict before this one on the same subject, empty at first.
    pub previous: Vec<Finding>,
}

macro_rules! case {
    ($($case:ident),+) => {$(
        impl $case {
            /// The time of the decision, Unix milliseconds. It does not move while the policy runs.
            pub fn now(&self) -> Instant {
                self.context.now
            }

            /// Since when what is live is live, as far as the host has seen, Unix milliseconds. None if it was live already when the host
            /// looked first, or nobody knows: what a metric tells of the time before it is another version's.
            pub fn live_since(&self) -> Option<Instant> {
                self.context.live_since
            }

            /// What the policy remembered last, or the default: nothing was remembered, another version of the
            /// policy wrote it, or it does not decode.
            pub fn memo<M: DeserializeOwned + Default>(&self) -> M {
                let bytes = self.context.memo.as_ref().map(|memo| memo.bytes.as_slice()).unwrap_or_default();
                serde_json::from_slice(bytes).unwrap_or_default()
            }

            /// True if there are signals and every one of them is resolved.
            pub fn all_resolved(&self) -> bool {
                !self.signals.is_empty() && self.signals.iter().all(|s| s.status == SignalStatus::Resolved)
            }
        }
    )+};
}

case!(TriggerCase, PlannerCase, ApprovalCase, VerificationCase);
