//! The registry's other names for versions, as a service knows them: bounded, and what moved among them.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::event::Alias;
use crate::name::VersionName;
use crate::time::{Millis, UnixMillis};

/// The names, as they were seen last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aliases {
    /// See [`bounded`].
    pub seen: Vec<Alias>,
    /// When.
    pub at: UnixMillis,
}

impl Aliases {
    /// Whether this look is news, and may be recorded now: a name that goes back and forth must not fill the journal.
    pub fn is_news(&self, seen: &[Alias], now: UnixMillis) -> bool {
        self.seen != seen && now >= self.at + APART
    }
}

/// Between two looks that are recorded.
const APART: Millis = Millis::minutes(1);

/// Names of one model that are watched, the first by name.
pub const ALIASES_MAX: usize = 64;

/// Versions that one of them is known to point at, the last by name.
pub const ALIASED_MAX: usize = 16;

/// A name longer than so is not watched: it is not one that people gave.
const NAME_MAX: usize = 128;

/// These names as they are watched: sorted, each once, no more than [`ALIASES_MAX`] with [`ALIASED_MAX`] versions each. And how many names were left out.
pub fn bounded(mut aliases: Vec<Alias>) -> (Vec<Alias>, usize) {
    for alias in &mut aliases {
        alias.versions.sort();
        alias.versions.dedup();
        let more = alias.versions.len().saturating_sub(ALIASED_MAX);
        alias.versions.drain(..more);
    }
    aliases.sort();
    aliases.dedup_by(|later, earlier| later.name == earlier.name);
    let all = aliases.len();
    aliases.retain(|alias| !alias.versions.is_empty() && alias.name.len() <= NAME_MAX);
    aliases.truncate(ALIASES_MAX);
    let left_out = all - aliases.len();
    (aliases, left_out)
}

/// What points at `version`.
pub fn names_of<'a>(aliases: &'a [Alias], version: &VersionName) -> BTreeSet<&'a str> {
    aliases.iter().filter(|alias| alias.versions.contains(version)).map(|alias| alias.name.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alias(name: &str, versions: &[&str]) -> Alias {
        let versions = versions.iter().map(|version| VersionName::new(*version).unwrap()).collect();
        Alias { name: name.into(), versions }
    }

    #[test]
    fn what_a_registry_tells_is_watched_in_one_order_and_each_name_once() {
        let told = vec![alias("staging", &["2", "1", "2"]), alias("canary", &["1"]), alias("canary", &["1"])];
        let (known, left_out) = bounded(told);
        assert_eq!(known, [alias("canary", &["1"]), alias("staging", &["1", "2"])]);
        assert_eq!(left_out, 0);
    }

    #[test]
    fn a_flood_of_names_is_bounded_and_counted() {
        let mut told: Vec<_> = (0..100).map(|number| alias(&format!("a{number:03}"), &["1"])).collect();
        told.push(alias(&"x".repeat(NAME_MAX + 1), &["1"]));
        told.push(alias("nothing", &[]));
        let versions: Vec<_> = (0..100).map(|number| format!("{number:03}")).collect();
        let versions: Vec<_> = versions.iter().map(String::as_str).collect();
        told.push(alias("a000-everything", &versions));
        let (known, left_out) = bounded(told);
        assert_eq!(known.len(), ALIASES_MAX);
        assert_eq!(left_out, 103 - ALIASES_MAX);
        let everything = known.iter().find(|alias| alias.name == "a000-everything").unwrap();
        assert_eq!(everything.versions.len(), ALIASED_MAX);
        assert_eq!(everything.versions.last().unwrap().to_string(), "099");
    }

    #[test]
    fn what_points_at_a_version_is_found() {
        let known = [alias("canary", &["1"]), alias("staging", &["1", "2"])];
        let of = |version: &str| names_of(&known, &VersionName::new(version).unwrap());
        assert_eq!(of("1"), BTreeSet::from(["canary", "staging"]));
        assert_eq!(of("3"), BTreeSet::new());
    }
}
