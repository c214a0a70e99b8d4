//! Whose signature counts: Ed25519 keys that Ripcord made, and SSH keys that a team has already.

pub mod allowed;
pub mod ssh;

use ed25519_dalek::{Signature, VerifyingKey};
use ripcord_core::digest::Digest;
use ripcord_core::plan::VoteStatement;
use ripcord_core::terms::KnownKey;
use ripcord_core::time::UnixMillis;

use crate::config::decode_hex;
use crate::key::hex;
use ssh::{NotSigned, SshKey, Touch};

/// A public key of a person, of which they may have several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublicKey {
    /// Made by `ripcord key new`: the 32 bytes of an Ed25519 key.
    Ed25519([u8; 32]),
    /// Of the file of allowed signers.
    Ssh(SshKey),
}

/// A key, and when it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// The key.
    pub key: PublicKey,
    /// As the file says; none always did.
    pub valid_after: Option<UnixMillis>,
    /// As the file says; none does for good.
    pub valid_before: Option<UnixMillis>,
}

impl PublicKey {
    /// By which the record knows it.
    pub fn digest(&self) -> Digest {
        match self {
            Self::Ed25519(bytes) => Digest::of(bytes),
            Self::Ssh(key) => key.digest(),
        }
    }

    /// Whether whoever can sign with the one can with the other: a key may be written in two forms.
    pub fn is_same(&self, other: &Self) -> bool {
        let point = |key: &Self| match key {
            Self::Ed25519(bytes) => Some(*bytes),
            Self::Ssh(key) => key.ed25519(),
        };
        self == other || point(self).is_some_and(|own| point(other) == Some(own))
    }

    /// As people compare it: 64 hexadecimal digits, or OpenSSH's fingerprint.
    pub fn shown(&self) -> String {
        match self {
            Self::Ed25519(bytes) => hex(bytes),
            Self::Ssh(key) => key.fingerprint(),
        }
    }
}

impl Signer {
    /// One that always counts.
    pub fn always(key: PublicKey) -> Self {
        Self { key, valid_after: None, valid_before: None }
    }

    /// As the record has it.
    pub fn known(&self) -> KnownKey {
        let Self { key, valid_after, valid_before } = self;
        KnownKey { key: key.digest(), valid_after: *valid_after, valid_before: *valid_before }
    }
}

/// A vote whose signature is that of one of the person's keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// Of the key.
    pub key: Digest,
    /// What was signed, and the signature with its key, as they are kept.
    pub text: String,
}

/// Checks the signature over a vote: 128 hexadecimal digits by an Ed25519 key, or an SSH signature as `ssh-keygen -Y sign` makes it.
///
/// # Errors
/// It is not that of one of these keys over this vote.
pub fn check(
    statement: &VoteStatement,
    signature: &str,
    signers: &[Signer],
    touch: Touch,
) -> Result<Checked, NotSigned> {
    let text = statement.signed_text().map_err(|_| NotSigned::Unreadable)?;
    if ssh::is_armored(signature) {
        let own = signers.iter().filter_map(|signer| match &signer.key {
            PublicKey::Ssh(key) => Some(key),
            PublicKey::Ed25519(_) => None,
        });
        let key = ssh::check(signature, ssh::VOTE_NAMESPACE, text.as_bytes(), own, touch)?;
        return Ok(Checked { key: key.digest(), text: format!("{text}{}\n", signature.trim()) });
    }
    let bytes = decode_hex::<64>(signature.trim()).ok_or(NotSigned::Unreadable)?;
    let own = signers.iter().filter_map(|signer| match &signer.key {
        PublicKey::Ed25519(bytes) => Some(bytes),
        PublicKey::Ssh(_) => None,
    });
    let signed = |own: &&[u8; 32]| is_by(own, text.as_bytes(), &bytes);
    let key = own.into_iter().find(signed).ok_or(NotSigned::Wrong)?;
    Ok(Checked { key: Digest::of(key), text: format!("{text}{}:{}\n", hex(key), hex(&bytes)) })
}

/// Whether the signature is that of an Ed25519 key over `bytes`.
pub(crate) fn is_by(public: &[u8; 32], bytes: &[u8], signature: &[u8; 64]) -> bool {
    let key = VerifyingKey::from_bytes(public).ok().filter(|key| !key.is_weak());
    key.is_some_and(|key| key.verify_strict(bytes, &Signature::from_bytes(signature)).is_ok())
}
