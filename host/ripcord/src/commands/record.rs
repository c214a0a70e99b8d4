//! `ripcord policy record`: decisions on record as fixtures.

use std::ops::ControlFlow;

use ripcord_core::policy::Role;
use ripcord_core::target::Window;
use ripcord_core::time::UnixMillis;
use ripcord_engine::replay::{RecordedQuestion, Wanted, recorded};

use super::{Outcome, Reach};
use crate::cli::{Global, RecordArgs};
use crate::output::{Exit, Failure};
use crate::policy::{RecordedFixtures, any_starter};

pub(super) async fn run(global: &Global, args: &RecordArgs) -> Outcome {
    let reach = Reach::new(global)?;
    let service = match (&args.incident, &args.service) {
        (Some(incident), _) => incident.service().ok_or_else(|| {
            Failure::usage(format!("`{incident}` is no incident")).help("`ripcord incidents list` shows all")
        })?,
        (None, Some(service)) => service.clone(),
        (None, None) => return Err(Failure::usage("name an incident, or a service with `--service`")),
    };
    let store = reach.store()?;
    let speaks = any_starter(
        &crate::wiring::sandbox_for_check(reach.here()?).map_err(|error| Failure::of(Exit::Failed, error))?,
    )?;
    let wanted = Wanted {
        service: &service,
        incident: args.incident.as_ref(),
        window: Window { start: UnixMillis(0), end: UnixMillis(u64::MAX) },
        role: args.role.map(Role::from),
        policy: args.policy.as_ref(),
    };
    // Of a journal of any length only so many are in memory.
    let last = usize::try_from(args.last).unwrap_or(usize::MAX);
    let mut newest = std::collections::VecDeque::new();
    let each = |decision: RecordedQuestion| {
        if newest.len() >= last {
            newest.pop_front();
        }
        newest.push_back(decision);
        ControlFlow::Continue(())
    };
    recorded(&store, &speaks, wanted, each).await.map_err(|error| Failure::of(Exit::Failed, error))?;
    if newest.is_empty() {
        return Err(Failure::usage("no such decision is on record")
            .help("`ripcord incidents list` shows incidents; `--role` and `--policy` narrow what is taken"));
    }
    let mut fixtures = RecordedFixtures::default();
    for decision in &newest {
        fixtures.add(&args.out, decision)?;
    }
    Ok(fixtures.page())
}
