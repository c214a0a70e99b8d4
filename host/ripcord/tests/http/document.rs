//! The host's OpenAPI document, and whether an answer is what it says.

use std::sync::LazyLock;

use reqwest::Method;
use serde_json::{Value, json};

/// As it is compiled into the host.
pub(crate) static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../src/http/openapi.json")).unwrap());

/// The same with no room for keys that it does not name: for clients they may come, here they are forgotten in the document.
static CLOSED: LazyLock<Value> = LazyLock::new(|| {
    let mut document = DOCUMENT.clone();
    close(&mut document);
    document
});

fn close(value: &mut Value) {
    match value {
        Value::Object(object) => {
            if object.get("properties").is_some_and(Value::is_object) {
                object.entry("additionalProperties").or_insert(json!(false));
            }
            object.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

/// The document's path for an address without its query, and what it says of the method. One that is spelt out goes before one with parameters.
pub(crate) fn operation(method: &Method, address: &str) -> Option<(&'static str, &'static Value)> {
    let address = address.split('?').next().unwrap();
    let paths = CLOSED["paths"].as_object().unwrap();
    let matching = paths.iter().filter(|(path, _)| {
        let (path, address): (Vec<_>, Vec<_>) = (path.split('/').collect(), address.split('/').collect());
        path.len() == address.len()
            && path.iter().zip(&address).all(|(path, address)| path.starts_with('{') || path == address)
    });
    let (path, item) = matching.min_by_key(|(path, _)| path.matches('{').count())?;
    Some((path.as_str(), item.get(method.as_str().to_lowercase())?))
}

/// A schema that stands for itself, references into the document included.
pub(crate) fn schema(of: &Value) -> Value {
    let mut schema = of.clone();
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["components"] = CLOSED["components"].clone();
    schema
}

/// Panics unless the document says that the host may answer so, and returns the document's path.
#[track_caller]
pub(crate) fn holds(method: &Method, address: &str, status: u16, body: &Value) -> Option<&'static str> {
    let Some((path, operation)) = operation(method, address) else {
        assert!(
            matches!(status, 404 | 405 | 414),
            "the document has no `{method} {address}`, and it answers {status}"
        );
        return None;
    };
    let responses = &operation["responses"];
    let range = format!("{}XX", status / 100);
    let mut response = responses.get(status.to_string()).or(responses.get(range)).unwrap_or_else(|| {
        panic!("the document does not say that `{method} {path}` answers {status}: {body}")
    });
    if let Some(place) = response.get("$ref").and_then(Value::as_str) {
        response = CLOSED.pointer(place.trim_start_matches('#')).unwrap();
    }
    let (_, content) = response["content"].as_object().unwrap().iter().next().unwrap();
    let validator = jsonschema::validator_for(&schema(&content["schema"])).unwrap();
    let wrong: Vec<_> = validator
        .iter_errors(body)
        .map(|error| format!("{} at `{}`", error, error.instance_path()))
        .collect();
    assert!(
        wrong.is_empty(),
        "`{method} {path}` answers {status} with what `src/http/openapi.json` does not say:\n{}\n{body}",
        wrong.join("\n")
    );
    Some(path)
}
