//! Real components, built once for all suites.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use ripcord_pack::{PackOptions, Resolution, build_all};
use ripcord_sandbox::{Examiner, Policy, Sandbox, SandboxConfig, open_cache_dir};

/// The variable that names a folder of components, for programs that a suite starts.
pub const BUILT: &str = "RIPCORD_TESTS_COMPONENTS";

/// Where [`BUILT`] can point once the policies are built.
pub fn built() -> PathBuf {
    drop(policy("scripted"));
    scratch().join("guests").join("policies")
}

/// A component with its bytes.
#[derive(Debug, Clone)]
pub struct Built {
    /// Loaded.
    pub policy: Policy,
    /// For the store.
    pub bytes: Vec<u8>,
}

/// The folder where cargo lets tests leave files: this program is `<target>/<profile>/deps/<name>`, or one level up.
fn scratch() -> PathBuf {
    let program = std::env::current_exe().expect("a program");
    let profile = program.ancestors().find(|folder| folder.join("deps").is_dir()).expect("a target folder");
    let folder = profile.with_file_name("tmp").join("suites");
    std::fs::create_dir_all(&folder).expect("a folder for what the suites build");
    folder
}

/// The sandbox of this process.
pub fn sandbox() -> &'static Sandbox {
    static SANDBOX: OnceLock<Sandbox> = OnceLock::new();
    SANDBOX.get_or_init(|| {
        let cache_dir = Some(open_cache_dir(&scratch().join("compiled")).expect("a cache"));
        let config = SandboxConfig { cache_dir, ..SandboxConfig::new(Examiner::ThisProcess) };
        Sandbox::new(config).expect("a sandbox")
    })
}

fn all() -> &'static BTreeMap<String, Built> {
    static ALL: OnceLock<BTreeMap<String, Built>> = OnceLock::new();
    ALL.get_or_init(|| match std::env::var_os(BUILT) {
        Some(folder) => read(Path::new(&folder)),
        None => build(),
    })
}

/// What was built already.
fn read(folder: &Path) -> BTreeMap<String, Built> {
    let files =
        std::fs::read_dir(folder).expect("the components").map(|entry| entry.expect("an entry").path());
    files
        .filter(|file| file.extension().is_some_and(|extension| extension == "wasm"))
        .map(|file| {
            let bytes = std::fs::read(&file).expect("reads");
            let policy = sandbox().load(&bytes).expect("the policy loads");
            (policy.reference().name.to_string(), Built { policy, bytes })
        })
        .collect()
}

/// Builds all.
fn build() -> BTreeMap<String, Built> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let starters = std::fs::read_dir(tests.join("../policies")).expect("the starter policies");
    let mut manifest_dirs: Vec<PathBuf> = starters
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.join("Cargo.toml").is_file())
        .chain([tests.join("scripted")])
        .collect();
    manifest_dirs.sort();
    let target_dir = scratch().join("guests");
    let options = PackOptions { manifest_dirs, target_dir, resolution: Resolution::Free };
    let packed = build_all(&options).expect("the policies build");
    packed
        .into_iter()
        .map(|packed| {
            let policy = sandbox().load(&packed.component).expect("the policy loads");
            (packed.name, Built { policy, bytes: packed.component })
        })
        .collect()
}

/// The policy `name`, if the workspace has it.
pub fn find(name: &str) -> Option<Built> {
    all().get(name).cloned()
}

/// The policy `name`.
pub fn policy(name: &str) -> Built {
    find(name).unwrap_or_else(|| panic!("there is no policy `{name}`"))
}
