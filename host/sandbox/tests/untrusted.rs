//! Bytes that nobody has approved: each kind is refused within one budget of time and memory, with a sentence that says what to do.
//!
//! The examiner is a process of its own, as in the host: this program, told to run one test.

#![allow(clippy::panic, reason = "a test says what it found")]

use crate::kit::bytes::{around, component, functions, leb, list, loops, module, name, section, straight};
use crate::kit::{self, Guest, ask, still_well};
use ripcord_sandbox::{Examiner, LoadError, Sandbox, SandboxConfig, examine_for_parent};

#[test]
#[ignore = "this is the examiner that the other tests start"]
fn an_examiner() {
    examine_for_parent().expect("a parent");
}

/// A sandbox that has strange components examined as the host does.
fn sandbox() -> Sandbox {
    let here = module_path!().split_once("::").map_or(String::new(), |(_, rest)| format!("{rest}::"));
    let test = format!("{here}an_examiner");
    let arguments = ["--ignored", "--exact", test.as_str()].map(Into::into).to_vec();
    let program = std::env::current_exe().expect("this test");
    let examiner = Examiner::Program { program, arguments };
    Sandbox::new(SandboxConfig { slots: 4, ..SandboxConfig::new(examiner) }).expect("starts")
}

#[track_caller]
fn refused(bytes: &[u8], expected: &str) {
    let sandbox = sandbox();
    let message = sandbox.load(bytes).expect_err("refused").to_string();
    assert!(message.contains(expected), "{message}");
    assert!(message.len() < 1_000, "a message for people has an end: {} bytes", message.len());
    still_well(&sandbox);
}

fn text(component: &str) -> Vec<u8> {
    wat::parse_str(component).expect("the text is well formed")
}

/// What is refused by its shape, before a compiler sees it.
mod shape {
    use super::*;

    #[test]
    fn instances_of_instances() {
        // Each makes two of the one before: 2^16 instances in two kilobytes.
        let mut body = "(component $c0 (core module $m (func)) (core instance (instantiate $m)))".to_owned();
        for level in 1..=16 {
            let below = level - 1;
            body += &format!(
                "(component $c{level} (alias outer $root $c{below} (component $below))
                   (instance (instantiate $below)) (instance (instantiate $below)))"
            );
        }
        let bytes = text(&format!("(component $root {body} (instance (instantiate $c16)))"));
        assert!(bytes.len() < 2_000, "{}", bytes.len());
        refused(
            &bytes,
            "or more instances of components within it, and 300 is the most; build the policy as one module",
        );
    }

    #[test]
    fn components_as_arguments() {
        let bytes = text(
            "(component (component $twice (import \"x\" (component $x))
               (instance (instantiate $x)) (instance (instantiate $x))))",
        );
        refused(&bytes, "components that are passed between components, and 0 is the most");
    }

    #[test]
    fn components_within_components() {
        let nested = (0..60).fold(component(&[]), |inner, _| component(&[section(4, &inner)]));
        refused(&nested, "levels of components within components, and 10 is the most");
    }

    #[test]
    fn a_function_of_loops_within_loops() {
        for (count, locals) in [(400, 400), (800, 800), (3_000, 3_000)] {
            let bytes = around(&functions([loops(count, locals)]));
            refused(
                &bytes,
                "loops times local variables in one function, and 40000 is the most; split that function",
            );
        }
    }

    #[test]
    fn functions_without_number() {
        let bytes = around(&functions(std::iter::repeat_n(vec![0, 0x20, 0, 0x0b], 300_000)));
        refused(&bytes, "300000 or more functions, and 30000 is the most; build it with `opt-level = \"s\"`");
    }

    #[test]
    fn functions_too_large() {
        refused(&around(&functions([straight(100_000)])), "bytes in one function, and 524288 is the most");
        let bytes = around(&functions(std::iter::repeat_n(straight(40_000), 30)));
        refused(&bytes, "bytes of functions, and 8388608 is the most");
        let blocks = [vec![0], [0x02, 0x40].repeat(3_000), vec![0x0b; 3_000], vec![0x20, 0, 0x0b]].concat();
        refused(&around(&functions([blocks])), "blocks within blocks in one function, and 2000 is the most");
        let many_locals = [vec![1], leb(50_000), vec![0x7f, 0x20, 0, 0x0b]].concat();
        refused(&around(&functions([many_locals])), "local variables in one function, and 5000 is the most");
        let table =
            [vec![0, 0x20, 0, 0x20, 0, 0x0e], list(std::iter::repeat_n(vec![0], 100_000)), vec![0, 0x0b]];
        refused(
            &around(&functions([table.concat()])),
            "targets of jump tables in one function, and 50000 is the most",
        );
    }

    #[test]
    fn types_without_number() {
        let types = list(std::iter::repeat_n(vec![0x60, 0, 0], 200_000));
        refused(&around(&module(&[section(1, &types)])), "or more types, and 10000 is the most");
        let wide = [vec![0x60], list(std::iter::repeat_n(vec![0x7f], 1_000)), vec![0]].concat();
        let types = list(std::iter::repeat_n(wide, 1_000));
        refused(&around(&module(&[section(1, &types)])), "or more parts of types");
        let record =
            [vec![0x72], list((0..5_000).map(|field| [name(&format!("f{field}")), vec![0x7f]].concat()))];
        let types = list(std::iter::repeat_n(record.concat(), 100));
        refused(&component(&[section(7, &types)]), "or more parts of types");
    }

    #[test]
    fn imports_exports_globals_segments_and_elements_without_number() {
        let imports =
            list((0..20_000).map(|number| [name("m"), name(&format!("f{number}")), vec![0, 0]].concat()));
        let one_type = section(1, &list([vec![0x60, 0, 0]]));
        refused(
            &around(&module(&[one_type, section(2, &imports)])),
            "or more imports and exports, and 10000",
        );
        let globals = list(std::iter::repeat_n(vec![0x7f, 0, 0x41, 0, 0x0b], 200_000));
        refused(&around(&module(&[section(6, &globals)])), "or more globals, tables and memories");
        let memory = section(5, &list([vec![0, 1]]));
        let data = list(std::iter::repeat_n(vec![0, 0x41, 0, 0x0b, 0], 50_000));
        refused(&around(&module(&[memory, section(11, &data)])), "or more segments of data and elements");
        let elements = [vec![0, 0x41, 0, 0x0b], list(std::iter::repeat_n(vec![0], 500_000))].concat();
        let parts = [
            section(1, &list([vec![0x60, 0, 0]])),
            section(3, &list([vec![0]])),
            section(4, &list([[vec![0x70, 0], leb(500_000)].concat()])),
            section(9, &list([elements])),
            section(10, &list([vec![2, 0, 0x0b]])),
        ];
        refused(&around(&module(&parts)), "or more table elements, and 100000 is the most");
    }

    #[test]
    fn more_bytes_than_are_read() {
        let names = section(0, &[name("x"), vec![0; 33 << 20]].concat());
        refused(&component(&[names]), "bytes, and 33554432 is the most");
    }
}

/// What only its cost gives away: the examiner runs into its limits, and the host is as well as before.
mod cost {
    use super::*;

    #[test]
    fn functions_that_are_each_just_small_enough() {
        let bytes = around(&functions(std::iter::repeat_n(loops(60, 600), 40)));
        refused(
            &bytes,
            "validating and compiling the component takes more than 5 s of processor time: a function is too large",
        );
    }

    #[test]
    fn functions_whose_merges_fill_the_memory() {
        let bytes = around(&functions(std::iter::repeat_n(loops(150, 260), 400)));
        // Which of the two bounds it meets first, memory or time, depends on how the compiler was built.
        refused(&bytes, "validating and compiling the component takes more than");
    }

    #[test]
    fn types_within_types() {
        // An instance type within an instance type, and so on: whoever reads it goes as deep.
        let nested = (0..20_000).fold(vec![0x42, 0], |inner, _| [vec![0x42, 1, 1], inner].concat());
        let message =
            sandbox().load(&component(&[section(7, &list([nested]))])).expect_err("refused").to_string();
        assert!(
            message.contains("the component broke the compiler") || message.contains("broken"),
            "{message}"
        );
    }

    #[test]
    fn types_that_double() {
        let mut types = vec![vec![0x72, 1, 1, b'a', 0x7f]];
        types.extend((0..60_u8).map(|below| vec![0x72, 2, 1, b'a', below, 1, b'b', below]));
        let bytes = component(&[section(7, &list(types))]);
        refused(&bytes, "effective type size exceeds the limit of 1000000");
    }
}

/// A policy that is good but for what it says of itself.
mod description {
    use super::*;

    fn describes(body: &str) -> Vec<u8> {
        Guest { describe: Some(body.into()), ..Guest::default() }.component()
    }

    #[test]
    fn a_describe_without_end() {
        refused(
            &describes("(loop $again (br $again)) unreachable"),
            "the policy cannot describe itself: the policy used all its fuel (50000000 units)",
        );
        refused(
            &describes("(loop $again (drop (memory.grow (i32.const 1))) (br $again)) unreachable"),
            "the policy cannot describe itself: the policy asked for more than 67108864 bytes of memory",
        );
    }

    #[test]
    fn a_schema_as_large_as_its_memory() {
        let guest = Guest {
            describe: Some(
                "(i32.store (i32.const 1048) (i32.const 70000)) (i32.store (i32.const 1052) (i32.const 3000000))
                 (drop (memory.grow (i32.const 60))) (i32.const 1024)".into(),
            ),
            ..Guest::default()
        };
        refused(&guest.component(), "the policy's output is larger than 524288 bytes");
    }

    #[test]
    fn a_start_function_without_end() {
        let guest = Guest::with(kit::IGNORE, "(func $start (loop $again (br $again))) (start $start)");
        refused(&guest.component(), "the policy used all its fuel");
    }

    #[test]
    fn a_schema_that_doubles() {
        for schema in ["schema-14-levels", "schema-30-levels"] {
            let levels: usize = schema[7..9].parse().expect("a number");
            let mut definitions = serde_json::Map::new();
            for level in 0..levels {
                let below = serde_json::json!({ "$ref": format!("#/$defs/step{}", level + 1) });
                definitions.insert(format!("step{level}"), serde_json::json!({ "oneOf": [below, below] }));
            }
            definitions.insert(format!("step{levels}"), serde_json::json!({ "type": "object" }));
            let schema = serde_json::json!({ "$ref": "#/$defs/step0", "$defs": definitions }).to_string();
            refused(
                &Guest { schema, memory_pages: 4, ..Guest::default() }.component(),
                "the policy's manifest is wrong: its settings schema cannot be used: it comes to more than 10000 subschemas",
            );
        }
    }

    #[test]
    fn a_fact_kind_named_over_and_over() {
        let guest = Guest { grants: vec![(0, vec![0; 10_000])], memory_pages: 4, ..Guest::default() };
        refused(&guest.component(), "it lists `metric` twice in the role trigger");
    }
}

#[test]
fn a_good_policy_is_examined_and_runs_as_if_it_had_been_compiled_here() {
    let sandbox = sandbox();
    still_well(&sandbox);
    let bytes = Guest::default().component();
    let examined = ask(&sandbox.load(&bytes).expect("loads"));
    assert_eq!(examined, ask(&kit::sandbox().load(&bytes).expect("loads")));
}

#[test]
fn a_policy_twice_as_large_as_a_starter_passes() {
    // 1,600 functions and 640 kB of code; half of them with loops.
    let bodies = (0..1_600).map(|number| if number % 2 == 0 { straight(70) } else { loops(6, 30) });
    let message = sandbox().load(&around(&functions(bodies))).expect_err("no policy").to_string();
    assert!(
        message.contains("does not export `ripcord:policy/describe`"),
        "compiled, and then seen to be no policy: {message}"
    );
}

#[test]
fn a_program_that_is_no_examiner_is_named() {
    for (program, expected) in [("/bin/true", "it gave no answer"), ("/no/such/program", "No such file")] {
        let examiner = Examiner::Program { program: program.into(), arguments: Vec::new() };
        let sandbox =
            Sandbox::new(SandboxConfig { slots: 1, ..SandboxConfig::new(examiner) }).expect("starts");
        let error = sandbox.load(&Guest::default().component()).expect_err("refused");
        assert!(matches!(error, LoadError::Examination(_)), "{error}");
        let message = error.to_string();
        assert!(message.contains(program) && message.contains(expected), "{message}");
    }
}
