//! Holds as aliases of the version. An alias is of one version of a model at a time, so each of ours has the version in it; it is of letters, digits and
//! `-`, so the incident is written with these.

use ripcord_core::name::VersionName;
use ripcord_core::signal::Label;

use crate::registry_directory::HOLD_TAG;

/// What an alias of Ripcord's begins with.
const OWN: &str = "ripcord-";
/// What the alias of a hold that stands begins with.
const HELD: &str = "ripcord-hold-v";
/// What the alias begins with that stays when a hold is lifted.
const CONDEMNED: &str = "ripcord-condemned-v";
/// Longer aliases are refused.
const CHARS_MAX: usize = 128;

/// The aliases of a version that was rolled back from: held, and condemned.
pub(super) fn of(version: &VersionName, incident: &str) -> [String; 2] {
    [HELD, CONDEMNED].map(|first| {
        let first = format!("{first}{version}");
        let rest = words(incident, CHARS_MAX.saturating_sub(first.len() + 1));
        if rest.is_empty() { first } else { format!("{first}-{rest}") }
    })
}

/// Whether an alias says that its version is held.
pub(crate) fn is_held(alias: &str) -> bool {
    alias.starts_with(HELD)
}

/// Whether a configured name can be an alias.
pub(super) fn is_alias(name: &str) -> bool {
    let mut bytes = name.bytes();
    let small = |byte: u8| byte.is_ascii_lowercase();
    name.len() <= CHARS_MAX
        && !name.starts_with(OWN)
        && bytes.next().is_some_and(small)
        && name.bytes().next_back().is_some_and(|byte| small(byte) || byte.is_ascii_digit())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// An alias as a tag, where it is one of Ripcord's: with the name that it has in every registry, and the incident.
pub(super) fn label(alias: &str) -> Option<Label> {
    let own = |first: &str, name: &str| {
        let rest = alias.strip_prefix(first)?;
        Some(Label::new(name, rest.split_once('-').map_or("", |(_, incident)| incident)))
    };
    own(HELD, HOLD_TAG).or_else(|| own(CONDEMNED, super::CONDEMNED_TAG))
}

/// An incident in the characters of an alias, the last of which is a small letter or a digit.
fn words(incident: &str, chars_max: usize) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let plain: String = incident.chars().map(plain).collect();
    let joined = plain.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-");
    joined.chars().take(chars_max).collect::<String>().trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(name: &str) -> VersionName {
        VersionName::new(name).unwrap()
    }

    #[test]
    fn an_incident_becomes_an_alias_of_its_version_and_is_read_as_a_hold() {
        let [held, condemned] = of(&version("3"), "fraud-api:7");
        assert_eq!(held, "ripcord-hold-v3-fraud-api-7");
        assert_eq!(condemned, "ripcord-condemned-v3-fraud-api-7");
        assert!(is_held(&held) && !is_held(&condemned) && !is_held("ripcord-holder"));
        assert_eq!(label(&held), Some(Label::new(HOLD_TAG, "fraud-api-7")));
        assert_eq!(label("golden"), None);
        assert_ne!(of(&version("4"), "fraud-api:7")[0], held, "an alias would leave the version that has it");
    }

    #[test]
    fn an_alias_has_the_characters_and_the_length_that_are_taken() {
        for incident in ["a:b/c.d 7", "größer:1", &"x-".repeat(300), ":", ""] {
            for alias in of(&version("12"), incident) {
                let rest = alias.strip_prefix(OWN).unwrap();
                assert!(alias.len() <= CHARS_MAX && is_alias(rest), "{alias}");
            }
        }
        for wrong in ["", "1", "Golden", "golden-", "a_b", "a@b", "-golden", "ripcord-hold-v1", "größer"] {
            assert!(!is_alias(wrong), "{wrong}");
        }
        assert!(is_alias("default") && is_alias("a") && is_alias("blueGreen-2"));
    }
}
