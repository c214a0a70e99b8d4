//! What every deployer behind a pipeline must do, besides what every deployer must.

use std::time::Duration;

use async_trait::async_trait;
use ripcord_core::time::Millis;
use ripcord_ports::deployer::{Probe, ShiftOrder, Shifted};
use ripcord_ports::{Applied, Deployer};

use super::deployer::{BETWEEN_POLLS, POLLS_MAX, Settable, live, order, probe, reach, shift};
use super::deployer_faults::{faults, happens};
use super::restorer::one_line;
use super::rule::holds;
use crate::fault_proxy::{Fault, FaultProxy, Which};

/// What the runs that are begun from now on do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// They deploy, and end well.
    Deploys,
    /// They deploy, and end badly.
    DeploysAndFails,
    /// They end well, and have deployed nothing.
    DoesNothing,
    /// They say why, with characters that a terminal obeys, and end badly.
    Fails,
    /// They end badly, and what they have begun deploys a little later.
    FailsAndDeploysLater,
    /// They go on until another behaviour is set, and then do that.
    Waits,
}

/// The system behind the deployer under test.
#[async_trait]
pub trait System: Send + Sync {
    /// Sets what runs do. Those that wait go on with it.
    async fn behave(&self, behaviour: Behaviour);

    /// How many runs were begun in all.
    async fn begun(&self) -> usize;

    /// Whether no run goes on.
    async fn at_rest(&self) -> bool;

    /// Takes every run out of the system's memory; false where it cannot.
    async fn forget(&self) -> bool;

    /// The same deployer as after a restart of its host.
    fn restarted(&self) -> Box<dyn Deployer>;
}

/// Whether the mark of an order is the system's own key, so that beginning it again begins no second run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MarkIs {
    /// It is.
    Key,
    /// It is only written on the run.
    Note,
}

/// Why runs of [`Behaviour::Fails`] say that they fail.
pub const WHY: &str = "no room on \u{1b}[31mnode 7";
/// The same where it is shown.
const SHOWN: &str = "no room on \\u{1b}[31mnode 7";
/// Real systems take their time to end a run: so often it is looked whether all have.
const REST_POLLS_MAX: u32 = 1_200;

/// Checks the deployer, whose `live` is `one` or `two` from the beginning.
pub async fn conforms(deployer: &dyn Deployer, system: &dyn System, one: &Settable, two: &Settable) {
    system.behave(Behaviour::Deploys).await;
    holds("a-run-is-begun-once", begun_once(deployer, system, one, two)).await;
    holds("a-green-run-proves-nothing", green(deployer, system, one)).await;
    holds("a-red-run-may-have-deployed", red_and_deployed(deployer, system, one)).await;
    holds("a-red-run-says-why", red(deployer, system, two)).await;
    holds("a-red-run-may-go-on", red_and_later(deployer, system, one)).await;
    holds("a-restarted-host-follows-a-pipeline", restarted(deployer, system, two)).await;
    holds("one-order-at-a-time", one_at_a_time(deployer, system, one)).await;
    holds("a-run-that-nobody-finds-is-no-absence", lost(deployer, system, (one, two))).await;
}

async fn to(deployer: &dyn Deployer, key: &str, wanted: &Settable) -> ShiftOrder {
    // Real systems take their time to begin.
    ShiftOrder { deadline: Millis::seconds(60), ..order(key, wanted, live(deployer).await) }
}

/// Waits until no run goes on. A deployer refuses an order while one of another goes on, as it must.
async fn rest(deployer: &dyn Deployer, system: &dyn System) {
    for _ in 0..REST_POLLS_MAX {
        // What tests play goes on when it is looked at.
        live(deployer).await;
        if system.at_rest().await {
            return;
        }
        tokio::time::sleep(BETWEEN_POLLS).await;
    }
    panic!("a run never ends");
}

async fn begun_once(deployer: &dyn Deployer, system: &dyn System, one: &Settable, two: &Settable) {
    shift(deployer, &to(deployer, "pipeline: before", one).await).await;
    reach(deployer, one).await;
    let before = system.begun().await;
    let order = to(deployer, "pipeline: once", two).await;
    assert_eq!(shift(deployer, &order).await, Shifted::Done, "live is read when the run has ended");
    assert_eq!(system.begun().await, before + 1, "one order is one run");
    assert_eq!(shift(system.restarted().as_ref(), &order).await, Shifted::Done);
    assert_eq!(system.begun().await, before + 1, "the same order again is no second run");
    assert_eq!(probe(deployer, &order).await, Probe::Applied);
}

async fn green(deployer: &dyn Deployer, system: &dyn System, one: &Settable) {
    system.behave(Behaviour::DoesNothing).await;
    let order = to(deployer, "pipeline: green", one).await;
    match shift(deployer, &order).await {
        Shifted::Underway(text) => one_line(&text, "how far it is"),
        Shifted::Done => panic!("a run that ended well was believed, and live is as before"),
    }
    assert!(!live(deployer).await.serves(&one.target));
    let told = probe(deployer, &order).await;
    assert!(matches!(told, Probe::Underway(_)), "what it left behind may go on: {told:?}");
}

async fn red_and_deployed(deployer: &dyn Deployer, system: &dyn System, one: &Settable) {
    system.behave(Behaviour::DeploysAndFails).await;
    let order = to(deployer, "pipeline: red and deployed", one).await;
    assert_eq!(shift(deployer, &order).await, Shifted::Done, "live is the target, whatever the run says");
    assert_eq!(probe(deployer, &order).await, Probe::Applied);
}

async fn red(deployer: &dyn Deployer, system: &dyn System, two: &Settable) {
    system.behave(Behaviour::Fails).await;
    let (order, before) = (to(deployer, "pipeline: red", two).await, system.begun().await);
    let Err(error) = deployer.shift(&order).await else { panic!("a run that failed is no shift") };
    let text = error.to_string();
    assert_eq!(error.applied, Applied::Unknown, "what it has begun may go on: {text}");
    assert!(text.contains(SHOWN), "the end of the log is in it: {text}");
    one_line(&text, "why it failed");
    let told = probe(deployer, &order).await;
    assert!(matches!(told, Probe::Underway(_)), "what it left behind may go on: {told:?}");
    system.behave(Behaviour::Deploys).await;
    assert_eq!(shift(deployer, &order).await, Shifted::Done, "a new attempt is another run");
    assert_eq!(system.begun().await, before + 2);
}

async fn red_and_later(deployer: &dyn Deployer, system: &dyn System, one: &Settable) {
    system.behave(Behaviour::FailsAndDeploysLater).await;
    let order = to(deployer, "pipeline: red and later", one).await;
    if let Err(error) = deployer.shift(&order).await {
        assert_eq!(error.applied, Applied::Unknown, "what it has begun goes on: {error}");
    }
    let told = probe(deployer, &order).await;
    assert!(matches!(told, Probe::Underway(_) | Probe::Applied), "what it has begun goes on: {told:?}");
    reach(deployer, one).await;
    assert_eq!(probe(deployer, &order).await, Probe::Applied);
    system.behave(Behaviour::Deploys).await;
}

async fn restarted(deployer: &dyn Deployer, system: &dyn System, two: &Settable) {
    system.behave(Behaviour::Waits).await;
    let before = system.begun().await;
    let whole = to(deployer, "pipeline: restarted", two).await;
    let short = ShiftOrder { deadline: Millis::seconds(10), ..whole.clone() };
    let told = shift(deployer, &short).await;
    assert!(matches!(told, Shifted::Underway(_)), "the run goes on: {told:?}");
    let again = system.restarted();
    let told = probe(again.as_ref(), &whole).await;
    assert!(matches!(told, Probe::Underway(_)), "the run goes on: {told:?}");
    system.behave(Behaviour::Deploys).await;
    assert_eq!(shift(again.as_ref(), &whole).await, Shifted::Done);
    assert_eq!(system.begun().await, before + 1, "the run is followed, and not begun again");
}

async fn one_at_a_time(deployer: &dyn Deployer, system: &dyn System, one: &Settable) {
    system.behave(Behaviour::Waits).await;
    let first =
        ShiftOrder { deadline: Millis::seconds(10), ..to(deployer, "pipeline: first of two", one).await };
    shift(deployer, &first).await;
    let before = system.begun().await;
    let second = to(deployer, "pipeline: second of two", one).await;
    let Err(error) = deployer.shift(&second).await else { panic!("two orders at a time") };
    assert_eq!(error.applied, Applied::No, "{error}");
    assert_eq!(system.begun().await, before, "none is begun while another goes on");
    system.behave(Behaviour::Deploys).await;
    reach_by(deployer, &first, one).await;
}

/// Follows an order until its run has ended.
async fn reach_by(deployer: &dyn Deployer, order: &ShiftOrder, wanted: &Settable) {
    let order = ShiftOrder { deadline: Millis::seconds(30), ..order.clone() };
    shift(deployer, &order).await;
    reach(deployer, wanted).await;
}

async fn lost(deployer: &dyn Deployer, system: &dyn System, (one, two): (&Settable, &Settable)) {
    system.behave(Behaviour::Deploys).await;
    let there = if live(deployer).await.serves(&one.target) { two } else { one };
    system.behave(Behaviour::Waits).await;
    let order = ShiftOrder { deadline: Millis::seconds(10), ..to(deployer, "pipeline: lost", there).await };
    shift(deployer, &order).await;
    if system.forget().await {
        let told = deployer.probe(&order).await;
        assert!(
            matches!(told, Ok(Probe::CannotTell(_)) | Err(_)),
            "it was begun, and may be at work: {told:?}"
        );
    }
    system.behave(Behaviour::Deploys).await;
}

/// Checks the deployer, which must reach its system through `proxy`, and read live without it; `starts` are the requests that begin a run, `looks` those by
/// which one is followed.
pub async fn conforms_in_faults(
    deployer: &dyn Deployer,
    system: &dyn System,
    proxy: &FaultProxy,
    (starts, looks): (&Which, &Which),
    mark: MarkIs,
    (one, two): (&Settable, &Settable),
) {
    system.behave(Behaviour::Deploys).await;
    let all = InFaults { deployer, system, proxy, one, two };
    holds("a-pipeline-is-begun-once-in-faults", all.starts(starts, mark)).await;
    holds("a-pipeline-is-followed-in-faults", all.looks(looks)).await;
    holds("one-order-at-a-time-in-faults", all.one_at_a_time()).await;
    proxy.calm();
}

struct InFaults<'a> {
    deployer: &'a dyn Deployer,
    system: &'a dyn System,
    proxy: &'a FaultProxy,
    one: &'a Settable,
    two: &'a Settable,
}

impl InFaults<'_> {
    /// The one of the two that is not live.
    async fn other(&self) -> &Settable {
        if live(self.deployer).await.serves(&self.one.target) { self.two } else { self.one }
    }

    async fn starts(&self, starts: &Which, mark: MarkIs) {
        for (name, fault) in faults() {
            self.proxy.calm();
            rest(self.deployer, self.system).await;
            let wanted = self.other().await;
            let order = to(self.deployer, &format!("pipeline: {name}"), wanted).await;
            let before = self.system.begun().await;
            self.proxy.order(starts.clone(), fault.clone(), 1);
            let result = self.deployer.shift(&order).await;
            self.proxy.calm();
            let begun = self.system.begun().await - before;
            // A network that repeats what it was given makes two of one.
            let most = if matches!(fault, Fault::Twice) && mark == MarkIs::Note { 2 } else { 1 };
            assert!(begun <= most, "{name}: {begun} runs were begun");
            match result {
                Ok(_) => {
                    assert!(begun >= 1, "{name}: it is said to be begun");
                    reach(self.deployer, wanted).await;
                }
                Err(error) if error.applied == Applied::No => {
                    assert_eq!(begun, 0, "{name}: {error}");
                    shift(self.deployer, &order).await;
                }
                Err(error) => {
                    one_line(&error.to_string(), "what is not known");
                    self.unknown(&order, (name, happens(&fault)), begun, mark).await;
                }
            }
        }
    }

    /// What is said of a start of which nothing was known.
    async fn unknown(&self, order: &ShiftOrder, (name, happened): (&str, bool), begun: usize, mark: MarkIs) {
        let mut told = probe(self.deployer, order).await;
        for _ in 0..POLLS_MAX {
            if !matches!(told, Probe::Underway(_)) {
                break;
            }
            tokio::time::sleep(BETWEEN_POLLS).await;
            told = probe(self.deployer, order).await;
        }
        match (&told, begun) {
            (Probe::Applied, 1..) => {}
            (Probe::NotApplied, 0) => {
                assert_eq!(mark, MarkIs::Key, "{name}: it could not be found, and may be there")
            }
            (Probe::CannotTell(why), 0) => {
                assert!(mark == MarkIs::Note && !happened, "{name}: {why}");
                let again = self.deployer.shift(order).await;
                assert!(
                    again.is_err_and(|error| error.applied == Applied::Unknown),
                    "{name}: it is begun by people"
                );
            }
            (told, begun) => panic!("{name}: {begun} runs were begun, and a probe says {told:?}"),
        }
    }

    /// Each look goes wrong once while a run is followed.
    async fn looks(&self, looks: &Which) {
        for (name, fault) in faults() {
            self.proxy.calm();
            rest(self.deployer, self.system).await;
            let wanted = self.other().await;
            let order = to(self.deployer, &format!("pipeline: looks, {name}"), wanted).await;
            let before = self.system.begun().await;
            self.system.behave(Behaviour::Waits).await;
            let (result, left) =
                tokio::join!(self.deployer.shift(&order), self.look_fails(looks, fault, before));
            self.proxy.calm();
            assert_eq!(left, 0, "{name}: the run was not looked at");
            let begun = self.system.begun().await - before;
            assert!(begun <= 1, "{name}: {begun} runs");
            match result {
                Ok(_) => reach(self.deployer, wanted).await,
                Err(error) if error.applied == Applied::No => assert_eq!(begun, 0, "{name}: {error}"),
                Err(error) => assert_eq!(begun, 1, "{name}: {error}"),
            }
        }
    }

    /// Has a look at the run that is begun now go wrong, and then lets it deploy. How many faults have not come.
    async fn look_fails(&self, looks: &Which, fault: Fault, begun_before: usize) -> usize {
        for _ in 0..POLLS_MAX {
            if self.system.begun().await > begun_before {
                break;
            }
            tokio::time::sleep(BETWEEN_POLLS).await;
        }
        self.proxy.order(looks.clone(), fault, 1);
        for _ in 0..POLLS_MAX {
            if self.proxy.left() == 0 {
                break;
            }
            tokio::time::sleep(BETWEEN_POLLS).await;
        }
        self.system.behave(Behaviour::Deploys).await;
        self.proxy.left()
    }

    /// While a run goes on, another order goes wrong when it looks for that.
    async fn one_at_a_time(&self) {
        self.proxy.calm();
        rest(self.deployer, self.system).await;
        let wanted = self.other().await;
        self.system.behave(Behaviour::Waits).await;
        let first = to(self.deployer, "pipeline: first in faults", wanted).await;
        shift(self.deployer, &ShiftOrder { deadline: Millis::seconds(10), ..first }).await;
        for (name, fault) in faults() {
            let second = to(self.deployer, &format!("pipeline: second, {name}"), wanted).await;
            let before = self.system.begun().await;
            // It first looks for a run of its own.
            self.proxy.order(Which::Reads, Fault::Delay(Duration::ZERO), 1);
            self.proxy.order(Which::Reads, fault, usize::MAX);
            let result = self.deployer.shift(&second).await;
            self.proxy.calm();
            let Err(error) = result else { panic!("{name}: two orders at a time") };
            assert_eq!(error.applied, Applied::No, "{name}: {error}");
            assert_eq!(self.system.begun().await, before, "{name}: none is begun while another goes on");
        }
        self.system.behave(Behaviour::Deploys).await;
        rest(self.deployer, self.system).await;
    }
}
