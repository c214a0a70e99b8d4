//! `ripcord hold list`.

use ripcord_core::name::ServiceName;
use serde::Serialize;

use super::status::read_all;
use super::{Outcome, Reach};
use crate::cli::Global;
use crate::http::wire::HoldLine;
use crate::output::style::{BAD, STRONG};
use crate::output::table::{Cell, Table};
use crate::output::time::instant;
use crate::output::{Exit, Failure, Page};

#[derive(Debug, Serialize)]
struct Line {
    service: ServiceName,
    #[serde(flatten)]
    hold: HoldLine,
}

pub(super) async fn list(global: &Global, service: Option<&ServiceName>) -> Outcome {
    let reach = Reach::new(global)?;
    let mut lines = Vec::new();
    for read in read_all(&reach, service).await? {
        let state = read.state.map_err(|error| Failure::of(Exit::Failed, error))?;
        lines
            .extend(HoldLine::all(&state).into_iter().map(|hold| Line { service: state.name.clone(), hold }));
    }
    if lines.is_empty() {
        return Ok(Page::done("no holds", &lines));
    }
    let mut table = Table::new(["service", "version", "state", "since", "condemned by"]);
    for Line { service, hold } in &lines {
        let style = if hold.state == "broken" { BAD } else { STRONG };
        table.row([
            service.into(),
            (&hold.version).into(),
            Cell::new(style, &hold.state),
            instant(hold.since).into(),
            (&hold.incident).into(),
        ]);
    }
    Ok(Page::done(table.to_string(), &lines))
}
