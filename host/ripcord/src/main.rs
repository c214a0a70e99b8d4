//! The `ripcord` program.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    ripcord::commands::run(ripcord::cli::Cli::parse())
}
