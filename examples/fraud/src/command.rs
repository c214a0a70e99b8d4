use std::io::Write as _;

use crate::{Error, data, decision, serve, traffic, train, watch};

/// What the `fraud` program can do. Another program may carry it as a subcommand of its own and run itself as `fraud`.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// Train every version and write the registry, the golden set and the model folder
    Train {
        #[command(flatten)]
        args: train::Args,
        /// Train on other transactions
        #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=1_000_000_000))]
        seed: u64,
    },
    /// Go on learning from a stream of labelled transactions, and keep checkpoints
    Online(train::online::Args),
    /// Register a checkpoint as a version
    Publish(train::PublishArgs),
    /// Write a training set: a manifest and CSV files
    Data(data::Args),
    /// Train a version on a training set, with rows left out
    Retrain(train::retrain::Args),
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
            Self::Train { args, seed } => train::run(&args, seed),
            Self::Online(args) => train::online::run(&args),
            Self::Publish(args) => train::run_publish(&args),
            Self::Data(args) => {
                let written = data::write(&args)?;
                say(&format!(
                    "wrote {} rows to {}: revision {}",
                    written.rows,
                    args.out.display(),
                    written.revision
                ));
                Ok(())
            }
            Self::Retrain(args) => train::retrain::run(&args),
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
