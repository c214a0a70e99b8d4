use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use async_trait::async_trait;
use cap_std::fs::Dir;
use ripcord_core::digest::Digest;

use super::*;
use crate::checkpoints::place::Placed;

/// Runs of one checkpoint each; a later one is listed sooner.
#[derive(Debug, Clone, Default)]
struct Runs {
    number: usize,
    /// Which of them is away.
    away: Option<usize>,
    listed: Arc<AtomicUsize>,
    under_way: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

fn named(number: usize) -> String {
    format!("run-{number:04}")
}

#[async_trait]
impl Place for Runs {
    fn shown(&self) -> String {
        "memory".into()
    }

    async fn entries(&self, folder: &str, _: usize) -> Result<Vec<Entry>, PortError> {
        let Some(number) = folder.strip_prefix("run-").map(|number| number.parse::<usize>().unwrap()) else {
            let run = |number| Entry { name: named(number), kind: Kind::Folder };
            return Ok((0..self.number).map(run).collect());
        };
        let under_way = self.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(under_way, Ordering::SeqCst);
        self.listed.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(u64::from(number % 2 == 0) * 20 + 5)).await;
        self.under_way.fetch_sub(1, Ordering::SeqCst);
        if self.away == Some(number) {
            return Err(PortError::not_applied(ErrorKind::Unreachable, "the store is away"));
        }
        let kind = Kind::File { bytes: 7, changed: Some(UnixMillis(5)) };
        Ok(vec![Entry { name: "epoch=1-step=10.ckpt".into(), kind }])
    }

    async fn read(&self, _: &str, _: u64) -> Result<Vec<u8>, PortError> {
        Ok(Vec::new())
    }

    async fn files(&self, _: &str) -> Result<Vec<Placed>, PortError> {
        Ok(Vec::new())
    }

    async fn take(&self, _: &str, _: Option<(&Arc<Dir>, &str)>) -> Result<(Digest, u64), PortError> {
        Ok((Digest::of("weights"), 7))
    }
}

fn reader(runs: &Runs) -> Reader {
    Reader { place: Box::new(runs.clone()), run: None, served: Served::default() }
}

#[tokio::test]
async fn some_runs_are_listed_at_once_and_come_in_their_order() {
    let runs = Runs { number: 40, ..Runs::default() };
    let listed = reader(&runs).list(None, u32::MAX).await.unwrap();
    let told: Vec<_> = listed.checkpoints.into_iter().map(|one| one.run).collect();
    assert_eq!(told, (0..40).map(named).collect::<Vec<_>>());
    assert!(listed.unreadable.is_empty(), "{:?}", listed.unreadable);
    assert_eq!(runs.most.load(Ordering::SeqCst), AT_ONCE);
}

#[tokio::test]
async fn a_run_that_cannot_be_listed_ends_the_list_of_the_others() {
    let runs = Runs { number: 1_000, away: Some(3), ..Runs::default() };
    let error = reader(&runs).list(None, u32::MAX).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unreachable, "{error}");
    assert!(runs.listed.load(Ordering::SeqCst) < 100, "the others are not waited for");
}

#[tokio::test]
async fn too_many_runs_are_refused_before_any_is_listed() {
    let runs = Runs { number: RUNS_MAX + 1, ..Runs::default() };
    let error = reader(&runs).list(None, u32::MAX).await.unwrap_err();
    assert!(error.to_string().contains("holds 1001 runs, more than 1000: move old ones away"), "{error}");
    assert_eq!(runs.listed.load(Ordering::SeqCst), 0);
}
