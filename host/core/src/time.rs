//! Instants and durations in milliseconds, measurements in microseconds. In JSON they are strings, because 64-bit integers do not survive every JSON reader.

use std::fmt;
use std::ops::{Add, Sub};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An instant: Unix milliseconds, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UnixMillis(pub u64);

/// A duration in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Millis(pub u64);

/// A duration in microseconds, as it was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Micros(pub u64);

impl Millis {
    /// So many seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1_000))
    }

    /// So many minutes.
    pub const fn minutes(minutes: u64) -> Self {
        Self::seconds(minutes.saturating_mul(60))
    }

    /// So many hours.
    pub const fn hours(hours: u64) -> Self {
        Self::minutes(hours.saturating_mul(60))
    }
}

impl UnixMillis {
    /// The time from `earlier` to this instant, zero if it is not earlier.
    pub const fn since(self, earlier: Self) -> Millis {
        Millis(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Millis> for UnixMillis {
    type Output = Self;
    fn add(self, duration: Millis) -> Self {
        Self(self.0.saturating_add(duration.0))
    }
}

impl Add for Millis {
    type Output = Self;
    fn add(self, more: Self) -> Self {
        Self(self.0.saturating_add(more.0))
    }
}

impl Sub<Millis> for UnixMillis {
    type Output = Self;
    fn sub(self, duration: Millis) -> Self {
        Self(self.0.saturating_sub(duration.0))
    }
}

impl fmt::Display for Millis {
    /// For people: `340 ms`, `12.5 s`, `3 min 20 s`, `5 h 10 min`, `3 d`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let two = |f: &mut fmt::Formatter<'_>, big: u64, unit: &str, small: u64, sub: &str| match small {
            0 => write!(f, "{big} {unit}"),
            small => write!(f, "{big} {unit} {small} {sub}"),
        };
        let seconds = self.0 / 1_000;
        match self.0 {
            0..1_000 => write!(f, "{} ms", self.0),
            1_000..60_000 => write!(f, "{}.{} s", seconds, self.0 % 1_000 / 100),
            60_000..3_600_000 => two(f, seconds / 60, "min", seconds % 60, "s"),
            3_600_000..86_400_000 => two(f, seconds / 3_600, "h", seconds % 3_600 / 60, "min"),
            _ => two(f, seconds / 86_400, "d", seconds % 86_400 / 3_600, "h"),
        }
    }
}

impl fmt::Display for Micros {
    /// For people: `7.4 ms`, `34 ms`, then as [`Millis`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0..10_000 => write!(f, "{}.{} ms", self.0 / 1_000, self.0 % 1_000 / 100),
            more => Millis(more / 1_000).fmt(f),
        }
    }
}

/// Serde for 64-bit integers: a string in text formats, an integer in binary ones; both are read.
pub mod text_u64 {
    use super::*;

    /// Writes `value`.
    pub fn serialize<S: Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(value)
        } else {
            serializer.serialize_u64(*value)
        }
    }

    /// Reads an integer or its decimal text.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        if !deserializer.is_human_readable() {
            return u64::deserialize(deserializer);
        }
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Number(u64),
            Text(String),
        }
        match Either::deserialize(deserializer)? {
            Either::Number(number) => Ok(number),
            Either::Text(text) => text.parse().map_err(serde::de::Error::custom),
        }
    }
}

macro_rules! text_serde {
    ($($name:ident),*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                text_u64::serialize(&self.0, serializer)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                text_u64::deserialize(deserializer).map(Self)
            }
        }
    )*};
}
text_serde!(UnixMillis, Millis, Micros);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_carries_text_and_reads_both() {
        assert_eq!(serde_json::to_string(&UnixMillis(u64::MAX)).expect("json"), "\"18446744073709551615\"");
        assert_eq!(serde_json::from_str::<UnixMillis>("7").expect("number"), UnixMillis(7));
        assert_eq!(serde_json::from_str::<UnixMillis>("\"7\"").expect("text"), UnixMillis(7));
    }

    #[test]
    fn durations_read_well() {
        let text = |ms| Millis(ms).to_string();
        assert_eq!(
            [text(340), text(12_500), text(200_000), text(18_600_000), text(259_200_000)],
            ["340 ms", "12.5 s", "3 min 20 s", "5 h 10 min", "3 d"]
        );
    }

    #[test]
    fn arithmetic_does_not_wrap() {
        assert_eq!(UnixMillis(u64::MAX) + Millis(1), UnixMillis(u64::MAX));
        assert_eq!(UnixMillis(1) - Millis(2), UnixMillis(0));
        assert_eq!(UnixMillis(1).since(UnixMillis(5)), Millis(0));
    }
}
