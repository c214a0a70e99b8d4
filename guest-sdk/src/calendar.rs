//! Instants for people.

use crate::contract::types::Instant;

const DAY_MS: u64 = 86_400_000;

/// The day of an instant (Unix milliseconds) in UTC, such as `2026-11-18`.
pub fn day(at: Instant) -> String {
    let days = at / DAY_MS;
    // Proleptic Gregorian calendar, counted in eras of 400 years from 1 March of the year 0.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

/// An instant (Unix milliseconds) to the minute in UTC, such as `2026-11-18 03:00 UTC`.
pub fn minute(at: Instant) -> String {
    let of_day = at % DAY_MS / 60_000;
    format!("{} {:02}:{:02} UTC", day(at), of_day / 60, of_day % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01 00:00 UTC"),
            (951_782_399, "2000-02-28 23:59 UTC"),
            (951_782_400, "2000-02-29 00:00 UTC"),
            (951_868_800, "2000-03-01 00:00 UTC"),
            (1_700_000_000, "2023-11-14 22:13 UTC"),
            (1_798_761_599, "2026-12-31 23:59 UTC"),
            (1_798_761_600, "2027-01-01 00:00 UTC"),
            (4_107_542_400, "2100-03-01 00:00 UTC"),
        ] {
            assert_eq!(minute(seconds * 1_000), expected);
        }
        assert_eq!(day(1_700_000_000_000), "2023-11-14");
        assert!(!day(Instant::MAX).is_empty(), "no instant is too far");
    }
}
