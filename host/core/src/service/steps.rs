//! The plan's steps are what runs: one that the plan does not list is not done, and one whose request is another than the approved one is not sent.

use super::{Acting, Illegal, NeedKind, Phase, Run, RunEnd, RunState, Service, StepState};
use crate::event::RequestChanged;
use crate::plan::StepKind;

impl StepState {
    /// The steps of the plan that this is about.
    const fn kinds(&self) -> &'static [StepKind] {
        match self {
            Self::Staging(_) => &[StepKind::Stage],
            // What is held beside what is live is taken away again, or not held at all.
            Self::Preflighting { .. } => &[StepKind::Preflight, StepKind::ClearCandidate],
            Self::Guarding(_) => &[StepKind::Guard],
            Self::Shifting(_) => &[StepKind::Shift],
            Self::ReadingBack { .. } => &[StepKind::ReadBack],
            Self::Looking { .. } => &[StepKind::Look],
            Self::Verifying { .. } => &[StepKind::Verify],
        }
    }
}

impl Service {
    /// Hands the incident to a person where its next step is none of the plan's.
    pub(super) fn refuse_unlisted(&mut self) {
        let Some(incident) = &self.incident else { return };
        let (Phase::Acting(Acting { rung, wave, step, .. }), Some(plan)) = (&incident.phase, incident.plan())
        else {
            return;
        };
        let unlisted = step.kinds().iter().find(|kind| !plan.lists(*rung, *wave, **kind)).copied();
        if let Some(kind) = unlisted {
            self.not_listed(kind);
        }
    }

    /// Nobody has agreed to the step, so a person decides.
    pub(super) fn not_listed(&mut self, kind: StepKind) {
        let Some(incident) = &self.incident else { return };
        let text = format!(
            "the plan does not list the step `{}`, so it is not done: `ripcord pull {}` makes a new plan, `ripcord dismiss {}` ends it",
            kind.as_str(),
            self.name,
            incident.id
        );
        self.need_person(NeedKind::WhatNow, text);
    }

    /// Nothing was sent. What a person may do is plan again: what would be sent now is agreed to by itself.
    pub(super) fn request_changed(&mut self, changed: &RequestChanged) -> Result<(), Illegal> {
        let due = |run: &&Run| {
            matches!(run.state, RunState::Due(_))
                && run.ordered.plan == changed.plan
                && changed.step == StepKind::Produce
        };
        if self.producing.run.as_ref().filter(due).is_some() {
            self.end_run(RunEnd::NotBegun);
            return Ok(());
        }
        self.is_at_hand(changed.plan)?;
        let StepState::Shifting(shifting) = self.acting(changed.rung)?.step else {
            return Err(Illegal::Stale);
        };
        // The order that was begun was the approved one: what became of it is still open, and it is not given again.
        if shifting.intent.is_begun() {
            self.ask_what_happened();
            return Ok(());
        }
        let Some(incident) = &self.incident else { return Err(Illegal::Stale) };
        let target = incident.target(changed.rung).map(ToString::to_string).unwrap_or_default();
        let (id, name) = (incident.id.clone(), &self.name);
        let nothing =
            if incident.is_past_pivot() { "nothing more of the plan is shifted" } else { "nothing was sent" };
        let text = format!(
            "{target}: what would be sent now is no longer what was approved, so {nothing}: `ripcord pull {name}` plans again under today's settings, `ripcord dismiss {id}` ends it"
        );
        self.need_person(NeedKind::WhatNow, text);
        Ok(())
    }
}
