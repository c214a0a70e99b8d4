//! Between the words of the contract and those of the ranking.

use super::{Change, Facet, Harm, Lever, Moment, NoticedBy, Ranking, Suspect, Verified};
use crate::Duration;
use crate::contract::facts;
use crate::contract::planner;
use crate::contract::types::{self, Instant, Label, SignalStatus, Target};
use crate::policy::PlannerCase;

/// An answer names at most so many suspects: the host refuses more.
const NAMED_MAX: usize = 64;
/// What the contract calls the world, which is no facet of a service.
const WORLD: &str = "world";
/// Labels of alerts that say where.
const PLACE_LABELS: [&str; 8] =
    ["place", "region", "zone", "cluster", "datacenter", "dc", "site", "location"];
/// What stands before the name of data there.
const DATA: &str = "data ";

impl Facet {
    fn of_contract(facet: &types::Facet) -> Self {
        match facet {
            types::Facet::Model => Self::Model,
            types::Facet::Configuration(name) => Self::Configuration(name.clone()),
            types::Facet::Fallback => Self::Fallback,
            types::Facet::Other(name) if name == WORLD => Self::World,
            types::Facet::Other(name) => Self::Data(name.strip_prefix(DATA).unwrap_or(name).to_owned()),
        }
    }

    fn to_contract(&self) -> types::Facet {
        match self {
            Self::Model => types::Facet::Model,
            Self::Configuration(name) => types::Facet::Configuration(name.clone()),
            Self::Fallback => types::Facet::Fallback,
            Self::Data(name) => types::Facet::Other(format!("{DATA}{name}")),
            Self::World => types::Facet::Other(WORLD.to_owned()),
        }
    }
}

impl Change {
    /// A change of a service as the fact `changes` has it, which was fetched at `fetched_at`, Unix milliseconds.
    pub fn of_fact(fact: &facts::Change, service: &str, fetched_at: Instant) -> Self {
        let noticed_by = NoticedBy::of_word(&fact.noticed);
        let at = match noticed_by {
            NoticedBy::Journal => Moment::exact(fact.at),
            NoticedBy::Watch => Moment { stated: None, not_before: fact.not_before, noticed_at: fact.at },
            // The system's own clock says when, and the host knows only that it was there by now.
            _ => Moment { stated: Some(fact.at), not_before: fact.not_before, noticed_at: fetched_at },
        };
        let other = |these: &[String], those: &[String]| {
            these.iter().find(|one| !those.contains(one)).or(these.first()).cloned()
        };
        Self {
            facet: Facet::of_contract(&fact.facet),
            place: fact.place.clone().unwrap_or_default(),
            services: std::iter::once(service.to_owned()).chain(fact.touches.iter().cloned()).collect(),
            from: other(&fact.was, &fact.became),
            to: other(&fact.became, &fact.was),
            at,
            by: fact.by.clone(),
            noticed_by,
            verified: fact.verified_at.map_or(Verified::Unknown, Verified::At),
        }
    }

    fn to_fact(&self) -> facts::Change {
        facts::Change {
            facet: self.facet.to_contract(),
            was: self.from.iter().cloned().collect(),
            became: self.to.iter().cloned().collect(),
            at: self.at.stated.unwrap_or(self.at.noticed_at),
            not_before: self.at.not_before,
            by: self.by.clone(),
            noticed: self.noticed_by.word().to_owned(),
            verified_at: match self.verified {
                Verified::At(at) => Some(at),
                Verified::Unknown | Verified::No => None,
            },
            place: (!self.place.is_empty()).then(|| self.place.clone()),
            touches: self.services.iter().skip(1).cloned().collect(),
        }
    }
}

impl NoticedBy {
    fn of_word(word: &str) -> Self {
        match word {
            "production" => Self::Watch,
            "history" => Self::ConfigurationHistory,
            "registry" | "registered" => Self::Registry,
            "ripcord" => Self::Journal,
            "lineage" => Self::DataLineage,
            other => Self::Other(other.to_owned()),
        }
    }

    fn word(&self) -> &str {
        match self {
            Self::Watch => "production",
            Self::ConfigurationHistory => "history",
            Self::Registry => "registry",
            Self::Journal => "ripcord",
            Self::DataLineage => "lineage",
            Self::Other(word) => word,
        }
    }
}

impl Harm {
    /// What a planner is to explain, with how the services fare that any of the changes touches. What moved of them all is not looked for: that others which
    /// share nothing with this one are harmed is no reason to doubt what moved here. The harm is at a place where a label of its alerts that is about
    /// places (`region`, `zone` …) names one where something moved.
    #[must_use]
    pub fn beside(mut self, fleet: &[facts::Neighbour], changes: &[Change]) -> Self {
        let touched = |neighbour: &&facts::Neighbour| {
            changes.iter().any(|change| change.services.contains(&neighbour.service))
        };
        for neighbour in fleet.iter().filter(touched) {
            match neighbour.fares {
                facts::Fares::Harmed => self.also_harmed.push(neighbour.service.clone()),
                facts::Fares::Well => self.well.push(neighbour.service.clone()),
                facts::Fares::Unknown => {}
            }
        }
        let named = |place: &String| {
            let of_place = |label: &&Label| PLACE_LABELS.contains(&label.name.to_ascii_lowercase().as_str());
            self.labels.iter().filter(of_place).any(|label| label.value == *place)
        };
        let places = changes.iter().map(|change| &change.place).filter(|place| !place.is_empty());
        if let Some(place) = places.into_iter().find(|place| named(place)) {
            self.place = place.clone();
        }
        self
    }

    /// What a planner is to explain. It began at the latest when the proposal says so, or when the sender of an alert that still fires says that its
    /// condition began to hold; and by `uncertainty` earlier at the earliest, since it is measured in steps and shows only after a while.
    pub fn of_case(case: &PlannerCase, uncertainty: Duration) -> Self {
        let firing: Vec<_> =
            case.conditions().filter(|signal| signal.status == SignalStatus::Firing).collect();
        let told = firing.iter().map(|signal| signal.started_at);
        let latest = told.chain(case.proposal.harm_began_at).min().unwrap_or(case.now()).min(case.now());
        let rules =
            firing.iter().map(|signal| Label { name: "alertname".to_owned(), value: signal.rule.clone() });
        let labels = firing.iter().flat_map(|signal| signal.labels.iter().cloned()).chain(rules).collect();
        Self {
            began_earliest: latest - uncertainty,
            labels,
            ..Self::of(case.context.service.name.clone(), latest)
        }
    }
}

impl Lever {
    /// The same as a target that was tried; none where nothing of it is put back.
    pub fn of_target(target: &Target) -> Option<Self> {
        match target {
            Target::Version(version) => {
                Some(Self::Model { version: version.version.clone(), made_from: Vec::new() })
            }
            Target::Configuration(configuration) => Some(Self::Configuration {
                name: configuration.name.clone(),
                revision: configuration.revision.clone(),
            }),
            Target::Fallback(name) => Some(Self::Fallback { name: name.clone() }),
            Target::Checkpoint(_) | Target::Retrain(_) | Target::Other(_) => None,
        }
    }
}

/// A share as an answer has it: more than three digits would promise what nobody knows, and no two readers would print them alike.
pub fn thousandths(share: f64) -> f64 {
    (share.clamp(0.0, 1.0) * 1_000.0).round() / 1_000.0
}

impl Suspect {
    fn to_contract(&self, change: facts::Change) -> planner::Suspect {
        planner::Suspect { change, score: thousandths(self.score), reasons: self.reasons.clone() }
    }
}

impl Ranking {
    /// The suspects as an answer names them, most likely first; each change as it is in `told`, where it is one of these.
    pub fn named(&self, told: &[facts::Change], service: &str, fetched_at: Instant) -> Vec<planner::Suspect> {
        let named = self.suspects.iter().take(NAMED_MAX).map(|suspect| {
            let same = |fact: &&facts::Change| Change::of_fact(fact, service, fetched_at) == suspect.change;
            let change = told.iter().find(same).cloned().unwrap_or_else(|| suspect.change.to_fact());
            suspect.to_contract(change)
        });
        named.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::types::{
        Context, Criticality, Origin, Proposal, Service, Severity, Signal, SignalKind,
    };
    use crate::minutes;
    use crate::suspects::rank;

    const NOW: Instant = 1_700_000_000_000;

    fn fact(facet: types::Facet, noticed: &str) -> facts::Change {
        facts::Change {
            facet,
            was: vec!["a".into(), "b".into()],
            became: vec!["b".into(), "c".into()],
            at: NOW - 500_000,
            not_before: Some(NOW - 560_000),
            by: Some("ana".into()),
            noticed: noticed.into(),
            verified_at: None,
            place: None,
            touches: Vec::new(),
        }
    }

    #[test]
    fn a_change_is_what_left_and_what_came() {
        let change = Change::of_fact(&fact(types::Facet::Model, "production"), "api", NOW);
        assert_eq!((change.from.as_deref(), change.to.as_deref()), (Some("a"), Some("c")));
        assert_eq!(change.services, ["api"]);
    }

    #[test]
    fn a_look_bounds_a_change_and_a_history_only_states_it() {
        let at = |noticed| Change::of_fact(&fact(types::Facet::Model, noticed), "api", NOW).at;
        let seen = Moment { stated: None, not_before: Some(NOW - 560_000), noticed_at: NOW - 500_000 };
        assert_eq!(at("production"), seen);
        assert_eq!(at("ripcord"), Moment::exact(NOW - 500_000));
        let stated = Moment { stated: Some(NOW - 500_000), not_before: Some(NOW - 560_000), noticed_at: NOW };
        assert_eq!(at("history"), stated);
        assert_eq!(at("a calendar"), stated);
    }

    #[test]
    fn what_is_no_facet_of_the_service_keeps_its_name() {
        for facet in [
            Facet::Model,
            Facet::Configuration("limits".into()),
            Facet::Fallback,
            Facet::Data("rows".into()),
            Facet::World,
        ] {
            assert_eq!(Facet::of_contract(&facet.to_contract()), facet);
        }
        assert_eq!(Facet::of_contract(&types::Facet::Other("weather".into())), Facet::Data("weather".into()));
    }

    #[test]
    fn suspects_are_named_by_the_changes_as_they_were_told() {
        let told = [fact(types::Facet::Configuration("limits".into()), "production")];
        let changes = [Change::of_fact(&told[0], "api", NOW)];
        let ranking = rank(&changes, &Harm::of("api", NOW), &[]);
        let named = ranking.named(&told, "api", NOW);
        assert_eq!(named.len(), 1);
        assert_eq!((&named[0].change, named[0].score), (&told[0], thousandths(ranking.suspects[0].score)));
        assert_eq!(named[0].reasons, ranking.suspects[0].reasons);
        let unknown = ranking.named(&[], "api", NOW);
        assert_eq!(
            (unknown[0].change.was.as_slice(), unknown[0].change.became.as_slice()),
            (["a".to_owned()].as_slice(), ["c".to_owned()].as_slice())
        );
        let many = vec![changes[0].clone(); NAMED_MAX + 6];
        assert_eq!(rank(&many, &Harm::of("api", NOW), &[]).named(&told, "api", NOW).len(), NAMED_MAX);
    }

    fn case(harm_began_at: Option<Instant>, started: &[(SignalStatus, Instant)]) -> PlannerCase {
        let signal = |(status, started_at): &(SignalStatus, Instant)| Signal {
            id: "s".into(),
            origin: Origin::Webhook("alertmanager".into()),
            rule: "Declines".into(),
            status: *status,
            kind: SignalKind::Condition,
            severity: Severity::Critical,
            labels: vec![Label { name: "flag".into(), value: "limits".into() }],
            annotations: Vec::new(),
            started_at: *started_at,
            ended_at: None,
            received_at: NOW,
            first_seen_at: NOW,
            count: 1,
            annotations_left_out: false,
        };
        let service = Service {
            name: "api".into(),
            environment: "production".into(),
            criticality: Criticality::High,
            model: "m".into(),
            labels: Vec::new(),
        };
        let context = Context {
            service,
            incident: None,
            now: NOW,
            settings: "{}".into(),
            drill: false,
            live_since: None,
            memo: None,
        };
        let proposal = Proposal { harm_began_at, ..Proposal::new("it is bad") };
        PlannerCase { context, signals: started.iter().map(signal).collect(), proposal, tried: Vec::new() }
    }

    #[test]
    fn harm_began_when_the_first_who_knows_says_so() {
        use SignalStatus::{Firing, Resolved};
        let began = |proposed, signals: &[_]| {
            let harm = Harm::of_case(&case(proposed, signals), minutes(2));
            assert_eq!(harm.began_latest - harm.began_earliest, 120_000);
            NOW - harm.began_latest
        };
        assert_eq!(began(None, &[]), 0, "nobody says: it is there now");
        assert_eq!(began(Some(NOW - 9_000), &[]), 9_000);
        assert_eq!(began(Some(NOW - 9_000), &[(Firing, NOW - 20_000)]), 20_000, "the alert was there before");
        assert_eq!(began(Some(NOW - 9_000), &[(Resolved, NOW - 20_000)]), 9_000, "it was over meanwhile");
        assert_eq!(began(None, &[(Firing, NOW + 50_000)]), 0, "a clock that goes before");
        let harm = Harm::of_case(&case(None, &[(Firing, NOW)]), minutes(2));
        let labels: Vec<_> =
            harm.labels.iter().map(|label| (label.name.as_str(), label.value.as_str())).collect();
        assert_eq!(labels, [("flag", "limits"), ("alertname", "Declines")]);
    }
}
