//! One seed, played from its beginning to its end.

mod epilogue;
mod facets;
mod outside;
mod people;
mod sets;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use ripcord_core::digest::Digest;
use ripcord_core::name::{ServiceName, SignalId};
use ripcord_core::service::Service;
use ripcord_core::set::Set;
use ripcord_core::time::Millis;
use ripcord_engine::Engine;
use ripcord_ports::Clock;
use ripcord_ports::store::NewSignal;
use tokio::task::JoinSet;

use crate::check::{Broken, Checker, Counts};
use crate::clock::SimClock;
use crate::dice::Dice;
use crate::host::{self, Host};
use crate::life::Life;
use crate::scenario::{Scenario, ServicePlan};
use crate::store::Disk;
use crate::trace::{Trace, Tracing};
use crate::weather::Weather;
use crate::world::{Outside, World};

/// How a seed is played.
#[derive(Debug, Clone)]
pub struct Options {
    /// Incidents, about.
    pub incidents: u64,
    /// Rules that are passed over.
    pub allowed: BTreeSet<String>,
    /// Troubles that do not come: see [`TROUBLES`].
    pub without: BTreeSet<String>,
    /// How much of what happened is kept.
    pub tracing: Tracing,
    /// One decision in so many is made again.
    pub replay_one_in: u64,
}

/// The troubles that can be left out, to look at the others.
pub const TROUBLES: &[&str] = &[
    "hangs",
    "deaths",
    "late",
    "failures",
    "shift-failures",
    "unknown-writes",
    "failed-reads",
    "full-disks",
    "clocks",
    "changes",
    "poison",
    "strangers",
];

impl Default for Options {
    fn default() -> Self {
        Self {
            incidents: 12,
            allowed: BTreeSet::new(),
            without: BTreeSet::new(),
            tracing: Tracing::Off,
            replay_one_in: 5,
        }
    }
}

/// What came of a seed.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Which.
    pub seed: u64,
    /// Rules that do not hold, the first first.
    pub broken: Vec<Broken>,
    /// What was counted.
    pub counts: Counts,
    /// What happened, where it was kept.
    pub lines: Vec<String>,
    /// Of what happened, where it was taken.
    pub digest: Option<Digest>,
    /// Time that passed in it.
    pub took: Millis,
}

/// What outlives every host.
#[derive(Debug)]
pub struct Stage {
    /// Chance.
    pub dice: Dice,
    /// What may go wrong.
    pub weather: Arc<Weather>,
    /// The world.
    pub world: Arc<World>,
    /// The disk.
    pub disk: Arc<Disk>,
    /// The machine's clock.
    pub clock: Arc<SimClock>,
    /// Who sees everything.
    pub checker: Arc<Checker>,
}

struct Play {
    stage: Stage,
    options: Options,
    scenario: Scenario,
    staging: Arc<Dir>,
    /// Holds the folder.
    _folder: tempfile::TempDir,
    host: Option<Host>,
    /// Signals whose senders wait for an acknowledgement.
    unsent: Arc<Mutex<BTreeMap<SignalId, NewSignal>>>,
    /// Signals so far.
    sent: u64,
    /// Versions and revisions so far.
    versions: u64,
    /// What people have before their eyes, which may be old.
    views: BTreeMap<ServiceName, Arc<Service>>,
    /// The same of the set.
    set_view: Option<Arc<Set>>,
}

/// Time after which a seed ends, however few incidents it had.
const HORIZON: Millis = Millis::hours(5);

/// Plays `seed`.
pub fn play(seed: u64, options: &Options) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime needs no more than memory");
    runtime.block_on(async {
        let mut play = Play::new(seed, options.clone());
        play.all().await;
        let Stage { checker, clock, .. } = &play.stage;
        Outcome {
            seed,
            broken: checker.broken(),
            counts: checker.counts(),
            lines: checker.trace().lines(),
            digest: checker.trace().digest(),
            took: clock.steady(),
        }
    })
}

impl Play {
    fn new(seed: u64, options: Options) -> Self {
        let dice = Dice::new(seed);
        let weather = Arc::new(Weather::of(&dice));
        let without = |trouble: &str| options.without.contains(trouble);
        weather.change(|sky| {
            for (trouble, rate) in [
                ("hangs", &mut sky.hangs),
                ("deaths", &mut sky.dies),
                ("deaths", &mut sky.dies_at_a_moment),
                ("late", &mut sky.late),
                ("failures", &mut sky.fails),
                ("shift-failures", &mut sky.shift_fails),
                ("unknown-writes", &mut sky.write_unknown),
                ("failed-reads", &mut sky.read_fails),
            ] {
                if without(trouble) {
                    *rate = 0;
                }
            }
        });
        let (world, clock) = (Arc::new(World::default()), Arc::new(SimClock::new()));
        let trace = Trace::new(options.tracing);
        let checker = Arc::new(Checker::new(world.clone(), options.allowed.clone(), trace));
        let disk = Arc::new(Disk::new(Digest::of(seed.to_string()), Some(checker.clone())));
        checker.looks_at(&disk);
        let scenario = Scenario::of(&dice);
        for plan in &scenario.services {
            let facets = plan.facets.iter().map(|facet| (facet.terms.facet.clone(), facet.outside()));
            let facets = facets.collect();
            let outside = Outside { nameless: dice.one_in(12), facets, ..Outside::new(plan.replicas) };
            world.add(&plan.name, outside);
        }
        // In memory, where the system has such a place.
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder");
        let staging = Dir::open_ambient_dir(folder.path(), ambient_authority()).expect("opens");
        let stage = Stage { dice, weather, world, disk, clock, checker };
        Self {
            stage,
            options,
            scenario,
            staging: Arc::new(staging),
            _folder: folder,
            host: None,
            unsent: Arc::default(),
            sent: 0,
            versions: 2,
            views: BTreeMap::new(),
            set_view: None,
        }
    }

    async fn all(&mut self) {
        self.start().await;
        self.vouch().await;
        let goal = self.options.incidents;
        while self.stage.checker.incidents() < goal
            && self.stage.clock.steady() < HORIZON
            && !self.stage.checker.has_failed()
        {
            let pause = Duration::from_millis(self.stage.dice.between(50, 9_000));
            self.lives_for(pause).await;
            self.something_happens().await;
        }
        if !self.stage.checker.has_failed() {
            self.epilogue().await;
        }
        self.stage.checker.replay(self.options.replay_one_in);
    }

    fn says(&self, line: impl FnOnce() -> String) {
        self.stage.checker.note(line);
    }

    fn may(&self, trouble: &str) -> bool {
        !self.options.without.contains(trouble)
    }

    /// Time passes. A host that dies meanwhile is started again.
    async fn lives_for(&mut self, time: Duration) {
        let until = tokio::time::Instant::now() + time;
        loop {
            let Some(host) = &self.host else {
                self.start().await;
                continue;
            };
            let life = host.life.clone();
            tokio::select! {
                biased;
                () = life.ended() => self.died().await,
                () = tokio::time::sleep_until(until) => break,
            }
        }
        self.look();
    }

    /// People look at the host, and so does the checker.
    fn look(&mut self) {
        let Some(host) = &self.host else { return };
        for shown in host.engine.services() {
            self.stage.checker.same_state(&shown);
            if self.stage.dice.one_in(2) {
                self.views.insert(shown.name.clone(), shown);
            }
        }
        for shown in host.engine.sets() {
            self.stage.checker.same_set(&shown);
            if self.stage.dice.one_in(2) {
                self.set_view = Some(shown);
            }
        }
    }

    /// The process is gone, with all that waited for it.
    async fn died(&mut self) {
        self.says(|| "the host died".to_owned());
        self.stage.checker.host_died();
        drop(self.host.take());
        let dice = self.stage.dice.clone();
        let most = dice.pick(&[100, 2_000, 60_000]);
        tokio::time::sleep(Duration::from_millis(dice.below(most))).await;
        if dice.one_in(12) && self.may("clocks") {
            self.set_clock();
        }
        if (dice.one_in(4) || !self.stage.checker.moments().is_empty()) && self.may("changes") {
            self.reconfigure();
        }
        self.start().await;
    }

    /// Starts a host, however often that takes.
    async fn start(&mut self) {
        loop {
            let life = Life::new(self.stage.dice.clone(), self.stage.weather.clone());
            let setup = host::setup(&self.stage, &life, &self.staging, &self.scenario);
            self.stage.checker.host_started();
            let started = tokio::select! {
                biased;
                () = life.ended() => None,
                started = Engine::start(setup) => Some(started),
            };
            match started {
                Some(Ok(engine)) => {
                    self.says(|| "a host runs".to_owned());
                    self.host = Some(Host { engine, life, callers: JoinSet::new() });
                    self.send_again();
                    return;
                }
                Some(Err(error)) => {
                    life.end();
                    self.says(|| format!("the host does not start: {error}"));
                    if self.stage.dice.one_in(4) {
                        // Whoever wants it to start makes room.
                        self.stage.weather.change(|sky| {
                            sky.disk_full = false;
                            sky.disk_unreadable = false;
                        });
                    }
                }
                None => {
                    self.stage.checker.host_died();
                    self.says(|| "the host died while it started".to_owned());
                }
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// The operator changes the configuration, for the next start.
    fn reconfigure(&mut self) {
        let dice = &self.stage.dice;
        if let Some(set) = &mut self.scenario.set
            && dice.one_in(6)
        {
            set.change(dice);
            let terms = &set.terms;
            self.stage.checker.note(|| format!("the set is configured anew: {terms:?}"));
        }
        let moments = self.stage.checker.moments();
        let which = if moments.is_empty() || dice.one_in(3) {
            let which = dice.below(self.scenario.services.len() as u64) as usize;
            self.scenario.services[which].change(dice);
            which
        } else {
            let (at, moment) = dice.pick(&moments);
            let of_it = |plan: &ServicePlan| plan.name == at;
            let Some(which) = self.scenario.services.iter().position(of_it) else { return };
            self.scenario.services[which].change_at(dice, &moment);
            which
        };
        let plan = &self.scenario.services[which];
        let (name, terms) = (&plan.name, plan.whole_terms());
        self.stage.checker.note(|| {
            format!(
                "{name} is configured anew: {}, {:?}, {:?}, {:?}, {:?}",
                terms.mode,
                terms.deployer,
                terms.facets,
                terms.floor,
                plan.people.keys()
            )
        });
    }

    /// Somebody sets the machine's clock.
    fn set_clock(&self) {
        let dice = &self.stage.dice;
        let by = match dice.below(4) {
            0 => dice.between(100, 40_000) as i64,
            1 => -(dice.between(100, 40_000) as i64),
            2 => dice.between(120_000, 7_200_000) as i64,
            _ => -(dice.between(120_000, 7_200_000) as i64),
        };
        self.stage.clock.set(by);
        self.says(|| format!("the clock is set by {by} ms"));
    }

    /// The host is stopped in good order, perhaps configured anew, and started.
    async fn restart(&mut self) {
        let Some(host) = self.host.take() else { return };
        self.says(|| "the host is stopped".to_owned());
        let life = host.life.clone();
        tokio::select! {
            biased;
            () = life.ended() => self.stage.checker.host_died(),
            () = host.engine.stop(Millis::seconds(5)) => life.end(),
        }
        drop(host);
        if self.stage.dice.one_in(2) && self.may("changes") {
            self.reconfigure();
        }
        self.start().await;
    }
}
