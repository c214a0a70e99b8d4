//! The `ripcord` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    match ripcord::cli::parse(std::env::args_os()) {
        Ok(cli) => ripcord::commands::run(cli),
        Err(error) => ripcord::commands::explain(&error),
    }
}
