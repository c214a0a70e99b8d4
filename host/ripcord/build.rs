//! Builds the starter policies into components and lists them for `starters.rs` to embed, and lists the sources of the SDK for `policy/sdk.rs`.
//!
//! All policies are built by one run of cargo with a target folder of its own, so it never waits for the cargo that runs this script.

#![allow(clippy::panic, reason = "a build script reports by panicking")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use ripcord_pack::{PackOptions, Packed, Resolution};

fn main() {
    let root = root();
    for watched in ["policies", "guest-sdk", "wit", "Cargo.toml", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={}", root.join(watched).display());
    }
    println!("cargo::rerun-if-env-changed=RIPCORD_WASM_TOOLCHAIN");

    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_else(|| panic!("run this through cargo")));
    let options = PackOptions {
        manifest_dirs: crates(&root.join("policies")),
        target_dir: out.join("policies"),
        resolution: Resolution::Locked,
    };
    let packed = ripcord_pack::build_all(&options).unwrap_or_else(|error| {
        panic!("the starter policies in `policies/` could not be built: {}", with_causes(&error))
    });
    for (file, text) in [("starters.rs", list(&packed)), ("sdk.rs", list_sdk(&root))] {
        fs::write(out.join(file), text).unwrap_or_else(|error| {
            panic!("cannot write into `{}`: {error}; free some space", out.display())
        });
    }
}

/// The checkout that this crate lies in.
fn root() -> PathBuf {
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let root = here.ancestors().find(|folder| folder.join("policies").is_dir());
    root.unwrap_or_else(|| panic!("`policies/` is missing: build `ripcord` in a whole checkout")).to_owned()
}

/// The folders of the starter policies, by name.
fn crates(policies: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(policies)
        .unwrap_or_else(|error| panic!("cannot list `{}`: {error}", policies.display()));
    let mut folders: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|folder| folder.join("Cargo.toml").is_file())
        .collect();
    folders.sort();
    folders
}

fn list(packed: &[Packed]) -> String {
    let mut text = String::from("pub(super) static EMBEDDED: &[Starter] = &[\n");
    for policy in packed {
        let (name, version) = (&policy.name, &policy.version);
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "    Starter {{ name: {name:?}, version: {version:?}, bytes: include_bytes!({:?}) }},",
            policy.wasm_path
        );
    }
    text.push_str("];\n");
    text
}

/// What a crate needs of the checkout to depend on the SDK: sources and manifests of the SDK and of the fixtures' runner, the contract, and
/// which versions of other packages they were tested with. Their tests stay here.
fn list_sdk(root: &Path) -> String {
    let mut files =
        vec!["Cargo.toml", "Cargo.lock", "LICENSE", "guest-sdk/Cargo.toml", "wit/fixture/Cargo.toml"]
            .into_iter()
            .map(PathBuf::from)
            .collect::<Vec<_>>();
    for folder in ["guest-sdk/src", "wit/fixture/src", "wit/policy"] {
        files_below(root, Path::new(folder), &mut files);
    }
    let mut text = String::from("pub(super) static FILES: &[(&str, &str)] = &[\n");
    for file in files {
        // Writing to a string does not fail.
        let _ = writeln!(text, "    ({:?}, include_str!({:?})),", file, root.join(&file));
    }
    text.push_str("];\n");
    text
}

fn files_below(root: &Path, folder: &Path, files: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(root.join(folder))
        .unwrap_or_else(|error| panic!("cannot list `{}`: {error}", folder.display()));
    let mut entries: Vec<_> = entries.filter_map(Result::ok).collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = folder.join(entry.file_name());
        if entry.path().is_dir() {
            files_below(root, &path, files);
        } else {
            files.push(path);
        }
    }
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
