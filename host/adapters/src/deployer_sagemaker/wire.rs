//! What SageMaker answers about endpoints, as far as it is read. What is not there may be left out or `null`.

use serde::Deserialize;
use serde_json::{Map, Value};

/// Variants of one configuration. AWS lets an endpoint have ten.
pub(super) const VARIANTS_MAX: usize = 20;

/// A JSON object that is given on as it came, but for what is changed in it.
pub(super) type Object = Map<String, Value>;

/// An endpoint.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Endpoint {
    pub(super) endpoint_config_name: Option<String>,
    pub(super) endpoint_status: String,
    pub(super) failure_reason: Option<String>,
    /// It is compared and never read: AWS and others write it in their own ways.
    pub(super) last_modified_time: Option<Value>,
    pub(super) production_variants: Option<Vec<Weighed>>,
    pub(super) pending_deployment_summary: Option<Pending>,
}

/// A variant with its share of the traffic.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Weighed {
    pub(super) variant_name: String,
    pub(super) current_weight: Option<f64>,
    pub(super) desired_weight: Option<f64>,
}

/// What an endpoint is being moved to.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Pending {
    pub(super) endpoint_config_name: String,
}

/// A variant of a configuration, and its model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Variant {
    pub(super) name: String,
    pub(super) model: String,
}

/// The variants of a configuration that answer; why they are not known otherwise.
pub(super) fn variants(configuration: &Object) -> Result<Vec<Variant>, String> {
    let listed = configuration.get("ProductionVariants").and_then(Value::as_array);
    let listed = listed.map(Vec::as_slice).unwrap_or_default();
    if listed.is_empty() || listed.len() > VARIANTS_MAX {
        return Err(format!("it has {} variants, and 1 to {VARIANTS_MAX} are read", listed.len()));
    }
    let text = |of: &Value, key: &str| of.get(key).and_then(Value::as_str).map(str::to_owned);
    let variant = |of: &Value| -> Result<Variant, String> {
        let name = text(of, "VariantName").ok_or("a variant of it has no name")?;
        let model = text(of, "ModelName").ok_or_else(|| {
            format!(
                "its variant `{}` names no model, as where inference components are used, which this deployer does not set",
                name.escape_debug()
            )
        })?;
        Ok(Variant { name, model })
    };
    listed.iter().map(variant).collect()
}

/// The containers of a model: one under its own name, or several.
pub(super) fn containers(model: &Object) -> Vec<&Object> {
    let primary = model.get("PrimaryContainer").and_then(Value::as_object).filter(|one| !one.is_empty());
    let several = model.get("Containers").and_then(Value::as_array).into_iter().flatten();
    primary.into_iter().chain(several.filter_map(Value::as_object)).collect()
}

/// A member that is text and not empty.
pub(super) fn text<'a>(object: &'a Object, key: &str) -> Option<&'a str> {
    object.get(key).and_then(Value::as_str).filter(|text| !text.is_empty())
}
