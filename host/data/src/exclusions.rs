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
/// So many values of a column are kept for that.
const VALUES_KEPT: usize = 64;

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
    time: Option<usize>,
    id: Option<usize>,
}

/// Values of one column that rows are left out by. A source is one of its column.
#[derive(Debug)]
struct Values<'a> {
    /// The place among the judged columns.
    column: usize,
    /// Which exclusion names each.
    named: HashMap<&'a str, usize>,
    /// What there is, for a refusal.
    seen: BTreeMap<String, u64>,
}

/// Exclusions at work.
#[derive(Debug)]
pub(crate) struct Exclusions<'a> {
    all: &'a [Exclusion],
    judged: Judged,
    values: Vec<Values<'a>>,
    windows: Vec<(usize, Window)>,
    ids: HashMap<&'a str, usize>,
    ids_found: BTreeSet<&'a str>,
    rows: Vec<u64>,
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
            judged: Judged { names: Vec::new(), time: None, id: None },
            values: Vec::new(),
            windows: Vec::new(),
            ids: HashMap::new(),
            ids_found: BTreeSet::new(),
            rows: vec![0; all.len()],
            rows_without_time: 0,
        };
        let none = |what: &str, needs: &str| {
            DataError::Asked(format!(
                "the manifest names no column with the {what} of a row, which an exclusion {needs} needs: add it to `columns`"
            ))
        };
        if let Some(problem) = all.iter().find_map(Exclusion::problem) {
            return Err(DataError::Asked(problem));
        }
        for (at, exclusion) in all.iter().enumerate() {
            let twice = match exclusion {
                Exclusion::Source(source) => {
                    let column = columns.source().ok_or_else(|| none("source", "by source"))?;
                    this.excludes_value(column, source, at)
                }
                Exclusion::Value(of) => {
                    let known = columns.all();
                    if !known.contains(of.column.as_str()) {
                        return Err(DataError::Asked(format!(
                            "the manifest names no column `{}`: there are {}",
                            shown(&of.column),
                            list(known.into_iter())
                        )));
                    }
                    this.excludes_value(&of.column, &of.value, at)
                }
                Exclusion::Window(window) => {
                    let column = columns.time.as_deref().ok_or_else(|| none("time", "by window"))?;
                    this.judged.time = Some(this.judged.column(column));
                    this.windows.push((at, *window));
                    None
                }
                Exclusion::Rows(ids) => {
                    let column = columns.id.as_deref().ok_or_else(|| none("id", "of rows"))?;
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

    /// Leaves out rows with this value; gives it back where it is named already.
    fn excludes_value(&mut self, column: &str, value: &'a str, at: usize) -> Option<&'a str> {
        let column = self.judged.column(column);
        let known = self.values.iter().position(|values| values.column == column);
        let place = known.unwrap_or_else(|| {
            self.values.push(Values { column, named: HashMap::new(), seen: BTreeMap::new() });
            self.values.len() - 1
        });
        self.values[place].named.insert(value, at).map(|_| value)
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
        for values in &mut self.values {
            let Some(value) = cell(Some(values.column)).and_then(Cell::name) else { continue };
            if let Some(at) = values.named.get(value.as_str()) {
                self.rows[*at] += 1;
                left_out = true;
            }
            if let Some(count) = values.seen.get_mut(&value) {
                *count += 1;
            } else if values.seen.len() < VALUES_KEPT {
                values.seen.insert(value, 1);
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
        for (at, (exclusion, rows)) in self.all.iter().zip(&self.rows).enumerate() {
            if *rows == 0 {
                return Err(DataError::Asked(self.matched_nothing(at, exclusion)));
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

    fn matched_nothing(&self, at: usize, exclusion: &Exclusion) -> String {
        let known = || {
            let values = self.values.iter().find(|values| values.named.values().any(|named| *named == at));
            let mut by_rows: Vec<_> = values.into_iter().flat_map(|values| &values.seen).collect();
            by_rows.sort_by_key(|(_, rows)| std::cmp::Reverse(**rows));
            let known = list(by_rows.iter().take(NAMED).map(|(value, _)| value.as_str()));
            let more = if by_rows.len() > NAMED { " and others" } else { "" };
            format!("there are {known}{more}")
        };
        match exclusion {
            Exclusion::Source(source) => {
                format!("no row is of the source `{}`: {}", shown(source), known())
            }
            Exclusion::Value(of) => {
                format!(
                    "no row has `{}` in the column `{}`: {}",
                    shown(&of.value),
                    shown(&of.column),
                    known()
                )
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
