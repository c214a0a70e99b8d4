//! How the demo ends: what was in force before and after and how that was proved, and the incident on a page.

use std::path::Path;

use ripcord_core::facet::FacetState;
use ripcord_core::standing::Standing;
use ripcord_engine::view::IncidentView;
use serde_json::json;

use super::auto::{self, Fault, Named};
use super::learning;
use super::retraining::BadRows;
use super::stage::{BAD, GOOD, SERVICE, Trained};
use super::strategy::{BAD_DECISION, GOOD_DECISION, RULES, Scene};
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

/// What the host said at each time.
#[derive(Debug)]
pub(super) struct Looks {
    pub(super) before: Seen,
    pub(super) during: Seen,
    /// Where more than one thing is put back: after the first.
    pub(super) meanwhile: Option<Seen>,
    pub(super) after: Seen,
}

/// A demo that went as it should.
#[derive(Debug)]
pub(super) struct Played {
    pub(super) scene: Scene,
    pub(super) trained: Vec<Trained>,
    /// In the order in which they opened.
    pub(super) incidents: Vec<IncidentView>,
    pub(super) seen: Looks,
    /// What the planner was to find, and what it said.
    pub(super) found: Option<(Fault, Vec<Named>)>,
    /// What olga typed.
    pub(super) pulled: Option<String>,
    pub(super) bad_rows: Option<BadRows>,
}

/// The end of a demo.
pub(super) fn page(played: &Played) -> Result<Page, Failure> {
    let Played { scene, trained, incidents, seen, found, pulled, bad_rows } = played;
    let last = incidents.last().ok_or_else(|| Failure::failed("no incident was opened"))?;
    let pages = incidents.iter().map(|view| incident::text(view).trimmed());
    let found_out = found.as_ref().map(|(fault, named)| auto::table(*fault, named)).unwrap_or_default();
    let heading = if seen.after.live.facets.is_empty() { "what was served" } else { "what was in force" };
    let text = text!(
        "{}\n\n{}\n{}\n{}{}{}{}",
        Text::joined(pages, "\n\n"),
        paint(STRONG, heading),
        table_of(scene.strategy, seen),
        found_out,
        bad_rows.as_ref().map(|rows| text!("{}\n\n", rows.page)).unwrap_or_default(),
        pulled.as_ref().map(|line| pulled_by(scene.strategy, line)).unwrap_or_default(),
        end(*scene, last, &seen.after)
    );
    let mut served =
        json!({ "before": seen.before.live, "during": seen.during.live, "after": seen.after.live });
    let mut report = json!({
        "outcome": last.outcome,
        "trained": trained,
        "split": last.split,
        "incident": last,
        "incidents_before": &incidents[..incidents.len() - 1],
        "pulled_by": pulled,
        "standing": seen.after.standing(),
        "holds": seen.after.holds,
    });
    if let Some(meanwhile) = &seen.meanwhile {
        served["meanwhile"] = json!(meanwhile.live);
    }
    report["served"] = served;
    if let Some((fault, named)) = found {
        report["guilty"] = json!(fault.name());
        report["suspects"] = named.iter().map(Named::json).collect();
    }
    if let Some(rows) = bad_rows {
        report["bad_rows"] = rows.report.clone();
    }
    Ok(Page::done(text, &report))
}

fn table_of(strategy: DemoStrategy, looks: &Looks) -> Table {
    let (harm, after_it) = match strategy {
        DemoStrategy::Version | DemoStrategy::Checkpoint | DemoStrategy::Retrain | DemoStrategy::Fallback => {
            ("before the deployment", "after it")
        }
        DemoStrategy::Configuration => ("before the change", "after it"),
        DemoStrategy::Auto => ("before the changes", "after them"),
    };
    let Looks { before, during, meanwhile, after } = looks;
    let (back, end) = match strategy {
        DemoStrategy::Retrain => ("after the rollback", "after the training"),
        _ => ("", "after the rollback"),
    };
    let mut served = Table::bare(2);
    let meanwhile = meanwhile.iter().map(|seen| (back, seen));
    for (when, seen) in
        [(harm, before), (after_it, during)].into_iter().chain(meanwhile).chain([(end, after)])
    {
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
    served
}

/// What a person asked for, where it was not the planner that chose.
fn pulled_by(strategy: DemoStrategy, line: &str) -> Text {
    let why = match strategy {
        DemoStrategy::Retrain => "The version before is back, and so that the next one is good, olga pulled",
        _ => "The planner had nothing to go back to, and olga pulled",
    };
    text!("{}:\n  {}\n\n", why, paint(STRONG, line))
}

/// What it came to.
fn end(scene: Scene, view: &IncidentView, after: &Seen) -> Text {
    let took = view.split.total.map(|total| format!(" {total} after the harm began")).unwrap_or_default();
    let condemned = || {
        let condemned = after.holds.iter().map(|hold| hold.revision.to_string()).collect::<Vec<_>>();
        if condemned.is_empty() { "nothing".to_owned() } else { condemned.join(" and ") }
    };
    match scene.strategy {
        DemoStrategy::Version => paint(WELL, format!("{BAD} is out and {GOOD} is back{took}, verified.")),
        DemoStrategy::Checkpoint => {
            let (bad, made) = (scene.bad(), &after.live.state);
            let done = format!("{bad} is out and {made} is in place{took}, verified.");
            text!(
                "{}\nThe planner found the checkpoint: {} is the last that has learnt from good labels alone.",
                paint(WELL, done),
                learning::version(scene.seed, learning::LAST_GOOD)
            )
        }
        DemoStrategy::Retrain => {
            let done = format!(
                "{} is out; {}, trained without the bad rows, is in place, verified.",
                scene.bad(),
                after.live.state
            );
            text!("{}\nCondemned is {}; {} stays good.", paint(WELL, done), condemned(), GOOD)
        }
        DemoStrategy::Configuration => {
            let done = format!("decision {BAD_DECISION} is out and {GOOD_DECISION} is back{took}, verified.");
            let model = text!("The model stayed {}, which is {}; ", &after.live.state, after.standing());
            text!("{}\n{}condemned is {}.", paint(WELL, done), model, condemned())
        }
        DemoStrategy::Auto => {
            let back = view.after.as_deref().unwrap_or(&after.live.state);
            let done = format!("{} is out, {back} is in force{took}, verified.", condemned());
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
        DemoStrategy::Version
        | DemoStrategy::Checkpoint
        | DemoStrategy::Configuration
        | DemoStrategy::Retrain
        | DemoStrategy::Auto => {
            format!("ripcord pull {SERVICE} --to 1.2.0 --no-hold --reason \"trying it\"")
        }
        DemoStrategy::Fallback => leaves(),
    };
    // What was put back is fraud-api:1; a version that is made has two incidents of its own.
    let next = match strategy {
        DemoStrategy::Version | DemoStrategy::Configuration | DemoStrategy::Fallback | DemoStrategy::Auto => {
            "fraud-api:2"
        }
        DemoStrategy::Checkpoint => "fraud-api:3",
        DemoStrategy::Retrain => "fraud-api:4",
    };
    text!(
        "\n{}\n  cd {}\n  alias ripcord={}\n  \
         export RIPCORD_TOKEN=$(cat secrets/olga.token)\n  ripcord status\n  ripcord incidents show fraud-api:1\n  \
         ripcord replay fraud-api:1\n  ripcord hold list\n  \
         {}\n  \
         ripcord approve {} --key secrets/ada.key\n  \
         ripcord approve {} --key secrets/bob.key\n  \
         ripcord incidents watch {}\n\nlogs are in {}; ctrl-c ends everything",
        paint(STRONG, "everything is still running; in another terminal, try"),
        folder,
        program,
        pull,
        next,
        next,
        next,
        logs
    )
}
