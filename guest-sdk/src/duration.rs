use std::borrow::Cow;
use std::fmt;
use std::ops::{Add, Mul, Sub};
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A length of time in whole milliseconds. In settings it is written as `"500ms"`, `"30s"`, `"5m"`, `"1h"` or `"7d"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(u64);

const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// So many milliseconds.
pub const fn millis(n: u64) -> Duration {
    Duration(n)
}

/// So many seconds.
pub const fn seconds(n: u64) -> Duration {
    Duration(n.saturating_mul(1_000))
}

/// So many minutes.
pub const fn minutes(n: u64) -> Duration {
    seconds(n.saturating_mul(60))
}

/// So many hours.
pub const fn hours(n: u64) -> Duration {
    minutes(n.saturating_mul(60))
}

/// So many days of 24 hours.
pub const fn days(n: u64) -> Duration {
    hours(n.saturating_mul(24))
}

impl Duration {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// In milliseconds.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// In seconds.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1_000.0
    }

    /// True for a duration of nothing.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// For a reader: rounded down to the longest unit of which it has at least two, so `61d` and not `5274061337ms`.
    pub fn rough(self) -> Self {
        let fits = |&&(_, unit): &&(&str, u64)| self.0 / unit >= 2;
        let unit = UNITS.iter().rev().find(fits).map_or(1, |&(_, unit)| unit);
        Self(self.0 - self.0 % unit)
    }
}

impl Add for Duration {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Duration {
    type Output = Self;
    /// Never below zero.
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Mul<u64> for Duration {
    type Output = Self;
    fn mul(self, factor: u64) -> Self {
        Self(self.0.saturating_mul(factor))
    }
}

impl Add<Duration> for u64 {
    type Output = u64;
    /// An instant so much later.
    fn add(self, duration: Duration) -> u64 {
        self.saturating_add(duration.0)
    }
}

impl Sub<Duration> for u64 {
    type Output = u64;
    /// An instant so much earlier, never before the epoch.
    fn sub(self, duration: Duration) -> u64 {
        self.saturating_sub(duration.0)
    }
}

impl fmt::Display for Duration {
    /// The shortest exact form: `90s`, not `1.5m`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |&&(_, unit): &&(&str, u64)| self.0 != 0 && self.0.is_multiple_of(unit);
        let (name, unit) = UNITS.iter().rev().find(fits).copied().unwrap_or(("s", 1_000));
        write!(f, "{}{name}", self.0 / unit)
    }
}

impl FromStr for Duration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, name) = text.split_at(digits);
        let unit = UNITS.iter().find(|(unit, _)| *unit == name).map(|(_, millis)| *millis);
        number.parse::<u64>().ok().zip(unit).and_then(|(n, unit)| n.checked_mul(unit)).map(Self).ok_or_else(|| {
            format!("`{text}` is not a duration: write a whole number and a unit, such as `30s`, `5m`, `1h` or `7d`")
        })
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[0-9]+(ms|s|m|h|d)$",
            "description": "A whole number and a unit: `500ms`, `30s`, `5m`, `1h`, `7d`."
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_printed_is_read_again(millis in any::<u64>()) {
            prop_assert_eq!(Duration(millis).to_string().parse(), Ok(Duration(millis)));
        }
    }

    #[test]
    fn the_shortest_exact_unit_is_printed() {
        let printed =
            [millis(1_500), seconds(90), minutes(60), hours(48), Duration::ZERO].map(|d| d.to_string());
        assert_eq!(printed, ["1500ms", "90s", "1h", "2d", "0s"]);
    }

    #[test]
    fn a_rough_duration_is_short() {
        let rough = [millis(999), millis(1_999), seconds(125), minutes(90), hours(47), days(2) + hours(3)]
            .map(Duration::rough);
        assert_eq!(rough, [millis(999), millis(1_999), minutes(2), minutes(90), hours(47), days(2)]);
    }

    #[test]
    fn nonsense_is_refused_with_the_input() {
        for text in ["", "5", "m", "5 m", "-5m", "1.5h", "5min", "99999999999999999999d", "9999999999999999d"]
        {
            let refused = text.parse::<Duration>().expect_err(text);
            assert!(refused.contains(&format!("`{text}`")), "{refused}");
        }
    }
}
