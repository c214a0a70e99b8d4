//! How the demo ends: what was in force before and after and how that was proved, and the incident on a page.

use std::path::Path;

use ripcord_core::facet::FacetState;
use ripcord_core::standing::Standing;
use ripcord_engine::view::IncidentView;
use serde_json::json;

use super::auto::{self, Fault, Named};
use super::stage::{BAD, GOOD, SERVICE};
use super::strategy::{BAD_DECISION, GOOD_DECISION, RULES};
use crate::cli::DemoStrategy;
use crate::http::wire::{HoldLine, LiveLine, ServiceView, VersionLine};
use crate::output::style::{DIM, GOOD as WELL, STRONG, WARN, paint};
use crate::output::table::{Cell, Table};
use crate::output::{Failure, Page, Text, incident, text};

/// What the host said of the service at one time.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    live: LiveLine,
    versions: Vec<VersionLine>,
    holds: Vec<HoldLine>,
}

impl Seen {
    pub(super) fn of(view: ServiceView) -> Result<Self, Failure> {
        let ServiceView { live, versions, holds, .. } = view;
        let live = live.ok_or_else(|| Failure::failed("the host does not say what is live"))?;
        Ok(Self { live, versions, holds })
    }

    /// What is thought of the version that is live.
    fn standing(&self) -> Standing {
        let line = self.versions.iter().find(|line| Some(&line.version) == self.live.version.as_ref());
        line.map_or(Standing::Unproven, |line| line.standing.clone())
    }
}

/// The end of a demo that went as it should, as it was before the harm, with it, and after the rollback.
pub(super) fn page(
    strategy: DemoStrategy,
    view: &IncidentView,
    seen: [&Seen; 3],
    found: Option<(Fault, &[Named])>,
) -> Page {
    let [before, during, after] = seen;
    let harm = match strategy {
        DemoStrategy::Version | DemoStrategy::Fallback => "before the deployment",
        DemoStrategy::Configuration => "before the change",
        DemoStrategy::Auto => "before the changes",
    };
    let after_it = if strategy == DemoStrategy::Auto { "after them" } else { "after it" };
    let mut served = Table::bare(2);
    for (when, seen) in [(harm, before), (after_it, during), ("after the rollback", after)] {
        let proof = seen.live.proof.map(|proof| format!("proved by {proof}")).unwrap_or_default();
        let [when, state] = [Cell::new(DIM, when), Cell::new(STRONG, &seen.live.state)];
        let beside = seen.live.facets.iter().map(|now| &now.read).map(|read| match &read.state {
            FacetState::InForce(known) => text!(
                "with {}, proved by {}",
                paint(STRONG, text!("{} {}", read.facet, known.revision)),
                read.facet.proved_by(known.proof)
            ),
            FacetState::Unknown(why) => text!("with {} unknown: {}", read.facet, why),
        });
        if seen.live.facets.is_empty() {
            served.row([when, state, proof.into()]);
        } else {
            served.row([when, state, proof.into(), Text::joined(beside, " and ").into()]);
        }
    }
    let heading = if after.live.facets.is_empty() { "what was served" } else { "what was in force" };
    let text = text!(
        "{}\n\n{}\n{}\n{}{}{}",
        incident::text(view).trimmed(),
        paint(STRONG, heading),
        served,
        found.map(|(fault, named)| auto::table(fault, named)).unwrap_or_default(),
        pulled_by(strategy),
        end(strategy, view, after)
    );
    let served = json!({ "before": before.live, "during": during.live, "after": after.live });
    let mut report =
        json!({ "outcome": view.outcome, "served": served, "split": view.split, "incident": view });
    if let (false, Some(report)) = (after.live.facets.is_empty(), report.as_object_mut()) {
        report.insert("pulled_by".to_owned(), json!(strategy.pull_line()));
        report.insert("standing".to_owned(), json!(after.standing()));
        report.insert("holds".to_owned(), json!(after.holds));
    }
    if let (Some((fault, named)), Some(report)) = (found, report.as_object_mut()) {
        report.insert("guilty".to_owned(), json!(fault.name()));
        report.insert("suspects".to_owned(), named.iter().map(Named::json).collect());
    }
    Page::done(text, &report)
}

/// What a person asked for, where it was not the planner that chose.
fn pulled_by(strategy: DemoStrategy) -> Text {
    strategy.pull_line().map_or_else(Text::default, |line| {
        text!("The planner had nothing to go back to, and olga pulled:\n  {}\n\n", paint(STRONG, line))
    })
}

/// What it came to.
fn end(strategy: DemoStrategy, view: &IncidentView, after: &Seen) -> Text {
    let took = view.split.total.map(|total| format!(" {total} after the harm began")).unwrap_or_default();
    match strategy {
        DemoStrategy::Version => paint(WELL, format!("{BAD} is out and {GOOD} is back{took}, verified.")),
        DemoStrategy::Configuration => {
            let done = format!("decision {BAD_DECISION} is out and {GOOD_DECISION} is back{took}, verified.");
            let condemned = after.holds.iter().map(|hold| hold.revision.to_string()).collect::<Vec<_>>();
            let condemned = if condemned.is_empty() { "nothing".to_owned() } else { condemned.join(" and ") };
            let model = text!("The model stayed {}, which is {}; ", &after.live.state, after.standing());
            text!("{}\n{}condemned is {}.", paint(WELL, done), model, condemned)
        }
        DemoStrategy::Auto => {
            let condemned = after.holds.iter().map(|hold| hold.revision.to_string()).collect::<Vec<_>>();
            let back = view.after.as_deref().unwrap_or(&after.live.state);
            let done = format!("{} is out, {back} is in force{took}, verified.", condemned.join(" and "));
            text!("{}\nThe planner found out by itself what to put back.", paint(WELL, done))
        }
        DemoStrategy::Fallback => {
            let done = format!("{RULES} answers in place of {}{took}, verified.", after.live.state);
            text!(
                "{}\n{} until it is left: `{}`",
                paint(WELL, done),
                paint(WARN, "The safe mode answers"),
                leaves()
            )
        }
    }
}

/// The command that leaves the safe mode.
fn leaves() -> String {
    format!("ripcord pull {SERVICE} --fallback off --no-hold --reason \"a good version is live\"")
}

/// What to try while the demo keeps running.
pub(super) fn next(strategy: DemoStrategy, folder: &Path, logs: &Path) -> Text {
    let program = std::env::current_exe().unwrap_or_else(|_| "ripcord".into());
    let (folder, logs, program) = (folder.display(), logs.display(), program.display());
    let pull = match strategy {
        DemoStrategy::Version | DemoStrategy::Configuration | DemoStrategy::Auto => {
            format!("ripcord pull {SERVICE} --to 1.2.0 --no-hold --reason \"trying it\"")
        }
        DemoStrategy::Fallback => leaves(),
    };
    text!(
        "\n{}\n  cd {}\n  alias ripcord={}\n  \
         export RIPCORD_TOKEN=$(cat secrets/olga.token)\n  ripcord status\n  ripcord incidents show fraud-api:1\n  \
         ripcord replay fraud-api:1\n  ripcord hold list\n  \
         {}\n  \
         ripcord approve fraud-api:2 --key secrets/ada.key\n  \
         ripcord approve fraud-api:2 --key secrets/bob.key\n  \
         ripcord incidents watch fraud-api:2\n\nlogs are in {}; ctrl-c ends everything",
        paint(STRONG, "everything is still running; in another terminal, try"),
        folder,
        program,
        pull,
        logs
    )
}
