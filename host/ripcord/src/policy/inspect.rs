//! `ripcord policy inspect`: what a component says of itself.

use std::path::Path;

use ripcord_core::digest::Digest;
use ripcord_core::name::PersonName;
use ripcord_core::policy::{Grant, PolicyRef, Role};
use serde::Serialize;
use serde_json::Value;

use super::build::{self, digest};
use super::schema::{self, Completeness, Setting};
use super::signature::{self, SignatureLine};
use super::toolbox::{self, kilobytes};
use crate::config::Config;
use crate::key::hex;
use crate::output::style::{BAD, DIM, GOOD, STRONG, paint};
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
    /// The signatures that lie beside it, with the person of the configuration whose key it is.
    pub signatures: Vec<Signature>,
    /// JSON Schema of its settings.
    pub settings_schema: Value,
    #[serde(skip)]
    settings: Vec<Setting>,
    #[serde(skip)]
    completeness: Completeness,
}

/// A signature and whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Signature {
    /// The key, and whether it signed these bytes.
    #[serde(flatten)]
    pub line: SignatureLine,
    /// None where the configuration names nobody with that key.
    pub person: Option<PersonName>,
}

/// Looks into a component file, a crate, a policy that the configuration names, or the starter policy of that name.
///
/// # Errors
/// There is no such thing, or it is no policy.
pub fn inspect(what: &str, config: Option<&Config>) -> Result<Inspection, Failure> {
    let configured = config.and_then(|config| config.policies.get(what)).map(|policy| policy.file.clone());
    let path = Path::new(what);
    let file = if path.is_file() { Some(path.to_owned()) } else { configured };
    let sandbox = toolbox::sandbox()?;
    let loaded = match &file {
        Some(file) => toolbox::load(&sandbox, &file.display().to_string())?,
        None if path.is_dir() => {
            let packed = build::pack(path)?;
            toolbox::load_bytes(&sandbox, what, packed.component)?
        }
        None => toolbox::load(&sandbox, what)?,
    };
    let signatures = match &file {
        Some(file) => signatures(file, &loaded.policy.reference().digest, config)?,
        None => Vec::new(),
    };
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
        signatures,
        settings,
        completeness,
        settings_schema: schema,
    })
}

fn signatures(file: &Path, digest: &Digest, config: Option<&Config>) -> Result<Vec<Signature>, Failure> {
    let lines = signature::lines(file, digest).map_err(|cause| {
        Failure::failed(format!("`{}` cannot be read", signature::path(file).display())).because(cause)
    })?;
    let people = || config.into_iter().flat_map(|config| &config.people);
    let person = |key: &str| people().find(|one| one.public_key.is_some_and(|own| hex(&own) == key));
    let whose = |line: SignatureLine| Signature {
        person: person(&line.public_key).map(|person| person.name.clone()),
        line,
    };
    Ok(lines.into_iter().map(whose).collect())
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
        for one in &self.signatures {
            let whose =
                one.person.as_ref().map_or("nobody of the configuration".to_owned(), ToString::to_string);
            about.row([
                "signed".into(),
                if one.line.is_valid {
                    Cell::new(GOOD, format!("by {whose}, key {}", one.line.public_key))
                } else {
                    Cell::new(BAD, format!("not these bytes, key {} of {whose}", one.line.public_key))
                },
            ]);
        }
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
                signatures: vec![Signature {
                    line: SignatureLine { public_key: text.clone(), is_valid: false },
                    person: None,
                }],
                settings,
                completeness,
                settings_schema,
            };
            hostile::assert_harmless(&inspection.page().text, name);
        }
    }
}
