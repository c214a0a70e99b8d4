//! `ripcord login` and `ripcord context`: the hosts that a person reaches without a configuration.

use std::io::{IsTerminal as _, Read as _};

use ripcord_adapters::Secret;
use serde_json::json;

use super::Outcome;
use crate::cli::{ContextCommand, Global, LoginArgs};
use crate::client::Client;
use crate::client::contexts::{Context, Contexts, check_name, name_of};
use crate::output::style::{STRONG, WARN, paint};
use crate::output::table::{Cell, Table};
use crate::output::{Exit, Failure, Page, Text, text};

/// A longer token is none.
const TOKEN_BYTES_MAX: u64 = 64 << 10;

/// Proves the token to the host, and keeps both.
pub(super) async fn login(global: &Global, args: &LoginArgs) -> Outcome {
    let name = args.name.clone().unwrap_or_else(|| name_of(&args.url));
    check_name(&name).map_err(|failure| match args.name {
        Some(_) => failure,
        None => failure.help("give one with `--name`"),
    })?;
    // Before the host is asked: a file that cannot be read must not be found after the token was sent.
    let mut contexts = Contexts::load()?;
    let token = match global.token()? {
        Some(token) => token,
        None => typed()?,
    };
    let client = Client::remote(&args.url, Some(token.expose().to_owned()))?;
    let exposed = client.token_is_exposed();
    let me = client.whoami().await?;
    let context = Context::new(args.url.clone(), me.person.clone(), me.installation, &token);
    let before = contexts.contexts.insert(name.clone(), context);
    contexts.current = Some(name.clone());
    let file = contexts.save()?;
    let roles: Vec<_> = me.roles.iter().map(ToString::to_string).collect();
    let mut said: Vec<Text> = vec![
        text!("you are {} at {}, with the roles {}", paint(STRONG, &me.person), args.url, roles.join(", ")),
        text!(
            "the context `{}` is in {}; commands without a configuration ask this host",
            name,
            file.display()
        ),
    ];
    if before.is_some_and(|before| before.installation != me.installation) {
        let changed = "the installation is another one than the last time: if nobody told you why, find out who answers there";
        said.push(paint(WARN, changed));
    }
    if exposed {
        let open = "your token went there unencrypted: put TLS before the host and log in with `https://…`";
        said.push(paint(WARN, open));
    }
    let json = json!({
        "context": name, "host": args.url, "person": me.person, "roles": me.roles, "installation": me.installation,
        "file": file, "unencrypted": exposed,
    });
    Ok(Page::done(Text::joined(said, "\n"), &json))
}

/// The token as the person types it, unseen, or as a program hands it over.
fn typed() -> Result<Secret, Failure> {
    let unable = |cause: std::io::Error| Failure::usage("the token cannot be read").because(cause);
    let token = if std::io::stdin().is_terminal() {
        rpassword::prompt_password("token: ").map_err(unable)?
    } else {
        let mut token = String::new();
        std::io::stdin().lock().take(TOKEN_BYTES_MAX).read_to_string(&mut token).map_err(unable)?;
        token
    };
    let token = token.trim();
    if token.is_empty() {
        return Err(Failure::usage("no token was given")
            .help("type it, pipe it into this command, give `--token-file FILE`, or set `RIPCORD_TOKEN`"));
    }
    Ok(Secret::new(token))
}

pub(super) fn run(command: &ContextCommand) -> Outcome {
    match command {
        ContextCommand::List => list(),
        ContextCommand::Use { name } => choose(name),
        ContextCommand::Remove { name } => remove(name),
    }
}

fn list() -> Outcome {
    let contexts = Contexts::load()?;
    if contexts.contexts.is_empty() {
        return Ok(Page::done("no contexts; `ripcord login URL` makes one", &json!([])));
    }
    let is_current = |name: &String| contexts.current.as_ref() == Some(name);
    let mut table = Table::new(["", "context", "host", "person"]);
    for (name, context) in &contexts.contexts {
        table.row([
            Cell::from(if is_current(name) { "*" } else { "" }),
            name.as_str().into(),
            context.host.as_str().into(),
            (&context.person).into(),
        ]);
    }
    let line = |(name, context): (&String, &Context)| {
        json!({
            "context": name, "host": context.host, "person": context.person, "installation": context.installation,
            "current": is_current(name),
        })
    };
    Ok(Page::done(table, &contexts.contexts.iter().map(line).collect::<Vec<_>>()))
}

fn choose(name: &str) -> Outcome {
    let mut contexts = Contexts::load()?;
    let host = contexts.named(name)?.host.clone();
    contexts.current = Some(name.to_owned());
    contexts.save()?;
    let said = text!("commands without a configuration ask {} from now on", host);
    Ok(Page::done(said, &json!({ "context": name, "host": host })))
}

fn remove(name: &str) -> Outcome {
    let mut contexts = Contexts::load()?;
    contexts.named(name)?;
    let Some(context) = contexts.contexts.remove(name) else {
        return Err(Failure::new(Exit::Usage, format!("there is no context `{name}`")));
    };
    let was_current = contexts.current.as_deref() == Some(name);
    if was_current {
        contexts.current = None;
    }
    contexts.save()?;
    let next = if was_current { "; no context is current: `ripcord context use NAME`" } else { "" };
    let said = text!("forgot the token for {}{}", context.host, next);
    Ok(Page::done(said, &json!({ "context": name, "host": context.host })))
}
