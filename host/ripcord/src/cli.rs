//! What can be typed.

mod backtest;
mod data;
mod examples;
mod host;
mod person;
mod policy;
mod produced;
mod records;

use std::path::{Path, PathBuf};

use crate::output::document::DocumentForm;
use clap::{Args, Parser, Subcommand};
use ripcord_adapters::Secret;
use ripcord_core::facet::Revision;
use ripcord_core::name::{IncidentId, ServiceName};

use crate::output::{Color, Exit, Failure, Form};

pub use backtest::{BacktestArgs, RecordArgs, When};
pub use data::{DataCommand, DialectArg, PredicateArgs, PurgeArgs, SuspectsArgs};
pub use examples::{command, parse};
pub use host::{CheckArgs, ContextCommand, InitArgs, LogFormat, LoginArgs, ServeArgs};
#[cfg(feature = "demo")]
pub use host::{DemoArgs, DemoStrategy};
pub use person::{
    AboutIncident, AboutServices, DigestStart, HappenedArg, HoldCommand, LatchCommand, PlanCommand,
    PlanShowArgs, PullArgs, ReviewCommand, RunsCommand, SetsArgs, SetsCommand, ToArg, UrgencyArg, VoteArgs,
};
pub use policy::{KeyCommand, PolicyCommand, RoleArg};
pub use produced::ExcludeArg;
pub use records::{About, DecisionsArgs, IncidentsCommand, ReplayArgs, SignalsCommand, StoreCommand};

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
    /// What a configuration can be connected to: every kind of registry, deployer, metrics and so on, with its keys
    Adapters {
        /// Only this kind, such as `mlflow`, or this port, such as `registry`
        #[arg(value_name = "KIND|PORT")]
        name: Option<String>,
    },
    /// Write a service's playbook from the configuration: what raises the alarm, what is kept, who must agree, how recovery is proved, who is told
    Playbook {
        /// Which service
        service: ServiceName,
        /// How it is written
        #[arg(long, value_enum, value_name = "FORM", default_value_t)]
        form: DocumentForm,
    },
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
    /// What of a service could be restored now, best first, and why not the rest
    Targets {
        /// Which service
        service: ServiceName,
        /// Only this facet: `model`, `fallback`, or a configuration's name
        #[arg(long, value_name = "FACET")]
        facet: Option<String>,
    },
    /// Whether a service could be rolled back right now: a target, its artefact, the deployer, people enough, and all else that it needs
    Ready {
        /// Only this service
        service: Option<ServiceName>,
    },
    /// What moved of a service before a harm: from what to what, when, by whom, and how it was noticed
    Changes {
        /// Which service
        service: ServiceName,
        /// Only what moved within the last so long, such as `12h` or `7d`; a week before the harm of the open or last incident if left out
        #[arg(long, value_name = "TIME")]
        since: Option<crate::commands::Ago>,
        /// Ask the planner what it suspects, as if harm had begun so long ago; nothing of that is recorded
        #[arg(long, value_name = "TIME")]
        harm_began: Option<crate::commands::Ago>,
    },
    /// What policies were given, what they said, and why
    Decisions(DecisionsArgs),
    /// Vouch for a version or a revision of a configuration, so that there is something to go back to
    Adopt {
        /// For which service
        service: ServiceName,
        /// Which version, or `NAME=REVISION` of a configuration; the version that is live if left out
        revision: Option<Revision>,
        /// Why you vouch for it
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Roll a service back now, or a set of services together
    #[command(override_usage = "ripcord pull [OPTIONS] <SERVICE|--set <NAME>>")]
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
    /// Stop an incident, or a run of a set, before anything was shifted
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
    /// What was done by breaking the glass and must be looked at; `ripcord status` lists it
    #[command(subcommand)]
    Review(ReviewCommand),
    /// Marks that keep condemned versions out
    #[command(subcommand)]
    Hold(HoldCommand),
    /// What the host knows: how much there is, what may go, whether it is whole
    #[command(subcommand)]
    Store(StoreCommand),
    /// Sets of services that move together
    Sets(SetsArgs),
    /// Runs that make versions: of a checkpoint, or by training again
    #[command(subcommand)]
    Runs(RunsCommand),
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
    /// Training sets: which rows a good version contradicts, and the set without them
    #[command(subcommand)]
    Data(DataCommand),
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
