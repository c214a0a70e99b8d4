//! `ripcord policy`.

use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};

use super::{Outcome, record, try_policies, watched};
use crate::cli::{Global, PolicyCommand};
use crate::config::Config;
use crate::key::Key;
use crate::output::style::{STRONG, paint};
use crate::output::{Failure, Page, Progress, text};
use crate::policy::{self, Bless, NewPolicy, Place, SdkOf};

pub(super) async fn run(global: &Global, command: PolicyCommand) -> Outcome {
    let progress = Progress::new(global.form(), global.color);
    match command {
        PolicyCommand::New { name, roles, dir, sdk } => {
            let place = Place { parent: &dir, sdk: sdk.as_deref() };
            Ok(written(&policy::new(&name, &roles, place)?))
        }
        PolicyCommand::Build { dir, out } => {
            progress.say(format!("building `{}`", dir.display()));
            ends_with_this_program(move || Ok(policy::build(&dir, out.as_deref())?.page())).await
        }
        PolicyCommand::Test { what, fixtures, bless, watch } => {
            let bless = if bless { Bless::Answers } else { Bless::Nothing };
            let progress = Arc::new(progress);
            let test = async || {
                let (what, fixtures, progress) = (what.clone(), fixtures.clone(), progress.clone());
                let test = move || Ok(policy::test(&what, fixtures.as_deref(), bless, &progress)?.page());
                ends_with_this_program(test).await
            };
            if watch { watched::run(global, &what, fixtures.as_deref(), test).await } else { test().await }
        }
        PolicyCommand::Record(args) => record::run(global, &args).await,
        PolicyCommand::Try { service, policy } => {
            try_policies::run(global, &service, policy.as_ref(), &progress).await
        }
        PolicyCommand::Sdk { dir } => Ok(policy::update_sdk(&dir)?.page()),
        PolicyCommand::Sign { file, key } => Ok(policy::sign(&file, &Key::read(&key)?)?.page()),
        PolicyCommand::Inspect { what } => {
            // Names of the configuration are known where there is one.
            let config = Config::load(global.config_file()).ok();
            Ok(policy::inspect(&what, config.as_ref())?.page())
        }
    }
}

/// Runs what starts compilers and tests, in groups of their own: whoever ends this program ends them with it.
async fn ends_with_this_program(work: impl FnOnce() -> Outcome + Send + 'static) -> Outcome {
    let unable =
        |cause: std::io::Error| Failure::failed("the system's signals cannot be received").because(cause);
    let mut terminate = signal(SignalKind::terminate()).map_err(unable)?;
    let mut hang_up = signal(SignalKind::hangup()).map_err(unable)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(unable)?;
    tokio::select! {
        done = tokio::task::spawn_blocking(work) => {
            done.unwrap_or_else(|lost| Err(Failure::failed("the work was lost").because(lost)))
        }
        _ = terminate.recv() => Err(ended()),
        _ = hang_up.recv() => Err(ended()),
        _ = interrupt.recv() => Err(ended()),
    }
}

fn ended() -> Failure {
    ripcord_pack::end_all();
    Failure::failed("it was ended, and what it had started with it")
}

fn written(new: &NewPolicy) -> Page {
    let mut text = text!("wrote {}\n", paint(STRONG, new.folder.display()));
    for file in &new.files {
        text.push(text!("  {}\n", file.display()));
    }
    text.push(match &new.sdk {
        SdkOf::Crate => text!("  sdk/ (the SDK and the contract; commit it with the rest)\n"),
        SdkOf::Folder(folder) => text!("it depends on the SDK in {}\n", folder.display()),
    });
    text.push(text!("\nnext: ripcord policy test {}\n", new.folder.display()));
    Page::done(text, new)
}
