//! Where the time from an alert to the restored answer goes: what the driver and the adapters note, added up.

mod spans;

use std::collections::BTreeMap;
use std::sync::Arc;

use ripcord_core::event::{Measured, Portion, Seen};
use ripcord_core::service::{Phase, Service};
use ripcord_core::time::{Micros, UnixMillis};
use ripcord_ports::Clock;
use ripcord_ports::waiting::{Stretch, Watch, What};

use spans::Spans;

/// What a driver waits for while no effect of its incident runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Idle {
    People,
    Data,
    Again,
}

/// Of one driver: from the first signal of an incident, or a person's pull, to its end.
pub(crate) struct Meter {
    clock: Arc<dyn Clock>,
    /// What effects on the way to the answer note.
    pub(crate) watch: Arc<Watch>,
    began_us: Option<u64>,
    seen: Seen,
    idle: Option<(Idle, u64)>,
    idled: Vec<(Idle, u64, u64)>,
    /// The read-back that was told last.
    told: Option<UnixMillis>,
}

impl Meter {
    /// A host that starts in the middle sees a part.
    pub(crate) fn new(clock: Arc<dyn Clock>, service: &Service) -> Self {
        let underway = is_underway(service);
        Self {
            watch: Arc::new(Watch::new(clock.clone())),
            began_us: underway.then(|| clock.steady_us()),
            seen: if underway { Seen::Part } else { Seen::Whole },
            idle: None,
            idled: Vec::new(),
            told: service.incident.as_ref().and_then(|incident| incident.marks.read_back_at),
            clock,
        }
    }

    /// Something that may become an incident came in at `arrived_us`, after so many flushes; without an instant, now.
    pub(crate) fn begin(&mut self, arrived_us: Option<u64>, flushes: u64) {
        if self.began_us.is_none() {
            self.watch.clear();
            self.watch.flushed(flushes);
            self.idled.clear();
            self.idle = None;
            self.seen = Seen::Whole;
            self.began_us = Some(arrived_us.unwrap_or_else(|| self.clock.steady_us()));
        }
    }

    /// What the driver is about to wait for: `works` if an effect of the incident or the triggers run.
    pub(crate) fn look(&mut self, service: &Service, works: bool) {
        if self.began_us.is_some() && !is_underway(service) {
            self.began_us = None;
        }
        let now = self.idleness(service, works);
        if self.idle.map(|(idle, _)| idle) == now {
            return;
        }
        let at = self.clock.steady_us();
        if let Some((idle, since)) = self.idle.take() {
            self.idled.push((idle, since, at));
        }
        self.idle = now.map(|idle| (idle, at));
    }

    fn idleness(&self, service: &Service, works: bool) -> Option<Idle> {
        if works || self.began_us.is_none() {
            return None;
        }
        let Some(incident) = &service.incident else { return Some(Idle::Data) };
        let people = matches!(incident.phase, Phase::Authorising(_) | Phase::NeedsPerson(_));
        Some(if people || service.paused_by.is_some() { Idle::People } else { Idle::Again })
    }

    /// What is to be told of a read-back that is news.
    pub(crate) fn news(&mut self, service: &Service) -> Option<Measured> {
        let incident = service.incident.as_ref().or(service.last_settled.as_ref())?;
        let read_back = incident.marks.read_back_at?;
        if self.told == Some(read_back) {
            return None;
        }
        let (began, now) = (self.began_us?, self.clock.steady_us());
        self.told = Some(read_back);
        let (stretches, dropped) = self.watch.stretches();
        let whole = Spans::of([(began, now)]);
        let of = |wanted: &dyn Fn(&What) -> bool| {
            Spans::of(stretches.iter().filter(|one| wanted(&one.what)).map(span)).within(&whole)
        };
        let idled = |wanted: Idle| {
            let ended = self.idled.iter().copied();
            let open = self.idle.map(|(idle, since)| (idle, since, now));
            let all = ended.chain(open).filter(|(idle, ..)| *idle == wanted);
            Spans::of(all.map(|(_, from, to)| (from, to))).within(&whole)
        };
        let systems = of(&|what| matches!(what, What::System(_)));
        let people = idled(Idle::People).without(&systems);
        let mut waited = systems.and(&people);
        let data = idled(Idle::Data).without(&waited);
        waited = waited.and(&data);
        let pauses = of(&|what| *what == What::Pause).and(&idled(Idle::Again)).without(&waited);
        waited = waited.and(&pauses);
        let own = whole.without(&waited);
        let mut each_system: BTreeMap<&str, Micros> = BTreeMap::new();
        let mut own_parts: BTreeMap<&str, Micros> = BTreeMap::new();
        for stretch in &stretches {
            let length = |spans: Spans| Micros(spans.length());
            match &stretch.what {
                What::System(name) if !each_system.contains_key(name.as_str()) => {
                    each_system.insert(name, length(of(&|what| *what == stretch.what)));
                }
                What::Own(part) if !own_parts.contains_key(part) => {
                    own_parts.insert(part, length(of(&|what| *what == stretch.what).within(&own)));
                }
                _ => {}
            }
        }
        Some(Measured {
            incident: incident.id.clone(),
            seen: if dropped > 0 { Seen::Part } else { self.seen },
            total: Micros(whole.length()),
            systems: Micros(systems.length()),
            each_system: portions(each_system),
            people: Micros(people.length()),
            data: Micros(data.length()),
            pauses: Micros(pauses.length()),
            own: Micros(own.length()),
            own_parts: portions(own_parts),
            flushes: self.watch.flushes(),
        })
    }
}

fn is_underway(service: &Service) -> bool {
    service.incident.is_some() || service.watching.is_due() || !service.watching.watches.is_empty()
}

fn span(stretch: &Stretch) -> (u64, u64) {
    (stretch.from_us, stretch.to_us)
}

/// Those that took something, the longest first.
fn portions(took: BTreeMap<&str, Micros>) -> Vec<Portion> {
    let mut all: Vec<_> = took
        .into_iter()
        .filter(|(_, took)| took.0 > 0)
        .map(|(name, took)| Portion { name: name.to_owned(), took })
        .collect();
    all.sort_by(|a, b| b.took.cmp(&a.took).then_with(|| a.name.cmp(&b.name)));
    all
}
