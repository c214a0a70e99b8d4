//! What the host would find in its store when it starts.

use ripcord_engine::recover;
use ripcord_ports::Store as _;
use ripcord_store::SqliteStore;

use super::{Level, Report};
use crate::config::Config;
use crate::wiring::STORE_FILE;

/// Signals that cannot be read, as many as are counted.
const SET_ASIDE_MAX: u32 = 1_000;

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
    report.ok("store", format!("{read} journals can be read"));
    match store.set_aside(SET_ASIDE_MAX).await {
        Ok(aside) if aside.is_empty() => {}
        Ok(aside) => report.add(
            Level::Warn,
            "intake",
            format!("{} alerts cannot be read and are set aside", aside.len()),
            "`ripcord store show` lists them",
        ),
        Err(error) => report.add(Level::Error, "intake", error.to_string(), ""),
    }
}
