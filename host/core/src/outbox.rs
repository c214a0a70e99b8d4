//! What people are to be told: kept until it is delivered or no longer matters. Where nobody can be told for long, it is bounded, and what made room is
//! counted and told.

use crate::effect::Outgoing;
use crate::signal::Severity;

/// More announcements do not wait: each one matters for a day, and people read the first ones. The least severe make room, of them the oldest.
pub(crate) const OUTBOX_MAX: usize = 500;

/// Puts one among those that wait, unless it is there; how many made room.
pub(crate) fn put(outbox: &mut Vec<Outgoing>, outgoing: Outgoing) -> u64 {
    if outbox.iter().any(|known| known.id == outgoing.id) {
        return 0;
    }
    outbox.push(outgoing);
    let mut left_out = 0;
    while outbox.len() > OUTBOX_MAX {
        let each = outbox.iter().enumerate();
        let Some((least, _)) = each.min_by_key(|(_, outgoing)| rank(&outgoing.severity)) else { break };
        outbox.remove(least);
        left_out += 1;
    }
    left_out
}

/// Takes out one that was delivered or given up; whether it was there.
pub(crate) fn take(outbox: &mut Vec<Outgoing>, id: &str) -> bool {
    let before = outbox.len();
    outbox.retain(|outgoing| outgoing.id != id);
    outbox.len() < before
}

/// What people hear once they can be told again; none where nothing made room, or some still wait. `whose` is a name, and `where_to_look` a command.
pub(crate) fn left_out(
    outbox: &[Outgoing],
    left_out: &mut u64,
    whose: &str,
    where_to_look: &str,
) -> Option<String> {
    if !outbox.is_empty() || *left_out == 0 {
        return None;
    }
    Some(format!(
        "{} announcements of `{whose}` were left out, because more than {OUTBOX_MAX} waited: nobody could be told; `{where_to_look}` shows what happened",
        std::mem::take(left_out)
    ))
}

/// What makes room last is highest.
const fn rank(severity: &Severity) -> u8 {
    match severity {
        Severity::Info => 0,
        Severity::Warning | Severity::Other(_) => 1,
        Severity::Critical => 2,
    }
}
