//! How people write what is to be left out: `source=NAME`, `value=COLUMN:VALUE`, `window=START..END`, `rows=ID,ID,…`.

use ripcord_core::target::{ColumnValue, Exclusion, Window};

use crate::error::shown;
use crate::times;

/// Reads what a person wrote. Both ends of a window are left out as well.
pub fn exclusion(text: &str) -> Result<Exclusion, String> {
    let read = parts(text, "rows=ID,ID")?;
    let (kind, what) = read;
    if kind != "rows" {
        return by_content(kind, what).unwrap_or_else(|| Err(unknown(kind, "rows=ID,ID")));
    }
    let ids: Vec<String> = what.split(',').map(|id| id.trim().to_owned()).collect();
    if ids.iter().any(String::is_empty) {
        return Err(format!("`{}` has an empty id: write rows=ID,ID", shown(what)));
    }
    checked(Exclusion::Rows(ids))
}

/// The kind of an exclusion and what it is of. `rows` is how rows are written here.
pub fn parts<'a>(text: &'a str, rows: &str) -> Result<(&'a str, &'a str), String> {
    text.split_once('=').ok_or_else(|| format!("`{}` says not what is left out: {}", shown(text), how(rows)))
}

/// What is left out by what rows have in them; none of another kind.
pub fn by_content(kind: &str, what: &str) -> Option<Result<Exclusion, String>> {
    let read = match kind {
        "source" if what.is_empty() => Err("`source=` names no source: write source=NAME".to_owned()),
        "source" => Ok(Exclusion::Source(what.to_owned())),
        "value" => value(what),
        "window" => window(what),
        _ => return None,
    };
    Some(read.and_then(checked))
}

/// What is said of a kind that there is not.
pub fn unknown(kind: &str, rows: &str) -> String {
    format!("nothing is left out by `{}`: {}", shown(kind), how(rows))
}

fn how(rows: &str) -> String {
    format!("write source=NAME, value=COLUMN:VALUE, window=START..END or {rows}")
}

fn checked(exclusion: Exclusion) -> Result<Exclusion, String> {
    match exclusion.problem() {
        Some(problem) => Err(problem),
        None => Ok(exclusion),
    }
}

fn value(what: &str) -> Result<Exclusion, String> {
    let (column, value) = what
        .split_once(':')
        .ok_or_else(|| format!("`{}` names no column and value: write value=COLUMN:VALUE", shown(what)))?;
    Ok(Exclusion::Value(ColumnValue { column: column.to_owned(), value: value.to_owned() }))
}

fn window(what: &str) -> Result<Exclusion, String> {
    let (start, end) = what
        .split_once("..")
        .ok_or_else(|| format!("`{}` is no window: write window=START..END", shown(what)))?;
    Ok(Exclusion::Window(Window { start: times::parse(start)?, end: times::parse(end)? }))
}

/// The same as a person types it; none where no such text says it.
pub fn typed(exclusion: &Exclusion) -> Option<String> {
    let text = match exclusion {
        Exclusion::Source(source) => format!("source={source}"),
        Exclusion::Value(of) => format!("value={}:{}", of.column, of.value),
        Exclusion::Window(window) => {
            format!("window={}..{}", times::text(window.start)?, times::text(window.end)?)
        }
        Exclusion::Rows(_) => return None,
    };
    (self::exclusion(&text).as_ref() == Ok(exclusion)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_reads_back_as_it_was_meant() {
        let of = |column: &str, value: &str| {
            Exclusion::Value(ColumnValue { column: column.into(), value: value.into() })
        };
        for (exclusion, text) in [
            (Exclusion::Source("a=b".into()), "source=a=b"),
            (of("country", "a:b=c"), "value=country:a:b=c"),
            (of("country", ""), "value=country:"),
        ] {
            assert_eq!(typed(&exclusion).as_deref(), Some(text));
        }
        assert_eq!(typed(&of("a:b", "c")), None, "it would be the column `a`");
        assert_eq!(typed(&Exclusion::Source(String::new())), None);
    }

    #[test]
    fn what_names_nothing_is_refused_with_what_to_write() {
        for (text, word) in [
            ("country", "write source=NAME, value=COLUMN:VALUE"),
            ("value=country", "write value=COLUMN:VALUE"),
            ("value=:x", "names no column"),
            ("host=a", "nothing is left out by `host`"),
            ("window=2026-11-02T00:00:00Z..2026-11-01T00:00:00Z", "ends before it starts"),
        ] {
            let error = exclusion(text).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
