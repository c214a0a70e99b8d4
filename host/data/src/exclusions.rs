//! Which rows several exclusions leave out, and how many each has matched.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use ripcord_core::target::{Exclusion, Window};
use serde::{Deserialize, Serialize};

use crate::cell::Cell;
use crate::error::{DataError, shown};
use crate::manifest::Columns;

/// So many sources or ids are named in a refusal.
const NAMED: usize = 8;
/// So many sources are kept for that.
const SOURCES_KEPT: usize = 64;

/// One exclusion, and the rows that it matches. A row that several match counts for each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Counted {
    /// What is left out.
    pub exclusion: Exclusion,
    /// Rows that it matches.
    pub rows: u64,
}

/// The columns that exclusions are judged by, in the order in which a row is given to [`Exclusions::leaves_out`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Judged {
    names: Vec<String>,
    source: Option<usize>,
    time: Option<usize>,
    id: Option<usize>,
}

/// Exclusions at work.
#[derive(Debug)]
pub(crate) struct Exclusions<'a> {
    all: &'a [Exclusion],
    judged: Judged,
    sources: HashMap<&'a str, usize>,
    windows: Vec<(usize, Window)>,
    ids: HashMap<&'a str, usize>,
    ids_found: BTreeSet<&'a str>,
    rows: Vec<u64>,
    sources_seen: BTreeMap<String, u64>,
    rows_without_time: u64,
}

impl Judged {
    fn column(&mut self, name: &str) -> usize {
        self.names.iter().position(|other| other == name).unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.names.len() - 1
        })
    }

    pub(crate) fn names(&self) -> Vec<&str> {
        self.names.iter().map(String::as_str).collect()
    }
}

impl<'a> Exclusions<'a> {
    /// Refuses what can never match.
    pub(crate) fn new(all: &'a [Exclusion], columns: &Columns) -> Result<Self, DataError> {
        if all.is_empty() {
            return Err(DataError::Asked(
                "nothing is to be left out: say what, such as --exclude source=NAME".to_owned(),
            ));
        }
        let mut this = Self {
            all,
            judged: Judged { names: Vec::new(), source: None, time: None, id: None },
            sources: HashMap::new(),
            windows: Vec::new(),
            ids: HashMap::new(),
            ids_found: BTreeSet::new(),
            rows: vec![0; all.len()],
            sources_seen: BTreeMap::new(),
            rows_without_time: 0,
        };
        let none = |what: &str, needs: &str| {
            DataError::Asked(format!(
                "the manifest names no column with the {what} of a row, which an exclusion {needs} needs: add it to `columns`"
            ))
        };
        for (at, exclusion) in all.iter().enumerate() {
            let twice = match exclusion {
                Exclusion::Source(source) => {
                    let column = columns.source().ok_or_else(|| none("source", "by source"))?;
                    this.judged.source = Some(this.judged.column(column));
                    this.sources.insert(source, at).map(|_| source.as_str())
                }
                Exclusion::Window(window) => {
                    let column = columns.time.as_deref().ok_or_else(|| none("time", "by window"))?;
                    if window.end < window.start {
                        return Err(DataError::Asked("a window ends before it starts".to_owned()));
                    }
                    this.judged.time = Some(this.judged.column(column));
                    this.windows.push((at, *window));
                    None
                }
                Exclusion::Rows(ids) => {
                    let column = columns.id.as_deref().ok_or_else(|| none("id", "of rows"))?;
                    if ids.is_empty() {
                        return Err(DataError::Asked("an exclusion of rows names no id".to_owned()));
                    }
                    this.judged.id = Some(this.judged.column(column));
                    ids.iter().find(|id| this.ids.insert(id, at).is_some()).map(String::as_str)
                }
            };
            if let Some(twice) = twice {
                return Err(DataError::Asked(format!("`{}` is excluded twice: name it once", shown(twice))));
            }
        }
        Ok(this)
    }

    pub(crate) fn judged(&self) -> Judged {
        self.judged.clone()
    }

    /// Whether a row is left out. `cells` are those of [`Judged::names`].
    pub(crate) fn leaves_out(
        &mut self,
        path: &Path,
        row: u64,
        cells: &[Option<Cell>],
    ) -> Result<bool, DataError> {
        let cell = |at: Option<usize>| at.and_then(|at| cells.get(at)).and_then(Option::as_ref);
        let mut left_out = false;
        if let Some(source) = cell(self.judged.source).and_then(Cell::name) {
            if let Some(at) = self.sources.get(source.as_str()) {
                self.rows[*at] += 1;
                left_out = true;
            }
            if let Some(count) = self.sources_seen.get_mut(&source) {
                *count += 1;
            } else if self.sources_seen.len() < SOURCES_KEPT {
                self.sources_seen.insert(source, 1);
            }
        }
        if self.judged.time.is_some() {
            match cell(self.judged.time).filter(|cell| !cell.is_blank()) {
                None => self.rows_without_time += 1,
                Some(cell) => {
                    let time = cell.time().ok_or_else(|| {
                        let name = cell.name().unwrap_or_default();
                        DataError::row(
                            path,
                            row,
                            format!("`{}` is no time: RFC 3339 with a zone is expected", shown(&name)),
                        )
                    })?;
                    for (at, window) in &self.windows {
                        if time.is_within(*window) {
                            self.rows[*at] += 1;
                            left_out = true;
                        }
                    }
                }
            }
        }
        if let Some(id) = cell(self.judged.id).and_then(Cell::name)
            && let Some((id, at)) = self.ids.get_key_value(id.as_str())
        {
            self.rows[*at] += 1;
            self.ids_found.insert(id);
            left_out = true;
        }
        Ok(left_out)
    }

    /// How many rows each has matched. One that matches nothing is a mistake in it, and the rows that were meant are still there.
    pub(crate) fn counted(&self) -> Result<Vec<Counted>, DataError> {
        for (exclusion, rows) in self.all.iter().zip(&self.rows) {
            if *rows == 0 {
                return Err(DataError::Asked(self.matched_nothing(exclusion)));
            }
        }
        let missing: Vec<&str> =
            self.ids.keys().filter(|id| !self.ids_found.contains(*id)).copied().collect();
        if !missing.is_empty() {
            return Err(DataError::Asked(format!(
                "{} of {} ids are of no row, such as {}: check them",
                missing.len(),
                self.ids.len(),
                list(missing.iter().min().into_iter().copied())
            )));
        }
        let counted = self.all.iter().zip(&self.rows);
        Ok(counted.map(|(exclusion, rows)| Counted { exclusion: exclusion.clone(), rows: *rows }).collect())
    }

    fn matched_nothing(&self, exclusion: &Exclusion) -> String {
        match exclusion {
            Exclusion::Source(source) => {
                let mut by_rows: Vec<_> = self.sources_seen.iter().collect();
                by_rows.sort_by_key(|(_, rows)| std::cmp::Reverse(**rows));
                let known = list(by_rows.iter().take(NAMED).map(|(source, _)| source.as_str()));
                let more = if by_rows.len() > NAMED { " and others" } else { "" };
                format!("no row is of the source `{}`: there are {known}{more}", shown(source))
            }
            Exclusion::Window(window) => {
                let text = |at| crate::times::text(at).unwrap_or_else(|| "?".to_owned());
                format!(
                    "no row lies in the window {} to {}: check its times",
                    text(window.start),
                    text(window.end)
                )
            }
            Exclusion::Rows(ids) => format!("no row has one of the {} ids: check them", ids.len()),
        }
    }

    pub(crate) fn judges_time(&self) -> bool {
        self.judged.time.is_some()
    }

    /// Rows whose time is not given. They are in no window.
    pub(crate) fn rows_without_time(&self) -> u64 {
        self.rows_without_time
    }
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let shown: Vec<_> = names.map(|name| format!("`{}`", shown(name))).collect();
    if shown.is_empty() { "none".to_owned() } else { shown.join(", ") }
}
