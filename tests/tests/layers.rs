//! The layout is the architecture: which crate may depend on which. `ARCHITECTURE.md` shows the same table.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

/// Workspace crates that each crate may use outside its tests and benchmarks. Policies are checked apart.
const MAY_USE: &[(&str, &[&str])] = &[
    ("ripcord-core", &[]),
    ("ripcord-ports", &["ripcord-core"]),
    ("ripcord-sandbox", &["ripcord-core"]),
    ("ripcord-store", &["ripcord-core", "ripcord-ports"]),
    ("ripcord-adapters", &["ripcord-core", "ripcord-ports"]),
    ("ripcord-data", &["ripcord-core", "ripcord-ports"]),
    ("ripcord-engine", &["ripcord-core", "ripcord-ports", "ripcord-sandbox"]),
    ("ripcord-pack", &[]),
    ("ripcord-fixture", &[]),
    ("ripcord-sdk", &["ripcord-fixture"]),
    ("ripcord-example-fraud", &[]),
    (
        "ripcord",
        &[
            "ripcord-core",
            "ripcord-ports",
            "ripcord-sandbox",
            "ripcord-store",
            "ripcord-adapters",
            "ripcord-data",
            "ripcord-engine",
            "ripcord-pack",
            "ripcord-fixture",
            "ripcord-example-fraud",
        ],
    ),
];

/// Outside crates that only one crate may name.
const ONLY: &[(&str, &str)] =
    &[("wasmtime", "ripcord-sandbox"), ("rusqlite", "ripcord-store"), ("parquet", "ripcord-data")];

/// Crates that the pure core must not reach: they bring clocks, randomness, files, sockets or tasks.
const NOT_IN_CORE: &[&str] =
    &["tokio", "reqwest", "rusqlite", "wasmtime", "cap-std", "getrandom", "rand", "async-trait", "tracing"];

fn metadata() -> Metadata {
    MetadataCommand::new().no_deps().exec().expect("cargo gives the workspace's metadata")
}

/// Crate to its direct dependencies outside tests.
fn dependencies(metadata: &Metadata) -> BTreeMap<String, BTreeSet<String>> {
    let used = |package: &cargo_metadata::Package| {
        package
            .dependencies
            .iter()
            .filter(|dependency| dependency.kind != DependencyKind::Development)
            .map(|dependency| dependency.name.clone())
            .collect()
    };
    metadata
        .workspace_packages()
        .into_iter()
        .map(|package| (package.name.to_string(), used(package)))
        .collect()
}

fn is_policy(metadata: &Metadata, name: &str) -> bool {
    // The suites have a policy of their own, which does what they tell it.
    let folders = [metadata.workspace_root.join("policies"), metadata.workspace_root.join("tests/scripted")];
    metadata.workspace_packages().iter().any(|package| {
        package.name == name && folders.iter().any(|folder| package.manifest_path.starts_with(folder))
    })
}

#[test]
fn every_crate_uses_only_the_layers_below_it() {
    let metadata = metadata();
    let all = dependencies(&metadata);
    let allowed: BTreeMap<_, _> = MAY_USE.iter().map(|(name, uses)| (*name, *uses)).collect();
    let mut wrong = Vec::new();
    for (name, used) in &all {
        let ours = used.iter().filter(|used| all.contains_key(*used));
        let may: &[&str] = match allowed.get(name.as_str()) {
            Some(may) => may,
            None if is_policy(&metadata, name) => &["ripcord-sdk"],
            None if name == "ripcord-tests" => continue,
            // It plays the host, and nothing that the host is made of depends on it.
            None if name == "ripcord-simulation" => {
                &["ripcord-core", "ripcord-ports", "ripcord-sandbox", "ripcord-engine"]
            }
            None => {
                wrong.push(format!(
                    "`{name}` has no place in the layers: give it one here and in ARCHITECTURE.md"
                ));
                continue;
            }
        };
        wrong.extend(
            ours.filter(|used| !may.contains(&used.as_str()))
                .map(|used| format!("`{name}` must not use `{used}`")),
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn outside_systems_are_named_in_one_place() {
    let all = dependencies(&metadata());
    for (outside, home) in ONLY {
        let users: Vec<_> =
            all.iter().filter(|(_, used)| used.contains(*outside)).map(|(name, _)| name.as_str()).collect();
        assert_eq!(users, [*home], "only `{home}` may name `{outside}`");
    }
}

#[test]
fn the_core_is_pure() {
    let all = dependencies(&metadata());
    let reached: Vec<_> =
        NOT_IN_CORE.iter().filter(|outside| all["ripcord-core"].contains(**outside)).collect();
    assert!(reached.is_empty(), "the core must not use {reached:?}");
}

/// A file that no module names would be a test that nobody runs.
#[test]
fn every_file_of_a_merged_suite_is_part_of_it() {
    let mut forgotten = Vec::new();
    for package in metadata().workspace_packages() {
        let Some(suite) = package.targets.iter().find(|target| target.name == "suite") else { continue };
        let folder = suite.src_path.parent().expect("a suite is in a folder");
        let declared = std::fs::read_to_string(&suite.src_path).expect("a suite can be read");
        for entry in folder.read_dir_utf8().expect("a suite's folder can be read") {
            let path = entry.expect("a suite's folder can be read").into_path();
            let module = match path.file_name() {
                Some("main.rs") | None => continue,
                Some(name) => {
                    name.strip_suffix(".rs").or_else(|| path.join("mod.rs").exists().then_some(name))
                }
            };
            if let Some(module) = module
                && !declared.lines().any(|line| line.trim() == format!("mod {module};"))
            {
                forgotten.push(path);
            }
        }
    }
    assert!(forgotten.is_empty(), "name these in their `main.rs`: {forgotten:?}");
}

/// A default method that the wrapper does not pass on would hide the adapter's own, and a call beside it would have no deadline.
#[test]
fn every_method_of_every_port_is_called_through_the_engine_s_deadlines() {
    let root = metadata().workspace_root;
    let read =
        |path: &str| std::fs::read_to_string(root.join(path)).unwrap_or_else(|_| panic!("{path} reads"));
    let bounded = read("host/engine/src/bounded.rs");
    let mut methods = 0;
    for port in [
        "registry", "deployer", "restorer", "producer", "endpoint", "requests", "metrics", "notifier",
        "objects",
    ] {
        let source = read(&format!("host/ports/src/{port}.rs"));
        for (head, of_trait) in
            source.match_indices("pub trait ").map(|(at, _)| source[at..].split_once('{').expect("a body"))
        {
            let body = of_trait.split("\n}").next().expect("an end");
            let (name, _) = head.trim_start_matches("pub trait ").split_once(':').expect("a bound");
            let own = bounded.split_once(&format!("impl {name} for Bounded<dyn {name}>"));
            let (_, own) = own.unwrap_or_else(|| panic!("{name} is not wrapped"));
            let own = own.split("\n}\n").next().expect("an end");
            for method in body.split("    fn ").skip(1).chain(body.split("    async fn ").skip(1)) {
                let name = method.split('(').next().expect("a name");
                assert!(own.contains(&format!("self.port.{name}(")), "`{name}` of {port} is not passed on");
                methods += 1;
            }
        }
    }
    assert!(methods > 20, "{methods} methods were found");
}
