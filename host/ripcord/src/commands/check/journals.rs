//! What the host would find in its store when it starts.

use ripcord_engine::{recover, recover_set};
use ripcord_ports::Store as _;
use ripcord_ports::store::StoreError;
use ripcord_store::SqliteStore;

use super::{Level, Report};
use crate::config::Config;
use crate::wiring::STORE_FILE;

/// Of one service, so many of the alerts that wait are looked at.
const UNREADABLE_MAX: u32 = 1_000;

/// Only reads, also beside a host that runs.
pub(super) async fn journals(config: &Config, report: &mut Report) {
    let path = config.host.data.join(STORE_FILE);
    if !path.exists() && !ripcord_store::was_here(&path) {
        return report.ok("store", "none yet: the first start makes it");
    }
    let store = match SqliteStore::open_read_only(&path) {
        Ok(store) => store,
        Err(error) => return report.add(Level::Error, "store", error.to_string(), ""),
    };
    let mut read = 0;
    for service in &config.services {
        match recover(&store, &service.name).await {
            Ok(_) => read += 1,
            Err(error) => report.add(
                Level::Error,
                format!("journal of {}", service.name),
                format!("it cannot be read, so the service is not protected: {error}"),
                "the other services are; `ripcord store verify` says more",
            ),
        }
    }
    for set in &config.sets {
        match recover_set(&store, &set.name).await {
            Ok(_) => read += 1,
            Err(error) => report.add(
                Level::Error,
                format!("journal of the set {}", set.name),
                format!("it cannot be read, so nothing moves the set: {error}"),
                "its members are protected all the same; `ripcord store verify` says more",
            ),
        }
    }
    report.ok("store", format!("{read} journals can be read"));
    match unreadable(&store).await {
        Ok(0) => {}
        Ok(signals) => report.add(
            Level::Warn,
            "intake",
            format!("{signals} alerts that wait cannot be read"),
            "the host sets them aside, judges the others, and tells people",
        ),
        Err(error) => report.add(Level::Error, "intake", error.to_string(), ""),
    }
}

/// Alerts that wait and cannot be read.
async fn unreadable(store: &SqliteStore) -> Result<usize, StoreError> {
    let mut signals = 0;
    for service in store.services_with_signals().await? {
        signals += store.unreadable_signals(&service, UNREADABLE_MAX).await?.len();
    }
    Ok(signals)
}
