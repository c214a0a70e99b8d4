//! `ripcord hold list`.

use ripcord_core::name::ServiceName;
use serde_json::json;

use super::states::{Damaged, read_all};
use super::{Outcome, Reach};
use crate::cli::Global;
use crate::http::across::holds_of;
use crate::http::wire::HoldOf;
use crate::output::style::{BAD, STRONG};
use crate::output::table::{Cell, Table};
use crate::output::time::instant;
use crate::output::{Page, Text, text};

pub(super) async fn list(global: &Global, service: Option<&ServiceName>) -> Outcome {
    let reach = Reach::new(global)?;
    if let Some(host) = reach.far()? {
        let told = host.holds(service).await?;
        return Ok(listed(&told.lines, &Damaged::told(told.damaged)));
    }
    let (states, damaged) = Damaged::apart(read_all(&reach, service).await?);
    Ok(listed(&states.iter().flat_map(holds_of).collect::<Vec<_>>(), &damaged))
}

fn listed(lines: &[HoldOf], damaged: &Damaged) -> Page {
    let mut table = Table::new(["service", "revision", "state", "since", "condemned by"]);
    for HoldOf { service, hold } in lines {
        let style = if hold.state == "broken" { BAD } else { STRONG };
        table.row([
            service.into(),
            hold.revision.to_string().into(),
            Cell::new(style, &hold.state),
            instant(hold.since).into(),
            (&hold.incident).into(),
        ]);
    }
    let holds = if lines.is_empty() { text!("no holds") } else { text!("{}", table) };
    let text = Text::joined([holds.trimmed(), damaged.text()], "\n").trimmed();
    Page::new(damaged.exit(), text, &json!({ "holds": lines, "damaged": damaged.json() }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::hostile;

    #[test]
    fn nothing_that_others_wrote_gets_out_of_its_place() {
        let lines =
            json!([{ "service": "s", "revision": "1", "incident": "s:1", "since": "1", "state": "stands" }]);
        let lines: Vec<HoldOf> = serde_json::from_value(lines).expect("lines");
        for (name, text) in hostile::table() {
            let (lines, spoilt) = hostile::spoilt(&lines, &text);
            assert!(spoilt > 0, "{name}");
            hostile::assert_harmless(&listed(&lines, &Damaged::default()).text, name);
        }
    }
}
