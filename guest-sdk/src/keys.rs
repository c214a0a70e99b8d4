//! How many distinct people must agree, and whether they did: what approvals share.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::approval::{Answer, Quorum, Requirement};
use crate::contract::facts::{Vote, VoteKind};
use crate::contract::types::{Instant, Note, Origin, Strategy, Target};
use crate::{ApprovalCase, Duration, Fact, hours, millis};

/// Who must agree, and by when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Keys {
    /// How many distinct people of the role must agree; at least 1.
    pub people: u32,
    /// The role that they must have.
    pub role: String,
    /// People of other roles who must agree besides. Someone with both roles counts for both.
    pub also: Vec<Also>,
    /// How long after people were first asked the plan may be granted. The plan's own expiry holds as well.
    pub expires_after: Duration,
    /// Whom to tell if it is not granted in time.
    pub escalate: Option<Escalate>,
    /// Whether who asked for the rollback may be one of the people.
    pub requester: Requester,
    /// What a break-glass vote does.
    pub break_glass: BreakGlass,
}

/// People of one role who must agree besides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Also {
    /// The role that they must have.
    pub role: String,
    /// How many; at least 1.
    pub people: u32,
}

/// Whom to tell, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Escalate {
    /// A role or group.
    pub to: String,
    /// How long after people were first asked.
    pub after: Duration,
}

/// Whether who asked counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Requester {
    /// Other people must agree.
    DoesNotCount,
    /// The requester's vote counts as anyone's.
    Counts,
}

/// What a break-glass vote does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BreakGlass {
    /// It replaces everyone else; a critical note asks for a review.
    ReplacesQuorum,
    /// It is one person's vote.
    CountsAsOne,
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            people: 2,
            role: "approver".to_owned(),
            also: Vec::new(),
            expires_after: hours(4),
            escalate: None,
            requester: Requester::DoesNotCount,
            break_glass: BreakGlass::ReplacesQuorum,
        }
    }
}

impl Keys {
    /// Refuses what nobody could fulfil or everybody would.
    ///
    /// # Errors
    /// A sentence that names the setting and says what to write.
    pub fn check(&self) -> Result<(), String> {
        for quorum in self.quorums() {
            if quorum.people == 0 || quorum.role.is_empty() {
                return Err(format!(
                    "`people` is `{}` for the role `{}`: write at least 1 and the name of a role",
                    quorum.people, quorum.role
                ));
            }
        }
        if self.expires_after.is_zero() {
            return Err("`expires-after` is `0s`: write how long people have, such as `4h`".to_owned());
        }
        match &self.escalate {
            Some(escalate) if escalate.to.is_empty() || escalate.after >= self.expires_after => Err(format!(
                "`escalate` tells `{}` after `{}`: write a role, and a time before `{}`, when the plan expires",
                escalate.to, escalate.after, self.expires_after
            )),
            _ => Ok(()),
        }
    }

    /// Whether the votes are enough.
    ///
    /// A refusal is final. Votes of a kind that this version does not know, votes that are not known, a plan with
    /// something in it that this version does not know, and a plan that has expired are never granted: it waits.
    pub fn judge(&self, case: &ApprovalCase, votes: Fact<'_, [Vote]>) -> Answer {
        let expires_at = case.expires_at().min(case.opened_at + self.expires_after);
        let waiting = |notes: Vec<Note>| Answer::waiting(self.requirement(case, expires_at)).notes(notes);
        let votes = match votes {
            Ok(votes) => last_of_each(votes),
            Err(unavailable) => {
                return waiting(vec![Note::warning(format!("the votes are not known: {unavailable}"))]);
            }
        };
        let (known, odd): (Vec<&Vote>, Vec<&Vote>) =
            votes.into_iter().partition(|vote| !matches!(vote.kind, VoteKind::Other(_)));
        if let Some(refusal) = known.iter().find(|vote| !vote.granted) {
            return Answer::refused(format!(
                "`{}` refused {} after people were asked, and a refusal is final",
                refusal.person,
                millis(refusal.at.saturating_sub(case.opened_at)).rough()
            ));
        }
        let mut notes: Vec<Note> = odd.iter().map(|vote| Note::warning(unknown_kind(vote))).collect();
        let unknown = unknown_in(case);
        notes.extend(unknown.iter().map(Note::warning));
        let in_time: Vec<&Vote> = known.into_iter().filter(|vote| vote.at < expires_at).collect();
        let counted: Vec<(Quorum, u32)> = self
            .quorums()
            .map(|quorum| {
                let agreed = self.agreed(case, &quorum, &in_time);
                (quorum, agreed)
            })
            .collect();
        notes.push(Note::info(self.tally(case, &counted, &in_time)));
        if case.now() >= expires_at {
            let late = millis(case.now() - expires_at).rough();
            notes.push(Note::warning(format!(
                "the time to agree ended {late} ago, so it is not granted any more"
            )));
            return waiting(notes);
        }
        if !unknown.is_empty() || odd.iter().any(|vote| !vote.granted) {
            return waiting(notes);
        }
        let glass = in_time.iter().find(|vote| vote.kind == VoteKind::BreakGlass);
        if let (BreakGlass::ReplacesQuorum, Some(vote)) = (self.break_glass, glass) {
            let text = format!(
                "`{}` broke the glass, which replaces everyone else: review it afterwards",
                vote.person
            );
            return Answer::granted().notes(notes).note(Note::critical(text));
        }
        if counted.iter().all(|(quorum, agreed)| *agreed >= quorum.people) {
            return Answer::granted().notes(notes);
        }
        waiting(notes)
    }

    fn quorums(&self) -> impl Iterator<Item = Quorum> + '_ {
        let also = self.also.iter().map(|also| Quorum { role: also.role.clone(), people: also.people });
        std::iter::once(Quorum { role: self.role.clone(), people: self.people }).chain(also)
    }

    fn requirement(&self, case: &ApprovalCase, expires_at: Instant) -> Requirement {
        Requirement {
            quorums: self.quorums().collect(),
            expires_at,
            escalate_to: self.escalate.as_ref().map(|escalate| escalate.to.clone()),
            escalate_at: self.escalate.as_ref().map(|escalate| case.opened_at + escalate.after),
        }
    }

    /// Distinct people of the role who agreed.
    fn agreed(&self, case: &ApprovalCase, quorum: &Quorum, votes: &[&Vote]) -> u32 {
        let counts = |vote: &&&Vote| {
            vote.granted
                && vote.roles.contains(&quorum.role)
                && (self.requester == Requester::Counts || !asked_for_it(case, &vote.person))
        };
        u32::try_from(votes.iter().filter(counts).count()).unwrap_or(u32::MAX)
    }

    fn tally(&self, case: &ApprovalCase, counted: &[(Quorum, u32)], votes: &[&Vote]) -> String {
        let each: Vec<String> = counted
            .iter()
            .map(|(quorum, agreed)| format!("{agreed} of {} with role `{}`", quorum.people, quorum.role))
            .collect();
        let own: Vec<String> = votes
            .iter()
            .filter(|vote| self.requester == Requester::DoesNotCount && asked_for_it(case, &vote.person))
            .map(|vote| format!("; `{}` asked for it and does not count", vote.person))
            .collect();
        format!("{} agreed{}", each.join(", "), own.concat())
    }
}

/// What the plan holds that this version of the contract does not know, one sentence each. An approval that meets
/// any of it waits.
pub fn unknown_in(case: &ApprovalCase) -> Vec<String> {
    let plan = &case.plan;
    let mut unknown = Vec::new();
    if let Strategy::Other(name) = &plan.strategy {
        unknown.push(format!("the plan's strategy `{name}`"));
    }
    for rung in plan.parts.iter().flat_map(|part| &part.rungs) {
        if let Target::Other(name) = &rung.target {
            unknown.push(format!("the target `{name}`"));
        }
    }
    for origin in &plan.requested_by {
        if let Origin::Other(name) = origin {
            unknown.push(format!("who asked for it, `{name}`,"));
        }
    }
    unknown
        .iter_mut()
        .for_each(|what| what.push_str(" is not one that this policy knows: use a newer version of it"));
    unknown
}

/// A person's last vote counts, but no later vote takes a refusal back.
fn last_of_each(votes: &[Vote]) -> Vec<&Vote> {
    let mut last: Vec<&Vote> = Vec::new();
    for vote in votes {
        match last.iter_mut().find(|earlier| earlier.person == vote.person) {
            Some(earlier) if earlier.granted && (!vote.granted || vote.at >= earlier.at) => *earlier = vote,
            Some(_) => {}
            None => last.push(vote),
        }
    }
    last
}

fn unknown_kind(vote: &Vote) -> String {
    let kind = match &vote.kind {
        VoteKind::Other(name) => name.as_str(),
        VoteKind::Signature | VoteKind::Session | VoteKind::BreakGlass => "known",
    };
    format!(
        "`{}` voted by `{kind}`, which this policy does not know, so the vote does not count",
        vote.person
    )
}

fn asked_for_it(case: &ApprovalCase, person: &str) -> bool {
    case.plan.requested_by.iter().any(|origin| matches!(origin, Origin::Person(name) if name == person))
}
