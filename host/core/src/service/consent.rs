//! Whose word counts: by the people, roles, keys, floor and mode in force when it is used, not by those when it was given.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Illegal, Incident, Phase, Service};
use crate::digest::Digest;
use crate::event::Voted;
use crate::name::{PersonName, RoleName};
use crate::plan::{Quorum, Vote, VoteKind};
use crate::policy::Role;
use crate::terms::{KnownPerson, RequesterVote, Terms};
use crate::votes::{NotTaken, VOTES_OF_ONE_MAX, in_force};

/// Of the people who have agreed, or may, so many are named in a sentence.
const NAMES_SHOWN_MAX: usize = 6;

/// Who has agreed to the plan at hand, as it counts now.
pub(crate) struct Counted<'a> {
    /// Whether who asked counts.
    pub(crate) requester_vote: RequesterVote,
    /// Whose word counts towards no quorum.
    pub(crate) authors: &'a [PersonName],
    /// Those that count.
    pub(crate) votes: Vec<Vote>,
    /// Whose wish the plan is.
    pub(crate) requester: Option<&'a KnownPerson>,
    /// All who asked for a rollback in this incident.
    pub(crate) requesters: &'a [PersonName],
}

impl Service {
    /// The votes for the plan at hand that count now, with the roles that people have now. A vote of someone who may not act any more, or who has
    /// another key by now, does not.
    pub fn votes_in_force(&self) -> Vec<Vote> {
        let (Some(terms), Some(incident)) = (&self.terms, &self.incident) else { return Vec::new() };
        // A refusal that ends nothing is the word of one who does not agree, and policies hear of those who do.
        let heard = incident.votes.iter().filter(|vote| vote.granted || terms.may_veto(&vote.person));
        let votes = heard.filter_map(|vote| in_force(vote, &terms.people));
        // Who may not break the glass any more has voted as anyone: policies are told so, too.
        let as_anyone = |vote: Vote| match vote.kind {
            VoteKind::BreakGlass if !terms.may_break_glass(&vote.person) => {
                let kind = if vote.key.is_some() { VoteKind::Signature } else { VoteKind::Session };
                Vote { kind, ..vote }
            }
            _ => vote,
        };
        votes.map(as_anyone).collect()
    }

    fn counted<'a>(&'a self, terms: &'a Terms, incident: &'a Incident) -> Counted<'a> {
        Counted {
            requester_vote: terms.requester_vote,
            authors: &terms.authors,
            votes: self.votes_in_force(),
            requester: incident.requester.as_ref().and_then(|name| terms.person(name)),
            requesters: &incident.requesters,
        }
    }

    /// Whether every quorum is met now.
    pub(super) fn are_met(&self, wanted: &[Quorum]) -> bool {
        let (Some(terms), Some(incident)) = (&self.terms, &self.incident) else { return false };
        let counted = self.counted(terms, incident);
        let alone = is_for_one(wanted);
        wanted.iter().all(|quorum| counted.meets(quorum, alone))
    }

    /// Whether at least one person wants it.
    pub(super) fn people_agree(&self) -> bool {
        let (Some(terms), Some(incident)) = (&self.terms, &self.incident) else { return false };
        let counted = self.counted(terms, incident);
        counted.requester.is_some() || counted.votes.iter().any(|vote| vote.granted)
    }

    /// A digest of everything that decides whether the plan at hand is agreed to: who agreed as it counts now, what is asked for, and by which
    /// policies. As long as it is the same, what was granted stays granted.
    pub(super) fn consent(&self) -> Digest {
        let (Some(terms), Some(incident)) = (&self.terms, &self.incident) else { return Digest::of("") };
        let counted = self.counted(terms, incident);
        let mut parts: Vec<Vec<u8>> = vec![
            incident.plan().map(|plan| plan.digest.as_bytes().to_vec()).unwrap_or_default(),
            terms.mode.as_str().into(),
            vec![u8::from(terms.requester_vote == RequesterVote::Counts)],
        ];
        let mut list = |name: &str, of: Vec<Vec<u8>>| {
            parts.push(format!("{name} {}", of.len()).into());
            parts.extend(of);
        };
        let roles = |roles: &[RoleName]| roles.iter().map(RoleName::as_str).collect::<Vec<_>>().join(" ");
        list("floor", terms.floor.iter().map(|q| format!("{} {}", q.people, q.role).into()).collect());
        list(
            "policies",
            terms
                .policies(Role::Approval)
                .map(|used| format!("{} {} {}", used.policy, used.policy.digest, used.settings).into())
                .collect(),
        );
        list("authors", terms.authors.iter().map(|person| person.as_str().into()).collect());
        list("break-glass", terms.break_glass.iter().map(|role| role.as_str().into()).collect());
        list("requesters", counted.requesters.iter().map(|person| person.as_str().into()).collect());
        let requester = counted.requester.map(|person| format!("{} {}", person.name, roles(&person.roles)));
        list("requester", requester.into_iter().map(Into::into).collect());
        let vote = |vote: &Vote| {
            let key = vote.key.map(|key| key.to_string()).unwrap_or_default();
            let Vote { person, granted, at, kind, .. } = vote;
            format!("{person} {granted} {} {kind:?} {key} {}", at.0, roles(&vote.roles)).into()
        };
        list("votes", counted.votes.iter().map(vote).collect());
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        Digest::tagged("ripcord consent 1", &parts)
    }

    /// What the approval policies are to be asked about now: who agreed, and until when.
    pub fn ballot(&self) -> Digest {
        let extension = self.incident.as_ref().map_or(0, |incident| incident.extension.0);
        Digest::tagged("ripcord ballot 1", &[self.consent().as_bytes(), &extension.to_be_bytes()])
    }

    /// The same if the approval policies have not been asked about it: they are about to be.
    pub fn unseen_ballot(&self) -> Option<Digest> {
        let Phase::Authorising(authorising) = &self.incident.as_ref()?.phase else { return None };
        let ballot = self.ballot();
        (self.voices(Role::Approval) > 0 && authorising.seen != Some(ballot)).then_some(ballot)
    }

    /// Every quorum that the plan at hand waits for, as it stands now; none while none is asked for.
    pub fn tally(&self) -> Vec<Tally> {
        let (Some(terms), Some(incident)) = (&self.terms, &self.incident) else { return Vec::new() };
        let Phase::Authorising(authorising) = &incident.phase else { return Vec::new() };
        let wanted = self.wanted(authorising);
        let (counted, alone) = (self.counted(terms, incident), is_for_one(&wanted));
        let tally = |quorum: &Quorum| counted.tally(quorum, alone, &terms.people);
        wanted.iter().filter(|quorum| quorum.people > 0).map(tally).collect()
    }

    /// Whose word the plan at hand still waits for, in words; none where enough people have agreed.
    pub fn still_wanted(&self) -> Option<String> {
        let open = self.tally().into_iter().filter(|tally| tally.lacks() > 0);
        let words: Vec<_> = open.map(|tally| tally.to_string()).collect();
        (!words.is_empty()).then(|| words.join(" and "))
    }

    /// Takes the vote down, if it is news and its person may give it.
    pub(super) fn take_vote(&mut self, voted: &Voted) -> Result<(), Illegal> {
        let at = self.at;
        let (Some(terms), Some(incident)) = (&self.terms, &mut self.incident) else {
            return Err(Illegal::NoIncident(self.name.clone()));
        };
        let person = &voted.vote.person;
        let breaks = voted.vote.kind == VoteKind::BreakGlass && voted.vote.granted;
        if breaks && terms.person(person).is_some() && !terms.may_break_glass(person) {
            return self.must_break_glass(person);
        }
        incident.votes.take(voted, &terms.people, at).map_err(|why| match why {
            NotTaken::UnknownPerson => Illegal::UnknownPerson(person.clone()),
            NotTaken::OtherKey => Illegal::OtherKey(person.clone()),
            NotTaken::Unchanged => Illegal::Unchanged(format!("`{person}` has said so already")),
            NotTaken::UsedBefore => Illegal::SignatureUsed(person.clone()),
            NotTaken::TooOften => Illegal::TooOften(
                format!("`{person}` has voted on this plan {VOTES_OF_ONE_MAX} times"),
                "abort the incident, or pull for a new plan",
            ),
        })
    }
}

/// Whether all quorums together ask for one person: for one of the same role.
pub(crate) fn is_for_one(wanted: &[Quorum]) -> bool {
    let mut wanted = wanted.iter().filter(|quorum| quorum.people > 0);
    let first = wanted.next();
    first.is_none_or(|first| first.people == 1 && wanted.all(|quorum| quorum == first))
}

/// A quorum, who has met it so far, and who may.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// What is asked for.
    pub quorum: Quorum,
    /// Who counts towards it.
    pub agreed: Vec<PersonName>,
    /// Who could still agree.
    pub may: Vec<PersonName>,
}

impl Tally {
    /// How many are missing.
    pub fn lacks(&self) -> usize {
        (self.quorum.people as usize).saturating_sub(self.agreed.len())
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |people: &[PersonName]| {
            let shown =
                people.iter().take(NAMES_SHOWN_MAX).map(PersonName::as_str).collect::<Vec<_>>().join(", ");
            match people.len().saturating_sub(NAMES_SHOWN_MAX) {
                0 => shown,
                more => format!("{shown} and {more} more"),
            }
        };
        match self.lacks() {
            0 => write!(f, "nobody more with role `{}`", self.quorum.role)?,
            lacks => write!(f, "{lacks} more of {} with role `{}`", self.quorum.people, self.quorum.role)?,
        }
        let agreed = match self.agreed.as_slice() {
            [] => "nobody has agreed".to_owned(),
            some => format!("{} agreed", names(some)),
        };
        let may = match self.may.as_slice() {
            [] => "nobody else may".to_owned(),
            some => format!("{} may", names(some)),
        };
        write!(f, " ({agreed}; {may})")
    }
}

impl Counted<'_> {
    /// Whether so many distinct people of the role agreed. Where one is enough for all that is wanted (`alone`), whoever the plan is made for is one;
    /// where it takes more, nobody who asked for a rollback in this incident counts, unless configured.
    pub(crate) fn meets(&self, quorum: &Quorum, alone: bool) -> bool {
        self.agreed(quorum, alone).len() >= quorum.people as usize
    }

    /// Who has met it so far, and who of these people may.
    pub(crate) fn tally(&self, quorum: &Quorum, alone: bool, people: &[KnownPerson]) -> Tally {
        let agreed: Vec<PersonName> = self.agreed(quorum, alone).into_iter().cloned().collect();
        let counts = alone || self.requester_vote == RequesterVote::Counts;
        let may = people.iter().filter(|person| {
            person.roles.contains(&quorum.role)
                && !agreed.contains(&person.name)
                && (counts || !self.requesters.contains(&person.name))
                && !self.authors.contains(&person.name)
        });
        Tally { quorum: quorum.clone(), may: may.map(|person| person.name.clone()).collect(), agreed }
    }

    /// Who counts towards it.
    pub(crate) fn agreed(&self, quorum: &Quorum, alone: bool) -> Vec<&PersonName> {
        let requesters_count = alone || self.requester_vote == RequesterVote::Counts;
        let voters = self.votes.iter().filter(|vote| vote.granted && vote.roles.contains(&quorum.role));
        let mut agreed: Vec<&PersonName> = voters.map(|vote| &vote.person).collect();
        if !requesters_count {
            agreed.retain(|person| !self.requesters.contains(person));
        }
        if let Some(requester) = self.requester.filter(|_| requesters_count) {
            // Whoever may pull is the one click that approves; a quorum of any other role needs that role.
            let one_click = alone && quorum.role == RoleName::approver();
            let has = |role: &RoleName| requester.roles.contains(role);
            if has(&quorum.role) || (one_click && has(&RoleName::operator())) {
                agreed.push(&requester.name);
            }
        }
        agreed.retain(|person| !self.authors.contains(person));
        agreed.sort();
        agreed.dedup();
        agreed
    }
}
