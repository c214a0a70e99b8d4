//! What was found, in numbers.

use ripcord_core::name::VersionName;
use ripcord_core::target::{ColumnValue, Exclusion, Window};
use ripcord_core::time::UnixMillis;
use serde::Serialize;

use crate::suspects::SuspectsOrder;
use crate::suspects::explain::Found;
use crate::suspects::sample::Place;
use crate::suspects::significance::Tally;
use crate::suspects::table::{Kind, Parts, Slice, Table};
use crate::times::Nanos;

const EXAMPLES: usize = 5;
const EXPLAINED_MAX: usize = 5;

/// Slices that the version contradicts, and what was counted.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    /// The data set.
    pub dataset: String,
    /// Its revision.
    pub revision: String,
    /// The version that answered, as the answers name it.
    pub answered_by: Option<VersionName>,
    /// In the set.
    pub rows: u64,
    /// Rows that the version was asked about.
    pub asked: Rate,
    /// Slices that were looked at.
    pub slices: usize,
    /// The smallest set of slices without which nothing stands out, most contradicted rows first. None where nothing does.
    pub suspects: Vec<Suspect>,
    /// Columns that were not looked at.
    pub left_out: Vec<LeftOut>,
}

/// Rows, and how many of them the version contradicts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Rate {
    /// Rows that it was asked about.
    pub rows: u64,
    /// It answers otherwise than their labels say.
    pub contradicted: u64,
    /// The one by the other.
    pub share: f64,
}

/// A slice that stands out. Its counts are among the rows that are in no suspect before it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Suspect {
    /// Which rows.
    #[serde(flatten)]
    pub what: What,
    /// Of the slice.
    pub slice: Rate,
    /// Of the other rows.
    pub rest: Rate,
    /// How many times as often it is contradicted; none where the rest never is.
    pub lift: Option<f64>,
    /// How likely that is by chance, all slices together.
    pub chance: f64,
    /// Contradicted rows of it.
    pub examples: Vec<Example>,
    /// How a purge leaves it out; none of a range of numbers, which is no exclusion: look at what it comes from.
    pub exclusion: Option<Exclusion>,
    /// What stands out by itself and no longer does without this slice.
    pub explains: Vec<Explained>,
}

/// Another slice that goes with a suspect.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Explained {
    /// Which rows.
    #[serde(flatten)]
    pub what: What,
    /// Of that slice.
    pub slice: Rate,
}

/// Which rows a slice has. Names come from the data: show them as what others wrote.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct What {
    /// What it is cut by.
    pub kind: Kind,
    /// The column.
    pub column: String,
    /// The value that its rows have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub equals: Option<String>,
    /// This number or more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<f64>,
    /// Less than this number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<f64>,
    /// Taken in within.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within: Option<Window>,
}

/// Where a row is: numbers from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Example {
    /// The place of its file in the manifest.
    pub file: u32,
    /// In that file.
    pub row: u64,
}

/// A column by which nothing was cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct LeftOut {
    /// Its name, as the manifest has it.
    pub column: String,
    /// Why.
    pub why: String,
}

impl From<Tally> for Rate {
    fn from(tally: Tally) -> Self {
        Self { rows: tally.rows, contradicted: tally.contradicted, share: tally.rate() }
    }
}

pub(crate) fn report(
    order: &SuspectsOrder<'_>,
    table: &Table,
    places: &[Place],
    (answered_by, left_out): (Option<VersionName>, Vec<LeftOut>),
    found: Vec<Found>,
) -> Report {
    let mut suspects: Vec<_> = found.into_iter().map(|found| suspect(table, places, found)).collect();
    suspects.sort_by_key(|suspect| std::cmp::Reverse(suspect.slice.contradicted));
    Report {
        dataset: order.manifest.manifest.dataset.clone(),
        revision: order.manifest.manifest.revision.clone(),
        answered_by,
        rows: order.manifest.manifest.rows,
        asked: table.tally(&vec![true; table.rows()], |_| true).into(),
        slices: table.slices().len(),
        suspects,
        left_out,
    }
}

fn suspect(table: &Table, places: &[Place], found: Found) -> Suspect {
    let what = what(table, &found.slice);
    let contradicted =
        (0..table.rows()).filter(|row| table.contradicts[*row] && table.is_in(*row, &found.slice));
    let examples = contradicted.filter_map(|row| places.get(row)).take(EXAMPLES);
    let explains = found.explains.iter().take(EXPLAINED_MAX);
    let exclusion = match (what.kind, &what.equals, what.within) {
        (Kind::Source, Some(source), _) => Some(Exclusion::Source(source.clone())),
        (Kind::Time, _, Some(window)) => Some(Exclusion::Window(window)),
        (_, Some(value), _) => {
            Some(Exclusion::Value(ColumnValue { column: what.column.clone(), value: value.clone() }))
        }
        _ => None,
    };
    Suspect {
        slice: found.tally.into(),
        rest: found.rest.into(),
        lift: (found.rest.contradicted > 0).then(|| found.tally.rate() / found.rest.rate()),
        chance: found.p_adjusted,
        examples: examples.map(|place| Example { file: place.file, row: place.row }).collect(),
        exclusion,
        explains: explains
            .map(|(slice, tally)| Explained { what: self::what(table, slice), slice: (*tally).into() })
            .collect(),
        what,
    }
}

fn what(table: &Table, slice: &Slice) -> What {
    let dimension = &table.dimensions[slice.dimension];
    let mut what = What {
        kind: dimension.kind,
        column: dimension.column.clone(),
        equals: None,
        from: None,
        before: None,
        within: None,
    };
    let (start, end) = (usize::from(slice.parts.start), usize::from(slice.parts.end));
    match &dimension.parts {
        Parts::Names(names) => what.equals = names.get(start).cloned(),
        Parts::Numbers(edges) => {
            // The first and the last part have no end.
            what.from = edges.get(start).filter(|_| start > 0).copied();
            what.before = edges.get(end).filter(|_| end + 1 < edges.len()).copied();
        }
        Parts::Times(edges) => {
            let is_last = end + 1 == edges.len();
            let last = edges.get(end).map(|edge| if is_last { *edge } else { Nanos(edge.0 - 1) });
            let millis = |time: Option<Nanos>| time.and_then(Nanos::millis).unwrap_or(UnixMillis(0));
            what.within = Some(Window { start: millis(edges.get(start).copied()), end: millis(last) });
        }
    }
    what
}
