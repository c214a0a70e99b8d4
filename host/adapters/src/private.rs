//! Files and folders that others on this machine must not use: secrets, keys, the data folder and what is in it.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// A file or folder that others may use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("others may {may} `{path}` (mode {mode:o}): run `chmod {wanted:o} {path}`{also}")]
pub struct OpenToOthers {
    may: &'static str,
    path: String,
    mode: u32,
    wanted: u32,
    also: &'static str,
}

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Private {
    /// The file of a token, password or key.
    Secret,
    /// A file that says where secrets are and who is given them: others may read it.
    Directions,
    /// A folder that the host made for itself.
    Folder,
    /// A file in such a folder.
    File,
}

impl Private {
    /// Refuses what others may use, by the open file's or folder's own metadata.
    ///
    /// A secret that belongs to somebody else, as one that an orchestrator mounts for a group, may be read by that group.
    ///
    /// # Errors
    /// Others may use it; the text says what to run.
    pub fn check(self, metadata: &Metadata, path: &Path) -> Result<(), OpenToOthers> {
        let owner =
            if metadata.uid() == rustix::process::geteuid().as_raw() { Owner::Me } else { Owner::Another };
        self.judge(metadata.mode(), owner, path)
    }

    fn judge(self, mode: u32, owner: Owner, path: &Path) -> Result<(), OpenToOthers> {
        let mode = mode & 0o7777;
        let (wanted, also) = match (self, owner) {
            (Self::Secret, Owner::Me) => (0o600, "; draw a new secret if others may have read it"),
            (Self::Secret, Owner::Another) => {
                (0o640, ", or have it mounted so; draw a new secret if others may have read it")
            }
            (Self::Directions, _) => (0o644, "; look first what they may have written"),
            (Self::Folder, _) => (0o700, ", or name a folder that the host can make"),
            (Self::File, _) => (0o600, ""),
        };
        let open = mode & 0o077 & !wanted;
        if open == 0 {
            return Ok(());
        }
        let may = match (open & 0o022 != 0, open & 0o044 != 0) {
            (true, true) => "read and write",
            (true, false) => "write",
            (false, true) => "read",
            (false, false) => "enter",
        };
        // An owner's own bits stay as they are.
        let wanted = mode & 0o700 | wanted & 0o077;
        Err(OpenToOthers { may, path: path.display().to_string(), mode, wanted, also })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Me,
    Another,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_mode_and_owner() {
        let check = |what: Private, owner, taken: &[u32], refused: &[u32]| {
            for mode in taken {
                assert_eq!(what.judge(*mode, owner, Path::new("x")), Ok(()), "{what:?} {owner:?} {mode:o}");
            }
            for mode in refused {
                assert!(what.judge(*mode, owner, Path::new("x")).is_err(), "{what:?} {owner:?} {mode:o}");
            }
        };
        check(Private::Secret, Owner::Me, &[0o600, 0o400], &[0o644, 0o640, 0o620, 0o604, 0o601, 0o777]);
        check(Private::Secret, Owner::Another, &[0o600, 0o440, 0o640], &[0o644, 0o444, 0o660, 0o404, 0o642]);
        check(Private::Directions, Owner::Me, &[0o600, 0o644, 0o440], &[0o664, 0o646, 0o666, 0o620]);
        check(Private::Directions, Owner::Another, &[0o644, 0o444], &[0o664, 0o666]);
        check(Private::Folder, Owner::Me, &[0o700, 0o500], &[0o755, 0o750, 0o711, 0o777, 0o1777]);
        check(Private::File, Owner::Me, &[0o600, 0o400], &[0o644, 0o660, 0o666]);
    }

    #[test]
    fn the_sentence_says_what_to_run() {
        let error =
            |what: Private, mode| what.judge(mode, Owner::Me, Path::new("a/b")).unwrap_err().to_string();
        assert_eq!(
            error(Private::Folder, 0o755),
            "others may read `a/b` (mode 755): run `chmod 700 a/b`, or name a folder that the host can make"
        );
        assert_eq!(
            error(Private::File, 0o666),
            "others may read and write `a/b` (mode 666): run `chmod 600 a/b`"
        );
        assert_eq!(
            error(Private::Secret, 0o440),
            "others may read `a/b` (mode 440): run `chmod 400 a/b`; draw a new secret if others may have read it"
        );
    }
}
