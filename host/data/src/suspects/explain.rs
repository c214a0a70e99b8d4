//! The smallest set of slices without which nothing stands out any more.
//!
//! Slices that go together stand out together: where a source is bad, the time since which it delivers much is, too. So the best one is taken (by
//! the likelihood ratio of its counts; for a window of time that is the scan statistic of M. Kulldorff, *A spatial scan statistic*, 1997), what it
//! explains goes with its rows, and the rest is looked at anew.

use crate::suspects::Limits;
use crate::suspects::significance::{Fisher, Tally, holm};
use crate::suspects::table::{Kind, Parts, Slice, Table};

/// More causes at once are not looked for.
const CAUSES_MAX: usize = 8;
/// A slice takes the place of a better one where it has such a share of its contradictions.
const COVERS: f64 = 0.9;

/// A slice that stands out, at the moment when it was chosen.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Found {
    pub(crate) slice: Slice,
    pub(crate) tally: Tally,
    pub(crate) rest: Tally,
    pub(crate) p_adjusted: f64,
    /// What stood out and no longer does without its rows, best first.
    pub(crate) explains: Vec<(Slice, Tally)>,
}

#[derive(Debug, Clone)]
struct Standing {
    slice: Slice,
    tally: Tally,
    rest: Tally,
    p_adjusted: f64,
}

/// Finds it. Nothing where no slice stands out.
pub(crate) fn explain(table: &Table, limits: &Limits) -> Vec<Found> {
    let slices = table.slices();
    let fisher = Fisher::up_to(table.rows());
    let look = |left: &[bool]| standing_out(table, &slices, left, &fisher, limits);
    let mut left = vec![true; table.rows()];
    let mut found: Vec<Found> = Vec::new();
    let mut standing = look(&left);
    while let Some(best) = best(table, &standing, &left, limits)
        && found.len() < CAUSES_MAX
    {
        take_away(table, &best.slice, &mut left);
        let still = look(&left);
        let stands_still = |slice: &Slice| still.iter().any(|other| other.slice == *slice);
        let explains =
            standing.iter().filter(|other| other.slice != best.slice && !stands_still(&other.slice));
        let explains = explains.map(|other| (other.slice.clone(), other.tally)).collect();
        let Standing { slice, tally, rest, p_adjusted } = best;
        found.push(Found { slice, tally, rest, p_adjusted, explains });
        standing = still;
    }
    let found = without_needless(found, |others| {
        let mut left = vec![true; table.rows()];
        others.iter().for_each(|other| take_away(table, &other.slice, &mut left));
        look(&left).is_empty()
    });
    joined(table, found)
}

/// What is contradicted more often than the rest, by more than chance and by enough to matter; the best first.
fn standing_out(
    table: &Table,
    slices: &[Slice],
    left: &[bool],
    fisher: &Fisher,
    limits: &Limits,
) -> Vec<Standing> {
    let (all, tallies) = table.tallies(slices, left);
    let p: Vec<f64> = tallies.iter().map(|tally| fisher.p(*tally, all.without(*tally))).collect();
    let adjusted = holm(&p);
    let mut standing: Vec<Standing> = slices
        .iter()
        .zip(&tallies)
        .zip(&adjusted)
        .map(|((slice, tally), p)| Standing {
            slice: slice.clone(),
            tally: *tally,
            rest: all.without(*tally),
            p_adjusted: *p,
        })
        .filter(|one| {
            let kind = table.dimensions[one.slice.dimension].kind;
            one.p_adjusted <= limits.chance_max && matters(kind, one.tally, one.rest, limits)
        })
        .collect();
    standing.sort_by(|one, other| other.tally.gain(other.rest).total_cmp(&one.tally.gain(one.rest)));
    standing
}

fn matters(kind: Kind, tally: Tally, rest: Tally, limits: &Limits) -> bool {
    let excess_min = if kind == Kind::Value { limits.excess_of_value_min } else { limits.excess_min };
    tally.rows >= limits.rows_min
        && tally.rate() - rest.rate() >= excess_min
        && tally.rate() >= limits.lift_min * rest.rate()
}

/// The best one, or where it came from: a source or a time takes the place of a slice by which rows differ otherwise, if it has nearly all of the
/// contradictions, and outside of it the slice is no worse than others.
fn best(table: &Table, standing: &[Standing], left: &[bool], limits: &Limits) -> Option<Standing> {
    let best = standing.first()?;
    let kind = |slice: &Slice| table.dimensions[slice.dimension].kind;
    let takes_its_place = |other: &&Standing| {
        if kind(&other.slice) >= kind(&best.slice) {
            return false;
        }
        let in_best = |row: usize| table.is_in(row, &best.slice);
        let in_other = |row: usize| table.is_in(row, &other.slice);
        let both = table.tally(left, |row| in_best(row) && in_other(row));
        let best_alone = table.tally(left, |row| in_best(row) && !in_other(row));
        let neither = table.tally(left, |row| !in_best(row) && !in_other(row));
        both.contradicted as f64 >= COVERS * best.tally.contradicted as f64
            && best_alone.rows >= limits.rows_min
            && best_alone.rate() - neither.rate() < limits.excess_min
    };
    let instead = standing.iter().filter(takes_its_place);
    // They are sorted: the best of the first kind that there is.
    Some(instead.min_by_key(|other| kind(&other.slice)).unwrap_or(best).clone())
}

fn take_away(table: &Table, slice: &Slice, left: &mut [bool]) {
    for (row, left) in left.iter_mut().enumerate() {
        *left &= !table.is_in(row, slice);
    }
}

/// Drops what the others explain as well, the last that was found first.
fn without_needless(mut found: Vec<Found>, suffices: impl Fn(&[Found]) -> bool) -> Vec<Found> {
    let mut at = found.len();
    while found.len() > 1 && at > 0 {
        at -= 1;
        let mut others = found.clone();
        others.remove(at);
        if suffices(&others) {
            found = others;
        }
    }
    found
}

/// Neighbours become one, where parts have an order.
fn joined(table: &Table, found: Vec<Found>) -> Vec<Found> {
    let mut joined: Vec<Found> = Vec::new();
    for one in found {
        let has_order = !matches!(table.dimensions[one.slice.dimension].parts, Parts::Names(_));
        let touches = |other: &&mut Found| {
            has_order
                && other.slice.dimension == one.slice.dimension
                && other.slice.parts.start <= one.slice.parts.end
                && one.slice.parts.start <= other.slice.parts.end
        };
        match joined.iter_mut().find(touches) {
            Some(other) => {
                let parts = &mut other.slice.parts;
                *parts = parts.start.min(one.slice.parts.start)..parts.end.max(one.slice.parts.end);
                other.tally = other.tally.plus(one.tally);
                other.rest = one.rest;
                other.p_adjusted = other.p_adjusted.max(one.p_adjusted);
                other.explains.extend(one.explains);
            }
            None => joined.push(one),
        }
    }
    joined
}
