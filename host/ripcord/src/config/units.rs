//! Values with a unit, as the configuration writes them.

use ripcord_core::time::Millis;
use serde::{Deserialize, Deserializer, de};

/// The longest time that can be configured: a hundred years.
const SECONDS_MAX: f64 = 100.0 * 366.0 * 86_400.0;

fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    struct Number;
    impl de::Visitor<'_> for Number {
        type Value = f64;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a number greater than zero, without quotes")
        }
        fn visit_i64<E: de::Error>(self, value: i64) -> Result<f64, E> {
            i32::try_from(value)
                .map(f64::from)
                .map_err(|_| E::invalid_value(de::Unexpected::Signed(value), &self))
        }
        fn visit_f64<E: de::Error>(self, value: f64) -> Result<f64, E> {
            Ok(value)
        }
    }
    deserializer.deserialize_any(Number)
}

fn time<'de, D: Deserializer<'de>>(deserializer: D, unit_seconds: f64) -> Result<Millis, D::Error> {
    let value = number(deserializer)?;
    let seconds = value * unit_seconds;
    if !(0.001..=SECONDS_MAX).contains(&seconds) {
        return Err(de::Error::invalid_value(
            de::Unexpected::Float(value),
            &"a number greater than zero, and less than a hundred years",
        ));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range was just checked")]
    Ok(Millis((seconds * 1_000.0).round() as u64))
}

macro_rules! units {
    ($($(#[$doc:meta])* $name:ident, $seconds:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) struct $name(pub(crate) Millis);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                time(deserializer, $seconds).map(Self)
            }
        }
    )*};
}

units! {
    /// A number of seconds.
    Seconds, 1.0;
    /// A number of hours.
    Hours, 3_600.0;
    /// A number of days.
    Days, 86_400.0;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(toml: &str) -> Result<Millis, String> {
        #[derive(Deserialize)]
        struct Table {
            x: Seconds,
        }
        toml::from_str::<Table>(&format!("x = {toml}"))
            .map(|table| table.x.0)
            .map_err(|e| e.message().to_owned())
    }

    #[test]
    fn whole_and_broken_numbers_are_times_and_nothing_else_is() {
        assert_eq!(seconds("2"), Ok(Millis(2_000)));
        assert_eq!(seconds("0.25"), Ok(Millis(250)));
        for bad in ["0", "-1", "nan", "inf", "1e300", "99999999999", "\"2\"", "true"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
