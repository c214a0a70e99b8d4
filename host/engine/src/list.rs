//! The incident list as people and policies see it: lines that are damaged or missing are told from the journal.

use std::collections::{BTreeMap, BTreeSet};

use ripcord_core::fact::PastIncident;
use ripcord_core::name::{IncidentId, ServiceName};
use ripcord_ports::Store;
use ripcord_ports::store::{IncidentLine, StoreError};

use crate::view;

/// Lines that are told from the journal for one list: each takes as long as a page.
const FROM_JOURNAL_MAX: usize = 20;

/// The newest incidents of a service, or of all, newest first.
pub async fn incidents(
    store: &dyn Store,
    service: Option<&ServiceName>,
    limit: u32,
) -> Result<Vec<IncidentLine>, StoreError> {
    let mut lines = store.incidents(service, limit).await?;
    let full = lines.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
    let services = match service {
        Some(service) => vec![service.clone()],
        // A list that was cut says nothing of those that are not in it.
        None if full => Vec::new(),
        None => store.services().await?,
    };
    for id in missing(store, &lines, &services, full).await?.into_iter().take(FROM_JOURNAL_MAX) {
        match view::incident(store, &id).await {
            Ok(view) => lines.push(IncidentLine {
                service: view.service,
                summary: format!("{}, told from the journal: its line is damaged", view.phase),
                incident: PastIncident {
                    id,
                    opened_at: view.opened_at,
                    settled_at: view.settled_at,
                    strategy: None,
                    outcome: view.outcome,
                    target: None,
                },
            }),
            Err(error) => {
                tracing::error!(incident = %id, %error, "an incident is missing from the list, and the journal does not tell of it")
            }
        }
    }
    lines.sort_by_key(|line| std::cmp::Reverse(line.incident.opened_at));
    lines.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(lines)
}

/// Incidents are numbered without gaps, so each gap is a line that is not there. Above the highest number the timelines tell; below the lowest one is
/// nothing to be told where the list was cut.
async fn missing(
    store: &dyn Store,
    lines: &[IncidentLine],
    services: &[ServiceName],
    full: bool,
) -> Result<Vec<IncidentId>, StoreError> {
    let mut numbers: BTreeMap<&ServiceName, BTreeSet<u32>> = BTreeMap::new();
    numbers.extend(services.iter().map(|service| (service, BTreeSet::new())));
    for line in lines {
        numbers.entry(&line.service).or_default().extend(line.incident.id.number());
    }
    let mut missing = Vec::new();
    for (service, numbers) in numbers {
        let lowest = if full { numbers.first().copied().unwrap_or(1) } else { 1 };
        let mut number = lowest;
        let mut above = 0;
        while missing.len() < FROM_JOURNAL_MAX {
            let id = IncidentId::numbered(service, number);
            if !numbers.contains(&number) {
                let known = numbers.last().is_some_and(|last| number < *last);
                if !known && store.timeline(&id).await?.is_empty() {
                    break;
                }
                above += usize::from(!known);
                missing.push(id);
            }
            if above > FROM_JOURNAL_MAX {
                break;
            }
            number = number.saturating_add(1);
        }
    }
    Ok(missing)
}
