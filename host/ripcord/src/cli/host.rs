//! What whoever sets up and runs a host types.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use ripcord_core::name::ServiceName;

/// `ripcord demo`.
#[cfg(feature = "demo")]
#[derive(Debug, Clone, Args)]
pub struct DemoArgs {
    /// What goes bad, and what is put back
    #[arg(long, value_enum, value_name = "STRATEGY", default_value_t)]
    pub strategy: DemoStrategy,
    /// Train on other data; with `--strategy auto` it also says which of two changes does the harm, and which of them comes first
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=1_000_000_000))]
    pub seed: u64,
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

/// What the demo puts back.
#[cfg(feature = "demo")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum DemoStrategy {
    /// A bad version goes live; the version before it comes back.
    #[default]
    Version,
    /// A model goes on learning from labels that have gone bad; a version is made of a checkpoint of before.
    Checkpoint,
    /// A configuration is changed for the worse; its revision before comes back, and the model stays.
    Configuration,
    /// Versions were trained on a bad source of data; the version before them comes back, and is asked which rows are bad; a version is trained without them.
    Retrain,
    /// A bad version goes live and no version is known to be good; rules answer in place of the model.
    Fallback,
    /// The model and a configuration change, and one of them does harm; the planner finds out which and puts that back.
    Auto,
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
