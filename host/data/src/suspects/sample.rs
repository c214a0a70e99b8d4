//! The rows that a version is asked about.

use crate::cell::Cell;
use crate::error::{DataError, shown};
use crate::file;
use crate::purge::Told;
use crate::suspects::table::{Dimension, NO_PART};
use crate::suspects::{Is, Judge, Looked, SuspectsOrder, scattered};
use crate::{Progress, Step};

/// Different labels of a set whose answers are classes.
const LABELS_MAX: usize = 1_000;

/// Where a row is: the place of its file in the manifest, and its number there, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) file: u32,
    pub(crate) row: u64,
}

/// Rows, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Sample {
    /// For each row a part of each dimension.
    pub(crate) parts: Vec<u16>,
    /// For each row its inputs.
    pub(crate) inputs: Vec<f64>,
    pub(crate) labels: Labels,
    pub(crate) places: Vec<Place>,
}

/// The labels of the rows.
#[derive(Debug, Default)]
pub(crate) struct Labels {
    /// What the version is to answer for each.
    pub(crate) expected: Vec<String>,
    pub(crate) of_rows: Vec<u16>,
    pub(crate) numbers: Vec<f64>,
}

/// Reads all rows again, and keeps as many as the order allows: each is as likely as the others (D. Knuth's algorithm S).
pub(crate) fn draw(
    order: &SuspectsOrder<'_>,
    dimensions: Vec<Dimension>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Sample, DataError> {
    let manifest = &order.manifest.manifest;
    let looked = Looked::of(order.manifest);
    let cuts: Vec<_> = dimensions
        .iter()
        .filter_map(|dimension| {
            let named = |(at, kind, _): &&(usize, _, _)| {
                *kind == dimension.kind && looked.names[*at] == dimension.column
            };
            looked.cuts.iter().find(named).map(|(at, _, is)| (*at, *is, &dimension.parts))
        })
        .collect();
    let mut sample = Sample::default();
    let mut told = Told::new(Step::Read, manifest.rows, progress);
    let (mut left, mut wanted) = (manifest.rows, order.rows_max.min(manifest.rows));
    for (file, listed) in (1..).zip(&manifest.files) {
        let path = order.manifest.path_of(listed);
        file::read(&path, listed, &looked.names, &mut |row, cells| {
            told.row();
            // Another stream than the one by which edges were learnt.
            let is_drawn = scattered(!left) % left.max(1) < wanted;
            left = left.saturating_sub(1);
            if !is_drawn {
                return Ok(());
            }
            wanted -= 1;
            for (at, is, parts) in &cuts {
                let part = match (&cells[*at], is) {
                    (None, _) => NO_PART,
                    (Some(cell), Is::Name) => cell.name().map_or(NO_PART, |name| parts.of_name(&name)),
                    (Some(cell), Is::Number) => {
                        cell.number().map_or(NO_PART, |number| parts.of_number(number))
                    }
                    (Some(cell), Is::Time) => cell.time().map_or(NO_PART, |time| parts.of_time(time)),
                };
                sample.parts.push(part);
            }
            let unusable = |what: String| DataError::row(&path, row, what);
            for at in &looked.inputs {
                let number = cells[*at].as_ref().and_then(Cell::number);
                let name = looked.names[*at];
                let number = number
                    .ok_or_else(|| unusable(format!("the input `{}` is no finite number", shown(name))))?;
                sample.inputs.push(number);
            }
            sample.labels.see(cells[looked.label].as_ref(), &order.judge).map_err(unusable)?;
            sample.places.push(Place { file, row });
            Ok(())
        })?;
    }
    Ok(sample)
}

impl Labels {
    fn see(&mut self, cell: Option<&Cell>, judge: &Judge) -> Result<(), String> {
        let cell = cell.filter(|cell| !cell.is_blank()).ok_or("it has no label")?;
        let answers = match judge {
            Judge::Within(_) => {
                self.numbers.push(cell.number().ok_or("its label is no finite number")?);
                return Ok(());
            }
            Judge::Class(answers) => answers,
        };
        let label = cell.name().ok_or("its label is a time")?;
        let expected = if answers.is_empty() {
            label
        } else {
            let said =
                || format!("nobody said what the version answers where the label is `{}`", shown(&label));
            answers.get(&label).cloned().ok_or_else(said)?
        };
        let at = match self.expected.iter().position(|other| *other == expected) {
            Some(at) => at,
            None if self.expected.len() < LABELS_MAX => {
                self.expected.push(expected);
                self.expected.len() - 1
            }
            None => return Err(format!("there are more than {LABELS_MAX} labels: are they numbers?")),
        };
        self.of_rows.push(u16::try_from(at).unwrap_or(NO_PART));
        Ok(())
    }
}
