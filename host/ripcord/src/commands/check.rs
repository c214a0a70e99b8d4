//! `ripcord check`: the configuration and everything it names, each finding with what to do.

mod alert;
mod facets;
mod journals;
pub(in crate::commands) mod made_up;
mod making;
mod now;
mod probe;
mod queries;
mod rehearse;

use std::path::PathBuf;

use ripcord_core::time::UnixMillis;
use ripcord_engine::{ServiceSetup, SetSetup};
use serde::Serialize;

use crate::config::{Config, ConfigError, LoadError, Mistake, Mistakes, SourceFile};
use crate::output::sets::if_part_fails;
use crate::output::{Paragraph, Text, text};
use crate::wiring;

pub use alert::{AlertRoute, SourceRoutes, explain};

/// What `check` is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckOptions {
    /// The configuration file.
    pub config: PathBuf,
    /// A recorded webhook body: say which route each of its alerts takes.
    pub alert: Option<PathBuf>,
    /// How far it looks.
    pub scope: Scope,
}

/// How far a check looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scope {
    /// Everything that the configuration names is asked.
    #[default]
    Everything,
    /// The configuration, and files that it names: secrets, policies and their settings.
    Files,
    /// Everything, and each trigger is asked about this moment.
    Triggers,
}

/// How bad a finding is. Later ones are worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// It is well.
    Ok,
    /// It works, and may surprise.
    Warn,
    /// The host would not start, or an incident could not be handled.
    Error,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad.
    pub level: Level,
    /// What was looked at, such as `service fraud-api: registry`.
    pub subject: String,
    /// What was seen.
    pub text: String,
    /// What to do; may be empty.
    pub help: String,
    /// In the configuration file, where it is about a line of it.
    pub place: Option<String>,
}

/// All findings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct Report {
    /// In the order in which things were looked at.
    pub findings: Vec<Finding>,
    /// Which route each alert of `--alert` takes.
    pub alerts: Vec<SourceRoutes>,
    /// The mistakes of the configuration as they are shown to people.
    #[serde(skip)]
    shown: Text,
}

impl Report {
    fn add(
        &mut self,
        level: Level,
        subject: impl Into<String>,
        text: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.findings.push(Finding {
            level,
            subject: subject.into(),
            text: text.into(),
            help: help.into(),
            place: None,
        });
    }

    fn ok(&mut self, subject: impl Into<String>, text: impl Into<String>) {
        self.add(Level::Ok, subject, text, "");
    }

    fn placed(&mut self, level: Level, file: &SourceFile, mistake: &Mistake) {
        let at = file.position(mistake.span.start);
        self.findings.push(Finding {
            level,
            subject: "configuration".to_owned(),
            text: mistake.message.clone(),
            help: mistake.help.clone(),
            place: Some(format!("{}:{}:{}", file.path.display(), at.line, at.column)),
        });
    }

    fn config_error(&mut self, error: &ConfigError) {
        for mistake in &error.mistakes {
            self.placed(Level::Error, &error.file, mistake);
        }
        self.shown.push(text!("{}\n", error.text()));
    }

    /// The worst finding.
    pub fn level(&self) -> Level {
        self.findings.iter().map(|finding| finding.level).max().unwrap_or(Level::Ok)
    }

    /// 0 if all is well or only may surprise, 1 if something named is not well, 2 if the configuration itself is wrong.
    pub fn exit_code(&self) -> u8 {
        match (self.level(), self.shown.is_empty()) {
            (Level::Error, false) => 2,
            (Level::Error, true) => 1,
            _ => 0,
        }
    }
}

impl Report {
    /// For people.
    pub fn text(&self) -> Text {
        self.text_from(Level::Ok)
    }

    /// The same without what is well.
    pub fn text_of_concerns(&self) -> Text {
        self.text_from(Level::Warn)
    }

    fn text_from(&self, least: Level) -> Text {
        let mut text = Text::default();
        if !self.shown.is_empty() {
            text.push(text!("{}\n", self.shown));
        }
        for finding in self.findings.iter().filter(|finding| finding.level >= least) {
            if finding.level == Level::Error && finding.place.is_some() {
                // Shown above, with its line.
                continue;
            }
            let word = match finding.level {
                Level::Ok => "ok   ",
                Level::Warn => "warn ",
                Level::Error => "error",
            };
            let place = finding.place.as_ref().map(|place| format!(" ({place})")).unwrap_or_default();
            text.push(text!("{}  {}: {}{}\n", word, finding.subject, Paragraph(&finding.text), place));
            if !finding.help.is_empty() {
                text.push(text!("         {}\n", finding.help));
            }
        }
        for routes in &self.alerts {
            text.push(text!("\n{}\n", routes.text()));
        }
        let count = |level| self.findings.iter().filter(|finding| finding.level == level).count();
        text.push(text!(
            "\n{} ok, {} to look at, {} wrong",
            count(Level::Ok),
            count(Level::Warn),
            count(Level::Error)
        ));
        text
    }
}

/// Looks at everything that the configuration names. Nothing is changed: what is asked of other systems only reads.
pub async fn check(options: &CheckOptions) -> Report {
    let mut report = Report::default();
    let config = match Config::load(&options.config) {
        Ok(config) => config,
        Err(LoadError::Mistakes(error)) => {
            report.config_error(&error);
            rest_of(error.file, &mut report);
            return report;
        }
        Err(error) => {
            report.shown = text!("error: {}", error);
            report.add(Level::Error, "configuration", error.to_string(), "");
            return report;
        }
    };
    if let Some(path) = &options.alert {
        alerts(&config, path, &mut report);
    }
    named(&config, options.scope, &mut report).await;
    report
}

/// What else is wrong with a configuration that has mistakes: secrets, policies and settings of the parts that could be read.
fn rest_of(file: SourceFile, report: &mut Report) {
    let (config, _) = Config::parse_as_far_as_possible(file);
    let made = wiring::shared().map_err(wiring::WireError::from);
    let Ok((shared, sandbox)) = made.and_then(|shared| Ok((shared, wiring::sandbox_for_check(&config)?)))
    else {
        return;
    };
    let (mut mistakes, mut warnings) = (Mistakes::default(), Mistakes::default());
    let parts = wiring::parts(&config, &sandbox, &shared, &wiring::not_kept, &mut mistakes, &mut warnings);
    drop(wiring::notifiers(&config, &shared, &mut mistakes));
    if let Some(error) = ConfigError::new(config.file.clone(), mistakes) {
        report.config_error(&error);
    }
    for setup in &parts.services {
        rehearse_all(&config, setup, shared.clock.now(), report);
    }
    for warning in warnings.0.iter().chain(&config.unencrypted().0) {
        report.placed(Level::Warn, &config.file, warning);
    }
}

fn alerts(config: &Config, path: &std::path::Path, report: &mut Report) {
    let subject = format!("alert file {}", path.display());
    match std::fs::read(path) {
        Ok(body) => match explain(config, &body) {
            Ok(routes) => report.alerts = routes,
            Err(why) => {
                report.add(Level::Error, subject, why, "give the body of a webhook as its sender posts it")
            }
        },
        Err(error) => report.add(Level::Error, subject, format!("it cannot be read: {error}"), ""),
    }
}

async fn named(config: &Config, scope: Scope, report: &mut Report) {
    let made = wiring::shared().map_err(wiring::WireError::from);
    let (shared, sandbox) = match made.and_then(|shared| Ok((shared, wiring::sandbox_for_check(config)?))) {
        Ok(made) => made,
        Err(error) => return report.add(Level::Error, "host", error.to_string(), ""),
    };
    let (mut mistakes, mut warnings) = (Mistakes::default(), Mistakes::default());
    let parts = wiring::parts(config, &sandbox, &shared, &wiring::not_kept, &mut mistakes, &mut warnings);
    let notifiers = wiring::notifiers(config, &shared, &mut mistakes);
    if let Some(error) = ConfigError::new(config.file.clone(), mistakes) {
        report.config_error(&error);
    }
    for warning in warnings.0.iter().chain(&config.unencrypted().0) {
        report.placed(Level::Warn, &config.file, warning);
    }
    probe::host(config, report);
    for (name, loaded) in &parts.policies {
        let (policy, used) = (&loaded.policy, loaded.policy.reference());
        let roles = policy.roles().iter().map(|role| role.to_string()).collect::<Vec<_>>().join(", ");
        report.ok(format!("policy {name}"), format!("{used}, {roles}, sha256 {}", used.digest));
    }
    for setup in &parts.services {
        rehearse_all(config, setup, shared.clock.now(), report);
    }
    for set in &parts.sets {
        report.ok(format!("set {}", set.name), set_words(set));
    }
    if scope == Scope::Files {
        return;
    }
    journals::journals(config, report).await;
    report.ok("notifiers", format!("{} besides the log", notifiers.len().saturating_sub(1)));
    for (name, source) in &parts.metrics.sources {
        probe::metrics(name, source.as_ref(), shared.clock.now(), report).await;
    }
    for (service, setup) in config.services.iter().filter_map(|service| {
        Some((service, parts.services.iter().find(|setup| setup.name == service.name)?))
    }) {
        probe::service(service, setup, report).await;
        if scope == Scope::Triggers {
            let setup = ripcord_engine::with_deadlines(setup.clone(), &shared.clock);
            now::triggers(config, &setup, shared.clock.now(), report).await;
        }
        queries::queries(setup, shared.clock.now(), report).await;
    }
}

/// Who moves, in which order, and what becomes of them where a part fails.
fn set_words(set: &SetSetup) -> String {
    let members: Vec<_> = set.terms.members.iter().map(|member| format!("`{member}`")).collect();
    let fails = if_part_fails(set.terms.if_part_fails);
    format!("{}; if a part fails, {fails}", members.join(", then "))
}

fn rehearse_all(config: &Config, setup: &ServiceSetup, now: UnixMillis, report: &mut Report) {
    let Some(service) = config.services.iter().find(|service| service.name == setup.name) else { return };
    for placed in &setup.policies {
        let Some(fault) = rehearse::rehearse(setup, placed, now) else { continue };
        let name = &placed.policy.reference().name;
        // The place of the settings, if the policy stands there under its own name.
        let used = service
            .policies
            .iter()
            .find(|used| used.role == placed.role && used.policy.get_ref() == name.as_str());
        let mistake = Mistake {
            span: used.map_or_else(|| service.span.clone(), |used| used.place_of("")),
            message: format!("`{name}` faults when it is asked as {}: {fault}", placed.role),
            help: format!("correct its settings; `ripcord policy inspect {name}` shows what it takes"),
        };
        report.config_error(&ConfigError { file: config.file.clone(), mistakes: vec![mistake] });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::hostile;

    #[test]
    fn nothing_that_others_wrote_gets_out_of_its_place() {
        for (name, text) in hostile::table() {
            // The excerpt of a file keeps its spaces: they are the layout that its reader wrote.
            let excerpt = if name.starts_with("spaces") { "its own" } else { text.as_str() };
            let file = SourceFile { path: text.clone().into(), text: format!("a = 1 # {excerpt}\nb = 2") };
            let mistake = Mistake { span: 0..1, message: text.clone(), help: text.clone() };
            let mut report = Report::default();
            report.placed(Level::Warn, &file, &mistake);
            report.config_error(&ConfigError { file, mistakes: vec![mistake] });
            for level in [Level::Ok, Level::Warn, Level::Error] {
                report.add(level, text.clone(), text.clone(), text.clone());
            }
            report.alerts.push(SourceRoutes {
                source: text.clone(),
                alerts: vec![AlertRoute {
                    rule: text.clone(),
                    status: ripcord_core::signal::SignalStatus::Firing,
                    kind: ripcord_core::signal::SignalKind::Condition,
                    labels: Vec::new(),
                    service: None,
                    why: vec![text.clone()],
                }],
                not_judged: vec![text.clone()],
            });
            hostile::assert_harmless(&report.text(), name);
        }
    }
}
