//! Runs that make versions: agreed to, begun once, ended; and what they made is put in place by people, unless it is known to be good.

use ripcord_core::digest::Digest;
use ripcord_core::event::{Event, LookWord, PlanWord, Planned, StartWord};
use ripcord_core::service::{Opener, Run, RunState, Service};
use ripcord_core::target::Strategy;
use ripcord_core::terms::EffectClass;
use ripcord_ports::producer::ProduceOrder;

use super::{Broken, Step, authority};

/// A start that was ordered and of which nobody knows the outcome.
#[derive(Debug)]
struct Unknown {
    run: Digest,
    /// How often the producer was called for it.
    calls: u32,
    /// The host that began it: the first, the second and so on.
    host: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Book {
    unknown: Option<Unknown>,
    /// The host that runs.
    host: u64,
    /// Runs that were begun: the effect class of their producer, and what a version was to be made of.
    begun: Vec<(EffectClass, Strategy)>,
    /// How runs ended.
    ended: Vec<&'static str>,
    /// Incidents that opened while a run went on.
    beside: u64,
    /// Shifts to what was made.
    put_in_place: u64,
}

impl Book {
    pub(crate) fn step(&mut self, step: &mut Step<'_>, authority: &authority::Book) {
        is_what_was_planned(step);
        match step.event {
            Event::RunBegan(began) => {
                if self.unknown.as_ref().is_some_and(|unknown| unknown.run == began.run) {
                    step.broke(
                        "a-run-is-begun-once",
                        "it was begun while the outcome of the start before is unknown",
                    );
                }
                if step.before.paused_by.is_some() {
                    step.broke("paused-means-paused", "a run was begun while the service was paused");
                }
                let class = step.before.terms.as_ref().and_then(|terms| terms.producer.as_ref());
                let run = step.before.producing.run.as_ref();
                let made_of = run.map(|run| run.ordered.target.strategy());
                self.begun.extend(class.map(|producer| producer.class).zip(made_of));
                self.unknown = Some(Unknown { run: began.run, calls: 0, host: self.host });
            }
            Event::RunReturned(returned) if !matches!(returned.word, StartWord::Unknown(_)) => {
                self.unknown = None
            }
            Event::RunLookedAt(looked) if !matches!(looked.word, LookWord::Unread(_)) => {
                self.unknown = None;
            }
            Event::ShiftBegan(_) => self.made_by_people(step, authority),
            _ => {}
        }
        let open = |service: &Service| service.incident.as_ref().map(|open| open.id.clone());
        if step.before.producing.run.is_some() && open(step.before).is_none() && open(step.after).is_some() {
            self.beside += 1;
        }
        if step.before.producing.run.is_some() && step.after.producing.run.is_none() {
            self.unknown = None;
            self.ended.extend(step.after.producing.past.last().map(|past| word(&past.end)));
        }
    }

    /// What nobody has found well is put in place by people, whatever rules say.
    fn made_by_people(&mut self, step: &mut Step<'_>, authority: &authority::Book) {
        let Some(open) = &step.before.incident else { return };
        let Opener::Produced(by) = &open.opened_by else { return };
        self.put_in_place += 1;
        let Some(made) = open.wanted.as_ref().and_then(ripcord_core::target::Target::revision) else {
            return;
        };
        let good = step.before.standing_of(&made, step.at).is_good();
        if !good && authority.is_automatic(step.before) {
            step.broke(
                "what-is-made-needs-people",
                format!("`{made}`, made by the run of `{by}`, went live by rules alone"),
            );
        }
    }

    /// The call itself: of the intent that is on disk, and once, unless the producer has promised that twice is as once.
    pub(crate) fn called(
        &mut self,
        service: &Service,
        order: &ProduceOrder,
        class: EffectClass,
        broken: &mut Vec<Broken>,
    ) {
        let mut broke = |rule: &'static str, what: String| {
            broken.push(Broken { rule, service: service.name.clone(), what });
        };
        let run = service.producing.run.as_ref().filter(|run| run.key.to_string() == order.key);
        let Some(run) = run else {
            return broke("intent-before-the-run", "the producer was called for no run".to_owned());
        };
        if !matches!(run.state, RunState::Began { .. } | RunState::Stopping { .. }) {
            broke(
                "intent-before-the-run",
                format!("the producer was called while the run is {:?}", run.state),
            );
        }
        let ordered = &run.ordered;
        if (&order.target, order.plan, &order.incident) != (&ordered.target, ordered.plan, &ordered.incident)
        {
            broke(
                "executed-is-approved",
                format!("{} is ordered and {} was approved", order.target, ordered.target),
            );
        }
        let Some(unknown) = self.unknown.as_mut().filter(|unknown| unknown.run == run.key) else {
            return broke(
                "intent-before-the-run",
                "the producer was called without an intent on disk".to_owned(),
            );
        };
        unknown.calls += 1;
        let again = unknown.calls > 1 || unknown.host != self.host;
        if again && class != EffectClass::Idempotent {
            broke(
                "no-blind-repeat",
                format!("a run is begun again for {unknown:?} although its producer is {class:?}"),
            );
        }
    }

    /// See [`super::Counts::runs`].
    pub(crate) fn counted(&self) -> impl Iterator<Item = (String, u64)> {
        let begun = self.begun.iter().flat_map(|(class, made_of)| {
            [(format!("begun {class:?}").to_lowercase(), 1), (format!("begun for {made_of}"), 1)]
        });
        let ended = self.ended.iter().map(|end| ((*end).to_owned(), 1));
        let others = [("beside".to_owned(), self.beside), ("put in place".to_owned(), self.put_in_place)];
        begun.chain(ended).chain(others)
    }

    /// Another host runs.
    pub(crate) fn host_started(&mut self, host: u64) {
        self.host = host;
    }
}

fn word(end: &ripcord_core::service::RunEnd) -> &'static str {
    use ripcord_core::service::RunEnd;
    match end {
        RunEnd::Made { .. } => "made",
        RunEnd::Failed(_) => "failed",
        RunEnd::Lost(_) => "lost",
        RunEnd::Stopped(_) => "stopped",
        RunEnd::NotBegun => "not begun",
    }
}

/// The moment at which a plan becomes a run.
fn is_what_was_planned(step: &mut Step<'_>) {
    let (None, Some(run)) = (&step.before.producing.run, &step.after.producing.run) else { return };
    let Some(open) = &step.before.incident else {
        return step.broke("a-run-is-agreed", "a run was ordered without an incident");
    };
    // One that whoever asked may grant alone is granted as it is made.
    let drafted = match step.event {
        Event::Planned(Planned { word: PlanWord::Drafted(drafted), .. }) => Some(drafted),
        _ => open.plan(),
    };
    let planned = drafted.map(|plan| (plan.digest, plan.targets.clone()));
    if planned != Some((run.ordered.plan, vec![run.ordered.target.clone()])) {
        step.broke("executed-is-approved", format!("{:?} is ordered", run.ordered.target));
    }
}

/// A run that goes on when all has had its time, or what was made and waits for nothing.
pub(super) fn still_going_on(service: &Service) -> Option<String> {
    // One that is to end and has lost its producer is looked for as long as somebody may configure it again: an hour.
    let has_producer = service.terms.as_ref().is_some_and(|terms| terms.producer.is_some());
    let waits = |run: &&Run| has_producer || !matches!(run.state, RunState::Stopping { .. });
    if let Some(run) = service.producing.run.as_ref().filter(waits) {
        return Some(format!("the run of `{}` is still {:?}", run.ordered.incident, run.state));
    }
    let made = service.producing.made.as_ref().filter(|_| service.incident.is_none())?;
    Some(format!("`{}` was made, and waits for nothing", made.version.version))
}
