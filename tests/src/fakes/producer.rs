//! A producer of any effect class, whose runs outlive every host and end when a test says so.

use async_trait::async_trait;
use ripcord_core::name::VersionName;
use ripcord_core::request::Request;
use ripcord_core::signal::Label;
use ripcord_core::target::{RetrainTarget, Target, VersionTarget};
use ripcord_core::terms::EffectClass;
use ripcord_ports::producer::{Candidate, ProduceOrder, Progress};
use ripcord_ports::waiting::for_system;
use ripcord_ports::{ErrorKind, PortError, Producer, Retry};

use super::{Wire, artefact};
use crate::world::{Fault, Outside, RunStage};

/// As people call what it stands for.
const SYSTEM: &str = "the fake producer";

/// See [`Outside`].
#[derive(Debug)]
pub struct FakeProducer {
    /// Where it is.
    pub wire: Wire,
    /// What it promises.
    pub class: EffectClass,
}

fn broken() -> PortError {
    PortError::unknown(ErrorKind::Unreachable, "the connection to the fake producer broke")
}

impl FakeProducer {
    fn at<T>(&self, change: impl FnOnce(&mut Outside) -> T) -> T {
        self.wire.world.at(&self.wire.service, change)
    }

    /// What becomes of the order; none never comes back.
    fn begin(&self, order: &ProduceOrder) -> Result<(), Option<PortError>> {
        self.at(|outside| {
            outside.run_starts.push(order.key.clone());
            let fault = outside.run_faults.pop_front();
            let begin = |outside: &mut Outside| {
                outside.runs.entry(order.key.clone()).or_default().calls += 1;
            };
            match fault {
                Some(Fault::RefusedForNow) => {
                    Err(Some(PortError::not_applied(ErrorKind::Failed, "the fake producer is busy")))
                }
                Some(Fault::LostAndBroken) => Err(Some(broken())),
                Some(Fault::DoneAndBroken) => {
                    begin(outside);
                    Err(Some(broken()))
                }
                Some(Fault::Hangs) => Err(None),
                Some(Fault::Refused) => {
                    let error = PortError::not_applied(ErrorKind::Failed, "the fake producer says no");
                    Err(Some(error.retry(Retry::No)))
                }
                _ => {
                    begin(outside);
                    Ok(())
                }
            }
        })
    }
}

#[async_trait]
impl Producer for FakeProducer {
    fn name(&self) -> &str {
        "producer_fake"
    }

    fn class(&self) -> EffectClass {
        self.class
    }

    fn arguments(&self) -> Vec<Label> {
        vec![Label::new("address", "nowhere")]
    }

    fn makes(&self, target: &Target) -> bool {
        matches!(target, Target::Retrain(_))
    }

    async fn pinned(&self, target: &Target) -> Result<Target, PortError> {
        let Target::Retrain(retrain) = target else {
            return Err(PortError::not_applied(ErrorKind::Unsupported, "it only trains"));
        };
        if retrain.dataset == "nothing" {
            let error = PortError::not_applied(ErrorKind::NotFound, "there is no data set `nothing`");
            return Err(error.retry(Retry::No));
        }
        let revision = if retrain.revision.is_empty() { "r7".to_owned() } else { retrain.revision.clone() };
        Ok(Target::Retrain(RetrainTarget { revision, ..retrain.clone() }))
    }

    fn request(&self, target: &Target) -> Option<Request> {
        let Target::Retrain(_) = target else { return None };
        let request = Request::new(self.name(), &format!("begin a run of {target}"));
        let settings = self.wire.world.of(&self.wire.service).settings;
        Some(request.with("target", format!("{target:?}")).with("settings", settings))
    }

    async fn start(&self, order: &ProduceOrder) -> Result<(), PortError> {
        self.wire.fuse.point("before start-run").await;
        let begun = self.begin(order);
        self.wire.fuse.point("after start-run").await;
        match begun {
            Ok(()) => Ok(()),
            Err(Some(error)) => Err(error),
            Err(None) => for_system(SYSTEM, std::future::pending()).await,
        }
    }

    async fn progress(&self, order: &ProduceOrder) -> Result<Progress, PortError> {
        self.wire.fuse.alive().await;
        self.at(|outside| outside.run_looks += 1);
        for_system(SYSTEM, self.wire.answers("progress")).await;
        let outside = self.wire.world.of(&self.wire.service);
        if outside.producer_down {
            return Err(PortError::not_applied(ErrorKind::Unreachable, "the fake producer is away"));
        }
        let Some(run) = outside.runs.get(&order.key) else { return Ok(Progress::NotStarted) };
        Ok(match &run.stage {
            RunStage::GoesOn => {
                Progress::Running { text: format!("step {}", outside.run_looks), since: None }
            }
            RunStage::Made(version) => Progress::Made(Candidate {
                version: VersionTarget {
                    version: VersionName::new(version.clone()).expect("a version"),
                    digest: Some(artefact(version).1),
                },
                made_of: vec![Label::new("rows-left-out", "17"), Label::new("plan", order.plan.to_string())],
                measures: vec![ripcord_core::fact::Measure { name: "loss".into(), value: f64::NAN }],
            }),
            RunStage::Failed(why) => Progress::Failed(why.clone()),
            RunStage::Lost(why) => Progress::Lost(why.clone()),
        })
    }

    async fn stop(&self, order: &ProduceOrder) -> Result<(), PortError> {
        self.wire.fuse.point("before stop-run").await;
        for_system(SYSTEM, self.wire.answers("stop")).await;
        self.at(|outside| {
            if let Some(run) = outside.runs.get_mut(&order.key) {
                run.stopped = true;
            }
        });
        Ok(())
    }
}
