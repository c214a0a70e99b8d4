//! `ripcord hold list`.

use ripcord_core::name::ServiceName;
use serde::{Deserialize, Serialize};

use super::status::states;
use super::{Outcome, Reach};
use crate::cli::Global;
use crate::http::wire::HoldLine;
use crate::output::Page;
use crate::output::style::{BAD, STRONG};
use crate::output::table::{Cell, Table};
use crate::output::time::instant;

#[derive(Debug, Serialize, Deserialize)]
struct Line {
    service: ServiceName,
    #[serde(flatten)]
    hold: HoldLine,
}

pub(super) async fn list(global: &Global, service: Option<&ServiceName>) -> Outcome {
    let reach = Reach::new(global)?;
    let mut lines = Vec::new();
    for state in states(&reach, service).await? {
        lines
            .extend(HoldLine::all(&state).into_iter().map(|hold| Line { service: state.name.clone(), hold }));
    }
    Ok(listed(&lines))
}

fn listed(lines: &[Line]) -> Page {
    if lines.is_empty() {
        return Page::done("no holds", &lines);
    }
    let mut table = Table::new(["service", "version", "state", "since", "condemned by"]);
    for Line { service, hold } in lines {
        let style = if hold.state == "broken" { BAD } else { STRONG };
        table.row([
            service.into(),
            (&hold.version).into(),
            Cell::new(style, &hold.state),
            instant(hold.since).into(),
            (&hold.incident).into(),
        ]);
    }
    Page::done(table, &lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::hostile;
    use serde_json::json;

    #[test]
    fn nothing_that_others_wrote_gets_out_of_its_place() {
        let lines =
            json!([{ "service": "s", "version": "1", "incident": "s:1", "since": "1", "state": "stands" }]);
        let lines: Vec<Line> = serde_json::from_value(lines).expect("lines");
        for (name, text) in hostile::table() {
            let (lines, spoilt) = hostile::spoilt(&lines, &text);
            assert!(spoilt > 0, "{name}");
            hostile::assert_harmless(&listed(&lines).text, name);
        }
    }
}
