//! Which keys a table takes, told by the struct that reads it.
//!
//! Nobody writes a list of keys beside the struct: the struct is asked to read itself from a table that answers every question with what was asked.
//! That says the names of its fields, what each of them takes, and, by leaving keys out, which must be there.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;
use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, Expected, IntoDeserializer, MapAccess, SeqAccess,
    Visitor,
};

/// A struct of settings does not hold tables in tables beyond this.
const DEPTH_MAX: usize = 8;

/// A key of a table of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Key {
    /// As it is written.
    pub name: String,
    /// What it takes.
    pub takes: Takes,
    /// Whether it must be there.
    pub needed: bool,
    /// Whose value it has where it is left out, if that is something else of the same service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub given_by: Option<&'static str>,
    /// Whether it says where a secret is.
    pub secret: bool,
    /// The keys of the table that it takes, where these are fixed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<Key>,
}

impl Key {
    /// A key that need not be there.
    pub(super) fn optional(name: &str, takes: Takes) -> Self {
        let name = name.to_owned();
        Self { name, takes, needed: false, given_by: None, secret: false, keys: Vec::new() }
    }

    /// The two keys that say where the secret `name` is.
    pub(super) fn secret(name: &str) -> [Self; 2] {
        let key = |end: &str, takes| Self { secret: true, ..Self::optional(&format!("{name}-{end}"), takes) };
        [key("file", Takes::Path), key("env", Takes::Text)]
    }
}

/// What a key takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Takes {
    /// A text.
    Text,
    /// A path.
    Path,
    /// A whole number.
    Whole,
    /// A number.
    Number,
    /// `true` or `false`.
    Truth,
    /// One of these words.
    OneOf(Vec<&'static str>),
    /// A list.
    List(Box<Takes>),
    /// A table.
    Table,
    /// Whatever the system takes.
    Anything,
}

impl fmt::Display for Takes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Path => "path",
            Self::Whole => "whole number",
            Self::Number => "number",
            Self::Truth => "true or false",
            Self::OneOf(words) => return f.write_str(&words.join(", ")),
            Self::List(of) => return write!(f, "list of {of}"),
            Self::Table => "table",
            Self::Anything => "value",
        })
    }
}

/// The keys of the table that `C` is read from.
pub fn keys_of<C: DeserializeOwned>() -> Vec<Key> {
    keys_below::<C>(&mut Vec::new())
}

fn keys_below<C: DeserializeOwned>(path: &mut Vec<&'static str>) -> Vec<Key> {
    let Asked::Table(fields) = ask::<C>(path, &Question::What) else { return Vec::new() };
    if path.len() == DEPTH_MAX {
        return Vec::new();
    }
    let needed = needed_below::<C>(path);
    let key = |field: &&'static str| {
        path.push(field);
        let asked = ask::<C>(path, &Question::What);
        let keys = if matches!(asked, Asked::Table(_)) { keys_below::<C>(path) } else { Vec::new() };
        path.pop();
        Key { needed: needed.contains(field), keys, ..Key::optional(field, asked.takes()) }
    };
    fields.iter().map(key).collect()
}

/// Keys are given one by one, as the reader misses them.
fn needed_below<C: DeserializeOwned>(path: &[&'static str]) -> BTreeSet<&'static str> {
    let mut given = BTreeSet::new();
    while let Asked::Misses(key) = ask::<C>(path, &Question::IsEnough(&given)) {
        if !given.insert(key) {
            break;
        }
    }
    given
}

fn ask<C: DeserializeOwned>(path: &[&'static str], question: &Question<'_>) -> Asked {
    match C::deserialize(Table { path, question }) {
        Ok(_) => Asked::Enough,
        Err(asked) => asked,
    }
}

/// What the table at the end of a path is asked for.
#[derive(Debug)]
enum Question<'a> {
    /// What is read there?
    What,
    /// Is a table with just these keys enough?
    IsEnough(&'a BTreeSet<&'static str>),
}

/// What a reader has asked for. It takes the way of an error, so that reading ends there.
#[derive(Debug)]
enum Asked {
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
    fn takes(&self) -> Takes {
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

fn named(key: &'static str) -> StrDeserializer<'static, Asked> {
    key.into_deserializer()
}

/// A table with these keys and a plain value for each.
struct Samples<'a> {
    keys: &'a [&'static str],
}

impl<'de> MapAccess<'de> for Samples<'_> {
    type Error = Asked;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Asked> {
        let Some((key, rest)) = self.keys.split_first() else { return Ok(None) };
        self.keys = rest;
        seed.deserialize(named(key)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Asked> {
        seed.deserialize(Sample)
    }
}

/// A plain value of whatever type is wanted.
struct Sample;

macro_rules! samples {
    ($($method:ident: $visit:ident($value:expr),)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Asked> {
            visitor.$visit($value)
        }
    )*};
}

impl<'de> Deserializer<'de> for Sample {
    type Error = Asked;

    samples! {
        deserialize_any: visit_str("sample"),
        deserialize_str: visit_str("sample"),
        deserialize_string: visit_str("sample"),
        deserialize_identifier: visit_str("sample"),
        deserialize_char: visit_char('s'),
        deserialize_bool: visit_bool(false),
        deserialize_i8: visit_i8(1),
        deserialize_i16: visit_i16(1),
        deserialize_i32: visit_i32(1),
        deserialize_i64: visit_i64(1),
        deserialize_u8: visit_u8(1),
        deserialize_u16: visit_u16(1),
        deserialize_u32: visit_u32(1),
        deserialize_u64: visit_u64(1),
        deserialize_f32: visit_f32(1.0),
        deserialize_f64: visit_f64(1.0),
        deserialize_bytes: visit_bytes(b"sample"),
        deserialize_byte_buf: visit_bytes(b"sample"),
        deserialize_map: visit_map(Samples { keys: &[] }),
        deserialize_seq: visit_seq(Nothing),
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Asked> {
        visitor.visit_none()
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Asked> {
        visitor.visit_unit()
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Asked> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Asked> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Asked> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Asked> {
        visitor.visit_seq(Nothing)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Asked> {
        visitor.visit_seq(Nothing)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Asked> {
        visitor.visit_map(Samples { keys: fields })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Asked> {
        let first = variants.first().ok_or(Asked::Refused)?;
        visitor.visit_enum(named(first))
    }
}

/// A list without elements.
struct Nothing;

impl<'de> SeqAccess<'de> for Nothing {
    type Error = Asked;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, _: T) -> Result<Option<T::Value>, Asked> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    #[expect(dead_code, reason = "it is asked what it reads, and reads nothing")]
    struct Whole {
        address: String,
        model_folder: PathBuf,
        #[serde(default)]
        user: Option<String>,
        #[serde(default = "ten")]
        deadline_ms: u64,
        word: Word,
        #[serde(default)]
        programs: Vec<String>,
        write: BTreeMap<String, String>,
        #[serde(default)]
        reload: Option<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    #[expect(dead_code, reason = "it is asked what it reads, and reads nothing")]
    struct Inner {
        urls: Vec<PathBuf>,
        #[serde(default)]
        share: f64,
        deeper: Deeper,
    }

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "it is asked what it reads, and reads nothing")]
    struct Deeper {
        on: bool,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Word {
        First,
        SecondOne,
    }

    fn ten() -> u64 {
        10
    }

    fn lines(keys: &[Key], before: &str) -> Vec<String> {
        let line = |key: &Key| {
            let mark = if key.needed { "!" } else { "" };
            let own = format!("{before}{}{mark}: {}", key.name, key.takes);
            let below = lines(&key.keys, &format!("{before}{}.", key.name));
            std::iter::once(own).chain(below).collect::<Vec<_>>()
        };
        keys.iter().flat_map(line).collect()
    }

    #[test]
    fn a_struct_tells_its_keys_what_they_take_and_which_must_be_there() {
        assert_eq!(
            lines(&keys_of::<Whole>(), ""),
            [
                "address!: text",
                "model-folder!: path",
                "user: text",
                "deadline-ms: whole number",
                "word!: first, second-one",
                "programs: list of text",
                "write!: table",
                "reload: table",
                "reload.urls!: list of path",
                "reload.share: number",
                "reload.deeper!: table",
                "reload.deeper.on!: true or false",
            ]
        );
    }
}
