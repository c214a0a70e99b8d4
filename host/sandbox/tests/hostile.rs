//! Guests that misbehave once they run. Each ends in a typed fault, and the sandbox is as well as before.

#![allow(clippy::panic, reason = "a test says what it found")]

use crate::kit::{
    ALL_KINDS, FACTS, Guest, IGNORE, NEED_LIVE, ask, fact, fault_of, limits, question, sandbox, still_well,
};
use ripcord_core::fact::{FactKind, Request, UnavailableReason};
use ripcord_core::policy::Role;
use ripcord_core::role::{Step, Verdict};
use ripcord_sandbox::{FaultKind, Limits, Nature, Progress, Sandbox};

const LOOP: &str = "(loop $again (br $again)) unreachable";

fn check(guest: &Guest, expected: FaultKind) {
    let sandbox = sandbox();
    assert_eq!(fault_of(&sandbox, guest), expected);
    still_well(&sandbox);
}

fn check_bad_output(guest: &Guest, expected: &str) {
    let sandbox = sandbox();
    let FaultKind::BadOutput { reason } = fault_of(&sandbox, guest) else { panic!("another fault") };
    assert!(reason.contains(expected), "{reason}");
    still_well(&sandbox);
}

fn trap(code: &str) -> FaultKind {
    FaultKind::Trap { code: code.into() }
}

/// `done(roll-back(...))` and the like write into the result by offset.
fn stores(stores: &[(u32, u32)]) -> String {
    stores
        .iter()
        .map(|(offset, value)| {
            format!("(i32.store offset={offset} (global.get $result) (i32.const {value}))")
        })
        .collect()
}

fn done(fields: &[(u32, u32)]) -> String {
    format!("{} {IGNORE}", stores(fields))
}

#[test]
fn an_endless_loop_runs_out_of_fuel() {
    check(&Guest::new(LOOP), FaultKind::OutOfFuel { limit: limits().fuel });
}

#[test]
fn an_endless_loop_with_all_the_fuel_is_stopped_by_the_clock() {
    let sandbox = sandbox();
    let policy = sandbox.load(&Guest::new(LOOP).component()).expect("loads");
    let limits = Limits { fuel: u64::MAX, wall_clock_ms: 50, ..limits() };
    let fault = policy.call(&question(), &ALL_KINDS, &limits).outcome.expect_err("stopped");
    assert_eq!((fault.kind, fault.nature), (FaultKind::OutOfTime { limit_ms: 50 }, Nature::Environmental));
    still_well(&sandbox);
}

#[test]
fn one_instruction_that_works_on_much_memory_costs_as_much_fuel() {
    let fill = "(drop (memory.grow (i32.const 100)))
        (loop $again (memory.fill (i32.const 65536) (i32.const 1) (i32.const 6000000)) (br $again)) unreachable";
    check(&Guest::new(fill), FaultKind::OutOfFuel { limit: limits().fuel });
}

#[test]
fn recursion_without_end_overflows_the_guest_s_stack_only() {
    let deep = Guest::with(
        "(call $deep (i64.const 1)) drop unreachable",
        "(func $deep (param i64) (result i64) (i64.add (call $deep (i64.add (local.get 0) (i64.const 1))) (local.get 0)))",
    );
    check(&deep, FaultKind::StackOverflow);
}

#[test]
fn memory_has_an_end() {
    let limit_bytes = limits().memory_bytes_max;
    check(
        &Guest::new("(drop (memory.grow (i32.const 1000))) unreachable"),
        FaultKind::OutOfMemory { limit_bytes },
    );
    let little_by_little = "(loop $again (drop (memory.grow (i32.const 1))) (br $again)) unreachable";
    check(&Guest::new(little_by_little), FaultKind::OutOfMemory { limit_bytes });
    let from_the_start = Guest { memory_pages: 200, ..Guest::default() };
    let sandbox = sandbox();
    assert_eq!(fault_of(&sandbox, &from_the_start), FaultKind::OutOfMemory { limit_bytes });
}

#[test]
fn tables_have_an_end() {
    let grow =
        "(loop $again (drop (table.grow $table (ref.null func) (i32.const 1000))) (br $again)) unreachable";
    let guest = Guest::with(grow, "(table $table 1 funcref)");
    check(&guest, FaultKind::TableTooLarge { limit: limits().table_elements_max });
}

#[test]
fn traps_are_named() {
    check(&Guest::new("unreachable"), trap("unreachable"));
    check(&Guest::new("(i32.div_u (i32.const 1) (i32.const 0))"), trap("integer-divide-by-zero"));
    check(&Guest::new("(i32.div_s (i32.const 0x80000000) (i32.const -1))"), trap("integer-overflow"));
    check(&Guest::new("(i32.load (i32.const -1))"), trap("memory-out-of-bounds"));
    check(&Guest::new("(i32.trunc_f64_s (f64.const nan))"), trap("bad-conversion-to-integer"));
    let indirect =
        Guest::with("(call_indirect $table (result i32) (i32.const 0))", "(table $table 1 funcref)");
    check(&indirect, trap("indirect-call-to-null"));
    let beyond = Guest::with("(call_indirect $table (result i32) (i32.const 9))", "(table $table 1 funcref)");
    check(&beyond, trap("table-out-of-bounds"));
}

/// Writes a line: severity 2 is critical.
fn log(severity: u32, at: u32, bytes: u32) -> String {
    format!(
        "(call $log (i32.const {severity}) (i32.const 0) (i32.const 0) (i32.const {at}) (i32.const {bytes}))"
    )
}

#[test]
fn a_panic_tells_its_message() {
    let data = "(data (i32.const 40000) \"index 7 of 3 at src/lib.rs:9\")";
    let guest = Guest::with(format!("{} unreachable", log(2, 40_000, 28)), data);
    check(&guest, FaultKind::Panic { message: "index 7 of 3 at src/lib.rs:9".into() });
    let harmless = Guest::with(format!("{} unreachable", log(1, 40_000, 28)), data);
    check(&harmless, trap("unreachable"));
}

#[test]
fn a_log_flood_is_a_fault_and_long_lines_are_cut() {
    let flood = format!("(loop $again {} (br $again)) unreachable", log(0, 1024, 10));
    let sandbox = sandbox();
    let policy = sandbox.load(&Guest::new(flood).component()).expect("loads");
    let call = ask(&policy);
    assert_eq!(
        call.outcome.expect_err("faults").kind,
        FaultKind::LogFlood { limit_lines: 200, limit_bytes: 65_536 }
    );
    assert_eq!(call.log.len(), 200, "what was written is kept");
    let wide = format!("(loop $again {} (br $again)) unreachable", log(0, 1024, 4_000));
    let call = ask(&sandbox.load(&Guest::new(wide).component()).expect("loads"));
    assert!(matches!(call.outcome.expect_err("faults").kind, FaultKind::LogFlood { .. }));
    assert_eq!(call.log.len(), 16, "as many as fit into 64 KiB");
    let long = format!(
        "(memory.fill (i32.const 40000) (i32.const 65) (i32.const 20000)) {} {IGNORE}",
        log(1, 40_000, 20_000)
    );
    let call = ask(&sandbox.load(&Guest::new(long).component()).expect("loads"));
    assert!(call.outcome.is_ok());
    assert_eq!(call.log[0].text.len() as u64, limits().log_line_bytes_max);
    still_well(&sandbox);
}

#[test]
fn a_log_line_from_beyond_the_memory_is_bad_output() {
    check_bad_output(&Guest::new(format!("{} {IGNORE}", log(1, 0x7fff_0000, 10))), "out of bounds");
}

#[test]
fn a_guest_that_gives_up_says_why() {
    let gives_up = "(i32.store8 (global.get $result) (i32.const 1))";
    let fields = stores(&[(8, 40_000), (12, 9)]);
    let guest = Guest::with(
        format!("{gives_up} {fields} (global.get $result)"),
        "(data (i32.const 40000) \"no column\")",
    );
    check(&guest, FaultKind::GuestError { message: "no column".into() });
}

#[test]
fn output_that_does_not_fit_the_types_is_bad_output() {
    check_bad_output(&Guest::new("(i32.const 0x7ffffff0)"), "pointer");
    check_bad_output(&Guest::new("(i32.const 16385)"), "align");
    // A list of notes that claims four gigabytes.
    check_bad_output(&Guest::new(done(&[(72, 1024), (76, u32::MAX)])), "out of bounds");
    // A verdict that the contract does not have.
    check_bad_output(&Guest::new(done(&[(16, 77)])), "discriminant");
    // A reason to stand down that is not UTF-8.
    let not_text =
        Guest::with(done(&[(16, 3), (24, 40_000), (28, 2)]), "(data (i32.const 40000) \"\\ff\\fe\")");
    check_bad_output(&not_text, "utf-8");
}

#[test]
fn output_that_is_small_in_the_guest_and_large_in_the_host_is_stopped() {
    // Each of a hundred notes points at the same megabyte.
    let notes = format!(
        "(local $n i32) (drop (memory.grow (i32.const 40)))
         (loop $next
           (i32.store8 (i32.add (i32.const 70000) (i32.mul (local.get $n) (i32.const 20))) (i32.const 0))
           (i32.store offset=12 (i32.add (i32.const 70000) (i32.mul (local.get $n) (i32.const 20))) (i32.const 100000))
           (i32.store offset=16 (i32.add (i32.const 70000) (i32.mul (local.get $n) (i32.const 20))) (i32.const 1000000))
           (local.set $n (i32.add (local.get $n) (i32.const 1)))
           (br_if $next (i32.lt_u (local.get $n) (i32.const 100))))
         {}",
        done(&[(72, 70_000), (76, 100)])
    );
    let limit_bytes = limits().output_bytes_max;
    check(&Guest::new(notes), FaultKind::OutputTooLarge { limit_bytes });
    let log_line = format!("(drop (memory.grow (i32.const 40))) {} {IGNORE}", log(1, 65_536, 2_000_000));
    check(&Guest::new(log_line), FaultKind::OutputTooLarge { limit_bytes });
}

#[test]
fn a_memo_has_a_limit() {
    let remembers = |bytes| Guest::new(done(&[(80, 1024), (84, bytes)]));
    let max = limits().memo_bytes_max;
    check(&remembers(max as u32 + 1), FaultKind::MemoTooLarge { limit_bytes: max });
    let sandbox = sandbox();
    let call = ask(&sandbox.load(&remembers(max as u32).component()).expect("loads"));
    assert!(matches!(call.outcome, Ok(Step::Done(answer)) if answer.memo.len() as u64 == max));
}

#[test]
fn all_nans_are_one() {
    // 0/0, and an operation on a NaN with a payload: eight bytes each, as the memo.
    let computes = "
        (f64.store (i32.const 40000) (f64.div (f64.const 0) (f64.load (i32.const 41000))))
        (f64.store (i32.const 40008) (f64.add (f64.load (i32.const 41008)) (f64.const 1)))";
    let guest = Guest::with(
        format!("{computes} {}", done(&[(80, 40_000), (84, 16)])),
        "(data (i32.const 41008) \"\\ef\\be\\ad\\de\\00\\00\\f8\\ff\")",
    );
    let sandbox = sandbox();
    let call = ask(&sandbox.load(&guest.component()).expect("loads"));
    let Ok(Step::Done(answer)) = call.outcome else { panic!("no answer") };
    assert_eq!(answer.memo, f64::NAN.to_bits().to_le_bytes().repeat(2));
}

#[test]
fn instants_that_have_passed_are_no_time_to_ask_again() {
    let watch = |at: u64| {
        Guest::new(format!(
            "(i64.store offset=24 (global.get $result) (i64.const {at})) {}",
            done(&[(16, 1)])
        ))
    };
    check_bad_output(&watch(1_000_000), "1000000 ms, which is not after the decision's own 1000000 ms");
    let sandbox = sandbox();
    assert!(ask(&sandbox.load(&watch(1_000_001).component()).expect("loads")).outcome.is_ok());
}

#[test]
fn long_texts_are_cut() {
    let fields = done(&[(16, 3), (24, 40_000), (28, 20_000)]);
    let guest =
        Guest::new(format!("(memory.fill (i32.const 40000) (i32.const 65) (i32.const 20000)) {fields}"));
    let call = ask(&sandbox().load(&guest.component()).expect("loads"));
    let Ok(Step::Done(answer)) = call.outcome else { panic!("no answer") };
    let Verdict::Trigger(ripcord_core::role::TriggerVerdict::StandDown(reason)) = answer.verdict else {
        panic!("another verdict")
    };
    assert_eq!(reason.len() as u64, limits().text_bytes_max);
}

/// Asks for so many facts of one kind; the request is at 20000 and zero but for its case and what `fields` store.
fn needs(case: u32, count: u32, fields: &[(u32, u64)]) -> Guest {
    let fields: String = fields
        .iter()
        .map(|(at, value)| format!("(i64.store (i32.const {at}) (i64.const {value}))"))
        .collect();
    let copies: String = (0..count)
        .map(|n| format!("(i32.store8 (i32.const {}) (i32.const {case}))", 20_000 + n * 56))
        .collect();
    Guest::new(format!("{fields} {copies} {} (global.get $result)", stores(&[(16, 20_000), (20, count)])))
}

#[test]
fn facts_are_given_only_when_declared_and_granted() {
    check(&needs(13, 1, &[]), FaultKind::UndeclaredFact { fact: FactKind::Votes, role: Role::Trigger });
    let sandbox = sandbox();
    let policy = sandbox.load(&Guest::new(NEED_LIVE).component()).expect("loads");
    let fault = policy.call(&question(), &[FactKind::Metric], &limits()).outcome.expect_err("faults");
    assert_eq!(fault.kind, FaultKind::UngrantedFact { fact: FactKind::Live });
    assert_eq!(fault.nature, Nature::Deterministic);
    still_well(&sandbox);
}

#[test]
fn requests_are_counted_and_read() {
    check(&needs(3, 65, &[]), FaultKind::TooManyRequests { limit: 64 });
    // A metric range with a step of zero.
    check_bad_output(&needs(1, 1, &[]), "step of 0 ms");
    // History within a window that ends before it starts.
    check_bad_output(&needs(12, 1, &[(20_008, 5), (20_016, 4)]), "starts at 5 ms and ends before, at 4 ms");
    // The lineage of a version without a name.
    check_bad_output(&needs(8, 1, &[]), "is not a version");
}

#[test]
fn asking_for_nothing_new_is_a_fault() {
    let sandbox = sandbox();
    let policy = sandbox.load(&Guest::new(NEED_LIVE).component()).expect("loads");
    let mut deciding = policy.begin(&question(), &ALL_KINDS, &limits());
    assert_eq!(deciding.call(), Progress::Need(vec![Request::Live]));
    deciding.add_facts(vec![fact("f1", Request::Live)]).expect("answers");
    let Progress::Fault(fault) = deciding.call() else { panic!("no fault") };
    assert_eq!(fault.kind, FaultKind::NothingNew);
    let nothing = sandbox.load(&Guest::new("(global.get $result)").component()).expect("loads");
    let Progress::Fault(fault) = nothing.begin(&question(), &ALL_KINDS, &limits()).call() else {
        panic!("no fault")
    };
    assert_eq!(fault.kind, FaultKind::NothingNew);
    still_well(&sandbox);
}

/// Asks for a metric at an instant that grows with the facts: something new each time.
fn never_content() -> Guest {
    Guest::new(format!(
        "(i32.store8 offset=32 (i32.const 20000) (i32.const 1))
         (i64.store offset=40 (i32.const 20000) (i64.extend_i32_u {FACTS}))
         {} (global.get $result)",
        stores(&[(16, 20_000), (20, 1)])
    ))
}

#[test]
fn asking_without_end_is_a_fault() {
    let sandbox = sandbox();
    let policy = sandbox.load(&never_content().component()).expect("loads");
    let mut deciding = policy.begin(&question(), &ALL_KINDS, &limits());
    let mut rounds = 0;
    let fault = loop {
        rounds += 1;
        match deciding.call() {
            Progress::Need(requests) => {
                let facts = requests.into_iter().map(|request| fact(&rounds.to_string(), request)).collect();
                deciding.add_facts(facts).expect("answers");
            }
            Progress::Fault(fault) => break fault,
            Progress::Done(answer) => panic!("{answer:?}"),
        }
    };
    assert_eq!((fault.kind, rounds), (FaultKind::TooManyRounds { limit: 8 }, 8));
    still_well(&sandbox);
}

#[test]
fn facts_that_do_not_fit_reach_the_policy_as_too_large() {
    let sandbox = sandbox();
    let policy = sandbox.load(&never_content().component()).expect("loads");
    let limits = Limits { fact_bytes_max: 1_000, rounds_max: 3, ..limits() };
    let mut deciding = policy.begin(&question(), &ALL_KINDS, &limits);
    let Progress::Need(requests) = deciding.call() else { panic!("no request") };
    let mut large = fact("f1", requests[0].clone());
    large.source = "x".repeat(2_000);
    deciding.add_facts(vec![large]).expect("answers");
    let Progress::Need(_) = deciding.call() else { panic!("no request") };
    let recording = ripcord_sandbox::Recording::read(&deciding.finish().expect("records")).expect("reads");
    let reason = &recording.question["trigger"]["facts"][0]["value"]["Err"]["reason"];
    assert_eq!(reason, "TooLarge", "{:?}", UnavailableReason::TooLarge);
}

#[test]
fn going_on_without_facts_is_the_host_s_fault() {
    let policy = sandbox().load(&Guest::new(NEED_LIVE).component()).expect("loads");
    let mut deciding = policy.begin(&question(), &ALL_KINDS, &limits());
    deciding.call();
    let Progress::Fault(fault) = deciding.call() else { panic!("no fault") };
    assert_eq!(fault.kind, FaultKind::Unanswered { request: Box::new(Request::Live) });
    assert_eq!(fault.nature, Nature::Environmental);
}

#[test]
fn a_role_that_is_not_there_is_a_fault() {
    let policy = sandbox().load(&Guest::default().component()).expect("loads");
    let ripcord_core::role::Question::Trigger(input) = question() else { panic!("a trigger's") };
    let planner = ripcord_core::role::Question::Planner(ripcord_core::role::PlannerInput {
        context: input.context,
        signals: input.signals,
        proposal: ripcord_core::role::Proposal {
            cause: "wrong".into(),
            strategy: ripcord_core::target::Strategy::Version,
            urgency: ripcord_core::role::Urgency::Urgent,
            harm_began_at: None,
        },
        tried: vec![],
        facts: vec![],
    });
    let expected = FaultKind::RoleNotExported { role: Role::Planner };
    assert_eq!(policy.call(&planner, &ALL_KINDS, &limits()).outcome.expect_err("faults").kind, expected);
    let Progress::Fault(fault) = policy.begin(&planner, &ALL_KINDS, &limits()).call() else {
        panic!("no fault")
    };
    assert_eq!(fault.kind, expected);
}

fn busy(sandbox: &Sandbox, callers: usize, wait_ms: u64) -> Vec<Result<Step, FaultKind>> {
    let spin = format!(
        "(local $n i32) (loop $again (local.set $n (i32.add (local.get $n) (i32.const 1)))
         (br_if $again (i32.lt_u (local.get $n) (i32.const 30000000)))) {IGNORE}"
    );
    let policy = sandbox.load(&Guest::new(spin).component()).expect("loads");
    let limits = Limits { fuel: 1_000_000_000, slot_wait_ms: wait_ms, wall_clock_ms: 60_000, ..limits() };
    // All come at once, and each takes longer than the system lets one thread run before the next: slots are taken while others ask.
    let start = std::sync::Barrier::new(callers);
    std::thread::scope(|scope| {
        let callers: Vec<_> = (0..callers)
            .map(|_| {
                scope.spawn(|| {
                    start.wait();
                    policy.call(&question(), &ALL_KINDS, &limits).outcome.map_err(|fault| fault.kind)
                })
            })
            .collect();
        callers.into_iter().map(|caller| caller.join().expect("no panic")).collect()
    })
}

#[test]
fn more_callers_than_slots_wait_or_are_told() {
    let sandbox = sandbox();
    let patient = busy(&sandbox, 24, 60_000);
    assert!(patient.iter().all(Result::is_ok), "{patient:?}");
    let hasty = busy(&sandbox, 24, 0);
    let told = hasty.iter().filter(|outcome| **outcome == Err(FaultKind::PoolExhausted { slots: 4 })).count();
    let answered = hasty.iter().filter(|outcome| outcome.is_ok()).count();
    assert_eq!(told + answered, 24, "{hasty:?}");
    assert!(answered >= 1 && told >= 1, "{hasty:?}");
    still_well(&sandbox);
}
