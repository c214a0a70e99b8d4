//! `--strategy retrain`: a training set with a bad source in it, and versions that were trained on it. The version before them is asked what of the set it
//! contradicts.

use fraud::data::{self, MANIFEST};
use fraud::train::retrain;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::stage::{GOOD, SERVICE, Stage, Trained};
use super::strategy::typed;
use super::{Answers, Demo};
use crate::cli::Command;
use crate::commands::approval::ask;
use crate::output::style::{STRONG, paint};
use crate::output::{Exit, Failure, Text, text};

/// Versions of the bad data: of last week's, and of today's.
const OF_LAST_WEEK: &str = "1.5.0";
pub(super) const BAD: &str = "1.5.1";
/// What is trained without the bad rows; `with-retraining.toml` names it.
pub(super) const MADE: &str = "1.5.2";
/// From this row on, most come by an import that has gone bad.
const BAD_FROM: u64 = 1_800;
const ROWS: u64 = 6_000;
const DAYS: u32 = 28;
/// The folder of the training set, below the demo's.
const TODAY: &str = "data";

/// What a good version contradicts.
#[derive(Debug)]
pub(super) struct BadRows {
    /// As it was shown.
    pub(super) page: Text,
    pub(super) report: Value,
    /// The words of the command that trains without them.
    pub(super) pull: Vec<String>,
}

impl Stage {
    /// Writes the training set as it was last week and as it is today, and trains a version on each.
    pub(super) fn train_on_bad_rows(&mut self) -> Result<(), Failure> {
        let (now, week) = (Timestamp::now(), SignedDuration::from_hours(7 * 24));
        let last_week = now.checked_sub(week).unwrap_or(now);
        self.train_on("data-of-last-week", (ROWS / 4 * 3, DAYS / 4 * 3), OF_LAST_WEEK, GOOD, last_week)?;
        self.train_on(TODAY, (ROWS, DAYS), BAD, OF_LAST_WEEK, now)
    }

    /// The rows are those of the seed, evenly spread over the days until then.
    fn train_on(
        &mut self,
        folder: &str,
        (rows, days): (u64, u32),
        version: &str,
        replaces: &str,
        at: Timestamp,
    ) -> Result<(), Failure> {
        let failed = |error: fraud::Error| Failure::failed(error.with_causes());
        let out = self.folder.join(folder);
        let (seed, poison_from) = (self.seed, Some(BAD_FROM));
        data::write(&data::Args { out: out.clone(), seed, rows, poison_from, days, at: Some(at) })
            .map_err(failed)?;
        let args = retrain::Args {
            data: out.join(MANIFEST),
            exclude: None,
            out: self.folder.clone(),
            version: version.to_owned(),
            replaces: Some(replaces.to_owned()),
            run: Some(format!("nightly-{version}")),
            at: Some(at),
            json: false,
        };
        let report = retrain::retrain(&args).map_err(failed)?;
        self.trained.push(Trained::of(version, &report.measures));
        Ok(())
    }

    /// What was trained without the bad rows while the demo ran.
    pub(super) fn retrained(&self) -> Result<Trained, Failure> {
        let path = self.layout.registry.join(fraud::MODEL).join(MADE).join("manifest.toml");
        let unread = || Failure::failed(format!("`{}` says nothing of what was trained", path.display()));
        let text = std::fs::read_to_string(&path).map_err(|cause| unread().because(cause))?;
        let manifest: toml::Table = text.parse().map_err(|cause: toml::de::Error| unread().because(cause))?;
        let measures = manifest.get("measures").cloned().ok_or_else(unread)?;
        let measures = measures.try_into().map_err(|cause: toml::de::Error| unread().because(cause))?;
        Ok(Trained::of(MADE, &measures))
    }
}

impl Demo {
    /// Olga asks the version that is back what of the training set it contradicts, and takes what it finds for bad.
    pub(super) async fn bad_rows(&self, stage: &Stage) -> Result<BadRows, Failure> {
        let (configuration, manifest) =
            (stage.path("ripcord.toml"), stage.path(&format!("{TODAY}/{MANIFEST}")));
        let asked = ["data", "suspects", SERVICE, &manifest, "--version", GOOD];
        let answers = ["--answer", "1=decline", "--answer", "0=approve"];
        let shown: Vec<_> =
            ["ripcord"].iter().chain(&asked).chain(&answers).map(ToString::to_string).collect();
        self.progress.say(text!("olga types {}", paint(STRONG, typed(&shown))));
        let words = ["ripcord", "--config", &configuration].into_iter().chain(asked).chain(answers);
        let parsed = crate::cli::parse(words.map(std::ffi::OsString::from))
            .map_err(|error| Failure::usage(error.to_string()))?;
        let Command::Data(command) = parsed.command else {
            return Err(Failure::failed("these words ask nothing of data"));
        };
        let page = crate::commands::data::run(&parsed.global, command).await?;
        let line = page.plain();
        let line = line.lines().find_map(|line| line.split_once("ripcord pull ")).map(|(_, pull)| pull);
        let Some(line) = line else {
            return Err(Failure::failed(
                "the good version contradicts nothing of the training set in particular",
            ));
        };
        let pull = ["ripcord", "pull"].into_iter().chain(line.split_whitespace()).map(str::to_owned);
        let why = ["--reason", "a bad import is in the training set"].map(str::to_owned);
        let pull = pull.chain(why).collect();
        if self.answers == Answers::Asked
            && !ask(self.color, &page.text, &text!("olga, train again without these rows?")).await?
        {
            return Err(Failure::new(Exit::Refused, "olga did not confirm it: nothing was trained"));
        }
        Ok(BadRows { page: page.text, report: page.json, pull })
    }
}
