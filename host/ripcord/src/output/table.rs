//! Columns of text.

use std::fmt;

use anstyle::Style;

use super::style::DIM;
use super::text::{Show, Shown, Text, text};

/// A column is at most so wide: a longer cell moves the rest of its own row only.
const COLUMN_MAX: usize = 60;

/// One cell.
#[derive(Debug, Clone, Default)]
pub struct Cell {
    text: Text,
    style: Style,
}

impl Cell {
    /// A styled cell.
    pub fn new(style: Style, piece: impl Show) -> Self {
        Self { text: text!("{}", piece), style }
    }
}

impl<T: Show> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(Style::new(), text)
    }
}

/// Rows under headings. Columns are as wide as their widest cell, up to a limit; nothing is cut. The last cell of a row may have several lines.
#[derive(Debug, Clone)]
pub struct Table {
    headings: Vec<Cell>,
    rows: Vec<Vec<Cell>>,
    indent: usize,
}

impl Table {
    /// A table with these headings.
    pub fn new<const N: usize>(headings: [&str; N]) -> Self {
        Self { headings: headings.map(|text| Cell::new(DIM, text)).to_vec(), rows: Vec::new(), indent: 0 }
    }

    /// A table without headings, each line set in by so many columns.
    pub fn bare(indent: usize) -> Self {
        Self { headings: Vec::new(), rows: Vec::new(), indent }
    }

    /// Adds a row.
    pub fn row<const N: usize>(&mut self, cells: [Cell; N]) {
        self.rows.push(cells.to_vec());
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn lines(&self) -> impl Iterator<Item = &Vec<Cell>> {
        std::iter::once(&self.headings).filter(|cells| !cells.is_empty()).chain(&self.rows)
    }
}

impl Show for &Table {
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (*self).show(f)
    }
}

impl Show for Table {
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.lines().map(Vec::len).max().unwrap_or_default();
        let width = |column: usize| {
            self.lines()
                .filter_map(|cells| cells.get(column))
                .map(|cell: &Cell| cell.text.width())
                .max()
                .unwrap_or_default()
                .min(COLUMN_MAX)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for cells in self.lines() {
            let last = cells.iter().rposition(|cell| !cell.text.is_empty()).unwrap_or_default();
            write!(f, "{:indent$}", "", indent = self.indent)?;
            for (column, cell) in cells.iter().enumerate().take(last + 1) {
                let style = cell.style;
                let before = widths[..column].iter().map(|width| width + 2).sum::<usize>() + self.indent;
                write!(f, "{style}{}{style:#}", Shown(&cell.text.indented(before)))?;
                if column < last {
                    write!(f, "{:pad$}", "", pad = widths[column].saturating_sub(cell.text.width()) + 2)?;
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Paragraph;

    #[test]
    fn columns_line_up_and_no_line_ends_in_spaces() {
        let mut table = Table::new(["service", "mode", "live"]);
        table.row(["fraud-api".into(), "act".into(), Cell::new(DIM, "1.3.2")]);
        table.row(["é".into(), "observe".into(), "".into()]);
        let text = text!("{}", table).plain();
        insta::assert_snapshot!(text, @r"
        service    mode     live
        fraud-api  act      1.3.2
        é          observe
        ");
        assert!(text.lines().all(|line| !line.ends_with(' ')));
    }

    #[test]
    fn a_very_wide_cell_does_not_move_the_other_rows() {
        let mut table = Table::bare(0);
        table.row(["x".repeat(500).into(), "a".into()]);
        table.row(["y".into(), "b".into()]);
        let text = text!("{}", table).plain();
        assert!(text.lines().all(|line| !line.contains(&" ".repeat(COLUMN_MAX + 3))), "{text}");
    }

    #[test]
    fn a_cell_of_several_lines_stays_in_its_column() {
        let mut table = Table::bare(2);
        table.row([
            "+0 ms".into(),
            Paragraph("nothing to go back to: 1.4.0 is live\n1.3.2 is unproven").into(),
        ]);
        table.row(["+9 ms".into(), "olga pulled".into()]);
        insta::assert_snapshot!(format!("|\n{}", text!("{}", table).plain()), @r"
        |
          +0 ms  nothing to go back to: 1.4.0 is live
                 | 1.3.2 is unproven
          +9 ms  olga pulled
        ");
    }
}
