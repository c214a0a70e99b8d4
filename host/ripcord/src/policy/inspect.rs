//! `ripcord policy inspect`: what a component says of itself.

use ripcord_core::policy::{Grant, PolicyRef, Role};
use serde::Serialize;
use serde_json::Value;

use super::build::digest;
use super::schema::{self, Completeness, Setting};
use super::toolbox::{self, kilobytes};
use crate::output::style::{DIM, STRONG, paint};
use crate::output::table::{Cell, Table};
use crate::output::{Failure, Page, Paragraph, Text, text};

/// What a component is.
#[derive(Debug, Clone, Serialize)]
pub struct Inspection {
    /// Name, version and digest.
    #[serde(flatten)]
    pub policy: PolicyRef,
    /// File or starter.
    pub source: String,
    /// One sentence.
    pub summary: String,
    /// The contract that it was built against.
    pub contract: String,
    /// What it answers.
    pub roles: Vec<Role>,
    /// What it may ask for, by role.
    pub grants: Vec<Grant>,
    /// What it imports.
    pub imports: Vec<String>,
    /// Its size.
    pub bytes: usize,
    /// JSON Schema of its settings.
    pub settings_schema: Value,
    #[serde(skip)]
    settings: Vec<Setting>,
    #[serde(skip)]
    completeness: Completeness,
}

/// Looks into a component file, or into the starter policy of that name.
///
/// # Errors
/// There is no such thing, or it is no policy.
pub fn inspect(what: &str) -> Result<Inspection, Failure> {
    let loaded = toolbox::load(&toolbox::sandbox()?, what)?;
    let manifest = loaded.policy.manifest();
    let schema: Value = serde_json::from_str(&manifest.settings_schema).unwrap_or(Value::Null);
    let (settings, completeness) = schema::settings(&schema);
    Ok(Inspection {
        policy: loaded.policy.reference().clone(),
        source: loaded.source.clone(),
        summary: manifest.summary.clone(),
        contract: loaded.policy.contract().to_owned(),
        roles: loaded.policy.roles().to_vec(),
        grants: manifest.grants.clone(),
        imports: loaded.imports(),
        bytes: loaded.bytes.len(),
        settings,
        completeness,
        settings_schema: schema,
    })
}

impl Inspection {
    /// For the command line.
    pub fn page(&self) -> Page {
        let mut about = Table::bare(2);
        let roles: Vec<&str> = self.roles.iter().map(|role| role.as_str()).collect();
        about.row(["roles".into(), roles.join(", ").into()]);
        for grant in &self.grants {
            let kinds: Vec<&str> = grant.may_request.iter().map(|kind| kind.as_str()).collect();
            let kinds = if kinds.is_empty() { "nothing".to_owned() } else { kinds.join(", ") };
            about.row(["may ask for".into(), format!("{kinds} (as {})", grant.role).into()]);
        }
        about.row(["digest".into(), digest(&self.policy.digest).into()]);
        about.row(["contract".into(), self.contract.as_str().into()]);
        about.row(["size".into(), kilobytes(self.bytes).into()]);
        about.row(["from".into(), self.source.as_str().into()]);
        let (name, summary) = (paint(STRONG, &self.policy), Paragraph(&self.summary));
        let settings = self.settings_table();
        Page::done(text!("{}  {}\n\n{}\n{}", name, summary, about, settings), self)
    }

    fn settings_table(&self) -> Text {
        if self.settings.is_empty() {
            return text!("no settings\n");
        }
        let mut table = Table::new(["setting", "value", "default", "about"]);
        for setting in &self.settings {
            let default = match (&setting.default, setting.required) {
                (Some(default), _) => Cell::from(default),
                (None, true) => Cell::new(STRONG, "required"),
                (None, false) => Cell::new(DIM, "none"),
            };
            table.row([
                setting.name.as_str().into(),
                setting.kind.as_str().into(),
                default,
                setting.about.as_str().into(),
            ]);
        }
        match self.completeness {
            Completeness::Whole => text!("{}", table),
            Completeness::Cut => text!("{}and more: `--json` prints the whole schema\n", table),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::hostile;
    use ripcord_core::digest::Digest;
    use ripcord_core::name::PolicyName;
    use serde_json::json;

    #[test]
    fn nothing_that_a_component_says_gets_out_of_its_place() {
        for (name, text) in hostile::table() {
            let settings_schema = json!({
                "properties": { &text: { "description": text, "default": text, "type": text }, "e": { "enum": [text] } },
                "required": ["e"],
            });
            let (settings, completeness) = schema::settings(&settings_schema);
            let inspection = Inspection {
                policy: PolicyRef {
                    name: PolicyName::new("p").expect("name"),
                    version: text.clone(),
                    digest: Digest::of("p"),
                },
                source: text.clone(),
                summary: text.clone(),
                contract: text.clone(),
                roles: vec![Role::Trigger],
                grants: Vec::new(),
                imports: vec![text.clone()],
                bytes: 1,
                settings,
                completeness,
                settings_schema,
            };
            hostile::assert_harmless(&inspection.page().text, name);
        }
    }
}
