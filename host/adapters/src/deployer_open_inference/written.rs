//! Files that are written beside an artefact's own, with what is only known when it is placed.
//!
//! A server answers with the version that its settings name. A registry that counts versions itself gives the number after the artefact
//! was made, so the artefact cannot hold it.

use std::collections::BTreeMap;

use ripcord_core::digest::Digest;
use ripcord_core::name::VersionName;
use ripcord_core::target::{ArtefactFile, artefact_digest};
use ripcord_ports::registry::Staged;
use ripcord_ports::{ErrorKind, PortError};

use crate::artefact::check_path;

/// All files to write, checked.
#[derive(Debug, Clone, Default)]
pub(super) struct Templates(Vec<Template>);

#[derive(Debug, Clone)]
struct Template {
    path: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Version,
    Model,
}

/// What is put into a model's folder: an artefact, and files of ours beside its own.
#[derive(Debug, Clone)]
pub(super) struct Content {
    pub(super) version: VersionName,
    pub(super) staged: Staged,
    pub(super) written: Vec<Written>,
}

/// A file of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) path: String,
    pub(super) text: String,
}

impl Templates {
    /// Checks paths and placeholders; `model` is what stands for `{model}`.
    pub(super) fn new(write: &BTreeMap<String, String>, model: &str) -> Result<Self, PortError> {
        let wrong = |message: String| PortError::not_applied(ErrorKind::Configuration, message);
        let mut templates: Vec<Template> = Vec::new();
        for (path, content) in write {
            check_path(path).map_err(|why| wrong(format!("`write`: {why}")))?;
            if let Some(other) = templates.iter().find(|other| in_the_way(&other.path, path)) {
                let message =
                    format!("`write` names `{path}` and `{}`, and one is the other's folder", other.path);
                return Err(wrong(message));
            }
            let parts = parse(content).map_err(|word| {
                wrong(format!(
                    "`write` of `{path}` holds `{{{word}}}`, which is no placeholder: there are `{{version}}` and `{{model}}`"
                ))
            })?;
            if parts.contains(&Part::Model) && model.contains(|c: char| c.is_control() || "\"'\\".contains(c))
            {
                return Err(wrong(format!(
                    "`write` of `{path}` holds `{{model}}`, and the model is called `{}`: quotes, backslashes and control characters cannot be written there as they are",
                    model.escape_debug()
                )));
            }
            templates.push(Template { path: path.clone(), parts });
        }
        Ok(Self(templates))
    }

    /// Settings that would have the server take a candidate for another model than `model`, the live one above all: then no version can be tried beside
    /// what is live.
    pub(super) fn names_another(&self, model: &str) -> Option<String> {
        self.0.iter().filter(|template| is_settings(&template.path)).find_map(|template| {
            let text: String = template.parts.iter().map(|part| part.text("1", model)).collect();
            let wrong = match serde_json::from_str::<Settings>(&text) {
                Ok(Settings { name }) if name == model => return None,
                // Without a name the folder's counts.
                Ok(Settings { name }) if name.is_empty() && template.path == SETTINGS => return None,
                Ok(Settings { name }) => format!("names the model `{name}`"),
                Err(error) => format!("does not read ({error})"),
            };
            Some(format!(
                "`write` of `{}` {wrong}, so that no candidate can be served as `{model}` beside what is live (`preflight-model`): write `{{model}}` as the name",
                template.path
            ))
        })
    }

    /// The artefact with these files beside its own.
    pub(super) fn fill(
        &self,
        version: &VersionName,
        model: &str,
        staged: &Staged,
    ) -> Result<Content, PortError> {
        for template in &self.0 {
            if let Some(own) = staged.files.iter().find(|own| in_the_way(&own.path, &template.path)) {
                // What an artefact brings is part of what was approved: it is not written over without a word.
                return Err(PortError::not_applied(
                    ErrorKind::Configuration,
                    format!(
                        "`write` names `{}`, and version `{version}` has `{}` of its own: take one of them away",
                        template.path, own.path
                    ),
                ));
            }
        }
        let written = self.written(version, model);
        Ok(Content { version: version.clone(), staged: staged.clone(), written })
    }

    /// Our files for `version`.
    pub(super) fn written(&self, version: &VersionName, model: &str) -> Vec<Written> {
        let written = self.0.iter().map(|template| Written {
            path: template.path.clone(),
            text: template.parts.iter().map(|part| part.text(version.as_str(), model)).collect(),
        });
        written.collect()
    }
}

impl Content {
    /// Path, size and digest of each file of ours.
    pub(super) fn listed(&self) -> Vec<ArtefactFile> {
        let listed = self.written.iter().map(|written| ArtefactFile {
            path: written.path.clone(),
            sha256: Digest::of(&written.text),
            bytes: written.text.len() as u64,
        });
        listed.collect()
    }

    /// Over all files, ours among them.
    pub(super) fn whole(&self) -> Digest {
        artefact_digest(&[self.staged.files.clone(), self.listed()].concat())
    }
}

impl Part {
    fn text(&self, version: &str, model: &str) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Version => version.to_owned(),
            Self::Model => model.to_owned(),
        }
    }
}

/// Where MLServer reads a model's name. It looks for these files in all folders, so a name in one of them counts wherever it lies.
pub(super) const SETTINGS: &str = "model-settings.json";

/// What of them counts here.
#[derive(serde::Deserialize)]
pub(super) struct Settings {
    #[serde(default)]
    pub(super) name: String,
}

pub(super) fn is_settings(path: &str) -> bool {
    path.rsplit('/').next() == Some(SETTINGS)
}

/// Whether two paths cannot both be files.
fn in_the_way(one: &str, two: &str) -> bool {
    let below =
        |path: &str, folder: &str| path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
    one == two || below(one, two) || below(two, one)
}

/// Splits at placeholders. Braces around anything but a lower-case word are text; the error is a word that is no placeholder.
fn parse(content: &str) -> Result<Vec<Part>, &str> {
    let mut parts = Vec::new();
    let mut text = String::new();
    let mut rest = content;
    while let Some(start) = rest.find('{') {
        let (before, from) = rest.split_at(start);
        text.push_str(before);
        let Some(word) = word(from) else {
            text.push('{');
            rest = &from[1..];
            continue;
        };
        let part = match word {
            "version" => Part::Version,
            "model" => Part::Model,
            unknown => return Err(unknown),
        };
        parts.extend([Part::Text(std::mem::take(&mut text)), part]);
        rest = &from[word.len() + 2..];
    }
    text.push_str(rest);
    parts.push(Part::Text(text));
    Ok(parts)
}

/// The lower-case word in the braces with which `text` begins.
fn word(text: &str) -> Option<&str> {
    let (word, _) = text.strip_prefix('{')?.split_once('}')?;
    let letters = word.starts_with(|c: char| c.is_ascii_lowercase())
        && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-');
    letters.then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: &str = r#"{"name": "{model}", "parameters": {"uri": "./model.pkl", "version": "{version}", "extra": {}, "x": {"a":{}}}, "re": "[a-z]{2}{Z}{ version }{"}"#;

    fn templates(write: &[(&str, &str)], model: &str) -> Result<Templates, String> {
        let write = write.iter().map(|(path, content)| ((*path).to_owned(), (*content).to_owned())).collect();
        Templates::new(&write, model).map_err(|error| {
            assert_eq!(error.kind, ErrorKind::Configuration);
            error.to_string()
        })
    }

    fn staged(paths: &[&str]) -> Staged {
        let outer = tempfile::tempdir().unwrap();
        let files: Vec<_> = paths
            .iter()
            .map(|path| ArtefactFile { path: (*path).to_owned(), sha256: Digest::of(path), bytes: 1 })
            .collect();
        let dir = std::sync::Arc::new(crate::folder::open(outer.path()).unwrap());
        Staged { dir, digest: artefact_digest(&files), files }
    }

    fn version(name: &str) -> VersionName {
        VersionName::new(name).unwrap()
    }

    #[test]
    fn only_the_two_placeholders_are_replaced() {
        let templates = templates(&[("model-settings.json", SETTINGS)], "fraud").unwrap();
        let content = templates.fill(&version("3"), "fraud", &staged(&["model.pkl"])).unwrap();
        let expected = SETTINGS.replace("{model}", "fraud").replace("{version}", "3");
        assert_eq!(content.written, [Written { path: "model-settings.json".into(), text: expected }]);
    }

    #[test]
    fn another_version_is_other_content_of_the_same_artefact() {
        let templates = templates(&[("s", "{version}")], "fraud").unwrap();
        let artefact = staged(&["model.pkl"]);
        let one = templates.fill(&version("1"), "fraud", &artefact).unwrap();
        let two = templates.fill(&version("2"), "fraud", &artefact).unwrap();
        assert_ne!(one.whole(), two.whole());
        assert_eq!(one.staged.digest, two.staged.digest);
        let nothing = Templates::default().fill(&version("1"), "fraud", &artefact).unwrap();
        assert_eq!(nothing.whole(), artefact.digest);
    }

    #[test]
    fn what_cannot_be_written_is_refused_with_a_sentence() {
        let check = |write: &[(&str, &str)], model: &str, expected: &str| {
            let why = templates(write, model).unwrap_err();
            assert!(why.contains(expected), "{why}");
        };
        check(
            &[("a", "{versoin}")],
            "m",
            "`{versoin}`, which is no placeholder: there are `{version}` and `{model}`",
        );
        check(&[("a", "{\"x\": {modell}}")], "m", "`{modell}`");
        check(&[("../a", "")], "m", "`../a` is not the path");
        check(&[("/etc/passwd", "")], "m", "`/etc/passwd` is not the path");
        check(&[("a", ""), ("a/b", "")], "m", "one is the other's folder");
        check(&[("a", "{model}")], "a\"b", "is called `a\\\"b`");
        assert!(templates(&[("a", "{version}")], "a\"b").is_ok(), "the name is not written");
    }

    #[test]
    fn settings_that_name_the_live_model_leave_no_place_for_a_candidate() {
        let named =
            |write: &[(&str, &str)]| templates(write, "fraud").unwrap().names_another("fraud-preflight");
        for (path, settings) in [
            ("model-settings.json", r#"{"name": "{model}"}"#),
            ("model-settings.json", r#"{"parameters": {"version": "{version}"}}"#),
            ("deep/model-settings.json", r#"{"name": "fraud-preflight"}"#),
            ("other.json", r#"{"name": "fraud"}"#),
        ] {
            assert_eq!(named(&[(path, settings)]), None, "{path} {settings}");
        }
        for (path, settings) in [
            ("model-settings.json", r#"{"name": "fraud", "parameters": {"version": "{version}"}}"#),
            ("model-settings.json", r#"{"name": "{model}-live"}"#),
            ("deep/model-settings.json", r#"{"implementation": "x"}"#),
            ("model-settings.json", "not JSON"),
        ] {
            let why = named(&[(path, settings)]).unwrap();
            assert!(why.contains("write `{model}` as the name"), "{why}");
        }
    }

    #[test]
    fn an_artefact_is_not_written_over() {
        for (write, own) in [("s.json", "s.json"), ("a/b", "a"), ("a", "a/b")] {
            let templates = templates(&[(write, "x")], "m").unwrap();
            let error = templates.fill(&version("7"), "m", &staged(&["z", own])).unwrap_err();
            let (kind, text) = (error.kind, error.to_string());
            assert_eq!(kind, ErrorKind::Configuration, "{text}");
            assert!(text.contains(&format!("`{write}`")) && text.contains("version `7` has"), "{text}");
        }
        let beside = templates(&[("ab", "x")], "m").unwrap();
        assert!(beside.fill(&version("7"), "m", &staged(&["a", "ab.txt"])).is_ok());
    }
}
