//! A person on another machine than the host's: an address and a token are all that they have.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::run::{Ran, TOKEN, configured, finish, ripcord, run};
use crate::support::host::Host;

const NOWHERE: &str = "127.0.0.1:9";

/// What a person types into an empty folder, with a home that the folder holds.
fn with_token(laptop: &Path, arguments: &[&str]) -> Ran {
    finish(ripcord(laptop, arguments).env("RIPCORD_TOKEN", TOKEN))
}

fn contexts(laptop: &Path) -> PathBuf {
    laptop.join("config-of-the-person/ripcord/contexts.toml")
}

fn token_file(laptop: &Path, token: &str) -> String {
    let file = laptop.join("token");
    std::fs::write(&file, format!("{token}\n")).expect("writes");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("chmod");
    file.display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_and_a_token_are_enough() {
    let (home, laptop) = (configured(NOWHERE), tempfile::tempdir().expect("a folder"));
    let (host, laptop) = (Host::start(home.path()).await, laptop.path());
    let ask = |arguments: &[&str]| {
        let ran = with_token(laptop, &[&["--host", &host.url], arguments].concat());
        // Nothing protects a service without a trigger, and `status` says so.
        let code = i32::from(arguments[0] == "status");
        assert_eq!(ran.code, code, "{arguments:?}: {}{}", ran.stdout, ran.stderr);
        ran.stdout
    };
    assert!(ask(&["status"]).contains("fraud-api  act, production, model fraud"));
    assert!(ask(&["pause", "--all", "--reason", "moving house"]).contains("fraud-api"));
    assert!(ask(&["status", "fraud-api"]).contains("by olga"));
    assert!(ask(&["resume", "fraud-api"]).contains("fraud-api"));
    assert_eq!(ask(&["incidents", "list"]), "no incidents\n");
    assert_eq!(ask(&["hold", "list"]), "no holds\n");
    assert!(ask(&["signals", "unrouted"]).contains("every alert found its service"));
    assert!(ask(&["signals", "set-aside"]).contains("no alert is set aside"));
    let unknown = with_token(laptop, &["--host", &host.url, "hold", "list", "other"]);
    assert_eq!(unknown.code, 2, "{}", unknown.stderr);
    assert!(unknown.stderr.contains("there is no service `other`"), "{}", unknown.stderr);
    let nobody = run(laptop, &["--host", &host.url, "status"]);
    assert_eq!(nobody.code, 4, "{}", nobody.stderr);
    assert!(nobody.stderr.contains("ripcord login"), "{}", nobody.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_logs_in_is_known_from_then_on() {
    let (home, laptop) = (configured(NOWHERE), tempfile::tempdir().expect("a folder"));
    let (host, laptop) = (Host::start(home.path()).await, laptop.path());
    let wrong = run(laptop, &["login", &host.url, "--token-file", &token_file(laptop, "another")]);
    assert_eq!(wrong.code, 4, "{}", wrong.stderr);
    assert!(!contexts(laptop).exists(), "what the host refuses is not kept");

    let token = token_file(laptop, TOKEN);
    let done = run(laptop, &["login", &host.url, "--name", "home", "--token-file", &token]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(done.stdout.contains("you are olga"), "{}", done.stdout);
    assert!(!format!("{}{}", done.stdout, done.stderr).contains(TOKEN));
    let mode = contexts(laptop).metadata().expect("a file").permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);

    for arguments in [&["status"][..], &["--host", &host.url, "status"], &["--context", "home", "status"]] {
        let ran = run(laptop, arguments);
        assert_eq!(ran.code, 1, "{arguments:?}: {}", ran.stderr);
        assert!(ran.stdout.contains("fraud-api"), "{arguments:?}: {}", ran.stdout);
    }
    let list = run(laptop, &["context", "list", "--json"]);
    assert_eq!(list.json()[0]["person"], "olga");
    assert!(!list.stdout.contains(TOKEN));

    // The variable may be for another host: what was given at the login is meant.
    let of_another = finish(ripcord(laptop, &["status"]).env("RIPCORD_TOKEN", "token-of-another-host"));
    assert!(of_another.stdout.contains("fraud-api"), "{}", of_another.stderr);

    // The token is for this host and no other.
    let elsewhere = run(laptop, &["--host", "http://127.0.0.1:9", "status"]);
    assert_eq!(elsewhere.code, 1, "{}", elsewhere.stderr);
    assert!(elsewhere.stderr.contains("no host answers at `http://127.0.0.1:9/`"), "{}", elsewhere.stderr);
    // A configuration in the folder goes before the current context.
    let at_home = run(home.path(), &["status"]);
    assert!(at_home.stdout.contains("fraud-api"), "{}", at_home.stderr);

    let open = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(contexts(laptop), open).expect("chmod");
    let refused = run(laptop, &["status"]);
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(refused.stderr.contains("chmod 600"), "{}", refused.stderr);
    std::fs::set_permissions(contexts(laptop), std::fs::Permissions::from_mode(0o600)).expect("chmod");

    assert_eq!(run(laptop, &["context", "remove", "home"]).code, 0);
    let forgotten = run(laptop, &["status"]);
    assert_eq!(forgotten.code, 2, "{}", forgotten.stderr);
    assert!(forgotten.stderr.contains("ripcord login URL"), "{}", forgotten.stderr);
    assert!(!std::fs::read_to_string(contexts(laptop)).expect("the file").contains(TOKEN));
}

/// Writes down what each request proves itself with, and answers nothing that helps; gives its address.
fn listener(heard: Arc<Mutex<Vec<String>>>) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("its address"));
    std::thread::spawn(move || {
        for mut peer in listener.incoming().map_while(Result::ok) {
            let mut lines = BufReader::new(peer.try_clone().expect("a peer")).lines().map_while(Result::ok);
            let head: Vec<String> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
            let proof = head.into_iter().find(|line| line.to_ascii_lowercase().starts_with("authorization:"));
            heard.lock().expect("no panic").push(proof.unwrap_or_default());
            let _ =
                peer.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        }
    });
    url
}

/// Where one token is for one host, and the variable holds that of another, each host hears its own and no other.
#[tokio::test(flavor = "multi_thread")]
async fn the_token_of_one_host_is_not_sent_to_another() {
    let (home, laptop) = (configured(NOWHERE), tempfile::tempdir().expect("a folder"));
    let (host, laptop) = (Host::start(home.path()).await, laptop.path());
    let token = token_file(laptop, TOKEN);
    let login = run(laptop, &["login", &host.url, "--name", "home", "--token-file", &token]);
    assert_eq!(login.code, 0, "{}", login.stderr);
    let heard = Arc::new(Mutex::new(Vec::new()));
    let other = listener(heard.clone());
    let heard = || std::mem::take(&mut *heard.lock().expect("no panic"));

    // Without a token of its own the other host hears none, and certainly not that of home.
    for arguments in [&["--host", &other, "status"][..], &["--host", &other, "pause", "--all"]] {
        assert_ne!(run(laptop, arguments).code, 0);
        let heard = heard();
        assert!(!heard.is_empty() && heard.iter().all(String::is_empty), "{arguments:?}: {heard:?}");
    }
    // The variable is meant for the address that is typed beside it.
    let other_token = "of-the-other-host-0123456789";
    let with_variable =
        |arguments: &[&str]| finish(ripcord(laptop, arguments).env("RIPCORD_TOKEN", other_token));
    assert_ne!(with_variable(&["--host", &other, "status"]).code, 0);
    let told = heard();
    assert!(!told.is_empty() && told.iter().all(|proof| proof.ends_with(other_token)), "{told:?}");
    // Home is asked with the token that was given at the login: the variable's would be refused there.
    for arguments in [&["status"][..], &["--context", "home", "status"], &["--host", &host.url, "status"]] {
        let ran = with_variable(arguments);
        assert!(ran.stdout.contains("fraud-api"), "{arguments:?}: {}", ran.stderr);
    }
    // A configuration in the folder is another host's: the current context's token is none for it.
    let text = format!("[host]\nlisten = \"127.0.0.1:9\"\npublic-url = \"{other}\"\n");
    std::fs::write(laptop.join("ripcord.toml"), text).expect("writes");
    run(laptop, &["status"]);
    let told = heard();
    assert!(told.iter().all(String::is_empty), "{told:?}");
}

/// What the host's machine alone can tell is refused with a sentence, and no other host is meant by chance.
#[test]
fn files_of_the_host_are_not_looked_for_here() {
    let laptop = tempfile::tempdir().expect("a folder");
    let table: [(&[&str], &str); 7] = [
        (&["store", "show"], "this reads files of the host at `http://127.0.0.1:9`"),
        (&["replay", "--all"], "this reads files of the host at `http://127.0.0.1:9`"),
        (&["serve"], "the command `serve` is about the files of this machine"),
        (&["check"], "the command `check` is about the files of this machine"),
        (&["init"], "the command `init` is about the files of this machine"),
        (&["status", "--context", "home"], "cannot be used with"),
        (&["status"], "no host answers at"),
    ];
    for (arguments, said) in table {
        let ran = with_token(laptop.path(), &[arguments, &["--host", "http://127.0.0.1:9"]].concat());
        assert_ne!(ran.code, 0, "{arguments:?}");
        assert!(ran.stderr.contains(said), "{arguments:?} should say `{said}`: {}", ran.stderr);
    }
    let none = with_token(laptop.path(), &["--context", "home", "status"]);
    assert_eq!(none.code, 2);
    assert!(none.stderr.contains("there is no context `home`"), "{}", none.stderr);
    for address in ["nonsense", "ftp://h", ""] {
        let ran = with_token(laptop.path(), &["--host", address, "status"]);
        assert_eq!(ran.code, 2, "{address}: {}", ran.stderr);
        assert!(ran.stderr.contains("is not the address of a host"), "{address}: {}", ran.stderr);
    }
}
