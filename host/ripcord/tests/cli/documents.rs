//! What people keep: the playbook of a service, a plan as a runbook, the report on an incident.

use std::io::Write as _;

use crate::cli::run::{ModelServer, as_olga, configure};

#[test]
fn a_service_a_plan_and_an_incident_are_written_down() {
    let folder = tempfile::tempdir().expect("folder");
    let folder = folder.path();
    let server = ModelServer::start(folder, "1.4.0");
    configure(folder, &server.address);
    let mut file = std::fs::OpenOptions::new().append(true).open(folder.join("ripcord.toml")).expect("opens");
    write!(
        file,
        "floor = [{{ role = \"approver\", people = 1 }}, {{ role = \"security\", people = 1 }}]\nveto = [\"admin\"]\n\
         [[services.fraud-api.approvals]]\npolicy = \"two-key\"\nsettings = {{ people = 2, role = \"approver\", expires-after = \"1h\" }}\n"
    )
    .expect("writes");
    drop(file);

    let playbook = as_olga(folder, &["playbook", "fraud-api"]);
    assert_eq!(playbook.code, 0, "{}", playbook.stderr);
    for part in [
        "# Playbook of `fraud-api`",
        "No trigger: a rollback begins when somebody pulls.",
        "Under every policy: 1 with role `approver` and 1 with role `security`.",
        "A refusal ends the plan where it is of the role `admin`.",
        "| `two-key` | `expires-after = \"1h\"`, `people = 2`, `role = \"approver\"` |",
        "| olga | operator, approver, admin | a token |",
        "No drill is on record.",
    ] {
        assert!(playbook.stdout.contains(part), "{part}: {}", playbook.stdout);
    }
    let unknown = as_olga(folder, &["playbook", "fraud"]);
    assert_eq!(unknown.code, 2, "{}", unknown.stdout);
    assert!(unknown.stderr.contains("it has `fraud-api`"), "{}", unknown.stderr);
    let none = tempfile::tempdir().expect("folder");
    std::fs::write(none.path().join("ripcord.toml"), "").expect("writes");
    let none = as_olga(none.path(), &["playbook", "fraud"]);
    assert!(none.stderr.contains("it has none yet: add `[services.NAME]`"), "{}", none.stderr);

    let pulled =
        as_olga(folder, &["pull", "fraud-api", "--to", "1.3.2", "--reason", "it <b>declines</b> everyone"]);
    assert_eq!(pulled.code, 3, "{}\n{}", pulled.stdout, pulled.stderr);
    let runbook = as_olga(folder, &["plan", "show", "fraud-api:1", "--runbook"]);
    assert_eq!(runbook.code, 0, "{}", runbook.stderr);
    for part in [
        "# Runbook: plan 1 of fraud-api:1",
        "1. Fetch and check the artefact",
        "only what it answers counts",
        "version 1.3.2",
    ] {
        assert!(runbook.stdout.contains(part), "{part}: {}", runbook.stdout);
    }
    let refused = as_olga(folder, &["refuse", "fraud-api:1", "--yes"]);
    assert_eq!(refused.code, 2, "a refusal says why: {}", refused.stdout);
    let abort = as_olga(folder, &["abort", "fraud-api:1", "--reason", "it was the data"]);
    assert_eq!(abort.code, 0, "{}", abort.stderr);

    let report = as_olga(folder, &["incidents", "report", "fraud-api:1"]);
    assert_eq!(report.code, 0, "{}", report.stderr);
    for part in [
        "it \\<b\\>declines\\</b\\> everyone",
        "## Who agreed to what\n\nNobody voted",
        "## What to ask next",
        "which trigger, on which number, and at which limit?",
    ] {
        assert!(report.stdout.contains(part), "{part}: {}", report.stdout);
    }
    let html = as_olga(folder, &["incidents", "report", "fraud-api:1", "--form", "html"]);
    assert!(html.stdout.starts_with("<!doctype html>"), "{}", html.stdout);
    assert!(html.stdout.contains("it &lt;b&gt;declines&lt;/b&gt; everyone"), "{}", html.stdout);
    let json = as_olga(folder, &["--json", "incidents", "report", "fraud-api:1"]).json();
    assert_eq!(json["form"], "markdown");
    assert_eq!(json["document"].as_str().map(str::trim_end), Some(report.stdout.trim_end()));
}
