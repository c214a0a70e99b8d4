//! One decision of a starter policy over 60 points: through the sandbox, and in a bare wasmtime program with the same component and engine
//! settings. Their ratio is what the sandbox costs: limits, conversion of question and answer, checks.

#![allow(clippy::panic, reason = "a benchmark has no other way to fail")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;

use ciborium::Value;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use ripcord_core::alert::StandingAlert;
use ripcord_core::canonical;
use ripcord_core::fact::{Fact, FactKind, Point, Request, Series, Value as FactValue};
use ripcord_core::name::{ServiceName, SignalId};
use ripcord_core::role::{Context, Criticality, Question, ServiceFacts, TriggerInput};
use ripcord_core::signal::{Origin, Severity, Signal, SignalKind, SignalStatus};
use ripcord_core::time::UnixMillis;
use ripcord_sandbox::{
    Deciding, Examiner, FuelCheck, Limits, Policy, Progress, Replayed, Sandbox, SandboxConfig, replay,
};
use wasmtime::component::{Component, HasSelf, InstancePre, Linker};
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store};

mod bare {
    #![allow(missing_docs, unreachable_pub, clippy::all)]
    wasmtime::component::bindgen!({
        path: "../../wit/policy/0.1",
        inline: "
            package bench:bare;
            world one-trigger { import ripcord:policy/log@0.1.0; export ripcord:policy/trigger@0.1.0; }
        ",
        world: "bench:bare/one-trigger",
        additional_derives: [serde::Deserialize],
    });
}
use bare::exports::ripcord::policy::trigger;

const NOW: u64 = 1_700_000_000_000;
const POINTS: u64 = 60;
const GRANT: [FactKind; 1] = [FactKind::MetricRange];

fn component() -> Vec<u8> {
    let policy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/threshold-trigger");
    let packed = ripcord_pack::build(&policy, Path::new(env!("CARGO_TARGET_TMPDIR")));
    packed.expect("the starter policy builds").component
}

fn question(policy: &Policy) -> Question {
    let settings = serde_json::json!({
        "metric": {"query": "error_ratio"}, "when": "over", "limit": {"absolute": 0.05}, "for": "30m",
        "sampling": {"step": "1m"},
    });
    Question::Trigger(TriggerInput {
        context: Context {
            service: ServiceFacts {
                name: ServiceName::new("fraud-api").expect("name"),
                environment: "production".into(),
                criticality: Criticality::High,
                model: "fraud".into(),
                labels: vec![],
            },
            incident: None,
            now: UnixMillis(NOW),
            settings: policy.check_settings(&settings).expect("settings"),
            drill: false,
            live_since: None,
            memo: None,
        },
        signals: vec![StandingAlert::from(Signal {
            id: SignalId::new("s1").expect("id"),
            origin: Origin::Webhook("alertmanager".into()),
            rule: "FraudErrors".into(),
            status: SignalStatus::Firing,
            kind: SignalKind::Condition,
            severity: Severity::Critical,
            labels: vec![],
            annotations: vec![],
            started_at: UnixMillis(NOW - 300_000),
            ended_at: None,
            received_at: UnixMillis(NOW - 10_000),
        })],
        facts: vec![],
    })
}

/// 60 points a minute apart, all well.
fn fact(request: Request) -> Fact {
    let points = (0..POINTS)
        .map(|n| Point { at: UnixMillis(NOW - (POINTS - 1 - n) * 60_000), value: 0.01 + n as f64 / 1e4 })
        .collect();
    Fact {
        id: "f1".into(),
        request,
        value: Ok(FactValue::MetricRange(vec![Series { labels: vec![], points }])),
        source: "prometheus".into(),
        as_of: UnixMillis(NOW),
    }
}

/// A decision that has its verdict, and all facts that it used.
fn decided(policy: &Policy, question: &Question) -> (Deciding, Vec<Fact>) {
    let mut deciding = policy.begin(question, &GRANT, &Limits::default());
    let mut all = Vec::new();
    loop {
        match deciding.call() {
            Progress::Need(requests) => {
                let facts: Vec<_> = requests.into_iter().map(fact).collect();
                all.extend(facts.clone());
                deciding.add_facts(facts).expect("answers");
            }
            Progress::Done(_) => return (deciding, all),
            Progress::Fault(fault) => panic!("{fault}"),
        }
    }
}

struct Bare {
    engine: Engine,
    pre: InstancePre<Quiet>,
    trigger: trigger::GuestIndices,
    input: trigger::Input,
}

struct Quiet;

impl bare::ripcord::policy::log::Host for Quiet {
    fn write(&mut self, _: bare::ripcord::policy::types::Severity, _: String) {}
}

impl bare::ripcord::policy::types::Host for Quiet {}

impl Bare {
    fn new(component: &[u8], recording: &[u8]) -> Self {
        let mut pool = PoolingAllocationConfig::new();
        pool.total_component_instances(32)
            .total_core_instances(256)
            .total_memories(32)
            .total_tables(128)
            .max_memory_size(128 << 20)
            .linear_memory_keep_resident(256 << 10)
            .table_keep_resident(32 << 10)
            .pagemap_scan(Enabled::Auto);
        let mut config = Config::new();
        config
            .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
            .consume_fuel(true)
            .epoch_interruption(true)
            .cranelift_nan_canonicalization(true)
            .relaxed_simd_deterministic(true);
        let engine = Engine::new(&config).expect("engine");
        let mut linker = Linker::new(&engine);
        bare::ripcord::policy::log::add_to_linker::<Quiet, HasSelf<Quiet>>(&mut linker, |quiet| quiet)
            .expect("links");
        let component = Component::new(&engine, component).expect("compiles");
        let pre = linker.instantiate_pre(&component).expect("links");
        let trigger = trigger::GuestIndices::new(&pre).expect("a trigger");
        let value: Value = canonical::from_cbor(recording).expect("cbor");
        let field = |value: &Value, name: &str| {
            let map = value.as_map().expect("a map");
            map.iter().find(|(key, _)| key.as_text() == Some(name)).expect("a field").1.clone()
        };
        let input = field(&field(&value, "question"), "trigger").deserialized().expect("the guest's input");
        Self { engine, pre, trigger, input }
    }

    fn call(&self) -> trigger::Step {
        let mut store = Store::new(&self.engine, Quiet);
        store.set_fuel(1_000_000_000).expect("fuel");
        store.set_epoch_deadline(1_000);
        let instance = self.pre.instantiate(&mut store).expect("instantiates");
        let guest = self.trigger.load(&mut store, &instance).expect("loads");
        guest.call_assess(&mut store, &self.input).expect("runs").expect("a step")
    }
}

fn decision(criterion: &mut Criterion) {
    let bytes = component();
    let sandbox = Sandbox::new(SandboxConfig::new(Examiner::ThisProcess)).expect("sandbox");
    let policy = sandbox.load(&bytes).expect("loads");
    let mut question = question(&policy);
    let (deciding, facts) = decided(&policy, &question);
    let recording = deciding.finish().expect("records");
    assert_eq!(
        replay(&policy, &recording, &BTreeMap::new()).expect("replays"),
        Replayed::Same { fuel: FuelCheck::Same }
    );
    let bare = Bare::new(&bytes, &recording);
    *question.facts_mut() = facts;
    let limits = Limits::default();

    let mut group = criterion.benchmark_group("decision");
    group.bench_function("bare wasmtime", |bencher| bencher.iter(|| black_box(bare.call())));
    group.bench_function("sandbox", |bencher| {
        bencher
            .iter(|| black_box(policy.call(black_box(&question), &GRANT, &limits)).outcome.expect("a step"));
    });
    group.finish();

    question.facts_mut().clear();
    let mut group = criterion.benchmark_group("recording");
    group.bench_function("finish", |bencher| {
        let setup = || decided(&policy, &question).0;
        bencher.iter_batched(setup, |deciding| deciding.finish().expect("records"), BatchSize::SmallInput);
    });
    group.bench_function("whole decision", |bencher| {
        bencher.iter(|| decided(&policy, &question).0.finish().expect("records"));
    });
    group.bench_function("replay", |bencher| {
        bencher.iter(|| replay(&policy, &recording, &BTreeMap::new()).expect("replays"))
    });
    group.finish();
}

criterion_group!(benches, decision);
criterion_main!(benches);
