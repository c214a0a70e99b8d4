//! Sets, as host and clients exchange them: made from a set's state and from those of its members.

use std::collections::BTreeMap;
use std::sync::Arc;

use ripcord_core::blob::BlobRef;
use ripcord_core::event::{PartEnd, Way};
use ripcord_core::facet::Revision;
use ripcord_core::fact::Outcome;
use ripcord_core::name::{IncidentId, PersonName, ServiceName, SetId, SetName};
use ripcord_core::plan::{IfPartFails, Vote};
use ripcord_core::service::{Phase, Service};
use ripcord_core::set::{
    MemberState, Progress, RunMember, Set, SetEvent, SetOutcome, SetPart, SetPhase, SetRun,
};
use ripcord_core::target::Target;
use ripcord_core::terms::Mode;
use ripcord_core::time::UnixMillis;
use ripcord_engine::view::TimelineLine;
use ripcord_engine::{ReadError, RunEntry, run_page};
use ripcord_ports::Store;
use ripcord_ports::store::StoreError;
use serde::{Deserialize, Serialize};

use super::{IncidentState, PlanView, SeenLine};

/// `POST sets/{set}/pull`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetPullBody {
    /// Where to: a version, `NAME=REVISION` of a configuration, or `fallback=MODE` of each member that is to move. Nothing is the last consistent set.
    #[serde(default)]
    pub to: BTreeMap<ServiceName, Revision>,
    /// The run that it is to join, where a part failed and people name other targets; none joins the one that goes on, or begins one.
    #[serde(default)]
    pub run: Option<SetId>,
    /// Why.
    pub reason: String,
}

/// Services that move together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SetView {
    /// Its name.
    pub name: SetName,
    /// What holds its driver up, if something does.
    #[serde(default)]
    pub stuck: Option<String>,
    /// What is done where a part fails.
    pub if_part_fails: IfPartFails,
    /// In the order in which they move.
    pub members: Vec<SetMemberLine>,
    /// The run that goes on.
    pub run: Option<SetRunLine>,
    /// The last one that ended.
    pub last: Option<SetRunLine>,
    /// What was in place when runs had moved all of it, newest first.
    pub consistent: Vec<ConsistentLine>,
    /// Announcements that are still to be delivered.
    pub announcements_waiting: usize,
}

/// A member of a set, as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetMemberLine {
    /// Which service.
    pub service: ServiceName,
    /// How far policies may go; none where it was never configured, or cannot be read.
    pub mode: Option<Mode>,
    /// What the host's own watch saw last of its model.
    pub seen: Option<SeenLine>,
    /// The open incident.
    pub incident: Option<IncidentId>,
    /// Why a run that begins now could not enlist it; none if it could, or while a run goes on.
    pub hindered: Option<String>,
}

/// A run of a set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SetRunLine {
    /// How far it is, in the form of an incident: its outcome is `open` while it goes on, and `rolled-back` where every part is in place.
    pub state: IncidentState,
    /// How it ended; none while it goes on.
    pub end: Option<SetOutcome>,
    /// Who asked for it, the first one first.
    pub requesters: Vec<PersonName>,
    /// Why, as whoever asked last says.
    pub reason: String,
    /// As it was configured when the run began.
    pub if_part_fails: IfPartFails,
    /// Nothing of it is begun later.
    pub until: UnixMillis,
    /// When it ended.
    pub ended_at: Option<UnixMillis>,
    /// Its members in order, those that stay as they are included.
    pub parts: Vec<SetPartLine>,
    /// What is waited for, in words; none once it is over.
    pub waits_for: Option<String>,
    /// Why the last try to make a plan failed; none once one was made.
    pub not_planned: Option<String>,
    /// The last vote of each person for the plan at hand.
    pub votes: Vec<Vote>,
}

/// A run of a set on a page of its own, however long ago it was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SetRunView {
    /// Of which set.
    pub set: SetName,
    /// The run.
    pub run: SetRunLine,
    /// What happened, oldest first.
    pub timeline: Vec<TimelineLine>,
}

/// A member in a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SetPartLine {
    /// Which service.
    pub service: ServiceName,
    /// Its incident that stands for the run, where it is known.
    pub incident: Option<IncidentId>,
    /// What was live and in force when it was enlisted, while that is known.
    pub before: Vec<Revision>,
    /// Where to; none stays as it is.
    pub target: Option<Target>,
    /// How far it is, in words: `enlisted`, `moves (shifting)`, `has moved`, `went back` …
    pub state: String,
    /// What went wrong with it, and what people can do.
    pub why: Option<String>,
}

/// What the members served together when a run had moved all of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsistentLine {
    /// Of which run.
    pub run: SetId,
    /// Since when.
    pub since: UnixMillis,
    /// Of each member, what was in force.
    pub members: BTreeMap<ServiceName, Vec<Revision>>,
}

/// The states of the members; none of one that does not exist or cannot be read.
pub(crate) type Members<'a> = dyn Fn(&ServiceName) -> Option<Arc<Service>> + Send + Sync + 'a;

/// The run of that id, if it goes on or was the last one.
pub(crate) fn run_of<'a>(set: &'a Set, id: &SetId) -> Option<&'a SetRun> {
    [&set.run, &set.last].into_iter().flatten().find(|run| run.id == *id)
}

/// The plan at hand of a run; none if it has none, or its content was erased.
pub(crate) async fn plan_of(
    store: &dyn Store,
    set: &Set,
    id: &SetId,
) -> Result<Option<PlanView>, StoreError> {
    let Some(run) = run_of(set, id) else { return Ok(None) };
    let Some(drafted) = &run.plan else { return Ok(None) };
    let content = store.blob(&drafted.content).await?;
    let Some(plan) = content.and_then(|bytes| serde_json::from_slice(&bytes).ok()) else { return Ok(None) };
    let is_open = run.ended_at.is_none();
    Ok(Some(PlanView {
        digest: drafted.digest,
        plan,
        expires_at: Some(drafted.expires_at),
        cause: text(store, &run.reason).await?,
        tally: if is_open { set.tally() } else { Vec::new() },
        waits_since: None,
        ranking: None,
    }))
}

async fn text(store: &dyn Store, reference: &BlobRef) -> Result<String, StoreError> {
    let bytes = store.blob(reference).await?;
    Ok(bytes.map_or_else(|| "(erased)".into(), |bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

impl SetView {
    /// Of a set's state and those of its members.
    pub(crate) async fn of(store: &dyn Store, set: &Set, members: &Members<'_>) -> Result<Self, StoreError> {
        let run = match &set.run {
            Some(run) => Some(SetRunLine::of(store, set, run, members).await?),
            None => None,
        };
        let last = match &set.last {
            Some(run) => Some(SetRunLine::of(store, set, run, members).await?),
            None => None,
        };
        Ok(Self { run, last, ..Self::new(set, members) })
    }

    /// Without its runs, which have texts of their own in a store.
    pub(crate) fn new(set: &Set, members: &Members<'_>) -> Self {
        let terms = set.terms.iter();
        let line = |service: &ServiceName| SetMemberLine::of(set, service, members(service).as_deref());
        let consistent = set.consistent.iter().rev().map(|known| ConsistentLine {
            run: known.run.clone(),
            since: known.since,
            members: known.members.clone(),
        });
        Self {
            name: set.name.clone(),
            stuck: None,
            if_part_fails: set.terms.as_ref().map(|terms| terms.if_part_fails).unwrap_or_default(),
            members: terms.flat_map(|terms| &terms.members).map(line).collect(),
            run: None,
            last: None,
            consistent: consistent.collect(),
            announcements_waiting: set.outbox.len(),
        }
    }
}

impl SetMemberLine {
    fn of(set: &Set, service: &ServiceName, state: Option<&Service>) -> Self {
        let next = SetId::numbered(&set.name, set.runs.saturating_add(1));
        let hindered = match state {
            _ if set.run.is_some() => None,
            // One that no host has started yet is not known to be hindered.
            Some(state) if state.terms.is_none() => None,
            None => Some(ripcord_core::service::Hindrance::Unknown),
            Some(state) => state.hindered(&next, None),
        };
        Self {
            service: service.clone(),
            mode: state.and_then(|state| Some(state.terms.as_ref()?.mode)),
            seen: state.and_then(SeenLine::of),
            incident: state.and_then(|state| Some(state.incident.as_ref()?.id.clone())),
            hindered: hindered.map(|why| why.of(service)),
        }
    }
}

impl SetRunLine {
    async fn of(
        store: &dyn Store,
        set: &Set,
        run: &SetRun,
        members: &Members<'_>,
    ) -> Result<Self, StoreError> {
        let not_planned = match &run.unplanned {
            Some(reason) => Some(text(store, reason).await?),
            None => None,
        };
        let parts =
            run.members.iter().map(|part| SetPartLine::of(run, part, members(&part.service).as_deref()));
        Ok(Self {
            state: IncidentState::of_run(set, run, members),
            end: match run.phase {
                SetPhase::Ended(end) => Some(end),
                _ => None,
            },
            requesters: run.requesters.clone(),
            reason: text(store, &run.reason).await?,
            if_part_fails: run.if_part_fails,
            until: run.until,
            ended_at: run.ended_at,
            parts: parts.collect(),
            waits_for: waits_for(set, run, members),
            not_planned,
            votes: run.votes.iter().cloned().collect(),
        })
    }
}

impl SetRunView {
    /// From the set's journal.
    pub(crate) async fn of(
        store: &dyn Store,
        set: &Set,
        id: &SetId,
        members: &Members<'_>,
    ) -> Result<Self, ReadError> {
        let page = run_page(store, id).await?;
        let run = run_of(set, id).unwrap_or(&page.run);
        let lines = page.entries.iter().filter_map(|entry| Some((entry.at, told(entry)?)));
        let timeline = lines.map(|(at, text)| TimelineLine { at, since_start: at.since(run.asked_at), text });
        Ok(Self {
            set: set.name.clone(),
            timeline: timeline.collect(),
            run: SetRunLine::of(store, set, run, members).await?,
        })
    }
}

/// What happened, for people; none of what only the host needs.
fn told(entry: &RunEntry) -> Option<String> {
    let words = entry.words.as_ref().map(|words| format!(": {words}")).unwrap_or_default();
    let back = |way: Way| if way == Way::Back { " back" } else { "" };
    let to = |(member, target): (&ServiceName, &Target)| format!("`{member}` to {target}");
    Some(match &entry.event {
        SetEvent::Asked(asked) => {
            let targets: Vec<_> = asked.targets.iter().map(to).collect();
            format!("{} asked for {}{words}", asked.person, targets.join(", "))
        }
        SetEvent::Enlisted(enlisted) => {
            let mut serving: Vec<_> = enlisted.serving.iter().map(ToString::to_string).collect();
            if serving.is_empty() {
                serving.push("what could not be read".to_owned());
            }
            let (member, incident) = (&enlisted.member, &enlisted.incident);
            format!("`{member}` enlisted as {incident}, serving {}", serving.join(" with "))
        }
        SetEvent::NotEnlisted(hindered) => {
            let why = hindered.why.of(&hindered.member);
            format!("`{}` could not be enlisted: {why}", hindered.member)
        }
        SetEvent::MemberLost(hindered) => {
            format!("`{}` was lost: {}", hindered.member, hindered.why.of(&hindered.member))
        }
        SetEvent::Drafted(drafted) => {
            let first = |part: &SetPart| Some((part.member.clone(), part.part.targets.first()?.clone()));
            let parts: Vec<_> = drafted
                .parts
                .iter()
                .filter_map(first)
                .map(|(member, target)| to((&member, &target)))
                .collect();
            format!("plan {} made: {} (sha256 {})", drafted.number, parts.join(", "), drafted.digest.short())
        }
        SetEvent::NotDrafted(_) => format!("no plan could be made{words}"),
        SetEvent::Voted(voted) => {
            let word = if voted.vote.granted { "approved" } else { "refused" };
            format!("{} {word} plan {}{words}", voted.vote.person, voted.plan.short())
        }
        SetEvent::PartBegan(of) => format!("`{}` is to move{}", of.member, back(of.way)),
        SetEvent::PartEnded(ended) => {
            let (of, end) = (&ended.part, ended.end);
            let end = match end {
                PartEnd::Moved => "it is in place",
                PartEnd::AlreadyThere => "it was in place already",
                PartEnd::Failed { shifted: false } => "it failed, and nothing was shifted",
                PartEnd::Failed { shifted: true } => "it failed after its shift was begun",
            };
            let why = ended.hindered.as_ref().map(|why| format!(": {}", why.of(&of.member)));
            format!("the part of `{}`{} is over: {end}{}", of.member, back(of.way), why.unwrap_or_default())
        }
        SetEvent::MemberReleased(of) => format!("`{}` released", of.member),
        SetEvent::Aborted(about) => format!("{} aborted it{words}", about.person),
        SetEvent::Dismissed(about) => format!("{} ended it{words}", about.person),
        SetEvent::ClockJumped { by } => format!("the host's clock jumped forward by {by}"),
        SetEvent::Configured(_)
        | SetEvent::EnlistBegan(_)
        | SetEvent::PartGiven(_)
        | SetEvent::Pruned(_)
        | SetEvent::Announced(_)
        | SetEvent::Woke => return None,
    })
}

impl SetPartLine {
    fn of(run: &SetRun, part: &RunMember, state: Option<&Service>) -> Self {
        let membership = state.and_then(|state| state.membership_of(&run.id));
        let incident = part.enlisted().map(|enlisted| enlisted.incident.clone());
        let failed = part.there.has_failed() || part.back.has_failed();
        let why = match &part.state {
            MemberState::Lost(why) => Some(why.of(&part.service)),
            _ if failed => membership.and_then(|known| known.why.clone()),
            _ => None,
        };
        Self {
            service: part.service.clone(),
            incident: incident.or_else(|| membership.map(|known| known.incident.clone())),
            before: part.enlisted().map(|enlisted| enlisted.serving.clone()).unwrap_or_default(),
            target: part.target.clone(),
            state: part_words(run, part, state),
            why,
        }
    }
}

/// What the member is at, where its incident stands for the run.
fn at_work(run: &SetRun, state: Option<&Service>) -> String {
    let open = state.filter(|state| state.enlisted_by().is_some_and(|known| known.run == run.id));
    let phase = open.and_then(|state| state.incident.as_ref()).map(|open| open.phase_name());
    phase.map(|phase| format!(" ({phase})")).unwrap_or_default()
}

/// How far a member's part is.
fn part_words(run: &SetRun, part: &RunMember, state: Option<&Service>) -> String {
    let enlisting = match part.state {
        MemberState::Waiting => "not enlisted",
        MemberState::Began => "is being enlisted",
        MemberState::Enlisted(_) => "enlisted",
        MemberState::Lost(_) => "lost",
        MemberState::Released => "released",
    };
    if part.target.is_none() {
        return match part.state {
            MemberState::Enlisted(_) => "enlisted, stays as it is".to_owned(),
            MemberState::Released => "stayed as it was".to_owned(),
            _ => enlisting.to_owned(),
        };
    }
    let goes_back = matches!(run.phase, SetPhase::Acting(Way::Back)) && part.is_to_go_back();
    match (part.there, part.back) {
        (_, Progress::Began { .. } | Progress::Given { .. }) => format!("goes back{}", at_work(run, state)),
        (_, Progress::Ended(end)) if end.is_failure() => "could not go back".to_owned(),
        (_, Progress::Ended(_)) => "went back".to_owned(),
        (Progress::Began { .. } | Progress::Given { .. }, Progress::Waiting) => {
            format!("moves{}", at_work(run, state))
        }
        (Progress::Ended(PartEnd::Moved), Progress::Waiting) if goes_back => {
            "has moved, is to go back".into()
        }
        (Progress::Ended(PartEnd::Moved), Progress::Waiting) => "has moved".to_owned(),
        (Progress::Ended(PartEnd::AlreadyThere), Progress::Waiting) => "was there already".to_owned(),
        (Progress::Ended(PartEnd::Failed { shifted: false }), Progress::Waiting) => {
            "failed, nothing was shifted".to_owned()
        }
        (Progress::Ended(PartEnd::Failed { shifted: true }), Progress::Waiting) if goes_back => {
            "failed after its shift was begun, is to go back".to_owned()
        }
        (Progress::Ended(PartEnd::Failed { shifted: true }), Progress::Waiting) => {
            "failed after its shift was begun".to_owned()
        }
        (Progress::Waiting, Progress::Waiting) => match part.state {
            MemberState::Released => "was not moved".to_owned(),
            _ => enlisting.to_owned(),
        },
    }
}

/// What a run waits for, in words.
fn waits_for(set: &Set, run: &SetRun, members: &Members<'_>) -> Option<String> {
    let of = |service: &ServiceName| at_work(run, members(service).as_deref());
    match &run.phase {
        SetPhase::Enlisting { .. } => {
            let next = run.members.iter().find(|member| member.enlisted().is_none())?;
            Some(format!("`{}` to be enlisted{}", next.service, of(&next.service)))
        }
        SetPhase::Drafting(_) if run.unplanned.is_some() => Some("another try to make a plan".to_owned()),
        SetPhase::Drafting(_) => Some("a plan".to_owned()),
        SetPhase::Authorising { .. } => {
            let tally: Vec<_> = set.tally().iter().map(ToString::to_string).collect();
            Some(tally.join(" and "))
        }
        SetPhase::Acting(_) => {
            let (member, way) = run.turn()?;
            let back = if way == Way::Back { " back" } else { "" };
            let needs = needs_of_part(run, members).map(|needs| format!(": {needs}")).unwrap_or_default();
            Some(format!("`{}` to move{back}{}{needs}", member.service, of(&member.service)))
        }
        SetPhase::NeedsPerson { .. } => Some("a person".to_owned()),
        SetPhase::Releasing(_) => {
            let left = run.members.iter().filter(|member| member.needs_release());
            let left: Vec<_> = left.map(|member| format!("`{}`", member.service)).collect();
            Some(format!("{} to be released", left.join(" and ")))
        }
        SetPhase::Ended(_) => None,
    }
}

/// What the part at hand wants of people: the set cannot decide it for them.
pub(crate) fn needs_of_part(run: &SetRun, members: &Members<'_>) -> Option<String> {
    let (member, _) = run.turn().filter(|(member, _)| member.is_under_way())?;
    let state = members(&member.service)?;
    state.enlisted_by().filter(|known| known.run == run.id)?;
    let open = state.incident.as_ref()?;
    let (id, service) = (&open.id, &member.service);
    match &open.phase {
        Phase::NeedsPerson(need) => Some(format!("`{id}` needs a person: {}", need.text)),
        Phase::Authorising(_) => {
            let wanted = state.still_wanted()?;
            Some(format!(
                "by its own rules the part of `{service}` waits for {wanted}: `ripcord approve {id}`"
            ))
        }
        Phase::Enlisted => None,
        _ => state.paused_by.as_ref().map(|person| {
            format!("`{person}` has paused `{service}`: `ripcord resume {service}` lets its part go on")
        }),
    }
}

/// How a run ended, in the words of incidents.
fn outcome(end: SetOutcome) -> Outcome {
    match end {
        SetOutcome::Moved => Outcome::RolledBack,
        SetOutcome::Refused => Outcome::Refused,
        SetOutcome::Aborted => Outcome::Aborted,
        SetOutcome::Expired => Outcome::Expired,
        SetOutcome::EndedByPerson => Outcome::SettledByPerson,
        SetOutcome::WentBack
        | SetOutcome::NothingMoved
        | SetOutcome::NotEnlisted
        | SetOutcome::NotPlanned => Outcome::Other(end.to_string()),
    }
}

impl IncidentState {
    /// A run of a set, in the form of an incident.
    pub(crate) fn of_run(set: &Set, run: &SetRun, members: &Members<'_>) -> Self {
        let is_open = run.ended_at.is_none();
        let (outcome, needs, expires_at) = match &run.phase {
            SetPhase::Ended(end) => (outcome(*end), None, None),
            SetPhase::NeedsPerson { text, .. } => (Outcome::Open, Some(text.clone()), None),
            SetPhase::Authorising { expires_at } => (Outcome::Open, None, Some(*expires_at)),
            _ => (Outcome::Open, needs_of_part(run, members), None),
        };
        let tally = if is_open { set.tally() } else { Vec::new() };
        Self {
            id: run.id.as_incident(),
            phase: run.phase.name().to_owned(),
            outcome,
            opened_at: run.asked_at,
            past_pivot: run.has_begun(),
            plan: run.plan.as_ref().map(|plan| plan.digest),
            wanted: tally.iter().map(|one| one.quorum.clone()).collect(),
            tally,
            waits_since: match run.phase {
                SetPhase::NeedsPerson { since, .. } => Some(since),
                _ => None,
            },
            expires_at,
            because: None,
            needs,
            length: set.length,
        }
    }
}
