//! Facts that are kept for later: why an incident was opened, what was before the shift. Large values are stored by themselves, as in recordings.

use ripcord_core::blob::{BlobKind, BlobRef};
use ripcord_core::canonical;
use ripcord_core::fact::{Fact, Request, STORED_ALONE_BYTES_MIN, Unavailable, UnavailableReason, Value};
use ripcord_core::time::UnixMillis;
use ripcord_ports::store::StoreError;
use serde::{Deserialize, Serialize};

use crate::batch::Batch;
use crate::context::Context;

/// A fact as it is kept.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptFact {
    id: String,
    request: Request,
    value: KeptValue,
    source: String,
    as_of: UnixMillis,
}

#[derive(Debug, Serialize, Deserialize)]
enum KeptValue {
    Ok(Value),
    Err(Unavailable),
    /// CBOR of the value.
    Stored(BlobRef),
}

/// The content for these facts; none where there are none.
pub(crate) fn keep(ctx: &Context, batch: &mut Batch, facts: Vec<Fact>) -> Option<BlobRef> {
    if facts.is_empty() {
        return None;
    }
    let facts = facts.into_iter().map(|fact| {
        let Fact { id, request, value, source, as_of } = fact;
        KeptFact { id, request, value: kept(ctx, batch, value), source, as_of }
    });
    let facts: Vec<_> = facts.collect();
    batch.cbor(BlobKind::Evidence, &facts)
}

fn kept(ctx: &Context, batch: &mut Batch, value: Result<Value, Unavailable>) -> KeptValue {
    let value = match value {
        Ok(value) => value,
        Err(missing) => return KeptValue::Err(missing),
    };
    match canonical::cbor(&value) {
        Ok(encoded) if encoded.len() >= STORED_ALONE_BYTES_MIN => {
            KeptValue::Stored(batch.fact(&ctx.host.fact_values, &ctx.setup.name, ctx.now(), encoded))
        }
        // One without a form shows when all of them are encoded.
        Ok(_) | Err(_) => KeptValue::Ok(value),
    }
}

/// The facts in `content`, with their values; none where it was erased or cannot be read for good. A value that is gone for good is one that was
/// erased. An error says that the store may answer later.
pub(crate) async fn read(ctx: &Context, content: &BlobRef) -> Result<Option<Vec<Fact>>, StoreError> {
    let Some(kept) = ctx.blob(content).await?.and_then(|bytes| decoded(&bytes)) else { return Ok(None) };
    let mut facts = Vec::with_capacity(kept.len());
    for KeptFact { id, request, value, source, as_of } in kept {
        let value = match value {
            KeptValue::Ok(value) => Ok(value),
            KeptValue::Err(missing) => Err(missing),
            KeptValue::Stored(value) => {
                let value = ctx.blob(&value).await?.and_then(|bytes| canonical::from_cbor(&bytes).ok());
                value.ok_or_else(|| {
                    Unavailable::new(UnavailableReason::Redacted, "its value is not there any more")
                })
            }
        };
        facts.push(Fact { id, request, value, source, as_of });
    }
    Ok(Some(facts))
}

/// The values that the facts in a content refer to.
pub(crate) fn references(content: &[u8]) -> Vec<BlobRef> {
    let stored = |fact: KeptFact| match fact.value {
        KeptValue::Stored(content) => Some(content),
        KeptValue::Ok(_) | KeptValue::Err(_) => None,
    };
    decoded(content).into_iter().flatten().filter_map(stored).collect()
}

fn decoded(content: &[u8]) -> Option<Vec<KeptFact>> {
    canonical::from_cbor(content).ok()
}
