//! A table that answers a reader with what it was asked for.

use std::collections::BTreeSet;

use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, Expected, MapAccess, SeqAccess, Visitor};

use super::Takes;
use super::asked::{Asked, named};
use super::sample::Samples;

/// Has `C` read itself from a table with nothing in it but the way of `path`, at whose end the question is put.
pub(super) fn ask<C: DeserializeOwned>(path: &[&'static str], question: &Question<'_>) -> Asked {
    match C::deserialize(Table { path, question }) {
        Ok(_) => Asked::Enough,
        Err(asked) => asked,
    }
}

/// What the table at the end of a path is asked for.
#[derive(Debug)]
pub(super) enum Question<'a> {
    /// What is read there?
    What,
    /// Is a table with just these keys enough?
    IsEnough(&'a BTreeSet<&'static str>),
}

/// A table that leads to the end of a path, and there puts the question.
#[derive(Debug, Clone, Copy)]
struct Table<'a> {
    path: &'a [&'static str],
    question: &'a Question<'a>,
}

/// Whether a text is a path shows in the words of who reads it.
fn text_or_path(reader: &dyn Expected) -> Asked {
    let path = reader.to_string().contains("path");
    Asked::Value(if path { Takes::Path } else { Takes::Text })
}

macro_rules! answers {
    ($($method:ident => $takes:expr,)*) => {$(
        fn $method<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Asked> {
            Err(Asked::Value($takes))
        }
    )*};
}

impl<'de> Deserializer<'de> for Table<'_> {
    type Error = Asked;

    answers! {
        deserialize_any => Takes::Anything,
        deserialize_ignored_any => Takes::Anything,
        deserialize_unit => Takes::Anything,
        deserialize_identifier => Takes::Text,
        deserialize_char => Takes::Text,
        deserialize_bytes => Takes::Text,
        deserialize_byte_buf => Takes::Text,
        deserialize_bool => Takes::Truth,
        deserialize_i8 => Takes::Whole,
        deserialize_i16 => Takes::Whole,
        deserialize_i32 => Takes::Whole,
        deserialize_i64 => Takes::Whole,
        deserialize_u8 => Takes::Whole,
        deserialize_u16 => Takes::Whole,
        deserialize_u32 => Takes::Whole,
        deserialize_u64 => Takes::Whole,
        deserialize_f32 => Takes::Number,
        deserialize_f64 => Takes::Number,
        deserialize_map => Takes::Table,
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Asked> {
        Err(text_or_path(&visitor))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Asked> {
        Err(text_or_path(&visitor))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Asked> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Asked> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, _: V) -> Result<V::Value, Asked> {
        Err(Asked::Value(Takes::Anything))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Asked> {
        visitor.visit_seq(Element(self))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Asked> {
        visitor.visit_seq(Element(self))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Asked> {
        visitor.visit_seq(Element(self))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Asked> {
        Err(Asked::Value(Takes::OneOf(variants.to_vec())))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Asked> {
        match (self.path.split_first(), self.question) {
            (Some((first, rest)), question) => {
                let inner = Table { path: rest, question };
                visitor.visit_map(Only { key: Some(first), inner })
            }
            (None, Question::What) => Err(Asked::Table(fields)),
            (None, Question::IsEnough(given)) => {
                let keys: Vec<_> = given.iter().copied().collect();
                visitor.visit_map(Samples { keys: &keys })
            }
        }
    }
}

/// A list with one element.
struct Element<'a>(Table<'a>);

impl<'de> SeqAccess<'de> for Element<'_> {
    type Error = Asked;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Asked> {
        let asked = seed.deserialize(self.0).err().unwrap_or(Asked::Enough);
        Err(Asked::Value(Takes::List(Box::new(asked.takes()))))
    }
}

/// A table with one key, on the way to the end of a path.
struct Only<'a> {
    key: Option<&'static str>,
    inner: Table<'a>,
}

impl<'de> MapAccess<'de> for Only<'_> {
    type Error = Asked;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Asked> {
        self.key.take().map(|key| seed.deserialize(named(key))).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Asked> {
        // What the tables around it lack is no answer.
        seed.deserialize(self.inner).and(Err(Asked::Enough))
    }
}
