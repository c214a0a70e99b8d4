//! Lists say what they cut, and take what a person filters by: read from the store on this machine and from a host elsewhere alike.

use std::path::Path;

use crate::cli::run::{Ran, as_olga};
use crate::support::alerts::firing;
use crate::support::host::Host;
use crate::support::programs::configure_with_programs;

fn ids(ran: &Ran, list: &str) -> Vec<String> {
    assert_eq!(ran.code, 0, "{list}: {}{}", ran.stdout, ran.stderr);
    let lines = ran.json();
    lines
        .as_array()
        .expect("a list")
        .iter()
        .map(|line| line["id"].as_str().expect("an id").to_owned())
        .collect()
}

/// Three incidents that ended, and one that waits because the service is paused.
async fn four_incidents(folder: &Path) -> Host {
    configure_with_programs(folder, "[]");
    let host = Host::start(folder).await;
    for version in ["1.3.2", "1.4.0", "1.3.2"] {
        let pulled =
            as_olga(folder, &["pull", "fraud-api", "--to", version, "--no-hold", "--reason", "trying"]);
        assert_eq!(pulled.code, 0, "{}{}", pulled.stdout, pulled.stderr);
    }
    assert_eq!(as_olga(folder, &["pause", "fraud-api", "--reason", "dinner"]).code, 0);
    let waits = as_olga(folder, &["pull", "fraud-api", "--to", "1.4.0", "--no-hold", "--no-wait"]);
    assert_eq!(waits.code, 0, "{}{}", waits.stdout, waits.stderr);
    host
}

#[tokio::test(flavor = "multi_thread")]
async fn incidents_are_listed_by_what_is_asked_for_and_what_was_cut_is_said() {
    let folder = tempfile::tempdir().expect("folder");
    let folder = folder.path();
    let host = four_incidents(folder).await;
    for place in [&[][..], &["--host", &host.url]] {
        let list = |more: &[&str]| as_olga(folder, &[place, &["incidents", "list"], more].concat());
        let json = |more: &[&str]| ids(&list(&[more, &["--json"]].concat()), &format!("{place:?} {more:?}"));
        let all = ["fraud-api:4", "fraud-api:3", "fraud-api:2", "fraud-api:1"];
        assert_eq!(json(&[]), all);
        assert_eq!(json(&["--open"]), all[..1]);
        assert_eq!(json(&["--limit", "2"]), all[..2]);
        assert_eq!(json(&["--since", "1h"]), all);
        assert_eq!(json(&["--since", "0s"]), [""; 0]);
        assert_eq!(json(&["--service", "fraud-api", "--since", "7d", "--limit", "3"]), all[..3]);

        let cut = list(&["--limit", "2"]).stdout;
        assert!(cut.contains("older ones are left out: `--limit 4` shows more"), "{cut}");
        for whole in [list(&["--limit", "4"]), list(&["--open", "--limit", "1"]), list(&[])] {
            assert!(!whole.stdout.contains("left out"), "{}", whole.stdout);
        }
        for wrong in ["--since=yesterday", "--since=-1h", "--limit=0", "--limit=10001"] {
            let ran = list(&[wrong]);
            assert_eq!(ran.code, 2, "{wrong}: {}", ran.stdout);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn decisions_and_signals_without_a_service_are_listed_by_what_is_asked_for_and_what_was_cut_is_said() {
    let folder = tempfile::tempdir().expect("folder");
    let folder = folder.path();
    let host = four_incidents(folder).await;
    for rule in ["one", "two", "three"] {
        assert_eq!(host.send(&firing(&[&[("team", "fraud"), ("alertname", rule)]])).await.status, 200);
    }
    for place in [&[][..], &["--host", &host.url]] {
        let ask = |list: &[&str], more: &[&str]| {
            let ran = as_olga(folder, &[place, list, more].concat());
            assert_eq!(ran.code, 0, "{list:?} {more:?}: {}{}", ran.stdout, ran.stderr);
            ran
        };
        for list in [&["decisions", "fraud-api"][..], &["decisions"], &["decisions", "fraud-api:1"]] {
            let decided = |more: &[&str]| {
                let page = ask(list, &[more, &["--json"]].concat()).json();
                (page["decisions"].as_array().expect("decisions").len(), page["more"].clone())
            };
            let (all, more) = decided(&[]);
            let is_of_one_incident = list[1..] == ["fraud-api:1"];
            assert!((all >= 2 || is_of_one_incident) && more == false, "{list:?}: {all}");
            assert_eq!(decided(&["--limit", "1"]), (1, (all > 1).into()), "{list:?}");
            let cut = ask(list, &["--limit", "1"]).stdout;
            assert_eq!(cut.contains("older ones are left out: `--limit 2` shows more"), all > 1, "{cut}");
            assert!(!ask(list, &[]).stdout.contains("left out"));
        }
        let none = ask(&["decisions", "fraud-api"], &["--since", "0s"]);
        assert!(none.stdout.contains("no decisions"), "{}", none.stdout);
        let number = |more: &[&str]| {
            let page = ask(&["decisions", "fraud-api"], &[more, &["--json"]].concat()).json();
            page["decisions"].as_array().map(Vec::len)
        };
        assert_eq!(number(&["--since", "1h"]), number(&[]), "all of them are of this hour");

        let unrouted = |more: &[&str]| ask(&["signals", "unrouted"], more);
        assert_eq!(unrouted(&["--json"]).json().as_array().map(Vec::len), Some(3));
        assert_eq!(unrouted(&["--json", "--limit", "2"]).json().as_array().map(Vec::len), Some(2));
        assert!(unrouted(&["--limit", "2"]).stdout.contains("left out"));
        assert!(!unrouted(&["--limit", "3"]).stdout.contains("left out"));
    }
}
