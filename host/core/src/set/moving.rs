//! The parts, one after the other; and what is done where one fails.

use super::event::{OfPart, PartEnded};
use super::{
    CONSISTENT_MAX, ConsistentSet, IfPartFails, MemberState, Progress, RunMember, Set, SetIllegal,
    SetOutcome, SetPhase, SetRun,
};
use crate::effect::Topic;
use crate::event::{PartEnd, Way};
use crate::signal::Severity;
use crate::target::Target;

impl Set {
    pub(super) fn part_began(&mut self, of: &OfPart) -> Result<(), SetIllegal> {
        let at = self.at;
        let run = self.run_of_result(&of.run)?;
        let next = run.turn().is_some_and(|(member, way)| member.service == of.member && way == of.way);
        if !next || of.number != run.plan_number() || at >= run.until {
            return Err(SetIllegal::Stale);
        }
        let member = run.member_mut(of)?;
        let part = member.part_mut(of.way);
        if *part != Progress::Waiting {
            return Err(SetIllegal::Stale);
        }
        *part = Progress::Began { since: at, told: false };
        let text =
            format!("`{}` moves `{}`{}", of.run, of.member, if of.way == Way::Back { " back" } else { "" });
        self.tell(Topic::ShiftBegan, Severity::Warning, text);
        Ok(())
    }

    pub(super) fn part_given(&mut self, of: &OfPart) -> Result<(), SetIllegal> {
        let run = self.run_of_result(&of.run)?;
        let number = run.plan_number();
        let part = run.member_mut(of)?.part_mut(of.way);
        let Progress::Began { since, told } = *part else { return Err(SetIllegal::Stale) };
        if of.number != number {
            return Err(SetIllegal::Stale);
        }
        *part = Progress::Given { since, told };
        Ok(())
    }

    pub(super) fn part_ended(&mut self, ended: &PartEnded) -> Result<(), SetIllegal> {
        let of = &ended.part;
        let run = self.run_of_result(&of.run)?;
        if of.number != run.plan_number() {
            return Err(SetIllegal::Stale);
        }
        let member = run.member_mut(of)?;
        if !member.part(of.way).is_under_way() {
            return Err(SetIllegal::Stale);
        }
        *member.part_mut(of.way) = Progress::Ended(ended.end);
        if let Some(why) = &ended.hindered {
            member.state = MemberState::Lost(why.clone());
        }
        if ended.end.is_failure() {
            let why = ended.hindered.as_ref().map_or_else(
                || format!("`ripcord incidents show {}` says why", member.incident_word()),
                |why| why.of(&of.member),
            );
            let text = format!("the part of `{}` in `{}` failed: {why}", of.member, of.run);
            self.tell(Topic::PartFailed, Severity::Critical, text);
        }
        self.go_on();
        Ok(())
    }

    /// What comes once no part is under way: the next one, the way back, people, or the end.
    pub(super) fn go_on(&mut self) {
        let Some(run) = &self.run else { return };
        if run.members.iter().any(RunMember::is_under_way) {
            return;
        }
        if self.at >= run.until {
            self.expire();
            return;
        }
        match run.phase {
            SetPhase::Acting(Way::There) if run.members.iter().any(|member| member.there.has_failed()) => {
                self.after_failure();
            }
            SetPhase::Acting(Way::There) if run.next_part().is_none() => self.all_well(),
            SetPhase::Acting(Way::Back) if run.members.iter().any(|member| member.back.has_failed()) => {
                let text = "what had moved could not go back: look at each member's incident".to_owned();
                self.need_person(&text);
            }
            SetPhase::Acting(Way::Back) if run.next_part().is_none() => {
                self.end(SetOutcome::WentBack, "a part failed, and what had moved went back");
            }
            _ => {}
        }
    }

    fn after_failure(&mut self) {
        let Some(run) = &mut self.run else { return };
        match run.if_part_fails {
            IfPartFails::Back => {
                run.phase = SetPhase::Acting(Way::Back);
                if run.next_part().is_none() {
                    self.end(SetOutcome::NothingMoved, "a part failed before anything had moved");
                }
            }
            IfPartFails::Forward => {
                let text = "a part failed, and what has moved stays".to_owned();
                self.need_person(&text);
            }
        }
    }

    fn all_well(&mut self) {
        let (at, Some(run)) = (self.at, &self.run) else { return };
        let members = run.members.iter().map(|member| (member.service.clone(), member.serves())).collect();
        self.consistent.push(ConsistentSet { run: run.id.clone(), since: at, members });
        let more = self.consistent.len().saturating_sub(CONSISTENT_MAX);
        self.consistent.drain(..more);
        self.end(SetOutcome::Moved, "every part is in place");
    }

    /// People hear once of a part that takes long.
    pub(super) fn tell_of_slow_parts(&mut self) {
        let (at, limit) = (self.at, self.deadlines().part);
        let Some(run) = &mut self.run else { return };
        let mut slow = None;
        for member in &mut run.members {
            let word = member.incident_word();
            for part in [&mut member.there, &mut member.back] {
                if let Progress::Began { since, told } | Progress::Given { since, told } = part
                    && !*told
                    && at >= *since + limit
                {
                    *told = true;
                    slow = Some((member.service.clone(), word.clone()));
                }
            }
        }
        if let Some((member, incident)) = slow {
            let text = format!(
                "the part of `{member}` has gone on for {limit}: `ripcord incidents show {incident}` says what it waits for"
            );
            self.tell(Topic::Escalated, Severity::Critical, text);
        }
    }
}

impl SetRun {
    fn member_mut(&mut self, of: &OfPart) -> Result<&mut RunMember, SetIllegal> {
        self.members.iter_mut().find(|member| member.service == of.member).ok_or(SetIllegal::Stale)
    }
}

impl RunMember {
    /// Its incident, or, where it is not known, its name.
    fn incident_word(&self) -> String {
        self.enlisted().map_or_else(|| self.service.to_string(), |enlisted| enlisted.incident.to_string())
    }

    /// What is in force of it after its part, as far as is known.
    fn serves(&self) -> Vec<crate::facet::Revision> {
        let mut serves = self.enlisted().map(|enlisted| enlisted.serving.clone()).unwrap_or_default();
        let moved = self.there.end().is_some_and(|end| matches!(end, PartEnd::Moved | PartEnd::AlreadyThere));
        if let Some(to) = self.target.as_ref().and_then(Target::revision).filter(|_| moved) {
            serves.retain(|revision| revision.facet != to.facet);
            serves.push(to);
        }
        serves
    }
}
