//! What a step has its adapter send, as a template: everything that is known when the plan is made, and named holes for the rest.
//!
//! People agree to the digest of the template. Before the effect the adapter is asked again, and another digest is refused. The same template with its
//! holes filled gives the digest of what was executed, which stands beside the approved one in the journal.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::canonical::{self, EncodeError};
use crate::digest::Digest;
use crate::foreign::Foreign;
use crate::name::IncidentId;

/// A longer value goes into the template by its digest: so much is kept of one as it is.
const VALUE_BYTES_MAX: usize = 1_024;
/// The sentence for people.
const WORDS_CHARS_MAX: usize = 600;

/// What is not known when the plan is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hole {
    /// The digest of the plan itself.
    Plan,
    /// The incident.
    Incident,
    /// What is found in the place of what is sent, immediately before.
    Expected,
    /// The idempotency key.
    Key,
    /// The content of the folder in which the artefact lies. Filled with the digest of the artefact: the path says nothing to others.
    Staged,
    /// The moment of the call. It stays a hole: the record of the effect has its time.
    Time,
    /// A secret. It stays a hole: not even a digest of one is kept.
    Credentials,
}

/// What the holes are filled with when the effect is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filled {
    /// See [`Hole::Plan`]; none where the effect outlives the plan at hand.
    pub plan: Option<Digest>,
    /// See [`Hole::Incident`].
    pub incident: IncidentId,
    /// See [`Hole::Expected`].
    pub expected: String,
    /// See [`Hole::Key`].
    pub key: String,
    /// See [`Hole::Staged`]; none where nothing is staged.
    pub staged: Option<Digest>,
    /// Counted from one. Not in any template: it tells two attempts apart.
    pub attempt: u32,
}

/// One value of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Value {
    Is(String),
    /// Of a value that is too long to be repeated.
    Sha256(Digest),
    Hole(Hole),
}

impl Value {
    fn of(text: String) -> Self {
        if text.len() <= VALUE_BYTES_MAX { Self::Is(text) } else { Self::Sha256(Digest::of(text)) }
    }
}

/// What an adapter will send for a target. The same target and settings give the same template at any time, and asking for one calls nobody.
///
/// Its size is bounded: names are those of the adapter's source, and a long value goes in by its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    words: String,
    values: BTreeMap<&'static str, Value>,
}

impl Request {
    /// A request of an adapter, in a sentence for people: what is done where, without capital and full stop. No secrets.
    pub fn new(adapter: &str, words: &str) -> Self {
        let words = Foreign::new(words).at_most(WORDS_CHARS_MAX).to_string();
        Self { words, values: BTreeMap::from([("adapter", Value::of(adapter.to_owned()))]) }
    }

    /// The same with a value that is known already. No secrets.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.values.insert(name, Value::of(value.into()));
        self
    }

    /// The same with a hole.
    #[must_use]
    pub fn hole(mut self, hole: Hole) -> Self {
        self.values.insert(hole.name(), Value::Hole(hole));
        self
    }

    /// For people.
    pub fn words(&self) -> &str {
        &self.words
    }

    /// As a plan names it.
    pub fn planned(&self) -> Result<PlannedRequest, EncodeError> {
        Ok(PlannedRequest { words: self.words.clone(), digest: self.digest()? })
    }

    /// What people agree to: the template with its holes.
    pub fn digest(&self) -> Result<Digest, EncodeError> {
        canonical::json_digest("ripcord request 1", &self.values)
    }

    /// What is executed: the same template with its holes filled.
    pub fn executed(&self, filled: &Filled) -> Result<Digest, EncodeError> {
        let fill = |value: &Value| match value {
            Value::Hole(hole) => hole.filled(filled).map_or(Value::Hole(*hole), Value::of),
            known => known.clone(),
        };
        let values: BTreeMap<_, _> = self.values.iter().map(|(name, value)| (*name, fill(value))).collect();
        canonical::json_digest("ripcord executed request 1", &(filled.attempt, values))
    }

    /// The executed digest beside the approved one, if this is what was approved; else the digest that it has now.
    pub fn sent(&self, approved: Digest, filled: &Filled) -> Result<Result<Sent, Digest>, EncodeError> {
        let today = self.digest()?;
        if today != approved {
            return Ok(Err(today));
        }
        Ok(Ok(Sent { approved, executed: self.executed(filled)? }))
    }
}

impl Hole {
    const fn name(self) -> &'static str {
        match self {
            Self::Plan => "(plan)",
            Self::Incident => "(incident)",
            Self::Expected => "(expected)",
            Self::Key => "(key)",
            Self::Staged => "(staged)",
            Self::Time => "(time)",
            Self::Credentials => "(credentials)",
        }
    }

    fn filled(self, with: &Filled) -> Option<String> {
        match self {
            Self::Plan => with.plan.map(|digest| digest.to_string()),
            Self::Incident => Some(with.incident.to_string()),
            Self::Expected => Some(with.expected.clone()),
            Self::Key => Some(with.key.clone()),
            Self::Staged => with.staged.map(|digest| digest.to_string()),
            Self::Time | Self::Credentials => None,
        }
    }
}

/// What a plan's step says of its request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedRequest {
    /// For people: one sentence.
    pub words: String,
    /// See [`Request::digest`].
    pub digest: Digest,
}

/// A request that is sent: as it was approved, and as it is executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// Of the template: see [`Request::digest`].
    pub approved: Digest,
    /// Of the same template with its holes filled: see [`Request::executed`].
    pub executed: Digest,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Request {
        let request = Request::new("restorer_git", "restore `limits.toml` as of `41` by a commit on `main`");
        let request = request.with("branch", "main").with("revision", "41");
        request.hole(Hole::Plan).hole(Hole::Expected).hole(Hole::Credentials)
    }

    fn filled() -> Filled {
        Filled {
            plan: Some(Digest::of("plan")),
            incident: IncidentId::new("fraud-api:1").expect("id"),
            expected: "42".into(),
            key: "key".into(),
            staged: None,
            attempt: 1,
        }
    }

    fn digest(request: &Request) -> Digest {
        request.digest().expect("digest")
    }

    #[test]
    fn the_template_is_the_same_each_time_and_covers_names_values_and_holes() {
        assert_eq!(digest(&request()), digest(&request()));
        let others = [
            request().with("branch", "other"),
            request().with("path", "limits.toml"),
            request().hole(Hole::Key),
            Request::new("restorer_file", request().words()).with("branch", "main").with("revision", "41"),
        ];
        for other in others {
            assert_ne!(digest(&other), digest(&request()), "{other:?}");
        }
        assert_eq!(
            digest(&request()).to_string(),
            "f649f9833a256d3d93ad555b2e5664d2a9d60e49e2fa85a99efc80908354a231",
            "a change here changes what every signed plan has agreed to"
        );
    }

    #[test]
    fn a_text_that_looks_like_a_hole_is_none() {
        let hole = Request::new("a", "w").hole(Hole::Plan);
        let text = Request::new("a", "w").with("(plan)", "{\"hole\":\"plan\"}");
        assert_ne!(digest(&hole), digest(&text));
    }

    #[test]
    fn words_are_for_people_alone() {
        let other = Request { words: "other".into(), ..request() };
        assert_eq!(digest(&other), digest(&request()), "the plan's own digest covers its words");
    }

    #[test]
    fn what_was_approved_is_sent_and_nothing_else() {
        let approved = digest(&request());
        let sent = request().sent(approved, &filled()).expect("encodes").expect("the same");
        assert_eq!(sent.approved, approved);
        assert_ne!(sent.executed, approved);
        let other = request().with("branch", "other");
        assert_eq!(other.sent(approved, &filled()).expect("encodes"), Err(digest(&other)));
    }

    #[test]
    fn the_executed_digest_covers_what_fills_a_hole_and_no_other_value() {
        let executed = |filled: &Filled| request().executed(filled).expect("digest");
        let usual = executed(&filled());
        assert_eq!(executed(&filled()), usual);
        for other in [
            Filled { plan: Some(Digest::of("another plan")), ..filled() },
            Filled { expected: "43".into(), ..filled() },
            Filled { attempt: 2, ..filled() },
        ] {
            assert_ne!(executed(&other), usual, "{other:?}");
        }
        assert_eq!(executed(&Filled { key: "other".into(), ..filled() }), usual, "no hole takes it");
    }

    #[test]
    fn the_size_is_bounded() {
        let long = "x".repeat(1 << 20);
        let request = Request::new("adapter", &long).with("body", long.clone());
        let json = canonical::json(&request.values).expect("json");
        assert!(json.len() < 2 * VALUE_BYTES_MAX, "{}", json.len());
        assert!(request.words().len() < 2 * WORDS_CHARS_MAX);
        let other = Request::new("adapter", "").with("body", long + "y");
        assert_ne!(digest(&other), digest(&request), "it is told apart by its digest");
    }
}
