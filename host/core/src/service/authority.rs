//! Who must agree: mode, floor, policies, votes.

use super::{
    Acting, Agreement, Authorising, Authority, Illegal, NeedKind, Phase, Service, StepState, Waiting,
};
use crate::effect::Topic;
use crate::event::{ApprovalWord, ApprovalsAsked, Said, Voted};
use crate::fact::Outcome;
use crate::name::{PersonName, RoleName};
use crate::plan::{Quorum, Vote};
use crate::policy::Role;
use crate::signal::Severity;
use crate::terms::{Mode, RequesterVote, Terms};
use crate::time::Millis;

/// Between two tries of an approval policy that faulted.
const ASK_AGAIN: Millis = Millis::seconds(30);

impl Service {
    /// Asks for approval of the plan at hand.
    pub(super) fn authorise(&mut self, people_because: Option<String>, resume: Option<Acting>) {
        let at = self.at;
        let Some(terms) = self.terms.clone() else { return };
        let Some(incident) = &mut self.incident else { return };
        let Some(plan) = incident.plans.last() else { return };
        let expires_at = plan.expires_at + incident.extension;
        let no_policy = terms.policies(Role::Approval).next().is_none();
        incident.phase = Phase::Authorising(Authorising {
            opened_at: at,
            people_because,
            resume,
            seen: None,
            policies_granted: if no_policy { Agreement::Granted } else { Agreement::Open },
            quorums: Vec::new(),
            expires_at,
            escalate_at: None,
            escalated: false,
            faulted: false,
            due_at: None,
        });
        self.grant_if_enough();
        let Some(incident) = &self.incident else { return };
        if matches!(incident.phase, Phase::Authorising(_)) && no_policy {
            self.ask_people();
        }
    }

    fn ask_people(&mut self) {
        let Some(incident) = &self.incident else { return };
        let (Phase::Authorising(authorising), Some(plan)) = (&incident.phase, incident.plan()) else {
            return;
        };
        let wanted = self.wanted(authorising);
        let why = authorising.people_because.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
        let text = format!(
            "`{}` waits for {}{why}: {}; `ripcord plan show {}`, then `ripcord approve {}` or `ripcord refuse {}`",
            incident.id,
            people(&wanted),
            plan.targets[0],
            incident.id,
            incident.id,
            incident.id
        );
        self.tell(Topic::ApprovalWanted, Severity::Critical, text);
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
        wanted
    }

    /// Whether mode or floor want people, whatever policies say.
    pub(super) fn wants_people(&self) -> bool {
        let Some(terms) = &self.terms else { return true };
        terms.mode == Mode::Ask || terms.floor.iter().any(|quorum| quorum.people > 0)
    }

    /// How many policies must have spoken before all together are an answer.
    pub(super) fn voices(&self, role: Role) -> usize {
        self.terms.as_ref().map_or(0, |terms| terms.policies(role).count())
    }

    pub(super) fn approvals_asked(&mut self, asked: &ApprovalsAsked) -> Result<(), Illegal> {
        let at = self.at;
        if asked.asked.len() != self.voices(Role::Approval) {
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
        authorising.seen = Some(asked.votes);
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
        let wrong = self.wrong_phase("there is no plan that waits for votes");
        let incident = self.incident.as_mut().ok_or_else(|| Illegal::NoIncident(self.name.clone()))?;
        let Phase::Authorising(authorising) = &incident.phase else { return Err(wrong) };
        let plan = incident.plans.last().ok_or(wrong)?;
        if plan.digest != voted.plan {
            return Err(Illegal::OtherPlan { at_hand: plan.digest });
        }
        if at > authorising.expires_at {
            return Err(Illegal::Expired);
        }
        incident.votes.retain(|vote| vote.person != voted.vote.person);
        incident.votes.push(Vote { at, ..voted.vote.clone() });
        if !voted.vote.granted {
            let text = format!("{} refused the plan", voted.vote.person);
            self.end_unapproved(Outcome::Refused, &text);
            return Ok(());
        }
        self.grant_if_enough();
        Ok(())
    }

    /// Goes on to act once every policy that was asked grants and every quorum is met.
    fn grant_if_enough(&mut self) {
        let at = self.at;
        let (Some(terms), Some(incident)) = (&self.terms, &self.incident) else { return };
        let Phase::Authorising(authorising) = &incident.phase else { return };
        if authorising.policies_granted == Agreement::Open || at > authorising.expires_at {
            return;
        }
        let requester = incident.requester.as_ref();
        let wanted = self.wanted(authorising);
        if !wanted.iter().all(|quorum| is_met(quorum, &incident.votes, requester, terms)) {
            return;
        }
        let by_people = requester.is_some() || incident.votes.iter().any(|vote| vote.granted);
        let authority = if by_people { Authority::People } else { Authority::Policies };
        let resume = authorising.resume.clone();
        if let Some(incident) = &mut self.incident {
            incident.marks.granted_at = Some(at);
            let step = StepState::Staging(Waiting::from(at));
            incident.phase = Phase::Acting(match resume {
                Some(acting) => acting.granted_by(authority, at),
                None => Acting {
                    rung: 0,
                    attempts: 0,
                    begun: 0,
                    guarded: None,
                    authority,
                    shifted: Vec::new(),
                    seems_served: false,
                    step,
                },
            });
        }
    }

    /// Ends an incident whose plan was not agreed to. After a shift of that plan only a person can say what comes next.
    fn end_unapproved(&mut self, outcome: Outcome, why: &str) {
        if self.incident.as_ref().is_some_and(super::Incident::is_past_pivot) {
            let text = format!(
                "{why}, but the plan has shifted already: `ripcord pull` names another target, `ripcord dismiss` ends it"
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
    }
}

/// Whether so many distinct people of the role agreed. Who asked counts where one is enough, or where configured.
fn is_met(
    quorum: &Quorum,
    votes: &[Vote],
    requester: Option<&(PersonName, Vec<RoleName>)>,
    terms: &Terms,
) -> bool {
    let has_role = |roles: &[RoleName]| roles.contains(&quorum.role);
    let mut agreed: Vec<&PersonName> =
        votes.iter().filter(|vote| vote.granted && has_role(&vote.roles)).map(|vote| &vote.person).collect();
    if let Some((person, roles)) = requester {
        let counts = quorum.people == 1 || terms.requester_vote == RequesterVote::Counts;
        // Whoever may pull is the one click that approves; a quorum of any other role needs that role.
        let one_click = quorum.people == 1 && quorum.role == RoleName::approver();
        let may = has_role(roles) || (one_click && roles.contains(&RoleName::operator()));
        agreed.retain(|voter| *voter != person);
        if counts && may {
            agreed.push(person);
        }
    }
    agreed.sort();
    agreed.dedup();
    agreed.len() >= quorum.people as usize
}

/// For people: `2 approvers and 1 security`.
fn people(wanted: &[Quorum]) -> String {
    let words: Vec<_> =
        wanted.iter().map(|quorum| format!("{} with role {}", quorum.people, quorum.role)).collect();
    if words.is_empty() { "its policies".to_owned() } else { words.join(" and ") }
}
