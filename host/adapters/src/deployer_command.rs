//! A deployer behind a team's own programs.
//!
//! A `shift` that names `{place}`, `{share}` or `{wave}` can move a part at once. `{place}` is empty and `{share}` is 1 where everything that is left is moved.
//!
//! `live` prints `{"shares": [{"version": "1.3.2", "digest": null, "place": "", "weight": 1.0}]}`, or `{"unknown": "why"}`. `shift` ends with 0 when it is done,
//! 75 when it is under way, 64 to 69 when it was refused and nothing was done, 69 because live is not `{expecting}`; after any other end
//! nobody knows, and a probe or a person has to tell. A `shift` that a killed host has left behind is waited for before anything is compared. `probe` prints `{"outcome": "applied"}`, or `not-applied`, `underway`, `cannot-tell`, with a `"why"` for people; without it, live is compared.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use ripcord_core::digest::Digest;
use ripcord_core::fact::Live;
use ripcord_core::live::{LiveState, Proof, Share};
use ripcord_core::name::VersionName;
use ripcord_core::ratio::Ratio;
use ripcord_core::request::Request;
use ripcord_core::signal::Label;
use ripcord_core::target::{Target, VersionTarget};
use ripcord_ports::deployer::{EffectClass, Moves, Probe, ShiftOrder, Shifted, WaveOf};
use ripcord_ports::{Deployer, ErrorKind, PortError};
use serde::Deserialize;

use crate::Shared;
use crate::adapter::{Adapter, DeployerSays, SecretKey};
use crate::command::{self, CONFLICT, CommandSurroundings, Marks, NotRun, Program, Ran, UNDERWAY};
use crate::file_work::{FileWork, GivenUp};
use crate::folder;

const PLACEHOLDERS: [&str; 9] =
    ["version", "digest", "staged", "key", "expecting", "target", "wave", "place", "share"];

/// For the catalogue.
pub const ADAPTER: Adapter<CommandDeployerConfig, dyn Deployer> = Adapter {
    kind: "command",
    system: "a program of your own, in any language",
    summary: "programs that make a version live and say what is live",
    page: "command/README.md",
    secret: SecretKey::None,
    example: "shift = [\"./deploy\", \"{version}\", \"{staged}\"], live = [\"./live\"], effect = \"observable\"",
    start: |config, start| {
        let CommandDeployerConfig { shift, live, probe, surroundings, .. } = config;
        start.programs([Some(shift), live.as_mut(), probe.as_mut()], surroundings);
    },
    says: |config| DeployerSays {
        arguments: vec![Label::new("shift", config.shift.join(" "))],
        proof: config.proof,
        endpoint: None,
    },
    make: |config, with| {
        let config = CommandDeployerConfig { runs: Some(with.data.join("runs")), ..config };
        Ok(Arc::new(CommandDeployer::new(config, with.shared)?))
    },
};

/// The programs of a deployer, each a list of program and arguments.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CommandDeployerConfig {
    /// Makes the target live: `{version}` with the artefact's `{digest}` in the folder `{staged}`; `{target}` is the
    /// target as JSON, `{expecting}` the version that is live now, `{key}` the same for each attempt at this step. For waves: `{place}` where to, `{share}`
    /// how much of the traffic, `{wave}` both as JSON.
    pub shift: Vec<String>,
    /// Prints what is live. Needed unless `effect` is `blind`.
    #[serde(default)]
    pub live: Option<Vec<String>>,
    /// Tells what became of an interrupted shift. Takes the placeholders of `shift`. Default: live is compared.
    #[serde(default)]
    pub probe: Option<Vec<String>>,
    /// What `shift` promises: `idempotent`, `conditional`, `observable` or `blind`.
    pub effect: EffectClass,
    /// How `live` knows what it prints. Default: `control-plane`.
    #[serde(default = "proof_default")]
    pub proof: Proof,
    /// In what surroundings they run. Their deadline does not prolong that of a step.
    #[serde(default)]
    pub surroundings: CommandSurroundings,
    /// The host's own folder for the marks of runs, made when it is needed. Without one, a `shift` that outlives a killed host goes unseen.
    #[serde(skip)]
    pub runs: Option<PathBuf>,
}

fn proof_default() -> Proof {
    Proof::ControlPlane
}

/// A deployer behind programs.
#[derive(Debug)]
pub struct CommandDeployer {
    shift: Program,
    live: Option<Program>,
    probe: Option<Program>,
    effect: EffectClass,
    proof: Proof,
    runs: Option<Marks>,
    files: FileWork,
    shared: Shared,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Printed {
    Shares(Vec<PrintedShare>),
    Unknown(String),
}

#[derive(Debug, Deserialize)]
struct PrintedShare {
    version: VersionName,
    #[serde(default)]
    digest: Option<Digest>,
    #[serde(default)]
    place: String,
    #[serde(default = "whole")]
    weight: Ratio,
}

fn whole() -> Ratio {
    Ratio::ONE
}

#[derive(Debug, Deserialize)]
struct PrintedProbe {
    outcome: PrintedOutcome,
    #[serde(default)]
    why: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum PrintedOutcome {
    Applied,
    NotApplied,
    Underway,
    CannotTell,
}

impl CommandDeployer {
    /// Checks the configuration; no program is run.
    pub fn new(config: CommandDeployerConfig, shared: &Shared) -> Result<Self, PortError> {
        if config.live.is_none() && config.effect != EffectClass::Blind {
            return Err(PortError::not_applied(
                ErrorKind::Configuration,
                "`live` is missing: configure it, or set `effect` to `blind`, and people are asked after an interruption",
            ));
        }
        let surroundings = &config.surroundings;
        let optional = |key, vector: &Option<Vec<String>>, known: &[&str]| {
            vector.as_ref().map(|vector| Program::new(key, vector, known, surroundings)).transpose()
        };
        Ok(Self {
            shift: Program::new("shift", &config.shift, &PLACEHOLDERS, surroundings)?,
            live: optional("live", &config.live, &[])?,
            probe: optional("probe", &config.probe, &PLACEHOLDERS)?,
            effect: config.effect,
            proof: config.proof,
            runs: config.runs.map(Marks::new),
            files: FileWork::new("the folder of the marks of runs"),
            shared: shared.clone(),
        })
    }

    async fn read_live(&self) -> Result<LiveState, PortError> {
        let Some(program) = &self.live else {
            return Ok(LiveState::Unknown("no program `live` is configured for this deployer".to_owned()));
        };
        printed_live(program, self.proof).await
    }

    /// What the program is told of the target itself: the same for a plan's request and for the run.
    fn known_of(target: &Target, wave: Option<&WaveOf>) -> Result<BTreeMap<&'static str, String>, PortError> {
        if let Target::Other(name) = target {
            return Err(PortError::not_applied(
                ErrorKind::Unsupported,
                format!("the target `{name}` is of a kind that this release does not know"),
            ));
        }
        let text = serde_json::to_string(target).map_err(|error| {
            PortError::not_applied(ErrorKind::Local, format!("{target} has no JSON form")).caused_by(error)
        })?;
        let mut values = BTreeMap::from([("target", text)]);
        if let Target::Version(version) = target {
            values.insert("version", version.version.to_string());
            values.insert("digest", version.digest.map(|digest| digest.to_string()).unwrap_or_default());
        }
        if let Some(wave) = wave {
            let text = serde_json::to_string(wave).map_err(|error| {
                PortError::not_applied(ErrorKind::Local, format!("{wave} has no JSON form")).caused_by(error)
            })?;
            let (place, share) = match &wave.moves {
                Moves::Place(place) => (place.clone(), Ratio::ONE),
                Moves::Share(share) => (String::new(), *share),
                Moves::Rest => (String::new(), Ratio::ONE),
            };
            values.extend([("wave", text), ("place", place), ("share", share.get().to_string())]);
        }
        Ok(values)
    }

    fn values(order: &ShiftOrder) -> Result<BTreeMap<&'static str, String>, PortError> {
        let mut values = Self::known_of(&order.target, order.wave.as_ref())?;
        // A program that can move a part is told that it is to move everything.
        values.entry("share").or_insert_with(|| Ratio::ONE.get().to_string());
        values.insert("key", order.key.clone());
        if let Some(expected) = order.expecting.sole_version() {
            values.insert("expecting", expected.version.to_string());
        }
        if let Some(staged) = &order.staged {
            if order.target.digest().is_none() {
                values.insert("digest", staged.digest.to_string());
            }
            values.insert("staged", command::path_of(&staged.dir)?);
        }
        Ok(values)
    }

    /// Runs `shift` under a mark, which tells a later host whether it has ended.
    async fn run_marked(
        &self,
        order: &ShiftOrder,
        values: &BTreeMap<&'static str, String>,
    ) -> Result<Ran, NotRun> {
        let Some(runs) = &self.runs else { return self.shift.run(values, Some(order.deadline)).await };
        let (runs, key) = (runs.clone(), order.key.clone());
        let begin = move |_: &GivenUp| {
            let begun = runs.begin(&key).and_then(|mark| match mark {
                Some(mark) => Ok(Some((mark.stdin()?, mark))),
                None => Ok(None),
            });
            begun.map_err(|error| folder::local(error, "the shift's mark cannot be left in the data folder"))
        };
        let Some((stdin, mark)) = self.files.run(begin).await.map_err(NotRun::NotStarted)? else {
            return Err(NotRun::Ended(not_ended()));
        };
        let ran = self.shift.run_with(values, Some(order.deadline), stdin).await;
        // A program that did not end by itself may have left something behind that still works: then the mark is for that to hold.
        if !matches!(ran, Err(NotRun::Ended(_))) {
            let end = move |_: &GivenUp| {
                mark.ended();
                Ok(())
            };
            // A mark that stays is free, and so says the same.
            let _ = self.files.run(end).await;
        }
        ran
    }

    /// Whether a `shift` that was begun before has ended, so that what is live says what became of it.
    async fn ended(&self, order: &ShiftOrder) -> Result<(), PortError> {
        let Some(runs) = self.runs.clone() else { return Ok(()) };
        let key = order.key.clone();
        let look = move |_: &GivenUp| {
            runs.is_held(&key).map_err(|error| {
                folder::local(error, "the shift's mark in the data folder cannot be looked at")
            })
        };
        if self.files.run(look).await? { Err(not_ended()) } else { Ok(()) }
    }

    /// What live tells of an interrupted shift.
    async fn compared(&self, order: &ShiftOrder) -> Result<Probe, PortError> {
        if self.effect == EffectClass::Blind {
            return Ok(Probe::CannotTell("this deployer is blind: look at the system itself".to_owned()));
        }
        let state = self.read_live().await?;
        Ok(match state {
            LiveState::Unknown(why) => Probe::CannotTell(why),
            state if is_moved(&state, order) => Probe::Applied,
            // Once more has the effect of once, whatever has become of the first.
            _ if self.effect == EffectClass::Idempotent => Probe::NotApplied,
            state if state.same_identity(&order.expecting) && !is_moved(&order.expecting, order) => {
                Probe::NotApplied
            }
            state => Probe::CannotTell(format!(
                "live is {state}, which is neither {} nor what was live before ({})",
                order.target, order.expecting
            )),
        })
    }
}

/// What a program prints of what is live.
pub(crate) async fn printed_live(program: &Program, proof: Proof) -> Result<LiveState, PortError> {
    let ran = program.run(&BTreeMap::new(), None).await?.successful()?;
    let shares = match ran.json()? {
        Printed::Unknown(why) => return Ok(LiveState::Unknown(why)),
        Printed::Shares(shares) => shares,
    };
    let share = |printed: PrintedShare| Share {
        version: VersionTarget { version: printed.version, digest: printed.digest },
        place: printed.place,
        weight: printed.weight,
        proof,
    };
    Ok(LiveState::Serving(shares.into_iter().map(share).collect()))
}

/// Whether live shows what was ordered. Where all traffic was there before, what is left to be done is to take away what served it: that shows in
/// what stands there without traffic, where the program tells of that.
fn is_moved(live: &LiveState, order: &ShiftOrder) -> bool {
    let moves = order.wave.as_ref().map_or(&Moves::Rest, |wave| &wave.moves);
    let stands = |state: &LiveState| match state {
        LiveState::Serving(shares) => !shares.iter().all(|share| share.is(&order.target)),
        LiveState::Unknown(_) => false,
    };
    let takes_away = order.wave.is_some() && *moves == Moves::Rest && order.expecting.serves(&order.target);
    if takes_away && stands(&order.expecting) {
        return live.serves(&order.target) && !stands(live);
    }
    live.shows(&order.target, moves)
}

fn not_ended() -> PortError {
    PortError::not_applied(
        ErrorKind::TimedOut,
        "the program `shift` that was started before, or one of its children, has not ended: what became of it shows when it has",
    )
}

#[async_trait]
impl Deployer for CommandDeployer {
    fn name(&self) -> &str {
        "deployer_command"
    }

    fn class(&self) -> EffectClass {
        self.effect
    }

    fn shows(&self, target: &Target) -> bool {
        matches!(target, Target::Version(_)) && (self.live.is_some() || self.effect == EffectClass::Blind)
    }

    async fn live(&self) -> Result<Live, PortError> {
        let state = self.read_live().await?;
        Ok(Live { state, facets: Vec::new(), since: None, observed_at: self.shared.clock.now() })
    }

    fn waves(&self, moves: &Moves) -> bool {
        let names = |placeholder| self.shift.names(placeholder);
        names("wave")
            || match moves {
                Moves::Place(_) => names("place"),
                // With the share alone, all traffic and everything that is left are told alike.
                Moves::Share(share) => names("share") && *share < Ratio::ONE,
                Moves::Rest => names("place") || names("share"),
            }
    }

    fn request(&self, target: &Target, wave: Option<&WaveOf>) -> Option<Request> {
        if wave.is_some_and(|wave| !self.waves(&wave.moves)) {
            return None;
        }
        let known = Self::known_of(target, wave).ok()?;
        let part = wave.map(|wave| format!(", {wave}")).unwrap_or_default();
        let words = format!("run the program `{}` of `shift` for {target}{part}", self.shift.name());
        let request = self.shift.in_request(Request::new(self.name(), &words));
        Some(known.into_iter().fold(request, |request, (name, value)| request.with(name, value)))
    }

    async fn shift(&self, order: &ShiftOrder) -> Result<Shifted, PortError> {
        let values = Self::values(order)?;
        let ran = match self.run_marked(order, &values).await {
            Ok(ran) => ran,
            Err(NotRun::NotStarted(error)) => return Err(error),
            Err(NotRun::Ended(error)) => return Err(error.outcome_unknown()),
        };
        match ran.code {
            0 => Ok(Shifted::Done),
            UNDERWAY => Ok(Shifted::Underway(ran.last_line())),
            CONFLICT => Err(PortError::not_applied(ErrorKind::Conflict, ran.error().to_string())),
            _ => Err(ran.error()),
        }
    }

    async fn probe(&self, order: &ShiftOrder) -> Result<Probe, PortError> {
        self.ended(order).await?;
        let Some(program) = &self.probe else { return self.compared(order).await };
        let ran = program.run(&Self::values(order)?, None).await?.successful()?;
        let printed: PrintedProbe = ran.json()?;
        let why = if printed.why.is_empty() { format!("{} gave no reason", ran.what()) } else { printed.why };
        Ok(match printed.outcome {
            PrintedOutcome::Applied => Probe::Applied,
            PrintedOutcome::NotApplied => Probe::NotApplied,
            PrintedOutcome::Underway => Probe::Underway(why),
            PrintedOutcome::CannotTell => Probe::CannotTell(why),
        })
    }
}
