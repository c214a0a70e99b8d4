//! Whether what a verification calls unhealthy may be the harm of before: a policy need not know that the values it asked for reach back beyond the
//! shift. How far they reach is estimated from the text of their queries, rather too far than not far enough: it only puts a word off.

use ripcord_core::fact::{Fact, MetricQuery, RangeQuery, Request};
use ripcord_core::time::{Millis, UnixMillis};

/// A recorded rule that does not show its window.
const UNSEEN: Millis = Millis::hours(1);

/// When the values that were asked for tell only of the time since `since`, all of them. None if all do already, or the policy asked for no metric at all,
/// or for a trial besides: then its word may rest on that.
pub(crate) fn own_from(facts: &[Fact], since: UnixMillis, now: UnixMillis) -> Option<UnixMillis> {
    let mut from = None;
    for fact in facts {
        let (query, end) = match &fact.request {
            Request::Metric(MetricQuery { query, at, .. }) => (query, at.unwrap_or(now)),
            Request::MetricRange(RangeQuery { query, window, .. }) => (query, window.end),
            request if request.is_trial() => return None,
            _ => continue,
        };
        // What ends before is compared with on purpose.
        if end <= since {
            continue;
        }
        let own = since + reach(query);
        if own > end {
            from = from.max(Some(own));
        }
    }
    from
}

/// The lengths of all ranges and offsets of the query together.
fn reach(query: &str) -> Millis {
    let mut reach = Millis(0);
    let mut rest = query;
    while let Some(start) = rest.find(['[', '"', '\'', '`']) {
        let (open, after) = (rest.as_bytes()[start], &rest[start + 1..]);
        let end = after.find(if open == b'[' { ']' } else { char::from(open) }).unwrap_or(after.len());
        if open == b'[' {
            let range = after[..end].split(':').next().unwrap_or_default();
            reach = reach + duration(range);
        }
        rest = after.get(end + 1..).unwrap_or_default();
    }
    let words: Vec<&str> =
        query.split([' ', '(', ')', ',', '\n', '\t']).filter(|word| !word.is_empty()).collect();
    for pair in words.windows(2).filter(|pair| pair[0] == "offset" && !pair[1].starts_with('-')) {
        reach = reach + duration(pair[1]);
    }
    let is_rule = |word: &&&str| {
        let name = word.split(['{', '[', '"']).next().unwrap_or_default();
        name.contains(':') && name.starts_with(|first: char| first.is_ascii_alphabetic())
    };
    words.iter().filter(is_rule).fold(reach, |reach, _| reach + UNSEEN)
}

/// `5m`, `1h30m` or a number of seconds; an hour if it cannot be read.
fn duration(text: &str) -> Millis {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Millis(seconds.saturating_mul(1_000));
    }
    let mut whole = 0_u64;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let letters = rest[digits..].bytes().take_while(u8::is_ascii_alphabetic).count();
        let unit = match &rest[digits..digits + letters] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 604_800_000,
            "y" => 31_536_000_000,
            _ => return UNSEEN,
        };
        let Ok(number) = rest[..digits].parse::<u64>() else { return UNSEEN };
        whole = whole.saturating_add(number.saturating_mul(unit));
        rest = &rest[digits + letters..];
    }
    Millis(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ripcord_core::fact::{GoldenQuery, Unavailable, UnavailableReason};
    use ripcord_core::target::Window;

    const SINCE: UnixMillis = UnixMillis(10_000_000);
    const MINUTE: u64 = 60_000;

    fn fact(request: Request) -> Fact {
        let value = Err(Unavailable::new(UnavailableReason::NoData, ""));
        Fact { id: "1".into(), request, value, source: "test".into(), as_of: SINCE }
    }

    fn range(query: &str, end: u64) -> Fact {
        let window = Window { start: UnixMillis(0), end: UnixMillis(end) };
        fact(Request::MetricRange(RangeQuery { source: None, query: query.into(), window, step: Millis(1) }))
    }

    #[test]
    fn a_word_is_put_off_until_no_range_reaches_back_beyond_the_shift() {
        let now = SINCE.0 + 5 * MINUTE;
        for (query, minutes) in [
            ("sum(increase(errors_total[30m]))", Some(30)),
            ("rate(a[4m]) / rate(b[5m])", Some(9)),
            ("max_over_time(rate(a[5m])[30m:1m])", Some(35)),
            ("rate(a[1m] offset 9m)", Some(10)),
            ("job:errors:ratio", Some(60)),
            ("rate(a{path=\"[30m]\"}[300])", None),
            ("errors_total", None),
            ("rate(a[$__range])", Some(60)),
        ] {
            let expected = minutes.map(|minutes| UnixMillis(SINCE.0 + minutes * MINUTE));
            assert_eq!(own_from(&[range(query, now)], SINCE, UnixMillis(now)), expected, "{query}");
        }
    }

    #[test]
    fn what_tells_of_its_own_time_a_trial_and_an_earlier_time_on_purpose_put_nothing_off() {
        let now = SINCE.0 + 5 * MINUTE;
        let own = |facts: &[Fact]| own_from(facts, SINCE, UnixMillis(now));
        assert_eq!(own(&[]), None);
        assert_eq!(own(&[range("rate(a[1m])", now), range("rate(b[1m])", now)]), None);
        // What it says may rest on either.
        let both = [range("rate(a[30m])", now), range("rate(b[1m])", now)];
        assert_eq!(own(&both), Some(UnixMillis(SINCE.0 + 30 * MINUTE)));
        assert_eq!(own(&[range("rate(a[30m])", SINCE.0 - MINUTE)]), None);
        let golden =
            GoldenQuery { dataset: "d".into(), candidate: None, detail: ripcord_core::fact::Detail::Summary };
        assert_eq!(own(&[range("rate(a[30m])", now), fact(Request::Golden(golden))]), None);
        let instant = MetricQuery { source: None, query: "rate(a[6m])".into(), at: None };
        assert_eq!(own(&[fact(Request::Metric(instant))]), Some(UnixMillis(SINCE.0 + 6 * MINUTE)));
    }
}
