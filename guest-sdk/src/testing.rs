//! The native harness: runs the fixtures of a policy as the host does, without a component.
//!
//! ```ignore
//! #[test]
//! fn fixtures() {
//!     ripcord_sdk::testing::check::<ThresholdTrigger>(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures"));
//! }
//! ```
//!
//! The format is described in [`ripcord_fixture`].

use std::path::Path;

use ripcord_fixture::{Fixture, Subject};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::Component;

pub use ripcord_fixture as fixture;

/// Runs every fixture of a folder.
///
/// # Panics
/// With the name of every fixture that fails and how it does.
#[allow(clippy::panic)]
pub fn check<P: Component>(folder: impl AsRef<Path>) {
    let fixtures = match Fixture::load_all(folder.as_ref()) {
        Ok(fixtures) => fixtures,
        Err(error) => panic!("{}", chain(&error)),
    };
    let failures: Vec<String> = fixtures
        .iter()
        .filter_map(|fixture| {
            run::<P>(fixture).err().map(|why| format!("{} ({}): {why}", fixture.name, fixture.about))
        })
        .collect();
    assert!(
        failures.is_empty(),
        "{} of {} fixtures failed:\n{}",
        failures.len(),
        fixtures.len(),
        failures.join("\n")
    );
}

/// Reads every TOML example of a README as the policy's settings.
///
/// # Panics
/// With the first example that does not fit, or if there is none.
#[allow(clippy::panic)]
pub fn check_examples<P: Component>(readme: &str) {
    let examples: Vec<&str> =
        readme.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap_or(rest)).collect();
    assert!(!examples.is_empty(), "the README of `{}` has no TOML example", P::ABOUT.name);
    for example in examples {
        let settings = toml::from_str::<P::Settings>(example).map_err(|error| error.to_string());
        if let Err(why) = settings.and_then(|settings| P::check(&settings)) {
            panic!("an example of `{}` is not a configuration of it: {why}\n{example}", P::ABOUT.name);
        }
    }
}

/// Runs one fixture.
///
/// # Errors
/// How the answer differs, or that the policy has no such role.
pub fn run<P: Component>(fixture: &Fixture) -> Result<(), String> {
    let name_of = |role| serde_json::to_value(role).unwrap_or_default();
    let entry = P::roles()
        .into_iter()
        .find(|entry| name_of(entry.grant.role) == fixture.role.as_str())
        .ok_or_else(|| format!("`{}` has no role `{}`", P::ABOUT.name, fixture.role))?;
    let may_request = serde_json::to_value(&entry.grant.may_request).and_then(serde_json::from_value);
    let subject = Subject {
        version: P::ABOUT.version.to_owned(),
        may_request: may_request.map_err(|error| error.to_string())?,
    };
    fixture.check(&subject, entry.call).map_err(|mismatch| mismatch.to_string())
}

/// One call with input and output as JSON.
pub(crate) fn in_json<I: DeserializeOwned, O: Serialize>(
    input: Value,
    call: impl FnOnce(I) -> Result<O, String>,
) -> Result<Value, String> {
    let input = serde_json::from_value(input)
        .map_err(|error| format!("the input does not fit the contract: {error}"))?;
    serde_json::to_value(call(input)?).map_err(|error| error.to_string())
}

fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
