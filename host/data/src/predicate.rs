//! What is left out, for a team's own engine where the data outgrows one machine: as JSON, and as a condition in SQL.

use std::fmt::Write as _;

use ripcord_core::target::{Exclusion, Window};
use ripcord_core::time::UnixMillis;
use serde::Serialize;
use serde_json::{Value, json};

use crate::error::DataError;
use crate::exclusions::Exclusions;
use crate::manifest::Manifest;
use crate::times;

/// How an engine quotes, and how it compares times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Quotes doubled, names in double quotes, `TIMESTAMP WITH TIME ZONE`: PostgreSQL, `DuckDB`, Trino. Not Snowflake: it takes a backslash for an escape.
    Standard,
    /// A backslash escapes within a text, names are in back-ticks: Spark, Databricks, `BigQuery`.
    Spark,
    /// `SQLite`, whose times are texts.
    Sqlite,
}

/// Which rows of a data set are left out.
#[derive(Debug, Clone)]
pub struct Predicate<'a> {
    manifest: &'a Manifest,
    exclude: &'a [Exclusion],
}

/// The form that pipelines read: a row that meets all conditions of one of the slices is left out.
#[derive(Debug, Serialize)]
struct Json<'a> {
    data: &'a str,
    exclude: Vec<Value>,
}

/// One exclusion, by its column.
enum Condition<'a> {
    Is(&'a str, &'a str),
    Within(&'a str, Window),
    OneOf(&'a str, &'a [String]),
}

impl<'a> Predicate<'a> {
    /// Refuses what the manifest has no column for. Whether a row matches, only the engine can tell.
    pub fn new(manifest: &'a Manifest, exclude: &'a [Exclusion]) -> Result<Self, DataError> {
        Exclusions::new(exclude, &manifest.columns)?;
        let this = Self { manifest, exclude };
        for condition in this.conditions() {
            if condition.texts().any(|text| text.contains('\0')) {
                return Err(DataError::Asked(
                    "a zero byte in a name or value has no form in SQL: exclude by something else".to_owned(),
                ));
            }
        }
        Ok(this)
    }

    /// A JSON document: `{"data": REVISION, "exclude": [{COLUMN: CONDITION}, …]}` with the conditions `equals`, `in`, `from` (this or later) and `before`.
    pub fn json(&self) -> Result<String, DataError> {
        let slice = |condition| match condition {
            Condition::Is(column, value) => json!({ column: { "equals": value } }),
            Condition::OneOf(column, values) => json!({ column: { "in": values } }),
            Condition::Within(column, window) => {
                let [from, before] =
                    [window.start, after(window)].map(|at| times::text(at).unwrap_or_default());
                json!({ column: { "from": from, "before": before } })
            }
        };
        let exclude = self.conditions().map(slice).collect();
        serde_json::to_string_pretty(&Json { data: &self.manifest.revision, exclude })
            .map_err(|error| DataError::Asked(format!("the predicate cannot be written as JSON: {error}")))
    }

    /// A condition that is true of the rows to leave out and false of all others. It is never unknown, so `NOT` of it is true of the rows to keep.
    pub fn sql(&self, dialect: Dialect) -> String {
        let mut sql = String::new();
        for (at, condition) in self.conditions().enumerate() {
            let name = dialect.name(condition.column());
            let or = if at == 0 { "" } else { "\nOR " };
            let holds = match condition {
                Condition::Is(_, value) => format!("{name} = {}", dialect.text(value)),
                Condition::OneOf(_, values) => {
                    let values: Vec<_> = values.iter().map(|value| dialect.text(value)).collect();
                    format!("{name} IN ({})", values.join(", "))
                }
                Condition::Within(_, window) => {
                    let (time, from, before) =
                        (dialect.time(&name), dialect.instant(window.start), dialect.instant(after(window)));
                    // A text that is no time: some engines make NULL of it.
                    format!("{time} IS NOT NULL AND {time} >= {from} AND {time} < {before}")
                }
            };
            // Writing into a text does not fail.
            let _ = write!(sql, "{or}({name} IS NOT NULL AND {holds})");
        }
        sql
    }

    fn conditions(&self) -> impl Iterator<Item = Condition<'a>> {
        let columns = &self.manifest.columns;
        // `new` has seen that they are there.
        let name = |column: Option<&'a str>| column.unwrap_or_default();
        self.exclude.iter().map(move |exclusion| match exclusion {
            Exclusion::Source(source) => Condition::Is(name(columns.source()), source),
            Exclusion::Value(of) => Condition::Is(&of.column, &of.value),
            Exclusion::Window(window) => Condition::Within(name(columns.time.as_deref()), *window),
            Exclusion::Rows(ids) => Condition::OneOf(name(columns.id.as_deref()), ids),
        })
    }
}

impl Condition<'_> {
    fn column(&self) -> &str {
        match self {
            Self::Is(column, _) | Self::Within(column, _) | Self::OneOf(column, _) => column,
        }
    }

    fn texts(&self) -> impl Iterator<Item = &str> {
        let values: Vec<&str> = match self {
            Self::Is(_, value) => vec![value],
            Self::Within(..) => Vec::new(),
            Self::OneOf(_, values) => values.iter().map(String::as_str).collect(),
        };
        values.into_iter().chain([self.column()])
    }
}

/// The first instant after a window, whose last millisecond belongs to it.
fn after(window: Window) -> UnixMillis {
    UnixMillis(window.end.0.saturating_add(1))
}

impl Dialect {
    fn name(self, name: &str) -> String {
        match self {
            Self::Standard => format!("\"{}\"", name.replace('"', "\"\"")),
            // SQLite takes an unknown name in double quotes for a text. In BigQuery no column has a back-tick in its name.
            Self::Spark | Self::Sqlite => format!("`{}`", name.replace('`', "``")),
        }
    }

    fn text(self, text: &str) -> String {
        match self {
            Self::Standard | Self::Sqlite => format!("'{}'", text.replace('\'', "''")),
            Self::Spark => format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'")),
        }
    }

    /// The time in a column. `SQLite` calculates in milliseconds.
    fn time(self, name: &str) -> String {
        match self {
            Self::Standard => format!("CAST({name} AS TIMESTAMP WITH TIME ZONE)"),
            Self::Spark => format!("CAST({name} AS TIMESTAMP)"),
            Self::Sqlite => format!("CAST(round(unixepoch({name}, 'subsec') * 1000) AS INTEGER)"),
        }
    }

    fn instant(self, at: UnixMillis) -> String {
        let text = times::text(at).unwrap_or_default();
        match self {
            Self::Standard => {
                format!("TIMESTAMP WITH TIME ZONE '{}+00:00'", text.trim_end_matches('Z').replace('T', " "))
            }
            Self::Spark => format!("TIMESTAMP '{text}'"),
            Self::Sqlite => at.0.to_string(),
        }
    }
}
