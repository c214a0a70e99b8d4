//! The native harness: runs the fixtures of a policy as the host does, without a component.
//!
//! ```ignore
//! #[test]
//! fn fixtures() {
//!     ripcord_sdk::testing::check::<ThresholdTrigger>(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures"));
//! }
//! ```
//!
//! The format is described in [`ripcord_fixture`]. A policy ends here where it would end in the host: a call that does not return is given up, a panic is
//! a failure of its own fixture, and what a policy asks for, remembers, says and logs has the same limits.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use ripcord_fixture::limits::{LOG_BYTES_MAX, LOG_LINES_MAX};
use ripcord_fixture::{Fixture, Subject};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::Component;

pub use ripcord_fixture as fixture;

/// Of one call. The host gives a component about a second of computing; a native test is not optimised.
const CALL_MAX: Duration = Duration::from_secs(60);

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
    fixture
        .check(&subject, |input| within_limits(CALL_MAX, entry.call, input))
        .map_err(|mismatch| mismatch.to_string())
}

/// One call on a thread of its own, so that it can be given up.
fn within_limits(
    limit: Duration,
    call: fn(Value) -> Result<Value, String>,
    input: Value,
) -> Result<Value, String> {
    let (sender, receiver) = mpsc::channel();
    let work = move || {
        let outcome = catch_unwind(AssertUnwindSafe(|| call(input)));
        let outcome =
            outcome.unwrap_or_else(|panic| Err(format!("it panicked: {}", panic_text(panic.as_ref()))));
        let (lines, bytes) = LOGGED.get();
        let flooded = lines > LOG_LINES_MAX || bytes > LOG_BYTES_MAX;
        // Nobody waits any more for what comes too late.
        let _ = sender.send(if flooded {
            Err(format!("it logged {lines} lines of {bytes} bytes, and the host allows {LOG_LINES_MAX} of {LOG_BYTES_MAX}"))
        } else {
            outcome
        });
    };
    thread::Builder::new().name("policy".to_owned()).spawn(work).map_err(|error| error.to_string())?;
    let late = || format!("it did not answer within {} seconds: does it end?", limit.as_secs_f64());
    receiver.recv_timeout(limit).unwrap_or_else(|_| Err(late()))
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a text")
}

thread_local! {
    /// Lines and bytes that the call of this thread has logged.
    static LOGGED: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

/// Counts a line of the log.
pub(crate) fn count_logged(text: &str) {
    let (lines, bytes) = LOGGED.get();
    LOGGED.set((lines + 1, bytes + text.len()));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_does_not_return_is_given_up() {
        fn endless(_: Value) -> Result<Value, String> {
            loop {
                thread::sleep(Duration::from_millis(5));
            }
        }
        let gave_up = within_limits(Duration::from_millis(20), endless, Value::Null);
        assert!(gave_up.is_err_and(|why| why.contains("does it end?")));
    }

    #[test]
    #[allow(clippy::panic)]
    fn a_panic_is_a_failure_of_its_own_fixture() {
        let panicked = within_limits(CALL_MAX, |_| panic!("the cord is torn"), Value::Null);
        assert_eq!(panicked, Err("it panicked: the cord is torn".to_owned()));
    }

    #[test]
    fn a_log_has_the_limits_of_the_host() {
        let logs = |input: Value| {
            (0..input.as_u64().unwrap_or_default()).for_each(|_| count_logged("line"));
            Ok(Value::Null)
        };
        assert_eq!(within_limits(CALL_MAX, logs, Value::from(LOG_LINES_MAX)), Ok(Value::Null));
        assert!(within_limits(CALL_MAX, logs, Value::from(LOG_LINES_MAX + 1)).is_err());
    }
}
