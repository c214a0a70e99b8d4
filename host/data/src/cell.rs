//! One value of a row, as its file has it.

use crate::times::Nanos;

/// A CSV file has texts only.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(not(feature = "parquet"), expect(dead_code, reason = "Parquet files have them"))]
pub(crate) enum Cell {
    Text(String),
    Integer(i64),
    Number(f64),
    Flag(bool),
    Time(Nanos),
}

impl Cell {
    /// As exclusions and labels name it; none where texts do not name such a value.
    pub(crate) fn name(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.clone()),
            Self::Integer(number) => Some(number.to_string()),
            Self::Number(number) => number.is_finite().then(|| number.to_string()),
            Self::Flag(flag) => Some(flag.to_string()),
            Self::Time(_) => None,
        }
    }

    pub(crate) fn time(&self) -> Option<Nanos> {
        match self {
            Self::Text(text) => Nanos::parse(text),
            Self::Time(time) => Some(*time),
            _ => None,
        }
    }

    /// A finite number.
    pub(crate) fn number(&self) -> Option<f64> {
        let number = match self {
            Self::Text(text) => text.trim().parse().ok()?,
            Self::Integer(number) => *number as f64,
            Self::Number(number) => *number,
            Self::Flag(flag) => f64::from(u8::from(*flag)),
            Self::Time(_) => return None,
        };
        number.is_finite().then_some(number)
    }

    /// Nothing, as CSV files write it.
    pub(crate) fn is_blank(&self) -> bool {
        matches!(self, Self::Text(text) if text.trim().is_empty())
    }
}
