//! Guests written by hand, down to the last byte: what no SDK would let anyone write.

#![allow(dead_code, reason = "each test file uses its own part")]

pub(crate) mod bytes;

use ripcord_core::alert::StandingAlert;
use ripcord_core::digest::Digest;
use ripcord_core::fact::{Fact, FactKind, Request, Sample, Value};
use ripcord_core::name::{ServiceName, SignalId};
use ripcord_core::role::{Context, Criticality, Question, ServiceFacts, TriggerInput};
use ripcord_core::signal::{Label, Origin, Severity, Signal, SignalKind, SignalStatus};
use ripcord_core::time::UnixMillis;
use ripcord_sandbox::{Call, Examiner, FaultKind, Limits, Policy, Sandbox, SandboxConfig};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// Where `assess` builds its result; zero at first, which reads as `ok(need([]))`.
pub(crate) const RESULT: u32 = 16_384;
/// The answer `done(ignore)`.
pub(crate) const IGNORE: &str =
    "(i32.store8 offset=8 (global.get $result) (i32.const 1)) (global.get $result)";
/// The answer `need([live])`.
pub(crate) const NEED_LIVE: &str = "(i32.store8 (i32.const 20000) (i32.const 3))
    (i32.store offset=16 (global.get $result) (i32.const 20000))
    (i32.store offset=20 (global.get $result) (i32.const 1)) (global.get $result)";
/// Leaves the number of facts on the stack.
pub(crate) const FACTS: &str = "(i32.load offset=132 (local.get $in))";

pub(crate) const ALL_KINDS: [FactKind; 3] = [FactKind::Metric, FactKind::Live, FactKind::Votes];

/// A trigger policy under construction.
#[derive(Clone)]
pub(crate) struct Guest {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) schema: String,
    /// Roles and kinds of facts, by their numbers in the contract.
    pub(crate) grants: Vec<(u8, Vec<u8>)>,
    /// Body of `assess`: `$in` is the input, the result is a pointer.
    pub(crate) assess: String,
    /// Body of `describe`, instead of the one that returns the manifest.
    pub(crate) describe: Option<String>,
    /// More functions, globals, data.
    pub(crate) more: String,
    pub(crate) world: String,
    pub(crate) wit_version: String,
    pub(crate) memory_pages: u32,
    pub(crate) package: Option<String>,
    /// A line that its contract does not have yet.
    pub(crate) lacks: Option<&'static str>,
}

impl Default for Guest {
    fn default() -> Self {
        Self {
            name: "by-hand".into(),
            version: "1.0.0".into(),
            schema: "{\"type\": \"object\"}".into(),
            // The trigger may ask for metric and live.
            grants: vec![(0, vec![0, 3])],
            assess: IGNORE.into(),
            describe: None,
            more: String::new(),
            world: "import ripcord:policy/log@VERSION; export ripcord:policy/describe@VERSION; \
                    export ripcord:policy/trigger@VERSION;"
                .into(),
            wit_version: "0.1.0".into(),
            memory_pages: 2,
            package: None,
            lacks: None,
        }
    }
}

impl Guest {
    pub(crate) fn new(assess: impl Into<String>) -> Self {
        Self { assess: assess.into(), ..Self::default() }
    }

    pub(crate) fn with(assess: impl Into<String>, more: impl Into<String>) -> Self {
        Self { assess: assess.into(), more: more.into(), ..Self::default() }
    }

    /// The manifest at address 1024 as the canonical ABI lays it out.
    fn manifest(&self) -> Vec<u8> {
        const AT: usize = 1024;
        let mut bytes = vec![0; 40];
        let mut fields = Vec::new();
        let put = |bytes: &mut Vec<u8>, content: &[u8]| {
            let at = AT + bytes.len();
            bytes.extend(content);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            at
        };
        for text in [&self.name, &self.version, &"Made by hand.".to_owned(), &self.schema] {
            fields.extend([put(&mut bytes, text.as_bytes()), text.len()]);
        }
        let mut grants = Vec::new();
        for (role, kinds) in &self.grants {
            let at = put(&mut bytes, kinds);
            grants.extend(u32::from(*role).to_le_bytes());
            grants.extend((at as u32).to_le_bytes());
            grants.extend((kinds.len() as u32).to_le_bytes());
        }
        fields.extend([put(&mut bytes, &grants), self.grants.len()]);
        for (index, field) in fields.iter().enumerate() {
            bytes[index * 4..index * 4 + 4].copy_from_slice(&(*field as u32).to_le_bytes());
        }
        bytes
    }

    fn wat(&self) -> String {
        let data: String = self.manifest().iter().map(|byte| format!("\\{byte:02x}")).collect();
        let version = &self.wit_version;
        let describe = self.describe.clone().unwrap_or_else(|| "(i32.const 1024)".into());
        let export = |interface: &str, function: &str, signature: &str, body: &str| {
            if self.world.contains(&format!("export ripcord:policy/{interface}@")) {
                format!(
                    "(func (export \"ripcord:policy/{interface}@{version}#{function}\") {signature} {body})"
                )
            } else {
                String::new()
            }
        };
        let log = if self.world.contains("import ripcord:policy/log@") {
            format!(
                "(import \"ripcord:policy/log@{version}\" \"write\" (func $log (param i32 i32 i32 i32 i32)))"
            )
        } else {
            String::new()
        };
        format!(
            r#"(module {log}
              {imports}
              (memory (export "memory") {pages})
              (global $result i32 (i32.const {RESULT}))
              (global $heap (mut i32) (i32.const 65536))
              (data (i32.const 1024) "{data}")
              (func (export "cabi_realloc") (param $old i32) (param $was i32) (param $align i32) (param $size i32) (result i32)
                (local $at i32)
                (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
                (global.set $heap (i32.add (local.get $at) (local.get $size)))
                (block $fits (loop $more
                  (br_if $fits (i32.le_u (global.get $heap) (i32.mul (memory.size) (i32.const 65536))))
                  (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable))
                  (br $more)))
                (local.get $at))
              {describe}
              {assess}
              {more})"#,
            imports = self.more.lines().filter(|line| line.trim().starts_with("(import")).collect::<String>(),
            pages = self.memory_pages,
            describe = export("describe", "describe", "(result i32)", &describe),
            assess = export("trigger", "assess", "(param $in i32) (result i32)", &self.assess),
            more = self
                .more
                .lines()
                .filter(|line| !line.trim().starts_with("(import"))
                .collect::<Vec<_>>()
                .join("\n"),
        )
    }

    pub(crate) fn core(&self) -> Vec<u8> {
        wat::parse_str(self.wat()).expect("the guest's text is well formed")
    }

    pub(crate) fn component(&self) -> Vec<u8> {
        let text = include_str!("../../../../wit/policy/0.1/policy.wit");
        let mut resolve = Resolve::default();
        let text = text.replace("ripcord:policy@0.1.0", &format!("ripcord:policy@{}", self.wit_version));
        let text = match self.lacks {
            Some(line) => {
                assert_eq!(text.matches(line).count(), 1, "`{line}` must be there once");
                text.replace(line, "")
            }
            None => text,
        };
        resolve.push_str("policy.wit", &text).expect("the contract parses");
        if let Some(package) = &self.package {
            resolve.push_str("more.wit", package).expect("the package parses");
        }
        let world = self.world.replace("VERSION", &self.wit_version);
        let world = format!("package by:hand; world guest {{ {world} }}");
        let package = resolve.push_str("world.wit", &world).expect("the world parses");
        let world = resolve.select_world(&[package], Some("guest")).expect("one world");
        let mut module = self.core();
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).expect("embeds");
        let encoder = ComponentEncoder::default();
        encoder.validate(true).module(&module).expect("a module").encode().expect("a component")
    }
}

pub(crate) fn sandbox() -> Sandbox {
    Sandbox::new(SandboxConfig { slots: 4, ..SandboxConfig::new(Examiner::ThisProcess) }).expect("starts")
}

pub(crate) fn limits() -> Limits {
    Limits { fuel: 20_000_000, memory_bytes_max: 8 << 20, slot_wait_ms: 20_000, ..Limits::default() }
}

pub(crate) fn question() -> Question {
    let label = |name: &str, value: &str| Label { name: name.into(), value: value.into() };
    Question::Trigger(TriggerInput {
        context: Context {
            service: ServiceFacts {
                name: ServiceName::new("fraud-api").expect("name"),
                environment: "production".into(),
                criticality: Criticality::High,
                model: "fraud".into(),
                labels: vec![label("team", "risk")],
            },
            incident: None,
            now: UnixMillis(1_000_000),
            settings: "{}".into(),
            drill: false,
            live_since: Some(UnixMillis(980_000)),
            memo: None,
        },
        signals: vec![StandingAlert::from(Signal {
            id: SignalId::new("s1").expect("id"),
            origin: Origin::Webhook("alertmanager".into()),
            rule: "HighRate".into(),
            status: SignalStatus::Firing,
            kind: SignalKind::Condition,
            severity: Severity::Critical,
            labels: vec![label("service", "fraud-api")],
            annotations: vec![],
            started_at: UnixMillis(990_000),
            ended_at: None,
            received_at: UnixMillis(999_000),
        })],
        facts: vec![],
    })
}

pub(crate) fn fact(id: &str, request: Request) -> Fact {
    let sample = Sample { labels: vec![], value: 0.25, at: UnixMillis(999_000) };
    Fact {
        id: id.into(),
        request,
        value: Ok(Value::Metric(vec![sample])),
        source: "test".into(),
        as_of: UnixMillis(999_000),
    }
}

pub(crate) fn ask(policy: &Policy) -> Call {
    policy.call(&question(), &ALL_KINDS, &limits())
}

/// The kind of fault that `guest` ends in.
pub(crate) fn fault_of(sandbox: &Sandbox, guest: &Guest) -> FaultKind {
    let policy = sandbox.load(&guest.component()).expect("loads");
    ask(&policy).outcome.expect_err("faults").kind
}

/// Proof that the sandbox still works: a good policy answers, for the same fuel as ever.
pub(crate) fn still_well(sandbox: &Sandbox) {
    let policy = sandbox.load(&Guest::default().component()).expect("loads");
    let call = ask(&policy);
    assert!(call.outcome.is_ok(), "{call:?}");
    assert_eq!(call.fuel, GOOD_FUEL, "the same question costs the same");
}

/// What [`Guest::default`] uses for [`question`].
pub(crate) const GOOD_FUEL: u64 = 312;

pub(crate) fn digest_of(guest: &Guest) -> Digest {
    Digest::of(guest.component())
}
