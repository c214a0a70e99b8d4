//! Signals that were taken in and that no service judges: no route took them, or their service has left the configuration since.

use ripcord_core::name::ServiceName;
use ripcord_ports::Store;
use ripcord_ports::store::{SignalFilter, StoreError};

use super::wire::UnroutedSignal;

/// At most `limit`, those of services that are gone first: they were believed to be judged.
pub(crate) async fn unserved(
    store: &dyn Store,
    is_configured: impl Fn(&ServiceName) -> bool,
    limit: u32,
) -> Result<Vec<UnroutedSignal>, StoreError> {
    let mut all = Vec::new();
    for gone in store.services_with_signals().await?.into_iter().filter(|service| !is_configured(service)) {
        let left = limit.saturating_sub(u32::try_from(all.len()).unwrap_or(u32::MAX));
        if left == 0 {
            break;
        }
        let signals = store.signals(SignalFilter::Waiting(&gone), left).await?;
        let why =
            format!("it waits for `{gone}`, which is not configured any more; it is judged once it is again");
        all.extend(signals.into_iter().map(|signal| UnroutedSignal { why: why.clone(), ..signal.into() }));
    }
    let left = limit.saturating_sub(u32::try_from(all.len()).unwrap_or(u32::MAX));
    let unrouted = store.signals(SignalFilter::Unrouted, left).await?;
    all.extend(unrouted.into_iter().map(UnroutedSignal::from));
    Ok(all)
}
