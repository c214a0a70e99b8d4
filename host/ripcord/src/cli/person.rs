//! What a person types who is on call: pulls, votes, orders.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use ripcord_core::data::DataRevision;
use ripcord_core::event::Happened;
use ripcord_core::facet::{Facet, InvalidRevision, Revision};
use ripcord_core::name::{IncidentId, PolicyName, ServiceName, SetName, VersionName};
use ripcord_core::role::Urgency;

use super::produced::{CheckpointArg, ExcludeArg, RetrainArg};
use crate::output::document::DocumentForm;

/// The beginning of a digest, as people copy it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DigestStart(String);

impl DigestStart {
    /// Whether the digest begins so.
    pub fn fits(&self, digest: &ripcord_core::digest::Digest) -> bool {
        digest.to_string().starts_with(&self.0)
    }
}

impl std::fmt::Display for DigestStart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for DigestStart {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.to_ascii_lowercase();
        if (8..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(Self(text));
        }
        Err("a digest, or at least its first 8 of 64 hexadecimal digits".to_owned())
    }
}

/// `ripcord pull`.
#[derive(Debug, Clone, Args)]
pub struct PullArgs {
    /// Which service
    #[arg(required_unless_present = "set")]
    pub service: Option<ServiceName>,
    /// Move this set of services instead, by one plan and one consent
    #[arg(long, value_name = "NAME", conflicts_with_all = ["service", "configuration", "fallback", "checkpoint", "retrain", "exclude", "no_hold", "replace"])]
    pub set: Option<SetName>,
    /// To this version; the planner chooses if left out. With `--set`: `MEMBER=VERSION` for each member that is to move, where `MEMBER=NAME=REVISION` is of a configuration and `MEMBER=fallback=MODE` a safe mode; the last consistent set if left out
    #[arg(long, value_name = "VERSION", conflicts_with_all = ["configuration", "fallback", "checkpoint", "retrain"])]
    pub to: Vec<ToArg>,
    /// Put this configuration back to this revision; the model stays
    #[arg(long, value_name = "NAME=REVISION", conflicts_with_all = ["fallback", "checkpoint", "retrain"])]
    pub configuration: Option<ConfigurationArg>,
    /// Enter this safe mode; `off` leaves it
    #[arg(long, value_name = "MODE", conflicts_with_all = ["checkpoint", "retrain"])]
    pub fallback: Option<VersionName>,
    /// Make a version of this checkpoint of a training run; putting it in place gets a plan of its own
    #[arg(long, value_name = "RUN@STEP", conflicts_with = "retrain")]
    pub checkpoint: Option<CheckpointArg>,
    /// Train again on this data set; putting what comes of it in place gets a plan of its own
    #[arg(long, value_name = "DATASET[@REVISION]")]
    pub retrain: Option<RetrainArg>,
    /// Leave this out of the data; `value=COLUMN:VALUE`, `window=START..END` and `rows=FILE` (one id a line) as well, and more than once
    #[arg(long, value_name = "source=NAME", requires = "retrain")]
    pub exclude: Vec<ExcludeArg>,
    /// Why
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub reason: String,
    /// How fast people and rules must be
    #[arg(long, value_enum, value_name = "URGENCY", default_value_t)]
    pub urgency: UrgencyArg,
    /// Leave what is served now as it is: it is not condemned, and no hold keeps it out. For trying
    #[arg(long)]
    pub no_hold: bool,
    /// Throw away a plan that waits already, with the votes for it
    #[arg(long)]
    pub replace: bool,
    /// Do not wait for evidence. What the plan does is still granted: by `ripcord approve --break-glass`, or as any other
    #[arg(long, requires = "reason", conflicts_with = "set")]
    pub break_glass: bool,
    /// Return as soon as it is on record, without waiting for the end
    #[arg(long)]
    pub no_wait: bool,
}

impl PullArgs {
    /// Where a service is pulled to; none leaves it to the planner.
    ///
    /// # Errors
    /// What was typed is about a set, or names several versions. The text says what to type.
    pub fn target(&self) -> Result<Option<Revision>, String> {
        let to = match self.to.as_slice() {
            [] => None,
            [ToArg::Version(version)] => Some(Revision::of_model(version)),
            [ToArg::Member(member, _)] => {
                return Err(format!(
                    "`--to {member}=…` names a member of a set: add `--set NAME` in place of the service, or give `--configuration NAME=REVISION`"
                ));
            }
            [_, _, ..] => {
                return Err("a service is pulled to one version: keep one `--to`".to_owned());
            }
        };
        let fallback = || Some(Revision { facet: Facet::Fallback, name: self.fallback.clone()? });
        let configuration = || self.configuration.clone().map(|argument| argument.0);
        Ok(to.or_else(configuration).or_else(fallback))
    }

    /// Where each member of a set that is to move is pulled to; nothing is the last consistent set.
    ///
    /// # Errors
    /// A version without its member, or a member twice. The text says what to type.
    pub fn members(&self) -> Result<BTreeMap<ServiceName, Revision>, String> {
        let mut members = BTreeMap::new();
        for to in &self.to {
            match to {
                ToArg::Version(version) => {
                    return Err(format!(
                        "`--to {version}` says of no member of the set that it moves: write `--to MEMBER={version}`"
                    ));
                }
                ToArg::Member(member, revision) => {
                    if members.insert(member.clone(), revision.clone()).is_some() {
                        return Err(format!("`{member}` is named twice: keep one `--to {member}=…`"));
                    }
                }
            }
        }
        Ok(members)
    }
}

/// Where to: `VERSION`, or `MEMBER=VERSION` of a member of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToArg {
    /// Of the service.
    Version(VersionName),
    /// Of one of a set's members: a version, `NAME=REVISION` of a configuration, or `fallback=MODE`.
    Member(ServiceName, Revision),
}

impl std::str::FromStr for ToArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((member, revision)) = text.split_once('=') else {
            return text.parse().map(Self::Version).map_err(|error| format!("{error}"));
        };
        let member = member.parse().map_err(|error| format!("{error}"))?;
        let revision = revision.parse().map_err(|error: InvalidRevision| error.to_string())?;
        Ok(Self::Member(member, revision))
    }
}

/// A revision of a configuration: `NAME=REVISION`.
#[derive(Debug, Clone)]
pub struct ConfigurationArg(pub Revision);

impl std::str::FromStr for ConfigurationArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let revision: Revision = text.parse().map_err(|error: InvalidRevision| error.to_string())?;
        match revision.facet {
            Facet::Configuration(_) => Ok(Self(revision)),
            Facet::Model | Facet::Fallback => {
                Err(format!("`{text}` is not `NAME=REVISION` of a configuration"))
            }
        }
    }
}

/// How fast people and rules must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum UrgencyArg {
    /// In working hours.
    Routine,
    /// Now.
    #[default]
    Urgent,
    /// Now, and harm is being done.
    Emergency,
}

impl From<UrgencyArg> for Urgency {
    fn from(urgency: UrgencyArg) -> Self {
        match urgency {
            UrgencyArg::Routine => Self::Routine,
            UrgencyArg::Urgent => Self::Urgent,
            UrgencyArg::Emergency => Self::Emergency,
        }
    }
}

/// Whether an interrupted shift happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum HappenedArg {
    /// It did: the target is live.
    Applied,
    /// It did not: what was live still is.
    NotApplied,
}

impl From<HappenedArg> for Happened {
    fn from(happened: HappenedArg) -> Self {
        match happened {
            HappenedArg::Applied => Self::Applied,
            HappenedArg::NotApplied => Self::NotApplied,
        }
    }
}

/// `ripcord plan`.
#[derive(Debug, Subcommand)]
pub enum PlanCommand {
    /// Show it, with the digest that approvals are given to
    Show(PlanShowArgs),
}

/// `ripcord plan show`.
#[derive(Debug, Clone, Args)]
pub struct PlanShowArgs {
    /// Of which incident, or of which run of a set, such as `set:fraud:2`
    pub incident: IncidentId,
    /// Print what a vote signs, to be signed elsewhere: `ssh-keygen -Y sign -n ripcord-vote -f KEY FILE`, then `ripcord approve --signed FILE`. The plan goes to standard error
    #[arg(long)]
    pub to_sign: bool,
    /// Your name in the configuration, as whom it is signed
    #[arg(long, value_name = "NAME", requires = "to_sign")]
    pub person: Option<String>,
    /// To refuse the plan, not to approve it
    #[arg(long, requires = "to_sign", conflicts_with = "break_glass")]
    pub refuse: bool,
    /// To grant it alone, past floor and policies
    #[arg(long, requires = "to_sign")]
    pub break_glass: bool,
    /// Print it as a runbook: what people would do by hand
    #[arg(long, conflicts_with = "to_sign")]
    pub runbook: bool,
    /// How a runbook is written
    #[arg(long, value_enum, value_name = "FORM", requires = "runbook", default_value_t)]
    pub form: DocumentForm,
}

/// `ripcord approve` and `ripcord refuse`.
#[derive(Debug, Clone, Args)]
pub struct VoteArgs {
    /// Of which incident, or of which run of a set, such as `set:fraud:2`
    pub incident: IncidentId,
    /// Sign with this key: one that `ripcord key new` wrote, or an SSH key, private, or public where an agent has the other half; without one your token stands for you
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// What `ripcord plan show --to-sign` printed, with its signature in `FILE.sig`, as `ssh-keygen -Y sign` writes it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["key", "person"])]
    pub signed: Option<PathBuf>,
    /// Your name in the configuration, where the key does not tell it
    #[arg(long, value_name = "NAME", requires = "key")]
    pub person: Option<String>,
    /// Only if the plan's digest is this, or begins so
    #[arg(long, value_name = "DIGEST")]
    pub plan: Option<DigestStart>,
    /// Why
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub reason: String,
    /// Do not ask again after showing the plan
    #[arg(long, short)]
    pub yes: bool,
    /// Grant it alone and at once, past floor and policies; somebody else must look at it afterwards
    #[arg(long, requires = "reason")]
    pub break_glass: bool,
}

/// A command about an incident.
#[derive(Debug, Clone, Args)]
pub struct AboutIncident {
    /// Which, such as `fraud-api:3`, or `set:fraud:2` of a set
    pub incident: IncidentId,
    /// Why
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub reason: String,
}

/// `ripcord review`.
#[derive(Debug, Subcommand)]
pub enum ReviewCommand {
    /// Say that it was looked at: until then nothing of that service is done on one person's word, or a policy's
    Close(AboutIncident),
}

/// A command about services.
#[derive(Debug, Clone, Args)]
pub struct AboutServices {
    /// Which service
    #[arg(required_unless_present = "all")]
    pub service: Option<ServiceName>,
    /// Every service of the configuration
    #[arg(long, conflicts_with = "service")]
    pub all: bool,
    /// Why
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub reason: String,
}

/// `ripcord hold`.
#[derive(Debug, Subcommand)]
pub enum HoldCommand {
    /// List them
    List {
        /// Only this service's
        service: Option<ServiceName>,
    },
    /// Condemn a revision of a training set: what was trained on it is not gone back to, nor what is registered later
    Put {
        /// For which service
        service: ServiceName,
        /// Which revision of the data
        #[arg(long, value_name = "DATASET@REVISION")]
        data: DataRevision,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Let a condemned version, revision of a configuration, or what was trained on condemned data come back
    Lift {
        /// Of which service
        service: ServiceName,
        /// Which version, or `NAME=REVISION` of a configuration
        #[arg(required_unless_present = "data")]
        revision: Option<Revision>,
        /// Which revision of a training set
        #[arg(long, value_name = "DATASET@REVISION", conflicts_with_all = ["revision", "of"])]
        data: Option<DataRevision>,
        /// The incident that condemned it: the hold of another one is not lifted
        #[arg(long, value_name = "INCIDENT")]
        of: Option<IncidentId>,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

/// `ripcord sets`.
#[derive(Debug, Clone, Args)]
pub struct SetsArgs {
    /// What to show; the list if left out
    #[command(subcommand)]
    pub command: Option<SetsCommand>,
}

/// What of sets is shown.
#[derive(Debug, Clone, Subcommand)]
pub enum SetsCommand {
    /// List them, each with the run that goes on
    List,
    /// Show one: its members, the plan in parts, how far each part is, what is waited for
    Show {
        /// Which
        set: SetName,
    },
}

/// `ripcord runs`.
#[derive(Debug, Subcommand)]
pub enum RunsCommand {
    /// List those that go on, and the last ones that ended
    List {
        /// Only this service's
        service: Option<ServiceName>,
    },
    /// End the run that an incident ordered
    Stop(AboutIncident),
}

/// `ripcord latch`.
#[derive(Debug, Subcommand)]
pub enum LatchCommand {
    /// Let a trigger open an incident again, and ask it now
    Lift {
        /// Of which service
        service: ServiceName,
        /// Which trigger
        trigger: PolicyName,
        /// The incident whose end latched it: the latch of another one is not lifted
        #[arg(long, value_name = "INCIDENT")]
        of: Option<IncidentId>,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}
