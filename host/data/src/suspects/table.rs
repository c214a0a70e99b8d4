//! What is counted: rows, the slices that they belong to, and whether the version contradicts them.

use std::ops::Range;

use crate::suspects::significance::Tally;
use crate::times::Nanos;

/// What a slice is cut by. In this order, where two explain the same: rows are bad because of where they come from sooner than because of what they
/// are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Where the rows came from.
    Source,
    /// When they were taken in.
    Time,
    /// What is in one of their columns.
    Value,
}

/// One way to cut the rows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Dimension {
    pub(crate) kind: Kind,
    pub(crate) column: String,
    pub(crate) parts: Parts,
}

/// The parts of a dimension. A row may be in none.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Parts {
    /// Each by itself.
    Names(Vec<String>),
    /// Neighbours add up. Part *i* is from edge *i* to before edge *i + 1*; the last one has its upper edge, too.
    Numbers(Vec<f64>),
    /// The same with instants.
    Times(Vec<Nanos>),
}

/// Rows are in no part of a dimension.
pub(crate) const NO_PART: u16 = u16::MAX;

/// A part, or several neighbours.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Slice {
    pub(crate) dimension: usize,
    pub(crate) parts: Range<u16>,
}

/// All rows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Table {
    pub(crate) dimensions: Vec<Dimension>,
    /// Row by row, a part for each dimension.
    pub(crate) parts: Vec<u16>,
    pub(crate) contradicts: Vec<bool>,
}

impl Parts {
    pub(crate) fn len(&self) -> u16 {
        let length = match self {
            Self::Names(names) => names.len(),
            Self::Numbers(edges) => edges.len().saturating_sub(1),
            Self::Times(edges) => edges.len().saturating_sub(1),
        };
        u16::try_from(length).unwrap_or(NO_PART)
    }

    pub(crate) fn of_name(&self, name: &str) -> u16 {
        match self {
            Self::Names(names) => names.iter().position(|other| other == name).map_or(NO_PART, index),
            _ => NO_PART,
        }
    }

    pub(crate) fn of_number(&self, number: f64) -> u16 {
        match self {
            Self::Numbers(edges) => between(edges, |edge| *edge <= number),
            Self::Names(_) => self.of_name(&number.to_string()),
            Self::Times(_) => NO_PART,
        }
    }

    pub(crate) fn of_time(&self, time: Nanos) -> u16 {
        match self {
            Self::Times(edges) => between(edges, |edge| *edge <= time),
            _ => NO_PART,
        }
    }
}

fn index(at: usize) -> u16 {
    u16::try_from(at).unwrap_or(NO_PART)
}

/// What lies beyond the edges belongs to the first or last part.
fn between<T>(edges: &[T], is_at_most: impl Fn(&T) -> bool) -> u16 {
    if edges.len() < 2 {
        return NO_PART;
    }
    let at = edges.partition_point(is_at_most).saturating_sub(1);
    index(at.min(edges.len() - 2))
}

impl Table {
    pub(crate) fn rows(&self) -> usize {
        self.contradicts.len()
    }

    pub(crate) fn is_in(&self, row: usize, slice: &Slice) -> bool {
        slice.parts.contains(&self.parts[row * self.dimensions.len() + slice.dimension])
    }

    /// Every part, and every run of neighbours where parts have an order; never a whole dimension.
    pub(crate) fn slices(&self) -> Vec<Slice> {
        let mut slices = Vec::new();
        for (dimension, cut) in self.dimensions.iter().enumerate() {
            let parts = cut.parts.len();
            let runs_max = if matches!(cut.parts, Parts::Names(_)) { 1 } else { parts };
            for start in 0..parts {
                let ends = start + 1..=parts.min(start.saturating_add(runs_max));
                slices.extend(ends.map(|end| Slice { dimension, parts: start..end }));
            }
        }
        slices.retain(|slice| slice.parts.len() < usize::from(self.dimensions[slice.dimension].parts.len()));
        slices
    }

    /// How many of the rows of `among` are in each of the slices, and the rest of each.
    pub(crate) fn tallies(&self, slices: &[Slice], among: &[bool]) -> (Tally, Vec<Tally>) {
        let width = self.dimensions.len();
        let mut by_part: Vec<Vec<Tally>> =
            self.dimensions.iter().map(|cut| vec![Tally::default(); usize::from(cut.parts.len())]).collect();
        let mut all = Tally::default();
        for row in (0..self.rows()).filter(|row| among[*row]) {
            all.add(self.contradicts[row]);
            for (tallies, part) in by_part.iter_mut().zip(&self.parts[row * width..(row + 1) * width]) {
                if let Some(tally) = tallies.get_mut(usize::from(*part)) {
                    tally.add(self.contradicts[row]);
                }
            }
        }
        let of = |slice: &Slice| {
            let parts =
                &by_part[slice.dimension][usize::from(slice.parts.start)..usize::from(slice.parts.end)];
            parts.iter().fold(Tally::default(), |sum, part| sum.plus(*part))
        };
        (all, slices.iter().map(of).collect())
    }

    /// The rows of `among` that meet a condition.
    pub(crate) fn tally(&self, among: &[bool], is_counted: impl Fn(usize) -> bool) -> Tally {
        let mut tally = Tally::default();
        for row in (0..self.rows()).filter(|row| among[*row] && is_counted(*row)) {
            tally.add(self.contradicts[row]);
        }
        tally
    }
}
