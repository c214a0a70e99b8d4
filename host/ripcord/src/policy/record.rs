//! A recorded decision as a fixture: what happened once is a test from then on.

use std::fs;
use std::path::{Path, PathBuf};

use ripcord_core::name::IncidentId;
use ripcord_core::policy::{PolicyRef, Role};
use ripcord_core::time::UnixMillis;
use ripcord_engine::replay::RecordedQuestion;
use ripcord_fixture::Fixture;
use ripcord_sandbox::RecordedEnd;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::test::case_name;
use crate::output::style::{STRONG, WARN, paint};
use crate::output::table::Table;
use crate::output::time::instant;
use crate::output::{Exit, Failure, Page, text};

/// A fixture that was written.
#[derive(Debug, Clone, Serialize)]
pub struct RecordedFixture {
    /// The file.
    pub file: PathBuf,
    /// Who decided.
    pub policy: PolicyRef,
    /// As what.
    pub role: Role,
    /// When.
    pub at: UnixMillis,
    /// What it decided.
    pub verdict: String,
}

/// Fixtures that were written, and decisions of which none could be made.
#[derive(Debug, Clone, Default, Serialize)]
pub struct RecordedFixtures {
    /// Oldest first.
    pub written: Vec<RecordedFixture>,
    /// When, which policy, and why not.
    pub left_out: Vec<(UnixMillis, String, String)>,
}

impl RecordedFixtures {
    /// Writes a fixture of the decision into `folder`.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn add(&mut self, folder: &Path, decision: &RecordedQuestion) -> Result<(), Failure> {
        let whole = match fixture(decision) {
            Ok(whole) => whole,
            Err(why) => {
                self.left_out.push((decision.at, decision.policy.to_string(), why));
                return Ok(());
            }
        };
        fs::create_dir_all(folder).map_err(|cause| {
            Failure::failed(format!("cannot make `{}`", folder.display()))
                .because(cause)
                .help("check the folder's permissions and the free space")
        })?;
        let file = free(folder, decision);
        ripcord_fixture::write(&file, &whole).map_err(|error| Failure::of(Exit::Failed, error))?;
        self.written.push(RecordedFixture {
            file,
            policy: decision.policy.clone(),
            role: decision.role,
            at: decision.at,
            verdict: verdict_of(decision),
        });
        Ok(())
    }

    /// For the command line.
    pub fn page(&self) -> Page {
        let mut table = Table::bare(2);
        for one in &self.written {
            table.row([
                one.file.display().into(),
                (&one.policy.name).into(),
                one.verdict.as_str().into(),
                instant(one.at).into(),
            ]);
        }
        let mut text = text!("{}", table);
        for (at, policy, why) in &self.left_out {
            text.push(text!("{} {} at {}: {}\n", paint(WARN, "left out:"), policy, instant(*at), why));
        }
        text.push(paint(STRONG, format!("{} fixtures", self.written.len())));
        text.push("; they hold what production sent: look through them before you commit them");
        Page::new(if self.written.is_empty() { Exit::Failed } else { Exit::Done }, text, self)
    }
}

/// A name that no file of the folder has yet.
fn free(folder: &Path, decision: &RecordedQuestion) -> PathBuf {
    let about =
        decision.incident.as_ref().map_or_else(|| decision.service.to_string(), IncidentId::to_string);
    let stem = format!("{}-{}-{}", decision.role, verdict_of(decision), about.replace(':', "-"));
    let names = std::iter::once(stem.clone()).chain((2_u32..).map(|number| format!("{stem}-{number}")));
    let mut paths = names.map(|name| folder.join(format!("{name}.json")));
    paths.find(|path| !path.exists()).unwrap_or_else(|| folder.join(format!("{stem}.json")))
}

fn verdict_of(decision: &RecordedQuestion) -> String {
    match &decision.end {
        Some(RecordedEnd::Done(answer)) => case_name(&of_role(answer)["verdict"]),
        Some(RecordedEnd::Fault(_)) => "fault".to_owned(),
        None => "unknown".to_owned(),
    }
}

/// A recorded answer stands below the name of its role.
fn of_role(answer: &Value) -> &Value {
    answer.as_object().and_then(|roles| roles.values().next()).unwrap_or(answer)
}

/// The whole fixture of a decision, or why there can be none.
fn fixture(decision: &RecordedQuestion) -> Result<Value, String> {
    let mut input = decision.input.clone()?;
    let facts = input.as_object_mut().and_then(|input| input.remove("facts")).unwrap_or_default();
    let mut settings = Value::Null;
    let mut memo = Value::Null;
    if let Some(context) = input.get_mut("context").and_then(Value::as_object_mut) {
        let text = context.remove("settings").unwrap_or_default();
        settings = serde_json::from_str(text.as_str().unwrap_or_default())
            .map_err(|error| format!("its settings are no JSON: {error}"))?;
        memo = remembered(context.remove("memo").unwrap_or_default(), &decision.policy.version)?;
    }
    let facts: Vec<Value> = facts.as_array().into_iter().flatten().map(fact).collect::<Result<_, _>>()?;
    let (expect, ended) = match &decision.end {
        Some(RecordedEnd::Done(answer)) => (expectation(of_role(answer)), verdict_of(decision)),
        Some(RecordedEnd::Fault(fault)) => (json!({ "fault": fault.message }), "fault".to_owned()),
        None => return Err("how it ended is not known".to_owned()),
    };
    let role = decision.role.as_str();
    let about = match &decision.incident {
        Some(incident) => format!("recorded for {incident} at {}: {ended}", instant(decision.at)),
        None => format!("recorded for {} at {}: {ended}", decision.service, instant(decision.at)),
    };
    let mut whole = json!({
        "about": about, "role": role[..1].to_ascii_uppercase() + &role[1..],
        "settings": settings, "input": input, "facts": facts, "expect": expect,
    });
    if !memo.is_null() {
        whole["memo"] = memo;
    }
    Ok(whole)
}

/// What it remembered, as fixtures have it: one that another version wrote was not given to it.
fn remembered(memo: Value, version: &str) -> Result<Value, String> {
    if memo.is_null() || memo["written_by"].as_str() != Some(version) {
        return Ok(Value::Null);
    }
    let bytes: Vec<u8> = serde_json::from_value(memo["bytes"].clone()).map_err(|error| error.to_string())?;
    serde_json::from_slice(&bytes)
        .map_err(|_| "what it remembered is no JSON, and fixtures hold nothing else".to_owned())
}

fn fact(recorded: &Value) -> Result<Value, String> {
    if has_no_number(&recorded["value"]) {
        return Err(format!(
            "the value of {} is not finite somewhere, and JSON has no such number",
            recorded["request"]
        ));
    }
    let field = |name: &str| recorded[name].clone();
    Ok(
        json!({ "request": field("request"), "value": field("value"), "source": field("source"), "as_of": field("as_of") }),
    )
}

/// Whether a sample or a point has `null` where its number is.
fn has_no_number(value: &Value) -> bool {
    match value {
        Value::Object(fields) => {
            let is_point = fields.contains_key("at") && fields.get("value").is_some_and(Value::is_null);
            is_point || fields.values().any(has_no_number)
        }
        Value::Array(items) => items.iter().any(has_no_number),
        _ => false,
    }
}

/// Every field of the answer; an empty memo says nothing.
fn expectation(answer: &Value) -> Value {
    let fields = answer
        .as_object()
        .into_iter()
        .flatten()
        .map(|(field, _)| (field.clone(), ripcord_fixture::field_of(answer, field)));
    Value::Object(fields.filter(|(_, value)| !value.is_null()).collect::<Map<_, _>>())
}

/// The same as a fixture to run, with other settings and another memo.
pub(crate) fn to_run(
    decision: &RecordedQuestion,
    settings: &str,
    memo: Option<Value>,
) -> Result<Fixture, String> {
    let mut whole = fixture(decision)?;
    whole["settings"] = serde_json::from_str(settings).map_err(|error| error.to_string())?;
    whole["memo"] = memo.unwrap_or_default();
    serde_json::from_value(whole).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ripcord_core::digest::Digest;
    use ripcord_core::name::{PolicyName, ServiceName};

    fn decision(input: Value, end: RecordedEnd) -> RecordedQuestion {
        RecordedQuestion {
            service: ServiceName::new("s").expect("name"),
            incident: Some(IncidentId::numbered(&ServiceName::new("s").expect("name"), 3)),
            at: UnixMillis(1_700_000_000_000),
            policy: PolicyRef {
                name: PolicyName::new("p").expect("name"),
                version: "1.0.0".into(),
                digest: Digest::of("p"),
            },
            role: Role::Trigger,
            input: Ok(input),
            end: Some(end),
        }
    }

    fn input(value: Value) -> Value {
        json!({
            "context": { "now": 5, "settings": "{\"limit\":1}", "memo": { "written_by": "1.0.0", "bytes": [55] } },
            "signals": [],
            "facts": [{ "id": "1.0", "request": "Live", "value": value, "source": "d", "as_of": 4 }],
        })
    }

    #[test]
    fn all_that_a_decision_was_given_and_all_that_it_said_is_in_the_fixture() {
        let answer = json!({ "trigger": { "verdict": "Ignore", "notes": [], "memo": [56] } });
        let whole =
            fixture(&decision(input(json!({ "Ok": 1 })), RecordedEnd::Done(answer))).expect("a fixture");
        assert_eq!(whole["expect"], json!({ "verdict": "Ignore", "notes": [], "memo": 8 }));
        assert_eq!((&whole["memo"], &whole["settings"]), (&json!(7), &json!({ "limit": 1 })));
        assert_eq!(whole["facts"][0]["as_of"], 4);
        serde_json::from_value::<Fixture>(whole).expect("a fixture that can be run");
    }

    #[test]
    fn what_a_fixture_cannot_hold_is_said_and_not_changed() {
        let answer = || RecordedEnd::Done(json!({ "trigger": { "verdict": "Ignore" } }));
        let nan = json!({ "Ok": { "Metric": [{ "labels": [], "value": null, "at": 4 }] } });
        let why = fixture(&decision(input(nan), answer())).expect_err("not a number");
        assert!(why.contains("not finite"), "{why}");
        let mut pruned = decision(input(json!({ "Ok": 1 })), answer());
        pruned.input = Err("pruned: 1.0".into());
        let folder = tempfile::tempdir().expect("folder");
        let mut fixtures = RecordedFixtures::default();
        fixtures.add(folder.path(), &pruned).expect("said");
        assert_eq!((fixtures.written.len(), fixtures.left_out[0].2.as_str()), (0, "pruned: 1.0"));
        assert_eq!(fixtures.page().exit, Exit::Failed);
    }
}
