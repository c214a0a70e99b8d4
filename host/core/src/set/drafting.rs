//! One plan of many parts: what each member's systems were asked for is put together here, so that all of them carry out what people have agreed to.

use super::Set;
use super::event::{SetDrafted, SetPart};
use crate::blob::BlobRef;
use crate::canonical::EncodeError;
use crate::digest::Digest;
use crate::event::{Observed, ObservedFacet, PlanDrafted};
use crate::name::{ServiceName, SetId};
use crate::plan::{Leaving, PLAN_FORMAT, Part, Plan, SetMove};
use crate::policy::PolicyRef;
use crate::signal::Origin;
use crate::target::{Strategy, Target};
use crate::time::UnixMillis;

/// One member's part, as its own systems say it would be carried out.
#[derive(Debug, Clone, PartialEq)]
pub struct PartDraft {
    /// The part: its first rung leads to the target, its second back to what is live.
    pub part: Part,
    /// What is live, without free text.
    pub live: Observed,
    /// What is in force of the other facets, without free text.
    pub facets: Vec<ObservedFacet>,
    /// All of the member's policies.
    pub policies: Vec<PolicyRef>,
    /// How often the member had condemned data: a target may descend from what was condemned since.
    pub condemnations_known: u32,
    /// What its steps are carried out with.
    pub equipment: Digest,
    /// Whether its version is tried beside what is live before it is shifted to.
    pub preflighted: bool,
}

/// The plan, and what of it goes into the journals.
#[derive(Debug, Clone, PartialEq)]
pub struct SetPlan {
    /// What people read, and agree to by its digest.
    pub plan: Plan,
    run: SetId,
    digest: Digest,
    drafts: Vec<PartDraft>,
}

impl Set {
    /// The next plan of the run that goes on, from the parts of the members that are to move, in their order; none if no run goes on.
    pub fn draft(
        &self,
        installation: Digest,
        drafts: Vec<PartDraft>,
        created_at: UnixMillis,
    ) -> Option<Result<SetPlan, EncodeError>> {
        let run = self.run.as_ref()?;
        let mut policies: Vec<PolicyRef> = Vec::new();
        for policy in drafts.iter().flat_map(|draft| &draft.policies) {
            if !policies.contains(policy) {
                policies.push(policy.clone());
            }
        }
        let first = drafts.first().and_then(|draft| draft.part.rungs.first());
        let plan = Plan {
            format: PLAN_FORMAT,
            installation,
            incident: run.id.as_incident(),
            number: run.plan_number() + 1,
            strategy: first.map_or(Strategy::Version, |rung| rung.target.strategy()),
            parts: drafts.iter().map(|draft| draft.part.clone()).collect(),
            policies,
            requested_by: run.requesters.iter().map(|person| Origin::Person(person.to_string())).collect(),
            preflighted: drafts.iter().any(|draft| draft.preflighted),
            drill: false,
            leaving: Leaving::Condemn,
            condemns_data: Vec::new(),
            set: Some(SetMove { members: self.members_of_run(), if_part_fails: run.if_part_fails }),
            created_at,
            expires_at: run.until,
        };
        let run = run.id.clone();
        Some(plan.digest().map(|digest| SetPlan { plan, run, digest, drafts }))
    }

    fn members_of_run(&self) -> Vec<ServiceName> {
        self.run.iter().flat_map(|run| &run.members).map(|member| member.service.clone()).collect()
    }
}

impl SetPlan {
    /// What goes into the set's journal; `content` is the whole plan's RFC 8785 form there.
    pub fn drafted(&self, content: BlobRef) -> SetDrafted {
        let plan = &self.plan;
        let part = |draft: &PartDraft| {
            let targets: Vec<Target> = draft.part.rungs.iter().map(|rung| rung.target.clone()).collect();
            let strategy = targets.first().map_or(Strategy::Version, Target::strategy);
            SetPart {
                member: draft.part.service.clone(),
                part: PlanDrafted {
                    content,
                    digest: self.digest,
                    number: plan.number,
                    strategy,
                    targets,
                    steps: draft.part.approved_steps(),
                    live: draft.live.clone(),
                    facets: draft.facets.clone(),
                    waves: draft.part.waves.clone(),
                    leaving: plan.leaving,
                    condemns_data: Vec::new(),
                    condemnations_known: draft.condemnations_known,
                    equipment: draft.equipment,
                    preflighted: plan.preflighted,
                    expires_at: plan.expires_at,
                },
            }
        };
        SetDrafted {
            run: self.run.clone(),
            content,
            digest: self.digest,
            number: plan.number,
            parts: self.drafts.iter().map(part).collect(),
            expires_at: plan.expires_at,
        }
    }
}
