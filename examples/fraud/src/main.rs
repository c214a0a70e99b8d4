//! The `fraud` program: the commands of the library and nothing else.

use std::process::ExitCode;

use clap::Parser;

/// A fraud model, its server, its traffic and its alert rule.
#[derive(Debug, Parser)]
#[command(name = "fraud", version)]
struct Cli {
    #[command(subcommand)]
    command: fraud::Command,
}

#[tokio::main]
async fn main() -> ExitCode {
    match Cli::parse().command.run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", error.with_causes());
            ExitCode::FAILURE
        }
    }
}
