//! `ripcord policy`.

use super::Outcome;
use crate::cli::{Global, PolicyCommand};
use crate::key::Key;
use crate::output::style::{STRONG, WARN, paint};
use crate::output::{Page, Progress, text};
use crate::policy::{self, NewPolicy, Place};

pub(super) fn run(global: &Global, command: PolicyCommand) -> Outcome {
    let progress = Progress::new(global.form(), global.color);
    match command {
        PolicyCommand::New { name, roles, dir, sdk } => {
            let roles: Vec<_> = roles.into_iter().map(Into::into).collect();
            let place = Place { parent: &dir, sdk: sdk.as_deref() };
            Ok(written(&policy::new(&name, &roles, place)?))
        }
        PolicyCommand::Build { dir, out } => {
            progress.say(format!("building `{}`", dir.display()));
            Ok(policy::build(&dir, out.as_deref())?.page())
        }
        PolicyCommand::Test { what, fixtures } => {
            Ok(policy::test(&what, fixtures.as_deref(), &progress)?.page())
        }
        PolicyCommand::Sign { file, key } => Ok(policy::sign(&file, &Key::read(&key)?)?.page()),
        PolicyCommand::Inspect { what } => Ok(policy::inspect(&what)?.page()),
    }
}

fn written(new: &NewPolicy) -> Page {
    let mut text = text!("wrote {}\n", paint(STRONG, new.folder.display()));
    for file in &new.files {
        text.push(text!("  {}\n", file.display()));
    }
    if let Some(note) = &new.note {
        text.push(text!("\n{} {}\n", paint(WARN, "note:"), note));
    }
    text.push(text!("\nnext: ripcord policy test {}\n", new.folder.display()));
    Page::done(text, new)
}
