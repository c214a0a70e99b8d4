//! What a person signs, and with what: a key that Ripcord made, an SSH key, or one that is kept elsewhere.
//!
//! SSH signatures are made by OpenSSH's own `ssh-keygen`: it knows agents, passphrases and security keys.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use ripcord_core::foreign::Foreign;
use ripcord_core::name::{IncidentId, PersonName};
use ripcord_core::plan::{VoteStatement, Word};
use ripcord_core::votes::Nonce;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use super::reach::Reach;
use super::{Outcome, incidents};
use crate::cli::{Global, PlanShowArgs};
use crate::http::wire::{PlanView, VoteBody};
use crate::key::Key;
use crate::output::{Exit, Failure, Page, Text, Whole, plan, prompt, text};
use crate::signers::PublicKey;
use crate::signers::ssh::{SshKey, VOTE_NAMESPACE, is_armored};

/// A longer file is neither a key nor a vote.
const FILE_BYTES_MAX: u64 = 64 << 10;
/// So long somebody may look for their security key, or type their passphrase.
const PATIENCE: Duration = Duration::from_mins(5);

/// With what a vote is signed here.
#[derive(Debug)]
pub(super) enum SigningKey {
    /// Made by `ripcord key new`.
    Own(Key),
    /// For `ssh-keygen`: a private key file, or a public one whose other half an agent has.
    Ssh { file: PathBuf, public: SshKey },
}

impl SigningKey {
    /// Reads a key file of either kind.
    ///
    /// # Errors
    /// It cannot be read, is no key, or others may read it.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let text = read_text(path)?;
        if Key::is_one(&text) {
            return Key::read(path).map(Self::Own);
        }
        let public = SshKey::of_file(&text).map_err(|why| {
            Failure::usage(format!("`{}` is no key to sign with: {why}", path.display()))
                .help("give a file that `ripcord key new FILE` or `ssh-keygen` wrote")
        })?;
        Ok(Self::Ssh { file: path.to_owned(), public })
    }

    /// As the configuration has it.
    pub(super) fn public(&self) -> PublicKey {
        match self {
            Self::Own(key) => PublicKey::Ed25519(key.public_bytes()),
            Self::Ssh { public, .. } => PublicKey::Ssh(public.clone()),
        }
    }

    /// The line that makes it somebody's key.
    pub(super) fn where_to(&self) -> String {
        match self {
            Self::Own(key) => format!("add `public-key = \"{}\"` below `[people.NAME]`", key.public()),
            Self::Ssh { .. } => "add a line to the file that `allowed-signers` of `[host]` names".to_owned(),
        }
    }

    async fn sign(&self, text: &str) -> Result<String, Failure> {
        match self {
            Self::Own(key) => Ok(key.sign_bytes(text.as_bytes())),
            Self::Ssh { file, .. } => ssh_keygen(file, text).await,
        }
    }
}

/// A signed vote.
#[derive(Debug)]
pub(crate) struct SignedWord {
    person: PersonName,
    nonce: Nonce,
    signature: String,
}

impl SignedWord {
    /// Signs a word on the plan.
    pub(super) async fn new(
        plan: &PlanView,
        about: &IncidentId,
        word: Word,
        key: &SigningKey,
    ) -> Result<Self, Failure> {
        let statement = statement(plan, about, word)?;
        let text = signed_text(&statement)?;
        let signature = key.sign(&text).await?;
        Ok(Self { person: statement.person, nonce: statement.nonce, signature })
    }

    /// The same by a key that is at hand.
    #[cfg(feature = "demo")]
    pub(crate) fn by_own(plan: &PlanView, word: Word, key: &Key) -> Result<Self, Failure> {
        let statement = statement(plan, &plan.plan.incident, word)?;
        let signature = key.sign_bytes(signed_text(&statement)?.as_bytes());
        Ok(Self { person: statement.person, nonce: statement.nonce, signature })
    }

    /// Reads what was signed elsewhere: the statement, and its signature beside it.
    ///
    /// # Errors
    /// Either cannot be read, or is of something else than this word on the plan.
    pub(super) fn read(
        file: &Path,
        plan: &PlanView,
        about: &IncidentId,
        granted: bool,
        break_glass: bool,
    ) -> Result<Self, Failure> {
        let shown = file.display();
        let text = read_text(file)?;
        let statement = VoteStatement::of_signed_text(&text).ok_or_else(|| {
            Failure::usage(format!("`{shown}` is not what a vote signs"))
                .help("`ripcord plan show INCIDENT --to-sign` prints it, for a file")
        })?;
        let mut beside = file.as_os_str().to_owned();
        beside.push(".sig");
        let signature = read_text(Path::new(&beside))?;
        if !is_armored(&signature) {
            return Err(Failure::usage(format!("`{shown}.sig` is no SSH signature"))
                .help(format!("`ssh-keygen -Y sign -n {VOTE_NAMESPACE} -f KEY {shown}` writes it")));
        }
        let person = statement.person.clone();
        let word = Word { person: person.clone(), granted, break_glass };
        let wanted = VoteStatement::of(&plan.plan, about, word, statement.nonce.clone())
            .map_err(|error| Failure::of(Exit::Failed, error))?;
        if statement != wanted {
            return Err(Failure::new(
                Exit::Refused,
                format!("`{shown}` was signed for something else: {}", difference(&statement, &wanted)),
            )
            .help("`ripcord plan show INCIDENT --to-sign` prints what is to be signed now"));
        }
        Ok(Self { person, nonce: statement.nonce, signature })
    }

    /// Writes it into the vote.
    pub(crate) fn put_into(self, body: &mut VoteBody) {
        body.person = Some(self.person);
        body.nonce = Some(self.nonce);
        body.signature = Some(self.signature);
    }
}

/// In words, the first thing in which two statements differ.
fn difference(signed: &VoteStatement, wanted: &VoteStatement) -> String {
    let word = |statement: &VoteStatement| match (statement.granted, statement.break_glass) {
        (true, true) => "a granting alone, past floor and policies",
        (true, false) => "an approval",
        (false, _) => "a refusal",
    };
    if signed.incident != wanted.incident {
        format!("it is about `{}`, and this is `{}`", signed.incident, wanted.incident)
    } else if signed.installation != wanted.installation {
        "it is for another installation".to_owned()
    } else if signed.plan != wanted.plan {
        format!("its plan is `{}`, and the plan at hand is `{}`", signed.plan, wanted.plan)
    } else if word(signed) != word(wanted) {
        format!("it is {}, and this would be {}", word(signed), word(wanted))
    } else {
        "what it says of the plan is not so".to_owned()
    }
}

/// `ripcord plan show --to-sign`: the plan on standard error, and the bytes that are signed on standard output.
pub(super) async fn print(global: &Global, args: &PlanShowArgs) -> Outcome {
    let reach = Reach::new(global)?;
    let person = match (&args.person, reach.logged_in_as()) {
        (Some(name), _) => PersonName::new(name).map_err(|error| Failure::of(Exit::Usage, error))?,
        (None, Some(person)) => person.clone(),
        (None, None) => {
            return Err(Failure::usage("nobody is named who is to sign")
                .help("give your name in the configuration with `--person`"));
        }
    };
    let view = incidents::plan_of(&reach, &args.incident).await?;
    let word = Word { person, granted: !args.refuse, break_glass: args.break_glass };
    let statement = statement(&view, &args.incident, word)?;
    let signed = signed_text(&statement)?;
    // What is printed is signed as it is printed.
    if signed.lines().any(|line| Foreign::source(line).is_changed()) {
        return Err(Failure::failed("the plan holds text that cannot be printed as it is signed")
            .help(format!("sign it with `ripcord approve {} --key FILE`", args.incident)));
    }
    prompt(global.color, &text!("{}\n", plan::text(&view)));
    let lines = signed.lines().map(|line| text!("{}", Whole(Foreign::source(line))));
    let text = Text::joined(lines, "\n");
    Ok(Page::done(text, &json!({ "namespace": VOTE_NAMESPACE, "to_sign": signed, "statement": statement })))
}

fn statement(plan: &PlanView, about: &IncidentId, word: Word) -> Result<VoteStatement, Failure> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::failed(format!("the system gives no random bytes: {error}")))?;
    VoteStatement::of(&plan.plan, about, word, Nonce::of(bytes))
        .map_err(|error| Failure::of(Exit::Failed, error))
}

fn signed_text(statement: &VoteStatement) -> Result<String, Failure> {
    statement.signed_text().map_err(|error| Failure::of(Exit::Failed, error))
}

fn read_text(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(FILE_BYTES_MAX).read_to_string(&mut text));
    match read {
        Ok(_) => Ok(text),
        Err(cause) => Err(Failure::usage(format!("cannot read `{}`", path.display())).because(cause)),
    }
}

/// Has OpenSSH sign the text. Whatever it asks of a person it asks on the terminal.
async fn ssh_keygen(key: &Path, text: &str) -> Result<String, Failure> {
    let unable = |cause: std::io::Error| {
        Failure::failed("OpenSSH's `ssh-keygen`, which signs with SSH keys, cannot be run").because(cause).help(
            "install OpenSSH's client, or sign elsewhere what `ripcord plan show INCIDENT --to-sign` prints",
        )
    };
    let mut child = tokio::process::Command::new("ssh-keygen")
        .args(["-Y", "sign", "-n", VOTE_NAMESPACE, "-f"])
        .arg(key)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .spawn()
        .map_err(unable)?;
    let mut input = child.stdin.take();
    let run = async {
        if let Some(input) = &mut input {
            // One that ends before it has read has said why on standard error.
            let _ = input.write_all(text.as_bytes()).await;
        }
        drop(input);
        child.wait_with_output().await
    };
    let output = tokio::time::timeout(PATIENCE, run).await.map_err(|_| {
        Failure::failed(format!("`ssh-keygen` has not signed within {} minutes", PATIENCE.as_secs() / 60))
            .help("unlock the key, or touch it when it blinks, and try again")
    })?;
    let output = output.map_err(unable)?;
    let signature = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() || !is_armored(&signature) {
        return Err(Failure::failed(format!("`ssh-keygen` has not signed with `{}`", key.display()))
            .help("what it says above is the reason; a public key needs an agent that has its other half"));
    }
    Ok(signature)
}
