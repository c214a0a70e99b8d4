//! Instants for people.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use ripcord_core::time::UnixMillis;

/// `2026-11-22 21:40:07Z`, always UTC: people in several places read the same page.
pub fn instant(at: UnixMillis) -> String {
    let timestamp = i64::try_from(at.0).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    timestamp.map_or_else(
        || "beyond the calendar".to_owned(),
        |timestamp| timestamp.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_utc() {
        assert_eq!(instant(UnixMillis(1_700_000_000_123)), "2023-11-14 22:13:20Z");
        assert_eq!(instant(UnixMillis(u64::MAX)), "beyond the calendar");
    }
}
