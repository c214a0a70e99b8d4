//! The rollback script of the textbooks, in one command: no host runs, no policy is configured.

use std::io::Write as _;

use crate::cli::run::{ModelServer, TOKEN, as_olga, configure, finish, ripcord, run};

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

#[test]
fn a_plan_waits_for_the_one_who_signs_it() {
    let folder = tempfile::tempdir().expect("folder");
    let folder = folder.path();
    let server = ModelServer::start(folder, "1.4.0");
    configure(folder, &server.address);
    let made = run(folder, &["--json", "key", "new", "ada.key"]).json();
    let mut file = std::fs::OpenOptions::new().append(true).open(folder.join("ripcord.toml")).expect("opens");
    let public = made["public_key"].as_str().expect("key");
    write!(file, "floor = [{{ role = \"approver\", people = 2 }}]\n[people.ada]\nroles = [\"approver\"]\n")
        .expect("writes");
    write!(
        file,
        "public-key = \"{public}\"\n[people.bob]\nroles = [\"approver\"]\ntoken-env = \"BOBS_TOKEN\"\n"
    )
    .expect("writes");
    drop(file);
    let as_person = |arguments: &[&str], token: Option<&str>| {
        let mut command = ripcord(folder, arguments);
        command.env("OLGAS_TOKEN", TOKEN).env("BOBS_TOKEN", "fedcba9876543210fedcba9876543210");
        token.map(|token| command.env("RIPCORD_TOKEN", token));
        finish(&mut command)
    };

    let pulled = as_person(&["pull", "fraud-api", "--to", "1.3.2"], Some(TOKEN));
    assert_eq!(pulled.code, 3, "{}", pulled.stderr);
    assert!(pulled.stdout.contains("it waits for 2 more of 2 with role `approver`"), "{}", pulled.stdout);

    let unmeant = as_person(&["approve", "fraud-api:1", "--key", "ada.key"], None);
    assert_eq!(unmeant.code, 2, "a script must say which plan it means: {}", unmeant.stderr);
    let other = "0".repeat(64);
    let stale = as_person(&["approve", "fraud-api:1", "--key", "ada.key", "--plan", &other], None);
    assert_eq!(stale.code, 4, "{}", stale.stderr);
    // The beginning of the digest says which, as people copy it.
    let digest = as_person(&["--json", "plan", "show", "fraud-api:1"], Some(TOKEN)).json()["digest"].clone();
    let digest = digest.as_str().expect("a digest");
    let with_plan = |start: &str| {
        as_person(&["approve", "fraud-api:1", "--key", "ada.key", "--plan", start], Some(TOKEN))
    };
    let too_short = with_plan(&digest[..7]);
    assert_eq!(too_short.code, 2, "{}", too_short.stdout);
    assert!(too_short.stderr.contains("at least its first 8"), "{}", too_short.stderr);
    let of_another = with_plan(if digest.starts_with('0') { "10000000" } else { "00000000" });
    assert_eq!(of_another.code, 4, "{}", of_another.stderr);
    // The token is another person's: the key counts.
    let signed = with_plan(&digest[..8].to_uppercase());
    assert_eq!(signed.code, 0, "{}", signed.stderr);
    let stranger = run(folder, &["--json", "key", "new", "eve.key"]);
    assert_eq!(stranger.code, 0);
    let forged = as_person(&["approve", "fraud-api:1", "--key", "eve.key", "--person", "bob", "--yes"], None);
    assert_eq!(forged.code, 4, "{}", forged.stdout);
    let granted = as_person(&["approve", "fraud-api:1", "--yes"], Some("fedcba9876543210fedcba9876543210"));
    assert_eq!(granted.code, 0, "{}", granted.stderr);

    let shown = as_person(&["--json", "incidents", "show", "fraud-api:1"], None).json();
    let votes: Vec<_> = shown["votes"]
        .as_array()
        .expect("votes")
        .iter()
        .map(|vote| format!("{} {}", vote["person"], vote["kind"]))
        .collect();
    assert_eq!(votes, ["\"ada\" \"signature\"", "\"bob\" \"session\""]);
    assert_eq!(shown["outcome"], "rolled-back", "without a host, the last vote's own process carries it out");
}
