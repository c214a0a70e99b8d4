//! Who must agree: mode, floor, policies, votes.

use super::{
    Acting, Agreement, Authorising, Authority, Grant, Illegal, NeedKind, Phase, Service, StepState, Waiting,
};
use crate::effect::Topic;
use crate::event::{ApprovalWord, ApprovalsAsked, Said, Voted};
use crate::fact::Outcome;
use crate::name::RoleName;
use crate::plan::Quorum;
use crate::policy::Role;
use crate::signal::Severity;
use crate::terms::Mode;
use crate::time::Millis;

/// Between two tries of an approval policy that faulted.
const ASK_AGAIN: Millis = Millis::seconds(30);

impl Service {
    /// Asks for approval of the plan at hand. `people_because` says why people must agree whatever policies say; `again` says why what was agreed to
    /// is asked again.
    pub(super) fn authorise(
        &mut self,
        people_because: Option<String>,
        again: Option<String>,
        resume: Option<Acting>,
    ) {
        let at = self.at;
        let Some(incident) = &mut self.incident else { return };
        let Some(expires_at) = incident.plan_expires_at() else { return };
        incident.phase = Phase::Authorising(Authorising {
            opened_at: at,
            people_because,
            again,
            resume,
            seen: None,
            policies_granted: Agreement::Open,
            quorums: Vec::new(),
            expires_at,
            escalate_at: None,
            escalated: false,
            remind_at: None,
            faulted: false,
            due_at: None,
        });
        self.grant_or_ask_people();
    }

    /// Where no policy has to be asked before.
    fn grant_or_ask_people(&mut self) {
        self.grant_if_enough();
        if self.voices(Role::Approval) == 0 {
            self.ask_people();
        }
    }

    /// Other terms may want more people or fewer, or other policies: what they said is forgotten.
    pub(super) fn authorise_under_other_terms(&mut self) {
        let Some(Phase::Authorising(authorising)) =
            self.incident.as_mut().map(|incident| &mut incident.phase)
        else {
            return;
        };
        let people_know = authorising.seen.take().is_some();
        authorising.policies_granted = Agreement::Open;
        authorising.quorums.clear();
        if people_know {
            self.grant_if_enough();
        } else {
            self.grant_or_ask_people();
        }
    }

    fn ask_people(&mut self) {
        let Some(incident) = &self.incident else { return };
        let (Phase::Authorising(authorising), Some(plan)) = (&incident.phase, incident.plan()) else {
            return;
        };
        let wanted = self.wanted(authorising);
        let why = authorising.people_because.as_ref().or(authorising.again.as_ref());
        let why: Vec<_> = why.cloned().into_iter().chain(self.reviews_open()).collect();
        let why = if why.is_empty() { String::new() } else { format!(" ({})", why.join("; ")) };
        let text = format!(
            "`{}` waits for {}{why}: {}; `ripcord plan show {}`, then `ripcord approve {}` or `ripcord refuse {} --reason TEXT`",
            incident.id,
            people(&wanted),
            plan.targets[0],
            incident.id,
            incident.id,
            incident.id
        );
        self.tell(Topic::ApprovalWanted, Severity::Critical, text);
        self.remind_later();
    }

    /// Unless the plan expires before.
    fn remind_later(&mut self) {
        let at = self.at;
        let Some(reminder) = self.terms.as_ref().map(|terms| terms.deadlines.reminder) else { return };
        let Some(Phase::Authorising(authorising)) =
            self.incident.as_mut().map(|incident| &mut incident.phase)
        else {
            return;
        };
        let next = at + reminder;
        authorising.remind_at = (next < authorising.expires_at && reminder.0 > 0).then_some(next);
    }

    /// Says again whose word is waited for.
    fn remind(&mut self) {
        let (at, wanted) = (self.at, self.still_wanted());
        let Some(incident) = &self.incident else { return };
        let (Phase::Authorising(authorising), id) = (&incident.phase, incident.id.clone()) else { return };
        let (asked, left) = (at.since(authorising.opened_at), authorising.expires_at.since(at));
        let wanted = wanted.unwrap_or_else(|| "its policies".to_owned());
        let text = format!(
            "`{id}` has waited {asked} for {wanted}, and its plan expires in {left}: `ripcord approve {id}` or `ripcord refuse {id} --reason TEXT`"
        );
        self.tell(Topic::ApprovalWanted, Severity::Critical, text);
        self.remind_later();
    }

    /// Every quorum that must be met: the floor, the mode's, the breaker's and the policies'.
    pub fn wanted(&self, authorising: &Authorising) -> Vec<Quorum> {
        let Some(terms) = &self.terms else { return Vec::new() };
        let mut wanted = terms.floor.clone();
        let policies_ask = terms.policies(Role::Approval).next().is_some();
        let one = terms.mode == Mode::Ask || authorising.people_because.is_some() || !policies_ask;
        if one && wanted.iter().all(|quorum| quorum.people == 0) {
            wanted.push(Quorum { role: RoleName::approver(), people: 1 });
        }
        wanted.extend(authorising.quorums.iter().cloned());
        self.want_meanwhile(&mut wanted);
        wanted
    }

    /// How many policies must have spoken before all together are an answer.
    pub(super) fn voices(&self, role: Role) -> usize {
        self.terms.as_ref().map_or(0, |terms| terms.policies(role).count())
    }

    pub(super) fn approvals_asked(&mut self, asked: &ApprovalsAsked) -> Result<(), Illegal> {
        let at = self.at;
        // Whoever voted meanwhile, or may vote no more, or a clock that jumped, makes another question of it.
        if asked.asked.len() != self.voices(Role::Approval) || asked.ballot != self.ballot() {
            return Err(Illegal::Stale);
        }
        let incident = self.incident.as_mut().ok_or(Illegal::Stale)?;
        if incident.plans.last().is_none_or(|plan| plan.digest != asked.plan) {
            return Err(Illegal::Stale);
        }
        let first = match &incident.phase {
            Phase::Authorising(authorising) => authorising.seen.is_none(),
            _ => return Err(Illegal::Stale),
        };
        let Phase::Authorising(authorising) = &mut incident.phase else { return Err(Illegal::Stale) };
        authorising.seen = Some(asked.ballot);
        authorising.due_at = None;
        authorising.quorums.clear();
        authorising.escalate_at = None;
        let (mut granted, mut refused, mut faulted) = (true, None, Vec::new());
        for approval in &asked.asked {
            match &approval.said {
                Said::Verdict(ApprovalWord::Granted) => {}
                Said::Verdict(ApprovalWord::Waiting { quorums, expires_at, escalate_at, .. }) => {
                    granted = false;
                    authorising.quorums.extend(quorums.iter().cloned());
                    authorising.expires_at = authorising.expires_at.min((*expires_at).max(at));
                    // One that is due already is caught up on; one that was made is not made again.
                    let due = escalate_at.filter(|_| !authorising.escalated).map(|due| due.max(at));
                    authorising.escalate_at = authorising.escalate_at.into_iter().chain(due).min();
                }
                Said::Verdict(ApprovalWord::Refused(_)) => {
                    granted = false;
                    refused = Some(approval.decision.policy.to_string());
                }
                Said::Fault(_) => {
                    granted = false;
                    authorising.due_at = Some(at + ASK_AGAIN);
                    faulted.push(format!("`{}`", approval.decision.policy));
                }
            }
        }
        authorising.policies_granted = if granted { Agreement::Granted } else { Agreement::Open };
        if let Some(policy) = refused {
            self.end_unapproved(Outcome::Refused, &format!("policy `{policy}` refused the plan"));
            return Ok(());
        }
        let first_fault = !std::mem::replace(&mut authorising.faulted, !faulted.is_empty());
        if !faulted.is_empty() && first_fault {
            let text = format!(
                "approval {} of `{}` faulted: the plan waits until it is mended",
                faulted.join(", "),
                self.name
            );
            self.tell(Topic::PolicyFaulted, Severity::Critical, text);
        }
        self.grant_if_enough();
        if first
            && self.incident.as_ref().is_some_and(|incident| matches!(incident.phase, Phase::Authorising(_)))
        {
            self.ask_people();
        }
        Ok(())
    }

    pub(super) fn voted(&mut self, voted: &Voted) -> Result<(), Illegal> {
        let at = self.at;
        self.is_open(&voted.incident)?;
        let wrong = self.wrong_phase("there is no plan that waits for votes");
        let incident = self.open_incident()?;
        let Phase::Authorising(authorising) = &incident.phase else { return Err(wrong) };
        let plan = incident.plan().ok_or(wrong)?;
        if plan.digest != voted.plan {
            return Err(Illegal::OtherPlan { at_hand: plan.digest });
        }
        if at > authorising.expires_at {
            return Err(Illegal::Expired);
        }
        self.take_vote(voted)?;
        if !voted.vote.granted && self.terms.as_ref().is_some_and(|terms| terms.may_veto(&voted.vote.person))
        {
            let text = format!("{} refused the plan", voted.vote.person);
            self.end_unapproved(Outcome::Refused, &text);
            return Ok(());
        }
        self.grant_if_enough();
        Ok(())
    }

    /// Goes on to act once every policy that was asked grants and every quorum is met.
    pub(super) fn grant_if_enough(&mut self) {
        let at = self.at;
        let Some(incident) = &self.incident else { return };
        let Phase::Authorising(authorising) = &incident.phase else { return };
        if at > authorising.expires_at {
            return;
        }
        // One that ended nothing when it was given does where its person may veto by now.
        if let Some(refusal) = self.votes_in_force().iter().find(|vote| !vote.granted) {
            let text = format!("{} refused the plan", refusal.person);
            self.end_unapproved(Outcome::Refused, &text);
            return;
        }
        let seen = authorising.seen == Some(self.ballot());
        let policies_grant = seen && authorising.policies_granted == Agreement::Granted;
        let agreed =
            (self.voices(Role::Approval) == 0 || policies_grant) && self.are_met(&self.wanted(authorising));
        let broke = self.breaks_glass().filter(|_| !agreed);
        let authority = match &broke {
            Some(_) => Authority::BreakGlass,
            None if !agreed => return,
            None if self.people_agree() => Authority::People,
            None => Authority::Policies,
        };
        if let Some(plan) = incident.plan().filter(|plan| plan.produces()).cloned() {
            if let Some(person) = broke {
                self.must_review(person);
            }
            self.hand_over(&plan, authority);
            return;
        }
        let grant = Grant {
            authority,
            consent: self.consent(),
            quorums: authorising.quorums.clone(),
            people_because: authorising.people_because.clone(),
        };
        let resume = authorising.resume.clone();
        if let Some(person) = broke {
            self.must_review(person);
        }
        if let Some(incident) = &mut self.incident {
            incident.marks.granted_at = Some(at);
            incident.phase = Phase::Acting(match resume {
                // It had got as far as the guard: what was done before need not be done again.
                Some(acting) => Acting { grant, step: StepState::Guarding(Waiting::from(at)), ..acting },
                None => Acting {
                    rung: 0,
                    wave: 0,
                    attempts: 0,
                    attempts_before: 0,
                    first_try_at: None,
                    begun: 0,
                    guarded: None,
                    guarded_facets: Vec::new(),
                    grant,
                    shifted: Vec::new(),
                    seems_served: false,
                    step: StepState::Staging(Waiting::from(at)),
                },
            });
        }
    }

    /// Whether what was granted is agreed to now, too: the same people with the same roles and keys, the same floor, mode and approval policies. Else
    /// it is asked again.
    pub(super) fn is_still_agreed(&mut self, acting: &Acting) -> bool {
        if acting.grant.consent == self.consent() {
            return true;
        }
        let again =
            "who may agree, mode, floor or approval policies have changed since it was granted".to_owned();
        self.authorise(acting.grant.people_because.clone(), Some(again), Some(acting.clone()));
        false
    }

    /// Ends an incident whose plan was not agreed to. After a shift of that plan only a person can say what comes next.
    fn end_unapproved(&mut self, outcome: Outcome, why: &str) {
        if self.incident.as_ref().is_some_and(super::Incident::is_past_pivot) {
            let text = format!(
                "{why}, but the plan has shifted already: `ripcord pull {} --to VERSION` names another target, `ripcord dismiss {}` ends it",
                self.name,
                self.incident.as_ref().map(|open| open.id.to_string()).unwrap_or_default()
            );
            self.need_person(NeedKind::WhatNow, text);
        } else {
            let text = format!("{why}; {}", self.nothing_shifted());
            self.settle(outcome, &text);
        }
    }

    pub(super) fn authority_woke(&mut self) {
        let at = self.at;
        let Some(incident) = &mut self.incident else { return };
        let id = incident.id.clone();
        let Phase::Authorising(authorising) = &mut incident.phase else { return };
        if at >= authorising.expires_at {
            self.end_unapproved(Outcome::Expired, "not enough people agreed in time");
            return;
        }
        if authorising.due_at.is_some_and(|due| due <= at) {
            authorising.due_at = None;
            authorising.seen = None;
        }
        if authorising.escalate_at.is_some_and(|due| due <= at) {
            authorising.escalate_at = None;
            authorising.escalated = true;
            self.tell(Topic::Escalated, Severity::Critical, format!("`{id}` still waits for approval"));
        }
        let remind_at = match self.incident.as_ref().map(|incident| &incident.phase) {
            Some(Phase::Authorising(authorising)) => authorising.remind_at,
            _ => None,
        };
        if remind_at.is_some_and(|due| due <= at) {
            self.remind();
        }
    }
}

/// For people: `2 approvers and 1 security`.
fn people(wanted: &[Quorum]) -> String {
    let words: Vec<_> =
        wanted.iter().map(|quorum| format!("{} with role {}", quorum.people, quorum.role)).collect();
    if words.is_empty() { "its policies".to_owned() } else { words.join(" and ") }
}
