//! An order of a set on its way into a member's journal.

use std::collections::BTreeMap;

use ripcord_core::blob::{BlobKind, blobs_of, with_blobs};
use ripcord_core::event::Event;
use ripcord_core::name::ServiceName;
use ripcord_ports::store::StoreError;

use crate::batch::Batch;
use crate::door::Door;
use crate::host::Host;
use crate::mailbox::append;

/// Appends the order to the member's journal; why it could not, where it is to be tried again later. Content that it refers to lies in the set's journal, and
/// is stored again: each journal keeps its own for as long as it is kept.
pub(super) async fn tell(host: &Host, door: &Door, event: Event) -> Result<(), String> {
    let batch = rehomed(host, &door.setup.name, event).await.map_err(|error| error.to_string())?;
    // An order that comes too late is refused there; the two journals as they stand now say what comes next.
    append(&door.mailbox, batch).await.map(drop).map_err(|error| error.to_string())
}

async fn rehomed(host: &Host, member: &ServiceName, event: Event) -> Result<Batch, StoreError> {
    let failed = |error: ripcord_core::canonical::EncodeError| StoreError::Failed(error.to_string());
    let (mut batch, mut moved) = (Batch::default(), BTreeMap::new());
    for old in blobs_of(&event).map_err(failed)? {
        let content = match host.setup.store.blob(&old).await {
            Ok(content) => content,
            Err(error @ StoreError::Damaged(_)) => {
                tracing::error!(%member, %error, "what a set has ordered cannot be read any more");
                None
            }
            Err(error) => return Err(error),
        };
        let new = match (content, old.kind) {
            (Some(content), kind) => batch.blob(kind, content),
            // A plan that is gone is carried out by nobody: the member finds that out by itself.
            (None, BlobKind::Plan) => continue,
            (None, kind) => batch.blob(kind, b"(erased)".to_vec()),
        };
        moved.insert(old, new);
    }
    let event = with_blobs(&event, &moved).map_err(failed)?;
    Ok(batch.with(event))
}
