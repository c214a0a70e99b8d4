//! `ripcord data`: what can be done with a training set.

mod page;
mod suspects;

use std::path::Path;

use ripcord_adapters::clock_system::SystemClock;
use ripcord_core::foreign::Foreign;
use ripcord_data::{DataError, ManifestAt, Predicate, PurgeOrder, Step};
use ripcord_ports::Clock as _;
use serde_json::json;

use super::{Outcome, of_this_machine};
use crate::cli::{DataCommand, Global, PredicateArgs, PurgeArgs};
use crate::output::{Exit, Failure, Page, Progress, Whole, text};

pub(crate) async fn run(global: &Global, command: DataCommand) -> Outcome {
    of_this_machine(global, "data")?;
    match command {
        DataCommand::Purge(args) => purge(global, args).await,
        DataCommand::Predicate(args) => predicate(&args),
        DataCommand::Suspects(args) => suspects::suspects(global, &args).await,
    }
}

/// It reads and writes files for minutes, and nothing else goes on in this process.
async fn purge(global: &Global, args: PurgeArgs) -> Outcome {
    let progress = Progress::new(global.form(), global.color);
    let work = move || {
        let manifest = ManifestAt::read(&args.manifest)?;
        let order = PurgeOrder {
            manifest: &manifest,
            exclude: &args.exclude,
            out: &args.out,
            key: args.key.as_deref(),
            at: SystemClock.now(),
        };
        let purged = ripcord_data::purge(&order, &mut |at| say(&progress, at))?;
        Ok(page::purged(&purged, &args.out))
    };
    let ended = tokio::task::spawn_blocking(work).await;
    let ended = ended.map_err(|cause| Failure::failed("the purge broke off").because(cause))?;
    ended.map_err(failure)
}

fn predicate(args: &PredicateArgs) -> Outcome {
    let manifest = ManifestAt::read(&args.manifest).map_err(failure)?;
    let predicate = Predicate::new(&manifest.manifest, &args.exclude).map_err(failure)?;
    let json = predicate.json().map_err(failure)?;
    let sql = args.sql.map(|dialect| predicate.sql(dialect.into()));
    if let Some(path) = &args.out {
        return written(path, sql.as_ref().unwrap_or(&json));
    }
    let document = serde_json::from_str(&json).unwrap_or_default();
    let document = match &sql {
        None => document,
        Some(sql) => json!({ "sql": sql }),
    };
    let shown = sql.as_ref().unwrap_or(&json);
    // JSON has another form for such characters; SQL has none, and what is shown would be another condition.
    if shown.lines().any(|line| Foreign::source(line).is_changed()) {
        return Err(Failure::usage(
            "the predicate has characters that a terminal would obey or an eye not see",
        )
        .help("write it into a file: `--out FILE`"));
    }
    let lines = shown.lines().map(|line| text!("{}", Whole(Foreign::source(line))));
    Ok(Page::done(crate::output::Text::joined(lines, "\n"), &document))
}

fn written(path: &Path, content: &str) -> Outcome {
    std::fs::write(path, format!("{content}\n")).map_err(|cause| {
        Failure::failed(format!("cannot write `{}`", path.display()))
            .because(cause)
            .help("check the folder's permissions and the free space")
    })?;
    Ok(Page::done(text!("wrote {}", path.display()), &json!({ "file": path })))
}

fn failure(error: DataError) -> Failure {
    let exit = if matches!(error, DataError::Asked(_)) { Exit::Usage } else { Exit::Failed };
    Failure::of(exit, error)
}

fn say(progress: &Progress, at: ripcord_data::Progress) {
    let doing = match at.step {
        Step::Count => "counted",
        Step::Write => "written or left out",
        Step::Read => "read",
        Step::Ask => "asked about",
    };
    progress.say(text!("{} of {} rows {}", at.rows, at.of, doing));
}
