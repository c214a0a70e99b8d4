//! What is known of alerts stays bounded, however many come; and a reason that was answered is not acted on again.

use super::{Alerts, GROUP_ALERTS_MAX, Judged, Service};
use crate::alert::{AlertKey, AlertWord, Given};
use crate::blob::{BlobKind, BlobRef};
use crate::digest::Digest;
use crate::effect::{Effect, Topic};
use crate::event::{AboutIncident, InProduction};
use crate::event::{
    Configured, DataState, Decision, Event, FaultNature, LatchLifted, Observed, ProductionWatched, Reason,
    Said, SignalsTaken, TriggerAsked, TriggerWord, TriggersAsked,
};
use crate::live::{Proof, Share};
use crate::name::{PersonName, PolicyName, ServiceName, VersionName};
use crate::policy::{PolicyRef, Role};
use crate::ratio::Ratio;
use crate::role::Urgency;
use crate::signal::{Origin, Severity, SignalKind, SignalStatus};
use crate::target::{Strategy, VersionTarget};
use crate::terms::{
    Breaker, Deadlines, EffectClass, EvidenceRule, Mode, PolicyUse, PreflightRule, RequesterVote, Terms,
};
use crate::time::{Millis, UnixMillis};

fn blob() -> BlobRef {
    BlobRef { commitment: Digest::of("blob"), kind: BlobKind::Text, bytes: 1 }
}

fn trigger() -> PolicyRef {
    PolicyRef {
        name: PolicyName::new("trigger").expect("a name"),
        version: "1.0.0".into(),
        digest: Digest::of("trigger"),
    }
}

fn terms(mode: Mode) -> Terms {
    Terms {
        mode,
        environment: "test".into(),
        deployer: EffectClass::Observable,
        equipment: Digest::of("deployer"),
        facets: Vec::new(),
        waves: Vec::new(),
        producer: None,
        proof_min: Proof::Answer,
        people: Vec::new(),
        floor: Vec::new(),
        requester_vote: RequesterVote::AloneOnly,
        veto: Vec::new(),
        authors: Vec::new(),
        break_glass: Vec::new(),
        evidence: EvidenceRule::BestEffort,
        preflight: PreflightRule::Off,
        fingerprint: None,
        breaker: Breaker::default(),
        deadlines: Deadlines::default(),
        trials_max: 10,
        schedule: Some(Millis::seconds(5)),
        policies: vec![PolicyUse {
            role: Role::Trigger,
            policy: trigger(),
            settings: Digest::of("settings"),
        }],
    }
}

fn configured(terms: Terms) -> Event {
    let digest = Digest::of(format!("{terms:?}"));
    Event::Configured(Configured { terms, configuration: blob(), digest, host_version: "0".into() })
}

struct Story(Service);

impl Story {
    fn new(mode: Mode) -> Self {
        let mut story = Self(Service::new(ServiceName::new("s").expect("a name")));
        story.now(&configured(terms(mode)));
        story.sees("1");
        story
    }

    fn now(&mut self, event: &Event) {
        self.after(Millis(0), event);
    }

    fn after(&mut self, pause: Millis, event: &Event) {
        self.0 = self.0.apply(self.0.at + pause, event).expect("it can happen");
    }

    /// The trigger is asked, and says this.
    fn says(&mut self, word: TriggerWord) {
        self.hears(Said::Verdict(word), Vec::new());
    }

    fn hears(&mut self, said: Said<TriggerWord>, set_aside: Vec<AlertKey>) {
        self.judges(said, set_aside, DataState::Complete);
    }

    fn judges(&mut self, said: Said<TriggerWord>, set_aside: Vec<AlertKey>, data: DataState) {
        let alerts = &self.0.watching.alerts;
        let decision =
            Decision { policy: trigger(), role: Role::Trigger, recording: blob(), fuel: 1, rounds: 1, data };
        let asked =
            vec![TriggerAsked { decision, said, memo: None, set_aside, left: 0, searched: Vec::new() }];
        let (up_to, seen) = (alerts.asks_up_to().unwrap_or_default(), alerts.words());
        self.now(&Event::TriggersAsked(TriggersAsked {
            up_to,
            seen,
            incident: self.0.incident.as_ref().map(|open| open.id.clone()),
            asked,
        }));
    }

    /// This version is live.
    fn sees(&mut self, version: &str) {
        let after = self.0.last_settled.as_ref().map(|last| last.id.clone());
        let (live, in_production) = (live(version), InProduction::Unsupported);
        self.now(&Event::ProductionWatched(ProductionWatched {
            not_before: None,
            after,
            unread: Vec::new(),
            live,
            facets: Vec::new(),
            in_production,
        }));
    }

    fn is_dismissed(&mut self) {
        let incident = self.0.incident.as_ref().expect("one is open").id.clone();
        let person = PersonName::new("ada").expect("a name");
        self.now(&Event::Dismissed(AboutIncident { incident, person, reason: blob() }));
    }

    fn told(&self, topic: Topic) -> usize {
        self.0.outbox.iter().filter(|message| message.topic == topic).count()
    }

    fn latched(&self) -> bool {
        !self.0.watching.latches.is_empty()
    }
}

fn live(version: &str) -> Observed {
    let version = VersionTarget { version: VersionName::new(version).expect("a name"), digest: None };
    let share = Share { version, place: "all".into(), weight: Ratio::ONE, proof: Proof::Answer };
    Observed::Serving(vec![share])
}

fn roll_back(urgency: Urgency) -> TriggerWord {
    TriggerWord::RollBack(Reason {
        cause: blob(),
        strategy: Strategy::Version,
        urgency,
        harm_began_at: None,
        facts: None,
    })
}

fn word(alert: u32, status: SignalStatus, bytes: u32) -> AlertWord {
    AlertWord {
        alert: AlertKey(Digest::of(alert.to_be_bytes())),
        index: alert,
        origin: Origin::Webhook("alertmanager".into()),
        status,
        kind: SignalKind::Condition,
        severity: Severity::Critical,
        started_at: UnixMillis(1),
        ended_at: None,
        given: Given::Whole,
        bytes,
        fired: status == SignalStatus::Firing,
        first_seen_at: UnixMillis(1),
        last_seen_at: UnixMillis(1),
        count: 1,
    }
}

fn group(words: impl IntoIterator<Item = AlertWord>) -> SignalsTaken {
    let alerts: Vec<_> = words.into_iter().collect();
    SignalsTaken { signals: u32::try_from(alerts.len()).expect("few"), content: blob(), alerts }
}

#[test]
fn a_hundred_thousand_alerts_are_each_asked_about_once_and_a_bounded_number_is_kept() {
    let mut alerts = Alerts::default();
    let all: Vec<u32> = (0..100_000).collect();
    let (mut asked_about, mut questions) = (std::collections::BTreeSet::new(), 0);
    for numbers in all.chunks(GROUP_ALERTS_MAX) {
        while !alerts.has_room() {
            questions += 1;
            let question = alerts.question();
            asked_about.extend(question.iter().map(|alert| alert.word.alert));
            let up_to = alerts.asks_up_to().expect("something waits");
            alerts.asked(up_to);
        }
        alerts.take(
            &group(numbers.iter().map(|number| word(*number, SignalStatus::Firing, 500))),
            UnixMillis(1),
        );
        assert!(alerts.len() <= 2 * GROUP_ALERTS_MAX, "{}", alerts.len());
        // A copy shares them.
        assert!(std::sync::Arc::ptr_eq(&alerts.each, &alerts.clone().each));
    }
    while let Some(up_to) = alerts.asks_up_to() {
        questions += 1;
        asked_about.extend(alerts.question().iter().map(|alert| alert.word.alert));
        alerts.asked(up_to);
    }
    assert_eq!(asked_about.len(), 100_000, "nothing was pushed out before it was asked about");
    assert!(questions <= 2 * 100_000 / GROUP_ALERTS_MAX, "{questions} questions");
    assert_eq!(alerts.left_out() + alerts.len() as u64, 100_000, "what is left out is counted");
}

#[test]
fn a_question_is_bounded_in_bytes_and_what_does_not_fit_comes_with_the_next() {
    let mut alerts = Alerts::default();
    let large = |number| word(number, SignalStatus::Firing, 16 << 10);
    alerts.take(&group((0..200).map(large)), UnixMillis(1));
    let mut questions = Vec::new();
    while let Some(up_to) = alerts.asks_up_to() {
        let question = alerts.question();
        let bytes: u64 = question.iter().map(|alert| u64::from(alert.word.bytes)).sum();
        assert!(bytes <= 1 << 20, "{bytes}");
        questions.push(question.iter().filter(|alert| alert.judged == Judged::Waiting).count());
        alerts.asked(up_to);
    }
    assert_eq!(questions, [64, 64, 64, 8]);
}

#[test]
fn a_word_that_comes_while_the_triggers_are_asked_is_asked_about_next() {
    let mut story = Story::new(Mode::Act);
    story.now(&Event::SignalsTaken(group([word(1, SignalStatus::Firing, 1)])));
    let alerts = &story.0.watching.alerts;
    let (up_to, seen) = (alerts.asks_up_to().expect("it waits"), alerts.words());
    story.now(&Event::SignalsTaken(group([
        word(1, SignalStatus::Resolved, 1),
        word(2, SignalStatus::Firing, 1),
    ])));
    let asked = Vec::new();
    story.now(&Event::TriggersAsked(TriggersAsked { up_to, seen, incident: None, asked }));
    assert_eq!(story.0.watching.alerts.waiting(), 2);
    assert!(story.0.owed().iter().any(|effect| matches!(effect, Effect::AskTriggers { .. })));
}

#[test]
fn an_alert_that_a_trigger_faults_on_is_set_aside_shown_and_told_once() {
    let mut story = Story::new(Mode::Act);
    let poison = word(1, SignalStatus::Firing, 1);
    for day in 0..2 {
        for _ in 0..5 {
            let again = AlertWord { last_seen_at: story.0.at, ..poison.clone() };
            story.now(&Event::SignalsTaken(group([again, word(2, SignalStatus::Firing, 1)])));
            story.hears(Said::Verdict(TriggerWord::Ignore), vec![poison.alert]);
            let set_aside = story.0.watching.alerts.set_aside_of();
            assert_eq!(set_aside.iter().map(|alert| alert.word.alert).collect::<Vec<_>>(), [poison.alert]);
            assert_eq!(story.told(Topic::AlertSetAside), day + 1);
        }
        story.after(Millis::hours(24), &Event::Woke);
    }
    assert_eq!(story.told(Topic::PolicyFaulted), 0);
    // Another policy may judge it.
    let mut other = terms(Mode::Act);
    other.policies[0].settings = Digest::of("other settings");
    let poison = AlertWord { last_seen_at: story.0.at, ..poison };
    story.now(&Event::SignalsTaken(group([poison.clone()])));
    story.hears(Said::Verdict(TriggerWord::Ignore), vec![poison.alert]);
    story.now(&configured(other));
    assert!(story.0.watching.alerts.set_aside_of().is_empty());
    assert!(story.0.watching.is_due());
}

#[test]
fn an_alert_whose_labels_are_too_large_asks_the_triggers_and_is_told_once() {
    let mut story = Story::new(Mode::Act);
    let large = AlertWord { given: Given::Nothing, bytes: 0, ..word(1, SignalStatus::Firing, 0) };
    for _ in 0..3 {
        story.now(&Event::SignalsTaken(group([large.clone()])));
        assert!(story.0.watching.is_due());
        assert_eq!(story.0.watching.alerts.set_aside_of().len(), 1);
        story.says(TriggerWord::Ignore);
    }
    assert_eq!(story.told(Topic::AlertSetAside), 1);
}

#[test]
fn harm_that_lasts_in_mode_observe_is_one_incident() {
    let mut story = Story::new(Mode::Act);
    story.says(roll_back(Urgency::Urgent));
    story.is_dismissed();
    for _ in 0..1_000 {
        story.after(Millis::seconds(5), &Event::Woke);
        assert!(story.0.watching.is_due());
        story.says(roll_back(Urgency::Urgent));
    }
    assert_eq!((story.0.incidents, story.told(Topic::IncidentOpened), story.told(Topic::Latched)), (1, 1, 1));
    let latch = story.0.watching.latches.values().next().expect("it stands");
    assert_eq!(latch.held_back, 1_000);
    // After four hours it is asked, and opens one again.
    story.after(Millis::hours(3), &Event::Woke);
    assert!(!story.latched());
    story.says(roll_back(Urgency::Urgent));
    assert_eq!(story.0.incidents, 2);
}

#[test]
fn news_opens_a_latch() {
    type News = fn(&mut Story);
    let news: [(&str, News, u32); 8] = [
        ("none", |_| {}, 1),
        ("a watch is none", |story| story.says(TriggerWord::Watch(UnixMillis(0))), 1),
        ("a fault is none", |story| story.hears(Said::Fault(FaultNature::Deterministic), Vec::new()), 1),
        ("the reason was gone", |story| story.says(TriggerWord::Ignore), 2),
        ("it stood down", |story| story.says(TriggerWord::StandDown(blob())), 2),
        ("something else is live", |story| story.sees("2"), 2),
        ("it is more urgent", |story| story.says(roll_back(Urgency::Emergency)), 2),
        (
            "a person lifted it",
            |story| {
                let (trigger, person) = (trigger().name, PersonName::new("ada").expect("a name"));
                let incident = story.0.last_settled.as_ref().expect("one").id.clone();
                story.now(&Event::LatchLifted(LatchLifted { trigger, incident, person, reason: blob() }));
                assert!(story.0.watching.is_due(), "the trigger is asked at once");
            },
            2,
        ),
    ];
    for (what, news, incidents) in news {
        let mut story = Story::new(Mode::Act);
        story.says(roll_back(Urgency::Urgent));
        story.is_dismissed();
        assert!(story.latched(), "{what}");
        news(&mut story);
        story.says(roll_back(Urgency::Urgent));
        assert_eq!(story.0.incidents, incidents, "{what}");
    }
}

#[test]
fn a_latched_trigger_is_asked_once_when_something_else_is_live_also_without_a_new_alert() {
    let mut story = Story::new(Mode::Act);
    story.now(&Event::SignalsTaken(group([word(1, SignalStatus::Firing, 1)])));
    story.says(roll_back(Urgency::Urgent));
    story.is_dismissed();
    story.sees("1");
    assert!(!story.0.watching.is_due(), "the same is live");
    story.sees("2");
    assert!(story.0.watching.is_due());
    story.says(TriggerWord::Watch(UnixMillis(0)));
    story.sees("2");
    assert!(!story.0.watching.is_due(), "it was asked about that");
}

#[test]
fn a_latch_that_fell_before_live_was_ever_read_opens_when_another_version_is_live() {
    let mut story = Story(Service::new(ServiceName::new("s").expect("a name")));
    story.now(&configured(terms(Mode::Act)));
    story.says(roll_back(Urgency::Urgent));
    story.is_dismissed();
    story.sees("1");
    story.says(roll_back(Urgency::Urgent));
    assert_eq!(story.0.incidents, 1, "nothing is known to have changed");
    story.sees("2");
    story.says(roll_back(Urgency::Urgent));
    assert_eq!(story.0.incidents, 2);
}

#[test]
fn another_mode_or_other_settings_open_a_latch() {
    for same in [true, false] {
        let mut story = Story::new(Mode::Ask);
        story.says(roll_back(Urgency::Urgent));
        story.is_dismissed();
        story.now(&configured(terms(if same { Mode::Ask } else { Mode::Act })));
        assert_eq!(story.latched(), same);
    }
}

#[test]
fn an_alert_that_fires_is_kept_while_its_trigger_is_latched() {
    let mut story = Story::new(Mode::Act);
    story.now(&Event::SignalsTaken(group([word(1, SignalStatus::Firing, 1)])));
    story.says(roll_back(Urgency::Urgent));
    story.is_dismissed();
    assert_eq!(
        story.0.watching.alerts.len(),
        1,
        "without it the trigger would find no reason, and open the next"
    );
    story.now(&Event::SignalsTaken(group([word(1, SignalStatus::Resolved, 1)])));
    story.says(TriggerWord::StandDown(blob()));
    assert_eq!((story.0.watching.alerts.len(), story.latched()), (0, false));
}

#[test]
fn a_trigger_that_wants_to_be_asked_all_the_time_is_asked_every_five_seconds_and_people_are_told_once() {
    let mut story = Story::new(Mode::Act);
    for times in 1..30 {
        story.says(TriggerWord::Watch(story.0.at + Millis(1)));
        let due = story.0.watching.watches.values().copied().next();
        assert_eq!(due, Some(story.0.at + Millis::seconds(5)));
        assert_eq!(story.told(Topic::AsksTooOften), usize::from(times >= 10));
        story.after(Millis::seconds(5), &Event::Woke);
    }
    // One that asks for as much as it gets is not told of.
    let mut story = Story::new(Mode::Act);
    for _ in 1..30 {
        story.says(TriggerWord::Watch(story.0.at + Millis::seconds(5)));
        story.after(Millis::seconds(5), &Event::Woke);
    }
    assert_eq!(story.told(Topic::AsksTooOften), 0);
}

#[test]
fn a_trigger_that_faults_is_asked_again_whatever_it_faults_for() {
    for nature in [FaultNature::Environmental, FaultNature::Deterministic] {
        let mut story = Story::new(Mode::Act);
        story.now(&Event::SignalsTaken(group([word(1, SignalStatus::Firing, 1)])));
        // It wanted to be asked again before it faulted, and its alert is not sent a second time.
        story.says(TriggerWord::Watch(story.0.at + Millis::seconds(5)));
        story.after(Millis::seconds(5), &Event::Woke);
        for seconds in [30, 60, 120, 240, 300, 300] {
            story.hears(Said::Fault(nature), Vec::new());
            let again = story.0.watching.watches.values().copied().next();
            assert_eq!(again, Some(story.0.at + Millis::seconds(seconds)), "{nature:?}");
            assert_eq!(story.told(Topic::PolicyFaulted), 1);
            story.after(Millis::seconds(seconds), &Event::Woke);
            assert!(story.0.watching.is_due());
        }
        // Once it has answered, the next fault is a first one.
        story.says(TriggerWord::Watch(story.0.at + Millis::seconds(5)));
        story.hears(Said::Fault(nature), Vec::new());
        let again = story.0.watching.watches.values().copied().next();
        assert_eq!(again, Some(story.0.at + Millis::seconds(30)));
        assert_eq!(story.told(Topic::PolicyFaulted), 2);
    }
}

#[test]
fn a_trigger_that_faulted_is_asked_as_soon_as_it_is_another_one() {
    let mut story = Story::new(Mode::Act);
    story.hears(Said::Fault(FaultNature::Deterministic), Vec::new());
    assert!(!story.0.watching.is_due());
    story.now(&configured(terms(Mode::Act)));
    assert!(!story.0.watching.is_due(), "it is the same one");
    let mut other = terms(Mode::Act);
    other.policies[0].settings = Digest::of("other settings");
    story.now(&configured(other));
    assert!(story.0.watching.is_due());
}

#[test]
fn people_are_told_of_alerts_about_missing_data_and_see_them_while_they_fire() {
    for kind in [SignalKind::MissingData, SignalKind::BrokenRule] {
        let mut story = Story::new(Mode::Act);
        let blind = |number: u32, status: SignalStatus| AlertWord { kind, ..word(number, status, 10) };
        story.now(&Event::SignalsTaken(group([blind(1, SignalStatus::Firing)])));
        assert_eq!(story.told(Topic::AlertWithoutData), 1, "{kind:?}");
        story.says(TriggerWord::Ignore);
        assert_eq!(story.0.watching.alerts.blind(), 1, "it is not forgotten while it fires");
        // More of the same are no news for a day.
        story.after(Millis::minutes(5), &Event::SignalsTaken(group([blind(2, SignalStatus::Firing)])));
        assert_eq!((story.told(Topic::AlertWithoutData), story.0.watching.alerts.blind()), (1, 2));
        let ends = [blind(1, SignalStatus::Resolved), blind(2, SignalStatus::Resolved)];
        story.now(&Event::SignalsTaken(group(ends)));
        story.says(TriggerWord::Ignore);
        assert_eq!(story.0.watching.alerts.len(), 0);
        // What flaps is no news each time; the first after an hour is.
        story.after(Millis::minutes(5), &Event::SignalsTaken(group([blind(1, SignalStatus::Firing)])));
        assert_eq!(story.told(Topic::AlertWithoutData), 1, "{kind:?}");
        story.now(&Event::SignalsTaken(group([blind(1, SignalStatus::Resolved)])));
        story.says(TriggerWord::Ignore);
        story.after(Millis::hours(1), &Event::SignalsTaken(group([blind(1, SignalStatus::Firing)])));
        assert_eq!(story.told(Topic::AlertWithoutData), 2, "{kind:?}");
    }
}

#[test]
fn alerts_that_tell_of_nothing_are_not_told_and_no_harm_began_with_them() {
    for kind in [SignalKind::Heartbeat, SignalKind::LostSight, SignalKind::Condition] {
        let mut story = Story::new(Mode::Act);
        let word = AlertWord { kind, ..word(1, SignalStatus::Firing, 10) };
        story.now(&Event::SignalsTaken(group([word])));
        assert_eq!(story.told(Topic::AlertWithoutData), 0, "{kind:?}");
        let since = story.0.watching.alerts.firing_since();
        assert_eq!(since.is_some(), kind == SignalKind::Condition, "{kind:?}");
    }
}

#[test]
fn what_triggers_lack_is_known_from_the_first_miss_and_told_by_what_it_means() {
    let judged = |story: &mut Story, said: TriggerWord, data: DataState| {
        story.judges(Said::Verdict(said), Vec::new(), data);
    };
    let watch = || TriggerWord::Watch(UnixMillis(u64::MAX));
    let told = |story: &Story| -> Vec<Severity> {
        let of = story.0.outbox.iter().filter(|message| message.topic == Topic::NoData);
        of.map(|message| message.severity.clone()).collect()
    };
    let mut story = Story::new(Mode::Act);
    judged(&mut story, watch(), DataState::Missing);
    assert!(story.0.watching.no_data_since.is_some() && story.0.watching.cannot_judge());
    story.0.at = story.0.at + Millis::minutes(10);
    judged(&mut story, watch(), DataState::Missing);
    assert_eq!(told(&story), [Severity::Critical]);
    judged(&mut story, TriggerWord::Ignore, DataState::Complete);
    assert!(story.0.watching.no_data_since.is_none() && story.0.watching.no_data_of.is_empty());

    // A query that selects nothing is as good as a value to the trigger: people hear of it, and not that nothing protects.
    let mut story = Story::new(Mode::Act);
    judged(&mut story, TriggerWord::Ignore, DataState::NothingSelected);
    let since = story.0.watching.no_data_since;
    assert!(since.is_some() && !story.0.watching.cannot_judge());
    story.0.at = story.0.at + Millis::minutes(10);
    judged(&mut story, TriggerWord::Ignore, DataState::NothingSelected);
    assert_eq!(told(&story), [Severity::Warning]);
    assert_eq!(story.0.watching.no_data_since, since);
    // A source that fails every other time leaves the service as unprotected as one that always does.
    let mut story_of_a_flapping_source = Story::new(Mode::Act);
    for data in [DataState::Missing, DataState::NothingSelected].into_iter().cycle().take(7) {
        judged(&mut story_of_a_flapping_source, watch(), data);
        story_of_a_flapping_source.0.at = story_of_a_flapping_source.0.at + Millis::minutes(2);
    }
    assert_eq!(told(&story_of_a_flapping_source), [Severity::Critical]);
    // It becomes worse: that is another beginning.
    judged(&mut story, watch(), DataState::Missing);
    assert_eq!(story.0.watching.no_data_since, Some(story.0.at));
    story.0.at = story.0.at + Millis::minutes(10);
    judged(&mut story, watch(), DataState::Missing);
    assert_eq!(told(&story), [Severity::Warning, Severity::Critical]);
}
