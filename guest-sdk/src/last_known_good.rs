//! Going back to the newest version that is known good or attested, with older ones below it: what the starter `last-known-good` does, and what a planner
//! does that finds nothing better.
//!
//! Every version that is not chosen is refused with one reason. Nothing is guessed: without a list of versions there is
//! no version to go to, and a fallback is chosen only where one is configured.

mod settings;
mod suitable;

pub use settings::{Accepted, OlderHarm, PartlyLive, Settings};
pub use suitable::Situation;

use crate::contract::facts::{Candidate, Live};
use crate::contract::planner::{Answer, Choice, Refusal};
use crate::contract::types::{Instant, LiveState, Note, Strategy, Target};
use crate::facts::{Fact, Facts, Step};
use crate::millis;
use crate::policy::PlannerCase;
use suitable::word;

/// A ladder for a proposal that wants a version or the fallback; another strategy is not this planner's.
///
/// # Errors
/// What it needs to know first.
pub fn propose(case: &PlannerCase, facts: &Facts, settings: &Settings) -> Step<Answer> {
    match &case.proposal.strategy {
        Strategy::Version => go_back(case, facts, settings, Deployed::WithTheRest),
        Strategy::Fallback => Ok(only_the_fallback(case, settings)),
        other => Ok(Answer::will_not_help(cannot(other))),
    }
}

/// When the model that is live was deployed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deployed {
    /// As far as is known when all that is in force became so: a configuration that moved later looks like a deployment.
    WithTheRest,
    /// At this instant, Unix milliseconds, by what is known of changes; none if it has not moved within that time.
    At(Option<Instant>),
}

/// A ladder of versions, whatever the proposal wants.
///
/// # Errors
/// What it needs to know first.
pub fn go_back(case: &PlannerCase, facts: &Facts, settings: &Settings, deployed: Deployed) -> Step<Answer> {
    let (versions, live) = facts.all((facts.versions(settings.look_at), facts.live()))?;
    let mut notes = Vec::new();
    let live_state = known(live, &mut notes);
    match older_harm(case, live, settings, deployed) {
        Some(why) if settings.older_harm == OlderHarm::WillNotHelp => {
            return Ok(Answer::will_not_help(why).notes(notes));
        }
        why => notes.extend(why.map(Note::warning)),
    }
    let situation = Situation { now: case.now(), settings, live: live_state, tried: &case.tried };
    let (ladder, mut refused) = match versions {
        Ok(versions) => {
            if versions.len() >= settings.look_at as usize {
                notes.push(Note::info(format!("only the newest {} versions were looked at", versions.len())));
            }
            climb(&situation, versions, &mut notes)
        }
        Err(unavailable) => {
            let why = format!("the registry's versions are not known: {unavailable}");
            notes.push(Note::warning(why.as_str()));
            (Vec::new(), vec![Refusal::new(Target::Other("every version".to_owned()), why)])
        }
    };
    let fallback = fallback(case, settings, &mut refused);
    Ok(answer(ladder, fallback, refused).notes(notes))
}

/// The ladder, newest version first, and every other version with its reason. What was chosen is said in a note.
pub fn climb(
    situation: &Situation<'_>,
    versions: &[Candidate],
    notes: &mut Vec<Note>,
) -> (Vec<Target>, Vec<Refusal>) {
    let mut newest_first: Vec<&Candidate> = versions.iter().collect();
    newest_first.sort_by_key(|candidate| std::cmp::Reverse(candidate.created_at));
    let (mut ladder, mut refused, mut seen) = (Vec::new(), Vec::new(), Vec::new());
    for candidate in newest_first {
        let name = candidate.version.version.as_str();
        if seen.contains(&name) {
            continue;
        }
        seen.push(name);
        let target = Target::Version(candidate.version.clone());
        let rungs = situation.settings.rungs;
        match situation.objection(candidate) {
            Some(why) => refused.push(Refusal::new(target, why)),
            None if ladder.len() >= rungs => {
                let why = format!("it is suitable, but the ladder holds only {rungs} newer ones");
                refused.push(Refusal::new(target, why));
            }
            None => {
                if ladder.is_empty() {
                    notes.push(Note::info(chosen(situation, candidate)));
                }
                ladder.push(target);
            }
        }
    }
    (ladder, refused)
}

fn chosen(situation: &Situation<'_>, candidate: &Candidate) -> String {
    let since = candidate.verified_at.map(|at| format!(" for {}", situation.since(at))).unwrap_or_default();
    format!(
        "`{}` is the newest suitable version: {}{since}, created {} ago",
        candidate.version.version,
        word(&candidate.standing),
        situation.since(candidate.created_at)
    )
}

/// The fallback, unless none is configured or it was tried.
fn fallback(case: &PlannerCase, settings: &Settings, refused: &mut Vec<Refusal>) -> Option<Target> {
    let target = Target::Fallback(settings.fallback.clone()?);
    if case.tried.contains(&target) {
        refused.push(Refusal::new(target, "it was tried already in this incident and did not help"));
        return None;
    }
    Some(target)
}

fn answer(mut ladder: Vec<Target>, fallback: Option<Target>, refused: Vec<Refusal>) -> Answer {
    let no_version = ladder.is_empty();
    ladder.extend(fallback);
    let strategy = match ladder.first() {
        None => return Answer::nothing_suitable(refused),
        Some(Target::Fallback(_)) => Strategy::Fallback,
        Some(_) => Strategy::Version,
    };
    let answer = Answer::choose(Choice { strategy, ladder, refused, confidence: None });
    if no_version {
        answer.note(Note::warning("no version is suitable: only the fallback is left"))
    } else {
        answer
    }
}

fn only_the_fallback(case: &PlannerCase, settings: &Settings) -> Answer {
    let mut refused = Vec::new();
    match fallback(case, settings, &mut refused) {
        Some(target) => Answer::choose(Choice {
            strategy: Strategy::Fallback,
            ladder: vec![target],
            refused,
            confidence: None,
        }),
        None if refused.is_empty() => Answer::will_not_help(
            "a fallback is wanted, and none is configured: set `fallback` to the name of a safe mode",
        ),
        None => Answer::nothing_suitable(refused),
    }
}

fn cannot(strategy: &Strategy) -> String {
    let name = match strategy {
        Strategy::Checkpoint => "checkpoint",
        Strategy::Configuration => "configuration",
        Strategy::Retrain => "retrain",
        Strategy::Other(name) => name,
        Strategy::Version | Strategy::Fallback => "version",
    };
    format!(
        "the strategy `{name}` is wanted, and this planner goes back to versions only: use a planner that knows `{name}`"
    )
}

/// What is live, or a note that it is not known.
pub fn known<'f>(live: Fact<'f, Live>, notes: &mut Vec<Note>) -> Option<&'f LiveState> {
    let why = match live {
        Ok(Live { state: LiveState::Unknown(why), .. }) => why.clone(),
        Ok(live) => return Some(&live.state),
        Err(unavailable) => unavailable.to_string(),
    };
    notes.push(Note::warning(format!("what is live is not known, so a rung may be live already: {why}")));
    None
}

/// Why the live version is hardly the cause. After a first target was tried, live is no longer what was there when harm
/// began, so nothing follows from its age.
fn older_harm(
    case: &PlannerCase,
    live: Fact<'_, Live>,
    settings: &Settings,
    deployed: Deployed,
) -> Option<String> {
    let Ok(Live { state: LiveState::Serving(shares), since, .. }) = live else { return None };
    let since = match deployed {
        Deployed::WithTheRest => (*since)?,
        Deployed::At(since) => since?,
    };
    let began = case.proposal.harm_began_at?;
    if !case.tried.is_empty() || began + settings.harm_margin >= since {
        return None;
    }
    let names: Vec<&str> = shares.iter().map(|share| share.version.version.as_str()).collect();
    Some(format!(
        "harm began {} before `{}` was deployed, {} ago, so going back from it does not remove the cause",
        millis(since - began).rough(),
        names.join("`, `"),
        millis(case.now().saturating_sub(since)).rough()
    ))
}
