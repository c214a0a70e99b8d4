//! Asking the triggers, all about the same alerts at the same instant.

use ripcord_core::alert::{AlertKey, StandingAlert};
use ripcord_core::event::{
    DataState, Decision, Event, FaultNature, Reason, Said, TriggerAsked, TriggerWord, TriggersAsked,
};
use ripcord_core::fact::UnavailableReason;
use ripcord_core::policy::Role;
use ripcord_core::role::{TriggerInput, TriggerVerdict};
use ripcord_core::service::{Alert, Judged};
use ripcord_core::time::UnixMillis;
use ripcord_ports::store::StoreError;

use crate::asking::scheduled;
use crate::batch::Batch;
use crate::context::{AlertsRead, Context};
use crate::decide::{context, decide};
use crate::decided::Decided;
use crate::kept_facts;
use crate::nature;
use crate::setup::PlacedPolicy;
use futures_util::future::try_join_all;

/// Calls of one question by which the alerts that a trigger faults on are looked for. Five hundred alerts with one such among them take about twenty.
const SEARCH_CALLS_MAX: usize = 32;

pub(super) async fn ask(ctx: &Context, up_to: u64) -> Batch {
    ask_all(ctx, up_to).await.unwrap_or_else(|error| ctx.read_later(&error))
}

/// All are asked, or none: an error says that something of the question cannot be read now.
async fn ask_all(ctx: &Context, up_to: u64) -> Result<Batch, StoreError> {
    let now = ctx.now();
    let alerts = ctx.alerts_for_triggers().await?;
    let asking = ctx.setup.policies(Role::Trigger).map(|placed| one(ctx, placed, &alerts, now));
    let mut batch = Batch::default();
    let mut asked = Vec::new();
    for (trigger, own) in try_join_all(asking).await? {
        batch.absorb(own);
        asked.push(trigger);
    }
    let seen = ctx.service.watching.alerts.words();
    Ok(batch.with(Event::TriggersAsked(TriggersAsked {
        up_to,
        seen,
        incident: ctx.incident().map(|open| open.id.clone()),
        asked,
    })))
}

async fn one(
    ctx: &Context,
    placed: &PlacedPolicy,
    read: &AlertsRead,
    now: UnixMillis,
) -> Result<(TriggerAsked, Batch), StoreError> {
    let name = &placed.policy.reference().name;
    let all = ctx.service.watching.alerts.all();
    let (aside, judged): (Vec<&Alert>, Vec<&Alert>) =
        all.into_iter().partition(|alert| alert.set_aside_by.contains(name));
    let aside: Vec<SignalPlace> =
        aside.into_iter().map(|alert| (alert.content.commitment, alert.word.index)).collect();
    let mut alerts = read.readable.clone();
    alerts.retain(|alert| place(alert).is_none_or(|place| !aside.contains(&place)));
    let first = about(ctx, placed, &alerts, now).await?;
    let Search { last, set_aside, left, searched, batch } = match &first.end {
        Err(fault) if nature::of_fault(fault) == FaultNature::Deterministic && !alerts.is_empty() => {
            search(ctx, placed, alerts, first, now).await?
        }
        _ => Search::ended(first),
    };
    // What nobody can read any more is judged by nobody, which people must know: it is set aside too.
    let gone = judged.iter().map(|alert| alert.word.alert).filter(|alert| read.gone.contains(alert));
    let set_aside = set_aside.iter().filter_map(|alert| key(ctx, alert)).chain(gone).collect();
    let (asked, batch) = trigger_asked(ctx, last, batch);
    Ok((TriggerAsked { set_aside, left, searched, ..asked }, batch))
}

type SignalPlace = (ripcord_core::digest::Digest, u32);

fn place(alert: &StandingAlert) -> Option<SignalPlace> {
    alert.stored.map(|stored| crate::alert_contents::place(&stored))
}

fn key(ctx: &Context, given: &StandingAlert) -> Option<AlertKey> {
    let all = ctx.service.watching.alerts.all();
    let is = |alert: &&&Alert| place(given) == Some((alert.content.commitment, alert.word.index));
    all.iter().find(is).map(|alert| alert.word.alert)
}

/// One question: about these alerts, or about none.
async fn about(
    ctx: &Context,
    placed: &PlacedPolicy,
    alerts: &[StandingAlert],
    now: UnixMillis,
) -> Result<Decided<TriggerVerdict>, StoreError> {
    let context = context(ctx, placed, Role::Trigger, now).await?;
    let signals = match alerts {
        [] => scheduled(now).map(StandingAlert::from).into_iter().collect(),
        alerts => alerts.to_vec(),
    };
    Ok(decide(ctx, placed, TriggerInput { context, signals, facts: Vec::new() }, None).await)
}

/// A question whose answer counts, and what was asked to find the alerts that it is not about.
struct Search {
    last: Decided<TriggerVerdict>,
    set_aside: Vec<StandingAlert>,
    /// How many are still to be asked about.
    left: u32,
    searched: Vec<Decision>,
    /// Of the searched ones.
    batch: Batch,
}

impl Search {
    fn ended(last: Decided<TriggerVerdict>) -> Self {
        Self { last, set_aside: Vec::new(), left: 0, searched: Vec::new(), batch: Batch::default() }
    }

    /// The answer that counts is this one now.
    fn found(&mut self, decided: Decided<TriggerVerdict>) {
        let before = std::mem::replace(&mut self.last, decided);
        self.searched.push(before.decision);
        self.batch.absorb(before.batch);
    }

    /// This one only tells where to go on.
    fn missed(&mut self, decided: Decided<TriggerVerdict>) {
        self.searched.push(decided.decision);
        self.batch.absorb(decided.batch);
    }
}

/// Looks for the alerts that a trigger faults on by asking about ever fewer together with those that it answers, so that the last answer is about
/// all that it answers. What was not found out within the bound is asked about with the next question: each finds at least one. A trigger that
/// faults without any alert faults by itself: then nothing is set aside.
async fn search(
    ctx: &Context,
    placed: &PlacedPolicy,
    alerts: Vec<StandingAlert>,
    fault: Decided<TriggerVerdict>,
    now: UnixMillis,
) -> Result<Search, StoreError> {
    let mut search = Search::ended(fault);
    let without = about(ctx, placed, &[], now).await?;
    if without.end.is_err() {
        search.missed(without);
        return Ok(search);
    }
    search.found(without);
    let mut answered: Vec<StandingAlert> = Vec::new();
    let waits = |alert: &StandingAlert| {
        let all = ctx.service.watching.alerts.all();
        let known =
            all.into_iter().find(|known| place(alert) == Some((known.content.commitment, known.word.index)));
        known.is_some_and(|known| known.judged == Judged::Waiting)
    };
    // What was answered before goes first: the fault is most likely in what is new.
    let (new, old): (Vec<_>, Vec<_>) = alerts.into_iter().partition(waits);
    // All at once is what it faulted on already.
    let mut parts = if old.is_empty() { halves(new).to_vec() } else { vec![new, old] };
    while let Some(part) = parts.pop() {
        if part.is_empty() {
            continue;
        }
        if search.searched.len() >= SEARCH_CALLS_MAX {
            search.left += u32::try_from(part.len()).unwrap_or(u32::MAX);
            continue;
        }
        let mut both = [answered.as_slice(), part.as_slice()].concat();
        both.sort_by_key(|alert| (alert.last_seen_at, alert.stored.map(|stored| stored.index)));
        let decided = about(ctx, placed, &both, now).await?;
        match &decided.end {
            Ok(_) => {
                answered = both;
                search.found(decided);
            }
            Err(fault) if nature::of_fault(fault) == FaultNature::Environmental => {
                // Nothing is known of what is left: it is asked about again.
                search.found(decided);
                return Ok(search);
            }
            Err(_) if part.len() == 1 => {
                search.missed(decided);
                search.set_aside.extend(part);
            }
            Err(_) => {
                search.missed(decided);
                parts.extend(halves(part));
            }
        }
    }
    Ok(search)
}

/// The first half last, so that it is taken first.
fn halves(part: Vec<StandingAlert>) -> [Vec<StandingAlert>; 2] {
    let mut part = part;
    let second = part.split_off(part.len().div_ceil(2));
    [second, part]
}

/// What the decision lacked. Where all that it lacked is what a query did not select, and it judged all the same, that was a value to it.
fn data(decided: &Decided<TriggerVerdict>) -> DataState {
    let mut missing = decided.facts.iter().filter_map(|fact| fact.value.as_ref().err()).peekable();
    let judged = matches!(decided.end, Ok(ref verdict) if !matches!(verdict, TriggerVerdict::Watch(_)));
    let has_missing = missing.peek().is_some();
    if has_missing && judged && missing.all(|why| why.reason == UnavailableReason::NoData) {
        DataState::NothingSelected
    } else {
        decided.decision.data
    }
}

/// Says in the log what a trigger lacks, from the first time on, once until it has it.
fn log_missing(ctx: &Context, decided: &Decided<TriggerVerdict>, data: DataState) {
    let (service, policy) = (&ctx.service.name, &decided.decision.policy.name);
    let before = ctx.service.watching.no_data_of.get(policy);
    if data == DataState::Complete {
        if before.is_some() {
            tracing::info!(%service, %policy, "a trigger has the data again that it asks for");
        }
        return;
    }
    let mut missing = decided.facts.iter().filter_map(|fact| fact.value.as_ref().err());
    if before == Some(&data) {
        return;
    }
    let Some(first) = missing.next() else { return };
    let more = missing.count();
    if data == DataState::NothingSelected {
        tracing::warn!(%service, %policy, more, "a trigger judges although a query selects nothing, which it takes for a value: {first}");
    } else {
        tracing::warn!(%service, %policy, more, "a trigger lacks data, so it cannot judge: {first}");
    }
}

fn trigger_asked(ctx: &Context, last: Decided<TriggerVerdict>, before: Batch) -> (TriggerAsked, Batch) {
    let mut decided = last;
    decided.decision.data = data(&decided);
    log_missing(ctx, &decided, decided.decision.data);
    let mut batch = before;
    batch.absorb(decided.batch);
    let said = match decided.end {
        Err(fault) => Said::Fault(nature::of_fault(&fault)),
        Ok(verdict) => Said::Verdict(match verdict {
            TriggerVerdict::Ignore => TriggerWord::Ignore,
            TriggerVerdict::Watch(until) => TriggerWord::Watch(until),
            TriggerVerdict::StandDown(why) => TriggerWord::StandDown(batch.text(why)),
            TriggerVerdict::RollBack(proposal) => TriggerWord::RollBack(Reason {
                cause: batch.text(proposal.cause),
                strategy: proposal.strategy,
                urgency: proposal.urgency,
                harm_began_at: proposal.harm_began_at,
                facts: kept_facts::keep(ctx, &mut batch, decided.facts),
            }),
        }),
    };
    let asked = TriggerAsked {
        decision: decided.decision,
        said,
        memo: decided.memo,
        set_aside: Vec::new(),
        left: 0,
        searched: Vec::new(),
    };
    (asked, batch)
}
