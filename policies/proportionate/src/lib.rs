//! Finds out what changed before the harm, and puts back the smallest thing that undoes the likeliest cause.
//!
//! What moved is ranked by the SDK ([`ripcord_sdk::suspects`]); this policy says what could be put back and what of it undoes the first suspect. Where the model
//! or its data are suspected and nothing that exists is left to go back to, a version is made: of the newest checkpoint from before it went bad, else by training
//! on the data of before. Where nothing points anywhere it does what `last-known-good` does. It never guesses that something helps: where the world has changed, or nothing that moved explains the
//! harm and nothing is left to go back to, it says so, and who can help.

mod offered;
mod produced;
mod settings;

pub use settings::{Settings, UnprovenBefore};

use offered::{Offered, target_of};
use produced::Made;
use ripcord_sdk::contract::facts::{self, Candidate, Configuration, Live};
use ripcord_sdk::contract::types::{Facet as ServiceFacet, FacetRead, LiveState};
use ripcord_sdk::last_known_good::{self, Deployed, Situation};
use ripcord_sdk::prelude::*;
use ripcord_sdk::suspects::{self, Change, Coverage, Facet, Harm, Lever, Ranking, Restorable, Rung, Suspect};

/// The policy.
#[derive(Debug)]
pub struct Proportionate;

ripcord_sdk::export!(Proportionate: planner);

impl Policy for Proportionate {
    type Settings = Settings;

    fn check(settings: &Settings) -> Result<(), String> {
        settings.check()
    }
}

impl Planner for Proportionate {
    const FACTS: &'static [FactKind] = &[
        FactKind::Changes,
        FactKind::Fleet,
        FactKind::Configurations,
        FactKind::Versions,
        FactKind::Live,
        FactKind::Checkpoints,
        FactKind::Lineage,
    ];

    fn propose(case: &PlannerCase, facts: &Facts, settings: &Settings) -> Step<PlannerAnswer> {
        match &case.proposal.strategy {
            Strategy::Version | Strategy::Configuration | Strategy::Checkpoint | Strategy::Retrain => {
                Case::gather(case, facts, settings)?.answer()
            }
            Strategy::Fallback => last_known_good::propose(case, facts, &settings.versions),
            Strategy::Other(name) => Ok(will_not_help(settings, cannot(name))),
        }
    }
}

/// All that the answer rests on.
struct Case<'c> {
    case: &'c PlannerCase,
    facts: &'c Facts,
    settings: &'c Settings,
    changes: &'c [facts::Change],
    /// Whether it is known what moved.
    has_changes: bool,
    configurations: &'c [Configuration],
    versions: &'c [Candidate],
    live: Option<&'c Live>,
    ranking: Ranking,
    /// Whether everything that was asked for is known.
    is_whole: bool,
    notes: Vec<Note>,
}

impl<'c> Case<'c> {
    fn gather(case: &'c PlannerCase, facts: &'c Facts, settings: &'c Settings) -> Step<Self> {
        let (changes, fleet, configurations, versions, live) = facts.all((
            facts.changes(settings.window),
            facts.fleet(),
            facts.configurations(settings.revisions),
            facts.versions(settings.versions.look_at),
            facts.live(),
        ))?;
        let mut notes = Vec::new();
        let mut missing = |what: &str, why: &Unavailable| {
            notes.push(Note::warning(format!("{what}: {why}")));
        };
        let known_changes = changes.map_err(|why| missing("what moved before the harm is not known", why));
        let known_configurations =
            configurations.map_err(|why| missing("the configurations' histories are not known", why));
        let known_fleet = fleet.map_err(|why| missing("how other services fare is not known", why));
        let known_versions = versions.map_err(|why| missing("the registry's versions are not known", why));
        let known_live = live.map_err(|why| missing("what is live is not known", why));
        let is_whole = known_changes.is_ok()
            && known_configurations.is_ok()
            && known_versions.is_ok()
            && known_live.is_ok();
        let since = known_changes.is_ok().then(|| case.now() - settings.window);
        let mut coverage = vec![Coverage::model(since)];
        // A service without configurations may have some that nobody told the host of.
        if known_configurations.is_ok_and(|known| !known.is_empty()) {
            coverage.push(Coverage::configuration(since));
        }
        let changes = known_changes.unwrap_or_default();
        let service = case.context.service.name.as_str();
        let in_force = changes.iter().filter(|fact| came_into_force(fact, changes, known_live.ok()));
        let weighed: Vec<Change> = in_force.map(|fact| Change::of_fact(fact, service, case.now())).collect();
        // Whoever tells of data tells of all that moved.
        if weighed.iter().any(|change| matches!(change.facet, Facet::Data(_))) {
            coverage.push(Coverage::data(since));
        }
        let tried: Vec<Lever> = case.tried.iter().filter_map(Lever::of_target).collect();
        let harm = Harm::of_case(case, settings.harm_uncertainty);
        let harm = harm.beside(known_fleet.unwrap_or_default(), &weighed);
        let ranking = suspects::rank(&weighed, &harm, &coverage).after(&tried);
        Ok(Self {
            case,
            facts,
            settings,
            changes,
            has_changes: since.is_some(),
            configurations: known_configurations.unwrap_or_default(),
            versions: known_versions.unwrap_or_default(),
            live: known_live.ok(),
            ranking,
            is_whole,
            notes,
        })
    }

    fn answer(self) -> Step<PlannerAnswer> {
        let named = self.ranking.named(self.changes, &self.case.context.service.name, self.case.now());
        let mut answer = match self.safe_mode_in_force() {
            Some(mode) => will_not_help(self.settings, behind(mode, &self.case.context.service.name)),
            None => self.choose()?,
        };
        answer.suspects = named;
        Ok(answer)
    }

    /// The safe mode that answers in place of the model.
    fn safe_mode_in_force(&self) -> Option<&'c str> {
        offered::in_force(self.facets(), &ServiceFacet::Fallback).filter(|mode| *mode != "off")
    }

    fn facets(&self) -> &'c [FacetRead] {
        self.live.map_or(&[][..], |live| live.facets.as_slice())
    }

    fn situation(&self) -> Situation<'_> {
        Situation {
            now: self.case.now(),
            settings: &self.settings.versions,
            live: self.live.map(|live| &live.state),
            tried: &self.case.tried,
        }
    }

    /// When the model moved last.
    fn deployed(&self) -> Deployed {
        if self.has_changes {
            let of_model = self.changes.iter().filter(|change| change.facet == ServiceFacet::Model);
            Deployed::At(of_model.map(|change| change.at).max())
        } else {
            Deployed::WithTheRest
        }
    }

    fn offered(&self) -> Step<Vec<Offered>> {
        let tried = &self.case.tried;
        let mut offered =
            offered::configurations(self.settings, &self.ranking, self.configurations, self.facets(), tried);
        if self.case.proposal.strategy != Strategy::Configuration {
            offered.extend(offered::versions(&self.situation(), self.versions));
        }
        offered.extend(offered::safe_mode(self.settings, self.facets(), tried));
        if let Some(best) = self.ranking.best() {
            self.made_from(&best.change, &mut offered)?;
        }
        Ok(offered)
    }

    fn choose(mut self) -> Step<PlannerAnswer> {
        let best = self.ranking.best().cloned();
        match self.case.proposal.strategy {
            Strategy::Checkpoint => {
                let made = self.of_checkpoint(best.as_ref())?;
                return Ok(self.make(made, best.as_ref(), Vec::new()));
            }
            Strategy::Retrain => {
                let made = self.of_older_data(best.as_ref());
                return Ok(self.make(made, best.as_ref(), Vec::new()));
            }
            _ => {}
        }
        let offered = self.offered()?;
        let levers: Vec<Restorable> = offered.iter().map(|one| one.restorable.clone()).collect();
        match suspects::choose(&self.ranking, &levers) {
            suspects::Choice::Restore { rungs, refused } => Ok(self.restore(&offered, &rungs, refused)),
            suspects::Choice::WillNotHelp { because, .. } => {
                let notes = std::mem::take(&mut self.notes);
                Ok(will_not_help(self.settings, because).notes(notes))
            }
            suspects::Choice::LastKnownGood { because } => match best {
                Some(best) if self.may_be_made(&best, &offered) => self.made(&best, &offered, because),
                _ => self.without_a_suspect(&offered, because),
            },
        }
    }

    /// Whether a version is to be made: the model or its data are suspected, and no version is left that could be put back instead, which is quicker.
    fn may_be_made(&self, best: &Suspect, offered: &[Offered]) -> bool {
        let is_left = |one: &Offered| {
            one.restorable.unusable.is_none() && matches!(one.restorable.lever, Lever::Model { .. })
        };
        self.case.proposal.strategy == Strategy::Version
            && matches!(best.change.facet, Facet::Model | Facet::Data(_))
            && !offered.iter().any(is_left)
    }

    /// Of a checkpoint first, which was trained already; else by training again. Where neither can be made, it is as if nothing were known of changes.
    fn made(mut self, best: &Suspect, offered: &[Offered], because: String) -> Step<PlannerAnswer> {
        let others = || {
            offered::refused(offered.iter(), |one| {
                one.restorable
                    .unusable
                    .clone()
                    .unwrap_or_else(|| "it undoes nothing that is suspected".to_owned())
            })
        };
        let of_checkpoint = self.of_checkpoint(Some(best))?;
        let Made::Nothing { why, refused } = of_checkpoint else {
            self.notes.push(Note::info(because));
            return Ok(self.make(of_checkpoint, Some(best), others()));
        };
        if let (made @ Made::Of { .. }, Facet::Data(_)) = (self.of_older_data(Some(best)), &best.change.facet)
        {
            self.notes.push(Note::info(because));
            self.notes.push(Note::info(why));
            return Ok(self.make(made, Some(best), [refused, others()].concat()));
        }
        self.notes.push(Note::info(why));
        self.without_a_suspect(offered, because)
    }

    /// A version is made of one target: what follows depends on what comes of it.
    fn make(mut self, made: Made, best: Option<&Suspect>, others: Vec<Refusal>) -> PlannerAnswer {
        match made {
            Made::Of { target, because, refused } => {
                self.notes.push(Note::info(because));
                let strategy = match target {
                    Target::Checkpoint(_) => Strategy::Checkpoint,
                    _ => Strategy::Retrain,
                };
                PlannerAnswer::choose(Choice {
                    strategy,
                    ladder: vec![target],
                    refused: [refused, others].concat(),
                    confidence: best.map(|best| suspects::thousandths(best.score)),
                })
                .notes(self.notes)
            }
            Made::Nothing { why, refused } => {
                let answer = PlannerAnswer::nothing_suitable([refused, others].concat());
                answer.notes(self.notes).note(Note::info(why))
            }
        }
    }

    /// The ladder is of the first target's facet: a plan moves one.
    fn restore(
        mut self,
        offered: &[Offered],
        rungs: &[Rung],
        refused: Vec<suspects::Refused>,
    ) -> PlannerAnswer {
        let Some((first, target)) =
            rungs.first().and_then(|rung| Some((rung, target_of(offered, &rung.lever)?)))
        else {
            return PlannerAnswer::nothing_suitable(Vec::new());
        };
        self.notes.push(Note::info(first.because.clone()));
        let mut refusals: Vec<Refusal> = refused
            .into_iter()
            .filter_map(|one| Some(Refusal::new(target_of(offered, &one.lever)?, one.reason)))
            .collect();
        let mut ladder = vec![target];
        for rung in &rungs[1..] {
            let Some(target) = target_of(offered, &rung.lever) else { continue };
            if same_facet(&first.lever, &rung.lever) {
                ladder.push(target);
            } else {
                refusals.push(Refusal::new(target, next_plan(rung)));
            }
        }
        let strategy = match &first.lever {
            Lever::Configuration { .. } => Strategy::Configuration,
            Lever::Fallback { .. } => Strategy::Fallback,
            Lever::Model { .. } | Lever::Retrain { .. } => Strategy::Version,
        };
        if strategy == Strategy::Version {
            self.older_versions(offered, &mut ladder, &mut refusals);
        }
        let confidence = Some(suspects::thousandths(first.sure));
        PlannerAnswer::choose(Choice { strategy, ladder, refused: refusals, confidence }).notes(self.notes)
    }

    /// Below the first version the older ones that are suitable and that the suspect did not bring, as many as `last-known-good` would take.
    fn older_versions(&self, offered: &[Offered], ladder: &mut Vec<Target>, refusals: &mut Vec<Refusal>) {
        let best = self.ranking.best().map(|suspect| &suspect.change);
        let suits = |one: &&Offered| {
            one.restorable.unusable.is_none()
                && matches!(one.restorable.lever, Lever::Model { .. })
                && best.is_some_and(|change| one.restorable.lever.undoes(change))
        };
        for one in offered.iter().filter(suits) {
            if ladder.len() >= self.settings.versions.rungs {
                break;
            }
            if !ladder.contains(&one.target) {
                ladder.push(one.target.clone());
                refusals.retain(|refusal| refusal.target != one.target);
            }
        }
    }

    /// As if nothing were known of changes; and where that finds nothing either, and nothing is missing that could tell more, it says that going back will
    /// not help.
    fn without_a_suspect(mut self, offered: &[Offered], because: String) -> Step<PlannerAnswer> {
        if self.case.proposal.strategy == Strategy::Configuration {
            let why = |one: &Offered| {
                one.restorable
                    .unusable
                    .clone()
                    .unwrap_or_else(|| "it undoes nothing that is suspected".to_owned())
            };
            let answer = PlannerAnswer::nothing_suitable(offered::refused(offered.iter(), why));
            return Ok(answer.note(Note::info(because)).notes(self.notes));
        }
        let notes = std::mem::take(&mut self.notes);
        let answer =
            last_known_good::go_back(self.case, self.facts, &self.settings.versions, self.deployed())?;
        let is_explained = self.ranking.suspects.iter().any(|suspect| suspect.score > 0.0);
        match &answer.verdict {
            PlannerVerdict::WillNotHelp(no_help) => {
                Ok(will_not_help(self.settings, format!("{because}; {}", no_help.reason)).notes(notes))
            }
            PlannerVerdict::NothingSuitable(refused) if self.is_whole && !is_explained => {
                let each = refused.iter().map(|one| format!("{}: {}", name(&one.target), one.reason));
                let why = format!(
                    "{because}; and nothing is left to go back to ({})",
                    each.collect::<Vec<_>>().join("; ")
                );
                Ok(will_not_help(self.settings, why).notes(notes))
            }
            _ => {
                let fell = format!("{because}, so this goes back as `last-known-good` does");
                Ok(answer.note(Note::info(fell)).notes(notes))
            }
        }
    }
}

/// What only the registry tells of is a change of what is served where that version is live now and nobody saw it come.
fn came_into_force(fact: &facts::Change, changes: &[facts::Change], live: Option<&Live>) -> bool {
    if !matches!(fact.noticed.as_str(), "registry" | "registered") {
        return true;
    }
    let was_seen = |other: &facts::Change| {
        other.facet == fact.facet
            && other.became == fact.became
            && matches!(other.noticed.as_str(), "production" | "ripcord")
    };
    let is_live = match live.map(|live| &live.state) {
        Some(LiveState::Serving(shares)) => {
            shares.iter().any(|share| share.weight > 0.0 && fact.became.contains(&share.version.version))
        }
        _ => true,
    };
    is_live && !changes.iter().any(was_seen)
}

fn same_facet(one: &Lever, other: &Lever) -> bool {
    match (one, other) {
        (Lever::Configuration { name, .. }, Lever::Configuration { name: other, .. }) => name == other,
        (Lever::Fallback { .. }, Lever::Fallback { .. }) | (Lever::Model { .. }, Lever::Model { .. }) => true,
        _ => false,
    }
}

fn next_plan(rung: &Rung) -> String {
    format!(
        "a plan moves one facet: if the first target does not help, the next plan puts this back, because {}",
        rung.because
    )
}

fn will_not_help(settings: &Settings, why: String) -> PlannerAnswer {
    match &settings.hand_over_to {
        Some(who) => PlannerAnswer::hand_over(who, why),
        None => PlannerAnswer::will_not_help(why),
    }
}

fn behind(mode: &str, service: &str) -> String {
    format!(
        "the safe mode `{mode}` answers in place of the model, so neither a version nor a configuration changes what is answered: `ripcord pull {service} --fallback off` leaves it"
    )
}

fn cannot(name: &str) -> String {
    format!(
        "the strategy `{name}` is wanted, which this planner does not know: use a planner that knows `{name}`"
    )
}

/// A target, for people.
fn name(target: &Target) -> String {
    match target {
        Target::Version(version) => format!("`{}`", version.version),
        Target::Configuration(one) => format!("`{}={}`", one.name, one.revision),
        Target::Fallback(mode) => format!("`fallback={mode}`"),
        Target::Checkpoint(checkpoint) => format!("`{}@{}`", checkpoint.run, checkpoint.step),
        Target::Retrain(retrain) => format!("`{}`", retrain.dataset),
        Target::Other(name) => name.clone(),
    }
}
