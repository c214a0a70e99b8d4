//! What can be typed.

mod backtest;
mod examples;

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use ripcord_adapters::Secret;
use ripcord_core::event::Happened;
use ripcord_core::name::{IncidentId, PolicyName, ServiceName, VersionName};
use ripcord_core::policy::Role;
use ripcord_core::role::Urgency;

use crate::commands::Ago;
use crate::output::{Color, Exit, Failure, Form};
use crate::policy::Template;

pub use backtest::{BacktestArgs, RecordArgs, When};
pub use examples::{command, parse};

const CONFIG_FILE: &str = "ripcord.toml";
const TOKEN_VARIABLE: &str = "RIPCORD_TOKEN";

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  it failed, something is not well, or a replay differs
  2  the arguments or the configuration are wrong
  3  it waits for approval, or a person must decide
  4  a person, a policy or the host said no";

/// Pulls a production model back to a known-good version when it goes bad, under rules that each team writes.
#[derive(Debug, Parser)]
#[command(name = "ripcord", version, about, after_help = EXIT_CODES)]
pub struct Cli {
    /// What holds for every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What holds for every command.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// The configuration file; `ripcord.toml` in this folder if left out
    #[arg(long, global = true, value_name = "FILE", env = "RIPCORD_CONFIG")]
    pub config: Option<PathBuf>,
    /// Ask the host at this address; no configuration is read
    #[arg(long, global = true, value_name = "URL", env = "RIPCORD_HOST")]
    pub host: Option<String>,
    /// Ask the host of this context; the current one is asked where there is no configuration
    #[arg(long, global = true, value_name = "NAME", env = "RIPCORD_CONTEXT", conflicts_with = "host")]
    pub context: Option<String>,
    /// Print one JSON document on standard output
    #[arg(long, global = true)]
    pub json: bool,
    /// When to colour
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t)]
    pub color: Color,
    /// Read your token from this file; the variable `RIPCORD_TOKEN` is the other way
    #[arg(long, global = true, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}

impl Global {
    /// In which form the command answers.
    pub fn form(&self) -> Form {
        if self.json { Form::Json } else { Form::Text }
    }

    /// Where the configuration is.
    pub fn config_file(&self) -> &Path {
        self.config.as_deref().unwrap_or(Path::new(CONFIG_FILE))
    }

    /// The person's token, where one is given.
    ///
    /// # Errors
    /// It cannot be read, or others may read it.
    pub fn token(&self) -> Result<Option<Secret>, Failure> {
        let token = match &self.token_file {
            Some(path) => Some(Secret::from_file(path)),
            None => std::env::var_os(TOKEN_VARIABLE).map(|_| Secret::from_env(TOKEN_VARIABLE)),
        };
        token.transpose().map_err(|error| Failure::of(Exit::Usage, error))
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Watch a bad model go live and be pulled back, on this machine, in under a minute
    #[cfg(feature = "demo")]
    Demo(DemoArgs),
    /// Write a commented `ripcord.toml` for what is found here, and look at it as `ripcord check` does
    Init(InitArgs),
    /// Run the host: take alerts, run incidents
    Serve(ServeArgs),
    /// Check the configuration and everything it names
    Check(CheckArgs),
    /// Show what each service serves, how it stands and what it does; what needs a person first
    Status {
        /// Only this service
        service: Option<ServiceName>,
        /// Show it again whenever it has changed, until ctrl-c
        #[arg(long)]
        watch: bool,
    },
    /// Let the running host read its configuration and policies again, if `ripcord check` finds nothing wrong with them
    Reload,
    /// The versions of a service: how each stands, and why a rollback does not go to it
    Versions {
        /// Which service
        service: ServiceName,
    },
    /// What policies were given, what they said, and why
    Decisions(DecisionsArgs),
    /// Vouch for a version, so that there is something to go back to
    Adopt {
        /// For which service
        service: ServiceName,
        /// Which version; what is live if left out
        version: Option<VersionName>,
        /// Why you vouch for it
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Roll a service back now
    Pull(PullArgs),
    /// Past and open incidents
    #[command(subcommand)]
    Incidents(IncidentsCommand),
    /// Run recorded decisions again and compare
    #[command(override_usage = "ripcord replay [OPTIONS] <INCIDENT|--all>")]
    Replay(ReplayArgs),
    /// The plan of an incident
    #[command(subcommand)]
    Plan(PlanCommand),
    /// Agree to the plan at hand
    Approve(VoteArgs),
    /// Refuse the plan at hand
    Refuse(VoteArgs),
    /// Stop an incident before anything was shifted
    Abort(AboutIncident),
    /// Say that it is no incident, or that you settled it by hand
    Dismiss(AboutIncident),
    /// Say whether an interrupted shift happened
    Answer {
        /// Of which incident
        incident: IncidentId,
        /// What you saw
        happened: HappenedArg,
        /// Which of the incident's questions you answer, where it asked more than once
        #[arg(long, value_name = "NUMBER", default_value_t = 1)]
        question: u32,
        /// How you know
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
    /// Stop all acting on a service, or on all
    #[command(override_usage = "ripcord pause [OPTIONS] <SERVICE|--all>")]
    Pause(AboutServices),
    /// Let it go on
    #[command(override_usage = "ripcord resume [OPTIONS] <SERVICE|--all>")]
    Resume(AboutServices),
    /// Marks that keep condemned versions out
    #[command(subcommand)]
    Hold(HoldCommand),
    /// What the host knows: how much there is, what may go, whether it is whole
    #[command(subcommand)]
    Store(StoreCommand),
    /// Triggers that open no incident since the last one ended without a rollback
    #[command(subcommand)]
    Latch(LatchCommand),
    /// Signals as they were taken in
    #[command(subcommand)]
    Signals(SignalsCommand),
    /// Write, build, test and look into policies
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Print the completions of a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Write the manual pages of this program, one a command
    Man {
        /// The folder
        #[arg(value_name = "DIR")]
        dir: PathBuf,
    },
    /// Try a trigger over a time that has passed: what would it have said, and when?
    Backtest(BacktestArgs),
    /// Keys for signing approvals and policies
    #[command(subcommand)]
    Key(KeyCommand),
    /// Remember a host and your token for it, so that its commands work from any machine
    Login(LoginArgs),
    /// Hosts that you logged in at
    #[command(subcommand)]
    Context(ContextCommand),
    /// Validate and compile one component within limits, for the `ripcord` whose socket is standard input
    #[command(hide = true)]
    ExaminePolicy,
    /// The model server and its team, as the demo runs them
    #[cfg(feature = "demo")]
    #[command(subcommand, hide = true)]
    ExampleFraud(fraud::Command),
}

/// `ripcord demo`.
#[cfg(feature = "demo")]
#[derive(Debug, Clone, Args)]
pub struct DemoArgs {
    /// Answer for both approvers
    #[arg(long)]
    pub yes: bool,
    /// Leave everything running at the end, until ctrl-c
    #[arg(long)]
    pub keep: bool,
    /// Work in this folder and leave it there; it must be empty or absent
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// `ripcord init`. What is named is taken instead of what would be found.
#[derive(Debug, Clone, Args)]
pub struct InitArgs {
    /// What to call the service; `MODEL-api` if left out
    #[arg(long, value_name = "SERVICE")]
    pub service: Option<ServiceName>,
    /// Which model, where a server has several
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,
    /// The model server, which speaks the Open Inference Protocol
    #[arg(long, value_name = "URL")]
    pub server: Option<String>,
    /// Where versions are: a folder, or MLflow's address
    #[arg(long, value_name = "FOLDER|URL")]
    pub registry: Option<String>,
    /// The folder from which the server reads its model
    #[arg(long, value_name = "FOLDER")]
    pub model_directory: Option<String>,
    /// Prometheus
    #[arg(long, value_name = "URL")]
    pub prometheus: Option<String>,
    /// Golden data, as JSON lines
    #[arg(long, value_name = "FILE")]
    pub golden: Option<String>,
    /// The server's request log
    #[arg(long, value_name = "FILE")]
    pub request_log: Option<String>,
    /// Ask for nothing that was not found
    #[arg(long)]
    pub no_questions: bool,
}

/// `ripcord login`. The token comes from `--token-file`, `RIPCORD_TOKEN`, standard input, or is typed unseen.
#[derive(Debug, Clone, Args)]
pub struct LoginArgs {
    /// The host's address, such as `https://ripcord.example`
    #[arg(value_name = "URL")]
    pub url: String,
    /// What to call it; the machine's name if left out
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
}

/// `ripcord context`.
#[derive(Debug, Clone, Subcommand)]
pub enum ContextCommand {
    /// List them; the current one has a star
    List,
    /// Make one the current one
    Use {
        /// Which
        name: String,
    },
    /// Forget one, and its token
    Remove {
        /// Which
        name: String,
    },
}

/// `ripcord serve`.
#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    /// How log lines look
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    pub log: LogFormat,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// `ripcord check`.
#[derive(Debug, Clone, Args)]
pub struct CheckArgs {
    /// Say which route the alerts of this webhook body take, and why
    #[arg(long, value_name = "FILE")]
    pub alert: Option<PathBuf>,
    /// Check the configuration and the files that it names, and ask no other system
    #[arg(long)]
    pub offline: bool,
    /// Ask each trigger about this moment, too: is there data, and what does it say?
    #[arg(long, conflicts_with = "offline")]
    pub now: bool,
}

/// What recorded decisions are about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum About {
    /// A service.
    Service(ServiceName),
    /// An incident.
    Incident(IncidentId),
}

impl std::str::FromStr for About {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains(':') {
            return text.parse().map(Self::Incident).map_err(|error| format!("{error}"));
        }
        text.parse().map(Self::Service).map_err(|error| format!("{error}"))
    }
}

/// `ripcord decisions`.
#[derive(Debug, Clone, Args)]
pub struct DecisionsArgs {
    /// A service, or an incident such as `fraud-api:3`; every service if left out
    #[arg(value_name = "SERVICE|INCIDENT")]
    pub about: Option<About>,
    /// Only those of the last so long, such as `30m`, `12h` or `7d`; an incident's are all shown
    #[arg(long, value_name = "TIME")]
    pub since: Option<Ago>,
    /// At most so many, the newest
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=200))]
    pub limit: u32,
}

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
    pub service: ServiceName,
    /// To this version; the planner chooses if left out
    #[arg(long, value_name = "VERSION")]
    pub to: Option<VersionName>,
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
    /// Return as soon as it is on record, without waiting for the end
    #[arg(long)]
    pub no_wait: bool,
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

/// `ripcord incidents`.
#[derive(Debug, Subcommand)]
pub enum IncidentsCommand {
    /// List them, newest first
    List {
        /// Only this service's
        #[arg(long, value_name = "SERVICE")]
        service: Option<ServiceName>,
        /// Only those that have not ended
        #[arg(long)]
        open: bool,
        /// Only those that were opened within the last so long, such as `12h` or `7d`
        #[arg(long, value_name = "TIME")]
        since: Option<Ago>,
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
    },
    /// Follow one until it has ended, or needs a person
    Watch {
        /// Which, such as `fraud-api:3`
        incident: IncidentId,
    },
    /// Show one on a page
    Show {
        /// Which, such as `fraud-api:3`
        incident: IncidentId,
    },
    /// Keep an incident's content, however old it becomes
    Keep(AboutIncident),
    /// Let its content go by its age again
    Release(AboutIncident),
}

/// `ripcord store`.
#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// Show how much there is of what, and what may go
    Show,
    /// Erase what is older than it is kept for; a running host does so every hour by itself
    Prune,
    /// Copy the store and its evidence into a new folder, also while a host runs
    Backup {
        /// The folder; it must not exist
        folder: PathBuf,
    },
    /// Read everything again: are the journals whole, is all that is derived from them right?
    Verify {
        /// Only this service
        service: Option<ServiceName>,
        /// Make what is derived anew where it is wrong; no host may run
        #[arg(long)]
        rebuild: bool,
    },
    /// Begin another store where the one that was here is lost: without its holds, standings and history
    New {
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Say that the store that is here is the right one, although it is another or an older one
    Accept {
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

/// `ripcord replay`.
#[derive(Debug, Clone, Args)]
pub struct ReplayArgs {
    /// The decisions of this incident
    #[arg(required_unless_present = "all")]
    pub incident: Option<IncidentId>,
    /// Every decision on record
    #[arg(long, conflicts_with = "incident")]
    pub all: bool,
}

/// `ripcord plan`.
#[derive(Debug, Subcommand)]
pub enum PlanCommand {
    /// Show it, with the digest that approvals are given to
    Show {
        /// Of which incident
        incident: IncidentId,
    },
}

/// `ripcord approve` and `ripcord refuse`.
#[derive(Debug, Clone, Args)]
pub struct VoteArgs {
    /// Of which incident
    pub incident: IncidentId,
    /// Sign with this key, as `ripcord key new` writes it; without one your token stands for you
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
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
}

/// A command about an incident.
#[derive(Debug, Clone, Args)]
pub struct AboutIncident {
    /// Which, such as `fraud-api:3`
    pub incident: IncidentId,
    /// Why
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub reason: String,
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
    /// Let a condemned version be promoted again
    Lift {
        /// Of which service
        service: ServiceName,
        /// Which version
        version: VersionName,
        /// The incident that condemned it: the hold of another one is not lifted
        #[arg(long, value_name = "INCIDENT")]
        of: Option<IncidentId>,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
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

/// `ripcord signals`.
#[derive(Debug, Subcommand)]
pub enum SignalsCommand {
    /// Alerts that no route took
    Unrouted {
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
    },
    /// Alerts that a trigger faults on, or that are too large for any: the triggers judge the others
    SetAside {
        /// Only this service's
        service: Option<ServiceName>,
    },
}

/// `ripcord policy`.
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Write a new policy: a crate that compiles, with fixtures and a README
    New {
        /// Its name
        name: String,
        /// What it answers, or a template of what it answers; give several for several roles
        #[arg(long = "role", value_enum, value_name = "ROLE")]
        roles: Vec<Template>,
        /// The folder to put its folder into
        #[arg(long, value_name = "DIR", default_value = ".")]
        dir: PathBuf,
        /// Depend on the SDK in this folder (`guest-sdk` of a checkout) instead of carrying it in the crate
        #[arg(long, value_name = "DIR")]
        sdk: Option<PathBuf>,
    },
    /// Build a crate into a component
    Build {
        /// The crate's folder
        #[arg(default_value = ".")]
        dir: PathBuf,
        /// Where to write it; `NAME.wasm` in the folder if left out
        #[arg(long, short, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Run every fixture as a component, and natively if it is a crate
    Test {
        /// A crate's folder, a component, or a starter policy (`starter:NAME` where a folder has its name)
        #[arg(default_value = ".")]
        what: String,
        /// The folder of the fixtures
        #[arg(long, value_name = "DIR")]
        fixtures: Option<PathBuf>,
        /// Let fixtures that the component answers differently expect that from now on
        #[arg(long)]
        bless: bool,
        /// Test again whenever a file of the crate or a fixture changes, until ctrl-c
        #[arg(long, conflicts_with = "json")]
        watch: bool,
    },
    /// Make fixtures of decisions that are on record
    Record(RecordArgs),
    /// Ask every policy of a service about this moment, and show the facts that it saw; nothing is recorded or changed
    Try {
        /// Which service
        service: ServiceName,
        /// Only this policy
        policy: Option<PolicyName>,
    },
    /// Put the SDK of this program into a crate, in place of that of another release
    Sdk {
        /// The crate's folder
        #[arg(default_value = ".")]
        dir: PathBuf,
    },
    /// Sign a component: `signed-by` in the configuration names who must have
    Sign {
        /// The component
        file: PathBuf,
        /// Your private key, as `ripcord key new` wrote it
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
    },
    /// Show what a component says of itself
    Inspect {
        /// A component, a crate's folder, a policy of the configuration, or a starter policy
        what: String,
    },
}

/// What a policy answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RoleArg {
    /// Is this a reason to roll back?
    Trigger,
    /// With what strategy, to which targets?
    Planner,
    /// Who must agree, and is it enough now?
    Approval,
    /// Is the service well again?
    Verification,
}

impl From<RoleArg> for Role {
    fn from(role: RoleArg) -> Self {
        match role {
            RoleArg::Trigger => Self::Trigger,
            RoleArg::Planner => Self::Planner,
            RoleArg::Approval => Self::Approval,
            RoleArg::Verification => Self::Verification,
        }
    }
}

/// `ripcord key`.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a key pair: the private key goes into a file, the public key is printed for the configuration
    New {
        /// The file; it must not exist
        file: PathBuf,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definitions_hold_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_exit_code_is_documented() {
        use crate::output::Exit;
        for exit in [Exit::Done, Exit::Failed, Exit::Usage, Exit::Waiting, Exit::Refused] {
            assert!(EXIT_CODES.contains(&format!("\n  {}  ", exit.code())), "{exit:?}");
        }
    }
}
