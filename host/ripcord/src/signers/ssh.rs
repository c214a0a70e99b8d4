//! Signatures by SSH keys, as OpenSSH's `PROTOCOL.sshsig` describes them.
//!
//! The crate `ssh-key` reads keys and signatures and checks those of ECDSA; those of Ed25519 are checked by the library that checks all others here.
//! Whether a security key was touched is in the signature, and nobody but its reader looks.

use std::fmt;

use ripcord_core::digest::Digest;
use ssh_key::public::KeyData;
use ssh_key::{Algorithm, EcdsaCurve, HashAlg, SshSig};

use super::is_by;

/// What is signed for a vote is worth nothing as anything else.
pub const VOTE_NAMESPACE: &str = "ripcord-vote";

/// What an armored signature begins with.
const ARMOR: &str = "-----BEGIN SSH SIGNATURE-----";
/// A longer text is no signature of a key that is taken here.
const SIGNATURE_BYTES_MAX: usize = 8 << 10;
/// After the signature of a security key: a byte of flags, and a counter.
const TRAILER_BYTES: usize = 5;
/// The flag of a touch.
const TOUCHED: u8 = 1;

/// Whether a security key must have been touched for a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Touch {
    /// It must.
    #[default]
    Required,
    /// It need not: one that is plugged in is enough.
    NotRequired,
}

/// A public key of a kind that is taken: Ed25519, ECDSA over nistp256, or either on a security key.
#[derive(Clone, PartialEq, Eq)]
pub struct SshKey(KeyData);

/// Why a key is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// It is no key.
    #[error("it is no public key of OpenSSH")]
    Unreadable,
    /// It is of another kind.
    #[error(
        "a key of the kind `{0}` is not taken: make one with `ssh-keygen -t ed25519`, `-t ecdsa -b 256`, or on a security key with `-t ed25519-sk`"
    )]
    Kind(String),
    /// Anybody could sign with it.
    #[error("it is a weak key, with which anybody could sign")]
    Weak,
}

/// Why a signature does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotSigned {
    /// It cannot be read.
    #[error(
        "the signature cannot be read: send what `ssh-keygen -Y sign` writes, or 128 hexadecimal digits of an Ed25519 key"
    )]
    Unreadable,
    /// It was made for something else.
    #[error(
        "the signature is of the namespace `{0}`, and a vote is signed with `ssh-keygen -Y sign -n {VOTE_NAMESPACE}`"
    )]
    Namespace(String),
    /// The key is none of the person's.
    #[error("the signature was made with another key than the configured ones")]
    OtherKey,
    /// Nobody touched the security key.
    #[error(
        "the security key was not touched for this signature: sign again with a key made without `no-touch-required`"
    )]
    NotTouched,
    /// It is not over this.
    #[error("the signature is not that of a configured person over this vote")]
    Wrong,
}

impl SshKey {
    /// Reads `TYPE BASE64 [COMMENT]`, as a public key file has it.
    ///
    /// # Errors
    /// It is no key, or of a kind that is not taken.
    pub fn parse(line: &str) -> Result<Self, NotTaken> {
        let key = ssh_key::PublicKey::from_openssh(line.trim()).map_err(|_| NotTaken::Unreadable)?;
        Self::of(key.key_data().clone())
    }

    /// The public key of an OpenSSH key file: of a public one, or of a private one, which need not be decrypted for that.
    ///
    /// # Errors
    /// It is neither, or of a kind that is not taken.
    pub fn of_file(text: &str) -> Result<Self, NotTaken> {
        match ssh_key::PrivateKey::from_openssh(text) {
            Ok(private) => Self::of(private.public_key().key_data().clone()),
            Err(_) => Self::parse(text),
        }
    }

    fn of(key: KeyData) -> Result<Self, NotTaken> {
        let point = match &key {
            KeyData::Ed25519(point) => Some(&point.0),
            KeyData::SkEd25519(key) => Some(&key.public_key().0),
            KeyData::SkEcdsaSha2NistP256(_) => None,
            KeyData::Ecdsa(key) if key.curve() == EcdsaCurve::NistP256 => None,
            other => return Err(NotTaken::Kind(other.algorithm().as_str().to_owned())),
        };
        let is_weak = |point: &[u8; 32]| {
            ed25519_dalek::VerifyingKey::from_bytes(point).map_or(true, |key| key.is_weak())
        };
        if point.is_some_and(is_weak) { Err(NotTaken::Weak) } else { Ok(Self(key)) }
    }

    /// The bytes of an Ed25519 key that is on no security key.
    pub fn ed25519(&self) -> Option<[u8; 32]> {
        self.0.ed25519().map(|key| key.0)
    }

    /// Of its form on the wire.
    pub fn digest(&self) -> Digest {
        Digest::of(ssh_key::PublicKey::from(self.0.clone()).to_bytes().unwrap_or_default())
    }

    /// As `ssh-keygen -l` prints it.
    pub fn fingerprint(&self) -> String {
        self.0.fingerprint(HashAlg::Sha256).to_string()
    }

    fn check(
        &self,
        signature: &SshSig,
        namespace: &str,
        message: &[u8],
        touch: Touch,
    ) -> Result<(), NotSigned> {
        let own = signature.signature();
        let signed = SshSig::signed_data(namespace, signature.hash_alg(), message);
        let signed = signed.map_err(|_| NotSigned::Unreadable)?;
        let right = match (&self.0, own.algorithm()) {
            (KeyData::Ed25519(point), Algorithm::Ed25519) => {
                <&[u8; 64]>::try_from(own.as_bytes()).is_ok_and(|bytes| is_by(&point.0, &signed, bytes))
            }
            (KeyData::SkEd25519(key), Algorithm::SkEd25519) => {
                let Some((bytes, trailer)) = own.as_bytes().split_last_chunk::<TRAILER_BYTES>() else {
                    return Err(NotSigned::Wrong);
                };
                // As the key itself saw it: the application, what it says of itself, and a hash of what was signed.
                let message = [
                    Digest::of(key.application()).as_bytes().as_slice(),
                    trailer.as_slice(),
                    Digest::of(&signed).as_bytes().as_slice(),
                ]
                .concat();
                <&[u8; 64]>::try_from(bytes).is_ok_and(|bytes| is_by(&key.public_key().0, &message, bytes))
            }
            (KeyData::Ecdsa(_), Algorithm::Ecdsa { .. })
            | (KeyData::SkEcdsaSha2NistP256(_), Algorithm::SkEcdsaSha2NistP256) => {
                let key = ssh_key::PublicKey::from(self.0.clone());
                key.verify(namespace, message, signature).is_ok()
            }
            _ => false,
        };
        if !right {
            return Err(NotSigned::Wrong);
        }
        let on_security_key = matches!(self.0, KeyData::SkEd25519(_) | KeyData::SkEcdsaSha2NistP256(_));
        let flags = own.as_bytes().split_last_chunk::<TRAILER_BYTES>().map_or(0, |(_, trailer)| trailer[0]);
        if on_security_key && touch == Touch::Required && flags & TOUCHED == 0 {
            return Err(NotSigned::NotTouched);
        }
        Ok(())
    }
}

impl fmt::Debug for SshKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SshKey({})", self.fingerprint())
    }
}

/// Whether the text is an SSH signature, whatever it is worth.
pub(crate) fn is_armored(text: &str) -> bool {
    text.trim_start().starts_with(ARMOR)
}

/// The one of `keys` that has signed `message` for `namespace`.
///
/// # Errors
/// None has, or it must be touched and was not.
pub fn check<'a>(
    armored: &str,
    namespace: &str,
    message: &[u8],
    keys: impl IntoIterator<Item = &'a SshKey>,
    touch: Touch,
) -> Result<&'a SshKey, NotSigned> {
    if armored.len() > SIGNATURE_BYTES_MAX {
        return Err(NotSigned::Unreadable);
    }
    let signature = SshSig::from_pem(armored.trim()).map_err(|_| NotSigned::Unreadable)?;
    if signature.namespace() != namespace {
        let other: String = signature.namespace().chars().filter(|c| !c.is_control()).take(100).collect();
        return Err(NotSigned::Namespace(other));
    }
    let key = keys.into_iter().find(|key| key.0 == *signature.public_key()).ok_or(NotSigned::OtherKey)?;
    key.check(&signature, namespace, message, touch)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer as _, SigningKey};
    use ssh_key::Signature;
    use ssh_key::public::{Ed25519PublicKey, SkEd25519};

    use super::*;

    /// Keys and signatures of the tests of OpenSSH itself (`regress/unittests/sshsig`), those of security keys made by such.
    const OF_OPENSSH: [(&str, &str, &str); 4] = [
        (
            "ed25519",
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIlizSIN3DQV78VPNjVvvwjgf+P5HqbPYCYu3BOMdjAE ED25519 test key",
            "-----BEGIN SSH SIGNATURE-----
U1NIU0lHAAAAAQAAADMAAAALc3NoLWVkMjU1MTkAAAAgiWLNIg3cNBXvxU82NW+/COB/4/
keps9gJi7cE4x2MAQAAAAIdW5pdHRlc3QAAAAAAAAABnNoYTUxMgAAAFMAAAALc3NoLWVk
MjU1MTkAAABAihQsbUzuNEFflk5Tw1+H9aLS7tZQk0RG8KW1DtOmDYYnWe3D3UKiG3fcJa
DNg4vBWp1j1gLRiBMOF+gwYNegDg==
-----END SSH SIGNATURE-----",
        ),
        (
            "ed25519_sk",
            "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIJsaDYXQYruc6bilCYDIK4YSOeG+zmrRO2M9t03//7LHAAAABHNzaDo= ED25519-SK test key",
            "-----BEGIN SSH SIGNATURE-----
U1NIU0lHAAAAAQAAAEoAAAAac2stc3NoLWVkMjU1MTlAb3BlbnNzaC5jb20AAAAgmxoNhd
Biu5zpuKUJgMgrhhI54b7OatE7Yz23Tf//sscAAAAEc3NoOgAAAAh1bml0dGVzdAAAAAAA
AAAGc2hhNTEyAAAAZwAAABpzay1zc2gtZWQyNTUxOUBvcGVuc3NoLmNvbQAAAEAi+7eTjW
/+LQ2M+sCD+KFtH1n7VFFJon/SZFsxODyV8cWTlFKj617Ys1Ur5TV6uaEXQhck8rBA2oQI
HTPANLIPARI0Vng=
-----END SSH SIGNATURE-----",
        ),
        (
            "ecdsa",
            "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBN7LnfPBVdDfBT7KWUley1qo+rjzy0WYkrHpzbhGALXlj8g4K2bFmy81wblCbnHqWgjblv0FoBwUW641o9xEZtw= ECDSA test",
            "-----BEGIN SSH SIGNATURE-----
U1NIU0lHAAAAAQAAAGgAAAATZWNkc2Etc2hhMi1uaXN0cDI1NgAAAAhuaXN0cDI1NgAAAE
EE3sud88FV0N8FPspZSV7LWqj6uPPLRZiSsenNuEYAteWPyDgrZsWbLzXBuUJucepaCNuW
/QWgHBRbrjWj3ERm3AAAAAh1bml0dGVzdAAAAAAAAAAGc2hhNTEyAAAAZQAAABNlY2RzYS
1zaGEyLW5pc3RwMjU2AAAASgAAACEAycVNsTlE+XEZYyYiDxWZlliruf/pPMhEEMR/XLdQ
a4MAAAAhALQt+5gES7L3uKGptHB6UZQMuZ2WyI0C6FJs4v6AtMIU
-----END SSH SIGNATURE-----",
        ),
        (
            "ecdsa_sk",
            "sk-ecdsa-sha2-nistp256@openssh.com AAAAInNrLWVjZHNhLXNoYTItbmlzdHAyNTZAb3BlbnNzaC5jb20AAAAIbmlzdHAyNTYAAABBBKDVa5jRcT5V7E6ysmwVi7HJWh7p5D+hebLPakQcpnD2ajJZ6G/4WzuhlYWnclWY63JspDp299Rlhq5AT86/g8AAAAAEc3NoOg== ECDSA-SK test key",
            "-----BEGIN SSH SIGNATURE-----
U1NIU0lHAAAAAQAAAH8AAAAic2stZWNkc2Etc2hhMi1uaXN0cDI1NkBvcGVuc3NoLmNvbQ
AAAAhuaXN0cDI1NgAAAEEEoNVrmNFxPlXsTrKybBWLsclaHunkP6F5ss9qRBymcPZqMlno
b/hbO6GVhadyVZjrcmykOnb31GWGrkBPzr+DwAAAAARzc2g6AAAACHVuaXR0ZXN0AAAAAA
AAAAZzaGE1MTIAAAB3AAAAInNrLWVjZHNhLXNoYTItbmlzdHAyNTZAb3BlbnNzaC5jb20A
AABIAAAAIHohGwyy8iKT3zwd1TYA9V/Ioo7h/3zCJUtyq/Qigt/HAAAAIGzidTwq7D/kFa
7Xjcp/KkdbIs4MfQpfAW/0OciajlpzARI0Vng=
-----END SSH SIGNATURE-----",
        ),
    ];
    const RSA_OF_OPENSSH: &str = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQDfzqWaNEe0mnKPzsGtL6ywya29z/VI83SBdM+z2NnWFgCr3w9xrf9FhUzgdpK7oI7O1AnZmdkPdN79d4GchTaZ+69ASX4OLCKwZ42CVXJEKLvvzt88UV9zHNl8NrsQHapjxLehpIZkrxCrO4bCYYAiaOVBfPon4cJ394P/nwagJJKKsgQIVYIC3642s4L8SaADOxt9x9ohttXMDjS2WBTeE7YnjaR13PwKKwNO0MpAAEVw5pBnJxJ+fscM/5aBctdcFQj3BUzVOJ/V/70xfTzEiy8K8bOjvIuBttMUtIavlKQD606ti6gDtXx+B7SJ3/emdW0bVSLcju96N4DB/Qdmq0V4ESc7CQgkWZl4y0V45V/7iSLiHWsOoC9Kxw28y0uno5elsABMBMC4RYSQhAGXWueCcR7SIL2JT2K0oxbqongW0hvgAIfUShTXHy+qsV5yDaG+p+TkJkEkhtXbwkW4aNpzc7EFnXsWpvyWOiZSKvUasRPbPro0yBvlOMMPsFU= RSA test";
    const NAMESPACE: &str = "unittest";
    const MESSAGE: &[u8] = b"This is a test, this is only a test";

    #[test]
    fn what_openssh_signed_counts_for_its_key_namespace_and_message_alone() {
        let keys: Vec<SshKey> =
            OF_OPENSSH.iter().map(|(_, key, _)| SshKey::parse(key).expect("a key")).collect();
        for (index, (kind, _, signature)) in OF_OPENSSH.iter().enumerate() {
            let check = |namespace, message, keys: &[SshKey]| {
                super::check(signature, namespace, message, keys, Touch::Required).map(|key| key.digest())
            };
            assert_eq!(check(NAMESPACE, MESSAGE, &keys), Ok(keys[index].digest()), "{kind}");
            assert_eq!(check(NAMESPACE, b"another", &keys), Err(NotSigned::Wrong), "{kind}");
            let others: Vec<_> = keys.iter().filter(|key| **key != keys[index]).cloned().collect();
            assert_eq!(check(NAMESPACE, MESSAGE, &others), Err(NotSigned::OtherKey), "{kind}");
            let other = Err(NotSigned::Namespace(NAMESPACE.to_owned()));
            assert_eq!(check(VOTE_NAMESPACE, MESSAGE, &keys), other, "{kind}");
            for cut in [0, 30, signature.len() / 2, signature.len() - 40] {
                let cut = super::check(&signature[..cut], NAMESPACE, MESSAGE, &keys, Touch::Required);
                assert_eq!(cut.map(SshKey::digest), Err(NotSigned::Unreadable), "{kind}");
            }
        }
    }

    #[test]
    fn keys_of_other_kinds_are_told_with_what_to_make() {
        let why = SshKey::parse(RSA_OF_OPENSSH).expect_err("not taken");
        assert!(
            why.to_string().contains("`ssh-rsa` is not taken: make one with `ssh-keygen -t ed25519`"),
            "{why}"
        );
        assert_eq!(SshKey::parse("hello"), Err(NotTaken::Unreadable));
        assert_eq!(SshKey::parse(""), Err(NotTaken::Unreadable));
    }

    /// What a security key makes whose owner did or did not touch it: of a real one only the touched is to be had.
    fn of_security_key(flags: u8) -> (SshKey, String) {
        let own = SigningKey::from_bytes(&[3; 32]);
        let point = Ed25519PublicKey(own.verifying_key().to_bytes());
        let key = KeyData::SkEd25519(SkEd25519::new(point, "ssh:"));
        let signed = SshSig::signed_data(VOTE_NAMESPACE, HashAlg::Sha512, MESSAGE).expect("data");
        let trailer = [flags, 0, 0, 0, 9];
        let message = [
            Digest::of("ssh:").as_bytes().as_slice(),
            trailer.as_slice(),
            Digest::of(&signed).as_bytes().as_slice(),
        ]
        .concat();
        let bytes = [own.sign(&message).to_bytes().as_slice(), trailer.as_slice()].concat();
        let signature = Signature::new(Algorithm::SkEd25519, bytes).expect("a signature");
        let whole = SshSig::new(key.clone(), VOTE_NAMESPACE, HashAlg::Sha512, signature).expect("whole");
        (SshKey(key), whole.to_pem(ssh_key::LineEnding::LF).expect("armored"))
    }

    #[test]
    fn a_security_key_must_have_been_touched_unless_configured() {
        for (flags, touch, wanted) in [
            (TOUCHED, Touch::Required, Ok(())),
            (TOUCHED | 4, Touch::Required, Ok(())),
            (0, Touch::Required, Err(NotSigned::NotTouched)),
            (4, Touch::Required, Err(NotSigned::NotTouched)),
            (0, Touch::NotRequired, Ok(())),
        ] {
            let (key, armored) = of_security_key(flags);
            let said = check(&armored, VOTE_NAMESPACE, MESSAGE, [&key], touch).map(|_| ());
            assert_eq!(said, wanted, "{flags} {touch:?}");
        }
    }

    #[test]
    fn the_flags_of_a_security_key_are_signed_too() {
        let (key, armored) = of_security_key(0);
        let signature = SshSig::from_pem(&armored).expect("whole");
        let mut bytes = signature.signature_bytes().to_vec();
        let at = bytes.len() - TRAILER_BYTES;
        bytes[at] = TOUCHED;
        let forged = Signature::new(Algorithm::SkEd25519, bytes).expect("a signature");
        let forged = SshSig::new(key.0.clone(), VOTE_NAMESPACE, HashAlg::Sha512, forged).expect("whole");
        let forged = forged.to_pem(ssh_key::LineEnding::LF).expect("armored");
        let said = check(&forged, VOTE_NAMESPACE, MESSAGE, [&key], Touch::Required).map(|_| ());
        assert_eq!(said, Err(NotSigned::Wrong));
    }
}
