//! A settings schema as lines for people.

use serde::Serialize;
use serde_json::{Map, Value};

/// How deep settings are described; what lies deeper is called `object`.
const DEPTH_MAX: usize = 5;

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

/// Every setting of a JSON Schema, in its order.
pub(super) fn settings(schema: &Value) -> Vec<Setting> {
    let mut found = Vec::new();
    walk(schema, schema, "", true, 0, &mut found);
    found
}

fn walk(
    root: &Value,
    schema: &Value,
    prefix: &str,
    parent_required: bool,
    depth: usize,
    found: &mut Vec<Setting>,
) {
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, value) in schema["properties"].as_object().into_iter().flatten() {
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        let resolved = resolve(root, value);
        let is_required = parent_required && required.contains(&name.as_str());
        let about = [value, resolved].into_iter().find_map(|schema| schema["description"].as_str());
        found.push(Setting {
            name: path.clone(),
            kind: kind(root, value, 0),
            default: value.get("default").filter(|default| !default.is_null()).map(Value::to_string),
            required: is_required,
            about: about.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" "),
        });
        if depth < DEPTH_MAX {
            for inner in objects(root, resolved) {
                walk(root, inner, &path, is_required, depth + 1, found);
            }
        }
    }
}

/// The objects that a schema may be: itself, or its alternatives.
fn objects<'s>(root: &'s Value, schema: &'s Value) -> Vec<&'s Value> {
    let alternatives = ["anyOf", "oneOf"].into_iter().filter_map(|key| schema[key].as_array()).flatten();
    std::iter::once(schema)
        .chain(alternatives.map(|one| resolve(root, one)))
        .filter(|schema| schema["properties"].is_object())
        .collect()
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

fn kind(root: &Value, schema: &Value, depth: usize) -> String {
    let schema = resolve(root, schema);
    if depth > DEPTH_MAX {
        return "object".to_owned();
    }
    if let Some(value) = schema.get("const") {
        return value.to_string();
    }
    if let Some(values) = schema["enum"].as_array() {
        return values.iter().map(Value::to_string).collect::<Vec<_>>().join(" | ");
    }
    if let Some(list) = ["anyOf", "oneOf"].iter().find_map(|key| schema[*key].as_array()) {
        let mut kinds: Vec<String> = Vec::new();
        for one in list.iter().map(|one| kind(root, one, depth + 1)).filter(|kind| kind != "null") {
            if !kinds.contains(&one) {
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
        "array" => format!("list of {}", kind(root, &schema["items"], depth + 1)),
        "object" => keys(schema["properties"].as_object()),
        _ => named,
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
        assert!(settings(&schema).len() <= DEPTH_MAX + 1);
        let circle = json!({ "properties": { "a": { "$ref": "#/$defs/A" } }, "$defs": { "A": { "$ref": "#/$defs/A" } } });
        assert_eq!(settings(&circle)[0].kind, "any");
    }
}
