//! `ripcord hold list`.

use ripcord_core::name::ServiceName;
use serde_json::json;

use super::states::{Damaged, read_all};
use super::{Outcome, Reach};
use crate::cli::Global;
use crate::http::across::{data_of, holds_of};
use crate::http::wire::{CondemnedDataOf, HoldOf};
use crate::output::style::{BAD, STRONG};
use crate::output::table::{Cell, Table};
use crate::output::time::instant;
use crate::output::{Page, Text, text};

pub(super) async fn list(global: &Global, service: Option<&ServiceName>) -> Outcome {
    let reach = Reach::new(global)?;
    if let Some(host) = reach.far()? {
        let (told, data) = tokio::try_join!(host.holds(service), host.condemned_data(service))?;
        return Ok(listed(&told.lines, &data.lines, &Damaged::told(told.damaged)));
    }
    let (states, damaged) = Damaged::apart(read_all(&reach, service).await?);
    let holds: Vec<_> = states.iter().flat_map(|state| holds_of(state)).collect();
    let data: Vec<_> = states.iter().flat_map(|state| data_of(state)).collect();
    Ok(listed(&holds, &data, &damaged))
}

fn data_table(lines: &[CondemnedDataOf]) -> Text {
    if lines.is_empty() {
        return Text::default();
    }
    let mut table = Table::new(["service", "condemned data", "since", "condemned by"]);
    for CondemnedDataOf { service, data, incident, person, since } in lines {
        let by = incident.as_ref().map(ToString::to_string);
        let by = by.or_else(|| person.as_ref().map(ToString::to_string)).unwrap_or_default();
        table.row([service.into(), Cell::new(STRONG, data.to_string()), instant(*since).into(), by.into()]);
    }
    text!("{}", table).trimmed()
}

fn listed(lines: &[HoldOf], data: &[CondemnedDataOf], damaged: &Damaged) -> Page {
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
    let text = Text::joined([holds.trimmed(), data_table(data), damaged.text()], "\n").trimmed();
    Page::new(damaged.exit(), text, &json!({ "holds": lines, "data": data, "damaged": damaged.json() }))
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
            hostile::assert_harmless(&listed(&lines, &[], &Damaged::default()).text, name);
        }
    }
}
