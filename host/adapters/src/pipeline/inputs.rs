//! What a run is told.

use std::collections::BTreeMap;

use ripcord_core::digest::Digest;
use ripcord_core::target::VersionTarget;
use ripcord_ports::PortError;
use ripcord_ports::deployer::ShiftOrder;

use crate::restoring::wrong;

const INPUTS_MAX: usize = 16;
const VALUE_CHARS_MAX: usize = 1_000;
const PREFIX: &str = "ripcord_";

/// Names and values: `ripcord_mark`, `ripcord_version`, `ripcord_digest`, `ripcord_expecting`, `ripcord_incident`, `ripcord_plan`, and those of the
/// configuration.
pub(crate) type Inputs = BTreeMap<String, String>;

/// The names of those that every run is told.
pub(crate) const OWN: [&str; 6] = [
    "ripcord_mark",
    "ripcord_version",
    "ripcord_digest",
    "ripcord_expecting",
    "ripcord_incident",
    "ripcord_plan",
];

/// The inputs of the configuration, with `{version}` and `{digest}` in their values.
#[derive(Debug, Clone)]
pub(super) struct Templates(BTreeMap<String, String>);

impl Templates {
    pub(super) fn new(inputs: BTreeMap<String, String>) -> Result<Self, PortError> {
        if inputs.len() > INPUTS_MAX {
            return Err(wrong(format!("`inputs` has more than {INPUTS_MAX} names: a run is told less")));
        }
        for (name, value) in &inputs {
            let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
            if name.is_empty() || name.len() > 64 || !name.bytes().all(is_name) {
                let text =
                    format!("`inputs` names `{}`: use letters, digits, `_` and `-`", name.escape_debug());
                return Err(wrong(text));
            }
            if name.to_ascii_lowercase().starts_with(PREFIX) {
                return Err(wrong(format!(
                    "`inputs` names `{name}`: names that begin with `{PREFIX}` are Ripcord's own"
                )));
            }
            if value.chars().count() > VALUE_CHARS_MAX || value.chars().any(char::is_control) {
                return Err(wrong(format!(
                    "the value of `inputs.{name}` is no line of {VALUE_CHARS_MAX} characters at most"
                )));
            }
        }
        Ok(Self(inputs))
    }

    /// As they are configured.
    pub(super) fn shown(&self) -> String {
        format!("{:?}", self.0)
    }

    pub(super) fn filled(
        &self,
        order: &ShiftOrder,
        version: &VersionTarget,
        digest: Option<Digest>,
        mark: &str,
    ) -> Inputs {
        let digest = digest.map(|digest| digest.to_string()).unwrap_or_default();
        let expecting = order.expecting.sole_version();
        let own = [
            mark.to_owned(),
            version.version.to_string(),
            digest.clone(),
            expecting.map(|version| version.version.to_string()).unwrap_or_default(),
            order.incident.to_string(),
            order.plan.to_string(),
        ];
        let fill =
            |text: &String| text.replace("{version}", version.version.as_str()).replace("{digest}", &digest);
        let configured = self.0.iter().map(|(name, value)| (name.clone(), fill(value)));
        configured.chain(OWN.iter().map(|name| (*name).to_owned()).zip(own)).collect()
    }
}
