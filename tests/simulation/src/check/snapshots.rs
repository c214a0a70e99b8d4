//! A snapshot and what came after it are the whole journal.

use ripcord_core::event::Event;
use ripcord_core::journal::Tip;
use ripcord_core::service::Service;
use ripcord_core::snapshot::Snapshot;

use crate::store::Disk;

/// One state in so many is written down and read back, besides those that the host keeps.
pub(super) const ONE_IN: u64 = 50;

/// What does not fit, if the snapshot is not this state.
pub(super) fn differs(snapshot: &Snapshot, state: &Service, tip: Tip) -> Option<String> {
    let length = snapshot.tip.length;
    match snapshot.read() {
        Err(unfit) => Some(format!("the snapshot of {length} records does not read: {unfit}")),
        Ok(read) if snapshot.tip != tip || read != *state => {
            Some(format!("the snapshot of {length} records is another state than the fold of these"))
        }
        Ok(_) => None,
    }
}

/// What does not fit, if this state does not come back from what is written of it.
pub(super) fn is_lost_in_writing(state: &Service, tip: Tip) -> Option<String> {
    match Snapshot::of(state, tip) {
        Ok(snapshot) => differs(&snapshot, state, tip),
        Err(error) => Some(format!("no snapshot of {} records: {error}", tip.length)),
    }
}

/// What a host that starts reads, the last snapshot and the records after it, is `state`, the fold of all records; else why not.
pub(super) fn start_differs(disk: &Disk, state: &Service, tip: Tip) -> Option<String> {
    let snapshot = disk.snapshot(&state.name, u64::MAX)?;
    let (mut folded, mut end) = match snapshot.read() {
        Ok(read) => (read, snapshot.tip),
        Err(unfit) => return Some(format!("the snapshot that a host starts from does not read: {unfit}")),
    };
    for record in disk.journal(&state.name, snapshot.tip.length, u32::MAX) {
        let next = record.read::<Event>(end).map_err(|error| error.to_string()).and_then(|envelope| {
            folded.apply(envelope.at, &envelope.event).map_err(|illegal| illegal.to_string())
        });
        match next {
            Ok(next) => (folded, end) = (next, record.tip()),
            Err(why) => {
                return Some(format!("what follows the snapshot of {} records: {why}", snapshot.tip.length));
            }
        }
    }
    (folded != *state || end != tip).then(|| {
        let (from, length) = (snapshot.tip.length, tip.length);
        format!("the snapshot of {from} records and what follows it are another state than the whole journal of {length}")
    })
}
