//! The SDK and the contract as sources, which this program carries: a policy is written with nothing but the program and Rust.
//!
//! They are put into the crate itself, below [`FOLDER`], so that a clone of it builds everywhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use ripcord_core::digest::Digest;
use serde::Serialize;
use toml::{Table, Value};

use super::toolbox::SDK_VERSION;
use crate::output::style::{STRONG, paint};
use crate::output::{Failure, Page, text};

mod embedded {
    include!(concat!(env!("OUT_DIR"), "/sdk.rs"));
}

/// Where the sources lie in a policy's crate.
pub(super) const FOLDER: &str = "sdk";

/// As a policy's manifest depends on it.
pub(super) const DEPENDENCY: &str = "ripcord-sdk = { path = \"sdk/guest-sdk\" }";

/// What tells a folder that this program wrote from one that people keep something of their own in.
const NOTE: &str = "README.md";
const NOTE_BEGINS: &str = "# The SDK of Ripcord";

/// The crates among the sources.
const CRATES: [(&str, &str); 2] = [("ripcord-sdk", "guest-sdk"), ("ripcord-fixture", "wit/fixture")];

/// The sources of the SDK in a policy's crate.
#[derive(Debug, Clone, Serialize)]
pub struct SdkWritten {
    /// Where.
    pub folder: PathBuf,
    /// The release that they are of.
    pub version: &'static str,
    /// How many files.
    pub files: usize,
}

/// Writes the SDK of this program into the crate in `folder`, in place of the one that another release wrote there.
///
/// # Errors
/// There is no crate, or something else lies where the SDK goes.
pub fn update(folder: &Path) -> Result<SdkWritten, Failure> {
    if !folder.join("Cargo.toml").is_file() {
        return Err(Failure::usage(format!("`{}` holds no crate", folder.display()))
            .help("give the folder of a policy; `ripcord policy new NAME` makes one"));
    }
    let place = folder.join(FOLDER);
    let unable = |cause: std::io::Error| {
        Failure::failed(format!("cannot replace `{}`", place.display()))
            .because(cause)
            .help("check the folder's permissions and the free space")
    };
    if place.exists() {
        let note = fs::read_to_string(place.join(NOTE)).unwrap_or_default();
        if !note.starts_with(NOTE_BEGINS) {
            return Err(Failure::usage(format!("`{}` holds something else than the SDK", place.display()))
                .help("move it away; the SDK lies there"));
        }
        fs::remove_dir_all(&place).map_err(unable)?;
    }
    let files = files()?;
    for (path, content) in &files {
        let whole = folder.join(path);
        fs::create_dir_all(whole.parent().unwrap_or(folder)).map_err(unable)?;
        fs::write(&whole, content).map_err(unable)?;
    }
    Ok(SdkWritten { folder: place, version: SDK_VERSION, files: files.len() })
}

impl SdkWritten {
    /// For the command line.
    pub fn page(&self) -> Page {
        let folder = paint(STRONG, self.folder.display());
        let depend = "the crate depends on it by";
        Page::done(
            text!("wrote the SDK of Ripcord {} into {}\n{} `{}`\n", self.version, folder, depend, DEPENDENCY),
            self,
        )
    }
}

/// All files, relative to the folder of the policy's crate.
pub(super) fn files() -> Result<Vec<(PathBuf, String)>, Failure> {
    let mut files = Vec::new();
    for (path, content) in embedded::FILES {
        let content = match *path {
            "Cargo.lock" => continue,
            "Cargo.toml" => workspace()?,
            manifest if manifest.ends_with("Cargo.toml") => without_tests(manifest)?,
            _ => (*content).to_owned(),
        };
        files.push((Path::new(FOLDER).join(path), content));
    }
    files.push((Path::new(FOLDER).join(NOTE), note()));
    Ok(files)
}

fn note() -> String {
    let whole: Vec<&[u8]> =
        embedded::FILES.iter().flat_map(|(path, content)| [path.as_bytes(), content.as_bytes()]).collect();
    let digest = Digest::tagged("ripcord sdk 1", &whole);
    format!(
        "{NOTE_BEGINS} {SDK_VERSION}\n\nWhat a policy depends on, and the contract with the host (`wit/policy`), as the program `ripcord` carries \
         them\n(sha-256 {digest}). Commit this folder with your policy, and change nothing in it: `ripcord policy sdk` replaces\nit by that of \
         another release.\n\n    cargo doc --open --package ripcord-sdk --no-deps\n"
    )
}

/// The lock file of a crate named `name` that depends on the SDK as a new policy does: the versions that this program was built and tested with.
pub(super) fn lock(name: &str) -> Result<String, Failure> {
    let lock = table("Cargo.lock")?;
    let packages: Vec<&Table> = lock
        .get("package")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_table)
        .collect();
    // As lock files refer to packages: `name`, or `name version` where there are several of that name.
    let find = |reference: &str| {
        let mut words = reference.split(' ');
        let (name, version) = (words.next().unwrap_or_default(), words.next());
        packages.iter().copied().find(|package| {
            text_of(package, "name") == name
                && version.is_none_or(|version| text_of(package, "version") == version)
        })
    };
    let mut kept: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    let mut left: Vec<String> = vec!["ripcord-sdk".to_owned()];
    while let Some(reference) = left.pop() {
        let Some(package) = find(&reference) else { continue };
        let key = (text_of(package, "name").to_owned(), text_of(package, "version").to_owned());
        if kept.contains_key(&key) {
            continue;
        }
        let mut needs: Vec<String> = package
            .get("dependencies")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|need| need.as_str().map(str::to_owned))
            .collect();
        // The lock file lists what the tests of our own crates need, too.
        if let Some((_, folder)) = CRATES.iter().find(|(name, _)| *name == key.0) {
            let wanted = dependencies_of(&table(&format!("{folder}/Cargo.toml"))?);
            needs.retain(|need| wanted.contains(need.split(' ').next().unwrap_or_default()));
        }
        left.extend(needs.iter().cloned());
        kept.insert(key, needs);
    }
    let own = ["ripcord-sdk", "schemars", "serde"].map(str::to_owned).to_vec();
    kept.insert((name.to_owned(), "0.1.0".to_owned()), own);
    let mut text = String::from(
        "# This file is automatically @generated by Cargo.\n# It is not intended for manual editing.\nversion = 4\n",
    );
    for ((name, version), needs) in &kept {
        text.push_str(&format!("\n[[package]]\nname = \"{name}\"\nversion = \"{version}\"\n"));
        let package = find(&format!("{name} {version}"));
        for field in ["source", "checksum"] {
            if let Some(value) =
                package.map(|package| text_of(package, field)).filter(|value| !value.is_empty())
            {
                text.push_str(&format!("{field} = \"{value}\"\n"));
            }
        }
        let alone = |need: &str| {
            let name = need.split(' ').next().unwrap_or_default();
            let several = kept.keys().filter(|(kept, _)| kept == name).count() > 1;
            if several { need.to_owned() } else { name.to_owned() }
        };
        if !needs.is_empty() {
            let lines: String = needs.iter().map(|need| format!(" \"{}\",\n", alone(need))).collect();
            text.push_str(&format!("dependencies = [\n{lines}]\n"));
        }
    }
    Ok(text)
}

fn text_of<'t>(package: &'t Table, field: &str) -> &'t str {
    package.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// The workspace that the sources' manifests inherit from, without what the rest of the checkout needs.
fn workspace() -> Result<String, Failure> {
    let whole = table("Cargo.toml")?;
    let inherited = |name: &str| whole.get("workspace").and_then(|workspace| workspace.get(name)).cloned();
    let mut wanted = BTreeSet::new();
    for (_, folder) in CRATES {
        wanted.extend(dependencies_of(&table(&format!("{folder}/Cargo.toml"))?));
    }
    let mut workspace = Table::new();
    let members = CRATES.iter().map(|(_, folder)| Value::from(*folder)).collect::<Vec<_>>();
    workspace.insert("members".to_owned(), Value::Array(members));
    for name in ["resolver", "package", "lints"] {
        workspace.extend(inherited(name).map(|value| (name.to_owned(), value)));
    }
    if let Some(Value::Table(mut dependencies)) = inherited("dependencies") {
        dependencies.retain(|name, _| wanted.contains::<str>(name));
        workspace.insert("dependencies".to_owned(), Value::Table(dependencies));
    }
    written(&Table::from_iter([("workspace".to_owned(), Value::Table(workspace))]))
}

/// A manifest for those who only depend on the crate: its tests are not among the sources.
fn without_tests(path: &str) -> Result<String, Failure> {
    let mut manifest = table(path)?;
    for of_tests in ["test", "dev-dependencies"] {
        manifest.remove(of_tests);
    }
    written(&manifest)
}

/// The names of all dependencies of a manifest but those of its tests.
fn dependencies_of(manifest: &Table) -> BTreeSet<String> {
    let targets = manifest.get("target").and_then(Value::as_table);
    let tables = targets.into_iter().flat_map(Table::values).filter_map(Value::as_table).chain([manifest]);
    tables
        .filter_map(|table| table.get("dependencies").and_then(Value::as_table))
        .flat_map(|dependencies| dependencies.keys().cloned())
        .collect()
}

fn table(path: &str) -> Result<Table, Failure> {
    let content = embedded::FILES.iter().find(|(name, _)| *name == path).map(|(_, content)| *content);
    let broken = || Failure::failed(format!("the `{path}` that this program carries is broken"));
    content.ok_or_else(broken)?.parse::<Table>().map_err(|error| broken().because(error))
}

fn written(table: &Table) -> Result<String, Failure> {
    toml::to_string(table).map_err(|error| Failure::failed("a manifest cannot be written").because(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sources_are_whole_and_name_nothing_that_is_not_among_them() {
        let files = files().expect("files");
        let has = |path: &str| files.iter().any(|(file, _)| file == Path::new(path));
        for path in
            ["sdk/guest-sdk/src/lib.rs", "sdk/guest-sdk/src/stats/quantile.rs", "sdk/wit/fixture/src/run.rs"]
        {
            assert!(has(path), "{path}");
        }
        assert!(has("sdk/wit/policy/0.1/policy.wit"), "the contract");
        let workspace =
            files.iter().find(|(path, _)| path == Path::new("sdk/Cargo.toml")).expect("a workspace");
        let workspace = workspace.1.parse::<Table>().expect("TOML");
        let dependencies = workspace["workspace"]["dependencies"].as_table().expect("dependencies");
        assert!(dependencies.contains_key("wit-bindgen") && !dependencies.contains_key("wasmtime"));
        let paths = dependencies.values().filter_map(|one| one.get("path")?.as_str());
        assert!(paths.map(|path| format!("sdk/{path}/Cargo.toml")).all(|manifest| has(&manifest)));
        assert!(files.iter().all(|(_, content)| !content.contains("proptest = ")), "no test needs anything");
    }

    #[test]
    fn the_lock_file_holds_what_the_sdk_needs_and_no_more() {
        let lock = lock("mine").expect("lock").parse::<Table>().expect("TOML");
        let names: Vec<&str> = lock["package"]
            .as_array()
            .expect("packages")
            .iter()
            .map(|package| {
                let package = package.as_table().expect("a package");
                let from = text_of(package, "source");
                let ours = ["mine", "ripcord-sdk", "ripcord-fixture"].contains(&text_of(package, "name"));
                assert_eq!(from.is_empty(), ours, "{package:?}");
                text_of(package, "name")
            })
            .collect();
        for name in ["mine", "ripcord-sdk", "ripcord-fixture", "schemars", "wit-bindgen", "toml"] {
            assert!(names.contains(&name), "{name}");
        }
        for name in ["wasmtime", "proptest", "tokio", "tempfile"] {
            assert!(!names.contains(&name), "{name}");
        }
    }

    #[test]
    fn a_folder_of_the_authors_own_is_not_replaced() {
        let folder = tempfile::tempdir().expect("folder");
        fs::write(folder.path().join("Cargo.toml"), "").expect("writes");
        update(folder.path()).expect("the first time");
        update(folder.path()).expect("what it wrote itself");
        fs::write(folder.path().join("sdk").join(NOTE), "# Mine").expect("writes");
        let refused = update(folder.path()).expect_err("somebody's");
        assert!(refused.to_string().contains("something else than the SDK"), "{refused}");
    }
}
