//! `ripcord policy new`: a crate that compiles, with fixtures and a README.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use ripcord_core::name::PolicyName;
use ripcord_core::policy::Role;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{sdk, toolbox};
use crate::output::Failure;

const LIB: &str = include_str!("template/lib.rs.txt");
const SETTINGS: &str = include_str!("template/settings.rs.txt");
const CARGO: &str = include_str!("template/Cargo.toml.txt");
const README: &str = include_str!("template/README.md.txt");
const TESTS: &str = include_str!("template/tests.rs.txt");
const COMMON: &str = include_str!("template/fixtures/common.json");
const INCIDENT: &str = include_str!("template/fixtures/incident.json");
const PLAN: &str = include_str!("template/fixtures/plan.json");

/// What a new policy begins as: each fills a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Template {
    /// A trigger: is a metric over a limit?
    Trigger,
    /// A trigger: have counts by class moved away from those of the last good period?
    Drift,
    /// A planner: which versions are good, newest first?
    Planner,
    /// An approval: have enough people of a role agreed?
    Approval,
    /// A verification: is a metric within its limit again?
    Verification,
}

impl Template {
    /// All of them, in the order of an incident.
    #[cfg(test)]
    const ALL: [Self; 5] = [Self::Trigger, Self::Drift, Self::Planner, Self::Approval, Self::Verification];

    /// What it answers.
    pub const fn role(self) -> Role {
        match self {
            Self::Trigger | Self::Drift => Role::Trigger,
            Self::Planner => Role::Planner,
            Self::Approval => Role::Approval,
            Self::Verification => Role::Verification,
        }
    }

    const fn source(self) -> &'static str {
        match self {
            Self::Trigger => include_str!("template/trigger.rs.txt"),
            Self::Drift => include_str!("template/drift.rs.txt"),
            Self::Planner => include_str!("template/planner.rs.txt"),
            Self::Approval => include_str!("template/approval.rs.txt"),
            Self::Verification => include_str!("template/verification.rs.txt"),
        }
    }

    const fn cases(self) -> &'static str {
        match self {
            Self::Trigger => include_str!("template/fixtures/trigger.json"),
            Self::Drift => include_str!("template/fixtures/drift.json"),
            Self::Planner => include_str!("template/fixtures/planner.json"),
            Self::Approval => include_str!("template/fixtures/approval.json"),
            Self::Verification => include_str!("template/fixtures/verification.json"),
        }
    }
}

/// What was written.
#[derive(Debug, Clone, Serialize)]
pub struct NewPolicy {
    /// Name of policy and crate.
    pub name: PolicyName,
    /// The crate's folder.
    pub folder: PathBuf,
    /// What the policy answers.
    pub roles: Vec<Role>,
    /// The author's own, relative to the folder.
    pub files: Vec<PathBuf>,
    /// Where the SDK is that it depends on.
    pub sdk: SdkOf,
}

/// Where the SDK is that a policy depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SdkOf {
    /// In the crate: its sources, as this program carries them.
    Crate,
    /// In this folder.
    Folder(PathBuf),
}

/// Where the crate goes and what it depends on.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The folder that will hold the crate's folder.
    pub parent: &'a Path,
    /// The folder of `ripcord-sdk`; none takes that of the checkout that the crate will lie in, or else the one that this program carries.
    pub sdk: Option<&'a Path>,
}

/// Writes a new policy that begins as these templates; a trigger, if there are none.
///
/// # Errors
/// The name is none, the folder exists, or a file cannot be written.
pub fn new(name: &str, templates: &[Template], place: Place<'_>) -> Result<NewPolicy, Failure> {
    let name = checked(name)?;
    let mut templates = if templates.is_empty() { vec![Template::Trigger] } else { templates.to_vec() };
    templates.sort_unstable();
    templates.dedup();
    let roles: Vec<Role> = templates.iter().map(|template| template.role()).collect();
    if templates.contains(&Template::Trigger) && templates.contains(&Template::Drift) {
        return Err(Failure::usage("`trigger` and `drift` are both triggers, and a policy has one")
            .help("write two policies; a service takes several triggers"));
    }
    let folder = place.parent.join(name.as_str());
    if folder.exists() {
        return Err(Failure::usage(format!("`{}` exists already", folder.display()))
            .help("choose another name, or another folder with `--dir`"));
    }
    let sdk = place.sdk.map(Path::to_owned).or_else(|| toolbox::sdk_of_a_checkout(place.parent));
    let (sdk, dependency) = dependency(sdk.as_deref())?;
    let is_member = toolbox::is_member_folder(place.parent);
    let mut files = crate_files(&name, &templates, &dependency, is_member);
    files.extend(fixture_files(&templates)?);
    if !is_member {
        files.push(("Cargo.lock".into(), sdk::lock(name.as_str())?));
    }
    let own = files.iter().map(|(path, _)| path.clone()).collect();
    if sdk == SdkOf::Crate {
        files.extend(sdk::files()?);
    }
    for (path, content) in files {
        let whole = folder.join(&path);
        let unable = |cause: std::io::Error| {
            Failure::failed(format!("cannot write `{}`", whole.display()))
                .because(cause)
                .help("check the folder's permissions and the free space")
        };
        fs::create_dir_all(whole.parent().unwrap_or(&folder)).map_err(unable)?;
        fs::write(&whole, content).map_err(unable)?;
    }
    Ok(NewPolicy { name, folder, roles, files: own, sdk })
}

/// A policy's name is also that of a crate.
fn checked(name: &str) -> Result<PolicyName, Failure> {
    let is_crate = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    PolicyName::new(name).ok().filter(|_| is_crate).ok_or_else(|| {
        Failure::usage(format!("`{name}` cannot be the name of a policy"))
            .help("use lower-case letters, digits and `-`, starting with a letter")
    })
}

/// Where the SDK is, and the line of the manifest that depends on it.
fn dependency(sdk: Option<&Path>) -> Result<(SdkOf, String), Failure> {
    let Some(sdk) = sdk else { return Ok((SdkOf::Crate, sdk::DEPENDENCY.to_owned())) };
    let path = sdk.canonicalize().ok().filter(|path| path.join("Cargo.toml").is_file()).ok_or_else(|| {
        Failure::usage(format!("`{}` holds no crate", sdk.display()))
            .help("give the folder `guest-sdk` of a checkout, or `sdk/guest-sdk` of another policy")
    })?;
    let line = toml::Value::String(path.to_string_lossy().into_owned());
    Ok((SdkOf::Folder(path), format!("ripcord-sdk = {{ path = {line} }}")))
}

fn crate_files(
    name: &PolicyName,
    templates: &[Template],
    dependency: &str,
    is_member: bool,
) -> Vec<(PathBuf, String)> {
    let (type_name, crate_name) = (type_name(name.as_str()), name.as_str().replace('-', "_"));
    let role_list: Vec<&str> = templates.iter().map(|template| template.role().as_str()).collect();
    let impls: String = templates.iter().map(|template| template.source()).collect();
    let settings = toml::to_string(&settings(templates)).unwrap_or_default();
    let fill = |text: &str| {
        text.replace("{{impls}}", impls.trim_end())
            .replace("{{uses}}", &uses(templates))
            .replace("{{fields}}", &fields(templates))
            .replace("{{settings}}", &settings)
            .replace("{{sdk}}", dependency)
            .replace("{{roles}}", &role_list.join(", "))
            .replace("{{Type}}", &type_name)
            .replace("{{crate}}", &crate_name)
            .replace("{{name}}", name.as_str())
    };
    // Outside the workspace's own folder of policies a crate below a checkout would be taken for a forgotten member.
    // The SDK in the crate is a workspace of its own: cargo would take it for members of this one.
    let workspace = match (is_member, dependency == sdk::DEPENDENCY) {
        (true, _) => "",
        (false, true) => "\n[workspace]\nexclude = [\"sdk\"]\n",
        (false, false) => "\n[workspace]\n",
    };
    vec![
        ("Cargo.toml".into(), fill(CARGO) + workspace),
        (".gitignore".into(), "/target\n*.wasm\n".to_owned()),
        ("README.md".into(), fill(README)),
        ("src/lib.rs".into(), fill(LIB)),
        ("src/settings.rs".into(), fill(SETTINGS)),
        ("tests/fixtures.rs".into(), fill(TESTS)),
    ]
}

/// Whether they read a metric and hold it against a limit.
fn reads_metric(templates: &[Template]) -> bool {
    templates.iter().any(|template| matches!(template, Template::Trigger | Template::Verification))
}

fn uses(templates: &[Template]) -> String {
    let mut uses = String::new();
    let drifts = templates.contains(&Template::Drift);
    if templates.contains(&Template::Planner) {
        uses.push_str("use ripcord_sdk::contract::facts::{Candidate, Standing};\n");
        uses.push_str("use ripcord_sdk::contract::types::LiveState;\n");
    }
    if drifts {
        uses.push_str("use ripcord_sdk::reference::{GoodPeriod, shift};\n");
    }
    if drifts || reads_metric(templates) {
        uses.push_str("use ripcord_sdk::stats;\n");
    }
    if templates.contains(&Template::Approval) {
        uses.push_str("use std::collections::BTreeSet;\n");
    }
    uses
}

fn fields(templates: &[Template]) -> String {
    let mut fields = Vec::new();
    if reads_metric(templates) {
        fields.push(("The metric to judge, in the language of the metrics source.", "query", "String"));
        fields.push(("The largest value that is still well, in the metric's unit.", "limit", "f64"));
        fields.push(("When to look again after data was missing.", "recheck", "Duration"));
    }
    if templates.contains(&Template::Drift) {
        fields.push((
            "Counts by class over a while, in the language of the metrics source.",
            "counts",
            "String",
        ));
        fields.push((
            "The largest population stability index that is still well: 0.1 is usually read as stable, 0.25 as shifted.",
            "largest_shift",
            "f64",
        ));
        fields.push((
            "How long the last good period is, and how long ago it ends at least.",
            "reference",
            "Duration",
        ));
        fields.push(("How far back a good period is looked for.", "look_back", "Duration"));
        fields.push(("When to look again after data was missing.", "look_again", "Duration"));
    }
    if templates.contains(&Template::Planner) {
        fields.push(("How many versions of the registry to look at.", "look_at", "u32"));
    }
    if templates.contains(&Template::Approval) {
        fields.push(("The role whose people are asked.", "role", "String"));
        fields.push(("How many of them must agree.", "people", "u32"));
    }
    fields.iter().fold(String::new(), |mut text, (about, name, kind)| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "    /// {about}\n    pub {name}: {kind},");
        text
    })
}

fn settings(templates: &[Template]) -> Value {
    let mut settings = Map::new();
    let mut set = |name: &str, value: Value| settings.insert(name.to_owned(), value);
    if reads_metric(templates) {
        set("query", json!("error_ratio"));
        set("limit", json!(0.05));
        set("recheck", json!("30s"));
    }
    if templates.contains(&Template::Drift) {
        set("counts", json!("sum by (le) (increase(score_bucket[1h]))"));
        set("largest-shift", json!(0.25));
        set("reference", json!("1h"));
        set("look-back", json!("14d"));
        set("look-again", json!("5m"));
    }
    if templates.contains(&Template::Planner) {
        set("look-at", json!(20));
    }
    if templates.contains(&Template::Approval) {
        set("role", json!("approver"));
        set("people", json!(2));
    }
    Value::Object(settings)
}

/// `too-many-errors` as a type: `TooManyErrors`.
fn type_name(name: &str) -> String {
    let capital = |part: &str| {
        let mut letters = part.chars();
        letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect::<String>()
    };
    name.split('-').map(capital).collect()
}

fn fixture_files(templates: &[Template]) -> Result<Vec<(PathBuf, String)>, Failure> {
    let read = |text: &str| {
        serde_json::from_str::<Value>(text)
            .map_err(|error| Failure::failed("a template of this program is broken").because(error))
    };
    let mut common = read(COMMON)?;
    common["settings"] = settings(templates);
    let mut files = vec![(PathBuf::from("fixtures/common.json"), common)];
    for template in templates {
        let role = template.role();
        for (name, case) in read(template.cases())?.as_object().into_iter().flatten() {
            let mut fixture = json!({ "about": case["about"], "role": type_name(role.as_str()) });
            let mut input = input(role, read(INCIDENT)?, read(PLAN)?);
            if case["preflight"] == true {
                before_the_shift(&mut input);
            }
            if !input.is_empty() {
                fixture["input"] = Value::Object(input);
            }
            fixture["facts"] = case["facts"].clone();
            fixture["expect"] = case["expect"].clone();
            files.push((PathBuf::from(format!("fixtures/{name}.json")), fixture));
        }
    }
    let text = |value: &Value| serde_json::to_string_pretty(value).unwrap_or_default() + "\n";
    Ok(files.into_iter().map(|(path, value)| (path, text(&value))).collect())
}

/// What a role is told besides what every policy is told.
fn input(role: Role, incident: Value, plan: Value) -> Map<String, Value> {
    let proposal = incident["proposal"].clone();
    let mut input = match (role, incident) {
        (Role::Trigger, _) => return Map::new(),
        (Role::Verification, Value::Object(mut incident)) => {
            incident.remove("proposal");
            incident
        }
        (_, Value::Object(incident)) => incident,
        _ => Map::new(),
    };
    let mut set = |name: &str, value: Value| input.insert(name.to_owned(), value);
    match role {
        Role::Trigger => {}
        Role::Planner => drop(set("tried", json!([]))),
        Role::Approval => {
            set("plan", plan);
            set("plan_digest", json!("0".repeat(64)));
            set("opened_at", json!({ "$ago": "1m" }));
            set("clock_jumped", json!(0));
        }
        Role::Verification => {
            let rollback = json!({
                "proposal": proposal,
                "plan": plan,
                "plan_digest": "0".repeat(64),
                "rung": 0,
                "shifted_at": { "$ago": "1m" },
            });
            set("subject", json!({ "Rollback": rollback }));
            set("before", json!([]));
            set("previous", json!([]));
        }
    }
    input
}

/// The same rung, tried before anything is shifted.
fn before_the_shift(input: &mut Map<String, Value>) {
    let Some(subject) = input.get_mut("subject").and_then(Value::as_object_mut) else { return };
    if let Some(Value::Object(mut rollback)) = subject.remove("Rollback") {
        rollback.remove("shifted_at");
        subject.insert("Preflight".to_owned(), Value::Object(rollback));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_crates_and_types() {
        assert_eq!(type_name("too-many-errors"), "TooManyErrors");
        for name in ["", "Two", "1st", "a_b", "a b", "../x", "é"] {
            assert!(checked(name).is_err(), "{name}");
        }
        assert!(checked("a-1").is_ok());
    }

    #[test]
    fn every_template_has_fixtures_for_missing_data() {
        for template in Template::ALL {
            let files = fixture_files(&[template]).expect("templates are JSON");
            let missing = |(path, _): &(PathBuf, String)| path.to_string_lossy().ends_with("-missing.json");
            assert!(files.iter().any(missing), "{template:?}");
        }
    }

    #[test]
    fn two_triggers_are_two_policies() {
        let parent = tempfile::tempdir().expect("folder");
        let place = Place { parent: parent.path(), sdk: None };
        let both = new("mine", &[Template::Drift, Template::Trigger], place).expect_err("one of them");
        assert!(both.to_string().contains("both triggers"), "{both}");
    }

    #[test]
    fn without_a_checkout_the_crate_carries_the_sdk() {
        let parent = tempfile::tempdir().expect("folder");
        let made = new("mine", &[], Place { parent: parent.path(), sdk: None }).expect("new");
        assert_eq!(made.sdk, SdkOf::Crate);
        let manifest = fs::read_to_string(made.folder.join("Cargo.toml")).expect("manifest");
        let manifest: toml::Table = manifest.parse().expect("TOML");
        let sdk = manifest["dependencies"]["ripcord-sdk"]["path"].as_str().expect("a path");
        assert!(made.folder.join(sdk).join("src/lib.rs").is_file(), "{sdk}");
    }

    #[test]
    fn a_second_policy_of_that_name_is_refused() {
        let parent = tempfile::tempdir().expect("folder");
        let place = Place { parent: parent.path(), sdk: None };
        let first = new("mine", &[], place).expect("new");
        assert_eq!(first.roles, [Role::Trigger]);
        let again = new("mine", &[], place).expect_err("exists");
        assert!(again.to_string().contains("exists already"), "{again}");
    }
}
