//! Exit codes and the first line of what goes wrong, as `--help` promises them.

use crate::cli::run::{TOKEN, as_olga, configured, finish, ripcord, run};

const NOWHERE: &str = "127.0.0.1:9";

#[test]
fn each_end_has_its_code() {
    let folder = configured(NOWHERE);
    let folder = folder.path();
    let empty = tempfile::tempdir().expect("folder");
    let check = |in_folder, arguments: &[&str], code, said: &str| {
        let ran = run(in_folder, arguments);
        assert_eq!(ran.code, code, "{arguments:?}: {}", ran.stderr);
        let all = format!("{}{}", ran.stdout, ran.stderr);
        assert!(all.contains(said), "{arguments:?} should say `{said}`: {all}");
    };
    check(empty.path(), &["--help"], 0, "Exit codes:");
    check(empty.path(), &["policy", "inspect", "threshold-trigger"], 0, "trigger");
    check(empty.path(), &["key", "new", "mine.key"], 0, "public-key = \"");
    check(empty.path(), &["key", "new", "mine.key"], 1, "does not exist yet");
    check(empty.path(), &["flap"], 2, "unrecognized subcommand");
    check(empty.path(), &["replay"], 2, "ripcord replay [OPTIONS] <INCIDENT|--all>");
    check(empty.path(), &["pull", "a b"], 2, "`a b` is not a service name");
    check(empty.path(), &["status"], 2, "there is no configuration at `ripcord.toml`");
    check(empty.path(), &["policy", "inspect", "no-such"], 2, "neither a file nor a starter policy");
    check(empty.path(), &["policy", "build", "."], 2, "holds no crate");
    check(empty.path(), &["demo"], 2, "nobody is there to answer");
    check(folder, &["status"], 1, "no host answers");
    check(folder, &["status"], 1, "fraud-api  act, production, model fraud");
    check(folder, &["status", "other"], 2, "there is no service `other`");
    check(folder, &["incidents", "list"], 2, "there is no store at");
    check(folder, &["targets", "fraud-api"], 1, "its systems were not asked: no host answers");
    check(folder, &["targets", "other"], 2, "there is no service `other`");
    check(folder, &["targets", "fraud-api", "--facet", "limits"], 2, "no facet `limits`: it has `model`");
    check(folder, &["ready"], 1, "nobody can tell whether a rollback could be made: no host answers");
    check(folder, &["ready", "other"], 2, "there is no service `other`");
    check(folder, &["changes", "fraud-api"], 1, "histories and registry were not asked: no host answers");
    check(folder, &["changes", "other"], 2, "there is no service `other`");
    check(folder, &["changes", "fraud-api", "--since", "yesterday"], 2, "`yesterday`");
    check(folder, &["hold", "list"], 0, "no holds");
}

#[test]
fn who_proves_nothing_is_denied() {
    let folder = configured(NOWHERE);
    let folder = folder.path();
    let anonymous = finish(ripcord(folder, &["pause", "fraud-api"]).env("OLGAS_TOKEN", TOKEN));
    assert_eq!(anonymous.code, 4, "{}", anonymous.stderr);
    assert!(anonymous.stderr.contains("set `RIPCORD_TOKEN`"), "{}", anonymous.stderr);
    let wrong = ripcord(folder, &["pause", "fraud-api"])
        .env("OLGAS_TOKEN", TOKEN)
        .env("RIPCORD_TOKEN", "another")
        .output()
        .expect("runs");
    assert_eq!(wrong.status.code(), Some(4));
}

#[test]
fn an_order_without_a_running_host_is_obeyed_and_on_record() {
    let folder = configured(NOWHERE);
    let folder = folder.path();
    let paused = as_olga(folder, &["pause", "fraud-api", "--reason", "moving house"]);
    assert_eq!(paused.code, 0, "{}", paused.stderr);
    assert!(paused.stdout.contains("`fraud-api` is paused"), "{}", paused.stdout);
    let status = as_olga(folder, &["status", "--json"]);
    assert_eq!(status.json()[0]["paused_by"], "olga");
    let again = as_olga(folder, &["pause", "fraud-api"]);
    assert_eq!((again.code, again.stderr.as_str()), (1, "error: `fraud-api` is paused already\n"));
    assert_eq!(as_olga(folder, &["resume", "--all"]).code, 0);
    assert!(as_olga(folder, &["status", "--json"]).json()[0]["paused_by"].is_null());
}

#[test]
fn a_host_elsewhere_is_not_replaced_by_this_machine() {
    let folder = configured(NOWHERE);
    let folder = folder.path();
    let file = folder.join("ripcord.toml");
    let text = std::fs::read_to_string(&file).expect("file");
    // A name that no resolver knows (RFC 6761).
    let text = text.replacen("[host]", "[host]\npublic-url = \"http://ripcord.invalid:8787\"", 1);
    std::fs::write(&file, text).expect("writes");
    let ran = as_olga(folder, &["pause", "fraud-api"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("no host answers at `http://ripcord.invalid:8787/`"), "{}", ran.stderr);
    assert!(!folder.join("ripcord-data").exists(), "nothing was begun here");
}

#[test]
fn errors_are_one_json_document_too() {
    let empty = tempfile::tempdir().expect("folder");
    let ran = run(empty.path(), &["--json", "status"]);
    assert_eq!(ran.code, 2);
    assert_eq!(ran.json()["error"]["exit"], 2);
    assert!(ran.stderr.is_empty(), "{}", ran.stderr);
}

#[test]
fn colours_only_where_they_are_wanted() {
    let empty = tempfile::tempdir().expect("folder");
    let arguments = ["policy", "inspect", "threshold-trigger"];
    assert!(!run(empty.path(), &arguments).stdout.contains('\u{1b}'), "a pipe is no person");
    let always: Vec<_> = arguments.iter().copied().chain(["--color", "always"]).collect();
    assert!(run(empty.path(), &always).stdout.contains('\u{1b}'));
}

#[test]
fn shells_and_man_know_the_commands() {
    let folder = tempfile::tempdir().expect("folder");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = run(folder.path(), &["completions", shell]);
        assert_eq!(ran.code, 0, "{shell}: {}", ran.stderr);
        for command in ["backtest", "policy", "pull"] {
            assert!(ran.stdout.contains(command), "{shell} does not know `{command}`");
        }
    }
    let bash = run(folder.path(), &["completions", "bash"]).stdout;
    std::fs::write(folder.path().join("completions"), bash).expect("writes");
    let read =
        std::process::Command::new("bash").args(["-n", "completions"]).current_dir(folder.path()).status();
    assert!(read.is_ok_and(|status| status.success()), "bash cannot read what it is given");

    let ran = run(folder.path(), &["--json", "man", "pages"]);
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    let page = std::fs::read_to_string(folder.path().join("pages/ripcord-backtest.1")).expect("a page");
    assert!(
        page.contains("ripcord backtest threshold") || page.contains("backtest threshold\\-trigger"),
        "{page}"
    );
}
