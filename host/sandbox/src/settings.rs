//! A policy's settings against the JSON Schema of its manifest.

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

use crate::schema_cost::{self, TooCostly};
use crate::text::cut;

/// More would not be read.
const MISTAKES_MAX: usize = 20;
/// A schema's own words, an `enum` for one, come back in what is said about a mistake.
const MESSAGE_BYTES_MAX: usize = 600;
/// Of one compiled regular expression, and of what matching with it keeps.
const PATTERN_COMPILED_BYTES_MAX: usize = 256 << 10;

/// Settings that the policy's schema refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsError {
    /// In the order of the document, at most twenty.
    pub mistakes: Vec<SettingsMistake>,
}

/// One mistake in the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsMistake {
    /// JSON pointer; empty for the whole.
    pub path: String,
    /// What the schema asks for.
    pub message: String,
}

impl std::fmt::Display for SettingsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the settings do not fit the policy's schema: ")?;
        for (index, mistake) in self.mistakes.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            let path = if mistake.path.is_empty() { "/" } else { &mistake.path };
            write!(f, "{separator}at `{path}`: {}", mistake.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for SettingsError {}

/// A schema, ready to check settings.
pub(crate) struct Schema {
    text: Value,
    validator: Validator,
}

impl std::fmt::Debug for Schema {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Schema(..)")
    }
}

impl Schema {
    /// Reads a schema. It is a guest's: what it costs is counted first, it fetches nothing, and its patterns run in linear time. The error is
    /// the rest of a sentence about it.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let no_schema = |why: String| bounded(format!("is not a JSON Schema (2020-12): {why}"));
        let schema: Value = serde_json::from_str(text).map_err(|error| no_schema(error.to_string()))?;
        schema_cost::check_schema(&schema).map_err(|error| format!("cannot be used: {error}"))?;
        let patterns = PatternOptions::regex()
            .size_limit(PATTERN_COMPILED_BYTES_MAX)
            .dfa_size_limit(PATTERN_COMPILED_BYTES_MAX);
        let validator = jsonschema::draft202012::options()
            .offline()
            .with_pattern_options(patterns)
            .build(&schema)
            .map_err(|error| match error.instance_path().as_str() {
                "" => no_schema(error.to_string()),
                path => no_schema(format!("at `{path}`: {error}")),
            })?;
        Ok(Self { text: schema, validator })
    }

    pub(crate) fn check(&self, settings: &Value) -> Result<(), SettingsError> {
        schema_cost::check_settings(&self.text, settings)?;
        let mistakes: Vec<_> = self
            .validator
            .iter_errors(settings)
            .take(MISTAKES_MAX)
            .map(|error| SettingsMistake {
                path: error.instance_path().as_str().to_owned(),
                message: bounded(error.to_string()),
            })
            .collect();
        if mistakes.is_empty() { Ok(()) } else { Err(SettingsError { mistakes }) }
    }
}

impl From<TooCostly> for SettingsError {
    fn from(error: TooCostly) -> Self {
        let message = format!("the policy's schema cannot be used: {error}");
        Self { mistakes: vec![SettingsMistake { path: String::new(), message }] }
    }
}

fn bounded(mut text: String) -> String {
    cut(&mut text, MESSAGE_BYTES_MAX);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_mistake_is_named_at_its_place() {
        let schema = json!({
            "type": "object", "additionalProperties": false, "required": ["threshold"],
            "properties": {
                "threshold": {"type": "number", "minimum": 0},
                "windows": {"type": "array", "items": {"type": "object", "properties": {"minutes": {"type": "integer"}}}},
            },
        });
        let schema = Schema::read(&schema.to_string()).expect("a schema");
        assert_eq!(schema.check(&json!({"threshold": 1})), Ok(()));
        let check = |settings: Value, expected: &str| {
            assert_eq!(schema.check(&settings).expect_err("mistakes").to_string(), expected);
        };
        check(
            json!({"threshold": -1, "windows": [{"minutes": "five"}]}),
            "the settings do not fit the policy's schema: at `/threshold`: -1 is less than the minimum of 0; \
             at `/windows/0/minutes`: \"five\" is not of type \"integer\"",
        );
        check(
            json!({"treshold": 1}),
            "the settings do not fit the policy's schema: at `/`: Additional properties are not allowed ('treshold' was unexpected); \
             at `/`: \"threshold\" is a required property",
        );
    }

    #[test]
    fn a_schema_reaches_for_nothing_and_is_one() {
        for text in [
            "",
            "{",
            "7",
            r#"{"type": 7}"#,
            r#"{"$ref": "http://127.0.0.1:9/schema.json"}"#,
            r#"{"pattern": "(a"}"#,
        ] {
            assert!(Schema::read(text).is_err(), "{text}");
        }
    }
}
