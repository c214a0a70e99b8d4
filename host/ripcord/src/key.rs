//! Keys for signing approvals and policies: Ed25519, the private one in a file that only its owner reads.

use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};
use std::path::Path;

use ed25519_dalek::{Signer as _, SigningKey};
use ripcord_adapters::private::Private;

use crate::config::decode_hex;
use crate::output::{Exit, Failure};
use crate::signers::is_by;

/// What the file begins with, so that no other secret is taken for a key.
const HEADER: &str = "ripcord-signing-key-1 ";
/// A longer file is no key.
const FILE_BYTES_MAX: u64 = 4 << 10;

/// A private key.
pub struct Key(SigningKey);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key({})", self.public())
    }
}

impl Key {
    /// Draws a key and writes it to a new file.
    ///
    /// # Errors
    /// The file exists or cannot be written.
    pub fn create(path: &Path) -> Result<Self, Failure> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)
            .map_err(|error| Failure::failed(format!("the system gives no random bytes: {error}")))?;
        let key = Self(SigningKey::from_bytes(&seed));
        let unable = |cause: std::io::Error| {
            let help = match cause.kind() {
                std::io::ErrorKind::AlreadyExists => "give the name of a file that does not exist yet",
                _ => "check the folder's permissions and the free space",
            };
            Failure::failed(format!("cannot write `{}`", path.display())).because(cause).help(help)
        };
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path).map_err(unable)?;
        writeln!(file, "{HEADER}{}", hex(&seed)).and_then(|()| file.sync_all()).map_err(unable)?;
        Ok(key)
    }

    /// Reads a key file, and refuses one that others may read.
    ///
    /// # Errors
    /// There is none, it is no key, or others may read it.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let shown = path.display();
        let unable =
            |cause: std::io::Error| Failure::usage(format!("cannot read the key `{shown}`")).because(cause);
        let file = std::fs::File::open(path).map_err(unable)?;
        // Of the open file: the name may lead elsewhere by now.
        Private::Secret
            .check(&file.metadata().map_err(unable)?, path)
            .map_err(|open| Failure::of(Exit::Usage, open))?;
        let mut text = String::new();
        file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(unable)?;
        let seed = text.trim().strip_prefix(HEADER).and_then(decode_hex::<32>).ok_or_else(|| {
            Failure::usage(format!("`{shown}` is not a signing key")).help("`ripcord key new FILE` makes one")
        })?;
        Ok(Self(SigningKey::from_bytes(&seed)))
    }

    /// The public key in hexadecimal, as the configuration has it.
    pub fn public(&self) -> String {
        hex(self.0.verifying_key().as_bytes())
    }

    /// The public key.
    pub fn public_bytes(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    /// Whether the text of a file is that of such a key, and not of OpenSSH's.
    pub(crate) fn is_one(text: &str) -> bool {
        text.starts_with(HEADER)
    }

    /// The signature over `bytes`, which begin with a domain tag, in hexadecimal.
    pub fn sign_bytes(&self, bytes: &[u8]) -> String {
        hex(&self.0.sign(bytes).to_bytes())
    }
}

/// Whether `signature`, in hexadecimal, is that of the public key over `bytes`.
pub(crate) fn is_signature(public: &[u8; 32], bytes: &[u8], signature: &str) -> bool {
    decode_hex::<64>(signature).is_some_and(|signature| is_by(public, bytes, &signature))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_back_and_its_signature_verifies() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("ada.key");
        let made = Key::create(&path).expect("new");
        let read = Key::read(&path).expect("reads");
        assert_eq!(made.public(), read.public());
        let signature = read.sign_bytes(b"ripcord vote 1");
        assert!(is_signature(&made.public_bytes(), b"ripcord vote 1", &signature));
        assert!(!is_signature(&made.public_bytes(), b"ripcord vote 2", &signature));
    }

    #[test]
    fn a_key_is_never_replaced_and_never_shared() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("ada.key");
        Key::create(&path).expect("new");
        assert!(Key::create(&path).is_err(), "it would lose a key");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::metadata(&path).expect("file").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).expect("chmod");
            let refused = Key::read(&path).expect_err("others may read it");
            assert!(
                refused.to_string().contains("others may read") && refused.to_string().contains("chmod 600"),
                "{refused}"
            );
        }
        let other = folder.path().join("other");
        std::fs::write(&other, "hello").expect("writes");
        assert!(Key::read(&other).is_err());
    }
}
