//! What may have done the harm, as a planner ranked it.

use ripcord_core::name::{ServiceName, VersionName};
use ripcord_core::role::Suspect;
use ripcord_engine::view::Ranking;

use super::style::{DIM, STRONG, WARN, paint};
use super::table::{Cell, Table};
use super::text::{Paragraph, Text, text};
use super::time::instant;

/// Of a page that is about something else, so many suspects are shown.
pub const FIRST_FEW: usize = 5;

/// The suspects with their reasons, at most so many; or plainly that nobody ranked what moved.
pub fn text(ranking: Option<&Ranking>, service: &ServiceName, at_most: usize) -> Text {
    let Some(ranking) = ranking else {
        return unranked(
            service,
            text!("nobody has ranked what moved before the harm: no planner was asked"),
        );
    };
    let by = &ranking.by;
    if ranking.erased {
        return unranked(service, text!("what {} suspected is older than it is kept, and was erased", by));
    }
    if ranking.suspects.is_empty() {
        return unranked(
            service,
            text!("nobody has ranked what moved before the harm: {} names no suspect", by),
        );
    }
    let asked = if ranking.recorded { "as" } else { "only asked, and not recorded, as" };
    let sure =
        ranking.confidence.map(|sure| format!("; it is {} sure of its first target", percent(sure.get())));
    let title = text!("what may have done the harm, {} {} ranks it{}", asked, by, sure.unwrap_or_default());
    let mut all = text!("{}\n", paint(STRONG, title));
    let mut table = Table::bare(2);
    for suspect in ranking.suspects.iter().take(at_most) {
        let reasons = suspect.reasons.iter().map(|reason| text!("{}", Paragraph(reason)));
        table.row([
            percent(suspect.score.get()).into(),
            what(suspect).into(),
            Cell::new(DIM, Text::joined(reasons, "\n")),
        ]);
    }
    all.push(table);
    let more = ranking.suspects.len().saturating_sub(at_most);
    if more > 0 {
        all.push(paint(DIM, text!("  {} more: `ripcord changes {}` lists all\n", more, service)));
    }
    // Of one on record the incident itself says so.
    if let (Some(who), false) = (&ranking.hand_over_to, ranking.recorded) {
        all.push(text!("  {} {}\n", paint(WARN, "hand over to"), Paragraph(who)));
    }
    all
}

fn unranked(service: &ServiceName, why: Text) -> Text {
    text!("{}\n", paint(DIM, text!("{}; `ripcord changes {}` lists it", why, service)))
}

fn percent(ratio: f64) -> String {
    format!("{:.0} %", ratio * 100.0)
}

/// `configuration limits from 6 to 7, 2026-11-20 08:00:00 UTC, by ada`.
fn what(suspect: &Suspect) -> String {
    let names =
        |names: &[VersionName]| names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ");
    let from = if suspect.was.is_empty() { String::new() } else { format!(" from {}", names(&suspect.was)) };
    let to =
        if suspect.became.is_empty() { String::new() } else { format!(" to {}", names(&suspect.became)) };
    let by = suspect.by.as_ref().map(|by| format!(", by {by}")).unwrap_or_default();
    format!("{}{from}{to}, {}{by}", suspect.what, instant(suspect.at))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::output::hostile;
    use serde_json::json;

    pub(crate) fn two() -> serde_json::Value {
        let suspect = |what: serde_json::Value, score: f64| {
            json!({
                "what": what, "was": ["6"], "became": ["7"], "at": "1000", "not_before": null, "by": "ada", "noticed": "history", "verified_at": null,
                "score": score, "reasons": ["12m before the harm began", "it was never verified"],
            })
        };
        json!({
            "by": "proportionate@0.1.0", "at": "2000", "recorded": true, "erased": false, "confidence": 0.7, "hand_over_to": "the fraud team",
            "suspects": [suspect(json!({ "facet": { "configuration": "limits" } }), 0.7), suspect(json!({ "other": "data loans" }), 0.1)],
        })
    }

    fn ranking() -> Ranking {
        serde_json::from_value(two()).expect("a ranking")
    }

    #[test]
    fn the_likeliest_stands_first_with_its_reasons_and_what_is_left_out_is_said() {
        let service = "fraud-api".parse().expect("a name");
        let shown = super::text(Some(&ranking()), &service, 1).plain();
        assert!(shown.contains("70 %") && shown.contains("configuration limits from 6 to 7"), "{shown}");
        assert!(shown.contains("12m before the harm began") && shown.contains("it is 70 % sure"), "{shown}");
        assert!(
            !shown.contains("data loans") && shown.contains("1 more: `ripcord changes fraud-api`"),
            "{shown}"
        );
        let asked = Ranking { recorded: false, ..ranking() };
        let asked = super::text(Some(&asked), &service, 1).plain();
        assert!(asked.contains("hand over to the fraud team") && asked.contains("only asked"), "{asked}");
        let all = super::text(Some(&ranking()), &service, 64).plain();
        assert!(all.contains("data loans") && !all.contains("more:"), "{all}");
    }

    #[test]
    fn that_nobody_ranked_anything_is_said_plainly() {
        let service = "fraud-api".parse().expect("a name");
        let shown = |ranking: Option<&Ranking>| super::text(ranking, &service, 5).plain();
        assert!(shown(None).contains("no planner was asked"), "{}", shown(None));
        let mut nothing = Ranking { suspects: Vec::new(), ..ranking() };
        assert!(shown(Some(&nothing)).contains("proportionate@0.1.0 names no suspect"));
        nothing.erased = true;
        assert!(shown(Some(&nothing)).contains("was erased"));
    }

    #[test]
    fn nothing_that_others_wrote_gets_out_of_its_place() {
        let service = "fraud-api".parse().expect("a name");
        for (name, text) in hostile::table() {
            let (ranking, spoilt) = hostile::spoilt(&ranking(), &text);
            assert!(spoilt > 4, "{name}: {spoilt}");
            hostile::assert_harmless(&super::text(Some(&ranking), &service, 5), name);
        }
    }
}
