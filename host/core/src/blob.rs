//! Free content is kept beside the journal, which holds only a salted commitment to it.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// Random bytes, drawn for one blob, stored beside it and erased with it: without them the commitment tells nothing of the content.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Salt(pub [u8; 32]);

impl std::fmt::Debug for Salt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Salt(..)")
    }
}

/// What a blob is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BlobKind {
    /// A group of signals with labels and annotations (JSON list of [`crate::signal::Signal`]).
    Signals,
    /// A recorded decision (CBOR).
    Decision,
    /// A policy's memo (raw bytes).
    Memo,
    /// A plan (RFC 8785 JSON of [`crate::plan::Plan`]).
    Plan,
    /// A text that a person or a policy wrote (UTF-8).
    Text,
    /// The state that was live (JSON of [`crate::live::LiveState`]).
    Live,
    /// The result of a trial (JSON of [`crate::fact::Trial`]).
    Trial,
    /// A piece of preserved evidence.
    Evidence,
    /// The effective configuration (JSON).
    Configuration,
}

impl BlobKind {
    /// The name that is stored and committed to.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Signals => "signals",
            Self::Decision => "decision",
            Self::Memo => "memo",
            Self::Plan => "plan",
            Self::Text => "text",
            Self::Live => "live",
            Self::Trial => "trial",
            Self::Evidence => "evidence",
            Self::Configuration => "configuration",
        }
    }
}

/// A reference from an event to a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlobRef {
    /// See [`commit`].
    pub commitment: Digest,
    /// What the content is.
    pub kind: BlobKind,
    /// The content's size in bytes.
    pub bytes: u32,
}

/// The commitment to `content`: sha-256 over a domain tag, the salt, the kind's name and the content.
pub fn commit(kind: BlobKind, salt: &Salt, content: &[u8]) -> BlobRef {
    BlobRef {
        commitment: Digest::tagged("ripcord blob 1", &[&salt.0, kind.as_str().as_bytes(), content]),
        kind,
        bytes: u32::try_from(content.len()).unwrap_or(u32::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_salt_hides_equal_content() {
        let one = commit(BlobKind::Text, &Salt([1; 32]), b"same");
        let two = commit(BlobKind::Text, &Salt([2; 32]), b"same");
        assert_ne!(one.commitment, two.commitment);
        assert_eq!(one, commit(BlobKind::Text, &Salt([1; 32]), b"same"));
        assert_ne!(one.commitment, commit(BlobKind::Memo, &Salt([1; 32]), b"same").commitment);
    }
}
