//! Compiled code on disk. Only the host may write there, and even so every entry is checked: one that fails is recompiled.

use std::io::{Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use cap_std::ambient_authority;
use cap_std::fs::{Dir, MetadataExt, OpenOptions, OpenOptionsExt, Permissions, PermissionsExt};
use ripcord_core::digest::Digest;

/// More compiled code is taken from nowhere, not from here either.
pub(crate) const CODE_BYTES_MAX: u64 = 64 << 20;
pub(crate) const CHECK_BYTES: usize = 32;
const ENTRY_BYTES_MAX: u64 = CODE_BYTES_MAX + CHECK_BYTES as u64;
/// Each new component and each release leaves an entry, so the ones that were not used for longest go.
const ENTRIES_MAX: usize = 500;
const TOTAL_BYTES_MAX: u64 = 1 << 30;

const USED_NOW: rustix::fs::Timestamps = {
    let now = rustix::fs::Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW };
    rustix::fs::Timestamps { last_access: now, last_modification: now }
};

/// A directory that cannot hold compiled code.
#[derive(Debug, thiserror::Error)]
pub enum CacheDirError {
    /// It cannot be created or read.
    #[error("the cache directory `{path}` cannot be used; give one that this user may create and write")]
    Io {
        /// As given.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Whoever can write compiled code can run code in the host.
    #[error(
        "the cache directory `{path}` may be written by others (mode {mode:o}); run `chmod go-w` on it, or give another one"
    )]
    Writable {
        /// As given, or `cache_dir` for an open one.
        path: String,
        /// Its permission bits.
        mode: u32,
    },
}

/// Opens the directory for compiled code, creating it for this user alone; refuses one that others may write.
pub fn open_cache_dir(path: &Path) -> Result<Dir, CacheDirError> {
    let failed = |source| CacheDirError::Io { path: path.display().to_string(), source };
    let dir = match Dir::open_ambient_dir(path, ambient_authority()) {
        Ok(dir) => dir,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Dir::create_ambient_dir_all(path, ambient_authority()).map_err(failed)?;
            let dir = Dir::open_ambient_dir(path, ambient_authority()).map_err(failed)?;
            dir.set_permissions(".", Permissions::from_mode(0o700)).map_err(failed)?;
            dir
        }
        Err(error) => return Err(failed(error)),
    };
    check_private(&dir, &path.display().to_string())?;
    Ok(dir)
}

fn check_private(dir: &Dir, path: &str) -> Result<(), CacheDirError> {
    let metadata =
        dir.dir_metadata().map_err(|source| CacheDirError::Io { path: path.to_owned(), source })?;
    let mode = metadata.mode() & 0o7777;
    if mode & 0o022 == 0 { Ok(()) } else { Err(CacheDirError::Writable { path: path.to_owned(), mode }) }
}

/// Binds compiled code to its component and engine, so that a whole entry under another name fails too.
pub(crate) fn check(component: &Digest, engine: &Digest, code: &[u8]) -> Digest {
    Digest::tagged("ripcord code 1", &[component.as_bytes(), engine.as_bytes(), code])
}

/// Compiled code by digest of component and of all that compiling depends on.
#[derive(Debug)]
pub(crate) struct Cache {
    dir: Dir,
    engine: Digest,
}

impl Cache {
    pub(crate) fn new(dir: Dir, engine: Digest) -> Result<Self, CacheDirError> {
        check_private(&dir, "cache_dir")?;
        Ok(Self { dir, engine })
    }

    fn name(&self, component: &Digest) -> String {
        format!("{component}-{}.code", self.engine.short())
    }

    /// The compiled code of `component`, if there is an entry and it passes its check.
    pub(crate) fn read(&self, component: &Digest) -> Option<Vec<u8>> {
        let name = self.name(component);
        match self.read_entry(&name) {
            Ok(mut entry) => {
                let code = entry.split_off(CHECK_BYTES.min(entry.len()));
                if entry == check(component, &self.engine, &code).as_bytes() {
                    return Some(code);
                }
                tracing::warn!(entry = name, "compiled code fails its check: compiling again");
                None
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!(entry = name, %error, "compiled code cannot be read: compiling again");
                None
            }
        }
    }

    fn read_entry(&self, name: &str) -> std::io::Result<Vec<u8>> {
        let file = self.dir.open(name)?;
        let metadata = file.metadata()?;
        if metadata.mode() & 0o022 != 0 {
            return Err(std::io::Error::other("others may write it"));
        }
        if metadata.len() > ENTRY_BYTES_MAX {
            return Err(std::io::Error::other("it is too large"));
        }
        // Only the order in which entries are forgotten depends on it.
        let _ = rustix::fs::futimens(&file, &USED_NOW);
        let mut entry = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0));
        file.take(ENTRY_BYTES_MAX).read_to_end(&mut entry)?;
        Ok(entry)
    }

    /// Keeps compiled code. Failing to is no reason to stop: the next start compiles again.
    pub(crate) fn write(&self, component: &Digest, code: &[u8]) {
        let name = self.name(component);
        if let Err(error) = self.write_entry(&name, component, code) {
            tracing::warn!(entry = name, %error, "compiled code cannot be kept: the next start compiles again");
        }
        if let Err(error) = self.forget_unused(ENTRIES_MAX, TOTAL_BYTES_MAX) {
            tracing::warn!(%error, "compiled code that is not used any more cannot be removed: the cache grows");
        }
    }

    /// Removes what was not used for longest until no more than so many files and bytes are left; what an interrupted write left is among them.
    fn forget_unused(&self, entries_max: usize, bytes_max: u64) -> std::io::Result<()> {
        let mut entries = Vec::new();
        for entry in self.dir.entries()? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if metadata.is_file() {
                let used = (metadata.mtime(), metadata.mtime_nsec());
                entries.push((used, entry.file_name(), metadata.len()));
            }
        }
        entries.sort();
        let mut bytes: u64 = entries.iter().map(|(_, _, length)| length).sum();
        let mut count = entries.len();
        for (_, name, length) in entries {
            if count <= entries_max && bytes <= bytes_max {
                break;
            }
            match self.dir.remove_file(name) {
                // Another process may have been quicker.
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            count -= 1;
            bytes -= length;
        }
        Ok(())
    }

    fn write_entry(&self, name: &str, component: &Digest, code: &[u8]) -> std::io::Result<()> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let beside = format!(".{name}.{}.{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        // A crash may have left one of the same name.
        let _ = self.dir.remove_file(&beside);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let written = self.dir.open_with(&beside, &options).and_then(|mut file| {
            file.write_all(check(component, &self.engine, code).as_bytes())?;
            file.write_all(code)?;
            file.sync_all()
        });
        let renamed = written.and_then(|()| self.dir.rename(&beside, &self.dir, name));
        if renamed.is_err() {
            let _ = self.dir.remove_file(&beside);
        }
        renamed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(dir: &tempfile::TempDir, engine: &str) -> Cache {
        Cache::new(open_cache_dir(&dir.path().join("code")).expect("opens"), Digest::of(engine))
            .expect("private")
    }

    #[test]
    fn an_entry_is_its_component_s_and_its_engine_s_alone() {
        let dir = tempfile::tempdir().expect("tempdir");
        let (mine, other) = (Digest::of("mine"), Digest::of("other"));
        let one = cache(&dir, "one");
        one.write(&mine, b"code");
        assert_eq!(one.read(&mine).as_deref(), Some(b"code".as_slice()));
        assert_eq!(cache(&dir, "two").read(&mine), None);
        one.dir.rename(one.name(&mine), &one.dir, one.name(&other)).expect("renames");
        assert_eq!(one.read(&other), None);
    }

    #[test]
    fn an_entry_with_any_bit_changed_or_any_end_lost_is_not_trusted() {
        let dir = tempfile::tempdir().expect("tempdir");
        let (cache, component) = (cache(&dir, "engine"), Digest::of("c"));
        cache.write(&component, b"code");
        let whole = cache.dir.read(cache.name(&component)).expect("reads");
        for bit in 0..whole.len() * 8 {
            let mut changed = whole.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            cache.dir.write(cache.name(&component), &changed).expect("writes");
            assert_eq!(cache.read(&component), None, "bit {bit}");
        }
        for length in 0..whole.len() {
            cache.dir.write(cache.name(&component), &whole[..length]).expect("writes");
            assert_eq!(cache.read(&component), None, "length {length}");
        }
        cache.dir.write(cache.name(&component), &whole).expect("writes");
        assert!(cache.read(&component).is_some());
    }

    #[test]
    fn what_was_not_used_for_longest_is_forgotten_first() {
        let dir = tempfile::tempdir().expect("tempdir");
        let cache = cache(&dir, "engine");
        let components: Vec<_> = (0..4_u8).map(|number| Digest::of([number])).collect();
        let age = |component: &Digest, seconds: u64| {
            let file = std::fs::File::options()
                .write(true)
                .open(dir.path().join("code").join(cache.name(component)))
                .expect("opens");
            file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds)).expect("sets");
        };
        for (component, seconds) in components.iter().zip(1..) {
            cache.write(component, b"code");
            age(component, seconds);
        }
        let kept = || components.iter().map(|one| cache.dir.exists(cache.name(one))).collect::<Vec<_>>();
        assert!(cache.read(&components[0]).is_some(), "the oldest is used");
        cache.forget_unused(3, u64::MAX).expect("forgets");
        assert_eq!(kept(), [true, false, true, true]);
        cache.forget_unused(500, 2 * (CHECK_BYTES as u64 + 4)).expect("forgets");
        assert_eq!(kept(), [true, false, false, true]);
    }

    #[test]
    fn what_others_may_write_is_refused() {
        let dir = tempfile::tempdir().expect("tempdir");
        let (cache, component) = (cache(&dir, "engine"), Digest::of("c"));
        let mode = |name: &str| cache.dir.metadata(name).expect("metadata").mode() & 0o777;
        cache.write(&component, b"code");
        assert_eq!((mode("."), mode(&cache.name(&component))), (0o700, 0o600));
        cache.dir.set_permissions(cache.name(&component), Permissions::from_mode(0o620)).expect("chmod");
        assert_eq!(cache.read(&component), None);
        cache.dir.set_permissions(".", Permissions::from_mode(0o770)).expect("chmod");
        let error = open_cache_dir(&dir.path().join("code")).expect_err("refused");
        assert!(error.to_string().contains("mode 770"), "{error}");
    }
}
