//! People are told of what they must know: at least once, within its time, and not again and again.

use std::collections::BTreeMap;

use ripcord_core::effect::Topic;
use ripcord_core::event::Event;
use ripcord_core::name::IncidentId;
use ripcord_core::service::{Phase, Service};
use ripcord_core::time::UnixMillis;

use super::{Step, endings};
use crate::scenario::MATTERS_FOR;

/// How often one incident may give rise to news of one kind.
const SAME_NEWS_MAX: u32 = 30;
/// The reason is gone: that is said once a plan.
const STAND_DOWN_MAX: u32 = 6;

#[derive(Debug, Default)]
pub(crate) struct Book {
    /// What people are to be told: since when.
    owed: BTreeMap<String, UnixMillis>,
    counts: BTreeMap<(Option<IncidentId>, &'static str), u32>,
}

impl Book {
    pub(crate) fn step(&mut self, step: &mut Step<'_>) {
        if let Event::Announced(announced) = step.event {
            let since = self.owed.remove(&announced.id);
            match (since, &announced.failed) {
                (None, _) => step.broke("only-what-is-owed-is-told", announced.id.clone()),
                (Some(_), None) if !step.world.was_told(&announced.id) => {
                    step.broke("told-means-told", format!("{} is recorded as told", announced.id));
                }
                (Some(since), Some(_)) if step.at < since + MATTERS_FOR => {
                    step.broke("no-news-is-lost", format!("{} was given up too early", announced.id));
                }
                _ => {}
            }
        }
        for outgoing in &step.after.outbox {
            if !self.owed.contains_key(&outgoing.id) {
                self.owed.insert(outgoing.id.clone(), outgoing.at);
                let key = (outgoing.incident.clone(), outgoing.topic.as_str());
                let count = self.counts.entry(key).or_default();
                *count += 1;
                let max = if outgoing.topic == Topic::StandDown { STAND_DOWN_MAX } else { SAME_NEWS_MAX };
                if outgoing.incident.is_some() && *count == max {
                    let what =
                        format!("{count} times {} of {:?}", outgoing.topic.as_str(), outgoing.incident);
                    step.broke("news-is-news", what);
                }
            }
        }
        if let Some(lost) = self.owed.keys().find(|id| !step.after.outbox.iter().any(|out| out.id == **id)) {
            step.broke("no-news-is-lost", format!("{lost} left the outbox untold"));
        }
        told_of_what_matters(step);
    }
}

/// An incident that opens, ends or needs a person is news.
fn told_of_what_matters(step: &mut Step<'_>) {
    let told = |topic: Topic| step.after.outbox.iter().any(|out| out.topic == topic && out.at == step.at);
    let needs = |service: &Service| {
        matches!(service.incident.as_ref().map(|incident| &incident.phase), Some(Phase::NeedsPerson(_)))
    };
    let opened = step.before.incident.is_none() && step.after.incident.is_some();
    let ended = endings::outcome_of(step.before, step.after).is_some();
    let missing = [
        (opened, Topic::IncidentOpened),
        (ended, Topic::Settled),
        (!needs(step.before) && needs(step.after), Topic::NeedsPerson),
    ];
    let missing: Vec<_> =
        missing.into_iter().filter(|(due, topic)| *due && !told(*topic)).map(|(_, topic)| topic).collect();
    for topic in missing {
        step.broke("people-are-told", format!("nobody is told: {}", topic.as_str()));
    }
}
