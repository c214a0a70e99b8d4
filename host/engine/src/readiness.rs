//! Whether a rollback could be made right now: what it needs, part by part, each looked at by a call that changes nothing.
//!
//! It says what a plan would come to, by the same code as plans and targets. What a shift alone can show is not claimed: a deployer is asked for its obstacles
//! and read, and nothing is shifted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::future::join_all;
use ripcord_core::digest::Digest;
use ripcord_core::event::DataState;
use ripcord_core::facet::Facet;
use ripcord_core::name::{PersonName, PolicyName, ServiceName};
use ripcord_core::policy::Role;
use ripcord_core::readiness::ReadyPart;
use ripcord_core::service::{Reachable, Service};
use ripcord_core::target::{Target, VersionTarget};
use ripcord_core::terms::Mode;
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_ports::registry::AtHand;
use ripcord_ports::{ErrorKind, PortError};
use serde::{Deserialize, Serialize};

use crate::deadline::within;
use crate::host::Host;
use crate::pace::JUMP_MIN;
use crate::restorable::{obstacle, told};
use crate::setup::ServiceSetup;
use crate::targets::{
    Answers, Entry, FacetTargets, RestoredBy, TargetLine, entries, facets_of, history, in_force, of_answers,
    targets_known,
};

/// What does not answer within this is not ready: an incident would not wait longer either.
const PART_WAIT: Millis = Millis::seconds(20);
/// An announcement that has waited so long has reached nobody.
const UNTOLD_FOR: Millis = Millis::minutes(3);
/// Of the versions that rules may choose, so many have their content looked at until one is found that can be pinned.
const CONTENTS_MAX: usize = 4;
/// Versions that a registry is asked for: as many as planners are shown.
const LISTED_MAX: u32 = 100;
/// A registry that has given no list for so long is away, whatever is kept of it.
const LIST_AGE_MAX: Millis = Millis::hours(1);
/// The notifier that everybody has.
const LOG: &str = "log";

/// How one part does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReadyWord {
    /// It is ready.
    Ready,
    /// It is not, or nobody can tell.
    NotReady,
    /// The service has no such part, or is configured to do without.
    NotWanted,
}

/// One part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartReadiness {
    /// Which.
    pub part: ReadyPart,
    /// How it does.
    pub word: ReadyWord,
    /// What was seen; where it is not ready, why, and what to do.
    pub text: String,
}

/// All parts of one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Readiness {
    /// Which service.
    pub service: ServiceName,
    /// When they were looked at.
    pub at: UnixMillis,
    /// All of [`ReadyPart::ALL`], in that order.
    pub parts: Vec<PartReadiness>,
}

impl Readiness {
    /// Those that are not ready.
    pub fn unready(&self) -> BTreeSet<ReadyPart> {
        self.parts.iter().filter(|part| part.word == ReadyWord::NotReady).map(|part| part.part).collect()
    }

    /// How many of those that are wanted are ready, and how many are wanted.
    pub fn score(&self) -> (usize, usize) {
        let wanted = self.parts.iter().filter(|part| part.word != ReadyWord::NotWanted).count();
        (wanted - self.unready().len(), wanted)
    }
}

/// The last look at each service.
#[derive(Debug, Default)]
pub(crate) struct LastReadiness(Mutex<BTreeMap<ServiceName, Readiness>>);

impl LastReadiness {
    pub(crate) fn of(&self, service: &ServiceName) -> Option<Readiness> {
        self.all().get(service).cloned()
    }

    fn keep(&self, readiness: &Readiness) {
        self.all().insert(readiness.service.clone(), readiness.clone());
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<ServiceName, Readiness>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A word and what is said with it.
type Said = (ReadyWord, String);

fn ready(text: impl Into<String>) -> Said {
    (ReadyWord::Ready, text.into())
}

fn not_ready(text: impl Into<String>) -> Said {
    (ReadyWord::NotReady, text.into())
}

fn not_wanted(text: impl Into<String>) -> Said {
    (ReadyWord::NotWanted, text.into())
}

/// What a look came to.
pub(crate) struct Looked {
    pub(crate) readiness: Readiness,
    /// The version whose artefact is to be fetched, since a rollback to it would have to.
    pub(crate) to_be_fetched: Option<VersionTarget>,
}

/// Looks at every part. The look is kept for whoever asks for the last one.
pub(crate) async fn look(host: &Host, setup: &ServiceSetup, service: &Service) -> Looked {
    let now = host.setup.clock.now();
    let (facets, evidence, golden) =
        tokio::join!(facets(host, setup, service, now), evidence(host, now), golden(host, setup));
    let (artefact, to_be_fetched) = artefact(host, setup, &facets).await;
    let said = |part: ReadyPart| match part {
        ReadyPart::Acting => acting(host, service),
        ReadyPart::Policies => policies(service),
        ReadyPart::Data => data(service, now),
        ReadyPart::Evidence => evidence.clone(),
        ReadyPart::Target => target(service, &facets),
        ReadyPart::Registry => all_of(&facets, "lists its revisions", |looked| looked.not_listed.clone()),
        ReadyPart::People => people(service, now),
        ReadyPart::Artefact => artefact.clone(),
        ReadyPart::Live => all_of(&facets, "can be read", |looked| looked.targets.not_read.clone()),
        ReadyPart::Deployer => {
            all_of(&facets, "has no obstacle that shows", |looked| looked.targets.obstacle.clone())
        }
        ReadyPart::Golden => golden.clone(),
        ReadyPart::Announcements => announcements(host, service, now),
        ReadyPart::Clock => clock(service, host.wall.now()),
    };
    let parts = ReadyPart::ALL.into_iter().map(|part| {
        let (word, text) = said(part);
        PartReadiness { part, word, text }
    });
    let readiness = Readiness { service: service.name.clone(), at: now, parts: parts.collect() };
    host.readiness.keep(&readiness);
    Looked { readiness, to_be_fetched }
}

/// What a facet's systems have answered.
struct FacetLooked {
    targets: FacetTargets,
    /// Why there is no list, or none that is new enough.
    not_listed: Option<String>,
}

async fn facets(host: &Host, setup: &ServiceSetup, service: &Service, now: UnixMillis) -> Vec<FacetLooked> {
    let facets = facets_of(service);
    join_all(facets.iter().map(|facet| look_at(host, setup, service, facet, now))).await
}

/// Each of its systems is waited for by itself: one that does not answer says nothing of the others.
async fn look_at(
    host: &Host,
    setup: &ServiceSetup,
    service: &Service,
    facet: &Facet,
    now: UnixMillis,
) -> FacetLooked {
    let clock = host.setup.clock.as_ref();
    let late = || format!("no answer within {PART_WAIT}");
    let (listed, live, obstacle) = tokio::join!(
        within(clock, PART_WAIT, listed(setup, facet)),
        within(clock, PART_WAIT, in_force(setup, facet)),
        within(clock, PART_WAIT, obstacle(&setup.ports, &setup.terms, facet)),
    );
    let (listed, listed_at) =
        listed.unwrap_or_else(|| (Err(PortError::not_applied(ErrorKind::TimedOut, late())), None));
    let age = listed_at.map(|at| now.since(at)).filter(|age| *age >= LIST_AGE_MAX);
    let old = age.map(|age| format!("its registry has given no list for {age}: the kept one is used"));
    let answers = Answers {
        listed,
        live: live.unwrap_or_else(|| Err(late())),
        obstacle: obstacle.unwrap_or_else(|| Some(format!("whether there is one was not said: {}", late()))),
    };
    let looked = of_answers(setup, service, facet, now, answers, CONTENTS_MAX);
    let targets = within(clock, PART_WAIT, looked).await.unwrap_or_else(|| {
        targets_known(service, facet, format!("what its revisions hold: {}", late()), now)
    });
    let not_listed = targets.not_listed.clone().or(old);
    FacetLooked { targets, not_listed }
}

/// The list that a decision would be given: where a registry does not answer, the one that is kept of it, with its age.
async fn listed(setup: &ServiceSetup, facet: &Facet) -> (Result<Vec<Entry>, PortError>, Option<UnixMillis>) {
    if *facet != Facet::Model {
        return (history(setup, facet).await, None);
    }
    match setup.ports.registry.listing(LISTED_MAX).await {
        Ok(listing) => (Ok(entries(listing.versions)), listing.listed_at),
        Err(error) => (Err(error), None),
    }
}

/// Whether it holds of every facet.
fn all_of(facets: &[FacetLooked], well: &str, why: impl Fn(&FacetLooked) -> Option<String>) -> Said {
    let bad = facets.iter().filter_map(|looked| Some(format!("{}: {}", looked.targets.facet, why(looked)?)));
    let bad: Vec<_> = bad.collect();
    if bad.is_empty() {
        let names: Vec<_> = facets.iter().map(|looked| looked.targets.facet.to_string()).collect();
        return ready(format!("{} {well}", names.join(", ")));
    }
    not_ready(format!("{}; `ripcord check` tries it and says what to mend", bad.join("; ")))
}

fn acting(host: &Host, service: &Service) -> Said {
    let name = &service.name;
    let health = host.health.of(std::iter::once(name));
    if let Some(why) = health.into_iter().find_map(|health| health.stuck) {
        return not_ready(format!("its driver is stuck: {why}"));
    }
    if let Some(person) = &service.paused_by {
        return not_ready(format!(
            "{person} has paused it, so nothing is shifted until `ripcord resume {name}`"
        ));
    }
    if let Some(review) = service.reviews.first() {
        return not_ready(format!(
            "a review of {} is open, so no plan is carried out on one word: look at what was done and `ripcord review close {} --reason TEXT`",
            review.incident, review.incident
        ));
    }
    match service.terms.as_ref().map(|terms| terms.mode) {
        Some(Mode::Observe) => not_wanted("mode is observe: plans are made, and nothing is shifted"),
        Some(Mode::Ask) => ready("mode is ask: people agree to every plan"),
        Some(Mode::Act) => ready("mode is act: a plan that policies grant is carried out"),
        None => not_ready("its configuration is not recorded yet; the log says why"),
    }
}

fn policies(service: &Service) -> Said {
    let Some(terms) = &service.terms else { return not_ready("its configuration is not recorded yet") };
    let name = &service.name;
    let mut bad = Vec::new();
    if terms.policies(Role::Trigger).next().is_none() {
        bad.push("no trigger is configured, so no alert opens an incident".to_owned());
    }
    if terms.policies(Role::Planner).next().is_none() {
        bad.push(format!(
            "no planner is configured: only `ripcord pull {name} --to VERSION` says where to go back to"
        ));
    }
    for (trigger, faults) in &service.watching.faulted {
        bad.push(format!(
            "trigger {trigger} has faulted {faults} times in a row and decides nothing: `ripcord decisions {name}` shows why"
        ));
    }
    let triggers = terms.policies(Role::Trigger).count();
    let latched: Vec<_> = service.watching.latches.keys().map(PolicyName::as_str).collect();
    if triggers > 0 && latched.len() >= triggers {
        bad.push(format!(
            "{} may open no incident until there is news, since the last one ended without a rollback: `ripcord latch lift {name} TRIGGER --reason TEXT` lets it",
            latched.join(", ")
        ));
    }
    if bad.is_empty() {
        ready(format!("{} are loaded", count(terms.policies.len(), "policy", "policies")))
    } else {
        not_ready(bad.join("; "))
    }
}

/// As people are told of it: once it has lasted.
fn data(service: &Service, now: UnixMillis) -> Said {
    let watching = &service.watching;
    let without = watching.no_data_of.iter().filter(|(_, state)| **state == DataState::Missing);
    let names: Vec<_> = without.map(|(name, _)| PolicyName::as_str(name)).collect();
    let patience = service.terms.as_ref().map(|terms| terms.deadlines.no_data).unwrap_or_default();
    match watching.no_data_since.map(|since| now.since(since)) {
        Some(lasts) if !names.is_empty() && lasts >= patience => not_ready(format!(
            "{} cannot judge for want of data, for {lasts} by now; `ripcord check` and the log say what is missing",
            names.join(", ")
        )),
        _ => ready("no trigger lacks data, as far as they were asked"),
    }
}

/// Another piece each time, since what is kept already is not written again; it is taken away afterwards.
async fn evidence(host: &Host, now: UnixMillis) -> Said {
    let probe =
        format!("Ripcord writes this to see whether evidence could be kept: {}.\n", now.0).into_bytes();
    let keep = async {
        let objects = &host.setup.evidence;
        let mut kept = objects.put(vec![probe.clone()]).await?;
        let digest = kept.pop().unwrap_or_else(|| Ok(Digest::of(&probe)))?;
        let read = objects.get(&digest).await?;
        objects.remove(&digest).await?;
        Ok::<_, PortError>(read == Some(probe))
    };
    match within(host.setup.clock.as_ref(), PART_WAIT, keep).await {
        Some(Ok(true)) => ready("a piece was kept, read back and taken away"),
        Some(Ok(false)) => {
            not_ready("what was kept does not read back: look at the disk of the host's data folder")
        }
        Some(Err(error)) => not_ready(format!("nothing can be kept: {}", told(&error))),
        None => not_ready(format!(
            "it did not answer within {PART_WAIT}: look at the disk of the host's data folder"
        )),
    }
}

async fn golden(host: &Host, setup: &ServiceSetup) -> Said {
    let Some(golden) = &setup.ports.golden else { return not_wanted("no golden data are configured") };
    let clock = host.setup.clock.as_ref();
    let looks = golden.names().into_iter().map(|name| async move {
        match within(clock, PART_WAIT, golden.rows(&name)).await {
            Some(Ok(rows)) if rows.is_empty() => Err(format!("`{name}` has no rows, so it verifies nothing")),
            Some(Ok(rows)) => Ok(format!("{name}: {}", count(rows.len(), "row", "rows"))),
            Some(Err(error)) => Err(format!("`{name}` cannot be read: {}", told(&error))),
            None => Err(format!("`{name}` was not read within {PART_WAIT}")),
        }
    });
    let (read, bad): (Vec<_>, Vec<_>) = join_all(looks).await.into_iter().partition(Result::is_ok);
    let bad: Vec<_> = bad.into_iter().filter_map(Result::err).collect();
    if bad.is_empty() {
        ready(read.into_iter().flatten().collect::<Vec<_>>().join(", "))
    } else {
        not_ready(bad.join("; "))
    }
}

/// The version that a rollback goes to first: rules may choose it, and its content was found to be there.
fn first(facets: &[FacetLooked]) -> Option<&TargetLine> {
    let model = facets.iter().find(|looked| looked.targets.facet == Facet::Model)?;
    model.targets.targets.iter().find(|line| line.by == RestoredBy::Rules && line.content_seen)
}

/// A safe mode or a configuration is no way back for a model that went bad.
fn target(service: &Service, facets: &[FacetLooked]) -> Said {
    let name = &service.name;
    if let Some(first) = first(facets) {
        return ready(format!("{} is {}, and rules may go back to it", first.revision, first.standing));
    }
    let lines = || facets.iter().flat_map(|looked| &looked.targets.targets);
    let mut also = format!("`ripcord targets {name}` says why of each");
    if let Some(other) = lines().find(|line| line.by == RestoredBy::Rules) {
        also = format!("rules may restore {}, which is no version; {also}", other.revision);
    }
    let person = |line: &&TargetLine| line.by == RestoredBy::People && line.revision.facet == Facet::Model;
    match lines().find(person) {
        Some(first) => not_ready(format!(
            "rules may go back to no version; people could pull to {}, but {}; {also}",
            first.revision,
            first.why_not.as_deref().unwrap_or("nobody vouches for it")
        )),
        None => not_ready(format!(
            "there is no version to go back to: `ripcord adopt {name} VERSION --reason TEXT` vouches for one that served well; {also}"
        )),
    }
}

/// Of the first version that rules may choose: it is fetched first.
async fn artefact(
    host: &Host,
    setup: &ServiceSetup,
    facets: &[FacetLooked],
) -> (Said, Option<VersionTarget>) {
    let Some(Target::Version(target)) = first(facets).map(|line| &line.target) else {
        return (not_wanted("there is no version to go back to: see `target`"), None);
    };
    let version = &target.version;
    let at_hand = within(host.setup.clock.as_ref(), PART_WAIT, setup.ports.registry.at_hand(target)).await;
    let mut to_be_fetched = None;
    let said = match at_hand {
        Some(Ok(AtHand::Whole)) => {
            target.digest.into_iter().for_each(|digest| host.brought_back.is_there(digest));
            ready(format!("that of {version} is on this machine"))
        }
        Some(Ok(AtHand::NotKept)) => {
            not_wanted("artefacts are not kept on this machine: a rollback fetches them")
        }
        Some(Ok(AtHand::Missing(why))) => {
            // One without a digest is fetched for that.
            to_be_fetched = target.digest.map(|_| target.clone());
            not_ready(format!(
                "that of {version} is not on this machine, so a rollback waits for the registry: {why}; the host fetches it again, and the log says what hinders that"
            ))
        }
        Some(Ok(AtHand::NoRoom(why))) => not_ready(format!(
            "that of {version} is not on this machine, so a rollback waits for the registry: {why}"
        )),
        Some(Err(error)) => not_ready(format!(
            "whether that of {version} is on this machine cannot be told: {}",
            told(&error)
        )),
        None => not_ready(format!("that of {version} could not be checked within {PART_WAIT}")),
    };
    (said, to_be_fetched)
}

fn people(service: &Service, now: UnixMillis) -> Said {
    let all = service.reachable(now);
    if all.is_empty() {
        return ready("no plan needs a person unless its policies say so");
    }
    let names = |names: &[PersonName]| names.iter().map(PersonName::as_str).collect::<Vec<_>>().join(", ");
    let missing = |one: &Reachable| {
        let Reachable { wanted, able, without_key } = one;
        let mut text = format!("{} of `{}` must agree, and {} can", wanted.people, wanted.role, able.len());
        if !without_key.is_empty() {
            text.push_str(&format!("; no key of {} counts now", names(without_key)));
        }
        text
    };
    let short: Vec<_> = all.iter().filter(|one| !one.is_met()).map(missing).collect();
    if !short.is_empty() {
        return not_ready(format!(
            "{}: give more people the role, or renew keys, below `[people]`",
            short.join("; ")
        ));
    }
    let each = all
        .iter()
        .map(|one| format!("{} of `{}`, of {}", one.wanted.people, one.wanted.role, names(&one.able)));
    ready(format!("{}; policies may want more", each.collect::<Vec<_>>().join("; ")))
}

fn announcements(host: &Host, service: &Service, now: UnixMillis) -> Said {
    let late: Vec<_> =
        service.outbox.iter().filter(|waits| now.since(waits.waits_since) >= UNTOLD_FOR).collect();
    if let Some(oldest) = late.iter().map(|waits| waits.waits_since).min() {
        return not_ready(format!(
            "{} for {} by now: the log says which notifier fails, `ripcord check` tries them",
            count(late.len(), "announcement has waited", "announcements have waited"),
            now.since(oldest)
        ));
    }
    let names: Vec<_> = host.setup.notifiers.iter().map(|notifier| notifier.name()).collect();
    let others: Vec<_> = names.into_iter().filter(|name| *name != LOG).collect();
    if others.is_empty() {
        return not_wanted("the host's log alone is told: `[[notifiers]]` tell people");
    }
    ready(format!("none waits for {}", others.join(", ")))
}

fn clock(service: &Service, wall: UnixMillis) -> Said {
    let behind = service.at.since(wall);
    if behind >= JUMP_MIN {
        return not_ready(format!(
            "the host's clock is {behind} behind what is on record, so deadlines pass at half their speed: set it right"
        ));
    }
    ready("it is not behind the record")
}

fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}
