//! Reading tables of a configuration file so that all mistakes are found at once, not only the first.

use std::borrow::Cow;
use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::place::Mistakes;
use super::say;

/// A value with its place.
pub(crate) type Item<'t> = Spanned<DeValue<'t>>;

/// A table, its place and its name.
#[derive(Debug, Clone)]
pub(crate) struct Node<'t> {
    table: DeTable<'t>,
    /// The whole table, or its header.
    pub(crate) span: Range<usize>,
    /// As people write it: `[services.fraud-api]`.
    pub(crate) name: String,
    /// Keys that are known besides those that the rest is read into.
    known: Vec<String>,
}

impl<'t> Node<'t> {
    /// The root of a file. Syntax mistakes are noted; what could be read is returned.
    pub(crate) fn root(text: &'t str, mistakes: &mut Mistakes) -> Self {
        let (root, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            let (message, help) = say::syntax(error.message());
            mistakes.add(error.span().unwrap_or(0..0), message, help);
        }
        Self { span: 0..0, table: root.into_inner(), name: "the file".to_owned(), known: Vec::new() }
    }

    fn new(span: Range<usize>, table: DeTable<'t>, name: String) -> Self {
        Self { table, span, name, known: Vec::new() }
    }

    /// Takes a key out, so that the rest can be read without it.
    pub(crate) fn take(&mut self, key: &str) -> Option<(Range<usize>, Item<'t>)> {
        self.known.push(key.to_owned());
        self.table.remove_entry(key).map(|(key, value)| (key.span(), value))
    }

    /// Whether the key is there.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Says that a key is known, although it is read elsewhere.
    pub(crate) fn know(&mut self, keys: &[&str]) {
        self.known.extend(keys.iter().map(|key| (*key).to_owned()));
    }

    /// Gives a key a value unless it has one. The value's place is the table's.
    pub(crate) fn set_default(&mut self, key: &str, value: &str) {
        if !self.table.contains_key(key) {
            let text = DeValue::String(Cow::Owned(value.to_owned()));
            self.table.insert(
                Spanned::new(self.span.clone(), Cow::Owned(key.to_owned())),
                Spanned::new(self.span.clone(), text),
            );
        }
    }

    /// Takes a table out.
    pub(crate) fn take_table(&mut self, key: &str, mistakes: &mut Mistakes) -> Option<Self> {
        let (at, item) = self.take(key)?;
        self.as_table(at, item, key, mistakes)
    }

    fn as_table(&self, at: Range<usize>, item: Item<'t>, key: &str, mistakes: &mut Mistakes) -> Option<Self> {
        let name = self.child_name(key);
        match item.into_inner() {
            DeValue::Table(table) => Some(Self::new(at, table, name)),
            other => {
                let message = format!("`{key}` is {}, and a table is wanted", article(other.type_str()));
                mistakes.add(at, message, format!("write `{name}` and its keys below it"));
                None
            }
        }
    }

    fn child_name(&self, key: &str) -> String {
        match self.name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
            Some(parent) => format!("[{parent}.{key}]"),
            None => format!("[{key}]"),
        }
    }

    /// Takes a list of tables out.
    pub(crate) fn take_tables(&mut self, key: &str, mistakes: &mut Mistakes) -> Vec<Self> {
        let Some((at, item)) = self.take(key) else { return Vec::new() };
        let DeValue::Array(array) = item.into_inner() else {
            let name = self.child_name(key);
            mistakes.add(
                at,
                format!("`{key}` must be a list of tables"),
                format!("write `[{name}]` before each of them"),
            );
            return Vec::new();
        };
        array
            .into_iter()
            .filter_map(|item| {
                let span = item.span();
                self.as_table(span, item, key, mistakes)
            })
            .collect()
    }

    /// Takes a table of named tables out: `[services.NAME]`.
    pub(crate) fn take_named(&mut self, key: &str, mistakes: &mut Mistakes) -> Vec<(Spanned<String>, Self)> {
        let Some(node) = self.take_table(key, mistakes) else { return Vec::new() };
        let mut named = Vec::new();
        for (name, item) in node.table.clone() {
            let (span, name) = (name.span(), name.into_inner().into_owned());
            if let Some(child) = node.as_table(span.clone(), item, &name, mistakes) {
                named.push((Spanned::new(span, name), child));
            }
        }
        named
    }

    /// Takes one value out and reads it.
    pub(crate) fn take_value<T: DeserializeOwned>(
        &mut self,
        key: &str,
        mistakes: &mut Mistakes,
    ) -> Option<Spanned<T>> {
        let (_, item) = self.take(key)?;
        let span = item.span();
        match T::deserialize(ValueDeserializer::from(item)) {
            Ok(value) => Some(Spanned::new(span, value)),
            Err(error) => {
                let said = say::mistake(error.message(), &format!("{} `{key}`", self.name), &[]);
                mistakes.add(error.span().unwrap_or(span), said.0, said.1);
                None
            }
        }
    }

    /// Reads what is left. A wrong key is noted and left out, then the rest is tried again, so that each is noted.
    pub(crate) fn read<T: DeserializeOwned>(self, mistakes: &mut Mistakes) -> Option<T> {
        self.read_by(mistakes, |table| T::deserialize(table))
    }

    /// The same by a reader that others bring.
    pub(crate) fn read_by<T>(
        mut self,
        mistakes: &mut Mistakes,
        reader: impl Fn(ValueDeserializer<'_>) -> Result<T, toml::de::Error>,
    ) -> Option<T> {
        let mut wrong: Vec<String> = Vec::new();
        loop {
            let whole = Spanned::new(self.span.clone(), DeValue::Table(self.table.clone()));
            let error = match reader(ValueDeserializer::from(whole)) {
                Ok(value) => return wrong.is_empty().then_some(value),
                Err(error) => error,
            };
            let span = error.span().unwrap_or_else(|| self.span.clone());
            let culprit = self.table.iter().find(|(key, value)| {
                let holds = |outer: Range<usize>| outer.start <= span.start && span.end <= outer.end;
                holds(key.span()) || (value.span() != self.span && holds(value.span()))
            });
            let culprit = culprit.map(|(key, _)| key.get_ref().clone().into_owned());
            if let Some(missing) = say::missing(error.message())
                && culprit.is_none()
            {
                if !wrong.contains(&missing) {
                    let (message, help) = say::mistake(error.message(), &self.name, &self.known);
                    mistakes.add(span, message, help);
                }
                return None;
            }
            // A key of a table within is none of this one, and what is taken out of this one is not known there.
            let within = say::unknown(error.message()).is_some_and(|key| !self.has(&key));
            let known: &[String] = if within { &[] } else { &self.known };
            let (message, help) = say::mistake(error.message(), &self.name, known);
            mistakes.add(span, message, help);
            let key = culprit?;
            self.table.remove(key.as_str());
            wrong.push(key);
        }
    }

    /// Says of every key that is left that it is not known.
    pub(crate) fn finish(self, mistakes: &mut Mistakes) {
        for (key, _) in &self.table {
            let (message, help) = say::unknown_key(key.get_ref(), &self.name, &self.known);
            mistakes.add(key.span(), message, help);
        }
    }

    /// The table as JSON, with the place of every value by its JSON pointer.
    pub(crate) fn into_json(self) -> (serde_json::Value, Vec<(String, Range<usize>)>) {
        let mut places = vec![(String::new(), self.span.clone())];
        let value = table_json(&self.table, "", &mut places);
        (value, places)
    }
}

/// `a string`, `an array`.
fn article(noun: &str) -> String {
    let vowel = noun.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {noun}", if vowel { "an" } else { "a" })
}

fn table_json(
    table: &DeTable<'_>,
    pointer: &str,
    places: &mut Vec<(String, Range<usize>)>,
) -> serde_json::Value {
    let mut object = serde_json::Map::new();
    for (key, value) in table {
        let escaped = key.get_ref().replace('~', "~0").replace('/', "~1");
        let pointer = format!("{pointer}/{escaped}");
        let place = match value.get_ref() {
            DeValue::Table(_) | DeValue::Array(_) => key.span(),
            _ => value.span(),
        };
        places.push((pointer.clone(), place));
        let value = json(value, &pointer, places);
        object.insert(key.get_ref().clone().into_owned(), value);
    }
    object.into()
}

/// The value as JSON, whose own place the caller has noted. Dates become text; numbers that JSON does not have become text too.
fn json(item: &Item<'_>, pointer: &str, places: &mut Vec<(String, Range<usize>)>) -> serde_json::Value {
    use serde_json::Value;
    match item.get_ref() {
        DeValue::String(text) => Value::from(text.as_ref()),
        DeValue::Boolean(value) => Value::from(*value),
        DeValue::Datetime(value) => Value::from(value.to_string()),
        DeValue::Integer(value) => i64::from_str_radix(value.as_str(), value.radix())
            .map(Value::from)
            .or_else(|_| u64::from_str_radix(value.as_str(), value.radix()).map(Value::from))
            .unwrap_or_else(|_| Value::from(value.as_str())),
        DeValue::Float(value) => value
            .as_str()
            .parse()
            .ok()
            .and_then(serde_json::Number::from_f64)
            .map_or_else(|| Value::from(value.as_str()), Value::from),
        DeValue::Array(array) => {
            let items = array.iter().enumerate();
            let mut item = |(index, item): (usize, &Item<'_>)| {
                let pointer = format!("{pointer}/{index}");
                places.push((pointer.clone(), item.span()));
                json(item, &pointer, places)
            };
            items.map(&mut item).collect()
        }
        DeValue::Table(table) => table_json(table, pointer, places),
    }
}
