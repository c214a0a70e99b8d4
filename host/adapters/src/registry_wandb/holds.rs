//! Holds as tags of the artifact. A tag is a name without a value, of letters, digits, `-` and `_`, in words parted by spaces: the incident is among its words.

use ripcord_core::signal::Label;

use crate::registry_directory::HOLD_TAG;

/// What a tag of a hold that stands begins with.
const HELD: &str = "ripcord-hold";
/// What the tag begins with that stays when a hold is lifted.
const CONDEMNED: &str = "ripcord-condemned";
/// Longer tags are refused.
const CHARS_MAX: usize = 128;

/// The tags of a version that was rolled back from: held, and condemned.
pub(super) fn of(incident: &str) -> [String; 2] {
    [HELD, CONDEMNED].map(|first| {
        let tag = format!("{first} {}", words(incident, CHARS_MAX - first.len() - 1));
        tag.trim_end().to_owned()
    })
}

/// Whether a tag says that the version is held.
pub(super) fn is_held(tag: &str) -> bool {
    tag.strip_prefix(HELD).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}

/// A tag as the port has it. Those of Ripcord have the names that they have in every registry.
pub(super) fn label(tag: &str) -> Label {
    let own = |first: &str, name: &str| {
        let rest = tag.strip_prefix(first)?;
        (rest.is_empty() || rest.starts_with(' ')).then(|| Label::new(name, rest.trim_start()))
    };
    own(HELD, HOLD_TAG)
        .or_else(|| own(CONDEMNED, super::CONDEMNED_TAG))
        .unwrap_or_else(|| Label::new(tag, ""))
}

/// An incident in the characters of a tag.
fn words(incident: &str, chars_max: usize) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { ' ' };
    let plain: String = incident.chars().map(plain).collect();
    let joined = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    joined.chars().take(chars_max).collect::<String>().trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incident_becomes_a_tag_and_is_read_as_a_hold() {
        let [held, condemned] = of("fraud-api:7");
        assert_eq!(
            (held.as_str(), condemned.as_str()),
            ("ripcord-hold fraud-api 7", "ripcord-condemned fraud-api 7")
        );
        assert!(is_held(&held) && !is_held(&condemned) && !is_held("ripcord-holder"));
        assert_eq!(label(&held), Label::new(HOLD_TAG, "fraud-api 7"));
        assert_eq!(label("validated"), Label::new("validated", ""));
    }

    #[test]
    fn a_tag_has_the_characters_and_the_length_that_are_taken() {
        for incident in ["a:b/c.d 7", "größer:1", &"x".repeat(300), ":", ""] {
            for tag in of(incident) {
                assert!(tag.len() <= CHARS_MAX, "{tag}");
                let taken =
                    |part: &str| part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
                assert!(tag.split(' ').all(taken), "{tag}");
            }
        }
    }
}
