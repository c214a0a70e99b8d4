//! Telling people: at least once, with one stable id, never holding anything up.

use futures_util::future::join_all;
use ripcord_core::blob::BlobRef;
use ripcord_core::effect::{Outgoing, Topic};
use ripcord_core::event::{Announced, Event};
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_ports::notifier::Announcement;
use ripcord_ports::{Notifier, Retry};

use crate::batch::Batch;
use crate::context::Context;
use crate::host::Host;
use crate::setup::Announcing;

/// After the first failure of a notifier.
const PAUSE_FIRST: Millis = Millis(500);

pub(super) async fn announce(ctx: &Context, outgoing: Outgoing) -> Batch {
    let mut text = outgoing.text.clone();
    if matches!(outgoing.topic, Topic::IncidentOpened | Topic::ApprovalWanted)
        && let Some(incident) =
            ctx.incident().filter(|incident| Some(&incident.id) == outgoing.incident.as_ref())
    {
        // People are told at once, with what there is.
        let cause = ctx.text(&incident.reason.cause).await;
        let cause = cause.unwrap_or_else(|error| format!("(it cannot be read now: {error})"));
        text = format!("{text}. Cause: {cause}");
    }
    if let Some(why) = no_help(ctx, &outgoing).await {
        text = format!("{text}. {why}");
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
    let failures = deliver_to_all(&ctx.host, &announcement, outgoing.waits_since, ctx.now()).await;
    let mut batch = Batch::default();
    let failed = (!failures.is_empty()).then(|| batch.text(failures.join("\n")));
    batch.with(Event::Announced(Announced { id: outgoing.id, failed }))
}

/// Tries every notifier until it has delivered, or what is announced no longer matters; why the others were given up. `now` is the time of the journal that
/// announces it.
pub(crate) async fn deliver_to_all(
    host: &Host,
    announcement: &Announcement,
    waits_since: UnixMillis,
    now: UnixMillis,
) -> Vec<String> {
    let patience = Patience::new(host, waits_since, now);
    let notifiers = host.setup.notifiers.iter();
    let all = notifiers.map(|notifier| deliver(host, notifier.as_ref(), announcement, &patience));
    join_all(all).await.into_iter().flatten().collect()
}

/// Why going back would not have helped, and who can: whoever is paged must not have to look it up.
async fn no_help(ctx: &Context, outgoing: &Outgoing) -> Option<String> {
    let ended = ctx.service.last_settled.as_ref().filter(|_| matches!(outgoing.topic, Topic::Settled));
    let said = ended.filter(|ended| Some(&ended.id) == outgoing.incident.as_ref())?.no_help?;
    let text = |of: BlobRef| async move {
        let text = ctx.text(&of).await;
        text.unwrap_or_else(|error| format!("(it cannot be read now: {error})"))
    };
    let why = format!("Why: {}", text(said.reason).await);
    match said.hand_over_to {
        Some(who) => Some(format!("{why}. Hand over to: {}", text(who).await)),
        None => Some(why),
    }
}

/// How long an announcement matters, by time that passes: a clock that jumps takes nothing of it.
struct Patience {
    begun: Millis,
    left: Millis,
}

impl Patience {
    fn new(host: &Host, waits_since: UnixMillis, now: UnixMillis) -> Self {
        let until = waits_since + host.setup.announcing.matters_for;
        Self { begun: host.setup.clock.steady(), left: until.since(now) }
    }

    fn left(&self, host: &Host) -> Millis {
        let passed = host.setup.clock.steady().0.saturating_sub(self.begun.0);
        Millis(self.left.0.saturating_sub(passed))
    }
}

/// None once it is delivered, else why it was given up.
async fn deliver(
    host: &Host,
    notifier: &dyn Notifier,
    announcement: &Announcement,
    patience: &Patience,
) -> Option<String> {
    let Announcing { pause_max, .. } = host.setup.announcing;
    let clock = &host.setup.clock;
    let (mut pause, mut failures) = (PAUSE_FIRST, 0_u32);
    loop {
        let Err(error) = notifier.announce(announcement).await else { return None };
        failures += 1;
        let label = Some(("notifier", notifier.name()));
        host.counters.add("ripcord_announcement_failures_total", label, 1);
        let left = patience.left(host);
        if left == Millis(0) {
            tracing::error!(
                service = %announcement.service, notifier = notifier.name(), id = announcement.id, failures, %error,
                "people could not be told and it no longer matters: given up"
            );
            return Some(format!("{}: {error}", notifier.name()));
        }
        if failures == 1 {
            tracing::warn!(
                service = %announcement.service, notifier = notifier.name(), id = announcement.id, %error,
                "people could not be told yet; tried again until they are"
            );
        }
        let wait = if let Retry::After(asked) = error.retry { asked.max(pause) } else { pause };
        clock.sleep_until(clock.now() + wait.min(left)).await;
        pause = Millis(pause.0 * 2).min(pause_max);
    }
}
