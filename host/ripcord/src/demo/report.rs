//! How the demo ends: what was served before and after and how that was proved, and the incident on a page.

use std::path::Path;

use ripcord_engine::view::IncidentView;
use serde_json::json;

use super::stage::{BAD, GOOD};
use crate::http::wire::LiveLine;
use crate::output::style::{DIM, GOOD as WELL, STRONG, paint};
use crate::output::table::{Cell, Table};
use crate::output::{Page, Text, incident, text};

/// The end of a demo that went as it should. `live` is as read before the bad version, with it, and after the rollback.
pub(super) fn page(view: &IncidentView, live: [&LiveLine; 3]) -> Page {
    let [before, during, after] = live;
    let mut served = Table::bare(2);
    for (when, live) in
        [("before the deployment", before), ("after it", during), ("after the rollback", after)]
    {
        let proof = live.proof.map(|proof| format!("proved by {proof}")).unwrap_or_default();
        served.row([Cell::new(DIM, when), Cell::new(STRONG, &live.state), proof.into()]);
    }
    let took = view.split.total.map(|total| format!(" {total} after the harm began")).unwrap_or_default();
    let done = format!("{BAD} is out and {GOOD} is back{took}, verified.");
    let text = text!(
        "{}\n\n{}\n{}\n{}",
        incident::text(view).trimmed(),
        paint(STRONG, "what was served"),
        served,
        paint(WELL, done)
    );
    let live = json!({ "before": before, "during": during, "after": after });
    Page::done(
        text,
        &json!({ "outcome": view.outcome, "served": live, "split": view.split, "incident": view }),
    )
}

/// What to try while the demo keeps running.
pub(super) fn next(folder: &Path, logs: &Path) -> Text {
    let program = std::env::current_exe().unwrap_or_else(|_| "ripcord".into());
    let (folder, logs, program) = (folder.display(), logs.display(), program.display());
    text!(
        "\n{}\n  cd {}\n  alias ripcord={}\n  \
         export RIPCORD_TOKEN=$(cat secrets/olga.token)\n  ripcord status\n  ripcord incidents show fraud-api:1\n  \
         ripcord replay fraud-api:1\n  ripcord hold list\n  \
         ripcord pull fraud-api --to 1.2.0 --no-hold --reason \"trying it\"\n  \
         ripcord approve fraud-api:2 --key secrets/ada.key\n  \
         ripcord approve fraud-api:2 --key secrets/bob.key\n  \
         ripcord incidents watch fraud-api:2\n\nlogs are in {}; ctrl-c ends everything",
        paint(STRONG, "everything is still running; in another terminal, try"),
        folder,
        program,
        logs
    )
}
