use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::contract::describe::FactKind;

use crate::contract::trigger::Assessment;
use crate::contract::types::{
    Context, Digest, Finding, Instant, Plan, Proposal, Signal, SignalKind, SignalStatus, Target,
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

            /// The alerts that tell of the service: a condition holds, or has ended. An alert about missing data, a broken rule or a
            /// heartbeat is none of them, and no reason to roll back.
            pub fn conditions(&self) -> impl Iterator<Item = &Signal> {
                self.signals.iter().filter(|signal| signal.kind == SignalKind::Condition)
            }

            /// True if there are alerts whose condition held, and every one of them has ended. While an alert says that data are
            /// missing or a rule is broken, or its sender only lost sight of it, that is not known.
            pub fn all_resolved(&self) -> bool {
                let ended = |signal: &Signal| signal.status == SignalStatus::Resolved;
                let known = self.signals.iter().all(|signal| match signal.kind {
                    SignalKind::Condition | SignalKind::MissingData | SignalKind::BrokenRule => ended(signal),
                    SignalKind::Heartbeat => true,
                    SignalKind::LostSight | SignalKind::Other(_) => false,
                });
                known && self.conditions().next().is_some()
            }
        }
    )+};
}

case!(TriggerCase, PlannerCase, ApprovalCase, VerificationCase);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::types::{Criticality, Origin, Service, Severity};
    use SignalKind::{BrokenRule, Condition, Heartbeat, LostSight, MissingData};
    use SignalStatus::{Firing, Resolved};

    fn case(signals: &[(SignalKind, SignalStatus)]) -> TriggerCase {
        let signal = |(kind, status): &(SignalKind, SignalStatus)| Signal {
            id: "s".into(),
            origin: Origin::Webhook("alertmanager".into()),
            rule: "FraudErrorRatio".into(),
            status: *status,
            kind: kind.clone(),
            severity: Severity::Critical,
            labels: Vec::new(),
            annotations: Vec::new(),
            started_at: 0,
            ended_at: None,
            received_at: 0,
            first_seen_at: 0,
            count: 1,
            annotations_left_out: false,
        };
        let service = Service {
            name: "fraud-api".into(),
            environment: "production".into(),
            criticality: Criticality::High,
            model: "fraud".into(),
            labels: Vec::new(),
        };
        let context = Context {
            service,
            incident: None,
            now: 1,
            settings: "{}".into(),
            drill: false,
            live_since: None,
            memo: None,
        };
        TriggerCase { context, signals: signals.iter().map(signal).collect() }
    }

    #[test]
    fn all_is_resolved_only_where_every_condition_is_known_to_have_ended() {
        for (signals, resolved) in [
            (vec![], false),
            (vec![(Condition, Resolved)], true),
            (vec![(Condition, Firing)], false),
            (vec![(Condition, Resolved), (Condition, Firing)], false),
            (vec![(Condition, Resolved), (Condition, Resolved)], true),
            (vec![(LostSight, Resolved)], false),
            (vec![(Condition, Resolved), (LostSight, Resolved)], false),
            (vec![(Condition, Resolved), (MissingData, Firing)], false),
            (vec![(Condition, Resolved), (BrokenRule, Firing)], false),
            // The data are back, the rule is mended.
            (vec![(Condition, Resolved), (MissingData, Resolved), (BrokenRule, Resolved)], true),
            (vec![(MissingData, Resolved)], false),
            (vec![(Condition, Resolved), (Heartbeat, Firing)], true),
            (vec![(Condition, Resolved), (SignalKind::Other("new".into()), Resolved)], false),
        ] {
            assert_eq!(case(&signals).all_resolved(), resolved, "{signals:?}");
        }
    }

    #[test]
    fn only_conditions_tell_of_the_service() {
        let case =
            case(&[(MissingData, Firing), (Condition, Firing), (Heartbeat, Firing), (LostSight, Resolved)]);
        assert_eq!(case.conditions().count(), 1);
    }
}
