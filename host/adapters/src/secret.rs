//! Passwords, tokens and keys.

use std::fmt;
use std::path::Path;

use ripcord_ports::{ErrorKind, PortError};

use crate::folder;

/// The longest secret that is read from a file, in bytes.
const SECRET_BYTES_MAX: u64 = 64 << 10;

/// A secret. Neither `Debug` nor `Display` shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret that the caller has read elsewhere.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The content of a file, without line breaks at its end. Refused if others may read it.
    pub fn from_file(path: &Path) -> Result<Self, PortError> {
        let bytes = folder::read_secret(path, SECRET_BYTES_MAX)?;
        let text = String::from_utf8(bytes).map_err(|_| {
            PortError::not_applied(
                ErrorKind::Configuration,
                format!("the secret in `{}` is not UTF-8 text", path.display()),
            )
        })?;
        Self::checked(text.trim_end_matches(['\r', '\n']), &format!("the file `{}`", path.display()))
    }

    /// The value of an environment variable.
    pub fn from_env(name: &str) -> Result<Self, PortError> {
        let text = std::env::var(name).map_err(|_| {
            PortError::not_applied(
                ErrorKind::Configuration,
                format!(
                    "the environment variable `{name}` is not set, or is not UTF-8 text: set it to the secret"
                ),
            )
        })?;
        Self::checked(&text, &format!("the environment variable `{name}`"))
    }

    fn checked(text: &str, place: &str) -> Result<Self, PortError> {
        if text.is_empty() {
            return Err(PortError::not_applied(
                ErrorKind::Configuration,
                format!("{place} is empty: write the secret into it"),
            ));
        }
        Ok(Self(text.to_owned()))
    }

    /// The secret itself, to be sent or compared and never to be printed.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::os::unix::fs::PermissionsExt as _;

    fn write(path: &Path, content: &[u8], mode: u32) {
        std::fs::write(path, content).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn what_others_may_read_is_no_secret() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        for mode in [0o644, 0o640, 0o604, 0o666] {
            write(&path, b"hunter2", mode);
            let message = Secret::from_file(&path).unwrap_err().to_string();
            assert!(message.contains("run `chmod 600 ") && !message.contains("hunter2"), "{message}");
        }
        // What counts is the file, not the name that leads to it.
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(Secret::from_file(&link).is_err());
        write(&path, b"hunter2", 0o400);
        assert!(Secret::from_file(&link).is_ok());
    }

    #[test]
    fn a_secret_is_read_and_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        write(&path, b"hunter2\r\n", 0o600);
        let secret = Secret::from_file(&path).unwrap();
        assert_eq!(secret.expose(), "hunter2");
        assert!(!format!("{secret:?} {secret}").contains("hunter2"));
    }

    #[test]
    fn what_is_no_secret_is_refused_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let check = |name: &str, content: Option<&[u8]>, expected: &str| {
            let path = folder.path().join(name);
            if let Some(content) = content {
                write(&path, content, 0o600);
            }
            let message = Secret::from_file(&path).unwrap_err().to_string();
            assert!(message.contains(expected) && message.contains(name), "{message}");
        };
        check("absent", None, "cannot read");
        check("empty", Some(b"\n"), "is empty");
        check("binary", Some(&[0xff, 0xfe]), "not UTF-8");
        check("huge", Some(&[b'x'; 65 << 10]), "more than 65536 bytes");
        let message = Secret::from_env("RIPCORD_TEST_NO_SUCH_VARIABLE").unwrap_err().to_string();
        assert!(message.contains("RIPCORD_TEST_NO_SUCH_VARIABLE"), "{message}");
    }
}
