//! What policy authors type, and keys.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use ripcord_core::name::{PolicyName, ServiceName};
use ripcord_core::policy::Role;

use super::RecordArgs;
use crate::policy::Template;

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
