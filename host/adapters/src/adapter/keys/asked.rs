//! What a reader asks for.

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{self, IntoDeserializer};

use super::Takes;

/// What a reader has asked for. It takes the way of an error, so that reading ends there.
#[derive(Debug)]
pub(super) enum Asked {
    /// A table with these keys.
    Table(&'static [&'static str]),
    /// Some other value.
    Value(Takes),
    /// A key that is not there.
    Misses(&'static str),
    /// Nothing more: what it was given is enough.
    Enough,
    /// It refuses what it was given.
    Refused,
}

impl Asked {
    pub(super) fn takes(&self) -> Takes {
        match self {
            Self::Value(takes) => takes.clone(),
            Self::Table(_) => Takes::Table,
            Self::Misses(_) | Self::Enough | Self::Refused => Takes::Anything,
        }
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for Asked {}

impl de::Error for Asked {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self::Refused
    }

    fn missing_field(field: &'static str) -> Self {
        Self::Misses(field)
    }
}

/// The name of a key.
pub(super) fn named(key: &'static str) -> StrDeserializer<'static, Asked> {
    key.into_deserializer()
}
