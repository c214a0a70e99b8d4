//! RFC 3339 text and Unix milliseconds.

use jiff::Timestamp;
use ripcord_core::time::UnixMillis;

/// Reads an RFC 3339 instant; the error is a sentence. Instants before 1970 are refused.
pub(crate) fn parse(text: &str) -> Result<UnixMillis, String> {
    let instant: Timestamp = text
        .parse()
        .map_err(|_| format!("`{text}` is not an instant: write it as in `2026-11-22T18:53:29Z`"))?;
    u64::try_from(instant.as_millisecond()).map(UnixMillis).map_err(|_| format!("`{text}` is before 1970"))
}

/// Writes an instant in UTC with milliseconds.
pub(crate) fn format(at: UnixMillis) -> String {
    match i64::try_from(at.0).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok()) {
        Some(instant) => format!("{instant:.3}"),
        None => format!("{} ms after 1970", at.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_round_trip_to_the_millisecond() {
        let at = parse("2026-11-22T18:52:20.443Z").unwrap();
        assert_eq!(format(at), "2026-11-22T18:52:20.443Z");
        assert_eq!(parse("2026-11-22T19:52:20.443+01:00").unwrap(), at);
        assert_eq!(format(UnixMillis(0)), "1970-01-01T00:00:00.000Z");
        assert!(!format(UnixMillis(u64::MAX)).is_empty());
    }

    #[test]
    fn other_text_is_refused_with_itself() {
        for text in ["", "yesterday", "2026-11-22", "0001-01-01T00:00:00Z"] {
            assert!(parse(text).unwrap_err().contains(text), "{text}");
        }
    }
}
