//! What the labels of an alert name.

use super::{Facet, Harm};
use crate::contract::types::Label;

/// A rule that fires and whose name is about what moves with this facet.
pub(super) fn hinting_rule<'h>(facet: &Facet, harm: &'h Harm) -> Option<&'h Label> {
    let hints: &[&str] = match facet {
        Facet::Data(_) => &["data", "drift", "schema", "freshness", "stale", "null", "nulls", "quality"],
        Facet::World => &["drift", "traffic", "population"],
        Facet::Configuration(_) => &["config", "flag", "threshold"],
        Facet::Fallback => &["fallback"],
        Facet::Model => &["model", "prediction", "accuracy"],
    };
    let is_hint = |word: &str| hints.iter().any(|hint| word.eq_ignore_ascii_case(hint));
    harm.labels.iter().find(|label| label.name == "alertname" && words(&label.value).any(is_hint))
}

/// True if the value is the name, or holds it as a whole word.
pub(super) fn names(value: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty()
        && (value == name || value.split(|c| !is_part(c)).any(|word| word.eq_ignore_ascii_case(name)))
}

/// The words of a name such as `FeatureDriftHigh` or `data_quality`.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric()).flat_map(|part| {
        let mut cuts: Vec<usize> =
            part.char_indices().filter(|(_, c)| c.is_uppercase()).map(|(at, _)| at).collect();
        cuts.extend([0, part.len()]);
        cuts.sort_unstable();
        cuts.dedup();
        let pairs: Vec<(usize, usize)> = cuts.windows(2).map(|pair| (pair[0], pair[1])).collect();
        pairs.into_iter().map(move |(from, to)| &part[from..to])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_whole_word() {
        assert!(names("thresholds", "thresholds") && names("eu/Thresholds: 3", "thresholds"));
        assert!(
            !names("thresholds-2", "thresholds") && !names("my_thresholds", "thresholds"),
            "another name"
        );
        assert!(!names("", "") && !names("anything", ""));
    }

    #[test]
    fn a_rule_is_about_what_its_name_says() {
        for (rule, facet, is_hint) in [
            ("FeatureDriftHigh", Facet::Data("rows".into()), true),
            ("FeatureDriftHigh", Facet::World, true),
            ("data_quality_low", Facet::Data("rows".into()), true),
            ("ErrorsHigh", Facet::Data("rows".into()), false),
            ("Größe", Facet::Model, false),
            ("UpdatesLate", Facet::Data("rows".into()), false),
        ] {
            let labels = vec![Label { name: "alertname".into(), value: rule.into() }];
            let harm = Harm { labels, ..Harm::of("api", 0) };
            assert_eq!(hinting_rule(&facet, &harm).is_some(), is_hint, "{rule} {facet}");
        }
    }
}
