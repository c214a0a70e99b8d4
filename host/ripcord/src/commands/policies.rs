//! `ripcord policy`.

use super::{Outcome, record, try_policies, watched};
use crate::cli::{Global, PolicyCommand};
use crate::config::Config;
use crate::key::Key;
use crate::output::style::{STRONG, paint};
use crate::output::{Page, Progress, text};
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
            Ok(policy::build(&dir, out.as_deref())?.page())
        }
        PolicyCommand::Test { what, fixtures, bless, watch } => {
            let bless = if bless { Bless::Answers } else { Bless::Nothing };
            let test = || Ok(policy::test(&what, fixtures.as_deref(), bless, &progress)?.page());
            if watch { watched::run(global, &what, fixtures.as_deref(), test).await } else { test() }
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
