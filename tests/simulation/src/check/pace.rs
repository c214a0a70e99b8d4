//! What is done again and again has a bound.

use std::collections::VecDeque;
use std::time::Duration;

use ripcord_core::event::Event;
use ripcord_core::name::ServiceName;
use tokio::time::Instant;

use super::{Broken, Step, now};

const WINDOW: Duration = Duration::from_secs(60);
/// Questions to triggers without news within the window.
const QUESTIONS_MAX: usize = 130;
/// Times that a whole journal is read within the window.
const READS_MAX: usize = 40;

#[derive(Debug, Default)]
pub(crate) struct Book {
    questions: VecDeque<Instant>,
    reads: VecDeque<Instant>,
    news: bool,
}

/// Notes one more; whether there are more than `max` within the window.
fn too_many(times: &mut VecDeque<Instant>, max: usize) -> bool {
    let now = now();
    times.push_back(now);
    while times.front().is_some_and(|first| now.duration_since(*first) > WINDOW) {
        times.pop_front();
    }
    let many = times.len() > max;
    if many {
        times.clear();
    }
    many
}

impl Book {
    pub(crate) fn step(&mut self, step: &mut Step<'_>) {
        match step.event {
            Event::SignalsTaken(_) => self.news = true,
            Event::TriggersAsked(_) => {
                let news = std::mem::take(&mut self.news);
                if !news && too_many(&mut self.questions, QUESTIONS_MAX) {
                    step.broke(
                        "not-asked-too-often",
                        "the triggers are asked more than twice a second without news",
                    );
                }
            }
            _ => {}
        }
    }

    /// A host that starts reads each journal; one that runs does so where it must.
    pub(crate) fn journal_read(&mut self, service: &ServiceName, broken: &mut Vec<Broken>) {
        if too_many(&mut self.reads, READS_MAX) {
            let what = format!("the whole journal is read more than {READS_MAX} times a minute");
            broken.push(Broken {
                rule: "journals-are-not-read-again-and-again",
                service: service.clone(),
                what,
            });
        }
    }
}
