//! What every place of checkpoints must do.

use ripcord_core::fact::Checkpoint;
use ripcord_ports::producer::CheckpointList;
use ripcord_ports::{Applied, Checkpoints};

use super::deployer_faults::faults;
use super::rule::holds;
use crate::fault_proxy::{FaultProxy, Which};

/// What the place under test holds.
#[derive(Debug, Clone)]
pub struct Expected {
    /// Run and step of each that can be used, newest first. Two runs at least.
    pub newest_first: Vec<(String, u64)>,
    /// The names under which those that cannot be used are told. One at least.
    pub unreadable: Vec<String>,
}

/// Checks the place.
pub async fn conforms(place: &dyn Checkpoints, expected: &Expected) {
    assert!(!expected.unreadable.is_empty(), "the suite needs one that cannot be used");
    holds("lists-checkpoints-newest-first", lists(place, expected)).await;
    holds("lists-one-run", one_run(place, expected)).await;
    holds("says-what-cannot-be-used", says(place, expected)).await;
}

/// Checks the place, which is reached through `proxy`.
pub async fn conforms_in_faults(place: &dyn Checkpoints, proxy: &FaultProxy) {
    holds("checkpoints-are-told-truly-in-faults", async {
        proxy.calm();
        let truth = list(place, None, u32::MAX).await;
        for (name, fault) in faults() {
            for times in [1, usize::MAX] {
                proxy.calm();
                proxy.order(Which::Any, fault.clone(), times);
                match place.checkpoints(None, u32::MAX).await {
                    // One that cannot be read is told as such; none is left out, and none is made up.
                    Ok(told) => {
                        assert!(
                            told.checkpoints.iter().all(|one| step(&truth).contains(&(&one.run, one.step)))
                        );
                        let missing = truth.checkpoints.len() - told.checkpoints.len();
                        let more = told.unreadable.len().saturating_sub(truth.unreadable.len());
                        assert!(
                            more >= missing,
                            "{name}: {missing} checkpoints are left out in silence: {told:?}"
                        );
                    }
                    Err(error) => assert_eq!(error.applied, Applied::No, "{name}: {error}"),
                }
            }
        }
        proxy.calm();
        assert_eq!(step(&list(place, None, u32::MAX).await), step(&truth), "nothing wrong is remembered");
    })
    .await;
}

fn step(list: &CheckpointList) -> Vec<(&String, u64)> {
    list.checkpoints.iter().map(|one| (&one.run, one.step)).collect()
}

async fn list(place: &dyn Checkpoints, run: Option<&str>, limit: u32) -> CheckpointList {
    place.checkpoints(run, limit).await.unwrap_or_else(|error| panic!("checkpoints: {error}"))
}

async fn lists(place: &dyn Checkpoints, expected: &Expected) {
    let listed = list(place, None, u32::MAX).await;
    let wanted: Vec<_> = expected.newest_first.iter().map(|(run, step)| (run, *step)).collect();
    assert_eq!(step(&listed), wanted, "checkpoints are listed newest first");
    assert!(listed.checkpoints.is_sorted_by_key(|one: &Checkpoint| std::cmp::Reverse(one.at)), "`at` agrees");
    for one in &listed.checkpoints {
        assert!(one.measures.is_sorted_by_key(|measure| measure.name.clone()), "measures are sorted by name");
    }
    let first = list(place, None, 1).await;
    assert_eq!(step(&first), wanted[..1], "a limit keeps the newest");
    assert_eq!(first.unreadable, listed.unreadable, "a limit hides none that cannot be used");
    assert_eq!(step(&list(place, None, 0).await), [], "a limit of none is none");
}

async fn one_run(place: &dyn Checkpoints, expected: &Expected) {
    for (run, _) in &expected.newest_first {
        let wanted: Vec<_> = expected
            .newest_first
            .iter()
            .filter(|(of, _)| of == run)
            .map(|(run, step)| (run, *step))
            .collect();
        assert_eq!(step(&list(place, Some(run), u32::MAX).await), wanted, "the checkpoints of `{run}`");
    }
    for run in ["no-such-run", "..", "a/b", ""] {
        if let Ok(listed) = place.checkpoints(Some(run), u32::MAX).await {
            assert_eq!(step(&listed), [], "there is no run `{run}`");
        }
    }
}

async fn says(place: &dyn Checkpoints, expected: &Expected) {
    let listed = list(place, None, u32::MAX).await;
    let mut names: Vec<_> = listed.unreadable.iter().map(|label| label.name.clone()).collect();
    let mut wanted = expected.unreadable.clone();
    names.sort();
    wanted.sort();
    assert_eq!(names, wanted, "each that cannot be used is told: {:?}", listed.unreadable);
    for label in &listed.unreadable {
        assert!(!label.value.is_empty(), "with a reason");
        assert!(!label.value.contains(['\n', '\r', '\u{1b}']), "on one line, and harmless: {label:?}");
    }
}
