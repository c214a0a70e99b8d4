//! `ripcord approve` and `ripcord refuse`.

use std::io::{BufRead as _, IsTerminal as _};

use ripcord_core::name::{IncidentId, PersonName};
use ripcord_core::plan;

use super::reach::Reach;
use super::signing::{SignedWord, SigningKey};
use super::{Outcome, incidents};
use crate::cli::{Global, VoteArgs};
use crate::client::Client;
use crate::config::PersonConfig;
use crate::http::wire::{Done, PlanView, VoteBody};
#[cfg(feature = "demo")]
use crate::key::Key;
use crate::output::{Color, Exit, Failure, Form, Page, Paragraph, Text, plan as plan_page, prompt, text};

/// What is said to a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    Approve,
    Refuse,
}

impl Word {
    const fn verb(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Refuse => "refuse",
        }
    }
}

pub(super) async fn vote(global: &Global, args: &VoteArgs, word: Word) -> Outcome {
    if args.break_glass && word == Word::Refuse {
        return Err(Failure::usage("a refusal breaks no glass")
            .help("leave out `--break-glass`: one refusal ends the plan"));
    }
    if word == Word::Refuse && args.reason.trim().is_empty() {
        return Err(
            Failure::usage("a refusal says why").help("add `--reason TEXT`, for those who plan again")
        );
    }
    let reach = Reach::new(global)?;
    let signer =
        args.key.as_ref().map(|path| Signer::new(&reach, args, SigningKey::read(path)?)).transpose()?;
    let host = reach.host().await?;
    let outcome = async {
        let view = fetch(&reach, host.client(), &args.incident).await?;
        if let Some(wanted) = args.plan.as_ref().filter(|wanted| !wanted.fits(&view.digest)) {
            return Err(Failure::new(
                Exit::Refused,
                format!("the plan at hand is `{}`, not `{wanted}`", view.digest),
            )
            .help(format!("read it with `ripcord plan show {}`", args.incident)));
        }
        agree(global, args, word, &view).await?;
        cast(host.client(), args, &view, word, signer.as_ref()).await
    };
    let outcome = outcome.await;
    let service = args.incident.service().filter(|_| outcome.is_ok());
    host.leave(service.as_ref(), &reach.progress).await?;
    let done = outcome?;
    Ok(Page::done(Paragraph(&done.text), &done))
}

/// The plan at hand, its digest computed again from what is shown. Who has a key and no token reads it from the store.
async fn fetch(reach: &Reach, client: &Client, incident: &IncidentId) -> Result<PlanView, Failure> {
    match client.has_token() {
        true => incidents::checked(reach, client.plan(incident).await?, incident).await,
        false => incidents::plan_of(reach, incident).await,
    }
}

/// Shows the plan and asks, where a person is there to answer.
async fn agree(global: &Global, args: &VoteArgs, word: Word, view: &PlanView) -> Result<(), Failure> {
    if args.yes {
        return Ok(());
    }
    // A script that names the digest has read the plan; any other must say that it means it.
    if global.form() == Form::Json || !std::io::stdin().is_terminal() {
        if args.plan.is_some() {
            return Ok(());
        }
        return Err(Failure::usage(format!(
            "nobody is there to say that this plan is meant: `{}`",
            view.digest
        ))
        .help("give its digest with `--plan`, or `--yes`"));
    }
    let alone = if args.break_glass { " alone, past floor and policies" } else { "" };
    let question = text!("{}{}: {}?", word.verb(), alone, plan_page::change(&view.plan));
    if ask(global.color, &plan_page::text(view), &question).await? {
        return Ok(());
    }
    Err(Failure::new(Exit::Refused, "nothing was sent"))
}

/// A question with yes or no.
pub(crate) async fn ask(color: Color, text: &Text, question: &Text) -> Result<bool, Failure> {
    let answer = ask_for(color, &text!("\n{}\n{} [y/N] ", text, question)).await?;
    Ok(matches!(answer.to_lowercase().as_str(), "y" | "yes"))
}

/// A line that a person types, on standard error: standard output is for the answer of the command.
pub(crate) async fn ask_for(color: Color, question: &Text) -> Result<String, Failure> {
    prompt(color, question);
    let read = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map(|_| line)
    });
    let line = read.await.map_err(|error| Failure::failed("the answer was lost").because(error))?;
    let line = line.map_err(|cause| Failure::failed("the answer cannot be read").because(cause))?;
    Ok(line.trim().to_owned())
}

/// Who signs, and with what.
#[derive(Debug)]
struct Signer {
    person: PersonName,
    key: SigningKey,
}

impl Signer {
    /// The person is named, is who logged in, or is the one whose public key the configuration has.
    fn new(reach: &Reach, args: &VoteArgs, key: SigningKey) -> Result<Self, Failure> {
        let person = match (&args.person, reach.logged_in_as()) {
            (Some(name), _) => PersonName::new(name).map_err(|error| Failure::of(Exit::Usage, error))?,
            (None, Some(person)) => person.clone(),
            (None, None) => {
                let public = key.public();
                let has_it =
                    |person: &&PersonConfig| person.signers().iter().any(|signer| signer.key == public);
                let owner = reach.here()?.people.iter().find(has_it);
                owner.map(|person| person.name.clone()).ok_or_else(|| {
                    Failure::usage("the configuration has nobody with this key")
                        .help(format!("{}, or give `--person`", key.where_to()))
                })?
            }
        };
        Ok(Self { person, key })
    }
}

/// A member of a set carries out the plan of the set's run, and has votes of its own: what is voted on is what was asked about.
async fn cast(
    client: &Client,
    args: &VoteArgs,
    view: &PlanView,
    word: Word,
    signer: Option<&Signer>,
) -> Result<Done, Failure> {
    let (about, granted, break_glass) = (&args.incident, word == Word::Approve, args.break_glass);
    let mut body = VoteBody {
        plan: view.digest,
        reason: args.reason.trim().to_owned(),
        signature: None,
        nonce: None,
        person: None,
        break_glass,
    };
    let signed = match (&args.signed, signer) {
        (Some(file), _) => SignedWord::read(file, view, about, granted, break_glass)?,
        (None, Some(Signer { person, key })) => {
            let said = plan::Word { person: person.clone(), granted, break_glass };
            SignedWord::new(view, about, said, key).await?
        }
        (None, None) => return send(client, about, word, &body).await,
    };
    signed.put_into(&mut body);
    // The signature says who it is; a token that happens to be set may be another person's.
    send(&client.without_token(), about, word, &body).await
}

async fn send(client: &Client, about: &IncidentId, word: Word, body: &VoteBody) -> Result<Done, Failure> {
    Ok(client.order_of_incident(about, word.verb(), body).await?)
}

/// An approval by signature.
#[cfg(feature = "demo")]
#[derive(Debug)]
pub(crate) struct SignedVote<'a> {
    pub(crate) plan: &'a PlanView,
    pub(crate) person: &'a str,
    pub(crate) key: &'a Key,
    pub(crate) reason: &'a str,
}

#[cfg(feature = "demo")]
impl SignedVote<'_> {
    pub(crate) async fn cast(&self, client: &Client) -> Result<Done, Failure> {
        let person = PersonName::new(self.person).map_err(|error| Failure::of(Exit::Usage, error))?;
        let mut body = VoteBody {
            plan: self.plan.digest,
            reason: self.reason.to_owned(),
            signature: None,
            nonce: None,
            person: None,
            break_glass: false,
        };
        let said = plan::Word { person, granted: true, break_glass: false };
        SignedWord::by_own(self.plan, said, self.key)?.put_into(&mut body);
        send(client, &self.plan.plan.incident, Word::Approve, &body).await
    }
}
