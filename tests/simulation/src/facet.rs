//! One facet beside the model, from outside: what is stored of it, and what the service works with.

use std::collections::{BTreeMap, BTreeSet};

use ripcord_core::digest::Digest;
use ripcord_core::facet::{FALLBACK_OFF, FacetState, InForce};
use ripcord_core::live::Proof;
use tokio::time::Instant;

use crate::world::version;

/// A revision with the edition of its content: somebody may write another one under the same name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Content {
    /// The revision's name.
    pub revision: String,
    /// Which edition.
    pub edition: u32,
}

impl Content {
    /// The first edition.
    pub fn first(revision: &str) -> Self {
        Self { revision: revision.to_owned(), edition: 1 }
    }

    /// Its bytes.
    pub fn bytes(&self) -> Vec<u8> {
        format!("{}, edition {}", self.revision, self.edition).into_bytes()
    }

    /// Of its bytes.
    pub fn digest(&self) -> Digest {
        Digest::of(self.bytes())
    }

    /// Whether it is this revision; digests are compared where one is named.
    pub fn is(&self, revision: &str, digest: Option<Digest>) -> bool {
        self.revision == revision && digest.is_none_or(|digest| digest == self.digest())
    }
}

/// What a service tells of a facet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tells {
    /// What it works with.
    InForce,
    /// Nothing: what is stored is believed.
    Nothing,
}

/// How the service comes to work with what is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TakeOver {
    /// It does, as far as it ever will by itself.
    Over,
    /// It is about to; the number of the change.
    Coming(u64),
    /// It was to be told, and was not; the number of the change.
    Untold(u64),
}

/// One facet.
#[derive(Debug, Clone)]
pub struct OutsideFacet {
    /// Its revisions, oldest first, each in its last edition.
    pub revisions: Vec<Content>,
    /// Revisions that nobody can put in force.
    pub broken: BTreeSet<String>,
    /// Revisions that do harm.
    pub bad: BTreeSet<String>,
    /// Keys of orders that were carried out.
    pub keys: BTreeSet<String>,
    tells: Tells,
    stored: Content,
    in_force: Content,
    take_over: TakeOver,
    changes: u64,
    /// When an honest look showed each content last.
    shown_at: BTreeMap<Content, Instant>,
}

impl OutsideFacet {
    /// Of these revisions, oldest first, the one of this number is in force.
    pub fn new(revisions: &[&str], in_force: usize, tells: Tells) -> Self {
        let revisions: Vec<_> = revisions.iter().map(|name| Content::first(name)).collect();
        let now = revisions[in_force].clone();
        Self {
            revisions,
            broken: BTreeSet::new(),
            bad: BTreeSet::new(),
            keys: BTreeSet::new(),
            tells,
            stored: now.clone(),
            in_force: now,
            take_over: TakeOver::Over,
            changes: 0,
            shown_at: BTreeMap::new(),
        }
    }

    /// The revision of this name, in its last edition.
    pub fn find(&self, revision: &str) -> Option<&Content> {
        self.revisions.iter().find(|content| content.revision == revision)
    }

    /// What the service works with.
    pub fn in_force(&self) -> &Content {
        &self.in_force
    }

    /// Whether what it works with does harm.
    pub fn does_harm(&self) -> bool {
        self.bad.contains(&self.in_force.revision)
    }

    /// Whether a safe mode answers.
    pub fn is_safe_mode(&self) -> bool {
        self.in_force.revision != FALLBACK_OFF
    }

    /// Whether nothing is about to change.
    pub fn is_at_rest(&self) -> bool {
        !matches!(self.take_over, TakeOver::Coming(_))
    }

    /// Whether this is stored, and the service was told.
    pub fn is_told(&self, revision: &str, digest: Option<Digest>) -> bool {
        self.stored.is(revision, digest) && !matches!(self.take_over, TakeOver::Untold(_))
    }

    /// Whether this is stored, and the service was not told.
    pub fn is_untold(&self, revision: &str) -> bool {
        self.stored.revision == revision && matches!(self.take_over, TakeOver::Untold(_))
    }

    fn shown(&self) -> Result<&Content, String> {
        let shown = match (self.tells, self.take_over) {
            (Tells::InForce, _) => &self.in_force,
            (Tells::Nothing, TakeOver::Untold(_)) => {
                return Err(format!("`{}` is stored, and the service was not told", self.stored.revision));
            }
            (Tells::Nothing, _) => &self.stored,
        };
        if self.revisions.contains(shown) {
            Ok(shown)
        } else {
            Err(format!("`{}` with this content is no revision of the history", shown.revision))
        }
    }

    /// What an honest look shows.
    pub fn look(&self) -> FacetState<String> {
        match self.shown() {
            Ok(content) => FacetState::InForce(InForce {
                revision: version(&content.revision),
                digest: Some(content.digest()),
                proof: match self.tells {
                    Tells::InForce => Proof::Answer,
                    Tells::Nothing => Proof::ControlPlane,
                },
            }),
            Err(why) => FacetState::Unknown(why),
        }
    }

    /// Whether an honest look shows this.
    pub fn shows(&self, revision: &str, digest: Option<Digest>) -> bool {
        self.shown().is_ok_and(|content| content.is(revision, digest))
    }

    /// Whether it showed this at some instant from `since` on.
    pub fn has_shown(&self, revision: &str, digest: Option<Digest>, since: Instant) -> bool {
        let mut before = self.shown_at.iter().filter(|(_, at)| **at >= since);
        self.shows(revision, digest) || before.any(|(content, _)| content.is(revision, digest))
    }

    /// Something is changed; what was shown until now is noted.
    fn change(&mut self, change: impl FnOnce(&mut Self)) {
        if let Ok(before) = self.shown().cloned() {
            self.shown_at.insert(before, Instant::now());
        }
        change(self);
    }

    /// Stores it. The service works with what it has until it is told; the number is that of the change.
    pub fn store(&mut self, content: Content) -> u64 {
        self.changes += 1;
        let number = self.changes;
        self.change(|facet| {
            facet.stored = content;
            facet.take_over = TakeOver::Untold(number);
        });
        number
    }

    /// The service is told of this change, if no other came after it, and is about to take it over.
    pub fn tell(&mut self, change: u64) {
        if self.take_over == TakeOver::Untold(change) {
            self.change(|facet| facet.take_over = TakeOver::Coming(change));
        }
    }

    /// The service works with what is stored, if that is still this change.
    pub fn take_over(&mut self, change: u64) {
        if self.take_over == TakeOver::Coming(change) {
            self.change(|facet| {
                facet.in_force = facet.stored.clone();
                facet.take_over = TakeOver::Over;
            });
        }
    }

    /// The service was told of this change and does not take it over.
    pub fn gives_up(&mut self, change: u64) {
        if self.take_over == TakeOver::Coming(change) {
            self.change(|facet| facet.take_over = TakeOver::Over);
        }
    }

    /// It is in force at once.
    pub fn put(&mut self, content: Content) {
        let change = self.store(content);
        self.tell(change);
        self.take_over(change);
    }

    /// Other content is written under the name of a revision; what is in force stays what it is.
    pub fn rewrite(&mut self, revision: &str) {
        self.change(|facet| {
            if let Some(content) = facet.revisions.iter_mut().find(|content| content.revision == revision) {
                content.edition += 1;
            }
        });
    }
}
