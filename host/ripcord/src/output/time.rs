//! Instants for people.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use ripcord_core::time::UnixMillis;

/// `2026-11-22 21:40:07Z`, always UTC: people in several places read the same page.
pub fn instant(at: UnixMillis) -> String {
    written(at, "%Y-%m-%d %H:%M:%SZ").unwrap_or_else(|| "beyond the calendar".to_owned())
}

/// To the millisecond: no two instants read the same.
pub fn exact(at: UnixMillis) -> String {
    let beyond = || format!("beyond the calendar, {} ms after 1970", at.0);
    written(at, "%Y-%m-%d %H:%M:%S%.3fZ").unwrap_or_else(beyond)
}

fn written(at: UnixMillis, form: &str) -> Option<String> {
    let timestamp = Timestamp::from_millisecond(i64::try_from(at.0).ok()?).ok()?;
    Some(timestamp.to_zoned(TimeZone::UTC).strftime(form).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_utc() {
        assert_eq!(instant(UnixMillis(1_700_000_000_123)), "2023-11-14 22:13:20Z");
        assert_eq!(instant(UnixMillis(u64::MAX)), "beyond the calendar");
        assert_eq!(exact(UnixMillis(1_700_000_000_007)), "2023-11-14 22:13:20.007Z");
        assert_ne!(exact(UnixMillis(u64::MAX)), exact(UnixMillis(u64::MAX - 1)));
    }
}
