//! The same incident, with a host that dies at every moment in turn: at every append and at every effect, before and after.
//! The moments are those that a clean run passes; none is written down here.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;

use ripcord_core::event::Event;
use ripcord_core::fact::Outcome;
use ripcord_core::policy::Role;
use ripcord_core::service::Service;
use ripcord_core::terms::{EffectClass, Mode};
use ripcord_core::time::Millis;
use ripcord_ports::Store;
use ripcord_tests::{Fuse, Lab, Point, Power, Running, Spec, check};
use serde_json::json;

/// Hosts at once: most of a run is waiting.
const AT_ONCE: usize = 6;

/// Who lets the shift happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Consent {
    Policies,
    People,
}

/// Whether the target is tried before it is shifted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tried {
    Beside,
    Not,
}

/// What a death takes along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    /// The process was killed: all that it wrote is there.
    Nothing,
    /// The power was cut: what was not flushed is gone.
    Unflushed,
}

#[derive(Debug, Clone, Copy)]
struct Story {
    class: EffectClass,
    consent: Consent,
    tried: Tried,
    takes: Takes,
}

impl Story {
    async fn lab(self) -> Lab {
        let mut spec = Spec::new("fraud-api").scripted().terms(|terms| {
            terms.deployer = self.class;
            // Announcements and cool-downs of the host run on this clock, at 20 times the wall's.
            terms.deadlines.hold_watch = Millis::hours(24);
            terms.deadlines.preflight = Millis::hours(1);
        });
        if self.consent == Consent::People {
            spec = spec.with(Role::Approval, json!({ "approval": "votes", "people": 2 }));
            spec.terms.mode = Mode::Ask;
        }
        let mut lab = Lab::at_speed(vec![spec], 20);
        let service = lab.service();
        lab.world.at(&service, |outside| {
            outside.bad.insert("1.2".into());
            outside.holds_candidates = self.tried == Tried::Beside;
        });
        let host = lab.start().await;
        host.adopt(&service, &["1.0", "1.1"]).await;
        host.stop().await;
        if self.takes == Takes::Unflushed {
            lab.power = Power::that_can_be_cut(&lab.folder);
        }
        lab
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

    async fn clean_points(self) -> Vec<Point> {
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
        check::all(lab, host, &service, Outcome::RolledBack).await;
        let outside = lab.world.of(&service);
        assert_eq!(outside.live, "1.1");
        assert_eq!(check::applied(&outside.steps), 1, "{:#?}", outside.steps);
        assert_eq!(outside.marks.get("1.2").map(String::as_str), Some("fraud-api:1"));
        assert_eq!((outside.in_production.as_deref(), outside.promotions), (Some("1.1"), vec!["1.1".into()]));
        assert_eq!(outside.candidate, None, "{:?}", outside.candidate_calls);
        let began = |event: &Event| matches!(event, Event::PreflightBegan(_));
        let tried = check::journal(host, &service).await.events.iter().any(|(_, event)| began(event));
        assert_eq!(tried, self.tried == Tried::Beside);
        assert_eq!(host.state(&service).incidents, 1);
        let waiting = ripcord_ports::store::SignalFilter::Waiting(&service);
        assert!(host.store.signals(waiting, 10).await.unwrap().is_empty());
    }

    /// Dies at every one of `points` in turn; in the life after that, at none.
    async fn die_at_each(self, points: Vec<Point>) -> Died {
        let mut died = Died::default();
        for points in points.chunks(AT_ONCE) {
            let runs = points.iter().map(|point| self.die_at(point.clone()));
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
    async fn die_twice(self, first: Point, second: Point) {
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
            assert!(!asked, "{point}: a person was asked although the deployer can tell");
        }
        host.stop().await;
        (point, reached, asked)
    }
}

#[derive(Debug, Default)]
struct Died {
    at: usize,
    asked: BTreeSet<Point>,
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

fn every_point(story: Story) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let points = story.clean_points().await;
        let names: BTreeSet<&str> = points.iter().map(|point| point.name.as_str()).collect();
        for needed in [
            "before accept",
            "after append signals-taken",
            "before append triggers-asked",
            "before put",
            "before fetch",
            "before append shift-began",
            "after append shift-began",
            "before shift",
            "at shift",
            "after shift",
            "before append shift-returned",
            "before live",
            "after trial",
            "before append verifications-asked",
            "after mark",
            "before promoted",
            "after promote",
            "before append promoted",
            "after append promoted",
            "after announce settled",
        ] {
            assert!(names.contains(needed), "a clean run does not pass `{needed}`: {names:#?}");
        }
        let beside = [
            "before beside",
            "after beside",
            "after append preflight-began",
            "after clear",
            "after candidate trial",
        ];
        for needed in beside {
            assert_eq!(names.contains(needed), story.tried == Tried::Beside, "`{needed}` in {names:#?}");
        }
        let count = points.len();
        let died = story.die_at_each(points).await;
        println!("{story:?}: {count} points, died at {}, a person was asked after {:?}", died.at, died.asked);
        assert!(died.at * 10 >= count * 9, "only {} of {count} points were reached", died.at);
        if story.class == EffectClass::Blind {
            let asked: BTreeSet<&str> = died.asked.iter().map(|point| point.name.as_str()).collect();
            assert!(asked.contains("at shift") && asked.contains("after shift"), "{asked:?}");
        }
    });
}

/// Dying while it recovers: every moment around the shift with every other, and the first of each kind.
fn every_two_points(story: Story) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let points = story.clean_points().await;
        let risky = |point: &&Point| point.name.contains("shift") && !point.name.contains("announce");
        let firsts: Vec<_> = points.iter().filter(risky).cloned().collect();
        assert!(firsts.len() >= 7, "{firsts:?}");
        let mut seconds = firsts.clone();
        // What a host does that finds a shift begun.
        for name in ["before probe", "after probe", "before append shift-probed", "after append shift-probed"]
        {
            seconds.push(Point { name: name.into(), nth: 0 });
        }
        let pairs = firsts.iter().flat_map(|first| seconds.iter().map(move |second| (first, second)));
        let pairs: Vec<_> = pairs.collect();
        for pairs in pairs.chunks(AT_ONCE) {
            let runs =
                pairs.iter().map(|(first, second)| story.die_twice((*first).clone(), (*second).clone()));
            futures_util::future::join_all(runs).await;
        }
    });
}

#[test]
fn an_idempotent_deployer_and_two_deaths() {
    every_two_points(Story {
        class: EffectClass::Idempotent,
        consent: Consent::Policies,
        tried: Tried::Not,
        takes: Takes::Nothing,
    });
}

#[test]
fn an_observable_deployer_and_two_deaths() {
    every_two_points(Story {
        class: EffectClass::Observable,
        consent: Consent::Policies,
        tried: Tried::Not,
        takes: Takes::Nothing,
    });
}

#[test]
fn a_blind_deployer_and_two_deaths() {
    every_two_points(Story {
        class: EffectClass::Blind,
        consent: Consent::Policies,
        tried: Tried::Not,
        takes: Takes::Nothing,
    });
}

#[test]
fn an_idempotent_deployer() {
    every_point(Story {
        class: EffectClass::Idempotent,
        consent: Consent::Policies,
        tried: Tried::Not,
        takes: Takes::Nothing,
    });
}

#[test]
fn a_conditional_deployer() {
    every_point(Story {
        class: EffectClass::Conditional,
        consent: Consent::Policies,
        tried: Tried::Not,
        takes: Takes::Nothing,
    });
}

#[test]
fn an_observable_deployer() {
    every_point(Story {
        class: EffectClass::Observable,
        consent: Consent::Policies,
        tried: Tried::Not,
        takes: Takes::Nothing,
    });
}

#[test]
fn a_blind_deployer() {
    every_point(Story {
        class: EffectClass::Blind,
        consent: Consent::Policies,
        tried: Tried::Not,
        takes: Takes::Nothing,
    });
}

#[test]
fn with_two_keys() {
    every_point(Story {
        class: EffectClass::Observable,
        consent: Consent::People,
        tried: Tried::Not,
        takes: Takes::Nothing,
    });
}

#[test]
fn a_target_that_is_tried_before_the_shift() {
    every_point(Story {
        class: EffectClass::Observable,
        consent: Consent::Policies,
        tried: Tried::Beside,
        takes: Takes::Nothing,
    });
}

#[test]
fn a_power_cut_with_an_idempotent_deployer() {
    let class = EffectClass::Idempotent;
    every_point(Story { class, consent: Consent::Policies, tried: Tried::Not, takes: Takes::Unflushed });
}

#[test]
fn a_power_cut_with_an_observable_deployer_and_two_keys() {
    let class = EffectClass::Observable;
    every_point(Story { class, consent: Consent::People, tried: Tried::Not, takes: Takes::Unflushed });
}

#[test]
fn a_power_cut_with_a_blind_deployer_and_a_target_that_is_tried_before() {
    let class = EffectClass::Blind;
    every_point(Story { class, consent: Consent::Policies, tried: Tried::Beside, takes: Takes::Unflushed });
}

#[test]
fn two_power_cuts() {
    let class = EffectClass::Observable;
    every_two_points(Story { class, consent: Consent::Policies, tried: Tried::Not, takes: Takes::Unflushed });
}
