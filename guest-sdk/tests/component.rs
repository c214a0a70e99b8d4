//! A policy of two roles, made with the SDK and nothing else, through the functions that the component exports.

#![allow(clippy::unwrap_used, clippy::panic)]

use ripcord_sdk::contract::describe::Role;
use ripcord_sdk::contract::types::{Context, Criticality, Memo, Service};
use ripcord_sdk::contract::{trigger, verification};
use ripcord_sdk::prelude::*;
use ripcord_sdk::{Component, component};

struct Counting;

/// How it counts.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Settings {
    /// Calls until it rolls back.
    at_most: u32,
    #[serde(default = "fallback")]
    wait: Duration,
}

fn fallback() -> Duration {
    minutes(1)
}

#[derive(Default, Serialize, Deserialize)]
struct Count(u32);

impl Policy for Counting {
    type Settings = Settings;

    fn check(settings: &Settings) -> Result<(), String> {
        if settings.at_most == 0 { Err("`at-most` is `0`: write at least 1".to_owned()) } else { Ok(()) }
    }
}

impl Trigger for Counting {
    const FACTS: &'static [FactKind] = &[];

    fn assess(case: &TriggerCase, _: &Facts, settings: &Settings) -> Step<Assessment> {
        let Count(count) = case.memo();
        let answer = if count >= settings.at_most {
            Assessment::roll_back(Proposal::new(format!("asked {count} times")))
        } else {
            Assessment::watch(case.now() + settings.wait)
        };
        Ok(answer.remember(&Count(count + 1)))
    }
}

impl Verification for Counting {
    const FACTS: &'static [FactKind] = &[FactKind::Live];

    fn verify(_: &VerificationCase, facts: &Facts, _: &Settings) -> Step<VerificationAnswer> {
        facts.live().get()?.map_err(|why| Stop::fail(why.to_string()))?;
        Ok(VerificationAnswer::healthy(Vec::new()))
    }
}

ripcord_sdk::export!(Counting: trigger, verification);

fn input(settings: &str, memo: Option<Memo>) -> trigger::Input {
    let service = Service {
        name: "fraud-api".into(),
        environment: "test".into(),
        criticality: Criticality::Low,
        model: "fraud".into(),
        labels: Vec::new(),
    };
    let context = Context {
        service,
        incident: None,
        now: 1_000,
        settings: settings.into(),
        drill: false,
        live_since: None,
        memo,
    };
    trigger::Input { context, signals: Vec::new(), facts: Vec::new() }
}

fn done(input: trigger::Input) -> trigger::Assessment {
    match component::assess::<Counting>(input) {
        Ok(trigger::Step::Done(assessment)) => assessment,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_manifest_says_what_the_types_say() {
    let manifest = Counting::manifest();
    assert_eq!(
        (manifest.name.as_str(), manifest.version.as_str()),
        ("ripcord-sdk", env!("CARGO_PKG_VERSION"))
    );
    let grants: Vec<_> = manifest.grants.into_iter().map(|grant| (grant.role, grant.may_request)).collect();
    assert_eq!(grants, [(Role::Trigger, vec![]), (Role::Verification, vec![FactKind::Live])]);

    let schema: serde_json::Value = serde_json::from_str(&manifest.settings_schema).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(schema["properties"]["at-most"]["description"], "Calls until it rolls back.");
    assert_eq!(schema["required"], serde_json::json!(["at-most"]));
    assert_eq!(schema["additionalProperties"], false);
}

#[test]
fn what_it_remembered_comes_back_unless_another_version_wrote_it() {
    let first = done(input(r#"{"at-most": 1}"#, None));
    assert_eq!(first.verdict, trigger::Verdict::Watch(61_000));
    let again = |written_by: &str, bytes: &[u8]| {
        let memo = Memo { written_by: written_by.into(), bytes: bytes.to_vec() };
        done(input(r#"{"at-most": 1}"#, Some(memo))).verdict
    };
    let version = env!("CARGO_PKG_VERSION");
    assert!(matches!(again(version, &first.memo), trigger::Verdict::RollBack(_)));
    assert!(matches!(again("0.0.9", &first.memo), trigger::Verdict::Watch(_)));
    assert!(matches!(again(version, b"not a memo"), trigger::Verdict::Watch(_)));
}

#[test]
fn settings_that_do_not_fit_are_an_error_that_names_them() {
    let refused = |settings: &str| component::assess::<Counting>(input(settings, None)).unwrap_err();
    for (settings, said) in [
        ("", "the settings of `ripcord-sdk` do not fit its schema: EOF"),
        ("{}", "missing field `at-most`"),
        (r#"{"at-most": 1, "atmost": 2}"#, "unknown field `atmost`"),
        (r#"{"at-most": 1, "wait": "soon"}"#, "`soon` is not a duration"),
        (r#"{"at-most": 0}"#, "contradict themselves: `at-most` is `0`: write at least 1"),
    ] {
        let error = refused(settings);
        assert!(error.contains(said), "{settings}: {error}");
    }
}

#[test]
fn each_role_answers_for_itself() {
    let trigger::Input { context, .. } = input(r#"{"at-most": 1}"#, None);
    let plan = ripcord_sdk::contract::types::Plan {
        format: 1,
        installation: String::new(),
        incident: "i".into(),
        number: 1,
        strategy: Strategy::Version,
        parts: Vec::new(),
        policies: Vec::new(),
        requested_by: Vec::new(),
        preflighted: false,
        drill: false,
        created_at: 0,
        expires_at: 9,
    };
    let plan_digest = String::new();
    let proposal = Proposal::new("a cause");
    let rollback = verification::Rollback { proposal, plan, plan_digest, rung: 0, shifted_at: 0 };
    let input = about(context, Subject::Rollback(rollback));
    let step = component::verify::<Counting>(input).unwrap();
    assert_eq!(step, verification::Step::Need(vec![ripcord_sdk::contract::facts::Request::Live]));
}

fn about(context: Context, subject: Subject) -> verification::Input {
    verification::Input {
        context,
        subject,
        signals: Vec::new(),
        before: Vec::new(),
        previous: Vec::new(),
        facts: Vec::new(),
    }
}

#[test]
fn a_subject_of_a_later_contract_is_inconclusive_and_nothing_is_forgotten() {
    let memo = Memo { written_by: env!("CARGO_PKG_VERSION").into(), bytes: b"kept".to_vec() };
    let trigger::Input { context, .. } = input(r#"{"at-most": 1}"#, Some(memo));
    let now = context.now;
    let step = component::verify::<Counting>(about(context, Subject::Other("a-canary".into()))).unwrap();
    let verification::Step::Done(answer) = step else { panic!("{step:?}") };
    assert_eq!(answer.verdict, verification::Verdict::Inconclusive(now + 60_000));
    assert!(answer.notes[0].text.contains("`a-canary`"), "{:?}", answer.notes);
    assert_eq!(answer.memo, b"kept");
}
