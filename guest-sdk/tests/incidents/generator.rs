//! The made-up incidents.
//!
//! What the generator takes for true of real incidents, and from where. Nothing of it is read from the ranking, whose forms and numbers are others.
//!
//! - *What starts outages*: binary and configuration pushes most, about alike; then people's behaviour, pipelines, providers (Beyer et al., "The Site Reliability
//!   Workbook", 2018, table C-1: 37, 31, 9, 6 and 5 %). For services that learn, faults of data and pipelines are a larger part (Papasian and Underwood, "How ML
//!   Breaks: A Decade of Outages for One Large ML Pipeline", `OpML` 2020).
//! - *Some have no change before them*: machines, load and dependencies (Ghosh et al., "How to Fight Production Incidents?", `SoCC` 2022: 60 % of severe incidents
//!   are neither a fault of code nor of a configuration). Here one in ten, because only those that reach this question are played.
//! - *Innocent changes come all the time and at random*: several configurations a day, a model every few days, data every night. While something is wrong, people
//!   push more of them.
//! - *Harm shows after a time that varies by orders of magnitude* (log-normal here), soonest after a configuration, latest after data.
//! - *Most bad changes passed no verification or passed it wrongly; most good versions were verified.*
//! - *Labels mislead*: the live version stands in the labels of every series, whatever it did; some alerts name a bystander.
//! - *Shared configuration harms several services at once, not all of them visibly.*
//! - *What the world did is often noted by nobody* (here in two of five cases), and *where the harm is, is not always known*.
//! - *Clocks are off*, by minutes, or by whole hours where a zone is forgotten. *Histories have gaps*, also where the cause is.

use ripcord_sdk::contract::types::Label;
use ripcord_sdk::suspects::{Change, Coverage, Facet, Harm, Moment, NoticedBy, Verified};

const HOUR: f64 = 60.0;
const DAY: f64 = 24.0 * HOUR;
/// How many minutes before the harm the histories begin.
const LOOK_BACK: f64 = 3.0 * DAY;
const HARM_AT: u64 = 1_700_000_000_000;
const FLEET: [&str; 6] = ["fraud", "ranking", "search", "pricing", "spam", "support"];
const PLACES: [&str; 3] = ["eu", "us", "asia"];

/// A sequence of numbers by chance (`xorshift64*`: Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled", 2016).
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        let mut chance = Self(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) | 1);
        for _ in 0..16 {
            chance.share();
        }
        chance
    }

    fn share(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn is(&mut self, probability: f64) -> bool {
        self.share() < probability
    }

    fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.share()
    }

    fn one_of<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[(self.share() * of.len() as f64) as usize]
    }

    /// Half of them below `median`, two thirds within a factor of `e^sigma`.
    fn log_normal(&mut self, median: f64, sigma: f64) -> f64 {
        let sum: f64 = (0..12).map(|_| self.share()).sum();
        median * ((sum - 6.0) * sigma).exp()
    }

    /// The instants of what happens so often, in minutes before the harm.
    fn arrivals(&mut self, a_day: f64) -> Vec<f64> {
        let mut found = Vec::new();
        let mut before = 0.0;
        loop {
            before += -(1.0 - self.share()).ln() / a_day * DAY;
            if before > LOOK_BACK {
                return found;
            }
            found.push(before);
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cause {
    Version,
    Configuration,
    Data,
    World,
    Two,
    None,
}

impl Cause {
    pub(super) fn is_single(self) -> bool {
        !matches!(self, Self::Two | Self::None)
    }
}

/// What really happened, before anybody looked at it.
struct Truth {
    facet: Facet,
    /// Minutes before the harm; negative after it.
    before: f64,
    services: Vec<&'static str>,
    place: &'static str,
    is_cause: bool,
}

pub(super) struct Incident {
    pub(super) cause: Cause,
    /// What the host was told.
    pub(super) changes: Vec<Change>,
    /// Which of them did it, by their revisions; none of those that no history shows.
    pub(super) guilty: Vec<String>,
    /// What did it, also where no history shows it.
    pub(super) cause_facets: Vec<Facet>,
    pub(super) harm: Harm,
    pub(super) known: Vec<Coverage>,
}

fn instant(minutes_before: f64) -> u64 {
    (HARM_AT as f64 - minutes_before * 60_000.0) as u64
}

fn draw_cause(chance: &mut Chance) -> Cause {
    let mut rest = chance.share();
    for (cause, share) in [
        (Cause::Version, 0.28),
        (Cause::Configuration, 0.26),
        (Cause::Data, 0.16),
        (Cause::World, 0.12),
        (Cause::Two, 0.08),
    ] {
        rest -= share;
        if rest < 0.0 {
            return cause;
        }
    }
    Cause::None
}

const CONFIGURATIONS: [&str; 3] = ["thresholds", "features", "routing"];
const SHARED: [&str; 2] = ["platform-flags", "gateway"];
pub(super) const DATA: [&str; 2] = ["transactions", "profiles"];

/// What happens anyway.
fn everyday(chance: &mut Chance) -> Vec<Truth> {
    let mut all = Vec::new();
    let mut add = |facet: Facet, instants: Vec<f64>, services: &[&'static str]| {
        all.extend(instants.into_iter().map(|before| Truth {
            facet: facet.clone(),
            before,
            services: services.to_vec(),
            place: "",
            is_cause: false,
        }));
    };
    add(Facet::Model, chance.arrivals(0.35), &FLEET[..1]);
    for name in CONFIGURATIONS {
        add(Facet::Configuration(name.to_owned()), chance.arrivals(0.8), &FLEET[..1]);
    }
    for name in SHARED {
        add(Facet::Configuration(name.to_owned()), chance.arrivals(0.6), &FLEET[..4]);
    }
    let hour = chance.between(0.0, DAY);
    for name in DATA {
        let nights = (0..3).map(|night| f64::from(night) * DAY + hour + chance.between(0.0, 40.0)).collect();
        add(Facet::Data(name.to_owned()), nights, &FLEET[..2]);
    }
    add(Facet::World, chance.arrivals(0.15), &FLEET[..3]);
    all
}

/// Something that does harm.
fn culprit(chance: &mut Chance, cause: Cause) -> Truth {
    let (facet, services, before) = match cause {
        Cause::Version => (Facet::Model, &FLEET[..1], chance.log_normal(25.0, 1.4)),
        Cause::Configuration if chance.is(0.3) => (
            Facet::Configuration(chance.one_of(&SHARED).to_owned()),
            &FLEET[..4],
            chance.log_normal(8.0, 1.2),
        ),
        Cause::Configuration => (
            Facet::Configuration(chance.one_of(&CONFIGURATIONS).to_owned()),
            &FLEET[..1],
            chance.log_normal(8.0, 1.2),
        ),
        Cause::Data => {
            (Facet::Data(chance.one_of(&DATA).to_owned()), &FLEET[..2], chance.log_normal(5.0 * HOUR, 0.9))
        }
        _ => (Facet::World, &FLEET[..3], chance.log_normal(4.0 * HOUR, 1.1)),
    };
    let place = if facet != Facet::World && chance.is(0.2) { chance.one_of(&PLACES) } else { "" };
    Truth { facet, before: before.min(LOOK_BACK - 1.0), services: services.to_vec(), place, is_cause: true }
}

fn happened(chance: &mut Chance, cause: Cause) -> Vec<Truth> {
    let mut all = everyday(chance);
    let causes: Vec<Cause> = match cause {
        Cause::None => Vec::new(),
        Cause::Two => vec![
            *chance.one_of(&[&Cause::Version, &Cause::Configuration]),
            *chance.one_of(&[&Cause::Data, &Cause::Configuration]),
        ],
        one => vec![one],
    };
    for cause in causes {
        let culprit = culprit(chance, cause);
        // Nobody releases a model twice within the hour, or data twice in one night.
        all.retain(|other| other.facet != culprit.facet || (other.before - culprit.before).abs() > 45.0);
        // A nightly load that is the cause is the load of that night.
        if let Facet::Data(_) = culprit.facet {
            let of_the_night = |other: &Truth| {
                other.facet == culprit.facet && (other.before - culprit.before).abs() < DAY / 2.0
            };
            all.retain(|other| !of_the_night(other));
        }
        // What came between the cause and the harm, and what people pushed when it began.
        let nearer = if chance.is(0.35) { 1 + usize::from(chance.is(0.3)) } else { 0 };
        for _ in 0..nearer {
            let name = chance.one_of(&CONFIGURATIONS).to_owned();
            let before = chance.between(-10.0, culprit.before.min(6.0 * HOUR));
            if Facet::Configuration(name.clone()) != culprit.facet {
                all.push(Truth {
                    facet: Facet::Configuration(name),
                    before,
                    services: FLEET[..1].to_vec(),
                    place: if chance.is(0.2) { chance.one_of(&PLACES) } else { "" },
                    is_cause: false,
                });
            }
        }
        all.push(culprit);
    }
    all
}

/// How a change looks to the host: by whose clock, seen when, verified or not.
fn as_seen(chance: &mut Chance, truth: &Truth, revision: String, clock_off: f64, is_watched: bool) -> Change {
    let at = truth.before;
    let (noticed_by, is_own) = match truth.facet {
        Facet::Model if is_watched => (NoticedBy::Watch, true),
        Facet::Model => (NoticedBy::Registry, false),
        Facet::Configuration(_) => (NoticedBy::ConfigurationHistory, is_watched && chance.is(0.5)),
        Facet::Data(_) => (NoticedBy::DataLineage, false),
        // Nobody enters or leaves a safe mode here.
        Facet::World | Facet::Fallback => (NoticedBy::Other("calendar".to_owned()), false),
    };
    let stated = (noticed_by != NoticedBy::Watch).then(|| instant(at + clock_off));
    let moment = if is_own {
        let look = chance.between(0.0, 2.0);
        Moment { stated, not_before: Some(instant(at + 2.0 - look)), noticed_at: instant(at - look) }
    } else {
        // The history is read when the incident is opened.
        Moment { stated, not_before: None, noticed_at: instant((at - 1.0).min(-15.0)) }
    };
    let verified = match (&truth.facet, truth.is_cause) {
        (Facet::Model, false) => 0.7,
        (Facet::Model, true) => 0.3,
        (Facet::Configuration(_), false) => 0.25,
        (Facet::Configuration(_), true) => 0.1,
        (Facet::Data(_), false) => 0.5,
        (Facet::Data(_), true) => 0.25,
        (Facet::World | Facet::Fallback, _) => 0.0,
    };
    let verified = if chance.is(verified) {
        Verified::At(instant(at - chance.between(2.0, 20.0)))
    } else {
        *chance.one_of(&[&Verified::Unknown, &Verified::No])
    };
    Change {
        facet: truth.facet.clone(),
        place: truth.place.to_owned(),
        services: truth.services.iter().map(ToString::to_string).collect(),
        from: None,
        to: Some(revision),
        at: moment,
        by: None,
        noticed_by,
        verified,
    }
}

fn harm(chance: &mut Chance, all: &[Truth], live: Option<&String>) -> Harm {
    let label = |name: &str, value: &str| Label { name: name.to_owned(), value: value.to_owned() };
    let mut labels = Vec::new();
    if let Some(version) = live.filter(|_| chance.is(0.4)) {
        labels.push(label("version", version));
    }
    let guilty: Vec<&Truth> = all.iter().filter(|truth| truth.is_cause).collect();
    let mut rule =
        chance.one_of(&["ErrorsHigh", "PrecisionLow", "LatencyHigh", "ModelPredictionsOff", "ScoresMoved"]);
    for truth in &guilty {
        match &truth.facet {
            Facet::Configuration(name) if chance.is(0.3) => labels.push(label("flag", name)),
            Facet::Data(name) if chance.is(0.4) => labels.push(label("dataset", name)),
            Facet::Data(_) if chance.is(0.4) => rule = "DataQualityLow",
            Facet::World if chance.is(0.5) => rule = "InputDriftHigh",
            _ => {}
        }
    }
    if chance.is(0.06) {
        labels.push(label("component", chance.one_of(&CONFIGURATIONS)));
    }
    if chance.is(0.06) {
        rule = "DataFreshnessLow";
    }
    labels.push(label("alertname", rule));
    let shared: Vec<&str> = guilty.iter().flat_map(|truth| truth.services[1..].iter().copied()).collect();
    let (mut also_harmed, mut well) = (Vec::new(), Vec::new());
    for service in &FLEET[1..] {
        if shared.contains(service) && chance.is(0.7) {
            also_harmed.push((*service).to_owned());
        } else if chance.is(0.6) {
            well.push((*service).to_owned());
        }
    }
    // When harm began is an estimate, read from a metric.
    let off = chance.between(-4.0, 4.0);
    let about = chance.between(1.0, 6.0);
    Harm {
        service: FLEET[0].to_owned(),
        began_earliest: instant(off + about),
        began_latest: instant(off - about),
        place: if chance.is(0.75) {
            guilty.first().map_or("", |truth| truth.place).to_owned()
        } else {
            String::new()
        },
        also_harmed,
        well,
        labels,
    }
}

pub(super) fn incident(chance: &mut Chance) -> Incident {
    let cause = draw_cause(chance);
    let mut all = happened(chance, cause);
    all.sort_by(|one, other| other.before.total_cmp(&one.before));
    let off = |chance: &mut Chance| match chance.share() {
        share if share < 0.06 => *chance.one_of(&[&-60.0, &60.0, &120.0]),
        share if share < 0.14 => chance.between(-25.0, 25.0),
        _ => chance.between(-1.0, 1.0),
    };
    let (of_configurations, of_others) = (off(chance), off(chance));
    let is_watched = chance.is(0.7);
    // One history in eight has a gap: it begins late, or cannot be read.
    let gap = chance
        .is(0.12)
        .then(|| (chance.one_of(&[&0_u8, &1, &2]), chance.between(0.0, 8.0 * HOUR), chance.is(0.3)));
    let kind = |facet: &Facet| match facet {
        Facet::Model => Some(0_u8),
        Facet::Configuration(_) => Some(1),
        Facet::Data(_) => Some(2),
        Facet::World | Facet::Fallback => None,
    };
    let is_noted = chance.is(0.6);
    let is_lost = |truth: &Truth| match gap {
        _ if truth.facet == Facet::World && truth.is_cause => !is_noted,
        Some((of, since, is_all)) => kind(&truth.facet) == Some(*of) && (is_all || truth.before > since),
        None => false,
    };
    let live = all.iter().enumerate().rfind(|(_, truth)| truth.facet == Facet::Model && truth.before > 0.0);
    let live = live.map(|(index, _)| format!("r{index}"));
    let harm = harm(chance, &all, live.as_ref());
    let (mut changes, mut guilty) = (Vec::new(), Vec::new());
    for (index, truth) in all.iter().enumerate().filter(|(_, truth)| !is_lost(truth)) {
        let clock =
            if matches!(truth.facet, Facet::Configuration(_)) { of_configurations } else { of_others };
        changes.push(as_seen(chance, truth, format!("r{index}"), clock, is_watched));
        if truth.is_cause {
            guilty.push(format!("r{index}"));
        }
    }
    let since = |of: u8| match gap {
        Some((lost, since, is_all)) if *lost == of => (!is_all).then(|| instant(since)),
        _ => Some(instant(LOOK_BACK)),
    };
    let known = vec![Coverage::model(since(0)), Coverage::configuration(since(1)), Coverage::data(since(2))];
    let cause_facets = all.iter().filter(|truth| truth.is_cause).map(|truth| truth.facet.clone()).collect();
    Incident { cause, changes, guilty, cause_facets, harm, known }
}
