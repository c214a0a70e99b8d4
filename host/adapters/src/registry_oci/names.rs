//! Which tags are versions, and which of them move.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use ripcord_core::digest::Digest;
use ripcord_core::name::VersionName;

/// More are no list that anybody looks through.
pub(super) const TAGS_MAX: usize = 10_000;
/// Every client has it move.
pub(super) const LATEST: &str = "latest";
/// What tags of ours begin with.
pub(super) const OWN: &str = "ripcord.";
const CHARS_MAX: usize = 128;

/// A version with the other tags that point where its own does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) version: VersionName,
    pub(super) digest: Digest,
    /// Sorted.
    pub(super) aliases: Vec<String>,
}

/// Whether a registry takes it as a tag.
pub(super) fn is_tag(text: &str) -> bool {
    let mut bytes = text.bytes();
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.len() <= CHARS_MAX
        && bytes.next().is_some_and(word)
        && bytes.all(|byte| word(byte) || matches!(byte, b'.' | b'-'))
}

/// Whether a tag is kept for something else than versions and stages: our marks, and what refers to a manifest where the registry lists no referrers
/// (signatures and the like, `sha256-…`).
pub(super) fn is_reserved(tag: &str) -> bool {
    let referring = tag.strip_prefix("sha256-").or_else(|| tag.strip_prefix("sha512-"));
    let is_digest =
        referring.is_some_and(|rest| rest.bytes().take_while(u8::is_ascii_hexdigit).count() >= 64);
    tag.starts_with(OWN) || is_digest
}

/// The versions among tags, each with the tags that point where it does. Of several tags at one place, one is the version: what looks most like the name of one,
/// so that nothing is listed twice. Where only tags that move point, there is no version.
pub(super) fn versions(pointing: &[(String, Digest)], moves: impl Fn(&str) -> bool) -> Vec<Named> {
    let mut by_digest: BTreeMap<Digest, Vec<&str>> = BTreeMap::new();
    for (tag, digest) in pointing {
        by_digest.entry(*digest).or_default().push(tag);
    }
    let named = by_digest.into_iter().filter_map(|(digest, tags)| {
        let fixed = tags.iter().copied().filter(|tag| !moves(tag) && VersionName::new(*tag).is_ok());
        let chosen =
            fixed.min_by(|a, b| likeness(b).cmp(&likeness(a)).then(a.len().cmp(&b.len())).then(a.cmp(b)))?;
        let mut aliases: Vec<String> =
            tags.iter().filter(|tag| **tag != chosen).map(|tag| (*tag).to_owned()).collect();
        aliases.sort();
        Some(Named { version: VersionName::new(chosen).ok()?, digest, aliases })
    });
    named.collect()
}

/// How much a tag looks like the name of one version: how many numbers with dots between it begins with, after a `v` or not. `1.2.3` is one version, `1.2`
/// moves.
fn likeness(tag: &str) -> usize {
    let plain = tag.strip_prefix('v').unwrap_or(tag);
    let end = plain.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(plain.len());
    let (numbers, rest) = plain.split_at(end);
    // `9f8e7d6` is the name of a commit.
    if !rest.is_empty() && !rest.starts_with(['-', '_', '+']) {
        return 0;
    }
    let numbers = numbers.split('.');
    if numbers.clone().any(str::is_empty) { 0 } else { numbers.count() }
}

/// Names in the order that people expect: numbers in them by their value.
pub(super) fn natural(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a, b);
    loop {
        let (one, rest_of_left) = part(left);
        let (other, rest_of_right) = part(right);
        let order = match (one.trim_start_matches('0'), other.trim_start_matches('0')) {
            (x, y) if is_number(one) && is_number(other) => x.len().cmp(&y.len()).then(x.cmp(y)),
            _ => one.cmp(other),
        };
        if order != Ordering::Equal || one.is_empty() {
            return order.then(a.cmp(b));
        }
        (left, right) = (rest_of_left, rest_of_right);
    }
}

fn is_number(part: &str) -> bool {
    part.starts_with(|c: char| c.is_ascii_digit())
}

/// The digits, or what is none, that a text begins with, and the rest.
fn part(text: &str) -> (&str, &str) {
    let digits = is_number(text);
    let end = text.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(text.len());
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(tags: &[(&str, u8)]) -> Vec<(String, String)> {
        let pointing: Vec<_> = tags.iter().map(|(tag, at)| ((*tag).to_owned(), Digest::of([*at]))).collect();
        let mut named: Vec<_> = versions(&pointing, |tag| matches!(tag, "latest" | "production" | "staging"))
            .into_iter()
            .map(|named| (named.version.to_string(), named.aliases.join(" ")))
            .collect();
        named.sort();
        named
    }

    fn one(version: &str, aliases: &str) -> (String, String) {
        (version.to_owned(), aliases.to_owned())
    }

    #[test]
    fn tags_at_one_place_are_one_version_and_its_stages() {
        let tags = [("1.2.3", 1), ("1.2", 1), ("1", 1), ("production", 1), ("1.2.2", 2), ("latest", 3)];
        assert_eq!(listed(&tags), [one("1.2.2", ""), one("1.2.3", "1 1.2 production")]);
        let tags = [("v7", 1), ("9f8e7d6c", 1), ("candidate", 1), ("v6", 2), ("staging", 2)];
        assert_eq!(listed(&tags), [one("v6", "staging"), one("v7", "9f8e7d6c candidate")]);
        assert_eq!(listed(&[("blue", 1), ("green", 1)]), [one("blue", "green")]);
        assert_eq!(listed(&[("_x", 1), ("a..b", 2)]), [], "no names that a version can have");
    }

    #[test]
    fn what_no_registry_takes_is_no_tag() {
        for tag in ["1", "v1.2-rc_3", "_x", &"x".repeat(128)] {
            assert!(is_tag(tag), "{tag}");
        }
        for tag in ["", ".x", "-x", "a/b", "a:b", "sha256:0", "a+b", "é", "a\n", &"x".repeat(129)] {
            assert!(!is_tag(tag), "{tag}");
        }
        let digest = "0".repeat(64);
        for tag in [&format!("sha256-{digest}"), &format!("sha256-{digest}.sig"), "ripcord.hold.1"] {
            assert!(is_reserved(tag), "{tag}");
        }
        assert!(!is_reserved("sha256-fraud") && !is_reserved("ripcord-1"));
    }

    #[test]
    fn numbers_in_names_are_compared_as_numbers() {
        let mut names = ["v10", "v9", "v9.1", "1.2.10", "1.2.9", "a", "v09"];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, ["1.2.9", "1.2.10", "a", "v09", "v9", "v9.1", "v10"]);
    }
}
