//! What is kept of runs: what was asked for before it is asked for, the newest run of each of the newest orders, and the end of each log.

use std::path::Path;

use ripcord_core::time::UnixMillis;
use ripcord_ports::PortError;
use serde::{Deserialize, Serialize};

use super::{Marks, Run, Tail};
use crate::producing::{KeptRuns, line};

/// No mark: marks begin otherwise.
const ORDERS: &str = "orders";
/// Of so many orders it is looked whether a run goes on before another is begun.
const ORDERS_MAX: usize = 4;

/// The newest run of one order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) marks: Marks,
    pub(super) state: State,
    /// As the system is asked for it, where that is known.
    #[serde(default)]
    pub(super) run: Option<String>,
    /// When the time of its shift is over.
    pub(super) ends_at: UnixMillis,
    /// This host has told it to end: its work may go on for a while after it is called ended.
    #[serde(default)]
    pub(super) told_to_end: bool,
}

/// How far it is, as far as this host knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum State {
    /// It was asked for, and nobody knows whether it was begun.
    Asked,
    /// It was refused, and not begun.
    Refused,
    /// It was begun.
    Begun,
    /// It has ended, one way or the other.
    Ended,
}

impl Kept {
    /// The run that is asked for next.
    pub(super) fn asked(marks: Marks, ends_at: UnixMillis) -> Self {
        Self { marks, state: State::Asked, run: None, ends_at, told_to_end: false }
    }

    /// The same run, further on.
    pub(super) fn with(&self, state: State) -> Self {
        Self { state, ..self.clone() }
    }

    /// The same run, which was begun.
    pub(super) fn begun(&self, run: &str) -> Self {
        Self { state: State::Begun, run: Some(run.to_owned()), ..self.clone() }
    }

    /// The same run, which is told to end.
    pub(super) fn told_to_end(&self) -> Self {
        Self { told_to_end: true, ..self.clone() }
    }

    /// Whether it may be at work, as far as this host knows.
    pub(super) fn is_open(&self) -> bool {
        self.told_to_end || matches!(self.state, State::Asked | State::Begun)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct KeptLog<'a> {
    system: &'a str,
    run: String,
    ended: String,
    left_out_bytes: u64,
    log: &'a str,
}

/// The host's own folder for one service.
#[derive(Debug)]
pub(super) struct KeptPipelines {
    runs: KeptRuns,
    logs: KeptRuns,
}

impl KeptPipelines {
    pub(super) fn new(data: &Path) -> Self {
        Self { runs: KeptRuns::new(data.join("runs")), logs: KeptRuns::new(data.join("logs")) }
    }

    /// The newest run of the order.
    pub(super) async fn read(&self, marks: &Marks) -> Result<Option<Kept>, PortError> {
        self.runs.read(marks.base()).await
    }

    /// The newest orders, the oldest of them first; none where nothing was ever ordered from this folder.
    pub(super) async fn orders(&self) -> Result<Option<Vec<Kept>>, PortError> {
        self.runs.read(ORDERS).await
    }

    /// From now on the folder is one from which orders are given: what it has nothing of was not asked for from here.
    pub(super) async fn begin_to_use(&self) -> Result<(), PortError> {
        match self.orders().await? {
            Some(_) => Ok(()),
            None => self.runs.write(ORDERS, &Vec::<Kept>::new()).await,
        }
    }

    /// On disk when this returns.
    pub(super) async fn write(&self, kept: &Kept) -> Result<(), PortError> {
        self.runs.write(kept.marks.base(), kept).await?;
        let mut orders = self.orders().await?.unwrap_or_default();
        orders.retain(|order| order.marks.base() != kept.marks.base());
        orders.push(kept.clone());
        while orders.len() > ORDERS_MAX {
            let settled = orders.iter().position(|order| !order.is_open()).unwrap_or(0);
            orders.remove(settled);
        }
        self.runs.write(ORDERS, &orders).await
    }

    /// The end of a run's log, under its mark.
    pub(super) async fn keep_log(
        &self,
        marks: &Marks,
        system: &str,
        run: &Run,
        log: &Tail,
    ) -> Result<(), PortError> {
        let kept = KeptLog {
            system,
            run: line(&run.shown),
            ended: line(run.state.word()),
            left_out_bytes: log.left_out(),
            log: log.text(),
        };
        self.logs.write(&marks.whole(), &kept).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn of_many_orders_those_that_may_be_at_work_stay() {
        let folder = tempfile::tempdir().unwrap();
        let kept = KeptPipelines::new(folder.path());
        assert_eq!(kept.orders().await.unwrap(), None);
        kept.begin_to_use().await.unwrap();
        assert_eq!(kept.orders().await.unwrap(), Some(Vec::new()));
        let order = |key: &str| Kept::asked(Marks::of(key), UnixMillis(1));
        kept.write(&order("first")).await.unwrap();
        for key in ["a", "b", "c", "d", "e"] {
            kept.write(&order(key).with(State::Ended)).await.unwrap();
        }
        let bases: Vec<String> =
            kept.orders().await.unwrap().unwrap().iter().map(|it| it.marks.base().to_owned()).collect();
        let wanted: Vec<String> =
            ["first", "c", "d", "e"].iter().map(|key| Marks::of(key).base().to_owned()).collect();
        assert_eq!(bases, wanted);
        assert_eq!(kept.read(&Marks::of("a")).await.unwrap().unwrap().state, State::Ended);
    }
}
