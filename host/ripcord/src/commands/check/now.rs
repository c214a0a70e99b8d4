//! `ripcord check --now`: each trigger is asked once about this moment, so that a query that selects nothing is found before harm is not.

use std::sync::Arc;

use ripcord_core::policy::Role;
use ripcord_core::role::{TriggerVerdict, Verdict};
use ripcord_core::service::Service;
use ripcord_core::signal::Severity;
use ripcord_core::time::UnixMillis;
use ripcord_engine::{Asked, ServiceSetup, recover};
use ripcord_ports::Store;
use ripcord_store::SqliteStore;

use super::{Level, Report};
use crate::commands::asking::ask_trigger;
use crate::config::Config;
use crate::output::asked;
use crate::wiring::STORE_FILE;

/// A page that is scraped has no past in this process.
const SCRAPED: &str = "metrics_scrape";

pub(super) async fn triggers(config: &Config, setup: &ServiceSetup, now: UnixMillis, report: &mut Report) {
    // A store that cannot be read is told by what looks at the journals.
    let store = SqliteStore::open_read_only(config.host.data.join(STORE_FILE)).ok();
    let service = match &store {
        Some(store) => recover(store, &setup.name).await.ok().map(|recovered| recovered.state),
        None => None,
    };
    let service = service.unwrap_or_else(|| Arc::new(Service::new(setup.name.clone())));
    let store = store.as_ref().map(|store| store as &dyn Store);
    for placed in setup.policies(Role::Trigger) {
        match ask_trigger(setup, &service, store, placed, now).await {
            Ok(asked) => judge(setup.name.as_str(), &asked, report),
            Err(failure) => {
                let subject = subject(setup.name.as_str(), &placed.policy.reference().to_string());
                report.add(Level::Error, subject, failure.to_string(), "");
            }
        }
    }
}

fn subject(service: &str, policy: &str) -> String {
    format!("service {service}: trigger {policy} now")
}

fn judge(service: &str, asked: &Asked, report: &mut Report) {
    let subject = subject(service, &asked.policy.to_string());
    let answer = match &asked.end {
        Ok(answer) => answer,
        Err(fault) => {
            let help = "`ripcord policy try SERVICE` shows what it saw".to_owned();
            return report.add(Level::Error, subject, format!("it faults: {fault}"), help);
        }
    };
    let said = answer
        .notes
        .iter()
        .fold(asked::verdict(&answer.verdict), |said, note| format!("{said}; {}", note.text));
    let missing: Vec<_> = asked.facts.iter().filter(|fact| asked::selects_nothing(fact)).collect();
    if missing.is_empty() {
        return report.ok(subject, said);
    }
    let each: Vec<_> = missing
        .iter()
        .map(|fact| {
            let why = fact.value.as_ref().err().map_or("it selects nothing".to_owned(), ToString::to_string);
            format!("{}: {why}", asked::request(&fact.request))
        })
        .collect();
    let text = format!("{said}. It has no data of {}", each.join(" and of "));
    let warned =
        answer.notes.iter().any(|note| matches!(note.severity, Severity::Warning | Severity::Critical));
    let waits = matches!(answer.verdict, Verdict::Trigger(TriggerVerdict::Watch(_)));
    let scraped = missing.iter().all(|fact| fact.source == SCRAPED);
    let (level, help) = match (warned || waits, scraped) {
        (true, true) => (
            Level::Warn,
            "a scraped page has no past in this command: `ripcord status` tells what the running host sees",
        ),
        (true, false) => (
            Level::Error,
            "without data it never triggers: look whether the query is spelt as the metrics source has it, and whether anything is measured yet",
        ),
        (false, _) => (
            Level::Warn,
            "its settings say what missing data means, so it goes on; look whether the query is spelt as the metrics source has it",
        ),
    };
    report.add(level, subject, text, help);
}

#[cfg(test)]
mod tests {
    use super::*;
    use ripcord_core::digest::Digest;
    use ripcord_core::fact::{Fact, MetricQuery, Request, Sample, Unavailable, UnavailableReason, Value};
    use ripcord_core::name::PolicyName;
    use ripcord_core::policy::PolicyRef;
    use ripcord_core::role::{Answer, Note};

    fn asked(value: Result<Value, Unavailable>, verdict: TriggerVerdict, note: Option<Severity>) -> Asked {
        let request = Request::Metric(MetricQuery { source: None, query: "errrors_total".into(), at: None });
        let now = UnixMillis(1_700_000_000_000);
        let fact = Fact { id: "1.0".into(), request, value, source: "metrics_prometheus".into(), as_of: now };
        let notes = note.map(|severity| Note { severity, text: "said so".into() });
        Asked {
            policy: PolicyRef {
                name: PolicyName::new("p").expect("name"),
                version: "1.0.0".into(),
                digest: Digest::of("p"),
            },
            role: Role::Trigger,
            now,
            facts: vec![fact],
            end: Ok(Answer {
                verdict: Verdict::Trigger(verdict),
                notes: notes.into_iter().collect(),
                memo: Vec::new(),
            }),
            rounds: 2,
            fuel: 1,
            log: Vec::new(),
        }
    }

    #[test]
    fn a_query_that_selects_nothing_is_never_green() {
        let later = UnixMillis(1_700_000_060_000);
        let nothing = || Err(Unavailable::new(UnavailableReason::NoData, "no such series"));
        let empty = || Ok(Value::Metric(Vec::new()));
        let some = || Ok(Value::Metric(vec![Sample { labels: Vec::new(), value: 1.0, at: later }]));
        let cases = [
            ("data", asked(some(), TriggerVerdict::Ignore, None), Level::Ok),
            ("none, and it waits", asked(nothing(), TriggerVerdict::Watch(later), None), Level::Error),
            ("no series", asked(empty(), TriggerVerdict::Watch(later), None), Level::Error),
            (
                "none, and it says so",
                asked(nothing(), TriggerVerdict::Ignore, Some(Severity::Warning)),
                Level::Error,
            ),
            ("none counts as zero", asked(nothing(), TriggerVerdict::Ignore, None), Level::Warn),
        ];
        for (name, asked, level) in cases {
            let found = level_of(&asked);
            assert_eq!(found.level, level, "{name}: {}", found.text);
            assert_eq!(found.text.contains("errrors_total"), level != Level::Ok, "{name}: {}", found.text);
        }
    }

    fn level_of(asked: &Asked) -> super::super::Finding {
        let mut report = Report::default();
        judge("s", asked, &mut report);
        report.findings.remove(0)
    }
}
