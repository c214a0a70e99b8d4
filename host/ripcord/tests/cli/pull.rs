//! The rollback script of the textbooks, in one command: no host runs, no policy is configured.

use crate::run::{ModelServer, as_olga, configure};

#[test]
fn pull_brings_the_version_back_proves_it_and_records_it() {
    let folder = tempfile::tempdir().expect("folder");
    let folder = folder.path();
    let server = ModelServer::start(folder, "1.4.0");
    configure(folder, &server.address);

    let pulled = as_olga(folder, &["--json", "pull", "fraud-api", "--to", "1.3.2"]);
    assert_eq!(pulled.code, 0, "{}\n{}", pulled.stdout, pulled.stderr);
    let view = pulled.json();
    assert_eq!(view["outcome"], "rolled-back");
    assert_eq!((&view["before"], &view["after"]), (&"1.4.0".into(), &"1.3.2".into()));
    assert!(view["proof"].is_string(), "{view}");

    let id = view["id"].as_str().expect("id");
    let shown = as_olga(folder, &["incidents", "show", id]);
    assert_eq!(shown.code, 0, "{}", shown.stderr);
    assert!(shown.stdout.contains("olga pulled the cord, to version 1.3.2"), "{}", shown.stdout);
    let listed = as_olga(folder, &["--json", "incidents", "list"]).json();
    assert_eq!(listed[0]["outcome"], "rolled-back");
    let holds = as_olga(folder, &["hold", "list"]);
    assert!(holds.stdout.contains("1.4.0"), "{}", holds.stdout);
    assert_eq!(as_olga(folder, &["replay", "--all"]).code, 0);
}
