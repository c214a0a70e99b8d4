//! Telling people: at least once, with one stable id, never holding anything up.

use ripcord_core::effect::{Outgoing, Topic};
use ripcord_core::event::{Announced, Event};
use ripcord_core::time::Millis;
use ripcord_ports::notifier::Announcement;

use super::Context;
use crate::batch::Batch;
use futures_util::future::join_all;

/// Rounds of attempts before a notifier is given up for this announcement.
const ATTEMPTS: u32 = 6;

pub(super) async fn announce(ctx: &Context, outgoing: Outgoing) -> Batch {
    let mut text = outgoing.text.clone();
    if matches!(outgoing.topic, Topic::IncidentOpened | Topic::ApprovalWanted)
        && let Some(incident) = ctx.incident()
    {
        text = format!("{text}. Cause: {}", ctx.text(&incident.reason.cause).await);
    }
    let announcement = Announcement {
        id: outgoing.id.clone(),
        service: ctx.setup.name.clone(),
        incident: outgoing.incident,
        severity: outgoing.severity,
        topic: outgoing.topic.as_str().to_owned(),
        text,
        at: outgoing.at,
    };
    let failures: Vec<String> = join_all(
        ctx.host.setup.notifiers.iter().map(|notifier| deliver(ctx, notifier.as_ref(), &announcement)),
    )
    .await
    .into_iter()
    .flatten()
    .collect();
    let mut batch = Batch::default();
    let failed = (!failures.is_empty()).then(|| batch.text(failures.join("\n")));
    batch.with(Event::Announced(Announced { id: outgoing.id, failed }))
}

/// None once it is delivered, else why it was given up.
async fn deliver(
    ctx: &Context,
    notifier: &dyn ripcord_ports::Notifier,
    announcement: &Announcement,
) -> Option<String> {
    let mut pause = Millis(500);
    for attempt in 1..=ATTEMPTS {
        match notifier.announce(announcement).await {
            Ok(()) => return None,
            Err(error) if attempt == ATTEMPTS => {
                tracing::error!(service = %announcement.service, notifier = notifier.name(), %error, "people could not be told");
                return Some(format!("{}: {error}", notifier.name()));
            }
            Err(_) => {
                let again = ctx.host.setup.clock.now() + pause;
                ctx.host.setup.clock.sleep_until(again).await;
                pause = Millis(pause.0 * 2);
            }
        }
    }
    None
}
