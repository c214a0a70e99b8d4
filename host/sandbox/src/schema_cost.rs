//! What checking against a settings schema costs, counted before it is done.
//!
//! A schema of a kilobyte can name itself twice at each of thirty levels, and a validator walks every path. So the paths are counted here
//! first, as a validator would walk them, and counting stops at a bound. The count does not depend on the clock: what is refused on one machine
//! is refused on all.

use serde_json::{Map, Value};

/// JSON within JSON.
const NESTING_MAX: usize = 64;
/// Subschemas that a validator meets when every reference is followed. A hundred settings with their descriptions are some hundred.
const SUBSCHEMAS_MAX: u64 = 10_000;
/// Steps of one check: subschemas times the values that they are held against.
const STEPS_MAX: u64 = 200_000;
/// Schemas within each other while a check runs, references included.
const DEPTH_MAX: usize = 128;
/// Regular expressions: each is compiled, used or not.
const PATTERNS_MAX: usize = 100;
const PATTERN_BYTES_MAX: usize = 500;
/// A validator goes through all that lies below `unevaluatedProperties` again to learn what is evaluated.
const UNEVALUATED_FACTOR: u64 = 4;

/// A schema that costs too much, or whose cost cannot be told. The text is the rest of a sentence about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TooCostly {
    #[error("it nests more than {NESTING_MAX} levels deep; make it flatter")]
    Nesting,
    #[error(
        "it comes to more than {SUBSCHEMAS_MAX} subschemas when its references are followed; name each definition once, and fewer alternatives"
    )]
    Subschemas,
    #[error("checking these settings takes more than {STEPS_MAX} steps; give the schema fewer alternatives")]
    Steps,
    #[error(
        "it refers to `{0}` from within, without going deeper into the settings; take that reference out"
    )]
    Endless(String),
    #[error("following its references leads more than {DEPTH_MAX} levels deep; make it flatter")]
    Depth,
    #[error("it refers to `{0}`; it may refer only to what it holds itself, as `#/$defs/NAME`")]
    Reference(String),
    #[error("it uses `{0}`, which settings schemas may not; write the schema without it")]
    Keyword(&'static str),
    #[error(
        "it has more than {PATTERNS_MAX} regular expressions, or one of more than {PATTERN_BYTES_MAX} bytes; use fewer and shorter ones"
    )]
    Patterns,
}

/// Counts what reading the schema and checking any settings against it once takes.
pub(crate) fn check_schema(schema: &Value) -> Result<(), TooCostly> {
    let mut patterns = 0;
    check_document(schema, 0, &mut patterns)?;
    Walk::new(schema, SUBSCHEMAS_MAX, TooCostly::Subschemas).visit(schema, None, 1)
}

/// Counts what checking `settings` takes.
pub(crate) fn check_settings(schema: &Value, settings: &Value) -> Result<(), TooCostly> {
    Walk::new(schema, STEPS_MAX, TooCostly::Steps).visit(schema, Some(settings), 1)
}

/// What holds for a schema's text, wherever in it a subschema lies.
fn check_document(value: &Value, depth: usize, patterns: &mut usize) -> Result<(), TooCostly> {
    if depth > NESTING_MAX {
        return Err(TooCostly::Nesting);
    }
    match value {
        Value::Array(items) => items.iter().try_for_each(|item| check_document(item, depth + 1, patterns)),
        Value::Object(fields) => {
            // These change what a reference means, or which rules hold.
            for keyword in ["$dynamicRef", "$recursiveRef", "$vocabulary"] {
                if fields.contains_key(keyword) {
                    return Err(TooCostly::Keyword(keyword));
                }
            }
            if depth > 0 && fields.get("$id").is_some_and(Value::is_string) {
                return Err(TooCostly::Keyword("$id"));
            }
            let pattern = fields.get("pattern").and_then(Value::as_str);
            let of_names = fields.get("patternProperties").and_then(Value::as_object);
            for text in
                pattern.into_iter().chain(of_names.into_iter().flat_map(Map::keys).map(String::as_str))
            {
                *patterns += 1;
                if *patterns > PATTERNS_MAX || text.len() > PATTERN_BYTES_MAX {
                    return Err(TooCostly::Patterns);
                }
            }
            fields.values().try_for_each(|field| check_document(field, depth + 1, patterns))
        }
        _ => Ok(()),
    }
}

/// Goes the ways of a validator. Without settings every way is gone once, with them those that they lead to.
struct Walk<'s> {
    root: &'s Value,
    steps: u64,
    steps_max: u64,
    beyond: TooCostly,
    /// The schemas that are being visited, outermost first, each with how deep in the settings its value is.
    within: Vec<(&'s Value, usize)>,
    /// How deep in the settings the visited value is.
    depth: usize,
}

impl<'s> Walk<'s> {
    fn new(root: &'s Value, steps_max: u64, beyond: TooCostly) -> Self {
        Self { root, steps: 0, steps_max, beyond, within: Vec::new(), depth: 0 }
    }

    fn step(&mut self, weight: u64) -> Result<(), TooCostly> {
        self.steps = self.steps.saturating_add(weight);
        if self.steps > self.steps_max { Err(self.beyond.clone()) } else { Ok(()) }
    }

    fn visit(&mut self, schema: &'s Value, settings: Option<&Value>, factor: u64) -> Result<(), TooCostly> {
        self.step(factor)?;
        let Value::Object(keywords) = schema else { return Ok(()) };
        self.step(factor.saturating_mul(width(keywords)))?;
        if self.within.len() >= DEPTH_MAX {
            return Err(TooCostly::Depth);
        }
        self.within.push((schema, self.depth));
        let factor =
            if keywords.contains_key("unevaluatedProperties") || keywords.contains_key("unevaluatedItems") {
                factor.saturating_mul(UNEVALUATED_FACTOR)
            } else {
                factor
            };
        self.visit_in_place(keywords, settings, factor)?;
        self.depth += 1;
        match settings {
            None => self.visit_all_below(keywords, factor)?,
            Some(Value::Object(fields)) => self.visit_fields(keywords, fields, factor)?,
            Some(Value::Array(items)) => self.visit_items(keywords, items, factor)?,
            Some(_) => {}
        }
        self.depth -= 1;
        self.within.pop();
        Ok(())
    }

    /// Subschemas that are held against the same value.
    fn visit_in_place(
        &mut self,
        keywords: &'s Map<String, Value>,
        settings: Option<&Value>,
        factor: u64,
    ) -> Result<(), TooCostly> {
        for name in ["allOf", "anyOf", "oneOf"] {
            for schema in keywords.get(name).and_then(Value::as_array).into_iter().flatten() {
                self.visit(schema, settings, factor)?;
            }
        }
        for name in ["not", "if", "then", "else"] {
            if let Some(schema) = keywords.get(name) {
                self.visit(schema, settings, factor)?;
            }
        }
        for name in ["dependentSchemas", "dependencies"] {
            for schema in keywords.get(name).and_then(Value::as_object).into_iter().flat_map(Map::values) {
                self.visit(schema, settings, factor)?;
            }
        }
        match keywords.get("$ref") {
            Some(Value::String(reference)) => self.follow(reference, settings, factor),
            _ => Ok(()),
        }
    }

    fn follow(&mut self, reference: &'s str, settings: Option<&Value>, factor: u64) -> Result<(), TooCostly> {
        let target = reference.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
        let target = target.ok_or_else(|| TooCostly::Reference(shown(reference)))?;
        let outer = self.within.iter().rev().find(|(outer, _)| std::ptr::eq(*outer, target));
        match outer {
            Some((_, depth)) if *depth == self.depth => Err(TooCostly::Endless(shown(reference))),
            // Without settings a recursion is gone into once; with them it ends where they do.
            Some(_) if settings.is_none() => self.step(factor),
            _ => self.visit(target, settings, factor),
        }
    }

    fn visit_all_below(&mut self, keywords: &'s Map<String, Value>, factor: u64) -> Result<(), TooCostly> {
        for name in ["properties", "patternProperties"] {
            for schema in keywords.get(name).and_then(Value::as_object).into_iter().flat_map(Map::values) {
                self.visit(schema, None, factor)?;
            }
        }
        for schema in keywords.get("prefixItems").and_then(Value::as_array).into_iter().flatten() {
            self.visit(schema, None, factor)?;
        }
        for name in OF_EACH_FIELD.into_iter().chain(OF_EACH_ITEM) {
            if let Some(schema) = keywords.get(name) {
                self.visit(schema, None, factor)?;
            }
        }
        Ok(())
    }

    fn visit_fields(
        &mut self,
        keywords: &'s Map<String, Value>,
        fields: &Map<String, Value>,
        factor: u64,
    ) -> Result<(), TooCostly> {
        for (name, schema) in keywords.get("properties").and_then(Value::as_object).into_iter().flatten() {
            if let Some(field) = fields.get(name) {
                self.visit(schema, Some(field), factor)?;
            }
        }
        let by_pattern = keywords.get("patternProperties").and_then(Value::as_object);
        let each = OF_EACH_FIELD.into_iter().filter_map(|name| keywords.get(name));
        for schema in by_pattern.into_iter().flat_map(Map::values).chain(each) {
            for field in fields.values() {
                self.visit(schema, Some(field), factor)?;
            }
        }
        Ok(())
    }

    fn visit_items(
        &mut self,
        keywords: &'s Map<String, Value>,
        items: &[Value],
        factor: u64,
    ) -> Result<(), TooCostly> {
        let by_place = keywords.get("prefixItems").and_then(Value::as_array);
        for (schema, item) in by_place.into_iter().flatten().zip(items) {
            self.visit(schema, Some(item), factor)?;
        }
        for schema in OF_EACH_ITEM.into_iter().filter_map(|name| keywords.get(name)) {
            for item in items {
                self.visit(schema, Some(item), factor)?;
            }
        }
        Ok(())
    }
}

fn shown(reference: &str) -> String {
    let mut text = reference.to_owned();
    crate::text::cut(&mut text, 100);
    text
}

/// Keywords whose subschema is held against each field, or its name.
const OF_EACH_FIELD: [&str; 3] = ["additionalProperties", "unevaluatedProperties", "propertyNames"];
/// Keywords whose subschema is held against each item.
const OF_EACH_ITEM: [&str; 3] = ["items", "contains", "unevaluatedItems"];

/// How much a value is compared with at one place: a check against an `enum` looks at each of its values.
fn width(keywords: &Map<String, Value>) -> u64 {
    let length = |name: &str| match keywords.get(name) {
        Some(Value::Array(values)) => values.len() as u64,
        Some(Value::Object(values)) => values.len() as u64,
        _ => 0,
    };
    // A comparison is much cheaper than a subschema.
    (length("enum") + length("required") + length("const") + length("dependentRequired")) / 16
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Schema;
    use serde_json::json;

    /// A schema in which every level names the next one twice.
    fn doubling(levels: usize, twice: impl Fn(Value) -> Value) -> Value {
        let mut definitions = Map::new();
        for level in 0..levels {
            let below = json!({ "$ref": format!("#/$defs/step{}", level + 1) });
            definitions.insert(format!("step{level}"), twice(below));
        }
        definitions.insert(format!("step{levels}"), json!({ "type": "object" }));
        json!({ "$ref": "#/$defs/step0", "$defs": definitions })
    }

    /// Schemas within schemas, without a reference.
    fn nested(levels: usize, outer: impl Fn(Value) -> Value) -> Value {
        (0..levels).fold(json!({ "type": "object" }), |inner, _| outer(inner))
    }

    fn refused(schema: &Value, expected: &str) {
        let error = Schema::read(&schema.to_string()).expect_err("refused");
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn what_doubles_is_refused_whatever_doubles_it() {
        for keyword in ["oneOf", "anyOf", "allOf", "prefixItems"] {
            refused(
                &doubling(14, |below| json!({ (keyword): [below, below] })),
                "more than 10000 subschemas",
            );
            refused(
                &doubling(40, |below| json!({ (keyword): [below, below] })),
                "more than 10000 subschemas",
            );
        }
        let others: [fn(Value) -> Value; 6] = [
            |below| json!({ "if": below, "then": below, "else": below }),
            |below| json!({ "properties": { "a": below, "b": below } }),
            |below| json!({ "patternProperties": { "a": below, "b": below } }),
            |below| json!({ "dependentSchemas": { "a": below, "b": below } }),
            |below| json!({ "additionalProperties": below, "not": below }),
            |below| json!({ "items": below, "contains": below }),
        ];
        for twice in others {
            refused(&doubling(30, twice), "more than 10000 subschemas");
        }
    }

    #[test]
    fn nested_unevaluated_properties_double_without_a_reference() {
        let schema = nested(25, |inner| json!({ "unevaluatedProperties": false, "allOf": [inner] }));
        refused(&schema, "more than 10000 subschemas");
        let schema = nested(25, |inner| json!({ "unevaluatedItems": false, "anyOf": [inner] }));
        refused(&schema, "more than 10000 subschemas");
        let schema = nested(3, |inner| json!({ "unevaluatedProperties": false, "allOf": [inner] }));
        assert!(Schema::read(&schema.to_string()).is_ok(), "as a flattened record is written");
    }

    #[test]
    fn what_leads_nowhere_or_away_is_refused() {
        refused(&json!({ "$ref": "#" }), "refers to `#` from within");
        let circle = json!({ "$ref": "#/$defs/a", "$defs": { "a": { "anyOf": [{ "$ref": "#/$defs/a" }] } } });
        refused(&circle, "refers to `#/$defs/a` from within");
        for reference in
            ["other.json", "#name", "#/$defs/none", "https://json-schema.org/draft/2020-12/schema"]
        {
            refused(&json!({ "properties": { "a": { "$ref": reference } } }), "only to what it holds itself");
        }
        refused(&json!({ "items": { "$dynamicRef": "#" } }), "uses `$dynamicRef`");
        refused(&json!({ "items": { "$id": "other", "$ref": "#" } }), "uses `$id`");
    }

    #[test]
    fn texts_have_an_end() {
        let chain: Map<String, Value> = (0..200)
            .map(|link| (format!("d{link}"), json!({ "$ref": format!("#/$defs/d{}", link + 1) })))
            .chain([("d200".to_owned(), json!({}))])
            .collect();
        refused(&json!({ "$ref": "#/$defs/d0", "$defs": chain }), "leads more than 128 levels deep");
        refused(&nested(70, |inner| json!({ "items": inner })), "nests more than 64 levels deep");
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(Schema::read(&deep).expect_err("refused").contains("recursion limit"));
        let many: Map<String, Value> =
            (0..101).map(|number| (format!("p{number}"), json!({ "pattern": "a" }))).collect();
        refused(&json!({ "properties": many }), "more than 100 regular expressions");
        refused(&json!({ "pattern": "a".repeat(501) }), "more than 500 bytes");
        refused(&json!({ "pattern": "((\\w{100}){100}){100}" }), "not a JSON Schema");
    }

    #[test]
    fn an_enum_of_thousands_is_no_reason_to_refuse_and_is_not_repeated_whole() {
        let names: Vec<_> = (0..20_000).map(|number| format!("name-{number}")).collect();
        let schema = Schema::read(&json!({ "enum": names }).to_string()).expect("a schema");
        let error = schema.check(&json!("other")).expect_err("a mistake");
        assert!(error.mistakes[0].message.len() <= 600, "{}", error.mistakes[0].message.len());
        let each = json!({ "items": { "enum": names } });
        let schema = Schema::read(&each.to_string()).expect("a schema");
        let error = schema.check(&json!(vec!["other"; 1_000])).expect_err("too much");
        assert!(error.mistakes[0].message.contains("more than 200000 steps"), "{error}");
    }

    #[test]
    fn a_recursion_is_as_costly_as_the_settings_are_deep() {
        let schema = json!({
            "$ref": "#/$defs/rule",
            "$defs": { "rule": { "properties": {
                "all": { "items": { "$ref": "#/$defs/rule" } },
                "not": { "anyOf": [{ "$ref": "#/$defs/rule" }, { "$ref": "#/$defs/rule" }] },
            } } },
        });
        let schema = Schema::read(&schema.to_string()).expect("a schema");
        let deep = |levels| (0..levels).fold(json!({}), |inner, _| json!({ "not": inner }));
        assert_eq!(schema.check(&json!({ "all": [deep(3), deep(3), {}] })), Ok(()));
        let error = schema.check(&deep(30)).expect_err("2^30 ways").to_string();
        assert!(error.contains("cannot be used") && error.contains("more than 200000 steps"), "{error}");
    }
}
