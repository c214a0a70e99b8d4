use std::io::Write as _;

use crate::{Error, decision, serve, traffic, train, watch};

/// What the `fraud` program can do. Another program may carry it as a subcommand of its own and run itself as `fraud`.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// Train every version and write the registry, the golden set and the model folder
    Train(train::Args),
    /// Serve the model folder over the Open Inference Protocol until SIGTERM or ctrl-c
    Serve(serve::Args),
    /// Write a decision configuration: a good one, or one with a mistake in it
    Configure(decision::Args),
    /// Send transactions to a server, and later the truth about each
    Traffic(traffic::Args),
    /// Scrape a server's metrics and post an alert while too many good customers are declined
    Watch(watch::Args),
}

impl Command {
    /// Runs the command to its end, printing to standard output.
    ///
    /// # Errors
    /// Whatever keeps the command from doing its work, in a sentence that says what to do.
    pub async fn run(self) -> Result<(), Error> {
        match self {
            Self::Train(args) => train::run(&args),
            Self::Serve(args) => serve::run(args).await,
            Self::Configure(args) => {
                let written = decision::write(&args)?;
                say(&format!(
                    "wrote {}: revision {}, {}",
                    args.file.display(),
                    written.revision(),
                    written.fingerprint()
                ));
                Ok(())
            }
            Self::Traffic(args) => traffic::run(args).await,
            Self::Watch(args) => watch::run(args).await,
        }
    }
}

/// Prints a line. A reader that went away is no reason to stop serving.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// Prints a line for people to standard error.
pub(crate) fn warn(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}
