//! What is refused when it is loaded, and what the operator reads then.

#![allow(clippy::panic, reason = "a test says what it found")]

use crate::kit::{Guest, IGNORE, fault_of, sandbox, still_well};
use ripcord_core::digest::Digest;
use ripcord_sandbox::{Examiner, FaultKind, LoadError, Sandbox, SandboxConfig, SandboxError};

fn refusal(sandbox: &Sandbox, bytes: &[u8]) -> LoadError {
    sandbox.load(bytes).expect_err("refused")
}

fn check(bytes: &[u8], expected: &str) {
    let sandbox = sandbox();
    let message = refusal(&sandbox, bytes).to_string();
    assert!(message.contains(expected), "{message}");
    still_well(&sandbox);
}

#[test]
fn bytes_that_are_no_component() {
    check(b"", "these bytes are not WebAssembly; give a component, as `ripcord policy build` writes it");
    check(b"#!/bin/sh", "not WebAssembly");
    check(
        &Guest::default().core(),
        "a core module, not a component; build the policy with `ripcord policy build`",
    );
    check(&vec![0; (32 << 20) + 1], "the component has 33554433 bytes, and 33554432 is the most");
    check(b"\0asm\x0d\0\x01\0", "does not export `ripcord:policy/describe`");
}

#[test]
fn a_pinned_component_is_that_one() {
    let bytes = Guest::default().component();
    let (digest, other) = (Digest::of(&bytes), Digest::of("other"));
    assert_eq!(sandbox().load_pinned(&bytes, &digest).expect("loads").reference().digest, digest);
    let error = sandbox().load_pinned(&bytes, &other).expect_err("refused").to_string();
    assert!(
        error.starts_with(&format!("the component's sha-256 is {digest}, and {other} is pinned")),
        "{error}"
    );
}

#[test]
fn other_imports() {
    let with_package = |package: &str, import: &str, core: &str| {
        let mut guest = Guest::with(IGNORE, core);
        guest.package = Some(package.into());
        guest.world = format!("import {import}; {}", guest.world);
        guest.component()
    };
    let wasi = with_package(
        "package wasi:clocks@0.2.3; interface monotonic-clock { now: func() -> u64; }",
        "wasi:clocks/monotonic-clock@0.2.3",
        "(import \"wasi:clocks/monotonic-clock@0.2.3\" \"now\" (func (result i64)))",
    );
    check(
        &wasi,
        "imports `now` of `wasi:clocks/monotonic-clock@0.2.3`; policies get everything as arguments and may import nothing \
         but `ripcord:policy/log`. Build for `wasm32-unknown-unknown` with `ripcord policy build`",
    );
    let own = with_package(
        "package acme:db@1.0.0; interface rows { count: func() -> u64; }",
        "acme:db/rows@1.0.0",
        "(import \"acme:db/rows@1.0.0\" \"count\" (func (result i64)))",
    );
    check(&own, "imports `count` of `acme:db/rows@1.0.0`");
    let mut bare = Guest::with(IGNORE, "(import \"$root\" \"now\" (func (result i64)))");
    bare.world = format!("import now: func() -> u64; {}", bare.world);
    check(&bare.component(), "imports `now`; policies");
}

#[test]
fn interfaces_without_functions_may_be_imported() {
    let bytes = Guest::default().component();
    assert!(
        String::from_utf8_lossy(&bytes).contains("ripcord:policy/types@0.1.0"),
        "the guest imports types"
    );
    assert!(sandbox().load(&bytes).is_ok());
}

#[test]
fn contracts_that_are_not_this_one() {
    let guest = |world: &str| Guest { world: world.into(), ..Guest::default() }.component();
    check(
        &guest(""),
        "does not export `ripcord:policy/describe`, so it is no policy; implement it with the guest SDK, for a contract version of 0.1.0",
    );
    check(&guest("export ripcord:policy/trigger@VERSION;"), "does not export `ripcord:policy/describe`");
    check(
        &guest("export ripcord:policy/describe@VERSION;"),
        "fills no role; export at least one of trigger, planner, approval, verification in contract version 0.1.0",
    );
    let newer = Guest { wit_version: "0.2.0".into(), ..Guest::default() };
    check(&newer.component(), "speaks version 0.2.0 of the policy contract in `ripcord:policy/");
    check(&newer.component(), "this release knows 0.1.0; build it against one of these");
    let near = Guest { wit_version: "0.1.7".into(), ..Guest::default() };
    check(&near.component(), "speaks version 0.1.7");
}

#[test]
fn the_right_names_with_the_wrong_types() {
    let package = "package ripcord:policy@0.1.0;
        interface describe { describe: func() -> string; }
        interface trigger { assess: func(input: string) -> string; }
        world guest { export describe; export trigger; }";
    let mut resolve = wit_parser::Resolve::default();
    let package = resolve.push_str("other.wit", package).expect("parses");
    let world = resolve.select_world(&[package], Some("guest")).expect("world");
    let mut module = wat::parse_str(
        "(module (memory (export \"memory\") 1)
           (func (export \"cabi_realloc\") (param i32 i32 i32 i32) (result i32) unreachable)
           (func (export \"ripcord:policy/describe@0.1.0#describe\") (result i32) unreachable)
           (func (export \"ripcord:policy/trigger@0.1.0#assess\") (param i32 i32) (result i32) unreachable))",
    )
    .expect("text");
    wit_component::embed_component_metadata(
        &mut module,
        &resolve,
        world,
        wit_component::StringEncoding::UTF8,
    )
    .expect("embeds");
    let bytes = wit_component::ComponentEncoder::default()
        .module(&module)
        .expect("module")
        .encode()
        .expect("component");
    let sandbox = sandbox();
    assert!(matches!(refusal(&sandbox, &bytes), LoadError::ContractMismatch { .. } | LoadError::Describe(_)));
    still_well(&sandbox);
}

#[test]
fn a_record_of_an_older_draft_is_refused_before_the_first_decision() {
    let older = Guest { lacks: Some("    datasets: list<dataset>,\n"), ..Guest::default() };
    let sandbox = sandbox();
    let refused = refusal(&sandbox, &older.component());
    assert!(matches!(refused, LoadError::ContractMismatch { .. }), "{refused}");
    let message = refused.to_string();
    assert!(message.contains("lineage") && message.contains("build it against the released"), "{message}");
    still_well(&sandbox);
}

#[test]
fn a_describe_that_misbehaves() {
    let describes = |body: &str| Guest { describe: Some(body.into()), ..Guest::default() };
    let sandbox = sandbox();
    let fault = |guest: Guest| match refusal(&sandbox, &guest.component()) {
        LoadError::Describe(fault) => fault.kind,
        other => panic!("{other}"),
    };
    assert_eq!(fault(describes("unreachable")), FaultKind::Trap { code: "unreachable".into() });
    assert!(matches!(fault(describes("(loop $again (br $again)) unreachable")), FaultKind::OutOfFuel { .. }));
    assert!(matches!(fault(describes("(i32.const -8)")), FaultKind::BadOutput { .. }));
    still_well(&sandbox);
}

#[test]
fn manifests_that_are_wrong() {
    let check = |change: fn(&mut Guest), expected: &str| {
        let mut guest = Guest::default();
        change(&mut guest);
        check(&guest.component(), expected);
    };
    check(
        |guest| guest.name = "no name".into(),
        "the policy's manifest is wrong: its name: `no name` is not a policy name",
    );
    check(|guest| guest.version = "one".into(), "its version `one` is not a semantic version");
    check(|guest| guest.schema = "{".into(), "its settings schema is not a JSON Schema (2020-12)");
    check(
        |guest| guest.grants = vec![(1, vec![0])],
        "in the role planner, which the component does not export",
    );
    check(|guest| guest.grants = vec![(0, vec![9])], "triggers may not ask for trials");
    check(|guest| guest.grants = vec![(0, vec![99])], "describe itself: the policy's output cannot be used");
}

#[test]
fn settings_that_fail_the_schema() {
    let guest = Guest {
        schema: r#"{"type": "object", "properties": {"threshold": {"type": "number"}}, "required": ["threshold"]}"#.into(),
        ..Guest::default()
    };
    let policy = sandbox().load(&guest.component()).expect("loads");
    let good = serde_json::json!({"threshold": 0.5});
    assert_eq!(policy.check_settings(&good).as_deref(), Ok("{\"threshold\":0.5}"));
    let bad = policy.check_settings(&serde_json::json!({"threshold": "high"})).expect_err("mistakes");
    assert_eq!(bad.mistakes[0].path, "/threshold");
}

#[test]
fn truncated_components() {
    let whole = Guest::default().component();
    let sandbox = sandbox();
    let mut loaded = 0;
    for length in 0..whole.len() {
        // Cut between two sections at the end, it only loses the names of the tools that made it.
        let Ok(policy) = sandbox.load(&whole[..length]) else { continue };
        assert_eq!(crate::kit::ask(&policy).fuel, crate::kit::GOOD_FUEL);
        loaded += 1;
    }
    assert!(loaded < 3, "{loaded}");
    still_well(&sandbox);
}

/// A generator that gives the same numbers on every machine (SplitMix64).
fn numbers(seed: u64) -> impl Iterator<Item = u64> {
    let mut state = seed;
    std::iter::from_fn(move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Some(mixed ^ (mixed >> 31))
    })
}

#[test]
fn random_bytes() {
    let sandbox = sandbox();
    for (round, start) in [b"".as_slice(), b"\0asm", b"\0asm\x01\0\0\0", b"\0asm\x0d\0\x01\0"]
        .iter()
        .cycle()
        .take(400)
        .enumerate()
    {
        let mut bytes = start.to_vec();
        bytes.extend(numbers(round as u64).take(round).map(|number| number as u8));
        assert!(sandbox.load(&bytes).is_err());
    }
    still_well(&sandbox);
}

/// A changed component is refused or is another policy; what it then does is a verdict or a fault.
#[test]
fn components_with_a_bit_changed() {
    let whole = Guest::default().component();
    let sandbox = sandbox();
    let (mut refused, mut loaded) = (0, 0);
    for bit in numbers(7).take(120).map(|number| number as usize % (whole.len() * 8)) {
        let mut changed = whole.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        match sandbox.load(&changed) {
            Err(_) => refused += 1,
            Ok(policy) => {
                loaded += 1;
                let _ = crate::kit::ask(&policy);
            }
        }
    }
    assert!(refused > 0 && loaded > 0, "{refused} refused, {loaded} loaded");
    still_well(&sandbox);
}

#[test]
fn compiled_code_is_kept_and_checked() {
    let dir = tempfile::tempdir().expect("tempdir");
    let path = dir.path().join("code");
    let start = || {
        let cache_dir = Some(ripcord_sandbox::open_cache_dir(&path).expect("opens"));
        Sandbox::new(SandboxConfig { cache_dir, slots: 4, examiner: Examiner::ThisProcess }).expect("starts")
    };
    let entry = || {
        let mut names = std::fs::read_dir(&path).expect("reads").map(|entry| entry.expect("entry").path());
        let first = names.next().expect("an entry");
        assert_eq!(names.next(), None, "one entry, nothing left beside it");
        first
    };
    let bytes = Guest::default().component();
    start().load(&bytes).expect("compiles");
    let kept = std::fs::read(entry()).expect("reads");
    // From the cache: a second start, and the same fuel.
    still_well(&start());
    assert_eq!(std::fs::read(entry()).expect("reads"), kept);
    for (at, bit) in numbers(3).take(16).map(|number| (number as usize % kept.len(), number >> 60 & 7)) {
        let mut changed = kept.clone();
        changed[at] ^= 1 << bit;
        std::fs::write(entry(), &changed).expect("writes");
        still_well(&start());
        assert_eq!(std::fs::read(entry()).expect("reads"), kept, "compiled again and kept again");
    }
    for length in [0, 1, 31, 32, 33, kept.len() / 2, kept.len() - 1] {
        std::fs::write(entry(), &kept[..length]).expect("writes");
        still_well(&start());
    }
}

#[test]
fn a_sandbox_without_slots_is_none() {
    for slots in [0, 1_001] {
        let error = Sandbox::new(SandboxConfig { slots, ..SandboxConfig::new(Examiner::ThisProcess) })
            .expect_err("refused");
        assert!(matches!(error, SandboxError::Slots(_)), "{error}");
    }
}

#[test]
fn a_module_with_too_much_memory_is_refused_at_once() {
    let huge = Guest { memory_pages: 3_000, ..Guest::default() };
    check(&huge.component(), "exceeds the limit");
    let large = Guest { memory_pages: 1_000, ..Guest::default() };
    let sandbox = sandbox();
    assert!(matches!(fault_of(&sandbox, &large), FaultKind::OutOfMemory { .. }));
}
