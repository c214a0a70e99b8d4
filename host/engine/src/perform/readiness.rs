//! Watching whether a rollback could be made.

use std::collections::{BTreeMap, BTreeSet};

use ripcord_core::event::{Event, ReadinessSeen};
use ripcord_core::readiness::ReadyPart;
use ripcord_core::target::VersionTarget;
use ripcord_core::time::Millis;

use super::fetch;
use crate::batch::Batch;
use crate::context::Context;
use crate::looks::Pace;
use crate::readiness::look;

/// The shortest pause between two looks at what is in doubt. What is well again is told after two looks.
const AGAIN_AFTER: Millis = Millis::seconds(30);

/// Looks until other parts are not ready than were, and lastingly so: only that enters the journal. A way back that is not at hand is brought there.
pub(super) async fn watch(ctx: &Context, seen: &BTreeSet<ReadyPart>, every: Millis) -> Batch {
    let (looks, clock, name) = (&ctx.host.readiness_looks, &ctx.host.setup.clock, &ctx.setup.name);
    let pace = Pace { every, holds: false, asked_at: None };
    let patience = ctx.setup.terms.deadlines.no_data;
    let mut doubts = Doubts::default();
    loop {
        let usual = looks.pause(name, pace, clock.steady());
        pause(ctx, if doubts.since.is_empty() { usual } else { usual.min(between(patience)) }).await;
        let (unready, to_be_fetched) = unready(ctx).await;
        looks.looked(name, pace, clock.steady());
        if let Some(version) = to_be_fetched {
            fetch::bring_back(ctx, &version).await;
        }
        let told = doubts.judge(seen, &unready, patience, clock.steady());
        if told != *seen {
            return Batch::of(Event::ReadinessSeen(ReadinessSeen { unready: told }));
        }
    }
}

/// What is in doubt is looked at once more before it is told.
fn between(patience: Millis) -> Millis {
    Millis(patience.0 / 2).max(AGAIN_AFTER)
}

/// The state goes on while this effect does.
async fn unready(ctx: &Context) -> (BTreeSet<ReadyPart>, Option<VersionTarget>) {
    let service = ctx.latest.borrow().clone();
    let looked = Box::pin(look(&ctx.host, &ctx.setup, &service)).await;
    (looked.readiness.unready(), looked.to_be_fetched)
}

/// Parts that are otherwise than people were told, and since when.
#[derive(Debug, Default)]
struct Doubts {
    since: BTreeMap<ReadyPart, Millis>,
}

impl Doubts {
    /// What people are to be told by now: a part is not ready once it has not been at any look for as long as `patience`, and ready again at the second look
    /// at which it is.
    fn judge(
        &mut self,
        seen: &BTreeSet<ReadyPart>,
        unready: &BTreeSet<ReadyPart>,
        patience: Millis,
        now: Millis,
    ) -> BTreeSet<ReadyPart> {
        self.since.retain(|part, _| unready.contains(part) != seen.contains(part));
        let mut told = seen.clone();
        for part in unready.symmetric_difference(seen) {
            let lasts = match self.since.get(part) {
                Some(since) => Millis(now.0.saturating_sub(since.0)),
                None => {
                    self.since.insert(*part, now);
                    continue;
                }
            };
            if seen.contains(part) {
                told.remove(part);
            } else if lasts >= patience {
                told.insert(*part);
            }
        }
        told
    }
}

async fn pause(ctx: &Context, for_so_long: Millis) {
    let clock = &ctx.host.setup.clock;
    clock.sleep_until(clock.now() + for_so_long).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIVE: ReadyPart = ReadyPart::Live;
    const CLOCK: ReadyPart = ReadyPart::Clock;

    fn of(parts: &[ReadyPart]) -> BTreeSet<ReadyPart> {
        parts.iter().copied().collect()
    }

    #[test]
    fn what_does_not_last_is_no_news() {
        let patience = Millis(600);
        // What people were told, then looks at instants, and what is told after the last one.
        type Parts = &'static [ReadyPart];
        type Looks = &'static [(u64, Parts)];
        let table: [(Parts, Looks, Parts); 7] = [
            (&[], &[(0, &[LIVE])], &[]),
            (&[], &[(0, &[LIVE]), (300, &[LIVE]), (599, &[LIVE])], &[]),
            (&[], &[(0, &[LIVE]), (300, &[LIVE]), (600, &[LIVE])], &[LIVE]),
            (&[], &[(0, &[LIVE]), (300, &[]), (600, &[LIVE])], &[]),
            (&[LIVE], &[(0, &[])], &[LIVE]),
            (&[LIVE], &[(0, &[]), (30, &[])], &[]),
            (&[LIVE], &[(0, &[LIVE, CLOCK]), (300, &[LIVE, CLOCK]), (700, &[LIVE, CLOCK])], &[LIVE, CLOCK]),
        ];
        for (seen, looks, expected) in table {
            let mut doubts = Doubts::default();
            let told = looks
                .iter()
                .map(|(at, unready)| doubts.judge(&of(seen), &of(unready), patience, Millis(*at)));
            assert_eq!(told.last(), Some(of(expected)), "{seen:?} {looks:?}");
        }
    }
}
