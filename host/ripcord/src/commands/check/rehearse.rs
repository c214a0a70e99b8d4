//! One call of each policy in its place, on a made-up incident: settings that fit the schema and still make the policy fault are found
//! before an incident finds them. Nothing is fetched: most policies answer with the facts that they would ask for.

use ripcord_core::fact::Request;
use ripcord_core::role::Step;
use ripcord_core::time::UnixMillis;
use ripcord_engine::{PlacedPolicy, ServiceSetup};
use ripcord_sandbox::{Fault, Limits};

use super::made_up;

/// Calls the policy once; the fault, if it faults.
pub(super) fn rehearse(setup: &ServiceSetup, placed: &PlacedPolicy, now: UnixMillis) -> Option<Fault> {
    // Names that are made up here are good names.
    let question = made_up::question(setup, placed, now).ok()?;
    placed.policy.call(&question, &placed.grant, &Limits::default()).outcome.err()
}

/// What the policy asks for first, in its place.
pub(super) fn asks(setup: &ServiceSetup, placed: &PlacedPolicy, now: UnixMillis) -> Vec<Request> {
    let Ok(question) = made_up::question(setup, placed, now) else { return Vec::new() };
    match placed.policy.call(&question, &placed.grant, &Limits::default()).outcome {
        Ok(Step::Need(requests)) => requests,
        Ok(Step::Done(_)) | Err(_) => Vec::new(),
    }
}
