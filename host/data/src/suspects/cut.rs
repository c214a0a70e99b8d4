//! How the rows are cut into slices, learnt from the data: the names in a column, or bins with as many rows each.

use std::collections::BTreeSet;

use crate::cell::Cell;
use crate::error::DataError;
use crate::file;
use crate::manifest::ManifestAt;
use crate::purge::Told;
use crate::suspects::report::LeftOut;
use crate::suspects::table::{Dimension, Kind, Parts};
use crate::suspects::{Is, Looked, scattered};
use crate::times::Nanos;
use crate::{Progress, Step};

/// A column with more names is not looked at by name.
const NAMES_MAX: usize = 256;
/// Fewer numbers than this are looked at one by one.
const NUMBERS_APART: usize = 12;
const NUMBER_BINS: usize = 8;
const TIME_BINS: usize = 24;
/// So many values say where the edges of bins are.
const VALUES_KEPT: u64 = 4_096;

/// How a set is cut, and what it is not cut by.
#[derive(Debug)]
pub(crate) struct Cuts {
    pub(crate) dimensions: Vec<Dimension>,
    pub(crate) left_out: Vec<LeftOut>,
}

/// What is learnt of one column.
#[derive(Debug, Default)]
struct Learnt {
    names: BTreeSet<String>,
    numbers: Vec<f64>,
    apart: BTreeSet<u64>,
    times: Vec<Nanos>,
    ends: Option<(Nanos, Nanos)>,
}

/// Reads all rows, and holds the files against the manifest.
pub(crate) fn learn(manifest: &ManifestAt, progress: &mut dyn FnMut(Progress)) -> Result<Cuts, DataError> {
    let looked = Looked::of(manifest);
    let rows = manifest.manifest.rows;
    let every = rows.div_ceil(VALUES_KEPT).max(1);
    let mut learnt: Vec<Learnt> = looked.cuts.iter().map(|_| Learnt::default()).collect();
    let mut told = Told::new(Step::Count, rows, progress);
    let mut number = 0;
    for listed in &manifest.manifest.files {
        let path = manifest.path_of(listed);
        file::read(&path, listed, &looked.names, &mut |row, cells| {
            let is_kept = scattered(number).is_multiple_of(every);
            number += 1;
            told.row();
            for ((at, _, is), learnt) in looked.cuts.iter().zip(&mut learnt) {
                let Some(cell) = &cells[*at] else { continue };
                learnt.see(cell, *is, is_kept).map_err(|what| DataError::row(&path, row, what))?;
            }
            Ok(())
        })?;
    }
    let mut cuts = Cuts { dimensions: Vec::new(), left_out: Vec::new() };
    for ((at, kind, is), learnt) in looked.cuts.iter().zip(learnt) {
        cuts.add(looked.names[*at], *kind, *is, learnt);
    }
    Ok(cuts)
}

impl Learnt {
    fn see(&mut self, cell: &Cell, is: Is, is_kept: bool) -> Result<(), &'static str> {
        match is {
            Is::Name => {
                // One more than can be used says that there are too many.
                if self.names.len() <= NAMES_MAX
                    && let Some(name) = cell.name()
                    && !self.names.contains(&name)
                {
                    self.names.insert(name);
                }
            }
            Is::Number => {
                let number = cell.number().ok_or("an input is no finite number")?;
                if self.apart.len() <= NUMBERS_APART {
                    self.apart.insert(number.to_bits());
                }
                if is_kept {
                    self.numbers.push(number);
                }
            }
            Is::Time if cell.is_blank() => {}
            Is::Time => {
                let time = cell.time().ok_or("its time is none: RFC 3339 with a zone is expected")?;
                let (first, last) = self.ends.unwrap_or((time, time));
                self.ends = Some((first.min(time), last.max(time)));
                if is_kept {
                    self.times.push(time);
                }
            }
        }
        Ok(())
    }
}

impl Cuts {
    fn add(&mut self, column: &str, kind: Kind, is: Is, learnt: Learnt) {
        let parts = match is {
            Is::Name if learnt.names.len() > NAMES_MAX => {
                let why = format!("it has more than {NAMES_MAX} values");
                self.left_out.push(LeftOut { column: column.to_owned(), why });
                return;
            }
            Is::Name => Parts::Names(learnt.names.into_iter().collect()),
            Is::Number if learnt.apart.len() <= NUMBERS_APART => {
                let mut numbers: Vec<f64> = learnt.apart.into_iter().map(f64::from_bits).collect();
                numbers.sort_by(f64::total_cmp);
                Parts::Names(numbers.iter().map(f64::to_string).collect())
            }
            Is::Number => Parts::Numbers(edges(learnt.numbers, f64::total_cmp, NUMBER_BINS, None)),
            Is::Time => Parts::Times(edges(learnt.times, Nanos::cmp, TIME_BINS, learnt.ends)),
        };
        if parts.len() < 2 {
            let why = "it has one value only".to_owned();
            self.left_out.push(LeftOut { column: column.to_owned(), why });
            return;
        }
        self.dimensions.push(Dimension { kind, column: column.to_owned(), parts });
    }
}

/// Edges of bins with as many of the values each; `ends` are those of values that are not among them.
fn edges<T: Copy + PartialEq>(
    mut values: Vec<T>,
    by: impl Fn(&T, &T) -> std::cmp::Ordering,
    bins: usize,
    ends: Option<(T, T)>,
) -> Vec<T> {
    values.sort_by(&by);
    let Some((first, last)) = ends.or_else(|| Some((*values.first()?, *values.last()?))) else {
        return Vec::new();
    };
    let inner = (1..bins).filter_map(|bin| values.get(values.len() * bin / bins).copied());
    let mut edges: Vec<T> = std::iter::once(first).chain(inner).chain([last]).collect();
    edges.dedup();
    edges
}
