//! Components that are made to cost, looked at with the real program: each is refused with a sentence, and nothing else happens.

use std::path::Path;

use crate::cli::run::{Ran, run};

const CONFIG: &str = r#"
[host]
data = "data"

[policies.rule]
file = "rule.wasm"

[services.fraud-api]
registry = { kind = "command", list = ["./list.sh"], fetch = ["./fetch.sh"] }
deployer = { kind = "command", shift = ["./shift.sh"], live = ["./live.sh"], effect = "observable" }

[[services.fraud-api.triggers]]
policy = "rule"

[services.fraud-api.planner]
policy = "last-known-good"
"#;

fn leb(mut value: usize) -> Vec<u8> {
    let mut out = Vec::new();
    while value > 0x7f {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

fn section(number: u8, body: &[u8]) -> Vec<u8> {
    [vec![number], leb(body.len()), body.to_vec()].concat()
}

/// A component of so many functions, each with loops within loops around locals that are all changed.
fn tangled(functions: usize, loops: usize, locals: usize) -> Vec<u8> {
    let mut code = [vec![1], leb(locals), vec![0x7f]].concat();
    code.extend([0x03, 0x40].repeat(loops));
    for index in 0..locals {
        let (one, other) = (leb(1 + index), leb(1 + (index * 7 + 3) % locals));
        code.extend([vec![0x20], one.clone(), vec![0x20], other, vec![0x6a, 0x21], one].concat());
    }
    code.extend([0x20, 0, 0x0d, 0, 0x0b].repeat(loops));
    code.extend([0x20, 1, 0x0b]);
    let body = [leb(code.len()), code].concat();
    let module = [
        b"\0asm\x01\0\0\0".to_vec(),
        section(1, &[1, 0x60, 1, 0x7f, 1, 0x7f]),
        section(3, &[leb(functions), vec![0; functions]].concat()),
        section(10, &[leb(functions), body.repeat(functions)].concat()),
    ];
    [b"\0asm\x0d\0\x01\0".to_vec(), section(1, &module.concat())].concat()
}

/// The inspection, and the check of a configuration that names the component.
fn looked_at(folder: &Path, component: &[u8]) -> [Ran; 2] {
    std::fs::write(folder.join("rule.wasm"), component).expect("writes");
    std::fs::write(folder.join("ripcord.toml"), CONFIG).expect("writes");
    [run(folder, &["policy", "inspect", "rule.wasm"]), run(folder, &["check", "--offline"])]
}

#[track_caller]
fn refused(component: &[u8], expected: &str) {
    let folder = tempfile::tempdir().expect("folder");
    let [inspected, checked] = looked_at(folder.path(), component);
    assert_eq!(inspected.code, 1, "{}", inspected.stderr);
    assert!(unwrapped(&inspected.stderr).contains(expected), "{}", inspected.stderr);
    assert_eq!(checked.code, 2, "{}", checked.stdout);
    assert!(unwrapped(&checked.stdout).contains(expected), "{}", checked.stdout);
    assert!(!folder.path().join("data").exists(), "looking leaves nothing behind");
}

/// Whatever the width of the terminal.
fn unwrapped(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_component_whose_shape_is_too_much_is_refused() {
    refused(
        &tangled(1, 400, 400),
        "or more loops times local variables in one function, and 40000 is the most",
    );
}

#[test]
fn a_component_that_only_its_cost_gives_away_is_refused() {
    refused(
        &tangled(40, 60, 600),
        "validating and compiling the component takes more than 3 s of processor time: a function is too large or too tangled",
    );
}

#[test]
fn a_file_that_is_larger_than_any_component_is_not_read_whole() {
    let folder = tempfile::tempdir().expect("folder");
    let file = std::fs::File::create(folder.path().join("large.wasm")).expect("creates");
    // Sixty-four gigabytes of nothing.
    file.set_len(64 << 30).expect("a sparse file");
    let inspected = run(folder.path(), &["policy", "inspect", "large.wasm"]);
    assert_eq!(inspected.code, 1, "{}", inspected.stderr);
    assert!(inspected.stderr.contains("and 33554432 is the most"), "{}", inspected.stderr);
}

/// The examiner is for one parent alone, and says so to anyone else.
#[test]
fn an_examiner_without_a_parent_ends() {
    let folder = tempfile::tempdir().expect("folder");
    let ran = run(folder.path(), &["examine-policy"]);
    assert!(ran.stderr.contains("standard input is not the socket"), "{} {}", ran.code, ran.stderr);
}
