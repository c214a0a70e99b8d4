//! Votes signed by OpenSSH's own `ssh-keygen`, from key files, from an agent and elsewhere, and checked by it.
//!
//! Run with `cargo test --workspace --test suite -- --ignored openssh::`; it needs OpenSSH's client.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::run::{ModelServer, Ran, TOKEN, configure, finish, ripcord};

/// OpenSSH's program, with what it is to read.
fn ssh_keygen(folder: &Path, arguments: &[&str], input: &str) -> (bool, String) {
    let mut child = Command::new("ssh-keygen")
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("OpenSSH's client is installed");
    child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

fn new_key(folder: &Path, name: &str, kind: &[&str]) -> String {
    let arguments = [&["-q", "-N", "", "-C", name, "-f", name, "-t"], kind].concat();
    let (made, said) = ssh_keygen(folder, &arguments, "");
    assert!(made, "{said}");
    std::fs::read_to_string(folder.join(format!("{name}.pub"))).expect("a public key").trim().to_owned()
}

/// An agent, ended when dropped.
struct Agent(std::process::Child);

impl Agent {
    fn start(folder: &Path) -> Self {
        let socket = folder.join("agent");
        let child = Command::new("ssh-agent").arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()).spawn();
        let agent = Self(child.expect("OpenSSH's client is installed"));
        for _ in 0..200 {
            if socket.exists() {
                return agent;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        panic!("the agent does not start");
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A service whose plans four people must agree to, each with an SSH key: ada of a file, bob elsewhere, cleo by an agent, dan.
struct Stage {
    folder: tempfile::TempDir,
    _server: ModelServer,
}

impl Stage {
    fn new(floor: u32, dans_options: &str) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path();
        let server = ModelServer::start(path, "1.4.0");
        configure(path, &server.address);
        let ada = new_key(path, "ada", &["ed25519"]);
        let bob = new_key(path, "bob", &["ecdsa", "-b", "256"]);
        let cleo = new_key(path, "cleo", &["ed25519"]);
        let dan = new_key(path, "dan", &["ed25519"]);
        let allowed = format!(
            "# who may sign\nada@example.com,root@example.com {ada}\nbob namespaces=\"git,ripcord-vote\",valid-after=\"20200101Z\" {bob}\ncleo {cleo}\ndan {dans_options}{dan}\n"
        );
        std::fs::write(path.join("allowed_signers"), allowed).expect("writes");
        let text = std::fs::read_to_string(path.join("ripcord.toml")).expect("reads");
        let text = text.replace("[host]\n", "[host]\nallowed-signers = \"allowed_signers\"\n");
        let people = format!(
            "floor = [{{ role = \"approver\", people = {floor} }}]\n\
             [people.ada]\nroles = [\"approver\"]\nprincipal = \"ada@example.com\"\n\
             [people.bob]\nroles = [\"approver\"]\n[people.cleo]\nroles = [\"approver\"]\n\
             [people.dan]\nroles = [\"approver\"]\ntoken-env = \"DANS_TOKEN\"\n"
        );
        std::fs::write(path.join("ripcord.toml"), text + &people).expect("writes");
        let stage = Self { folder, _server: server };
        let pulled = stage.run(&["pull", "fraud-api", "--to", "1.3.2"], Some(TOKEN));
        assert_eq!(pulled.code, 3, "{}\n{}", pulled.stdout, pulled.stderr);
        stage
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn run(&self, arguments: &[&str], token: Option<&str>) -> Ran {
        let mut command = ripcord(self.path(), arguments);
        command.env("OLGAS_TOKEN", TOKEN).env("DANS_TOKEN", "fedcba9876543210fedcba9876543210");
        command.env("SSH_AUTH_SOCK", self.path().join("agent"));
        token.map(|token| command.env("RIPCORD_TOKEN", token));
        finish(&mut command)
    }

    /// What one of them is to sign, in a file.
    fn to_sign(&self, who: &str, more: &[&str]) -> String {
        let arguments = [&["plan", "show", "fraud-api:1", "--to-sign", "--person", who], more].concat();
        let printed = self.run(&arguments, None);
        assert_eq!(printed.code, 0, "{}", printed.stderr);
        assert!(
            printed.stderr.contains("plan 1 of fraud-api:1"),
            "whoever signs reads it: {}",
            printed.stderr
        );
        std::fs::write(self.path().join("vote"), &printed.stdout).expect("writes");
        printed.stdout
    }

    fn sign(&self, key: &str, namespace: &str) {
        let _ = std::fs::remove_file(self.path().join("vote.sig"));
        let (signed, said) = ssh_keygen(self.path(), &["-Y", "sign", "-n", namespace, "-f", key, "vote"], "");
        assert!(signed, "{said}");
    }
}

#[test]
#[ignore = "needs OpenSSH's client"]
fn keys_in_files_in_an_agent_and_elsewhere_approve_a_plan_and_openssh_agrees() {
    let stage = Stage::new(3, "");
    let by_file = stage.run(&["approve", "fraud-api:1", "--key", "ada", "--yes"], None);
    assert_eq!(by_file.code, 0, "{}\n{}", by_file.stdout, by_file.stderr);

    stage.to_sign("bob", &[]);
    stage.sign("bob", "ripcord-vote");
    let elsewhere = stage.run(&["approve", "fraud-api:1", "--signed", "vote", "--yes"], None);
    assert_eq!(elsewhere.code, 0, "{}\n{}", elsewhere.stdout, elsewhere.stderr);

    let _agent = Agent::start(stage.path());
    let added = Command::new("ssh-add")
        .args(["-q", "cleo"])
        .current_dir(stage.path())
        .env("SSH_AUTH_SOCK", stage.path().join("agent"))
        .status()
        .expect("OpenSSH's client is installed");
    assert!(added.success());
    std::fs::remove_file(stage.path().join("cleo")).expect("only the agent has it now");
    let by_agent = stage.run(&["approve", "fraud-api:1", "--key", "cleo.pub", "--yes"], None);
    assert_eq!(by_agent.code, 0, "{}\n{}", by_agent.stdout, by_agent.stderr);

    let shown = stage.run(&["--json", "incidents", "show", "fraud-api:1"], None).json();
    assert_eq!(shown["outcome"], "rolled-back", "{shown}");
    let votes = shown["votes"].as_array().expect("votes");
    assert_eq!(votes.len(), 3, "{shown}");
    for (vote, principal) in votes.iter().zip(["ada@example.com", "bob", "cleo"]) {
        assert_eq!(vote["kind"], "signature");
        let kept = vote["signed"].as_str().expect("what was signed is kept");
        let at = kept.find("-----BEGIN").expect("the signature follows");
        let (text, signature) = kept.split_at(at);
        std::fs::write(stage.path().join("kept.sig"), signature).expect("writes");
        let verify = |text: &str| {
            let arguments = [
                "-Y",
                "verify",
                "-f",
                "allowed_signers",
                "-I",
                principal,
                "-n",
                "ripcord-vote",
                "-s",
                "kept.sig",
            ];
            ssh_keygen(stage.path(), &arguments, text)
        };
        let (good, said) = verify(text);
        assert!(good && said.contains("Good \"ripcord-vote\" signature"), "{principal}: {said}");
        assert!(!verify(&text.replace("1.3.2", "1.3.3").replace("fraud", "frauds")).0, "{principal}");
    }
}

#[test]
#[ignore = "needs OpenSSH's client"]
fn a_signature_that_is_not_the_persons_for_this_vote_is_refused_and_says_why() {
    let stage = Stage::new(2, "valid-before=\"20210101Z\" ");
    let approve = |more: &[&str]| stage.run(&[&["approve", "fraud-api:1", "--yes"], more].concat(), None);
    let signed = |who: &str, more: &[&str], key: &str, namespace: &str| {
        stage.to_sign(who, more);
        stage.sign(key, namespace);
        approve(&["--signed", "vote"])
    };
    for (what, ran, wanted) in [
        ("for git", signed("bob", &[], "bob", "git"), "the signature is of the namespace `git`"),
        ("by another key", signed("bob", &[], "ada", "ripcord-vote"), "another key than the configured ones"),
        (
            "to refuse",
            signed("bob", &["--refuse"], "bob", "ripcord-vote"),
            "it is a refusal, and this would be an approval",
        ),
        (
            "to break the glass",
            signed("bob", &["--break-glass"], "bob", "ripcord-vote"),
            "it is a granting alone, past floor and policies, and this would be an approval",
        ),
        ("by nobody", signed("eve", &[], "bob", "ripcord-vote"), "not that of a configured person"),
        // His only key is too old, and his token does not stand in for it.
        ("too late", signed("dan", &[], "dan", "ripcord-vote"), "it is not valid now"),
    ] {
        assert_ne!(ran.code, 0, "{what}: {}\n{}", ran.stdout, ran.stderr);
        assert!(ran.stderr.contains(wanted), "{what}: {}", ran.stderr);
    }
    let by_token = stage.run(&["approve", "fraud-api:1", "--yes"], Some("fedcba9876543210fedcba9876543210"));
    assert_ne!(by_token.code, 0, "{}", by_token.stderr);
    // What was signed was changed afterwards, and its signature is of other bytes.
    let text = stage.to_sign("bob", &[]);
    stage.sign("bob", "ripcord-vote");
    std::fs::write(stage.path().join("vote"), text.replace("production", "staging")).expect("writes");
    let changed = approve(&["--signed", "vote"]);
    assert_eq!(changed.code, 4, "{}", changed.stderr);
    assert!(changed.stderr.contains("what it says of the plan is not so"), "{}", changed.stderr);
    std::fs::write(stage.path().join("vote"), "hello").expect("writes");
    assert!(approve(&["--signed", "vote"]).stderr.contains("is not what a vote signs"));
    assert!(approve(&["--signed", "nothing"]).stderr.contains("cannot read `nothing`"));
    let no_key = approve(&["--key", "ripcord.toml"]);
    assert_eq!(no_key.code, 2, "{}", no_key.stderr);
    assert!(no_key.stderr.contains("is no key to sign with"), "{}", no_key.stderr);
    // Nobody has voted.
    let shown = stage.run(&["--json", "incidents", "show", "fraud-api:1"], None).json();
    assert_eq!(shown["votes"], serde_json::json!([]), "{shown}");
    assert_eq!(signed("bob", &[], "bob", "ripcord-vote").code, 0);
    // The same file again is no second vote.
    let again = approve(&["--signed", "vote"]);
    assert_eq!(again.code, 0, "{}", again.stderr);
    let shown = stage.run(&["--json", "incidents", "show", "fraud-api:1"], None).json();
    assert_eq!(shown["votes"].as_array().map(Vec::len), Some(1), "{shown}");
}
