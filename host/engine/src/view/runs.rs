//! What happened to the run that an incident ordered, line by line.

use ripcord_core::event::{Event, LookWord, MadeOf, RunMade, StartWord};

use super::Reader;
use crate::fold::ReadError;

impl Reader<'_> {
    /// The line of an event of a run.
    pub(super) async fn run(&self, event: &Event) -> Result<Option<String>, ReadError> {
        Ok(Some(match event {
            Event::RunBegan(began) => match began.attempt {
                1 => "run begun".to_owned(),
                more => format!("run begun (attempt {more})"),
            },
            Event::RunReturned(returned) => match &returned.word {
                StartWord::Started => "run started".to_owned(),
                StartWord::NotStarted { reason, .. } => {
                    format!("run not started: {}", self.text(reason).await?)
                }
                StartWord::Unknown(why) => {
                    format!("nobody knows whether the run was started: {}", self.text(why).await?)
                }
            },
            Event::RunLookedAt(looked) => match &looked.word {
                LookWord::NotStarted => "look at the run: there is none".to_owned(),
                LookWord::Running { text, .. } => format!("the run goes on: {}", self.text(text).await?),
                LookWord::Unread(why) => {
                    format!("the run cannot be followed: {}", self.text(why).await?)
                }
            },
            Event::RunMade(made) => self.made(made).await?,
            Event::RunFailed(failed) => format!("the run failed: {}", self.text(&failed.reason).await?),
            Event::RunLost(lost) => format!("the run is lost: {}", self.text(&lost.reason).await?),
            Event::RunStopAsked(said) => {
                format!("{} stops the run: {}", said.person, self.text(&said.reason).await?)
            }
            Event::RunStopped(stopped) => match &stopped.failed {
                None => "the run was stopped".to_owned(),
                Some(why) => format!("the run could not be stopped: {}", self.text(why).await?),
            },
            _ => return Ok(None),
        }))
    }

    async fn made(&self, made: &RunMade) -> Result<String, ReadError> {
        let content = self.store.blob(&made.made_of).await?;
        let of = match content {
            None => "(erased)".to_owned(),
            Some(bytes) => {
                let of: MadeOf = serde_json::from_slice(&bytes).unwrap_or_default();
                let labels = of.made_of.iter().map(|label| format!("{} {}", label.name, label.value));
                let measures =
                    of.measures.iter().map(|measure| format!("{} {}", measure.name, measure.value));
                labels.chain(measures).collect::<Vec<_>>().join(", ")
            }
        };
        Ok(format!("the run made {}: {of}", made.version))
    }
}
