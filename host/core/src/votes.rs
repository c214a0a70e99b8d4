//! The votes on one plan: which are taken down, and which count.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::event::Voted;
use crate::name::PersonName;
use crate::plan::Vote;
use crate::terms::KnownPerson;
use crate::time::UnixMillis;

/// Votes of one person on one plan that enter the journal. Each one differs from the one before.
pub(crate) const VOTES_OF_ONE_MAX: u32 = 10;

/// What makes each signature one of its own, so that none counts twice: 16 bytes that whoever signs draws at random, as 32 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Nonce(String);

/// It is no nonce.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a nonce is 32 hexadecimal digits in lower case: draw 16 bytes at random")]
pub struct InvalidNonce;

impl Nonce {
    /// Of random bytes.
    pub fn of(bytes: [u8; 16]) -> Self {
        Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

impl TryFrom<String> for Nonce {
    type Error = InvalidNonce;

    fn try_from(text: String) -> Result<Self, InvalidNonce> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() == 32 && text.bytes().all(is_digit) { Ok(Self(text)) } else { Err(InvalidNonce) }
    }
}

impl From<Nonce> for String {
    fn from(nonce: Nonce) -> Self {
        nonce.0
    }
}

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The last vote of each person on the plan at hand, as it was given, and how they came. What counts of them is decided when it is used: see
/// [`Service::votes_in_force`](crate::service::Service::votes_in_force).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Votes {
    cast: Vec<Vote>,
    /// How often each person voted.
    given: BTreeMap<PersonName, u32>,
    /// Of the signatures that were taken down: as many as votes were, which `given` bounds.
    nonces: BTreeSet<Nonce>,
}

/// Why a vote is not taken down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotTaken {
    /// Nobody of that name may act.
    UnknownPerson,
    /// It was given with another key than one in force, or without any.
    OtherKey,
    /// They have said so already.
    Unchanged,
    /// The signature was used before.
    UsedBefore,
    /// They have voted too often.
    TooOften,
}

impl Votes {
    /// In the order in which they were given.
    pub fn iter(&self) -> std::slice::Iter<'_, Vote> {
        self.cast.iter()
    }

    /// Of how many people.
    pub fn len(&self) -> usize {
        self.cast.len()
    }

    /// Whether nobody has voted.
    pub fn is_empty(&self) -> bool {
        self.cast.is_empty()
    }

    /// Another plan is at hand: nobody has voted on it.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The plan is the part of a set's, whose run has these votes.
    pub(crate) fn hand_on(&mut self, votes: &[Vote]) {
        *self = Self { cast: votes.to_vec(), ..Self::default() };
    }

    /// Takes the vote down as given at `at`, if it is news and its person may give it.
    pub(crate) fn take(
        &mut self,
        voted: &Voted,
        people: &[KnownPerson],
        at: UnixMillis,
    ) -> Result<(), NotTaken> {
        let vote = Vote { at, ..voted.vote.clone() };
        if !people.iter().any(|person| person.name == vote.person) {
            return Err(NotTaken::UnknownPerson);
        }
        if in_force(&vote, people).is_none() {
            return Err(NotTaken::OtherKey);
        }
        if self.cast.iter().any(|known| Vote { at, ..known.clone() } == vote) {
            return Err(NotTaken::Unchanged);
        }
        let nonce = voted.signed.as_ref().map(|signed| &signed.nonce);
        if nonce.is_some_and(|nonce| self.nonces.contains(nonce)) {
            return Err(NotTaken::UsedBefore);
        }
        let given = self.given.entry(vote.person.clone()).or_insert(0);
        if *given >= VOTES_OF_ONE_MAX {
            return Err(NotTaken::TooOften);
        }
        *given += 1;
        self.nonces.extend(nonce.cloned());
        self.cast.retain(|known| known.person != vote.person);
        self.cast.push(vote);
        Ok(())
    }
}

impl<'a> IntoIterator for &'a Votes {
    type Item = &'a Vote;
    type IntoIter = std::slice::Iter<'a, Vote>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// The vote with the roles that its person has now, if it still counts: given by someone who may act, and with a key that they have now and that was
/// valid when it was given. Whoever has a key by now vouches with that alone.
pub(crate) fn in_force(vote: &Vote, people: &[KnownPerson]) -> Option<Vote> {
    let person = people.iter().find(|person| person.name == vote.person)?;
    let vouches = match &vote.key {
        None => person.keys.is_empty(),
        Some(key) => person.keys.iter().any(|known| known.key == *key && known.is_valid_at(vote.at)),
    };
    vouches.then(|| Vote { roles: person.roles.clone(), ..vote.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_thirty_two_digits_and_nothing_else() {
        let good = Nonce::of([0xa5; 16]);
        assert_eq!(good.to_string(), "a5".repeat(16));
        assert_eq!(Nonce::try_from(good.to_string()), Ok(good));
        for bad in ["", "a5", &"A5".repeat(16), &"a5".repeat(17), &"g5".repeat(16), &"é".repeat(16)] {
            assert_eq!(Nonce::try_from(bad.to_owned()), Err(InvalidNonce), "{bad}");
        }
    }
}
