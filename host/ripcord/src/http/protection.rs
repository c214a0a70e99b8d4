//! Whether a service is protected: what keeps an alert from becoming a rollback, now or soon.

use ripcord_core::facet::Facet;
use ripcord_core::name::{PolicyName, VersionName};
use ripcord_core::policy::Role;
use ripcord_core::service::{Phase, Service};
use ripcord_core::standing::Standing;
use ripcord_core::time::{Millis, UnixMillis};

use super::wire::NoDataLine;
use crate::output::time::instant;

/// So long before the standing of a version ends by age, people are told.
const EXPIRES_SOON: Millis = Millis::hours(7 * 24);

/// Why the service is not protected, as its own state tells.
pub(crate) fn unprotected(service: &Service, now: UnixMillis) -> Vec<String> {
    let name = &service.name;
    let mut all = Vec::new();
    if let Some(terms) = &service.terms {
        if terms.policies(Role::Trigger).next().is_none() {
            all.push("no trigger is configured, so no alert opens an incident; people can pull".to_owned());
        }
        if terms.policies(Role::Planner).next().is_none() {
            all.push(format!(
                "no planner is configured, so nothing says where to go back to but `ripcord pull {name} --to VERSION`"
            ));
        }
    }
    for (trigger, faults) in &service.watching.faulted {
        let times = if *faults == 1 { "once".to_owned() } else { format!("{faults} times in a row") };
        all.push(format!(
            "trigger {trigger} has faulted {times} and decides nothing: `ripcord decisions {name}` shows why"
        ));
    }
    if let Some(no_data) = NoDataLine::of(service).filter(|no_data| !no_data.cannot_judge.is_empty()) {
        let (since, names) = (instant(no_data.since), names(&no_data.cannot_judge));
        all.push(format!(
            "no data since {since}: {names} cannot judge; the log and `ripcord check` say what is missing"
        ));
    }
    if let Some(Phase::Authorising(authorising)) = service.incident.as_ref().map(|open| &open.phase)
        && authorising.faulted
    {
        all.push(format!(
            "an approval policy faults, so the plan waits: `ripcord decisions {name}` shows why"
        ));
    }
    if !service.versions().map(|(version, _)| version).any(|version| is_good(service, version, now)) {
        all.push(nothing_good(service, now));
    }
    all
}

fn nothing_good(service: &Service, now: UnixMillis) -> String {
    let name = &service.name;
    let expired = service
        .versions()
        .map(|(version, _)| version)
        .find(|version| service.standing_of(*version, now) == Standing::Expired);
    match expired {
        Some(version) => format!(
            "there is nothing to go back to: the standing of {version} has expired, `ripcord adopt {name} {version} --reason TEXT` vouches for it again"
        ),
        None => format!(
            "there is nothing to go back to: `ripcord adopt {name} VERSION --reason TEXT` vouches for a version that served well"
        ),
    }
}

/// What ends soon, or is less than it seems.
pub(crate) fn warnings(service: &Service, now: UnixMillis) -> Vec<String> {
    let name = &service.name;
    let good: Vec<_> = service
        .versions()
        .map(|(version, _)| version)
        .filter(|version| is_good(service, version, now))
        .collect();
    let mut all = Vec::new();
    if let Some(no_data) = NoDataLine::of(service).filter(|no_data| no_data.cannot_judge.is_empty()) {
        let (since, names) = (instant(no_data.since), names(&no_data.take_it_for_a_value));
        all.push(format!(
            "no data since {since} for a query of {names}, which takes that for a value: well if what it counts has not happened yet, no protection if a name is misspelt; the log and `ripcord check` say which"
        ));
    }
    if service.production.falls_back() {
        let mode = service.production.facets.get(&Facet::Fallback).map(|known| known.revision.to_string());
        let mode = mode.unwrap_or_default();
        all.push(format!(
            "the safe mode `{mode}` answers in place of the model: `ripcord pull {name} --fallback off --no-hold --reason TEXT` leaves it"
        ));
    }
    if service.production.goes_back_and_forth(now) {
        all.push("what is live changes back and forth: look whether two servers answer at one address, or someone else deploys".to_owned());
    }
    for version in &good {
        if let Some(end) = service.expires_at(*version).filter(|end| *end <= now + EXPIRES_SOON) {
            all.push(format!(
                "the standing of {version} expires in {}, at {}: `ripcord adopt {name} {version} --reason TEXT` vouches for it again",
                end.since(now),
                instant(end)
            ));
        }
    }
    if let (Some(live), [only]) = (service.production.sole(), good.as_slice())
        && *only == live
    {
        all.push(format!(
            "only {live} is good, and it is what is live: if it goes bad there is nothing to go back to; `ripcord targets {name}` says why of each"
        ));
    }
    all
}

fn names(all: &[PolicyName]) -> String {
    all.iter().map(PolicyName::as_str).collect::<Vec<_>>().join(", ")
}

fn is_good(service: &Service, version: &VersionName, now: UnixMillis) -> bool {
    service.standing_of(version, now).is_good()
}
