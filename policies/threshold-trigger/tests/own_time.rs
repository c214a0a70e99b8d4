//! What is live is judged by its own time, however far back the query reaches. One minute after the other is played, with every kind of query.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::ops::Range;

use ripcord_sdk::contract::facts::{
    Fact as Dated, Point, RangeQuery, Request, Series, UnavailableReason, Value,
};
use ripcord_sdk::contract::types::{Context, Criticality, Instant, Memo, Service};
use ripcord_sdk::prelude::*;
use threshold_trigger::{Settings, ThresholdTrigger};

const MINUTE: u64 = 60_000;
/// When the played hours begin.
const START: Instant = 28_333_333 * MINUTE;

/// A hundred requests a minute, of which forty fail in some minutes.
struct World {
    failing: Range<u64>,
    /// The minute in which what is live became so; none if nobody has seen it.
    live_since: Option<u64>,
}

impl World {
    fn errors(&self, minute: u64) -> f64 {
        if self.failing.contains(&minute) { 40.0 } else { 0.0 }
    }

    /// Over the minutes that end within the window, a part of a minute counted as a part.
    fn sum(&self, each: impl Fn(u64) -> f64, at: Instant, window: Duration) -> f64 {
        let (from, to) = ((at - window).max(START), at.max(START));
        let slots = from / MINUTE..=to / MINUTE;
        let part = |slot: u64| {
            let (begin, end) = ((slot * MINUTE).max(from), ((slot + 1) * MINUTE).min(to));
            each(slot - START / MINUTE) * end.saturating_sub(begin) as f64 / MINUTE as f64
        };
        slots.map(part).sum()
    }

    fn ratio(&self, at: Instant, window: Duration) -> f64 {
        self.sum(|minute| self.errors(minute), at, window) / self.sum(|_| 100.0, at, window)
    }

    /// As a source of metrics would answer.
    fn value(&self, query: &str, at: Instant) -> f64 {
        let between = |open: &str, close: &str| {
            query.split_once(open).map(|(_, rest)| rest.split(close).next().unwrap().parse().unwrap())
        };
        let window: Duration = between("[", if query.contains(':') { ":" } else { "]" }).unwrap_or_default();
        let earlier = between("offset ", ")").unwrap_or_default();
        match query {
            "job:errors:ratio" | "job:errors:ratio30m" => self.ratio(at, minutes(30)),
            "errors_total" => self.sum(|minute| self.errors(minute), at, hours(9)),
            "requests_total" => self.sum(|_| 100.0, at, hours(9)),
            _ if query.starts_with("max_over_time") => {
                let instants = (0..=window.as_millis() / MINUTE).map(|back| at - minutes(back));
                instants.map(|at| self.ratio(at, minutes(1))).fold(0.0, f64::max)
            }
            _ if query.contains("errors") => self.sum(|minute| self.errors(minute), at - earlier, window),
            _ => self.sum(|_| 100.0, at - earlier, window),
        }
    }

    fn answer(&self, request: &Request) -> Dated {
        let Request::MetricRange(RangeQuery { query, window, step, .. }) = request else {
            panic!("{request:?}")
        };
        let instants = (0..).map(|n| window.start + n * *step).take_while(|at| *at <= window.end);
        let points: Vec<Point> = instants
            .filter(|at| *at > START)
            .map(|at| Point { at, value: self.value(query, at) })
            .filter(|point| point.value.is_finite())
            .collect();
        let value = if points.is_empty() {
            Err(Unavailable { reason: UnavailableReason::NoData, message: String::new() })
        } else {
            Ok(Value::MetricRange(vec![Series { labels: Vec::new(), points }]))
        };
        Dated { id: "f".into(), request: request.clone(), value, source: "test".into(), as_of: window.end }
    }

    /// What the trigger says at this minute, if nothing but the schedule asks.
    fn asked(&self, minute: u64, settings: &Settings, (raised, incident): (bool, bool)) -> Assessment {
        let now = START + minute * MINUTE;
        let memo = raised.then(|| Memo { written_by: "1".into(), bytes: br#"{"raised":true}"#.to_vec() });
        let case = TriggerCase {
            context: Context {
                service: Service {
                    name: "s".into(),
                    environment: "e".into(),
                    criticality: Criticality::Low,
                    model: String::new(),
                    labels: Vec::new(),
                },
                incident: incident.then(|| "s:1".into()),
                now,
                settings: "{}".into(),
                drill: false,
                live_since: self.live_since.map(|minute| START + minute * MINUTE),
                memo,
            },
            signals: Vec::new(),
        };
        let mut known = Vec::new();
        loop {
            match ThresholdTrigger::assess(&case, &Facts::new(now, known.clone()), settings) {
                Ok(assessment) => return assessment,
                Err(Stop::Need(requests)) => {
                    known.extend(requests.iter().map(|request| self.answer(request)))
                }
                Err(Stop::Fail(why)) => panic!("{why}"),
            }
        }
    }

    /// The first minute at which it wants a rollback.
    fn first_rollback(&self, settings: &Settings, minutes: Range<u64>) -> Option<u64> {
        minutes.into_iter().find(|minute| {
            matches!(self.asked(*minute, settings, (false, false)).verdict, TriggerVerdict::RollBack(_))
        })
    }
}

fn settings(metric: &str, per: Option<&str>) -> Settings {
    let metric: serde_json::Value = serde_json::from_str(metric).unwrap();
    let per = per.map(|query| serde_json::from_str::<serde_json::Value>(query).unwrap());
    serde_json::from_value(serde_json::json!({
        "name": "failed share", "metric": metric, "per": per, "when": "over", "limit": { "absolute": 0.05 },
        "for": "2m", "sampling": { "step": "15s", "lookback": "1m" }
    }))
    .unwrap()
}

/// Every way in which a query reaches back half an hour or so.
fn all_kinds() -> Vec<(&'static str, Settings)> {
    let plain = |query: &str| format!(r#"{{"query":"{query}"}}"#);
    let per = |errors: &str, requests: &str| settings(&plain(errors), Some(&plain(requests)));
    let rule =
        |query: &str, window: &str| settings(&format!(r#"{{"query":"{query}","window":"{window}"}}"#), None);
    vec![
        ("ranges", per("sum(increase(errors[30m]))", "sum(increase(requests[30m]))")),
        ("offset", per("sum(increase(errors[25m] offset 5m))", "sum(increase(requests[25m] offset 5m))")),
        ("a subquery", settings(&plain("max_over_time(ratio[30m:1m])"), None)),
        ("a rule with its window in its name", settings(&plain("job:errors:ratio30m"), None)),
        ("a rule with a window that is written down", rule("job:errors:ratio", "30m")),
        ("a rule whose window nobody knows", settings(&plain("job:errors:ratio"), None)),
    ]
}

#[test]
fn the_harm_of_before_is_not_held_against_what_was_put_back() {
    // The harm began in minute 1, the shift was in minute 9; half an hour later it is out of every range.
    let world = World { failing: 1..9, live_since: Some(9) };
    for (kind, settings) in all_kinds() {
        let unaware = World { live_since: None, ..World { failing: 1..9, live_since: None } };
        assert!(unaware.first_rollback(&settings, 9..20).is_some(), "{kind}: it is over the limit");
        assert_eq!(world.first_rollback(&settings, 9..90), None, "{kind}");
        let said = world.asked(20, &settings, (false, false));
        assert!(matches!(said.verdict, TriggerVerdict::Watch(_)), "{kind}: {said:?}");
        let notes = said.notes.iter().map(|note| note.text.as_str()).collect::<Vec<_>>().join("; ");
        assert!(notes.contains("what is live serves since"), "{kind}: {notes}");
        // Where it was raised about what was live before, the unapproved plan is withdrawn.
        let said = world.asked(20, &settings, (true, true));
        assert!(matches!(said.verdict, TriggerVerdict::StandDown(_)), "{kind}: {said:?}");
    }
}

#[test]
fn what_someone_puts_live_and_does_harm_is_found_as_soon_as_before() {
    // All was well until minute 60, when it became live.
    let world = World { failing: 60..200, live_since: Some(60) };
    let unaware = World { live_since: None, failing: 60..200 };
    for (kind, settings) in all_kinds() {
        let (found, before) =
            (world.first_rollback(&settings, 60..120), unaware.first_rollback(&settings, 60..120));
        let (found, before) = (found.unwrap(), before.unwrap());
        assert!(found <= before + 2, "{kind}: minute {found}, and {before} without");
    }
}

#[test]
fn what_was_put_back_and_does_harm_by_itself_is_found() {
    // The version that was put back in minute 9 fails as well.
    let world = World { failing: 1..200, live_since: Some(9) };
    for (kind, settings) in all_kinds() {
        let found = world.first_rollback(&settings, 9..120).unwrap();
        let at_most = if kind == "a rule whose window nobody knows" { 9 + 60 + 4 } else { 9 + 30 + 4 };
        assert!(found <= at_most, "{kind}: minute {found}");
        if kind == "ranges" {
            assert!(found <= 14, "ranges can be shortened: minute {found}");
        }
    }
}

#[test]
fn a_counter_is_read_from_when_what_is_live_became_so() {
    let counter = |name: &str| format!(r#"{{"query":"{name}","read-as":"counter"}}"#);
    let settings = settings(&counter("errors_total"), Some(&counter("requests_total")));
    let restored = World { failing: 1..9, live_since: Some(9) };
    assert_eq!(restored.first_rollback(&settings, 9..60), None);
    let bad = World { failing: 60..200, live_since: Some(60) };
    assert!(bad.first_rollback(&settings, 60..90).unwrap() <= 64);
}
