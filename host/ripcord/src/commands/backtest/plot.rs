//! A backtest as a picture: what the rule said over time, above the values that it saw. One SVG file without scripts or references.

use std::fmt::Write as _;

use ripcord_core::foreign::Foreign;
use ripcord_core::time::UnixMillis;

use super::walk::{Tried, Word};
use crate::output::time::instant;

const WIDTH: f64 = 1_000.0;
/// Left and right of the plots.
const MARGIN: f64 = 20.0;
const VERDICTS: f64 = 28.0;
const PANEL: f64 = 120.0;
const GAP: f64 = 34.0;
/// Of one curve; more points than this are joined, the smallest and the largest of each kept.
const POINTS_MAX: usize = 1_000;
/// Of one label.
const LABEL_CHARS_MAX: usize = 110;

const fn colour(word: Word) -> &'static str {
    match word {
        Word::Ignore => "#7cb38b",
        Word::StandDown => "#a9c7e8",
        Word::Watch => "#e9c46a",
        Word::RollBack => "#d1495b",
        Word::Fault => "#4a4a4a",
    }
}

pub(super) fn svg(tried: &Tried) -> String {
    let panels = tried.queries.len();
    let height = 70.0 + VERDICTS + GAP + (PANEL + GAP) * panels as f64;
    let mut svg = String::new();
    // Writing to a string does not fail.
    let _ = writeln!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"12\">"
    );
    let _ = writeln!(svg, "<rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>");
    let head = format!(
        "{} for {}: {} to {}",
        tried.policy,
        tried.service,
        instant(tried.window.start),
        instant(tried.window.end)
    );
    label(&mut svg, MARGIN, 18.0, &head);
    legend(&mut svg);
    let top = 48.0;
    verdicts(&mut svg, tried, top);
    incidents(&mut svg, tried, top, height - 10.0);
    for (place, query) in tried.queries.iter().enumerate() {
        let y = top + VERDICTS + GAP + (PANEL + GAP) * place as f64;
        curve(&mut svg, tried, place, query, y);
    }
    svg.push_str("</svg>\n");
    svg
}

/// Where an instant lies from left to right.
fn x(tried: &Tried, at: UnixMillis) -> f64 {
    let length = (tried.window.end.0.saturating_sub(tried.window.start.0)).max(1) as f64;
    let passed = at.0.saturating_sub(tried.window.start.0) as f64;
    MARGIN + (WIDTH - 2.0 * MARGIN) * (passed / length).clamp(0.0, 1.0)
}

/// A text of others: harmless for whoever opens the file.
fn label(svg: &mut String, x: f64, y: f64, text: &str) {
    let text = Foreign::new(text).at_most(LABEL_CHARS_MAX).to_string();
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" fill=\"#222222\">{text}</text>");
}

fn legend(svg: &mut String) {
    for (place, word) in Word::ALL.into_iter().enumerate() {
        let left = MARGIN + 110.0 * place as f64;
        let _ = writeln!(
            svg,
            "<rect x=\"{left:.1}\" y=\"26\" width=\"10\" height=\"10\" fill=\"{}\"/>",
            colour(word)
        );
        label(svg, left + 15.0, 35.0, word.as_str());
    }
}

/// One band for each stretch of the same verdict.
fn verdicts(svg: &mut String, tried: &Tried, top: f64) {
    let ends = tried.changes.iter().skip(1).map(|change| change.at).chain([tried.window.end]);
    for (change, end) in tried.changes.iter().zip(ends) {
        let (from, to) = (x(tried, change.at), x(tried, end));
        let _ = writeln!(
            svg,
            "<rect x=\"{from:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{VERDICTS}\" fill=\"{}\"/>",
            (to - from).max(1.0),
            colour(change.to)
        );
    }
}

/// When incidents were opened that there were.
fn incidents(svg: &mut String, tried: &Tried, top: f64, bottom: f64) {
    for was in &tried.incidents {
        let at = x(tried, was.opened_at);
        let _ = writeln!(
            svg,
            "<line x1=\"{at:.1}\" y1=\"{top:.1}\" x2=\"{at:.1}\" y2=\"{bottom:.1}\" stroke=\"#222222\" stroke-dasharray=\"3 3\"/>"
        );
        label(svg, at + 3.0, top + VERDICTS + 14.0, was.id.as_str());
    }
}

fn curve(svg: &mut String, tried: &Tried, place: usize, query: &str, top: f64) {
    let points: Vec<(UnixMillis, f64)> =
        tried.steps.iter().filter_map(|step| Some((step.at, step.values[place]?))).collect();
    let low = points.iter().map(|(_, value)| *value).fold(f64::INFINITY, f64::min);
    let high = points.iter().map(|(_, value)| *value).fold(f64::NEG_INFINITY, f64::max);
    let _ = writeln!(
        svg,
        "<rect x=\"{MARGIN}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{PANEL}\" fill=\"none\" stroke=\"#cccccc\"/>",
        WIDTH - 2.0 * MARGIN
    );
    if points.is_empty() {
        return label(svg, MARGIN, top - 5.0, &format!("{query}: no values"));
    }
    label(svg, MARGIN, top - 5.0, &format!("{low} to {high}: {query}"));
    let span = if high > low { high - low } else { 1.0 };
    let mut path = String::new();
    for (at, value) in thinned(&points) {
        let y = top + PANEL - PANEL * ((value - low) / span);
        let _ = write!(path, "{:.1},{y:.1} ", x(tried, at));
    }
    let _ = writeln!(
        svg,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"#30638e\" stroke-width=\"1.2\"/>",
        path.trim_end()
    );
}

/// At most [`POINTS_MAX`] points, in which no peak is lost.
fn thinned(points: &[(UnixMillis, f64)]) -> Vec<(UnixMillis, f64)> {
    if points.len() <= POINTS_MAX {
        return points.to_vec();
    }
    let group = points.len().div_ceil(POINTS_MAX / 2);
    let extremes = |group: &[(UnixMillis, f64)]| {
        let low = group.iter().min_by(|one, other| one.1.total_cmp(&other.1)).copied();
        let high = group.iter().max_by(|one, other| one.1.total_cmp(&other.1)).copied();
        let mut both: Vec<_> = low.into_iter().chain(high).collect();
        both.sort_by_key(|(at, _)| *at);
        both.dedup();
        both
    };
    points.chunks(group).flat_map(extremes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::backtest::walk::{Seen, Was};
    use crate::output::hostile;
    use ripcord_core::digest::Digest;
    use ripcord_core::name::{IncidentId, PolicyName, ServiceName};
    use ripcord_core::policy::PolicyRef;
    use ripcord_core::target::Window;
    use ripcord_core::time::Millis;
    use std::collections::BTreeMap;

    fn tried(query: &str, values: &[f64]) -> Tried {
        let service = ServiceName::new("s").expect("name");
        let mut tried = Tried {
            service: service.clone(),
            policy: PolicyRef {
                name: PolicyName::new("p").expect("name"),
                version: "1.0.0".into(),
                digest: Digest::of("p"),
            },
            window: Window { start: UnixMillis(0), end: UnixMillis(1_000 * values.len() as u64) },
            step: Some(Millis(1_000)),
            steps: Vec::new(),
            changes: Vec::new(),
            missing: BTreeMap::new(),
            queries: Vec::new(),
            incidents: vec![Was {
                id: IncidentId::numbered(&service, 1),
                opened_at: UnixMillis(2_000),
                settled_at: None,
                outcome: "open".into(),
            }],
        };
        for (index, value) in (0_u64..).zip(values) {
            let at = UnixMillis(index * 1_000);
            let request = ripcord_core::fact::Request::Metric(ripcord_core::fact::MetricQuery {
                source: None,
                query: query.to_owned(),
                at: None,
            });
            let sample = ripcord_core::fact::Sample { labels: Vec::new(), value: *value, at };
            let fact = ripcord_core::fact::Fact {
                id: "1.0".into(),
                request,
                value: Ok(ripcord_core::fact::Value::Metric(vec![sample])),
                source: "test".into(),
                as_of: at,
            };
            let word = if *value > 1.0 { Word::RollBack } else { Word::Ignore };
            tried.add(at, word, String::new(), Seen::of(&[fact]));
        }
        tried
    }

    #[test]
    fn each_stretch_of_a_verdict_is_one_band_and_each_incident_a_line() {
        let svg = svg(&tried("errors", &[0.0, 0.5, 2.0, 3.0, 0.5, f64::NAN]));
        assert_eq!(svg.matches(&format!("height=\"{VERDICTS}\"")).count(), 3, "{svg}");
        assert_eq!(svg.matches("<polyline").count(), 1);
        assert_eq!(svg.matches("stroke-dasharray").count(), 1);
        assert!(svg.contains("0 to 3: errors"), "{svg}");
    }

    #[test]
    fn no_peak_is_lost_however_many_points_there_are() {
        let mut values = vec![0.0; 7_777];
        values[4_321] = 9.0;
        let points: Vec<_> = (0_u64..).zip(values).map(|(at, value)| (UnixMillis(at), value)).collect();
        let thinned = thinned(&points);
        assert!(thinned.len() <= POINTS_MAX + 2, "{}", thinned.len());
        assert!(thinned.contains(&(UnixMillis(4_321), 9.0)));
    }

    #[test]
    fn a_query_cannot_bring_anything_of_its_own_into_the_picture() {
        for (name, text) in hostile::table() {
            let svg = svg(&tried(&format!("</text><script>{text}</script>"), &[1.0]));
            assert!(!svg.contains("<script"), "{name}");
        }
    }
}
