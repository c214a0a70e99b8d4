//! How a run ends, and that everything ends.

use super::event::{AboutRun, OfMember};
use super::{MemberState, Progress, RunMember, Set, SetIllegal, SetOutcome, SetPhase};
use crate::effect::Topic;
use crate::event::Release;
use crate::service::Hindrance;
use crate::signal::Severity;
use crate::time::UnixMillis;

impl SetOutcome {
    /// What the members are told.
    pub const fn release(self) -> Release {
        match self {
            Self::Moved => Release::AllWell,
            Self::WentBack
            | Self::NothingMoved
            | Self::NotEnlisted
            | Self::NotPlanned
            | Self::Refused
            | Self::Aborted => Release::AsBefore,
            Self::EndedByPerson | Self::Expired => Release::Unfinished,
        }
    }
}

impl Set {
    /// Ends the run: its members are released.
    pub(super) fn end(&mut self, outcome: SetOutcome, text: &str) {
        let Some(run) = &mut self.run else { return };
        run.phase = SetPhase::Releasing(outcome);
        let severity = if outcome == SetOutcome::Moved { Severity::Info } else { Severity::Warning };
        let text = format!("`{}` {outcome}: {text}", run.id);
        self.tell(Topic::Settled, severity, text);
        self.end_once_released();
    }

    fn end_once_released(&mut self) {
        let at = self.at;
        let Some(run) = &mut self.run else { return };
        let SetPhase::Releasing(outcome) = run.phase else { return };
        // What is enlisted for longer than the run may take leaves by itself.
        if at < run.until && run.members.iter().any(RunMember::needs_release) {
            return;
        }
        run.phase = SetPhase::Ended(outcome);
        run.ended_at = Some(at);
        self.last = self.run.take();
    }

    pub(super) fn member_released(&mut self, of: &OfMember) -> Result<(), SetIllegal> {
        let run = self.run_of_result(&of.run)?;
        if !matches!(run.phase, SetPhase::Releasing(_)) {
            return Err(SetIllegal::Stale);
        }
        let member = run.members.iter_mut().find(|member| member.service == of.member);
        let member = member.filter(|member| member.needs_release()).ok_or(SetIllegal::Stale)?;
        member.state = MemberState::Released;
        self.end_once_released();
        Ok(())
    }

    /// Hands the run to a person.
    pub(super) fn need_person(&mut self, why: &str) {
        let (at, name) = (self.at, self.name.clone());
        let Some(run) = &mut self.run else { return };
        let id = &run.id;
        let word = |member: &RunMember| {
            let so = match (member.there, member.back) {
                (_, Progress::Ended(end)) if !end.is_failure() => "went back",
                (Progress::Ended(end), Progress::Waiting) if !end.is_failure() => "has moved",
                (Progress::Waiting, _) => "has not moved",
                _ => "failed",
            };
            format!("`{}` {so}", member.service)
        };
        let moving: Vec<_> = run.members.iter().filter(|member| member.target.is_some()).map(word).collect();
        let forward = if run.members.iter().all(|member| member.back == Progress::Waiting) {
            format!(
                "`ripcord pull --set {name} --to MEMBER=VERSION` names another target for what has not moved, "
            )
        } else {
            String::new()
        };
        let text = format!(
            "`{id}` needs a person: {why}; {}: {forward}`ripcord dismiss {id}` ends it as it is",
            moving.join(", ")
        );
        run.phase = SetPhase::NeedsPerson { since: at, text: text.clone() };
        self.tell(Topic::NeedsPerson, Severity::Critical, text);
    }

    pub(super) fn aborted(&mut self, about: &AboutRun) -> Result<(), SetIllegal> {
        let run = self.open_run(&about.run)?;
        let over = matches!(run.phase, SetPhase::Releasing(_) | SetPhase::Ended(_));
        if run.has_begun() || over {
            return Err(Self::wrong_phase(
                run,
                "its first part was begun, or it is over: stop its members one by one, or wait until people are asked",
            ));
        }
        self.end(SetOutcome::Aborted, "a person stopped it, and nothing was shifted");
        Ok(())
    }

    pub(super) fn dismissed(&mut self, about: &AboutRun) -> Result<(), SetIllegal> {
        let run = self.open_run(&about.run)?;
        if !matches!(run.phase, SetPhase::NeedsPerson { .. }) {
            return Err(Self::wrong_phase(
                run,
                "no person was asked: before its first part it is aborted, and not dismissed",
            ));
        }
        self.end(SetOutcome::EndedByPerson, "a person ended it as it is");
        Ok(())
    }

    /// The last moment of what goes on, beside that of the run.
    pub(super) fn ends_at(&self) -> Option<UnixMillis> {
        let (run, deadlines) = (self.run.as_ref()?, self.deadlines());
        match run.phase {
            SetPhase::Enlisting { since } => Some(since + deadlines.enlisting),
            SetPhase::Drafting(waiting) => Some(waiting.since + deadlines.planning),
            SetPhase::Authorising { expires_at } => Some(expires_at),
            SetPhase::Acting(_) => run.members.iter().find_map(|member| {
                [member.there, member.back].into_iter().find_map(|part| match part {
                    Progress::Began { since, told: false } | Progress::Given { since, told: false } => {
                        Some(since + deadlines.part)
                    }
                    _ => None,
                })
            }),
            SetPhase::NeedsPerson { .. } | SetPhase::Releasing(_) | SetPhase::Ended(_) => None,
        }
    }

    /// Judges every deadline by the time of the event.
    pub(super) fn woke(&mut self) {
        let at = self.at;
        let ends = self.ends_at();
        let Some(run) = &mut self.run else { return };
        if at >= run.until {
            self.expire();
            return;
        }
        if let SetPhase::Drafting(waiting) = &mut run.phase
            && waiting.due_at.is_some_and(|due| due <= at)
        {
            waiting.due_at = None;
        }
        if ends.is_none_or(|end| at < end) {
            return;
        }
        match &run.phase {
            SetPhase::Enlisting { .. } => self.too_slow(),
            SetPhase::Drafting(_) => self.unplanned(),
            SetPhase::Authorising { .. } => {
                self.end_or_ask(SetOutcome::Expired, "not enough people agreed in time");
            }
            SetPhase::Acting(_) => self.tell_of_slow_parts(),
            SetPhase::NeedsPerson { .. } | SetPhase::Releasing(_) | SetPhase::Ended(_) => {}
        }
    }

    fn too_slow(&mut self) {
        let Some(run) = &mut self.run else { return };
        let slow = run.members.iter_mut().find(|member| member.state == MemberState::Began);
        let text = slow.map_or_else(
            || "its members could not be enlisted in time".to_owned(),
            |member| {
                member.state = MemberState::Lost(Hindrance::TooSlow);
                let why = Hindrance::TooSlow.of(&member.service);
                format!("`{}` could not be enlisted: {why}", member.service)
            },
        );
        self.end(SetOutcome::NotEnlisted, &text);
    }

    /// The time of the run is up. What a member has begun goes on there, and ends there.
    pub(super) fn expire(&mut self) {
        let Some(run) = &self.run else { return };
        if matches!(run.phase, SetPhase::Releasing(_)) {
            self.end_once_released();
            return;
        }
        let text = if run.has_begun() {
            "its time was up before every part was in place, so its members may not fit each other: look at each member's incident"
        } else {
            "its time was up, and nothing was shifted"
        };
        self.end(SetOutcome::Expired, text);
    }
}
