//! The registry's other names: where they point is watched, and people are told when a held version moves up.

use super::{HoldState, Illegal, Service};
use crate::aliases::{Aliases, bounded, names_of};
use crate::effect::Topic;
use crate::event::AliasesSeen;
use crate::signal::Severity;

/// Versions that one message tells of, and names of each; the rest is counted.
const TOLD_MAX: usize = 4;

impl Service {
    /// The first look only shows where they point: what was named before its condemnation was named by people who could not know.
    pub(super) fn aliases_seen(&mut self, seen: &AliasesSeen) -> Result<(), Illegal> {
        let (seen, _) = bounded(seen.aliases.clone());
        if self.aliases.as_ref().is_some_and(|known| !known.is_news(&seen, self.at)) {
            return Err(Illegal::Stale);
        }
        let now = Aliases { seen, at: self.at };
        let before = self.aliases.replace(now.clone());
        if let Some(before) = before {
            self.tell_moved_up(&before, &now);
        }
        Ok(())
    }

    fn tell_moved_up(&mut self, before: &Aliases, now: &Aliases) {
        let held = self.holds.iter().filter(|(_, hold)| hold.state != HoldState::Lifted);
        let mut moved = Vec::new();
        for (version, hold) in held.filter_map(|(revision, hold)| Some((revision.version()?, hold))) {
            let had = names_of(&before.seen, version);
            let news =
                names_of(&now.seen, version).difference(&had).map(|name| format!("`{name}`")).collect();
            if let Some(news) = first(news, " and ") {
                moved.push(format!(
                    "the registry has {news} point at `{version}` now, which `{}` condemned",
                    hold.incident
                ));
            }
        }
        if let Some(moved) = first(moved, "; ") {
            let text = format!(
                "{moved}: it is on its way up to `{}` again; take the name away from it, or `ripcord hold lift {} VERSION --reason TEXT` if it is well",
                self.name, self.name
            );
            self.tell(Topic::HeldMovesUp, Severity::Warning, text);
        }
    }
}

/// The first of them, and how many more there are; none of none.
fn first(mut all: Vec<String>, between: &str) -> Option<String> {
    let more = all.len().saturating_sub(TOLD_MAX);
    all.truncate(TOLD_MAX);
    if more > 0 {
        all.push(format!("{more} more"));
    }
    (!all.is_empty()).then(|| all.join(between))
}
