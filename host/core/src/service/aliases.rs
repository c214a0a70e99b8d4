//! The registry's other names: where they point is watched, and people are told when a held version moves up.

use super::{HoldState, Illegal, Service};
use crate::aliases::{bounded, names_of};
use crate::effect::Topic;
use crate::event::AliasesSeen;
use crate::signal::Severity;

impl Service {
    /// The first look only shows where they point: what was named before its condemnation was named by people who could not know.
    pub(super) fn aliases_seen(&mut self, seen: &AliasesSeen) -> Result<(), Illegal> {
        let (now, _) = bounded(seen.aliases.clone());
        if self.aliases.as_ref() == Some(&now) {
            return Err(Illegal::Stale);
        }
        let Some(before) = self.aliases.replace(now.clone()) else { return Ok(()) };
        let held = self.holds.iter().filter(|(_, hold)| hold.state != HoldState::Lifted);
        let mut moved = Vec::new();
        for (version, hold) in held.filter_map(|(revision, hold)| Some((revision.version()?, hold))) {
            let had = names_of(&before, version);
            let news: Vec<_> =
                names_of(&now, version).difference(&had).map(|name| format!("`{name}`")).collect();
            if !news.is_empty() {
                moved.push(format!(
                    "the registry has {} point at `{version}` now, which `{}` condemned",
                    news.join(" and "),
                    hold.incident
                ));
            }
        }
        if !moved.is_empty() {
            let text = format!(
                "{}: it is on its way up to `{}` again; take the name away from it, or `ripcord hold lift {} VERSION --reason TEXT` if it is well",
                moved.join("; "),
                self.name,
                self.name
            );
            self.tell(Topic::HeldMovesUp, Severity::Warning, text);
        }
        Ok(())
    }
}
