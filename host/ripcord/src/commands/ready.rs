//! `ripcord ready`.

use std::collections::BTreeMap;

use ripcord_core::name::ServiceName;
use ripcord_engine::{PartReadiness, ReadyWord};
use serde::Serialize;

use super::states::names;
use super::{Outcome, Reach};
use crate::cli::Global;
use crate::client::{Client, Live};
use crate::http::wire::ReadinessView;
use crate::output::style::{BAD, DIM, GOOD, STRONG, paint};
use crate::output::table::{Cell, Table};
use crate::output::time::instant;
use crate::output::{Exit, Page, Paragraph, Text, text};

/// What a script reads.
#[derive(Debug, Serialize)]
struct AllReadiness {
    /// Whether every part of every service is ready.
    is_ready: bool,
    /// Parts that are ready.
    ready: usize,
    /// Parts that should be.
    wanted: usize,
    services: Vec<ReadinessView>,
    /// Services that the host could not be asked about, and why: nobody knows whether they are ready.
    not_asked: BTreeMap<ServiceName, String>,
}

pub(super) async fn ready(global: &Global, service: Option<&ServiceName>) -> Outcome {
    let reach = Reach::new(global)?;
    if let Some(host) = reach.far()? {
        return look(&host, service, &[]).await;
    }
    let known = names(&reach, service)?;
    match reach.answering().await {
        Ok(host) => look(&host, service, &known).await,
        Err(why) => {
            let text =
                paint(BAD, text!("nobody can tell whether a rollback could be made: {}", Paragraph(&why)));
            let none = all(Vec::new(), BTreeMap::new());
            Ok(Page::new(Exit::Failed, text, &none))
        }
    }
}

/// One after the other: a look asks every system that the service is connected to.
async fn look(host: &Client, service: Option<&ServiceName>, known: &[ServiceName]) -> Outcome {
    if let Some(service) = service {
        return Ok(page(all(vec![host.readiness(service).await?], BTreeMap::new())));
    }
    let (mut services, mut not_asked) = (Vec::new(), BTreeMap::new());
    for view in host.services(known, Live::Skipped).await? {
        // One that cannot be asked about hides no other.
        match host.readiness(&view.name).await {
            Ok(looked) => services.push(looked),
            Err(error) => _ = not_asked.insert(view.name, error.to_string()),
        }
    }
    Ok(page(all(services, not_asked)))
}

fn all(services: Vec<ReadinessView>, not_asked: BTreeMap<ServiceName, String>) -> AllReadiness {
    AllReadiness {
        is_ready: !services.is_empty() && not_asked.is_empty() && services.iter().all(|view| view.is_ready),
        ready: services.iter().map(|view| view.ready).sum(),
        wanted: services.iter().map(|view| view.wanted).sum(),
        services,
        not_asked,
    }
}

fn page(all: AllReadiness) -> Page {
    let exit = if all.is_ready { Exit::Done } else { Exit::Failed };
    let mut lines: Vec<_> = all.services.iter().map(of_service).collect();
    for (service, why) in &all.not_asked {
        let word = paint(BAD, "NOT READY");
        lines.push(text!(
            "{}  {}  it could not be asked about: {}",
            paint(STRONG, service),
            word,
            Paragraph(why)
        ));
    }
    if lines.is_empty() {
        lines.push(text!("the host protects no service"));
    } else if all.services.len() > 1 {
        lines.push(text!("{} of {} parts are ready", all.ready, all.wanted));
    }
    Page::new(exit, Text::joined(lines, "\n"), &all)
}

fn of_service(view: &ReadinessView) -> Text {
    let (style, word) = if view.is_ready { (GOOD, "ready") } else { (BAD, "NOT READY") };
    let head = text!(
        "{}  {}  {} of {} parts  {}",
        paint(STRONG, &view.service),
        paint(style, word),
        view.ready,
        view.wanted,
        paint(DIM, instant(view.at))
    );
    let mut table = Table::new(["part", "", "what was seen, or why not and what to do"]);
    for PartReadiness { part, word, text } in &view.parts {
        let (style, said) = match word {
            ReadyWord::Ready => (GOOD, "ready"),
            ReadyWord::NotReady => (BAD, "NOT READY"),
            ReadyWord::NotWanted => (DIM, "not wanted"),
        };
        table.row([part.into(), Cell::new(style, said), text!("{}", Paragraph(text)).into()]);
    }
    Text::joined([head, text!("{}", table).trimmed(), Text::default()], "\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::hostile;
    use serde_json::json;

    fn view(words: &[&str]) -> ReadinessView {
        let part = |word: &&str| json!({ "part": "target", "word": word, "text": "odd" });
        let parts: Vec<_> = words.iter().map(part).collect();
        let ready = words.iter().filter(|word| **word == "ready").count();
        let wanted = words.iter().filter(|word| **word != "not-wanted").count();
        let view = json!({
            "service": "s", "at": "1", "is_ready": ready == wanted, "ready": ready, "wanted": wanted, "parts": parts,
        });
        serde_json::from_value(view).expect("a view")
    }

    #[test]
    fn nothing_that_others_wrote_gets_out_of_its_place() {
        let view = view(&["ready", "not-ready", "not-wanted"]);
        for (name, text) in hostile::table() {
            let (view, spoilt) = hostile::spoilt(&view, &text);
            assert!(spoilt > 2, "{name}: {spoilt}");
            let odd = BTreeMap::from([(view.service.clone(), text.clone())]);
            hostile::assert_harmless(&page(all(vec![view], odd)).text, name);
        }
    }

    #[test]
    fn one_part_of_one_service_that_is_not_ready_fails() {
        let views = |of: &[&[&str]]| of.iter().map(|words| view(words)).collect::<Vec<_>>();
        let exit_of = |of: &[&[&str]]| page(all(views(of), BTreeMap::new())).exit;
        assert_eq!(exit_of(&[&["ready", "not-wanted"], &["ready"]]), Exit::Done);
        assert_eq!(exit_of(&[&["ready", "not-wanted"], &["ready", "not-ready"]]), Exit::Failed);
        assert_eq!(exit_of(&[]), Exit::Failed, "nothing is protected");
        let odd = BTreeMap::from([(ServiceName::new("t").expect("a name"), "busy".to_owned())]);
        let one = page(all(views(&[&["ready"]]), odd));
        assert_eq!(one.exit, Exit::Failed, "of one it is not known");
    }
}
