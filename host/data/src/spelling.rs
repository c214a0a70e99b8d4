//! How people write what is to be left out: `source=NAME`, `window=START..END`, `rows=ID,ID,…`.

use ripcord_core::target::{Exclusion, Window};

use crate::error::shown;
use crate::times;

/// Reads what a person wrote. Both ends of a window are left out as well.
pub fn exclusion(text: &str) -> Result<Exclusion, String> {
    let how = "write source=NAME, window=START..END or rows=ID,ID";
    let Some((kind, what)) = text.split_once('=') else {
        return Err(format!("`{}` says not what is left out: {how}", shown(text)));
    };
    match kind {
        "source" if what.is_empty() => Err("`source=` names no source: write source=NAME".to_owned()),
        "source" => Ok(Exclusion::Source(what.to_owned())),
        "window" => {
            let Some((start, end)) = what.split_once("..") else {
                return Err(format!("`{}` is no window: write window=START..END", shown(what)));
            };
            let window = Window { start: times::parse(start)?, end: times::parse(end)? };
            if window.end < window.start {
                return Err(format!(
                    "the window `{}` ends before it starts: write window=START..END",
                    shown(what)
                ));
            }
            Ok(Exclusion::Window(window))
        }
        "rows" => {
            let ids: Vec<String> = what.split(',').map(|id| id.trim().to_owned()).collect();
            if ids.iter().any(String::is_empty) {
                return Err(format!("`{}` has an empty id: write rows=ID,ID", shown(what)));
            }
            Ok(Exclusion::Rows(ids))
        }
        other => Err(format!("nothing is left out by `{}`: {how}", shown(other))),
    }
}
