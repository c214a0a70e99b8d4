//! Runs that make a version: begun with an intent on disk, looked at every so often, ended.

use std::sync::Arc;

use ripcord_core::blob::BlobKind;
use ripcord_core::digest::Digest;
use ripcord_core::event::{
    Event, LookWord, MadeOf, RequestChanged, RunBegan, RunFailed, RunLookedAt, RunLost, RunMade, RunReturned,
    RunStopped, StartWord,
};
use ripcord_core::name::IncidentId;
use ripcord_core::plan::StepKind;
use ripcord_core::request::Filled;
use ripcord_core::service::{Run, RunState};
use ripcord_core::signal::Label;
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_ports::producer::{Candidate, ProduceOrder, Progress};
use ripcord_ports::{Applied, Clock as _, ErrorKind, PortError, Producer};

use crate::batch::Batch;
use crate::context::Context;
use crate::mailbox::append;
use crate::nature;
use crate::requests;

/// Of what a producer says of its run, so much is kept: one line.
const TEXT_CHARS_MAX: usize = 300;
/// Of why it has failed, so much.
const REASON_CHARS_MAX: usize = 4_000;
/// Of what a version was made of, so many entries.
const LABELS_MAX: usize = 200;

/// The run that an effect is about, with who can tell of it.
struct AtHand<'a> {
    run: &'a Run,
    producer: &'a Arc<dyn Producer>,
    order: ProduceOrder,
}

/// None where the state has moved on.
fn at_hand(ctx: &Context, key: Digest) -> Option<AtHand<'_>> {
    let run = ctx.service.producing.run.as_ref().filter(|run| run.key == key)?;
    let producer = ctx.setup.ports.producer.as_ref()?;
    let order = ProduceOrder {
        key: run.key.to_string(),
        service: ctx.setup.name.clone(),
        target: run.ordered.target.clone(),
        incident: run.ordered.incident.clone(),
        plan: run.ordered.plan,
        deadline: ctx.setup.terms.deadlines.shift,
    };
    Some(AtHand { run, producer, order })
}

/// The intent first; without it on disk nothing is started. Where it is there, the same start is made with the same key, by the same request.
pub(super) async fn start(ctx: &Context, run: Digest, attempt: u32, approved: Digest) -> Batch {
    let Some(AtHand { run: at_hand, producer, order }) = at_hand(ctx, run) else { return Batch::default() };
    let is_due = matches!(at_hand.state, RunState::Due(_));
    let filled = Filled {
        plan: Some(order.plan),
        incident: order.incident.clone(),
        expected: String::new(),
        key: order.key.clone(),
        staged: None,
        attempt,
    };
    let now = requests::of_target(&ctx.setup.ports, &order.target, None);
    let request = match requests::as_approved(now, approved, &filled) {
        Ok(sent) => sent,
        Err(now) if is_due => {
            let (plan, step) = (order.plan, StepKind::Produce);
            tracing::error!(service = %ctx.service.name, %plan, "what would be sent for a run is no longer what was approved: it is not sent");
            let changed = RequestChanged { plan, rung: 0, step, approved, now };
            return Batch::of(Event::RequestChanged(changed));
        }
        // It is not given again with another request: what became of the one that was given is looked for.
        Err(_) => return found(producer.as_ref(), run, attempt, &order).await,
    };
    if is_due {
        let ordered = &at_hand.ordered;
        if let Err(instead) = ctx.ordered_plan(ordered).await {
            return instead;
        }
        let began = Batch::of(Event::RunBegan(RunBegan { run, attempt, request }));
        if let Err(error) = append(&ctx.mailbox, began).await {
            tracing::warn!(service = %ctx.service.name, %error, "the run was not begun");
            return Batch::default();
        }
    }
    let mut batch = Batch::default();
    let word = match producer.start(&order).await {
        Ok(()) => StartWord::Started,
        Err(error) => {
            tracing::warn!(service = %ctx.service.name, %error, "a run could not be started");
            failed_start(&mut batch, &error)
        }
    };
    batch.with(Event::RunReturned(RunReturned { run, attempt, word }))
}

/// What became of a start that may have been made, by a look.
async fn found(producer: &dyn Producer, run: Digest, attempt: u32, order: &ProduceOrder) -> Batch {
    match producer.progress(order).await {
        Ok(progress) => seen(run, progress),
        Err(error) => {
            let mut batch = Batch::default();
            let word = StartWord::Unknown(batch.text(error.to_string()));
            batch.with(Event::RunReturned(RunReturned { run, attempt, word }))
        }
    }
}

fn failed_start(batch: &mut Batch, error: &PortError) -> StartWord {
    let reason = batch.text(error.to_string());
    if error.applied == Applied::Unknown {
        StartWord::Unknown(reason)
    } else {
        StartWord::NotStarted { reason, nature: nature::of_port_error(error) }
    }
}

/// When it is looked, and what of that is news.
pub(super) struct Pace {
    /// Not before.
    pub(super) from: UnixMillis,
    /// Between two looks.
    pub(super) every: Millis,
    /// From then on it is news that the run goes on.
    pub(super) news_from: UnixMillis,
}

/// So many looks in a row show no run before it counts as lost.
const GONE_LOOKS: u32 = 20;

/// Looks until there is news: only that enters the journal, however long the run takes.
pub(super) async fn look(ctx: &Context, run: Digest, pace: Pace) -> Batch {
    let Some(AtHand { run: at_hand, producer, order }) = at_hand(ctx, run) else { return Batch::default() };
    let first_look = matches!(at_hand.state, RunState::Began { .. }) || at_hand.shown.is_none();
    let mut unread_since: Option<UnixMillis> = None;
    let goes_on = matches!(at_hand.state, RunState::GoesOn);
    let mut gone_looks = 0;
    ctx.clock.sleep_until(pace.from).await;
    // A look may register what was made: nothing of that goes elsewhere than was approved.
    let now = requests::of_target(&ctx.setup.ports, &order.target, None).map(|request| request.digest());
    let is_as_approved = matches!(now, Some(Ok(now)) if now == at_hand.ordered.request);
    loop {
        let progress = if is_as_approved {
            producer.progress(&order).await
        } else {
            Err(not_as_approved(&at_hand.ordered.incident))
        };
        match progress {
            Ok(Progress::Running { .. }) if !first_look && !at_hand.told && ctx.now() < pace.news_from => {
                (unread_since, gone_looks) = (None, 0);
            }
            // What stands before a pipeline has its own moments: a run is given up, and another one allowed, after many looks that say the same.
            Ok(Progress::Lost(_)) if gone_looks < GONE_LOOKS => gone_looks += 1,
            Ok(Progress::NotStarted) if goes_on && gone_looks < GONE_LOOKS => gone_looks += 1,
            Ok(progress) => return seen(run, progress),
            Err(error) => {
                let since = *unread_since.get_or_insert(ctx.now());
                if !at_hand.told && ctx.now() >= since + ctx.setup.terms.deadlines.no_data {
                    let mut batch = Batch::default();
                    let word = LookWord::Unread(batch.text(error.to_string()));
                    return batch.with(Event::RunLookedAt(RunLookedAt { run, word }));
                }
            }
        }
        ctx.clock.sleep_until(ctx.now() + pace.every).await;
    }
}

fn not_as_approved(incident: &IncidentId) -> PortError {
    let text = format!(
        "what makes and registers the version is no longer what was approved, so its run is not looked at: configure it again as it was, or `ripcord runs stop {incident} --reason TEXT` ends it"
    );
    PortError::not_applied(ErrorKind::Configuration, text)
}

fn seen(run: Digest, progress: Progress) -> Batch {
    let mut batch = Batch::default();
    let event = match progress {
        Progress::NotStarted => Event::RunLookedAt(RunLookedAt { run, word: LookWord::NotStarted }),
        Progress::Running { text, since } => {
            let text = batch.text(one_line(&text));
            Event::RunLookedAt(RunLookedAt { run, word: LookWord::Running { text, since } })
        }
        Progress::Made(candidate) => return made(run, candidate),
        Progress::Failed(why) => Event::RunFailed(RunFailed { run, reason: batch.text(at_most(&why)) }),
        Progress::Lost(why) => Event::RunLost(RunLost { run, reason: batch.text(at_most(&why)) }),
    };
    batch.with(event)
}

fn made(run: Digest, candidate: Candidate) -> Batch {
    let mut batch = Batch::default();
    let Candidate { version, made_of, measures } = candidate;
    let left_out = made_of.len().saturating_sub(LABELS_MAX);
    let mut made_of: Vec<Label> = made_of
        .into_iter()
        .take(LABELS_MAX)
        .map(|label| Label::new(one_line(&label.name), one_line(&label.value)))
        .collect();
    if left_out > 0 {
        made_of.push(Label::new("left-out", format!("{left_out} more entries")));
    }
    // What is not finite has no form in JSON, and is worth knowing.
    let (finite, not): (Vec<_>, Vec<_>) =
        measures.into_iter().take(LABELS_MAX).partition(|measure| measure.value.is_finite());
    made_of.extend(not.iter().map(|measure| Label::new(one_line(&measure.name), measure.value.to_string())));
    let made_of = batch.json(BlobKind::Candidate, &MadeOf { made_of, measures: finite });
    batch.with(Event::RunMade(RunMade { run, version, made_of }))
}

pub(super) async fn stop(ctx: &Context, run: Digest) -> Batch {
    let Some(AtHand { producer, order, .. }) = at_hand(ctx, run) else { return Batch::default() };
    let mut batch = Batch::default();
    let failed = match producer.stop(&order).await {
        Ok(()) => None,
        Err(error) => {
            tracing::warn!(service = %ctx.service.name, %error, "a run could not be stopped");
            Some(batch.text(error.to_string()))
        }
    };
    batch.with(Event::RunStopped(RunStopped { run, failed }))
}

fn one_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(TEXT_CHARS_MAX).collect()
}

fn at_most(text: &str) -> String {
    text.chars().take(REASON_CHARS_MAX).collect()
}
