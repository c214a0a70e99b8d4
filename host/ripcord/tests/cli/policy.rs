//! A new policy compiles, builds into a component, and passes its fixtures natively and in the sandbox.

use std::path::{Path, PathBuf};

use crate::cli::run::{Ran, finish, ripcord, run};

fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("two levels down").to_owned()
}

/// Nothing is downloaded: the new crate is locked to the packages that this program was built with, which are here.
fn offline(folder: &Path, arguments: &[&str]) -> Ran {
    finish(ripcord(folder, arguments).env("CARGO_NET_OFFLINE", "true").env_remove("CARGO_TARGET_DIR"))
}

#[test]
fn a_new_policy_of_every_role_builds_and_does_what_its_fixtures_say() {
    let folder = tempfile::tempdir().expect("folder");
    // The folder lies in no checkout: all that there is of Ripcord is the program.
    let mut arguments = vec!["--json", "policy", "new", "all-in-one"];
    // The other trigger is built after it, with the same SDK.
    for role in ["drift", "planner", "approval", "verification"] {
        arguments.extend(["--role", role]);
    }
    let new = run(folder.path(), &arguments);
    assert_eq!(new.code, 0, "{}", new.stdout);
    let made = folder.path().join("all-in-one");
    assert_eq!(new.json()["sdk"], "crate");
    its_lock_file_is_complete(&made);

    let tested = offline(folder.path(), &["--json", "policy", "test", "all-in-one"]);
    assert_eq!(tested.code, 0, "{}\n{}", tested.stdout, tested.stderr);
    let report = tested.json();
    let cases = report["cases"].as_array().expect("cases");
    assert_eq!(cases.len(), 12, "{report}");
    for case in cases {
        assert_eq!((&case["component"], &case["native"]), (&"passed".into(), &"passed".into()), "{case}");
        assert!(case["fuel"].as_u64() > Some(0), "{case}");
    }

    let built = offline(folder.path(), &["--json", "policy", "build", "all-in-one"]);
    assert_eq!(built.code, 0, "{}", built.stdout);
    let built = built.json();
    assert_eq!(built["roles"], serde_json::json!(["trigger", "planner", "approval", "verification"]));
    let imports = built["imports"].as_array().expect("imports");
    assert!(imports.iter().all(|name| name.as_str().is_some_and(|name| name.starts_with("ripcord:policy/"))));
    let file = made.join("all-in-one.wasm").display().to_string();
    let inspected = run(folder.path(), &["--json", "policy", "inspect", &file]);
    assert_eq!(inspected.json()["digest"], built["digest"], "the same bytes");

    a_policy_of_the_configuration_is_looked_into_by_its_name(folder.path(), &file);
    a_wrong_fixture_is_found_on_both_sides(folder.path(), &made);
    what_it_started_ends_with_it(folder.path());
    a_second_policy_shares_the_sdk(folder.path(), &made);
}

/// Whoever ends `policy test` ends what it has started, and what that has started: cargo is replaced by a program that hangs in turn where it looks at
/// the crate, builds it, and runs its tests.
fn what_it_started_ends_with_it(folder: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let bin = folder.join("bin");
    std::fs::create_dir(&bin).expect("a folder");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").expect("a path"));
    let real = std::process::Command::new("sh").args(["-c", "command -v cargo"]).output().expect("sh");
    let real = String::from_utf8(real.stdout).expect("text");
    let started = folder.join("started");
    for (verb, signal) in [("metadata", "INT"), ("build", "TERM"), ("test", "INT"), ("test", "HUP")] {
        let text = format!(
            "#!/bin/sh\nif [ \"$1\" = {verb} ]; then\n  sleep 600 &\n  echo \"$$ $!\" > {}.part && mv {}.part {}\n  wait\nfi\nexec {} \"$@\"\n",
            started.display(),
            started.display(),
            started.display(),
            real.trim()
        );
        std::fs::write(bin.join("cargo"), text).expect("writes");
        std::fs::set_permissions(bin.join("cargo"), std::fs::Permissions::from_mode(0o755))
            .expect("its rights");
        let mut command = ripcord(folder, &["policy", "test", "all-in-one"]);
        command.env("CARGO_NET_OFFLINE", "true").env_remove("CARGO_TARGET_DIR").env("PATH", &path);
        let mut going = crate::cli::run::Going::start(command);
        until(|| started.exists(), || format!("cargo is not asked to {verb}: {}", going.said()));
        let told = std::process::Command::new("sh")
            .args(["-c", &format!("kill -{signal} {}", going.pid())])
            .status();
        assert!(told.expect("kill").success());
        until(|| !going.goes_on(), || format!("{verb}, {signal}: it goes on"));
        let ids = std::fs::read_to_string(&started).expect("reads");
        for id in ids.split_whitespace() {
            until(|| !is_alive(id), || format!("{verb}, {signal}: process {id} goes on"));
        }
        std::fs::remove_file(&started).expect("removes");
    }
}

fn until(mut wanted: impl FnMut() -> bool, otherwise: impl FnOnce() -> String) {
    let since = std::time::Instant::now();
    while !wanted() {
        if since.elapsed().as_secs() > 120 {
            panic!("{}", otherwise());
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// One that has ended and that nobody has waited for yet is dead.
fn is_alive(id: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    stat.rsplit(')')
        .next()
        .is_some_and(|rest| !rest.trim_start().is_empty() && !rest.trim_start().starts_with('Z'))
}

/// `check` recommends `ripcord policy inspect NAME`, and who signed it stands there.
fn a_policy_of_the_configuration_is_looked_into_by_its_name(folder: &Path, file: &str) {
    let key = run(folder, &["--json", "key", "new", "ada.key"]).json();
    let public = key["public_key"].as_str().expect("a key");
    let config = format!(
        "[policies.ours]\nfile = \"{file}\"\n[people.ada]\nroles = [\"approver\"]\npublic-key = \"{public}\"\n"
    );
    std::fs::write(folder.join("ripcord.toml"), config).expect("writes");
    assert_eq!(run(folder, &["policy", "sign", file, "--key", "ada.key"]).code, 0);
    let looked = run(folder, &["--json", "policy", "inspect", "ours"]);
    assert_eq!(looked.code, 0, "{}\n{}", looked.stdout, looked.stderr);
    let signatures = looked.json()["signatures"].clone();
    assert_eq!(signatures, serde_json::json!([{ "public-key": public, "is-valid": true, "person": "ada" }]));
    // The signature of other bytes is none of these.
    let mut bytes = std::fs::read(file).expect("reads");
    bytes.extend([0, 3, 1, b'x', 0]);
    std::fs::write(folder.join("other.wasm"), bytes).expect("writes");
    std::fs::copy(format!("{file}.sig"), folder.join("other.wasm.sig")).expect("copies");
    let other = run(folder, &["--json", "policy", "inspect", "other.wasm"]);
    assert_eq!(other.json()["signatures"][0]["is-valid"], false, "{}", other.stdout);
}

fn a_second_policy_shares_the_sdk(folder: &Path, made: &Path) {
    let sdk = made.join("sdk/guest-sdk").display().to_string();
    let new = run(folder, &["--json", "policy", "new", "second", "--sdk", &sdk]);
    assert_eq!(new.code, 0, "{}", new.stdout);
    let mut test = ripcord(folder, &["--json", "policy", "test", "second"]);
    let tested = finish(test.env("CARGO_NET_OFFLINE", "true").env("CARGO_TARGET_DIR", made.join("target")));
    assert_eq!(tested.code, 0, "{}\n{}", tested.stdout, tested.stderr);
    assert_eq!(tested.json()["cases"].as_array().map(Vec::len), Some(3), "{}", tested.stdout);
}

/// Plain cargo takes the crate as it is, too: it needs no registry to resolve it, and no other version of anything.
fn its_lock_file_is_complete(made: &Path) {
    let versions = || -> std::collections::BTreeSet<String> {
        let lock = std::fs::read_to_string(made.join("Cargo.lock")).expect("a lock file");
        let lock: toml::Table = lock.parse().expect("TOML");
        let packages = lock["package"].as_array().expect("packages").iter();
        packages.map(|one| format!("{} {}", one["name"], one["version"])).collect()
    };
    let given = versions();
    let mut cargo = std::process::Command::new("cargo");
    cargo.args(["metadata", "--format-version=1", "--offline"]).current_dir(made);
    let ran = cargo.output().expect("cargo starts");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let kept = versions();
    assert!(kept.is_subset(&given), "{:?}", kept.difference(&given).collect::<Vec<_>>());
}

/// What `--bless` makes of it is right on both sides, and nothing else of the file changes.
fn a_blessed_fixture_expects_what_is_answered(folder: &Path, made: &Path) {
    let blessed = offline(folder, &["--json", "policy", "test", "all-in-one", "--bless"]);
    assert_eq!(blessed.code, 0, "{}\n{}", blessed.stdout, blessed.stderr);
    assert_eq!(blessed.json()["blessed"], serde_json::json!(["drift-ignore"]));
    let text = std::fs::read_to_string(made.join("fixtures/drift-ignore.json")).expect("fixture");
    let fixture: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(fixture["expect"]["verdict"], "Ignore");
    assert_eq!(fixture["about"], "scores as in the last good period are none");
    let again = offline(folder, &["--json", "policy", "test", "all-in-one", "--bless"]);
    assert_eq!(again.json()["blessed"], serde_json::json!([]), "there is nothing left to bless");
}

fn a_wrong_fixture_is_found_on_both_sides(folder: &Path, made: &Path) {
    let fixture = made.join("fixtures/drift-ignore.json");
    let text = std::fs::read_to_string(&fixture).expect("fixture");
    std::fs::write(&fixture, text.replace("\"Ignore\"", "{ \"StandDown\": \"no\" }")).expect("writes");
    let tested = offline(folder, &["--json", "policy", "test", "all-in-one"]);
    assert_eq!(tested.code, 1, "{}", tested.stdout);
    let report = tested.json();
    let failed: Vec<_> = report["cases"]
        .as_array()
        .expect("cases")
        .iter()
        .filter(|case| case["component"] != "passed" || case["native"] != "passed")
        .collect();
    assert_eq!(failed.len(), 1, "{report}");
    assert_eq!(failed[0]["name"], "drift-ignore");
    for side in ["component", "native"] {
        let said = failed[0][side]["failed"].as_str().unwrap_or_default();
        let expected = "the answer differs\n  verdict: expected {\"StandDown\":\"no\"}, got \"Ignore\"";
        assert_eq!(said, expected, "{side}");
    }
    a_blessed_fixture_expects_what_is_answered(folder, made);
}

#[test]
fn the_starter_policies_pass_their_fixtures_as_components() {
    let policies = checkout().join("policies");
    let mut tested = 0;
    for entry in std::fs::read_dir(&policies).expect("policies") {
        let folder = entry.expect("entry").path();
        let fixtures = folder.join("fixtures");
        if !fixtures.is_dir() {
            continue;
        }
        let name = folder.file_name().expect("name").to_string_lossy().into_owned();
        let fixtures = fixtures.display().to_string();
        let ran = run(&policies, &["policy", "test", &format!("starter:{name}"), "--fixtures", &fixtures]);
        assert_eq!(ran.code, 0, "{name}:\n{}{}", ran.stdout, ran.stderr);
        tested += 1;
    }
    assert!(tested > 0);
}
