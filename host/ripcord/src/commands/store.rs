//! `ripcord store`: what the host knows as a whole.

use std::collections::BTreeMap;
use std::path::Path;

use ripcord_adapters::clock_system::SystemClock;
use ripcord_core::name::{ServiceName, SetName};
use ripcord_core::retention::Class;
use ripcord_engine::{Findings, Verified, verify};
use ripcord_ports::store::StoreError;
use ripcord_ports::{Clock as _, Store as _};
use ripcord_store::{Amount, Rebuilt, SqliteStore};
use serde_json::json;

use super::reach::Reach;
use super::{Outcome, reason};
use crate::cli::{Global, StoreCommand};
use crate::output::style::{BAD, GOOD, paint};
use crate::output::table::Table;
use crate::output::time::instant;
use crate::output::{Exit, Failure, Page, Text, text};
use crate::wiring::STORE_FILE;

pub(super) async fn run(global: &Global, command: StoreCommand) -> Outcome {
    let reach = Reach::new(global)?;
    match command {
        StoreCommand::Show => show(&reach).await,
        StoreCommand::Prune => prune(&reach).await,
        StoreCommand::Backup { folder } => backup(&reach, &folder).await,
        StoreCommand::Verify { service, rebuild } => check(&reach, service, rebuild).await,
        StoreCommand::New { reason: why } => begin_anew(&reach, &reason(&why)).await,
        StoreCommand::Accept { reason: why } => accept(&reach, &reason(&why)).await,
    }
}

fn failed(error: StoreError) -> Failure {
    Failure::of(Exit::Failed, error)
}

async fn show(reach: &Reach) -> Outcome {
    let store = reach.store()?;
    let (now, retention) = (SystemClock.now(), &reach.here()?.host.retention);
    let before = Class::ALL.map(|class| (class, now - retention.age(class)));
    let sizes = store.sizes(before.into_iter().collect()).await.map_err(failed)?;
    let decisions = store.decisions().await.map_err(failed)?;
    let mut table = Table::new(["what", "count", "size", "kept for", "may go"]);
    let mut row = |what: &str, amount: Amount, kept: String, may_go: Option<&Amount>| {
        let gone = may_go.filter(|amount| amount.count > 0);
        let gone = gone.map(|amount| format!("{} ({})", amount.count, bytes(amount.bytes)));
        table.row([
            what.into(),
            amount.count.to_string().into(),
            bytes(amount.bytes).into(),
            kept.into(),
            gone.unwrap_or_default().into(),
        ]);
    };
    row("records", sizes.records, "good".into(), None);
    for (class, amount) in &sizes.classes {
        row(class.as_str(), *amount, retention.age(*class).to_string(), sizes.may_go.get(class));
    }
    row("snapshots", sizes.snapshots, "the next".into(), None);
    row("intake", sizes.signals, retention.age(Class::Signals).to_string(), None);
    row("policies", sizes.components, "their recordings".into(), None);
    let mut text = text!(
        "{}\n{} in the file, {} of it free; {} contents were erased",
        table,
        bytes(sizes.file_bytes),
        bytes(sizes.free_bytes),
        sizes.erased
    );
    for decision in &decisions {
        text.push(text!("\n{} {}: {}", instant(decision.at), decision.what, decision.reason));
    }
    Ok(Page::done(text, &json!({ "sizes": sizes, "decisions": decisions })))
}

/// `12.3 MB`.
fn bytes(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} B"),
        10_000..10_000_000 => format!("{} kB", bytes / 1_000),
        more => format!("{}.{} MB", more / 1_000_000, more % 1_000_000 / 100_000),
    }
}

async fn prune(reach: &Reach) -> Outcome {
    let host = reach.host().await?;
    let report = host.client().prune().await;
    host.leave(None, &reach.progress).await?;
    let report = report?;
    let mut text: Vec<Text> = report
        .pieces
        .iter()
        .map(|(class, pieces)| text!("{}: {} pieces of content are of no more use", class, pieces))
        .collect();
    text.push(text!("intake: {} signals forgotten", report.signals));
    text.push(text!(
        "policies: {} components are not configured and have no recordings left: forgotten",
        report.components
    ));
    text.extend(report.failed.iter().map(|why| paint(BAD, why)));
    let exit = if report.failed.is_empty() { Exit::Done } else { Exit::Failed };
    Ok(Page::new(exit, Text::joined(text, "\n"), &report))
}

async fn backup(reach: &Reach, folder: &Path) -> Outcome {
    let store = reach.store()?;
    let cannot = |what: &str, cause: std::io::Error| {
        Failure::failed(format!("{what} `{}` cannot be written", folder.display())).because(cause)
    };
    make_private(folder).map_err(|cause| cannot("the folder", cause))?;
    store.backup(folder.join(STORE_FILE)).await.map_err(failed)?;
    let data = &reach.here()?.host.data;
    let evidence = data.join("evidence");
    let objects = copy_evidence(&evidence, &folder.join("evidence"))
        .map_err(|cause| cannot("the evidence in", cause))?;
    let text = text!(
        "copied the store and {} pieces of evidence to `{}`\nto restore it: stop the host, put these files into `{}`, then `ripcord store accept --reason TEXT` if it is older than what was there",
        objects,
        folder.display(),
        data.display()
    );
    Ok(Page::done(text, &json!({ "folder": folder, "evidence": objects })))
}

fn make_private(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().mode(0o700).create(folder)
}

/// Evidence is named by its digest and never changed, so copies are whole or of no use; one that is erased meanwhile is left out.
fn copy_evidence(from: &Path, to: &Path) -> std::io::Result<u64> {
    make_private(to)?;
    if !from.is_dir() {
        return Ok(0);
    }
    let mut copied = 0;
    for shelf in std::fs::read_dir(from)? {
        let shelf = shelf?;
        if !shelf.file_type()?.is_dir() {
            continue;
        }
        let to = to.join(shelf.file_name());
        make_private(&to)?;
        for object in std::fs::read_dir(shelf.path())? {
            let object = object?;
            match std::fs::copy(object.path(), to.join(object.file_name())) {
                Ok(_) => copied += 1,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(copied)
}

async fn check(reach: &Reach, service: Option<ServiceName>, rebuild: bool) -> Outcome {
    let store =
        if rebuild { SqliteStore::open(reach.store_path()?).map_err(failed)? } else { reach.store()? };
    let services = match service {
        Some(service) => vec![service],
        None => {
            let mut all = store.services().await.map_err(failed)?;
            all.extend(store.sets().await.map_err(failed)?.iter().map(SetName::journal));
            all
        }
    };
    let (mut text, mut all) = (Text::default(), BTreeMap::new());
    let mut well = true;
    for service in services {
        reach.progress.say(format!("reading the journal of {service}"));
        let mut verified = verify(&store, &service).await.map_err(failed)?;
        if rebuild && verified.broken.is_none() && !verified.is_well() {
            mend(&store, &service, &verified).await.map_err(failed)?;
            verified = verify(&store, &service).await.map_err(failed)?;
        }
        well &= verified.is_well();
        text.push(said(&service, &verified));
        all.insert(service, summary(&verified));
    }
    store.close().await.map_err(failed)?;
    let exit = if well { Exit::Done } else { Exit::Failed };
    Ok(Page::new(exit, text.trimmed(), &all))
}

/// What is derived is made anew. What the journal commits to cannot be.
async fn mend(store: &SqliteStore, service: &ServiceName, verified: &Verified) -> Result<(), StoreError> {
    if verified.snapshots.count > 0 {
        store.drop_snapshots(service).await?;
    }
    let derived = &verified.derived;
    let rebuilt = Rebuilt {
        service,
        incidents: derived.incidents.values().collect(),
        timelines: derived.timelines.iter().map(|(id, spans)| (id, spans.as_slice())).collect(),
        changes: &derived.changes,
    };
    store.rebuild(rebuilt).await
}

fn said(service: &ServiceName, verified: &Verified) -> Text {
    let word = if verified.is_well() { paint(GOOD, "whole") } else { paint(BAD, "not whole") };
    let mut text = text!(
        "{}: {}, {} records, {} contents, {} erased\n",
        service,
        word,
        verified.records,
        verified.contents,
        verified.erased
    );
    if let Some(broken) = &verified.broken {
        text.push(text!("  {}\n", paint(BAD, broken)));
    }
    for (findings, help) in [
        (&verified.damaged, "restore it from a backup"),
        (&verified.snapshots, "`ripcord store verify --rebuild` drops it"),
        (&verified.read_model, "`ripcord store verify --rebuild` makes it anew"),
    ] {
        listed(&mut text, findings, help);
    }
    text
}

fn listed(text: &mut Text, findings: &Findings, help: &str) {
    for finding in &findings.first {
        text.push(text!("  {}; {}\n", paint(BAD, finding), help));
    }
    let more = findings.count - findings.first.len() as u64;
    if more > 0 {
        text.push(text!("  and {} more\n", more));
    }
}

fn summary(verified: &Verified) -> serde_json::Value {
    json!({
        "whole": verified.is_well(), "records": verified.records, "contents": verified.contents,
        "erased": verified.erased, "broken": verified.broken, "damaged": verified.damaged.first,
        "snapshots": verified.snapshots.first, "read_model": verified.read_model.first,
    })
}

async fn begin_anew(reach: &Reach, why: &str) -> Outcome {
    crate::wiring::open_data(&reach.here()?.host.data, "")
        .map_err(|error| Failure::of(Exit::Failed, error))?;
    let path = reach.store_path()?;
    let aside = SqliteStore::begin_anew(&path, why, SystemClock.now()).await.map_err(failed)?;
    let mut text =
        text!("a new store is at `{}`: it knows no holds, no standings and no history", path.display());
    if let Some(aside) = &aside {
        text.push(text!("\nwhat was there is at `{}`", aside.display()));
    }
    text.push(text!(
        "\nvouch for what can be gone back to with `ripcord adopt SERVICE VERSION --reason TEXT`, and look whether a shift is under way"
    ));
    Ok(Page::done(text, &json!({ "store": path, "aside": aside })))
}

async fn accept(reach: &Reach, why: &str) -> Outcome {
    let path = reach.store_path()?;
    SqliteStore::accept(&path, why, SystemClock.now()).await.map_err(failed)?;
    Ok(Page::done(
        format!("the store at `{}` is the right one from now on", path.display()),
        &json!({ "store": path }),
    ))
}
