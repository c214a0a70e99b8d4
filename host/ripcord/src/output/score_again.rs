//! What a job without an endpoint has made by versions that were left: it is to be scored again.

use ripcord_core::time::UnixMillis;
use ripcord_engine::view::{IncidentView, ScoreAgain};

use super::incident::section;
use super::style::DIM;
use super::table::{Cell, Table};
use super::text::{Text, text};
use super::time::instant;

/// Outputs that the page names.
const SHOWN: u32 = 20;

/// How many there are, by what they were made and from when to when.
pub(super) fn sentence(again: &ScoreAgain) -> String {
    if let Some(why) = &again.failed {
        return format!("what was left may have made outputs, which could not be listed: {why}");
    }
    let outputs = &again.outputs;
    let mut by: Vec<_> = outputs.made.iter().map(|output| format!("`{}`", output.version)).collect();
    by.sort();
    by.dedup();
    let (by, at) = (by.join(" and "), |at: Option<UnixMillis>| at.map(instant).unwrap_or_default());
    let what = match outputs.number {
        0 => "no output that is there was made by what was left".to_owned(),
        1 => format!("1 output by {by}, made {}", at(outputs.first_at)),
        number => {
            format!("{number} outputs by {by}, made from {} to {}", at(outputs.first_at), at(outputs.last_at))
        }
    };
    let since = again.harm_began_at.filter(|_| outputs.number > 0).map(|began| {
        // The list is cut at its end: what it leaves out came later.
        let before = outputs.made.iter().filter(|output| output.at < began).count() as u64;
        let since = u64::from(outputs.number).saturating_sub(before);
        format!("; the harm began {}, {since} of them came since", instant(began))
    });
    let next = outputs.next_at.map(|next| format!("; the next one, by another version, {}", instant(next)));
    let unreadable = match outputs.unreadable {
        0 => None,
        number => Some(format!("; {number} more do not say by what they were made")),
    };
    let old = match outputs.not_looked_at {
        0 => None,
        number => Some(format!("; {number} older ones were not looked at")),
    };
    [Some(what), since, next, unreadable, old].into_iter().flatten().collect()
}

/// The first of them by name.
pub(super) fn outputs(view: &IncidentView) -> Text {
    let Some(again) = &view.score_again else { return Text::default() };
    let mut table = Table::bare(2);
    for output in again.outputs.made.iter().take(SHOWN as usize) {
        let by = Cell::new(DIM, format!("by {}", output.version));
        table.row([Cell::new(DIM, instant(output.at)), output.name.as_str().into(), by]);
    }
    let mut text = section("to be scored again", &table);
    let more = again.outputs.number.saturating_sub(SHOWN);
    if more > 0 {
        text.push(text!("  and {} more: `--json` names the first thousand\n", more));
    }
    text
}

#[cfg(test)]
mod tests {
    use ripcord_core::name::VersionName;
    use ripcord_core::outputs::{Output, Outputs};

    use super::*;

    fn again(outputs: Outputs) -> ScoreAgain {
        ScoreAgain { outputs, failed: None, harm_began_at: None }
    }

    fn output(number: u64) -> Output {
        let version = VersionName::new("1.4.0").unwrap();
        Output { name: format!("scores-{number}.csv"), at: UnixMillis(1_700_000_000_000 + number), version }
    }

    #[test]
    fn the_sentence_says_how_many_by_what_and_from_when_to_when() {
        let (first, last) = (output(0), output(86_400_000));
        let last_at = last.at.0;
        let outputs = Outputs {
            number: 2,
            first_at: Some(first.at),
            last_at: Some(last.at),
            next_at: Some(UnixMillis(last.at.0 + 3_600_000)),
            made: vec![first, last],
            unreadable: 1,
            not_looked_at: 7,
        };
        let of_harm = ScoreAgain { harm_began_at: Some(UnixMillis(last_at)), ..again(outputs.clone()) };
        assert!(
            sentence(&of_harm)
                .contains("; the harm began 2023-11-15 22:13:20Z, 1 of them came since; the next one")
        );
        assert_eq!(
            sentence(&again(outputs)),
            "2 outputs by `1.4.0`, made from 2023-11-14 22:13:20Z to 2023-11-15 22:13:20Z; the next one, by another version, 2023-11-15 23:13:20Z; \
             1 more do not say by what they were made; 7 older ones were not looked at"
        );
        assert_eq!(sentence(&again(Outputs::default())), "no output that is there was made by what was left");
        let failed = ScoreAgain { failed: Some("the folder is away".into()), ..again(Outputs::default()) };
        assert!(sentence(&failed).ends_with("could not be listed: the folder is away"));
    }
}
