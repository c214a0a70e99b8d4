//! One plan in parts, and one consent to all of it.

use super::event::{SetDrafted, SetNotDrafted};
use super::{IfPartFails, RunMember, Set, SetIllegal, SetOutcome, SetPhase, SetRun, SetTerms};
use crate::digest::Digest;
use crate::effect::Topic;
use crate::event::{FaultNature, Voted, Way};
use crate::facet::Revision;
use crate::name::RoleName;
use crate::plan::{Quorum, Vote, VoteKind};
use crate::service::{Counted, Tally, is_for_one};
use crate::signal::Severity;
use crate::target::Target;
use crate::votes::{NotTaken, in_force};

impl Set {
    pub(super) fn drafted(&mut self, drafted: &SetDrafted) -> Result<(), SetIllegal> {
        let (at, approval) = (self.at, self.deadlines().approval);
        let run = self.run_of_result(&drafted.run)?;
        if !matches!(run.phase, SetPhase::Drafting(_)) || !run.is_plan_of(drafted) {
            return Err(SetIllegal::Stale);
        }
        for member in run.members.iter_mut().filter(|member| is_to_move(member)) {
            *member.part_mut(Way::There) = super::Progress::Waiting;
        }
        run.plan = Some(drafted.clone());
        run.unplanned = None;
        run.votes.clear();
        run.phase = SetPhase::Authorising { expires_at: drafted.expires_at.min(at + approval) };
        self.grant_if_enough();
        self.ask_people();
        Ok(())
    }

    fn ask_people(&mut self) {
        let wanted = self.wanted();
        let Some(run) = &self.run else { return };
        let (SetPhase::Authorising { .. }, Some(plan)) = (&run.phase, &run.plan) else { return };
        let wanted: Vec<_> =
            wanted.iter().map(|quorum| format!("{} with role {}", quorum.people, quorum.role)).collect();
        let parts: Vec<_> =
            plan.parts.iter().map(|part| format!("`{}` to {}", part.member, part.part.targets[0])).collect();
        let text = format!(
            "`{id}` waits for {}: {}; `ripcord plan show {id}`, then `ripcord approve {id}` or `ripcord refuse {id} --reason TEXT`",
            wanted.join(" and "),
            parts.join(", "),
            id = run.id
        );
        self.tell(Topic::ApprovalWanted, Severity::Critical, text);
    }

    pub(super) fn not_drafted(&mut self, not: &SetNotDrafted) -> Result<(), SetIllegal> {
        let (at, limit) = (self.at, self.deadlines().planning);
        let run = self.run_of_result(&not.run)?;
        let SetPhase::Drafting(waiting) = run.phase else { return Err(SetIllegal::Stale) };
        if not.number != run.plan_number() + 1 {
            return Err(SetIllegal::Stale);
        }
        run.unplanned = Some(not.reason);
        if not.nature == FaultNature::Environmental && at < waiting.since + limit {
            run.phase = SetPhase::Drafting(waiting.later(at));
            return Ok(());
        }
        self.unplanned();
        Ok(())
    }

    pub(super) fn unplanned(&mut self) {
        let Some(run) = &self.run else { return };
        let text =
            format!("no plan could be made for `{}`: `ripcord sets show {}` says why", run.id, self.name);
        self.end_or_ask(SetOutcome::NotPlanned, &text);
    }

    /// Before the first part the run ends; after it, people say what comes next.
    pub(super) fn end_or_ask(&mut self, outcome: SetOutcome, text: &str) {
        if self.run.as_ref().is_some_and(SetRun::has_begun) {
            self.need_person(text);
        } else {
            self.end(outcome, text);
        }
    }

    /// Every quorum that must be met: of each role the strictest, over the set's own floor and those of the members that move.
    pub fn wanted(&self) -> Vec<Quorum> {
        let floor = self.terms.iter().flat_map(|terms| &terms.floor);
        let moving = self.run.iter().flat_map(|run| &run.members).filter(|member| member.target.is_some());
        let of_members = moving.filter_map(RunMember::enlisted).flat_map(|enlisted| &enlisted.floor);
        let mut wanted: Vec<Quorum> = Vec::new();
        for quorum in floor.chain(of_members).filter(|quorum| quorum.people > 0) {
            match wanted.iter_mut().find(|known| known.role == quorum.role) {
                Some(known) => known.people = known.people.max(quorum.people),
                None => wanted.push(quorum.clone()),
            }
        }
        if wanted.is_empty() {
            wanted.push(Quorum { role: RoleName::approver(), people: 1 });
        }
        wanted
    }

    /// The votes for the plan at hand that count now, with the roles that people have now.
    pub fn votes_in_force(&self) -> Vec<Vote> {
        let (Some(terms), Some(run)) = (&self.terms, &self.run) else { return Vec::new() };
        run.votes.iter().filter_map(|vote| in_force(vote, &terms.people)).collect()
    }

    fn counted<'a>(&'a self, terms: &'a SetTerms, run: &'a SetRun) -> Counted<'a> {
        let first = run.requesters.first();
        Counted {
            requester_vote: terms.requester_vote,
            // Each part is counted again by its member's own rules.
            authors: &[],
            votes: self.votes_in_force(),
            requester: first.and_then(|name| terms.people.iter().find(|person| person.name == *name)),
            requesters: &run.requesters,
        }
    }

    fn are_met(&self, wanted: &[Quorum]) -> bool {
        self.unmet_of(wanted).is_empty()
    }

    /// The quorums that the votes in force do not meet yet; empty while there is no plan that waits for any.
    pub fn unmet(&self) -> Vec<Quorum> {
        match self.run.as_ref().map(|run| &run.phase) {
            Some(SetPhase::Authorising { .. }) => self.unmet_of(&self.wanted()),
            _ => Vec::new(),
        }
    }

    fn unmet_of(&self, wanted: &[Quorum]) -> Vec<Quorum> {
        let (Some(terms), Some(run)) = (&self.terms, &self.run) else { return wanted.to_vec() };
        let (counted, alone) = (self.counted(terms, run), is_for_one(wanted));
        wanted.iter().filter(|quorum| !counted.meets(quorum, alone)).cloned().collect()
    }

    /// Whose word the plan at hand waits for, quorum by quorum; nothing unless it waits.
    pub fn tally(&self) -> Vec<Tally> {
        let (Some(terms), Some(run)) = (&self.terms, &self.run) else { return Vec::new() };
        let SetPhase::Authorising { .. } = run.phase else { return Vec::new() };
        let wanted = self.wanted();
        let (counted, alone) = (self.counted(terms, run), is_for_one(&wanted));
        let tally = |quorum: &Quorum| counted.tally(quorum, alone, &terms.people);
        wanted.iter().map(tally).collect()
    }

    /// A digest of the plan at hand, of what was asked for, and of who has agreed as it counts now: each part carries it to its member.
    pub fn consent(&self) -> Digest {
        let plan = self.run.as_ref().and_then(|run| run.plan.as_ref());
        let mut parts: Vec<Vec<u8>> =
            vec![plan.map(|plan| plan.digest.as_bytes().to_vec()).unwrap_or_default()];
        let mut list = |name: &str, of: Vec<String>| {
            parts.push(format!("{name} {}", of.len()).into());
            parts.extend(of.into_iter().map(Into::into));
        };
        list(
            "wanted",
            self.wanted().iter().map(|quorum| format!("{} {}", quorum.people, quorum.role)).collect(),
        );
        let requesters = self.run.iter().flat_map(|run| &run.requesters);
        list("requesters", requesters.map(ToString::to_string).collect());
        let vote = |vote: &Vote| {
            let key = vote.key.map(|key| key.to_string()).unwrap_or_default();
            let roles = vote.roles.iter().map(RoleName::as_str).collect::<Vec<_>>().join(" ");
            format!("{} {} {} {:?} {key} {roles}", vote.person, vote.granted, vote.at.0, vote.kind)
        };
        list("votes", self.votes_in_force().iter().map(vote).collect());
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        Digest::tagged("ripcord set consent 1", &parts)
    }

    /// Goes on to act once every quorum is met.
    pub(super) fn grant_if_enough(&mut self) {
        let at = self.at;
        let Some(SetPhase::Authorising { expires_at }) = self.run.as_ref().map(|run| &run.phase) else {
            return;
        };
        if at > *expires_at || !self.are_met(&self.wanted()) {
            return;
        }
        if let Some(run) = &mut self.run {
            run.phase = SetPhase::Acting(Way::There);
        }
        self.go_on();
    }

    pub(super) fn voted(&mut self, voted: &Voted) -> Result<(), SetIllegal> {
        let at = self.at;
        let Some(run) = &self.run else { return Err(SetIllegal::NoRun(self.name.clone())) };
        let wrong = Self::wrong_phase(run, "there is no plan that waits for votes");
        let of_this = run.id.as_incident() == voted.incident;
        let (SetPhase::Authorising { expires_at }, Some(plan), true) = (&run.phase, &run.plan, of_this)
        else {
            return Err(wrong);
        };
        if plan.digest != voted.plan {
            return Err(SetIllegal::OtherPlan { at_hand: plan.digest });
        }
        if at > *expires_at {
            return Err(wrong);
        }
        self.take_vote(voted)?;
        if voted.vote.granted {
            self.grant_if_enough();
        } else {
            let text = format!("`{}` refused the plan", voted.vote.person);
            self.end_or_ask(SetOutcome::Refused, &text);
        }
        Ok(())
    }

    fn take_vote(&mut self, voted: &Voted) -> Result<(), SetIllegal> {
        let at = self.at;
        let (Some(terms), Some(run)) = (&self.terms, &mut self.run) else { return Err(SetIllegal::Stale) };
        let person = &voted.vote.person;
        if voted.vote.kind == VoteKind::BreakGlass {
            return Err(SetIllegal::NoBreakGlass);
        }
        run.votes.take(voted, &terms.people, at).map_err(|why| match why {
            NotTaken::UnknownPerson => SetIllegal::UnknownPerson(person.clone()),
            NotTaken::OtherKey => SetIllegal::OtherKey(person.clone()),
            NotTaken::Unchanged => SetIllegal::Unchanged(person.clone()),
            NotTaken::UsedBefore => SetIllegal::SignatureUsed(person.clone()),
            NotTaken::TooOften => SetIllegal::TooOften(person.clone()),
        })
    }
}

/// Whether the next plan is to have a part for it.
pub(super) fn is_to_move(member: &RunMember) -> bool {
    member.target.is_some() && member.there.end().is_none_or(|end| end.is_failure())
}

/// Whether a way back may lead to this revision of a member that served these when it was enlisted. Where its facet could not be read then, to what the plan
/// has found.
pub fn leads_back(to: &Revision, serving: &[Revision]) -> bool {
    serving.contains(to) || serving.iter().all(|revision| revision.facet != to.facet)
}

impl SetRun {
    /// Number of the plan at hand, from one; 0 without one.
    pub fn plan_number(&self) -> u32 {
        self.plan.as_ref().map_or(0, |plan| plan.number)
    }

    /// The members that the next plan is to have a part for, in order.
    pub fn to_move(&self) -> impl Iterator<Item = &RunMember> {
        self.members.iter().filter(|member| is_to_move(member))
    }

    /// Whether it is the next plan of this run: a part for each member that is to move and no other, each to its target, and back where that is
    /// configured.
    fn is_plan_of(&self, drafted: &SetDrafted) -> bool {
        let moving: Vec<&RunMember> = self.to_move().collect();
        let same = drafted.parts.len() == moving.len()
            && drafted.parts.iter().zip(&moving).all(|(part, member)| part.member == member.service);
        let lists_back = |targets: &[Target], member: &RunMember| {
            let serving = member.enlisted().map(|enlisted| enlisted.serving.as_slice()).unwrap_or_default();
            let back = targets.get(1).and_then(Target::revision);
            match self.if_part_fails {
                IfPartFails::Back => back.is_some_and(|back| leads_back(&back, serving)),
                IfPartFails::Forward => targets.len() == 1,
            }
        };
        let fits = drafted.parts.iter().zip(&moving).all(|(part, member)| {
            let targets = &part.part.targets;
            let first = targets.first().and_then(Target::revision);
            first.is_some()
                && first == member.target.as_ref().and_then(Target::revision)
                && part.part.digest == drafted.digest
                && targets.len() <= 2
                && lists_back(targets, member)
        });
        same && fits
            && !moving.is_empty()
            && drafted.number == self.plan_number() + 1
            && drafted.expires_at <= self.until
    }
}
