//! Whether a rollback could be made right now: people hear of a part that turns bad, and when all are well again.

use std::collections::{BTreeMap, BTreeSet};

use super::{Illegal, Service};
use crate::effect::{Effect, Topic};
use crate::event::ReadinessSeen;
use crate::name::{PersonName, RoleName};
use crate::plan::Quorum;
use crate::policy::Role;
use crate::readiness::ReadyPart;
use crate::signal::Severity;
use crate::terms::{KnownPerson, Mode};
use crate::time::UnixMillis;

/// Votes of people that a plan would want, and who could give them now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reachable {
    /// What is wanted whatever the policies say.
    pub wanted: Quorum,
    /// Who has the role and a key that counts now, or votes by session.
    pub able: Vec<PersonName>,
    /// Who has the role, and no key that counts now.
    pub without_key: Vec<PersonName>,
}

impl Reachable {
    /// Whether they are enough.
    pub fn is_met(&self) -> bool {
        self.able.len() >= usize::try_from(self.wanted.people).unwrap_or(usize::MAX)
    }
}

impl Service {
    /// During an incident nobody is told: its own steps tell what is missing. The same set twice is no news.
    pub(super) fn readiness_seen(&mut self, seen: &ReadinessSeen) -> Result<(), Illegal> {
        if self.incident.is_some() || seen.unready == self.unready {
            return Err(Illegal::Stale);
        }
        let before = std::mem::replace(&mut self.unready, seen.unready.clone());
        let news: Vec<_> = self.unready.difference(&before).map(|part| part.as_str()).collect();
        let name = &self.name;
        if !news.is_empty() {
            let text = format!(
                "`{name}` could not be rolled back as it should be, if it had to be now: {} ({} of {} parts are not ready); `ripcord ready {name}` says why and what to do",
                news.join(", "),
                self.unready.len(),
                ReadyPart::ALL.len()
            );
            self.tell(Topic::NotReady, Severity::Warning, text);
        } else if self.unready.is_empty() {
            let text = format!("`{name}` could be rolled back again: every part of a rollback is ready");
            self.tell(Topic::ReadyAgain, Severity::Info, text);
        }
        Ok(())
    }

    /// In mode `observe` nothing is shifted, and nobody is to be told that it could not be.
    pub(super) fn owed_to_readiness(&self, owed: &mut Vec<Effect>) {
        if self.incident.is_none() && !self.observes() {
            let every = self.deadlines().readiness;
            owed.push(Effect::WatchReadiness { seen: self.unready.clone(), every });
        }
    }

    /// For each quorum that every plan needs, who could vote now: the floor, or one approver where people are asked whatever the policies say. Policies may want
    /// more, and say so only when they are asked.
    pub fn reachable(&self, now: UnixMillis) -> Vec<Reachable> {
        let Some(terms) = &self.terms else { return Vec::new() };
        let mut wanted = self.floor_now();
        wanted.retain(|quorum| quorum.people > 0);
        let asks = terms.mode == Mode::Ask || terms.policies(Role::Approval).next().is_none();
        if asks && wanted.is_empty() {
            wanted.push(Quorum { role: RoleName::approver(), people: 1 });
        }
        // Of one role the largest number counts.
        let mut by_role: BTreeMap<RoleName, u32> = BTreeMap::new();
        for quorum in wanted {
            let people = by_role.entry(quorum.role).or_default();
            *people = quorum.people.max(*people);
        }
        let quorums = by_role.into_iter().map(|(role, people)| Quorum { role, people });
        let is_able = |person: &&KnownPerson| {
            person.keys.is_empty() || person.keys.iter().any(|key| key.is_valid_at(now))
        };
        quorums
            .map(|wanted| {
                let with_role = terms.people.iter().filter(|person| person.roles.contains(&wanted.role));
                let (able, without): (Vec<_>, Vec<_>) = with_role.partition(is_able);
                let names = |all: Vec<&KnownPerson>| {
                    let names: BTreeSet<_> = all.into_iter().map(|person| person.name.clone()).collect();
                    names.into_iter().collect::<Vec<_>>()
                };
                Reachable { wanted, able: names(able), without_key: names(without) }
            })
            .collect()
    }
}
