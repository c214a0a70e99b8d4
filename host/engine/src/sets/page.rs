//! One run of a set, as its journal tells it: for the page of a run that may have ended long ago.

use ripcord_core::blob::BlobRef;
use ripcord_core::name::SetId;
use ripcord_core::set::{Set, SetEvent, SetRun};
use ripcord_core::time::UnixMillis;
use ripcord_ports::Store;
use ripcord_ports::store::StoreError;

use crate::fold::ReadError;
use crate::history::History;

/// A run, and what happened in it.
#[derive(Debug, Clone)]
pub struct RunPage {
    /// As it is, or as it was when it ended.
    pub run: SetRun,
    /// Oldest first.
    pub entries: Vec<RunEntry>,
}

/// One event of a run.
#[derive(Debug, Clone)]
pub struct RunEntry {
    /// Number of its record.
    pub number: u64,
    /// When.
    pub at: UnixMillis,
    /// What.
    pub event: SetEvent,
    /// A person's words that came with it; none where there were none, or they were erased.
    pub words: Option<String>,
}

/// Reads a run from the set's journal, from the snapshot before it to its end: what it costs does not grow with the journal.
pub async fn run_page(store: &dyn Store, id: &SetId) -> Result<RunPage, ReadError> {
    let unknown = || ReadError::Unknown(id.as_incident());
    let set = id.set().ok_or_else(unknown)?;
    let spans = store.timeline(&id.as_incident()).await?;
    let (Some(first), Some(last)) = (spans.first(), spans.last()) else { return Err(unknown()) };
    let mut history = History::<Set>::from_snapshot(store, &set, first.first).await?;
    let (mut run, mut entries) = (None, Vec::new());
    while history.tip().length <= last.last {
        let Some(step) = history.next().await? else { break };
        let state = history.state();
        let of_this = [&state.run, &state.last].into_iter().flatten().find(|run| run.id == *id);
        run = of_this.cloned().or(run);
        if spans.iter().any(|span| (span.first..=span.last).contains(&step.number)) {
            let words = words(store, &step.event).await?;
            entries.push(RunEntry { number: step.number, at: step.at, event: step.event, words });
        }
    }
    Ok(RunPage { run: run.ok_or_else(unknown)?, entries })
}

async fn words(store: &dyn Store, event: &SetEvent) -> Result<Option<String>, StoreError> {
    let reference: Option<&BlobRef> = match event {
        SetEvent::Asked(asked) => Some(&asked.reason),
        SetEvent::NotDrafted(not) => Some(&not.reason),
        SetEvent::Voted(voted) => voted.reason.as_ref(),
        SetEvent::Aborted(about) | SetEvent::Dismissed(about) => Some(&about.reason),
        _ => None,
    };
    let Some(reference) = reference else { return Ok(None) };
    match store.blob(reference).await {
        Ok(content) => Ok(content.map(|content| String::from_utf8_lossy(&content).into_owned())),
        Err(StoreError::Damaged(_)) => Ok(None),
        Err(error) => Err(error),
    }
}
