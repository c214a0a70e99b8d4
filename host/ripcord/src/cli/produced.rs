//! What a version is to be made of, as a person types it.

use std::path::PathBuf;

use ripcord_core::target::Exclusion;

use crate::http::wire::{CheckpointBody, RetrainBody};

/// A checkpoint: `RUN@STEP`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointArg(pub CheckpointBody);

impl std::str::FromStr for CheckpointArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.rsplit_once('@').and_then(|(run, step)| Some((run, step.parse().ok()?)));
        match parts {
            Some((run, step)) if !run.is_empty() => Ok(Self(CheckpointBody { run: run.to_owned(), step })),
            _ => Err("a run and the number of its step, such as `online-3@1200`".to_owned()),
        }
    }
}

/// A data set: `DATASET` or `DATASET@REVISION`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetrainArg {
    dataset: String,
    revision: String,
}

impl RetrainArg {
    /// Without what is excluded.
    pub fn without(&self, exclude: Vec<Exclusion>) -> RetrainBody {
        RetrainBody { dataset: self.dataset.clone(), revision: self.revision.clone(), exclude }
    }
}

impl std::str::FromStr for RetrainArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (dataset, revision) = text.rsplit_once('@').unwrap_or((text, ""));
        if dataset.is_empty() || (revision.is_empty() && text.contains('@')) {
            return Err(
                "a data set, with its revision where you mean one: `clicks` or `clicks@r7`".to_owned()
            );
        }
        Ok(Self { dataset: dataset.to_owned(), revision: revision.to_owned() })
    }
}

/// How rows are named on a command line: there may be thousands.
const ROWS: &str = "rows=FILE with one id a line";

/// What is left out of the data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExcludeArg {
    /// What stands here.
    Named(Exclusion),
    /// Rows whose ids stand in this file, one a line.
    RowsOf(PathBuf),
}

impl std::str::FromStr for ExcludeArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, value) = ripcord_data::parts(text, ROWS)?;
        if kind == "rows" && !value.is_empty() {
            return Ok(Self::RowsOf(PathBuf::from(value)));
        }
        let unknown = || Err(ripcord_data::unknown(kind, ROWS));
        ripcord_data::by_content(kind, value).unwrap_or_else(unknown).map(Self::Named)
    }
}

#[cfg(test)]
mod tests {
    use ripcord_core::target::{ColumnValue, Window};
    use ripcord_core::time::UnixMillis;

    use super::*;

    #[test]
    fn a_checkpoint_is_a_run_and_a_step() {
        let read = |text: &str| text.parse::<CheckpointArg>().map(|read| (read.0.run, read.0.step));
        assert_eq!(read("a@b@7"), Ok(("a@b".to_owned(), 7)));
        for wrong in ["a", "a@", "@7", "a@-1", "a@latest"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_data_set_may_leave_its_revision_open_and_an_exclusion_says_of_what_kind_it_is() {
        let read = |text: &str| text.parse::<RetrainArg>().map(|read| read.without(Vec::new()).revision);
        assert_eq!(read("clicks"), Ok(String::new()));
        assert_eq!(read("clicks@r7"), Ok("r7".to_owned()));
        assert!(read("clicks@").is_err() && read("@r7").is_err());
        for wrong in ["bots", "source=", "rows=", "window=2026-11-01T00:00:00Z", "host=a"] {
            assert!(wrong.parse::<ExcludeArg>().is_err(), "{wrong}");
        }
        let late = "window=2026-11-02T00:00:00Z..2026-11-01T00:00:00Z".parse::<ExcludeArg>().unwrap_err();
        assert!(late.contains("ends before it starts"), "{late}");
        let value = "value=country:nowhere".parse();
        let wanted = ColumnValue { column: "country".into(), value: "nowhere".into() };
        assert_eq!(value, Ok(ExcludeArg::Named(Exclusion::Value(wanted))));
        let window = "window=1970-01-01T00:00:01Z..1970-01-01T00:00:02Z".parse();
        let wanted = Window { start: UnixMillis(1_000), end: UnixMillis(2_000) };
        assert_eq!(window, Ok(ExcludeArg::Named(Exclusion::Window(wanted))));
    }
}
