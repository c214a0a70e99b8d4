//! One incident, and the hosts that live through it.

use std::collections::BTreeSet;

use ripcord_core::event::Event;
use ripcord_core::facet::{Facet, Revision};
use ripcord_core::fact::Outcome;
use ripcord_core::live::Proof;
use ripcord_core::policy::Role;
use ripcord_core::service::Service;
use ripcord_core::terms::{EffectClass, FacetTerms, Mode, Terms};
use ripcord_core::time::Millis;
use ripcord_core::wave::{Moves, Wave};
use ripcord_ports::Store;
use ripcord_tests::lab::eventually;
use ripcord_tests::{Fuse, Lab, Point, Power, Running, Spec, check};
use serde_json::json;

/// Hosts at once: most of a run is waiting.
pub(super) const AT_ONCE: usize = 6;

/// Who lets the shift happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Consent {
    Policies,
    People,
}

/// Whether the target is tried before it is shifted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tried {
    Beside,
    Not,
}

/// What a death takes along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    /// The process was killed: all that it wrote is there.
    Nothing,
    /// The power was cut: what was not flushed is gone.
    Unflushed,
}

/// Whether a version is shifted at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shifts {
    AtOnce,
    /// At one place, and after a pause and a look at the other.
    InWaves,
}

/// How the service is brought back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Restores {
    Version,
    Configuration,
    Fallback,
}

impl Restores {
    /// What is bad, and in force.
    fn bad(self) -> &'static str {
        match self {
            Self::Version | Self::Fallback => "1.2",
            Self::Configuration => "limits=a2",
        }
    }

    /// What is in force in the end, and how the incident ends.
    fn target(self) -> (Revision, Outcome) {
        let (text, outcome) = match self {
            Self::Version => ("1.1", Outcome::RolledBack),
            Self::Configuration => ("limits=a1", Outcome::RolledBack),
            Self::Fallback => ("fallback=rules", Outcome::FellBack),
        };
        (text.parse().unwrap(), outcome)
    }

    /// Moments that a clean run passes, beside those that all do.
    pub(super) fn moments(self) -> &'static [&'static str] {
        match self {
            Self::Version => &[
                "before fetch",
                "after mark",
                "after promote",
                "before append promoted",
                "after append promoted",
            ],
            Self::Configuration | Self::Fallback => {
                &["before in-force", "before content", "after content", "within shift"]
            }
        }
    }
}

fn limits() -> Facet {
    Facet::Configuration("limits".parse().unwrap())
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Story {
    pub(super) restores: Restores,
    /// Of what moves the facet that is restored.
    pub(super) class: EffectClass,
    pub(super) consent: Consent,
    pub(super) shifts: Shifts,
    pub(super) tried: Tried,
    pub(super) takes: Takes,
}

impl Story {
    async fn lab(self) -> Lab {
        let mut spec = Spec::new("fraud-api").scripted().terms(|terms| {
            self.equip(terms);
            // Announcements and cool-downs of the host run on this clock, at 20 times the wall's.
            terms.deadlines.hold_watch = Millis::hours(24);
            terms.deadlines.preflight = Millis::hours(1);
        });
        match self.restores {
            Restores::Version => {}
            Restores::Configuration => spec = spec.with(Role::Planner, json!({ "configurations": true })),
            Restores::Fallback => spec = spec.with(Role::Planner, json!({ "fallback": "rules" })),
        }
        if self.consent == Consent::People {
            spec = spec.with(Role::Approval, json!({ "approval": "votes", "people": 2 }));
            spec.terms.mode = Mode::Ask;
        }
        let mut lab = Lab::at_speed(vec![spec], 20);
        let service = lab.service();
        lab.world.at(&service, |outside| {
            outside.bad.insert(self.restores.bad().into());
            outside.holds_candidates = self.tried == Tried::Beside;
            if self.shifts == Shifts::InWaves {
                outside.places = ["eu", "us"].map(|place| (place.into(), "1.2".into())).into();
            }
        });
        if self.restores != Restores::Version {
            lab.world.add_facet(&service, &limits(), &["a1", "a2"], "a2");
            lab.world.add_facet(&service, &Facet::Fallback, &["off", "rules"], "off");
        }
        let host = lab.start().await;
        match self.restores {
            Restores::Version => host.adopt(&service, &["1.0", "1.1"]).await,
            Restores::Configuration => host.adopt(&service, &["limits=a1"]).await,
            Restores::Fallback => {}
        }
        host.stop().await;
        if self.takes == Takes::Unflushed {
            lab.power = Power::that_can_be_cut(&lab.folder);
        }
        lab
    }

    /// Every class for what is restored, and another one for all the rest: nothing is to depend on that.
    fn equip(self, terms: &mut Terms) {
        let other = match self.class {
            EffectClass::Blind => EffectClass::Idempotent,
            _ => EffectClass::Blind,
        };
        let of = |facet: Facet, restores: Restores| {
            let class = if self.restores == restores { self.class } else { other };
            FacetTerms { facet, class, proof_min: Proof::Answer }
        };
        if self.shifts == Shifts::InWaves {
            terms.waves = vec![Wave { moves: Moves::Place("eu".into()), pause: Millis::seconds(1) }];
        }
        if self.restores == Restores::Version {
            terms.deployer = self.class;
        } else {
            terms.deployer = other;
            terms.facets =
                vec![of(limits(), Restores::Configuration), of(Facet::Fallback, Restores::Fallback)];
        }
    }

    /// One host from its start to the quiet end; none if it died before.
    async fn live_through(self, lab: &Lab, fuse: std::sync::Arc<Fuse>) -> Option<Running> {
        let host = lab.start_with(fuse).await?;
        let service = lab.service();
        let story = async {
            // The alert source sends until it is answered; the same alert twice is one.
            host.alert(lab, &service, "a").await.expect("taken");
            host.attend(lab, &service).await;
        };
        let fuse = host.fuse.clone();
        let lived = tokio::select! {
            () = story => true,
            () = fuse.died() => false,
        };
        if lived {
            return Some(host);
        }
        lab.power.fails();
        host.die().await;
        self.lose(lab);
        lab.power.is_back();
        None
    }

    /// What the death takes along, once the host has passed a flush.
    fn lose(self, lab: &Lab) {
        if self.takes == Takes::Unflushed && lab.power.flushes() > 0 {
            lab.power.cut();
        }
    }

    pub(super) async fn clean_points(self) -> Vec<Point> {
        let lab = self.lab().await;
        let host = self.live_through(&lab, Fuse::safe()).await.expect("it does not die");
        self.judge(&lab, &host).await;
        let points = host.fuse.passed();
        host.stop().await;
        points
    }

    /// The right end.
    async fn judge(self, lab: &Lab, host: &Running) {
        let service = lab.service();
        let (target, outcome) = self.restores.target();
        check::all(lab, host, &service, outcome).await;
        if self.restores == Restores::Version {
            // A registry that failed is told again later.
            let told = || {
                let outside = lab.world.of(&service);
                outside.promotions == ["1.1"] && outside.marks.contains_key("1.2")
            };
            eventually("the registry's mark and its production name", told).await;
        }
        let outside = lab.world.of(&service);
        assert_eq!(outside.in_force(&target.facet), target.name.as_str());
        assert!(!outside.does_harm());
        let shifts = if self.shifts == Shifts::InWaves { 2 } else { 1 };
        assert_eq!(check::applied(&outside.steps), shifts, "{:#?}", outside.steps);
        assert!(outside.places.values().all(|there| there == "1.1"), "{:?}", outside.places);
        let held: Vec<_> = host.state(&service).holds.keys().map(Revision::as_text).collect();
        if self.restores == Restores::Version {
            assert_eq!(held, ["1.2"]);
            assert_eq!(outside.marks.get("1.2").map(String::as_str), Some("fraud-api:1"));
            assert_eq!(
                (outside.in_production.as_deref(), outside.promotions),
                (Some("1.1"), vec!["1.1".into()])
            );
        } else {
            let beside = [Facet::Model, limits(), Facet::Fallback].into_iter().zip(["1.2", "a2", "off"]);
            for (facet, before) in beside.filter(|(facet, _)| *facet != target.facet) {
                assert_eq!(outside.in_force(&facet), before, "{facet} stays");
            }
            let condemned: &[&str] =
                if self.restores == Restores::Configuration { &["limits=a2"] } else { &[] };
            assert_eq!(held, condemned, "what stayed is not blamed");
            assert_eq!(
                (outside.marks.len(), outside.promotions.len()),
                (0, 0),
                "the registry is not touched"
            );
        }
        assert_eq!(outside.candidate, None, "{:?}", outside.candidate_calls);
        let began = |event: &Event| matches!(event, Event::PreflightBegan(_));
        let tried = check::journal(host, &service).await.events.iter().any(|(_, event)| began(event));
        assert_eq!(tried, self.tried == Tried::Beside);
        assert_eq!(host.state(&service).incidents, 1);
        let waiting = ripcord_ports::store::SignalFilter::Waiting(&service);
        assert!(host.store.signals(waiting, 10).await.unwrap().is_empty());
    }

    /// Dies at every one of `points` in turn; in the life after that, at none.
    pub(super) async fn die_at_each(self, points: Vec<Point>) -> Died {
        let mut died = Died::default();
        for points in points.chunks(AT_ONCE) {
            let runs = points.iter().map(|point| Box::pin(self.die_at(point.clone())));
            for (point, reached, asked) in futures_util::future::join_all(runs).await {
                died.at += usize::from(reached);
                if asked {
                    died.asked.insert(point);
                }
            }
        }
        died
    }

    /// Dies at `first`, and the host after that at `second`.
    pub(super) async fn die_twice(self, first: Point, second: Point) {
        let lab = self.lab().await;
        for point in [&first, &second] {
            if let Some(host) = self.live_through(&lab, Fuse::armed(Some(point.clone()))).await {
                host.stop().await;
            }
        }
        let host = self.live_through(&lab, Fuse::safe()).await.expect("it does not die");
        println!("{self:?}: died at {first}, then at {second}");
        self.judge(&lab, &host).await;
        host.stop().await;
    }

    async fn die_at(self, point: Point) -> (Point, bool, bool) {
        let lab = self.lab().await;
        let reached = match self.live_through(&lab, Fuse::armed(Some(point.clone()))).await {
            Some(host) => {
                host.stop().await;
                false
            }
            None => true,
        };
        let host = self.live_through(&lab, Fuse::safe()).await.expect("it does not die");
        println!("{self:?}: died at {point}: {reached}");
        self.judge(&lab, &host).await;
        let folded = check::journal(&host, &lab.service()).await;
        let asked = folded.events.iter().any(|(_, event)| matches!(event, Event::ShiftAnswered(_)));
        let voted = folded.events.iter().any(|(_, event)| matches!(event, Event::Voted(_)));
        assert_eq!(voted, self.consent == Consent::People, "{point}: who agreed is not who was to");
        let unknown = unknown_after_restart(&folded.events, &lab.service());
        if self.class == EffectClass::Blind {
            assert_eq!(asked, unknown, "{point}: a person is asked exactly when nothing else can tell");
        } else {
            assert!(!asked, "{point}: a person was asked although what was called can tell");
        }
        host.stop().await;
        (point, reached, asked)
    }

    /// The call, or the append, of `point` fails once; whether it was reached.
    pub(super) async fn fails_at(self, point: Point) -> bool {
        let lab = self.lab().await;
        let host = self.live_through(&lab, Fuse::failing(point.clone())).await.expect("it does not die");
        let reached = host.fuse.has_failed();
        println!("{self:?}: failed at {point}: {reached}");
        self.judge(&lab, &host).await;
        let folded = check::journal(&host, &lab.service()).await;
        let asked = folded.events.iter().any(|(_, event)| matches!(event, Event::ShiftAnswered(_)));
        let lost = reached && point.name == "after shift";
        assert_eq!(asked, lost && self.class == EffectClass::Blind, "{point}: who is asked");
        host.stop().await;
        reached
    }
}

#[derive(Debug, Default)]
pub(super) struct Died {
    pub(super) at: usize,
    pub(super) asked: BTreeSet<Point>,
}

/// Whether a shift was begun and its outcome reached the journal only by a probe or a person.
fn unknown_after_restart(
    events: &[(ripcord_core::time::UnixMillis, Event)],
    service: &ripcord_core::name::ServiceName,
) -> bool {
    let mut state = Service::new(service.clone());
    let mut unknown = false;
    for (at, event) in events {
        unknown |= matches!(event, Event::ShiftProbed(_));
        state = state.apply(*at, event).expect("the journal folds");
    }
    unknown
}
