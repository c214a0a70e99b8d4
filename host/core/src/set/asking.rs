//! A run begins: a person asks, and every member is enlisted.

use super::event::{MemberEnlisted, MemberHindered, OfMember, SetAsked, SetConfigured};
use super::{EnlistedAs, MemberState, Progress, RunMember, Set, SetIllegal, SetOutcome, SetPhase, SetRun};
use crate::effect::Topic;
use crate::name::SetId;
use crate::service::Waiting;
use crate::signal::Severity;
use crate::target::Target;
use crate::votes::Votes;

impl Set {
    pub(super) fn configured(&mut self, configured: &SetConfigured) -> Result<(), SetIllegal> {
        if let Some(why) = configured.terms.problem() {
            return Err(SetIllegal::NotConfigured { set: self.name.clone(), why });
        }
        self.terms = Some(configured.terms.clone());
        self.configuration = Some(configured.digest);
        // Other people may be enough.
        self.grant_if_enough();
        Ok(())
    }

    /// Begins a run, or, where a part failed, names other targets for what has not moved.
    pub(super) fn asked(&mut self, asked: &SetAsked) -> Result<(), SetIllegal> {
        let why = "has no configuration yet: start the host with one";
        let not_configured = SetIllegal::NotConfigured { set: self.name.clone(), why };
        let terms = self.terms.as_ref().ok_or(not_configured)?;
        if asked.targets.is_empty() {
            return Err(SetIllegal::NoTargets(self.name.clone()));
        }
        if let Some((service, _)) = asked.targets.iter().find(|(_, target)| target.revision().is_none()) {
            return Err(SetIllegal::IsProduced(service.clone()));
        }
        if self.run.is_some() {
            return self.asked_again(asked);
        }
        if let Some(run) = &asked.run {
            return Err(self.open_run(run).err().unwrap_or(SetIllegal::Stale));
        }
        let stranger = asked.targets.keys().find(|service| !terms.members.contains(service));
        if let Some(stranger) = stranger {
            return Err(SetIllegal::NotMember(self.name.clone(), stranger.clone()));
        }
        let member = |service: &crate::name::ServiceName| RunMember {
            service: service.clone(),
            target: asked.targets.get(service).cloned(),
            state: MemberState::Waiting,
            there: Progress::Waiting,
            back: Progress::Waiting,
        };
        let members = terms.members.iter().map(member).collect();
        let (if_part_fails, until) = (terms.if_part_fails, self.at + terms.deadlines.run);
        self.runs += 1;
        let id = SetId::numbered(&self.name, self.runs);
        let text = format!("`{id}` opened by `{}`: its members are being enlisted", asked.person);
        self.run = Some(SetRun {
            id,
            requesters: vec![asked.person.clone()],
            reason: asked.reason,
            members,
            if_part_fails,
            asked_at: self.at,
            until,
            plan: None,
            unplanned: None,
            votes: Votes::default(),
            phase: SetPhase::Enlisting { since: self.at },
            ended_at: None,
        });
        self.tell(Topic::IncidentOpened, Severity::Warning, text);
        Ok(())
    }

    fn asked_again(&mut self, asked: &SetAsked) -> Result<(), SetIllegal> {
        let (at, name) = (self.at, self.name.clone());
        let Some(run) = &mut self.run else { return Err(SetIllegal::Stale) };
        let joins = match &asked.run {
            Some(meant) if *meant != run.id => {
                return Err(SetIllegal::OtherRun { meant: meant.clone(), open: run.id.clone() });
            }
            meant => meant.is_some() && matches!(run.phase, SetPhase::NeedsPerson { .. }),
        };
        if !joins {
            return Err(SetIllegal::Busy { run: run.id.clone(), phase: run.phase.name() });
        }
        if run.members.iter().any(|member| member.back != Progress::Waiting) {
            let wanted = "it has begun to go back: dismiss it, then ask for a new run";
            return Err(Self::wrong_phase(run, wanted));
        }
        for service in asked.targets.keys() {
            let member =
                run.member(service).ok_or_else(|| SetIllegal::NotMember(name.clone(), service.clone()))?;
            if member.there.end().is_some_and(|end| !end.is_failure()) {
                return Err(SetIllegal::HasMoved(service.clone()));
            }
        }
        // What failed and is not named is tried once more; all of it must still be enlisted.
        let moves = |member: &&RunMember| {
            let wanted = member.target.is_some() || asked.targets.contains_key(&member.service);
            wanted && member.there.end().is_none_or(|end| end.is_failure())
        };
        if let Some(lost) = run.members.iter().filter(moves).find(|member| member.enlisted().is_none()) {
            return Err(SetIllegal::NotEnlisted { member: lost.service.clone(), run: run.id.clone() });
        }
        for member in &mut run.members {
            let named: Option<&Target> = asked.targets.get(&member.service);
            member.target = named.cloned().or(member.target.take());
        }
        if !run.requesters.contains(&asked.person) {
            run.requesters.push(asked.person.clone());
        }
        run.reason = asked.reason;
        run.phase = SetPhase::Drafting(Waiting::from(at));
        Ok(())
    }

    pub(super) fn enlist_began(&mut self, of: &OfMember) -> Result<(), SetIllegal> {
        let run = self.run_of_result(&of.run)?;
        let next = run.members.iter_mut().find(|member| member.enlisted().is_none());
        let next = next.filter(|member| member.service == of.member && member.state == MemberState::Waiting);
        let next = next.filter(|_| matches!(run.phase, SetPhase::Enlisting { .. }));
        next.ok_or(SetIllegal::Stale)?.state = MemberState::Began;
        Ok(())
    }

    /// The member that is being enlisted, if it is this one.
    fn enlisting(
        &mut self,
        of: &SetId,
        member: &crate::name::ServiceName,
    ) -> Result<&mut RunMember, SetIllegal> {
        let run = self.run_of_result(of)?;
        if !matches!(run.phase, SetPhase::Enlisting { .. }) {
            return Err(SetIllegal::Stale);
        }
        let found = run.members.iter_mut().find(|known| known.service == *member);
        found.filter(|known| known.state == MemberState::Began).ok_or(SetIllegal::Stale)
    }

    pub(super) fn enlisted(&mut self, enlisted: &MemberEnlisted) -> Result<(), SetIllegal> {
        let at = self.at;
        let member = self.enlisting(&enlisted.run, &enlisted.member)?;
        member.state = MemberState::Enlisted(EnlistedAs {
            incident: enlisted.incident.clone(),
            serving: enlisted.serving.clone(),
            floor: enlisted.floor.clone(),
        });
        let run = self.run_of_result(&enlisted.run)?;
        if run.members.iter().all(|member| member.enlisted().is_some()) {
            run.phase = SetPhase::Drafting(Waiting::from(at));
        }
        Ok(())
    }

    /// All or none.
    pub(super) fn not_enlisted(&mut self, hindered: &MemberHindered) -> Result<(), SetIllegal> {
        let member = self.enlisting(&hindered.run, &hindered.member)?;
        member.state = MemberState::Lost(hindered.why.clone());
        let text =
            format!("`{}` could not be enlisted: {}", hindered.member, hindered.why.of(&hindered.member));
        self.end(SetOutcome::NotEnlisted, &text);
        Ok(())
    }

    /// Before the first part, that ends the run. After it, the member's part counts as failed if it was not begun.
    pub(super) fn member_lost(&mut self, hindered: &MemberHindered) -> Result<(), SetIllegal> {
        let run = self.run_of_result(&hindered.run)?;
        let begun = run.has_begun();
        let found = run.members.iter_mut().find(|known| known.service == hindered.member);
        let lost = found.filter(|known| known.enlisted().is_some() && !known.is_under_way());
        let lost = lost.ok_or(SetIllegal::Stale)?;
        lost.state = MemberState::Lost(hindered.why.clone());
        let text = format!(
            "`{}` is lost to `{}`: {}",
            hindered.member,
            hindered.run,
            hindered.why.of(&hindered.member)
        );
        if !begun {
            self.end(SetOutcome::NotEnlisted, &text);
            return Ok(());
        }
        if lost.target.is_some() && lost.there == Progress::Waiting {
            lost.there = Progress::Ended(crate::event::PartEnd::Failed { shifted: false });
        }
        match run.phase {
            SetPhase::Acting(_) => {
                self.tell(Topic::PartFailed, Severity::Critical, text);
                self.go_on();
            }
            SetPhase::Drafting(_) | SetPhase::Authorising { .. } => self.need_person(&text),
            _ => self.tell(Topic::NeedsPerson, Severity::Critical, text),
        }
        Ok(())
    }
}
