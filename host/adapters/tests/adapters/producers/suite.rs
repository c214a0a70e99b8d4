//! The suite itself: it passes a sound producer, and names the rule that a flawed one breaks.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures_util::FutureExt;
use ripcord_adapters::conformance::producer::{Expected, Pipeline, conforms};
use ripcord_core::digest::Digest;
use ripcord_core::signal::Label;
use ripcord_core::target::{CheckpointTarget, Target, VersionTarget};
use ripcord_core::terms::EffectClass;
use ripcord_ports::producer::{Candidate, ProduceOrder, Progress};
use ripcord_ports::{ErrorKind, PortError, Producer, Registry};

use super::{checkpoint, configuration, registry};
use crate::adapters::support::{publish, version};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flaw {
    None,
    SaysNothing,
    SendsAnything,
    PinsAnew,
    MakesAnything,
    BeginsWhenAsked,
    BeginsTwice,
    NamesWhatIsNotThere,
    ForgetsAtRestart,
    FailsWithoutAWord,
    DoesNotStop,
    TakesLossForAbsence,
}

#[derive(Debug, Clone, PartialEq)]
enum Run {
    Working,
    Made,
    Failed,
    Stopped,
    Lost,
}

#[derive(Default)]
struct System {
    runs: BTreeMap<String, Run>,
    begun: Vec<String>,
    pins: u8,
}

struct InMemory {
    flaw: Flaw,
    system: Arc<Mutex<System>>,
    is_first: bool,
}

struct World {
    root: tempfile::TempDir,
    flaw: Flaw,
    system: Arc<Mutex<System>>,
}

impl World {
    fn producer(&self, is_first: bool) -> InMemory {
        InMemory { flaw: self.flaw, system: self.system.clone(), is_first }
    }

    fn set(&self, key: &str, run: Run) {
        self.system.lock().unwrap().runs.insert(key.to_owned(), run);
    }
}

impl InMemory {
    fn begin(&self, key: &str) {
        let mut system = self.system.lock().unwrap();
        if self.flaw == Flaw::BeginsTwice || !system.runs.contains_key(key) {
            system.runs.insert(key.to_owned(), Run::Working);
            system.begun.push(key.to_owned());
        }
    }
}

#[async_trait]
impl Producer for InMemory {
    fn name(&self) -> &str {
        "in_memory"
    }

    fn class(&self) -> EffectClass {
        EffectClass::Idempotent
    }

    fn arguments(&self) -> Vec<Label> {
        if self.flaw == Flaw::SaysNothing { Vec::new() } else { vec![Label::new("place", "memory")] }
    }

    fn makes(&self, target: &Target) -> bool {
        self.flaw == Flaw::MakesAnything || matches!(target, Target::Checkpoint(_))
    }

    fn request(&self, target: &Target) -> Option<ripcord_core::request::Request> {
        let Target::Checkpoint(_) = target else { return None };
        let request = ripcord_core::request::Request::new(self.name(), "make it in memory");
        let known = target.to_string();
        Some(if self.flaw == Flaw::SendsAnything { request } else { request.with("target", known) })
    }

    async fn pinned(&self, target: &Target) -> Result<Target, PortError> {
        let Target::Checkpoint(checkpoint) = target else {
            return Err(PortError::not_applied(ErrorKind::Unsupported, "no checkpoint"));
        };
        let mut system = self.system.lock().unwrap();
        system.pins += u8::from(self.flaw == Flaw::PinsAnew);
        Ok(Target::Checkpoint(CheckpointTarget {
            digest: Some(Digest::of([system.pins])),
            ..checkpoint.clone()
        }))
    }

    async fn start(&self, order: &ProduceOrder) -> Result<(), PortError> {
        self.pinned(&order.target).await?;
        self.begin(&order.key);
        Ok(())
    }

    async fn progress(&self, order: &ProduceOrder) -> Result<Progress, PortError> {
        if self.flaw == Flaw::BeginsWhenAsked {
            self.begin(&order.key);
        }
        let run = self.system.lock().unwrap().runs.get(&order.key).cloned();
        let name = if self.flaw == Flaw::NamesWhatIsNotThere { "9.9" } else { "1.0" };
        Ok(match run {
            None => Progress::NotStarted,
            Some(_) if self.flaw == Flaw::ForgetsAtRestart && !self.is_first => Progress::NotStarted,
            Some(Run::Lost) if self.flaw == Flaw::TakesLossForAbsence => Progress::NotStarted,
            Some(Run::Lost) => Progress::Lost("nothing is known of it".into()),
            Some(Run::Working) => Progress::Running { text: "half".into(), since: None },
            Some(Run::Made) => Progress::Made(Candidate {
                version: VersionTarget { version: version(name), digest: None },
                made_of: Vec::new(),
                measures: Vec::new(),
            }),
            Some(Run::Failed) if self.flaw == Flaw::FailsWithoutAWord => Progress::Failed(String::new()),
            Some(Run::Failed) => Progress::Failed("no rows are left".into()),
            Some(Run::Stopped) => Progress::Failed("it was stopped".into()),
        })
    }

    async fn stop(&self, order: &ProduceOrder) -> Result<(), PortError> {
        if self.flaw != Flaw::DoesNotStop
            && let Some(run @ Run::Working) = self.system.lock().unwrap().runs.get_mut(&order.key)
        {
            *run = Run::Stopped;
        }
        Ok(())
    }
}

#[async_trait]
impl Pipeline for World {
    async fn begun(&self, key: &str) -> usize {
        self.system.lock().unwrap().begun.iter().filter(|begun| *begun == key).count()
    }

    async fn let_succeed(&self, key: &str) {
        self.set(key, Run::Made);
    }

    async fn let_fail(&self, key: &str) {
        self.set(key, Run::Failed);
    }

    async fn goes_on(&self, key: &str) -> bool {
        self.system.lock().unwrap().runs.get(key) == Some(&Run::Working)
    }

    async fn lose(&self, key: &str) -> bool {
        self.set(key, Run::Lost);
        true
    }

    fn restarted(&self) -> Arc<dyn Producer> {
        Arc::new(self.producer(false))
    }

    fn registry(&self) -> Arc<dyn Registry> {
        registry(self.root.path())
    }
}

#[tokio::test(start_paused = true)]
async fn a_sound_producer_conforms_and_a_flawed_one_breaks_the_rule_of_its_flaw() {
    for (flaw, rule) in [
        (Flaw::None, None),
        (Flaw::SaysNothing, Some("says-what-a-run-will-be")),
        (Flaw::SendsAnything, Some("says-what-a-start-sends")),
        (Flaw::PinsAnew, Some("pins-what-is-made")),
        (Flaw::MakesAnything, Some("makes-nothing-of-other-targets")),
        (Flaw::BeginsWhenAsked, Some("an-unknown-run-is-not-started")),
        (Flaw::BeginsTwice, Some("one-key-is-one-run")),
        (Flaw::NamesWhatIsNotThere, Some("one-key-is-one-run")),
        (Flaw::ForgetsAtRestart, Some("a-restarted-host-follows-the-run")),
        (Flaw::FailsWithoutAWord, Some("a-failed-run-says-why")),
        (Flaw::DoesNotStop, Some("a-stopped-run-ends")),
        (Flaw::TakesLossForAbsence, Some("a-lost-run-is-no-absence")),
    ] {
        let root = tempfile::tempdir().unwrap();
        registry(root.path());
        publish(&root.path().join("registry"), "1.0", "2026-11-01T00:00:00Z");
        let world = World { root, flaw, system: Arc::default() };
        let expected = Expected {
            makes: checkpoint("run", 1),
            fails: checkpoint("run", 1),
            says: "no rows".into(),
            refuses: configuration(),
        };
        let producer = world.producer(true);
        let judged = AssertUnwindSafe(conforms(&producer, &world, &expected)).catch_unwind().await;
        let said = judged.err().map(|panic| panic.downcast_ref::<String>().cloned().unwrap_or_default());
        match rule {
            None => assert_eq!(said, None, "a sound one conforms"),
            Some(rule) => {
                let said = said.unwrap_or_else(|| panic!("{flaw:?} passes"));
                assert!(said.starts_with(&format!("the rule `{rule}` is broken: ")), "{flaw:?}: {said}");
            }
        }
    }
}
