//! The table of systems on the first page, against the catalogue.

use ripcord_adapters::catalogue;

use crate::pages::blocks::page;

/// The table as the catalogue has it: adapters with one page stand in one line.
fn table() -> String {
    let mut rows: Vec<(&str, &str, Vec<String>)> = Vec::new();
    for about in catalogue::all() {
        let as_what = format!("{} `{}`", about.port, about.kind);
        match rows.iter_mut().find(|(system, page, _)| (*system, *page) == (about.system, about.page)) {
            Some((_, _, ports)) => ports.push(as_what),
            None => rows.push((about.system, about.page, vec![as_what])),
        }
    }
    let rows =
        rows.iter().map(|(system, page, ports)| format!("| {system} | {} | `{page}` |\n", ports.join(", ")));
    std::iter::once("| system | as | page, below `host/adapters/src/` |\n|---|---|---|\n".to_owned())
        .chain(rows)
        .collect()
}

#[test]
fn the_first_page_has_every_adapter_and_no_other() {
    let table = table();
    assert!(page("README.md").contains(&table), "README.md wants this table below \"Systems\":\n\n{table}");
}
