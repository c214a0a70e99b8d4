//! A settings schema as lines for people.

use serde::Serialize;
use serde_json::{Map, Value};

/// How deep settings are described; what lies deeper is called `object`.
const DEPTH_MAX: usize = 5;
/// Subschemas that are looked at for one page: a schema may name the same ones over and over.
const STEPS_MAX: usize = 2_000;
/// Longer words of a schema are cut there.
const CHARS_MAX: usize = 300;

/// One setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Setting {
    /// With dots: `metric.query`.
    pub(super) name: String,
    /// What may be written.
    pub(super) kind: String,
    /// What it is if left out; none means that it must be given, or has no value if it is optional.
    pub(super) default: Option<String>,
    /// Whether it must be given.
    pub(super) required: bool,
    /// What it does.
    pub(super) about: String,
}

/// Every setting of a JSON Schema, in its order, and whether that is all that there are.
pub(super) fn settings(schema: &Value) -> (Vec<Setting>, Completeness) {
    let mut walk = Walk { root: schema, steps: 0, found: Vec::new() };
    walk.properties(schema, "", true, 0);
    let completeness = if walk.may_go_on() { Completeness::Whole } else { Completeness::Cut };
    (walk.found, completeness)
}

/// Whether a list of settings is all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Completeness {
    Whole,
    Cut,
}

struct Walk<'s> {
    root: &'s Value,
    steps: usize,
    found: Vec<Setting>,
}

impl<'s> Walk<'s> {
    fn may_go_on(&self) -> bool {
        self.steps < STEPS_MAX
    }

    fn properties(&mut self, schema: &'s Value, prefix: &str, parent_required: bool, depth: usize) {
        let required: Vec<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for (name, value) in schema["properties"].as_object().into_iter().flatten() {
            self.steps += 1;
            if !self.may_go_on() {
                return;
            }
            let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
            let resolved = resolve(self.root, value);
            let is_required = parent_required && required.contains(&name.as_str());
            let about = [value, resolved].into_iter().find_map(|schema| schema["description"].as_str());
            let kind = self.kind(value, 0);
            self.found.push(Setting {
                name: cut(&path),
                kind,
                default: value
                    .get("default")
                    .filter(|default| !default.is_null())
                    .map(|one| cut(&one.to_string())),
                required: is_required,
                about: cut(&about.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")),
            });
            if depth < DEPTH_MAX {
                for inner in self.objects(resolved) {
                    self.properties(inner, &path, is_required, depth + 1);
                }
            }
        }
    }

    /// The objects that a schema may be: itself, or its alternatives.
    fn objects(&mut self, schema: &'s Value) -> Vec<&'s Value> {
        let alternatives = ["anyOf", "oneOf"].into_iter().filter_map(|key| schema[key].as_array()).flatten();
        let root = self.root;
        let all: Vec<_> = std::iter::once(schema)
            .chain(alternatives.map(|one| resolve(root, one)))
            .filter(|schema| schema["properties"].is_object())
            .take(STEPS_MAX)
            .collect();
        self.steps += all.len();
        all
    }

    fn kind(&mut self, schema: &'s Value, depth: usize) -> String {
        // At every level: many short ways to one long text are a very long text.
        cut(&self.whole_kind(schema, depth))
    }

    fn whole_kind(&mut self, schema: &'s Value, depth: usize) -> String {
        self.steps += 1;
        let schema = resolve(self.root, schema);
        if depth > DEPTH_MAX || !self.may_go_on() {
            return "object".to_owned();
        }
        if let Some(value) = schema.get("const") {
            return value.to_string();
        }
        if let Some(values) = schema["enum"].as_array() {
            // More than a line holds is not written out.
            let shown = values.iter().take(CHARS_MAX);
            return shown.map(Value::to_string).collect::<Vec<_>>().join(" | ");
        }
        if let Some(list) = ["anyOf", "oneOf"].iter().find_map(|key| schema[*key].as_array()) {
            let mut kinds: Vec<String> = Vec::new();
            for one in list {
                if !self.may_go_on() {
                    break;
                }
                let one = self.kind(one, depth + 1);
                if one != "null" && !kinds.contains(&one) {
                    kinds.push(one);
                }
            }
            return kinds.join(" | ");
        }
        let named = match &schema["type"] {
            Value::String(name) => name.clone(),
            Value::Array(names) => {
                let names = names.iter().filter_map(Value::as_str).filter(|name| *name != "null");
                names.collect::<Vec<_>>().join(" | ")
            }
            _ => "any".to_owned(),
        };
        match named.as_str() {
            "array" => format!("list of {}", self.kind(&schema["items"], depth + 1)),
            "object" => keys(schema["properties"].as_object()),
            _ => named,
        }
    }
}

/// Follows references within the document, a bounded number of times.
fn resolve<'s>(root: &'s Value, schema: &'s Value) -> &'s Value {
    let mut at = schema;
    for _ in 0..DEPTH_MAX {
        let Some(next) = at["$ref"].as_str().and_then(|path| root.pointer(path.trim_start_matches('#')))
        else {
            break;
        };
        at = next;
    }
    at
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(CHARS_MAX) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// `{ factor, earlier }`.
fn keys(properties: Option<&Map<String, Value>>) -> String {
    let Some(properties) = properties.filter(|properties| !properties.is_empty()) else {
        return "object".to_owned();
    };
    format!("{{ {} }}", properties.keys().cloned().collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nested_optional_and_alternative_settings_are_named() {
        let schema = json!({
            "properties": {
                "limit": { "description": "The\n limit.", "$ref": "#/$defs/Limit" },
                "name": { "type": ["string", "null"], "default": null },
                "for": { "type": "string", "default": "10m" },
                "side": { "oneOf": [{ "const": "over" }, { "const": "under" }] },
                "slices": { "type": "array", "items": { "type": "number" } },
            },
            "required": ["limit", "side"],
            "$defs": { "Limit": { "oneOf": [
                { "type": "object", "properties": { "absolute": { "type": "number" } }, "required": ["absolute"] },
            ] } },
        });
        let lines: Vec<String> = settings(&schema)
            .0
            .iter()
            .map(|s| format!("{} | {} | {:?} | {} | {}", s.name, s.kind, s.default, s.required, s.about))
            .collect();
        assert_eq!(
            lines,
            [
                "for | string | Some(\"\\\"10m\\\"\") | false | ",
                "limit | { absolute } | None | true | The limit.",
                "limit.absolute | number | None | true | ",
                "name | string | None | false | ",
                "side | \"over\" | \"under\" | None | true | ",
                "slices | list of number | None | false | ",
            ]
        );
    }

    #[test]
    fn a_schema_that_refers_to_itself_ends() {
        let schema = json!({
            "properties": { "a": { "$ref": "#/$defs/A" } },
            "$defs": { "A": { "type": "object", "properties": { "a": { "$ref": "#/$defs/A" } } } },
        });
        assert!(settings(&schema).0.len() <= DEPTH_MAX + 1);
        let circle = json!({ "properties": { "a": { "$ref": "#/$defs/A" } }, "$defs": { "A": { "$ref": "#/$defs/A" } } });
        assert_eq!(settings(&circle).0[0].kind, "any");
    }

    #[test]
    fn a_schema_of_many_ways_ends_and_says_that_there_is_more() {
        let again = vec![json!({ "$ref": "#/$defs/A" }); 100];
        let schema = json!({
            "properties": { "a": { "$ref": "#/$defs/A" } },
            "$defs": { "A": { "anyOf": again, "properties": { "a": { "anyOf": again }, "b": { "oneOf": again } } } },
        });
        let (found, completeness) = settings(&schema);
        assert_eq!(completeness, Completeness::Cut);
        assert!(found.len() <= STEPS_MAX, "{}", found.len());
        assert!(found.iter().all(|setting| setting.kind.chars().count() <= CHARS_MAX + 1));
    }
}
