//! `[sets.NAME]`: services that move together.

use std::ops::Range;

use ripcord_core::name::{RoleName, ServiceName, SetName};
use ripcord_core::plan::{IfPartFails, Quorum};
use ripcord_core::set::{SetDeadlines, SetTerms};
use ripcord_core::terms::{KnownPerson, RequesterVote};
use ripcord_core::time::Millis;
use serde::Deserialize;
use toml::Spanned;

use super::place::Mistakes;
use super::say::suggestion;
use super::service::QuorumKeys;
use super::table::Node;
use super::units::Seconds;

/// Services that move together.
#[derive(Debug, Clone)]
pub struct SetConfig {
    /// Its name.
    pub name: SetName,
    /// Of the name.
    pub span: Range<usize>,
    /// In the order in which they move.
    pub members: Vec<Spanned<ServiceName>>,
    /// What is done where a part fails.
    pub if_part_fails: IfPartFails,
    /// Beside what the members' floors ask for.
    pub floor: Vec<Quorum>,
    /// Whether who asked counts.
    pub requester_vote: RequesterVote,
    /// Roles whose people may ask for a run, where they may pull each member that is to move as well.
    pub may_pull: Vec<RoleName>,
    /// How long things may take.
    pub deadlines: SetDeadlines,
    /// The set's table as it stands in the file.
    pub table: serde_json::Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct SetKeys {
    members: Spanned<Vec<Spanned<ServiceName>>>,
    #[serde(default)]
    if_part_fails: IfPartFails,
    #[serde(default)]
    floor: Vec<QuorumKeys>,
    #[serde(default)]
    requester_counts: bool,
    may_pull: Option<Vec<RoleName>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct DeadlineKeys {
    enlisting_seconds: Option<Seconds>,
    planning_seconds: Option<Seconds>,
    approval_seconds: Option<Seconds>,
    part_seconds: Option<Seconds>,
    run_seconds: Option<Seconds>,
}

impl SetConfig {
    pub(crate) fn read(name: &Spanned<String>, mut node: Node<'_>, mistakes: &mut Mistakes) -> Option<Self> {
        let span = name.span();
        let (table, _) = node.clone().into_json();
        let set = mistakes.ok(&span, SetName::new(name.get_ref().as_str()), "");
        if name.get_ref().starts_with("set:") {
            let text =
                format!("`{}` begins with `set:`, which stands before the names of sets", name.get_ref());
            mistakes.add(span.clone(), text, "leave it out of the name itself");
        }
        let deadlines = node.take_table("deadlines", mistakes);
        let deadlines: Option<DeadlineKeys> =
            deadlines.map_or(Some(Default::default()), |node| node.read(mistakes));
        let keys: SetKeys = node.read(mistakes)?;
        let all_members = keys.members.span();
        let read = Self {
            name: set?,
            span,
            members: keys.members.into_inner(),
            if_part_fails: keys.if_part_fails,
            floor: keys.floor.into_iter().map(Into::into).collect(),
            requester_vote: if keys.requester_counts {
                RequesterVote::Counts
            } else {
                RequesterVote::AloneOnly
            },
            may_pull: keys.may_pull.unwrap_or_else(|| vec![RoleName::operator()]),
            deadlines: deadlines?.terms(),
            table,
        };
        read.check(all_members, mistakes);
        Some(read)
    }

    /// What the core would refuse, at its place.
    fn check(&self, all_members: Range<usize>, mistakes: &mut Mistakes) {
        let Some(problem) = self.terms(Vec::new()).problem() else { return };
        let again = self.members.iter().enumerate().find_map(|(at, member)| {
            let before = &self.members[..at];
            before.iter().any(|other| other.get_ref() == member.get_ref()).then(|| member.span())
        });
        let a_set = self.members.iter().find(|member| member.get_ref().is_reserved()).map(Spanned::span);
        let (text, help) = problem.split_once(": ").unwrap_or((problem, ""));
        let text = format!("`{}` {text}", self.name);
        mistakes.add(again.or(a_set).unwrap_or(all_members), text, help);
    }

    /// Each member must be a service of the file.
    pub(super) fn members_are_services(&self, services: &[String], sets: &[String], mistakes: &mut Mistakes) {
        for member in self.members.iter().filter(|member| !member.get_ref().is_reserved()) {
            let name = member.get_ref().as_str();
            if services.iter().any(|known| known == name) {
                continue;
            }
            if sets.iter().any(|known| known == name) {
                let text = format!("`{name}` is a set, and the members of a set are services");
                mistakes.add(member.span(), text, format!("name the members of `{name}` in its place"));
                continue;
            }
            let near = suggestion(name, "there are", services.iter().map(String::as_str));
            let help = if near.is_empty() { "add it below `[services]`".to_owned() } else { near };
            mistakes.add(member.span(), format!("there is no service `{name}`"), help);
        }
    }

    /// What transitions depend on; `people` are all who may act.
    pub fn terms(&self, people: Vec<KnownPerson>) -> SetTerms {
        SetTerms {
            members: self.members.iter().map(|member| member.get_ref().clone()).collect(),
            if_part_fails: self.if_part_fails,
            people,
            floor: self.floor.clone(),
            requester_vote: self.requester_vote,
            deadlines: self.deadlines,
        }
    }
}

impl DeadlineKeys {
    fn terms(self) -> SetDeadlines {
        let default = SetDeadlines::default();
        let or = |seconds: Option<Seconds>, default: Millis| seconds.map_or(default, |seconds| seconds.0);
        SetDeadlines {
            enlisting: or(self.enlisting_seconds, default.enlisting),
            planning: or(self.planning_seconds, default.planning),
            approval: or(self.approval_seconds, default.approval),
            part: or(self.part_seconds, default.part),
            run: or(self.run_seconds, default.run),
        }
    }
}
