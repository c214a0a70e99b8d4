//! The `ripcord` program.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    match ripcord::cli::Cli::try_parse() {
        Ok(cli) => ripcord::commands::run(cli),
        Err(error) => ripcord::commands::explain(&error),
    }
}
