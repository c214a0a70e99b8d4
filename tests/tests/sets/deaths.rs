//! A run of a set with a host that dies at every moment in turn, and with every call and every append that fails in turn. The moments are those that a
//! clean run passes: those of both members, and of the set's own journal.

use std::collections::BTreeSet;
use std::sync::Arc;

use ripcord_core::event::PartEnd;
use ripcord_core::plan::IfPartFails;
use ripcord_core::set::{Set, SetOutcome};
use ripcord_core::terms::EffectClass;
use ripcord_core::time::Millis;
use ripcord_tests::sets::outcome_of_set;
use ripcord_tests::{Fault, Fuse, Lab, Point, Running, Spec, check};

use super::{live, name, two_keys};

/// Hosts at once: most of a run is waiting.
const AT_ONCE: usize = 6;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Course {
    /// Both parts come to their places.
    Moves,
    /// The second is refused by its deployer, so the first goes back.
    GoesBack,
}

#[derive(Debug, Clone, Copy)]
struct Story {
    course: Course,
    class: EffectClass,
}

impl Story {
    async fn lab(self) -> Lab {
        let spec = |name| {
            Spec::new(name).terms(|terms| {
                terms.deployer = self.class;
                terms.deadlines.hold_watch = Millis::hours(24);
            })
        };
        let lab = Lab::at_speed(vec![spec("features"), spec("fraud-api")], 20);
        let lab = lab.with_set(IfPartFails::Back, two_keys());
        if self.course == Course::GoesBack {
            // However often it is asked.
            lab.world.at(&name("fraud-api"), |outside| outside.faults.extend([Fault::Refused; 100]));
        }
        let host = lab.start().await;
        for member in ["features", "fraud-api"] {
            host.adopt(&name(member), &["1.1"]).await;
        }
        host.stop().await;
        lab
    }

    /// One host from its start to the quiet end; none if it died before.
    async fn live_through(self, lab: &Lab, fuse: Arc<Fuse>) -> Option<Running> {
        let host = lab.start_with(fuse).await?;
        let story = async {
            // Whoever asks and gets no answer looks whether the run goes on, or has ended.
            let set = host.set();
            if set.run.is_none() && set.last.is_none() {
                let asked = host.move_set(&[("features", "1.1"), ("fraud-api", "1.1")]).await;
                assert!(asked.is_ok() || host.fuse.has_failed(), "{asked:?}");
                if asked.is_err() && host.set().run.is_none() && host.set().last.is_none() {
                    host.move_set(&[("features", "1.1"), ("fraud-api", "1.1")]).await.expect("asked again");
                }
            }
            host.attend_set(lab).await;
        };
        let fuse = host.fuse.clone();
        let lived = tokio::select! {
            () = story => true,
            () = fuse.died() => false,
        };
        if lived {
            return Some(host);
        }
        host.die().await;
        None
    }

    /// The right end, and nothing done twice.
    async fn judge(self, lab: &Lab, host: &Running) -> Arc<Set> {
        let set = host.set();
        assert_eq!(set.runs, 1);
        let shifts =
            ["features", "fraud-api"].map(|member| check::applied(&lab.world.of(&name(member)).steps));
        match self.course {
            Course::Moves => {
                assert_eq!(outcome_of_set(&set), Some(SetOutcome::Moved), "{:#?}", set.last);
                assert_eq!(live(lab), ["1.1", "1.1"]);
                assert_eq!(shifts, [1, 1]);
            }
            Course::GoesBack => {
                assert_eq!(outcome_of_set(&set), Some(SetOutcome::WentBack), "{:#?}", set.last);
                assert_eq!(live(lab), ["1.2", "1.2"]);
                assert_eq!(shifts, [2, 0]);
                let run = set.last.as_ref().unwrap();
                assert_eq!(run.members[0].back.end(), Some(PartEnd::Moved));
            }
        }
        for member in ["features", "fraud-api"] {
            assert_eq!(host.state(&name(member)).incidents, 1, "enlisted once");
        }
        host.check_set(lab).await;
        set
    }

    async fn clean_points(self) -> Vec<Point> {
        let lab = self.lab().await;
        let host = self.live_through(&lab, Fuse::safe()).await.expect("it does not die");
        self.judge(&lab, &host).await;
        let points = host.fuse.passed();
        host.stop().await;
        points
    }

    async fn die_at(self, points: &[Point]) -> bool {
        let lab = self.lab().await;
        let mut reached = false;
        for point in points {
            match self.live_through(&lab, Fuse::armed(Some(point.clone()))).await {
                Some(host) => host.stop().await,
                None => reached = true,
            }
        }
        let host = self.live_through(&lab, Fuse::safe()).await.expect("it does not die");
        println!("{self:?}: died at {points:?}: {reached}");
        self.judge(&lab, &host).await;
        host.stop().await;
        reached
    }

    async fn fails_at(self, point: Point) -> bool {
        let lab = self.lab().await;
        let host = self.live_through(&lab, Fuse::failing(point.clone())).await.expect("it does not die");
        let reached = host.fuse.has_failed();
        println!("{self:?}: failed at {point}: {reached}");
        self.judge(&lab, &host).await;
        host.stop().await;
        reached
    }
}

fn in_a_runtime(work: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(work);
}

fn every_point(story: Story) {
    in_a_runtime(async {
        let points = story.clean_points().await;
        let names: BTreeSet<&str> = points.iter().map(|point| point.name.as_str()).collect();
        for needed in [
            "before append asked",
            "before append enlist-began",
            "after append enlist-began",
            "before append enlisted",
            "after append enlisted",
            "before append drafted",
            "before append voted",
            "before append part-began",
            "after append part-began",
            "before append part-given",
            "after append part-given",
            "before append shift-began",
            "before shift",
            "at shift",
            "after shift",
            "before append part-ended",
            "before append released",
            "after append member-released",
        ] {
            assert!(names.contains(needed), "a clean run does not pass `{needed}`: {names:#?}");
        }
        let (count, mut reached) = (points.len(), 0);
        for some in points.chunks(AT_ONCE) {
            let runs = some.iter().map(|point| story.die_at(std::slice::from_ref(point)));
            reached += futures_util::future::join_all(runs).await.into_iter().filter(|died| *died).count();
        }
        println!("{story:?}: {count} points, died at {reached}");
        assert!(reached * 10 >= count * 9, "only {reached} of {count} points were reached");
    });
}

#[test]
fn a_set_that_moves_with_an_idempotent_deployer() {
    every_point(Story { course: Course::Moves, class: EffectClass::Idempotent });
}

#[test]
fn a_set_that_moves_with_an_observable_deployer() {
    every_point(Story { course: Course::Moves, class: EffectClass::Observable });
}

#[test]
fn a_set_that_goes_back() {
    every_point(Story { course: Course::GoesBack, class: EffectClass::Observable });
}

#[test]
fn a_set_that_goes_back_with_a_deployer_that_cannot_tell() {
    every_point(Story { course: Course::GoesBack, class: EffectClass::Blind });
}

/// Dying while it recovers: between the two journals, every moment with every other.
#[test]
fn a_set_that_goes_back_and_two_deaths() {
    let story = Story { course: Course::GoesBack, class: EffectClass::Observable };
    in_a_runtime(async {
        let points = story.clean_points().await;
        let between =
            ["part-began", "part-given", "part-ended", "enlist-began", "append enlisted", "released"];
        let is_between = |point: &&Point| between.iter().any(|name| point.name.contains(name));
        let firsts: Vec<Point> = points.iter().filter(is_between).cloned().collect();
        assert!(firsts.len() >= 16, "{firsts:?}");
        // Of each kind the first and the last moment: the others differ only in whose they are.
        let seconds: Vec<Point> = firsts.iter().filter(|point| point.nth == 0).cloned().collect();
        let pairs: Vec<[Point; 2]> = firsts
            .iter()
            .flat_map(|first| seconds.iter().map(|second| [first.clone(), second.clone()]))
            .collect();
        println!("{} pairs", pairs.len());
        for some in pairs.chunks(AT_ONCE) {
            futures_util::future::join_all(some.iter().map(|pair| story.die_at(pair))).await;
        }
    });
}

/// Every call and every append fails in turn: it is not made, or it is and its answer is lost.
#[test]
fn a_set_that_moves_and_each_failure() {
    let story = Story { course: Course::Moves, class: EffectClass::Idempotent };
    in_a_runtime(async {
        let fails = |point: &Point| {
            let lost = ["after shift", "after promote", "after announce", "after append"];
            point.name.starts_with("before") || lost.iter().any(|prefix| point.name.starts_with(prefix))
        };
        let points: Vec<_> = story.clean_points().await.into_iter().filter(fails).collect();
        let (count, mut reached) = (points.len(), 0);
        for some in points.chunks(AT_ONCE) {
            let runs = some.iter().map(|point| story.fails_at(point.clone()));
            reached += futures_util::future::join_all(runs).await.into_iter().filter(|there| *there).count();
        }
        println!("{story:?}: {reached} of {count} failed");
        assert!(reached * 10 >= count * 9, "only {reached} of {count} points were reached");
    });
}
