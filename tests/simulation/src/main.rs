//! Plays seeds and says which rules do not hold.

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::Parser;
use ripcord_simulation::play::{Options, TROUBLES, play};
use ripcord_simulation::run::{Enough, again, run};
use ripcord_simulation::trace::Tracing;

/// A whole host and the world around it, played from one seed.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many seeds.
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// This seed alone.
    #[arg(long, conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
    /// Print what happened.
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Incidents of each seed, about.
    #[arg(long, default_value_t = 12)]
    incidents: u64,
    /// Stop at the first seed in which a rule does not hold.
    #[arg(long)]
    first: bool,
    /// Rules that are passed over.
    #[arg(long, value_delimiter = ',')]
    allow: Vec<String>,
    /// Troubles that do not come.
    #[arg(long, value_delimiter = ',', value_parser = clap::builder::PossibleValuesParser::new(TROUBLES))]
    without: Vec<String>,
    /// Threads, each of which plays seeds of its own; by default as many as the machine has.
    #[arg(long)]
    jobs: Option<usize>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let options = Options {
        incidents: arguments.incidents,
        allowed: arguments.allow.into_iter().collect(),
        without: arguments.without.into_iter().collect(),
        tracing: if arguments.trace { Tracing::Printed } else { Tracing::Off },
        ..Options::default()
    };
    if let Some(seed) = arguments.seed {
        let outcome = play(seed, &options);
        println!("{:?}, {} of time", outcome.counts, outcome.took);
        for broken in &outcome.broken {
            println!("`{}` of {}: {}", broken.rule, broken.service, broken.what);
        }
        return if outcome.broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let jobs = arguments.jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let enough =
        if arguments.first { Enough::FirstFailure(arguments.seeds) } else { Enough::Seeds(arguments.seeds) };
    let report = run(arguments.from, enough, jobs, &options, &|outcome| {
        if !outcome.broken.is_empty() {
            println!("{}", again(outcome));
        }
    });
    let mut rules: BTreeMap<&str, u64> = BTreeMap::new();
    for outcome in &report.failed {
        *rules.entry(outcome.broken[0].rule).or_default() += 1;
    }
    println!("{} seeds, {} incidents: {:?}", report.seeds, report.incidents(), report.counts);
    if report.failed.is_empty() {
        println!("every rule held");
        ExitCode::SUCCESS
    } else {
        println!("{} seeds in which a rule does not hold: {rules:?}", report.failed.len());
        ExitCode::FAILURE
    }
}
