//! `ripcord policy test`: every fixture as a component in the sandbox, and natively; both must do what the fixture expects.

use std::path::{Path, PathBuf};

use ripcord_core::policy::{PolicyRef, Role};
use ripcord_fixture::{Fixture, Ran, Subject};
use ripcord_sandbox::{Limits, Policy};
use serde::Serialize;
use serde_json::Value;

use super::build;
use super::native_tests::{self, NativeTests};
use super::toolbox::{self, Loaded};
use crate::output::style::{BAD, GOOD, STRONG, WARN, paint};
use crate::output::table::{Cell, Table};
use crate::output::{Exit, Failure, Page, Paragraph, Progress, text};

/// What every fixture gave.
#[derive(Debug, Clone, Serialize)]
pub struct Tested {
    /// Name, version and digest.
    #[serde(flatten)]
    pub policy: PolicyRef,
    /// One a fixture, by name.
    pub cases: Vec<Case>,
    /// What cargo said, if the native tests failed.
    pub native_output: Option<String>,
    /// Fixtures whose expectation was replaced by what the component answered.
    pub blessed: Vec<String>,
}

/// What becomes of a fixture that the component answers differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Bless {
    /// It fails.
    #[default]
    Nothing,
    /// It expects from now on what the component answers.
    Answers,
}

/// What one fixture gave.
#[derive(Debug, Clone, Serialize)]
pub struct Case {
    /// File name without `.json`.
    pub name: String,
    /// What it shows.
    pub about: String,
    /// The component's verdict, or `fault`; none if it gave no answer.
    pub verdict: Option<String>,
    /// Fuel of all rounds.
    pub fuel: u64,
    /// Whether the component did what the fixture expects; if not, how it differs.
    pub component: Outcome,
    /// The same natively; none for a component without its crate.
    pub native: Option<Outcome>,
}

/// Whether a fixture's expectation was met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It was.
    Passed,
    /// It was not, and how.
    Failed(String),
}

/// Tests the crate in the folder, or the component file or starter policy, with the fixtures in `fixtures` or beside it.
///
/// # Errors
/// It does not build or load, or there are no fixtures.
pub fn test(
    what: &str,
    fixtures: Option<&Path>,
    bless: Bless,
    progress: &Progress,
) -> Result<Tested, Failure> {
    let path = Path::new(what);
    let sandbox = toolbox::sandbox()?;
    let (loaded, folder) = if path.is_dir() {
        progress.say(format!("building `{what}`"));
        let packed = build::pack(path)?;
        (toolbox::load_bytes(&sandbox, &packed.name, packed.component)?, Some(path))
    } else {
        (toolbox::load(&sandbox, what)?, None)
    };
    let beside = path.parent().filter(|_| path.is_file()).map(|parent| parent.join("fixtures"));
    let default = folder.map(|folder| folder.join("fixtures")).or(beside);
    let place: PathBuf = fixtures.map(Path::to_owned).or(default).ok_or_else(|| {
        Failure::usage(format!("`{what}` has no fixtures beside it"))
            .help("name their folder with `--fixtures`")
    })?;
    let fixtures = Fixture::load_all(&place).map_err(|error| Failure::of(Exit::Usage, error))?;

    progress.say(format!("running {} fixtures in the sandbox", fixtures.len()));
    let (mut cases, mut blessed) = (Vec::new(), Vec::new());
    for fixture in &fixtures {
        let (mut case, ran) = in_sandbox(&loaded, fixture);
        if let (Bless::Answers, Outcome::Failed(_), Some(Ok(answer))) =
            (bless, &case.component, ran.map(|ran| ran.end))
        {
            let file = place.join(format!("{}.json", fixture.name));
            if fixture.bless(&file, &answer).map_err(|error| Failure::of(Exit::Failed, error))? {
                blessed.push(fixture.name.clone());
                let again = Fixture::load(&file).map_err(|error| Failure::of(Exit::Failed, error))?;
                case = in_sandbox(&loaded, &again).0;
            }
        }
        cases.push(case);
    }
    let mut native_output = None;
    if let Some(folder) = folder {
        progress.say("running them natively");
        native_output = natively(folder, &mut cases)?;
    }
    Ok(Tested { policy: loaded.policy.reference().clone(), cases, native_output, blessed })
}

/// What the component did, and how far that is what the fixture expects.
fn in_sandbox(loaded: &Loaded, fixture: &Fixture) -> (Case, Option<Ran>) {
    let policy = &loaded.policy;
    let mut case = Case {
        name: fixture.name.clone(),
        about: fixture.about.clone(),
        verdict: None,
        fuel: 0,
        component: Outcome::Passed,
        native: None,
    };
    let Some(role) = Role::ALL.into_iter().find(|role| fixture.role.eq_ignore_ascii_case(role.as_str()))
    else {
        case.component = Outcome::Failed(format!("`{}` is not a role", fixture.role));
        return (case, None);
    };
    let version = policy.reference().version.clone();
    let subject = Subject { version, may_request: kinds_as_in_fixtures(policy, role) };
    let ran = fixture.run(&subject, |input| {
        let call = policy.call_in_json(role, input, &Limits::default());
        case.fuel += call.fuel;
        call.outcome.map_err(|fault| fault.to_string())
    });
    let (ran, outcome) = match ran {
        Ok(ran) => {
            let outcome = fixture.compare(&ran);
            (Some(ran), outcome)
        }
        Err(mismatch) => (None, Err(mismatch)),
    };
    case.verdict = ran.as_ref().map(|ran| match &ran.end {
        Ok(answer) => case_name(&answer["verdict"]),
        Err(_) => "fault".to_owned(),
    });
    if let Err(mismatch) = outcome {
        case.component = Outcome::Failed(mismatch.to_string());
    }
    (case, ran)
}

/// The kinds that a role declares, in the spelling of fixtures: `MetricRange`.
pub(crate) fn kinds_as_in_fixtures(policy: &Policy, role: Role) -> Vec<String> {
    let camel = |kind: &str| {
        kind.split('-').map(|part| part[..1].to_ascii_uppercase() + &part[1..]).collect::<String>()
    };
    policy.manifest().may_request(role).iter().map(|kind| camel(kind.as_str())).collect()
}

/// The name of a variant's case, as people know it: `roll-back`.
pub(super) fn case_name(verdict: &Value) -> String {
    let name = match verdict {
        Value::String(name) => name.as_str(),
        Value::Object(fields) => fields.keys().next().map_or("", String::as_str),
        _ => "",
    };
    name.char_indices().fold(String::new(), |mut text, (index, letter)| {
        if letter.is_ascii_uppercase() && index > 0 {
            text.push('-');
        }
        text.push(letter.to_ascii_lowercase());
        text
    })
}

/// Runs the crate's own tests, which run the fixtures by the SDK's harness. Gives what they said if they failed.
fn natively(folder: &Path, cases: &mut [Case]) -> Result<Option<String>, Failure> {
    let NativeTests { passed, said } = native_tests::run(folder)?;
    let told = |case: &Case| native_tests::told_of(&said, &case.name);
    let any_told = cases.iter().any(|case| told(case).is_some());
    for case in cases {
        let outcome = match told(case) {
            _ if passed => Outcome::Passed,
            Some(text) => Outcome::Failed(text),
            None if any_told => Outcome::Passed,
            None => Outcome::Failed("the crate's own tests did not run".to_owned()),
        };
        case.native = Some(outcome);
    }
    Ok((!passed).then_some(said))
}

impl Outcome {
    fn cell(&self) -> Cell {
        match self {
            Self::Passed => Cell::new(GOOD, "as expected"),
            Self::Failed(_) => Cell::new(BAD, "differs"),
        }
    }
}

impl Case {
    /// Where it failed and how: the component first, and one line where both say the same.
    fn failures(&self) -> Vec<(&'static str, &str)> {
        match (&self.component, &self.native) {
            (Outcome::Failed(one), Some(Outcome::Failed(other))) if one == other => {
                vec![("component and native", one)]
            }
            (component, native) => {
                let places = [("component", Some(component)), ("native", native.as_ref())];
                places
                    .into_iter()
                    .filter_map(|(place, outcome)| match outcome {
                        Some(Outcome::Failed(how)) => Some((place, how.as_str())),
                        _ => None,
                    })
                    .collect()
            }
        }
    }
}

impl Tested {
    /// For the command line.
    pub fn page(&self) -> Page {
        let failed = self.cases.iter().filter(|case| !case.failures().is_empty()).count();
        let has_native = self.cases.iter().any(|case| case.native.is_some());
        let mut text = text!("{}\n\n{}\n", paint(STRONG, &self.policy), self.table());
        for case in &self.cases {
            for (place, how) in case.failures() {
                text.push(text!("{} ({}): {}\n", paint(BAD, &case.name), place, Paragraph(how)));
            }
        }
        for name in &self.blessed {
            text.push(text!("{}: it expects what the component answers from now on\n", paint(WARN, name)));
        }
        let broken = self.native_output.is_some();
        if let Some(output) =
            self.native_output.as_ref().filter(|_| failed == 0 || failed == self.cases.len())
        {
            text.push(text!("\n{}\n", Paragraph(output)));
        }
        let places = if has_native { "as a component and natively" } else { "as a component" };
        text.push(match (failed, broken) {
            (0, false) => format!("{} fixtures, all as expected, {places}", self.cases.len()),
            (0, true) => "every fixture is as expected, but the crate has tests that failed".to_owned(),
            (failed, _) => format!("{failed} of {} fixtures differ", self.cases.len()),
        });
        Page::new(if failed == 0 && !broken { Exit::Done } else { Exit::Failed }, text, self)
    }

    fn table(&self) -> Table {
        let mut table = Table::new(["fixture", "verdict", "component", "native", "fuel"]);
        for case in &self.cases {
            let verdict = case.verdict.as_deref().unwrap_or("none");
            let native = case.native.as_ref().map(Outcome::cell).unwrap_or_default();
            table.row([
                case.name.as_str().into(),
                verdict.into(),
                case.component.cell(),
                native,
                case.fuel.into(),
            ]);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_native_test_has_the_limits_of_the_sandbox() {
        use ripcord_fixture::limits as native;
        let limits = Limits::default();
        let same = [
            (native::ROUNDS_MAX as usize, limits.rounds_max as usize),
            (native::REQUESTS_MAX, limits.requests_max as usize),
            (native::SUSPECTS_MAX, ripcord_core::role::SUSPECTS_MAX),
            (native::LOG_LINES_MAX, limits.log_lines_max as usize),
            (native::MEMO_BYTES_MAX, usize::try_from(limits.memo_bytes_max).expect("small")),
            (native::ANSWER_BYTES_MAX, usize::try_from(limits.output_bytes_max).expect("small")),
            (native::LOG_BYTES_MAX, usize::try_from(limits.log_bytes_max).expect("small")),
        ];
        for (native, sandbox) in same {
            assert_eq!(native, sandbox);
        }
    }

    #[test]
    fn verdicts_read_as_the_contract_names_them() {
        assert_eq!(case_name(&json!("StandDown")), "stand-down");
        assert_eq!(case_name(&json!({ "RollBack": {} })), "roll-back");
        assert_eq!(case_name(&json!(null)), "");
    }

    #[test]
    fn nothing_that_a_policy_or_its_tests_say_gets_out_of_its_place() {
        for (name, text) in crate::output::hostile::table() {
            let case = Case {
                name: text.clone(),
                about: text.clone(),
                verdict: Some(text.clone()),
                fuel: 1,
                component: Outcome::Failed(text.clone()),
                native: Some(Outcome::Failed(text.clone())),
            };
            let policy = PolicyRef {
                name: ripcord_core::name::PolicyName::new("p").expect("name"),
                version: text.clone(),
                digest: ripcord_core::digest::Digest::of("p"),
            };
            let tested = Tested {
                policy,
                cases: vec![case],
                native_output: Some(text.clone()),
                blessed: vec![text.clone()],
            };
            crate::output::hostile::assert_harmless(&tested.page().text, name);
        }
    }

    #[test]
    fn a_difference_fails_the_page_and_is_shown() {
        let case = |name: &str, component, native| Case {
            name: name.into(),
            about: "about".into(),
            verdict: Some("ignore".into()),
            fuel: 1_000,
            component,
            native,
        };
        let policy = PolicyRef {
            name: ripcord_core::name::PolicyName::new("p").expect("name"),
            version: "1.0.0".into(),
            digest: ripcord_core::digest::Digest::of("p"),
        };
        let mut tested = Tested {
            policy,
            cases: vec![
                case("good", Outcome::Passed, Some(Outcome::Passed)),
                case("bad", Outcome::Failed("`verdict` differs".into()), Some(Outcome::Passed)),
            ],
            native_output: None,
            blessed: Vec::new(),
        };
        let page = tested.page();
        assert_eq!(page.exit, Exit::Failed);
        insta::assert_snapshot!(page.plain(), @r"
        p@1.0.0

        fixture  verdict  component    native       fuel
        good     ignore   as expected  as expected  1000
        bad      ignore   differs      as expected  1000

        bad (component): `verdict` differs
        1 of 2 fixtures differ
        ");
        tested.cases.truncate(1);
        assert_eq!(tested.page().exit, Exit::Done);
        tested.native_output = Some("test other ... FAILED".into());
        assert_eq!(tested.page().exit, Exit::Failed, "a failing test of the author's own is not hidden");
    }
}
