//! What a policy is asked, and the only kind of verdict that this can get: whoever asks a trigger has a trigger's verdict in hand.

use ripcord_core::role::{
    ApprovalInput, ApprovalVerdict, Finding, PlannerInput, PlannerVerdict, Question, Suspect, TriggerInput,
    TriggerVerdict, Verdict, VerificationInput, VerificationVerdict,
};

/// The input of one role.
pub(crate) trait RoleInput: Send {
    /// What this role decides.
    type Verdict: Send + 'static;

    /// The same as the sandbox takes it.
    fn question(self) -> Question;

    /// The verdict, if it is one of this role.
    fn verdict(verdict: Verdict) -> Option<Self::Verdict>;
}

impl RoleInput for TriggerInput {
    type Verdict = TriggerVerdict;

    fn question(self) -> Question {
        Question::Trigger(self)
    }

    fn verdict(verdict: Verdict) -> Option<TriggerVerdict> {
        if let Verdict::Trigger(verdict) = verdict { Some(verdict) } else { None }
    }
}

impl RoleInput for PlannerInput {
    type Verdict = (PlannerVerdict, Vec<Suspect>);

    fn question(self) -> Question {
        Question::Planner(self)
    }

    fn verdict(verdict: Verdict) -> Option<Self::Verdict> {
        if let Verdict::Planner(verdict, suspects) = verdict { Some((verdict, suspects)) } else { None }
    }
}

impl RoleInput for ApprovalInput {
    type Verdict = ApprovalVerdict;

    fn question(self) -> Question {
        Question::Approval(self)
    }

    fn verdict(verdict: Verdict) -> Option<ApprovalVerdict> {
        if let Verdict::Approval(verdict) = verdict { Some(verdict) } else { None }
    }
}

impl RoleInput for VerificationInput {
    type Verdict = (VerificationVerdict, Vec<Finding>);

    fn question(self) -> Question {
        Question::Verification(self)
    }

    fn verdict(verdict: Verdict) -> Option<Self::Verdict> {
        if let Verdict::Verification(verdict, findings) = verdict { Some((verdict, findings)) } else { None }
    }
}
