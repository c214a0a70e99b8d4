//! What makes versions: a run that was begun goes on whatever becomes of the host, and ends after a while.

use std::future::pending;
use std::time::Duration;

use async_trait::async_trait;
use ripcord_core::digest::Digest;
use ripcord_core::signal::Label;
use ripcord_core::target::{CheckpointTarget, RetrainTarget, Target};
use ripcord_core::terms::EffectClass;
use ripcord_ports::producer::{Candidate, ProduceOrder, Progress};
use ripcord_ports::waiting::for_system;
use ripcord_ports::{ErrorKind, PortError, Producer, Retry};

use super::{PRODUCER, Wire};
use crate::run_outside::Stage;
use crate::world::version_target;

/// See [`crate::run_outside`].
#[derive(Debug)]
pub struct PretendProducer {
    /// Where it is.
    pub wire: Wire,
}

/// What becomes of the order.
enum Fate {
    Answers(Result<(), PortError>),
    NeverAnswers,
}

fn broken() -> Fate {
    Fate::Answers(Err(PortError::unknown(ErrorKind::Unreachable, "the connection to the producer broke")))
}

impl PretendProducer {
    fn begins(&self, order: &ProduceOrder) {
        let wire = &self.wire;
        let dice = &wire.dice;
        let is_known = wire.world.at(&wire.service, |outside| {
            let known = outside.runs.contains_key(&order.key);
            outside.runs.entry(order.key.clone()).or_insert(Stage::GoesOn);
            known
        });
        if is_known {
            return;
        }
        let made = format!("m-{}", order.key.chars().take(8).collect::<String>());
        let (end, bad) = match dice.below(8) {
            0 => (Stage::Failed, false),
            1 if dice.one_in(3) => (Stage::Lost, false),
            other => (Stage::Made(made), other > 5),
        };
        let takes = Duration::from_secs(dice.between(1, 400));
        wire.world.run_ends_later(&wire.service, &order.key, end, bad, takes);
    }

    fn carry_out(&self, order: &ProduceOrder) -> Fate {
        let dice = &self.wire.dice;
        if !dice.chance(self.wire.weather.now().shift_fails) {
            self.begins(order);
            return Fate::Answers(Ok(()));
        }
        match dice.below(6) {
            0 => Fate::Answers(Err(PortError::not_applied(ErrorKind::Failed, "the producer is busy"))),
            1 => {
                let error = PortError::not_applied(ErrorKind::Failed, "the producer says no");
                Fate::Answers(Err(error.retry(Retry::No)))
            }
            2 => {
                self.begins(order);
                broken()
            }
            3 => broken(),
            4 => {
                self.begins(order);
                Fate::NeverAnswers
            }
            _ => Fate::NeverAnswers,
        }
    }
}

#[async_trait]
impl Producer for PretendProducer {
    fn name(&self) -> &str {
        "producer_pretend"
    }

    fn class(&self) -> EffectClass {
        self.wire.terms.producer.as_ref().map_or(EffectClass::Blind, |producer| producer.class)
    }

    fn arguments(&self) -> Vec<Label> {
        vec![Label::new("place", "nowhere")]
    }

    fn makes(&self, target: &Target) -> bool {
        matches!(target, Target::Retrain(_) | Target::Checkpoint(_))
    }

    async fn pinned(&self, target: &Target) -> Result<Target, PortError> {
        self.wire.reach(PRODUCER).await?;
        self.wire.comes_back(PRODUCER).await;
        match target {
            Target::Retrain(retrain) => {
                Ok(Target::Retrain(RetrainTarget { revision: "r1".to_owned(), ..retrain.clone() }))
            }
            Target::Checkpoint(checkpoint) => {
                let digest = Some(Digest::of(format!("{}@{}", checkpoint.run, checkpoint.step)));
                Ok(Target::Checkpoint(CheckpointTarget { digest, ..checkpoint.clone() }))
            }
            _ => Err(PortError::not_applied(ErrorKind::Unsupported, "it makes versions").retry(Retry::No)),
        }
    }

    fn request(&self, target: &Target) -> Option<ripcord_core::request::Request> {
        if !self.makes(target) {
            return None;
        }
        let request = ripcord_core::request::Request::new(self.name(), &format!("begin a run of {target}"));
        Some(request.with("target", format!("{target:?}")))
    }

    async fn start(&self, order: &ProduceOrder) -> Result<(), PortError> {
        let wire = &self.wire;
        wire.life.may_end().await;
        wire.checker.run_called(&wire.service, order, self.class());
        wire.reach(PRODUCER).await?;
        let fate = self.carry_out(order);
        wire.checker.note(|| format!("{} a run of {} arrived", wire.service, order.incident));
        wire.life.may_end_at_a_moment().await;
        wire.comes_back(PRODUCER).await;
        match fate {
            Fate::Answers(answer) => answer,
            Fate::NeverAnswers => for_system(PRODUCER, pending()).await,
        }
    }

    async fn progress(&self, order: &ProduceOrder) -> Result<Progress, PortError> {
        self.wire.reach(PRODUCER).await?;
        let stage = self.wire.world.at(&self.wire.service, |outside| outside.runs.get(&order.key).cloned());
        self.wire.comes_back(PRODUCER).await;
        Ok(match stage {
            None => Progress::NotStarted,
            Some(Stage::GoesOn) => Progress::Running { text: "it goes on".to_owned(), since: None },
            Some(Stage::Made(version)) => Progress::Made(Candidate {
                version: version_target(&version),
                made_of: vec![Label::new("plan", order.plan.to_string())],
                measures: Vec::new(),
            }),
            Some(Stage::Failed) => Progress::Failed("the loss is not a number".to_owned()),
            Some(Stage::Lost) => Progress::Lost("nobody knows of it".to_owned()),
        })
    }

    async fn stop(&self, order: &ProduceOrder) -> Result<(), PortError> {
        self.wire.reach(PRODUCER).await?;
        self.wire.world.at(&self.wire.service, |outside| {
            if let Some(run) = outside.runs.get_mut(&order.key).filter(|run| **run == Stage::GoesOn) {
                *run = Stage::Failed;
            }
        });
        self.wire.comes_back(PRODUCER).await;
        Ok(())
    }
}
