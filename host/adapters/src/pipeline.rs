//! A deployer whose shift is a run of a team's own pipeline: the pipeline that deploys every day, with another version.
//!
//! The run is begun once, whatever crashes: what is begun is on disk before the pipeline is asked, and the run carries a mark by which it is found again. It is
//! followed to its end, and its log is kept. That it ended well proves nothing: what is live is read in a second way ([`LiveConfig`]), and that alone counts.

mod earlier;
mod ended;
mod engine;
mod inputs;
mod kept;
mod live;
mod log;
mod server;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use ripcord_core::fact::Live;
use ripcord_core::live::LiveState;
use ripcord_core::request::{Hole, Request};
use ripcord_core::signal::Label;
use ripcord_core::target::Target;
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_ports::deployer::{EffectClass, Probe, ShiftOrder, Shifted, WaveOf};
use ripcord_ports::{Applied, Deployer, ErrorKind, PortError, Retry, waiting};
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::Shared;
use crate::adapter::{DeployerSays, Making, Start};
use crate::http::{Patience, patiently};
use crate::restoring::wrong;

pub use live::LiveConfig;

pub(crate) use engine::{ATTEMPTS_MAX, Engine, Found, Keyed, Marks, Run, RunState};
pub(crate) use inputs::{Inputs, OWN};
pub(crate) use log::Tail;
pub(crate) use server::{Server, end_of, entries, is_safe, odd};

use inputs::Templates;
use kept::{Kept, KeptPipelines, State};
use live::LiveReader;

/// Of the time that a shift has, so much is left for reading live and keeping the log.
const LAST: Duration = Duration::from_secs(3);
/// With less time than this no run is begun: nobody would know whether it was.
const START_LEAST: Duration = Duration::from_secs(2);
/// So long a run that may have been begun is looked for before it is said that nobody knows.
const LOOKED_FOR: Duration = Duration::from_secs(6);
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// How a run is followed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FollowConfig {
    /// Between two looks at a run, in milliseconds; the first ones come sooner. Default: 2000.
    #[serde(default = "poll_default")]
    pub poll_ms: u64,
    /// Whether a run that goes on when the time of its shift is over is ended. Default: no, and then live is read until the read-back's time is over.
    #[serde(default)]
    pub cancel_at_deadline: bool,
    /// How long a call that failed without effect is tried again, in milliseconds. Default: 10000.
    #[serde(default = "patience_default")]
    pub patience_ms: u64,
}

impl Default for FollowConfig {
    fn default() -> Self {
        Self { poll_ms: poll_default(), cancel_at_deadline: false, patience_ms: patience_default() }
    }
}

fn poll_default() -> u64 {
    2_000
}

fn patience_default() -> u64 {
    10_000
}

/// In what surroundings a pipeline is run.
#[derive(Debug, Clone)]
pub struct PipelineSurroundings {
    /// A folder of the host's own for this service: what is kept of runs, and their logs.
    pub data: PathBuf,
    /// The client and the clock.
    pub shared: Shared,
}

impl PipelineSurroundings {
    pub(crate) fn of(making: &Making<'_, dyn Deployer>) -> Self {
        Self { data: making.data.join("pipelines").join(&making.place), shared: making.shared.clone() }
    }
}

/// What the settings of all pipelines have in common.
pub(crate) struct Settings {
    pub(crate) inputs: BTreeMap<String, String>,
    pub(crate) follow: FollowConfig,
    pub(crate) live: LiveConfig,
}

/// Makes the paths of the settings start from the configuration's folder.
pub(crate) fn start(live: &mut LiveConfig, start: &Start<'_>) {
    if let Some(file) = &mut live.probe_input_file {
        start.path(file);
    }
    start.programs([live.command.as_mut()], &mut live.surroundings);
}

/// What a plan says of a pipeline: `pipeline` is where it is, `live` how what it did is proved.
pub(crate) fn says(pipeline: String, live: &LiveConfig) -> DeployerSays {
    let read = Label::new("live is read from", live.shown());
    DeployerSays {
        arguments: vec![Label::new("pipeline", pipeline), read],
        proof: live.proof(),
        endpoint: None,
    }
}

/// A pipeline that deploys.
#[derive(Debug)]
pub struct PipelineDeployer {
    engine: Box<dyn Engine>,
    inputs: Templates,
    follow: FollowConfig,
    live: LiveReader,
    kept: KeptPipelines,
    shared: Shared,
    /// One shift at a time in this process; between processes the journal sees to it. Within: when runs that no shift follows were looked at last.
    shifting: Mutex<Option<Instant>>,
}

/// What a pipeline's run has come to when it is followed no more.
enum Ended {
    Run(Run),
    /// The time is over.
    GoesOn(Run),
    /// It could not be looked at any more.
    Unseen(PortError),
}

impl PipelineDeployer {
    pub(crate) fn new(
        engine: Box<dyn Engine>,
        settings: Settings,
        surroundings: PipelineSurroundings,
    ) -> Result<Self, PortError> {
        if settings.follow.poll_ms == 0 {
            return Err(wrong("`follow.poll-ms` must be 1 or more"));
        }
        Ok(Self {
            inputs: Templates::new(settings.inputs)?,
            live: LiveReader::new(settings.live, &surroundings.shared)?,
            kept: KeptPipelines::new(&surroundings.data),
            follow: settings.follow,
            shared: surroundings.shared,
            engine,
            shifting: Mutex::new(None),
        })
    }

    fn patience(&self, until: Instant) -> Patience {
        Patience(left(until).min(Millis(self.follow.patience_ms)))
    }

    /// All runs of the mark that the pipeline tells of.
    async fn find(&self, marks: &Marks, until: Instant) -> Result<Vec<Found>, PortError> {
        patiently(self.patience(until), || self.engine.find(marks)).await
    }

    /// What is live, where it can be read until then.
    async fn read_live(&self, until: Instant) -> LiveState {
        match tokio::time::timeout_at(until, Box::pin(self.live.read())).await {
            Ok(Ok(state)) => state,
            Ok(Err(error)) => LiveState::Unknown(error.to_string()),
            Err(_) => LiveState::Unknown("it was not told in time".to_owned()),
        }
    }

    /// Begins a run. What is kept of it then, and its id; an error that is *unknown* where it may have been begun and cannot be found.
    async fn begin(&self, asked: Kept, inputs: &Inputs, until: Instant) -> Result<(Kept, String), PortError> {
        if until.saturating_duration_since(Instant::now()) < START_LEAST {
            let text = format!(
                "of the time of this shift too little is left to begin a run of {}: nothing was begun; give `shift-seconds` more where this happens again",
                self.engine.system()
            );
            return Err(PortError::not_applied(ErrorKind::TimedOut, text).retry(Retry::Later));
        }
        self.kept.write(&asked).await?;
        let marks = &asked.marks;
        let latest = until.checked_sub(START_LEAST).unwrap_or(until);
        let begin = || self.engine.begin(marks, inputs, left(until).max(Millis(1)));
        let found = match patiently(self.patience(latest), begin).await {
            Ok(Some(run)) => Ok(run),
            Err(error) if error.applied == Applied::No => {
                // Where this cannot be written, it stays *asked for*, which is the safe side.
                let _ = self.kept.write(&asked.with(State::Refused)).await;
                return Err(error);
            }
            Ok(None) => self.looked_for(marks).await.ok_or(None),
            Err(error) => self.looked_for(marks).await.ok_or(Some(error)),
        };
        let run = found.map_err(|error| {
            let (kind, why) = match error {
                Some(error) => (error.kind, error.to_string()),
                None => (ErrorKind::BadAnswer, "its answer names no run".to_owned()),
            };
            let text = format!(
                "whether {} has begun the run `{}` is not known ({why}), and it tells of none: look for it there",
                self.engine.system(),
                marks.whole()
            );
            PortError::unknown(kind, text)
        })?;
        let begun = asked.begun(&run);
        self.kept.write(&begun).await.map_err(PortError::outcome_unknown)?;
        Ok((begun, run))
    }

    /// A run that may have been begun, once it is told of.
    async fn looked_for(&self, marks: &Marks) -> Option<String> {
        let until = Instant::now() + LOOKED_FOR;
        let mut wait = FIRST_WAIT;
        loop {
            if let Ok(found) = self.engine.find(marks).await
                && let Some(found) = found.into_iter().find(|found| found.attempt == marks.attempt())
            {
                return Some(found.run.id);
            }
            if Instant::now() + wait > until {
                return None;
            }
            waiting::pausing(tokio::time::sleep(wait)).await;
            wait *= 2;
        }
    }

    /// Looks at a run until it has ended, or the time is over.
    async fn followed(&self, run: &str, until: Instant) -> Ended {
        let most = Duration::from_millis(self.follow.poll_ms);
        let mut wait = FIRST_WAIT.min(most);
        loop {
            let looked = self.engine.look(run).await;
            let asked_for = match &looked {
                Ok(looked) if looked.state.has_ended() => return Ended::Run(looked.clone()),
                Err(error) if error.kind == ErrorKind::Denied => {
                    return looked.map_or_else(Ended::Unseen, Ended::GoesOn);
                }
                Err(error) => match error.retry {
                    Retry::After(asked) => Duration::from_millis(asked.0),
                    Retry::No | Retry::Later => Duration::ZERO,
                },
                Ok(_) => Duration::ZERO,
            };
            let pause = wait.max(asked_for);
            if Instant::now() + pause > until {
                return looked.map_or_else(Ended::Unseen, Ended::GoesOn);
            }
            waiting::pausing(tokio::time::sleep(pause)).await;
            wait = (wait * 2).min(most);
        }
    }

    /// What the run is told: known before it is begun.
    fn wanted(&self, order: &ShiftOrder, mark: &str) -> Result<Inputs, PortError> {
        if order.wave.is_some() {
            let text =
                format!("`{}` moves everything at once: take the waves out of the service", self.name());
            return Err(PortError::not_applied(ErrorKind::Unsupported, text));
        }
        let Target::Version(version) = &order.target else {
            let text = format!("`{}` sets versions, and {} is none", self.name(), order.target);
            return Err(PortError::not_applied(ErrorKind::Unsupported, text));
        };
        let staged = order.staged.as_ref().map(|staged| staged.digest);
        if let (Some(wanted), Some(staged)) = (version.digest, staged)
            && wanted != staged
        {
            let text = format!(
                "what is staged has the digest {staged} and not the plan's {wanted}: nothing was begun"
            );
            return Err(PortError::not_applied(ErrorKind::WrongDigest, text));
        }
        Ok(self.inputs.filled(order, version, version.digest.or(staged), mark))
    }

    /// What is kept of a run of this order that goes on.
    fn going_on(&self, order: &ShiftOrder, kept: Option<&Kept>, goes_on: &Found) -> Kept {
        match kept {
            Some(kept) if kept.run.as_deref() == Some(goes_on.run.id.as_str()) => kept.with(State::Begun),
            Some(Kept { ends_at, marks, .. }) => {
                Kept::asked(marks.at(goes_on.attempt), *ends_at).begun(&goes_on.run.id)
            }
            None => Kept::asked(Marks::of(&order.key).at(goes_on.attempt), self.ends_at(order))
                .begun(&goes_on.run.id),
        }
    }

    fn ends_at(&self, order: &ShiftOrder) -> UnixMillis {
        self.shared.clock.now() + order.deadline
    }

    /// The run to follow: one that goes on, or a new one. None where there is nothing to do.
    async fn run_for(
        &self,
        order: &ShiftOrder,
        marks: &Marks,
        until: Instant,
    ) -> Result<Option<(Kept, String)>, PortError> {
        // What cannot be read may say that a run is at work.
        let kept = self.kept.read(marks).await.map_err(PortError::outcome_unknown)?;
        let may_go_on = kept.as_ref().is_some_and(Kept::is_open);
        let found = self.find(kept.as_ref().map_or(marks, |kept| &kept.marks), until).await;
        let found = found.map_err(|error| if may_go_on { error.outcome_unknown() } else { error })?;
        if let Some(goes_on) = found.iter().rev().find(|found| !found.run.state.has_ended()) {
            let begun = Kept { ends_at: self.ends_at(order), ..self.going_on(order, kept.as_ref(), goes_on) };
            self.kept.write(&begun).await.map_err(PortError::outcome_unknown)?;
            return Ok(Some((begun, goes_on.run.id.clone())));
        }
        let newest = found.iter().map(|found| found.attempt).max().unwrap_or(0);
        let attempt = match &kept {
            None => newest + 1,
            Some(kept) if newest < kept.marks.attempt() => match (kept.state, &kept.run) {
                // The same mark again begins no second run.
                (State::Asked, _) if self.engine.keyed() == Keyed::Yes => kept.marks.attempt(),
                (State::Asked, _) => return Err(self.never_found(kept)),
                // The list may have no place for it any more.
                (State::Begun, Some(run)) => return Ok(Some((kept.clone(), run.clone()))),
                (State::Refused, _) => kept.marks.attempt(),
                (State::Begun | State::Ended, _) => kept.marks.attempt() + 1,
            },
            Some(_) => newest + 1,
        };
        if self.read_live(until).await.serves(&order.target) {
            return Ok(None);
        }
        self.nothing_else_goes_on(marks, until).await?;
        let asked = Kept::asked(marks.at(attempt), self.ends_at(order));
        let inputs = self.wanted(order, &asked.marks.whole())?;
        self.begin(asked, &inputs, until).await.map(Some)
    }

    fn never_found(&self, kept: &Kept) -> PortError {
        let text = format!(
            "whether {} has begun the run `{}` is not known, and it tells of none: look for it there, it is not begun again",
            self.engine.system(),
            kept.marks.whole()
        );
        PortError::unknown(ErrorKind::Failed, text)
    }
}

#[async_trait]
impl Deployer for PipelineDeployer {
    fn name(&self) -> &str {
        self.engine.name()
    }

    fn class(&self) -> EffectClass {
        EffectClass::Observable
    }

    /// A shift that did not see its run end is followed by nothing but looks at live: so they look after the run, too.
    async fn live(&self) -> Result<Live, PortError> {
        let state = self.live.read().await;
        let observed_at = self.shared.clock.now();
        Box::pin(self.look_after_runs()).await;
        Ok(Live { state: state?, facets: Vec::new(), since: None, observed_at })
    }

    fn request(&self, target: &Target, wave: Option<&WaveOf>) -> Option<Request> {
        if wave.is_some() {
            return None;
        }
        let version = target.version()?;
        let words = format!("begin a run of {} for {target}, and follow it to its end", self.engine.shown());
        let request = Request::new(self.name(), &words)
            .with("pipeline", self.engine.shown())
            .with("version", version.version.to_string())
            .with("digest", version.digest.map(|digest| digest.to_string()).unwrap_or_default())
            .with("inputs", self.inputs.shown())
            .with("ends it after its time", self.follow.cancel_at_deadline.to_string());
        let holes = [Hole::Key, Hole::Plan, Hole::Incident, Hole::Expected, Hole::Staged, Hole::Credentials];
        Some(holes.into_iter().fold(self.engine.in_request(request), Request::hole))
    }

    async fn shift(&self, order: &ShiftOrder) -> Result<Shifted, PortError> {
        let until = Instant::now() + Duration::from_millis(order.deadline.0);
        let until = until.checked_sub(LAST).unwrap_or(until).max(Instant::now());
        let marks = Marks::of(&order.key);
        // What it cannot do it refuses before anybody is asked.
        self.wanted(order, &marks.whole())?;
        let _one = self.shifting.lock().await;
        self.kept.begin_to_use().await.map_err(PortError::outcome_unknown)?;
        let Some((kept, run)) = Box::pin(self.run_for(order, &marks, until)).await? else {
            return Ok(Shifted::Done);
        };
        match self.followed(&run, until).await {
            Ended::Run(run) => Box::pin(self.settled(order, &kept, &run, until)).await,
            Ended::GoesOn(run) => Box::pin(self.out_of_time(order, &kept, &run)).await,
            Ended::Unseen(error) if self.read_live(until + LAST).await.serves(&order.target) => {
                Ok(Shifted::Underway(format!("live is the target, and the run cannot be seen: {error}")))
            }
            Ended::Unseen(error) => {
                let text =
                    format!("the run `{}` was begun, and cannot be followed: {error}", kept.marks.whole());
                Err(PortError::unknown(error.kind, text).retry(error.retry))
            }
        }
    }

    async fn probe(&self, order: &ShiftOrder) -> Result<Probe, PortError> {
        let _one = self.shifting.lock().await;
        Box::pin(self.probed(order)).await
    }

    async fn obstacle(&self) -> Option<String> {
        self.engine.obstacle().await
    }
}

/// How long it is until then.
fn left(until: Instant) -> Millis {
    let left = until.saturating_duration_since(Instant::now()).as_millis();
    Millis(u64::try_from(left).unwrap_or(u64::MAX))
}
