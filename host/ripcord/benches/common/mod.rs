//! What the benchmarks of the whole program share.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Whether the benchmarks are only tried: once each and small, as a test of them, and not measured.
#[allow(dead_code, reason = "not every benchmark uses all of it")]
pub(crate) fn is_trial() -> bool {
    !std::env::args().any(|argument| argument == "--bench")
}

/// For its owner alone: it may be a secret.
pub(crate) fn write(folder: &Path, name: &str, content: impl AsRef<[u8]>) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(&path, content).expect("writes");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("its rights");
}
