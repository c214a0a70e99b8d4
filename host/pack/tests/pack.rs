//! Builds a starter policy with the real tool chain and reads what came out.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};

use ripcord_pack::{PackError, PackOptions, Packed, Resolution, build_all};
use wit_component::DecodedWasm;
use wit_parser::{Resolve, World, WorldItem};

fn policies() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies")
}

/// A target folder beside the one of the cargo that runs this test, kept from run to run.
fn target(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn build(manifest_dir: &Path, target_dir: PathBuf) -> Result<Packed, PackError> {
    let manifest_dirs = vec![manifest_dir.to_owned()];
    build_all(&PackOptions { manifest_dirs, target_dir, resolution: Resolution::Free })
        .map(|mut built| built.remove(0))
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

fn interface(resolve: &Resolve, item: &WorldItem) -> (String, usize) {
    let WorldItem::Interface { id, .. } = item else { panic!("not an interface: {item:?}") };
    (resolve.id_of(*id).unwrap(), resolve.interfaces[*id].functions.len())
}

fn world(resolve: &Resolve, world: &World) -> (Vec<(String, usize)>, Vec<String>) {
    let imports = world.imports.values().map(|item| interface(resolve, item)).collect();
    (imports, world.exports.values().map(|item| interface(resolve, item).0).collect())
}

#[test]
fn a_policy_becomes_a_component_that_imports_nothing_but_the_log() {
    let packed = build(&policies().join("threshold-trigger"), target("policy")).unwrap();
    assert_eq!(packed.name, "threshold-trigger");
    assert_eq!(fs::read(&packed.wasm_path).unwrap(), packed.component);
    wasmparser::Validator::new().validate_all(&packed.component).unwrap();

    let DecodedWasm::Component(resolve, id) = wit_component::decode(&packed.component).unwrap() else {
        panic!("not a component")
    };
    let (imports, mut exports) = world(&resolve, &resolve.worlds[id]);
    for (name, functions) in &imports {
        let expected = usize::from(name == "ripcord:policy/log@0.1.0");
        assert!(name.starts_with("ripcord:policy/") && name.ends_with("@0.1.0"), "{name}");
        assert_eq!(*functions, expected, "{name}");
    }
    exports.sort();
    assert_eq!(exports, ["ripcord:policy/describe@0.1.0", "ripcord:policy/trigger@0.1.0"]);

    let bytes = packed.component.len();
    assert!(bytes < 440 * 1024, "{bytes} bytes are more than a rule needs");
}

#[test]
fn the_same_sources_give_the_same_bytes_and_no_path_of_this_machine() {
    let policy = policies().join("threshold-trigger");
    let (one, other) = (build(&policy, target("policy")).unwrap(), build(&policy, target("again")).unwrap());
    assert!(one.component == other.component, "two builds differ");

    let root = policies().join("..").canonicalize().unwrap();
    let home = std::env::var("HOME").unwrap();
    for path in [root.to_str().unwrap(), home.as_str(), ".cargo/registry"] {
        assert!(!contains(&one.component, path.as_bytes()), "the component names `{path}`");
    }
}

#[test]
fn what_is_no_policy_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let refused = |what: &str| build(folder.path(), target("refused")).expect_err(what).to_string();

    let said = refused("an empty folder");
    assert!(said.contains("is not a package that cargo can read"), "{said}");

    let manifest = "[package]\nname = \"plain\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[workspace]\n";
    write("Cargo.toml", manifest);
    write("src/lib.rs", "pub fn nothing() {}\n");
    let said = refused("a library without a module");
    assert!(said.contains("crate-type = [\"cdylib\", \"rlib\"]"), "{said}");

    write("Cargo.toml", &format!("{manifest}[lib]\ncrate-type = [\"cdylib\"]\n"));
    let said = refused("a module without a role");
    assert!(said.contains("`plain` is not a policy") && said.contains("export!"), "{said}");

    write("src/lib.rs", "fn broken( {}\n");
    let said = refused("a crate that does not compile");
    assert!(said.contains("`plain` did not build") && said.contains("src/lib.rs:1"), "{said}");
}
