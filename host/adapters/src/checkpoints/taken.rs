//! Where the content of a file goes that is taken from a place.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use cap_std::fs::Dir;

/// A new file in a folder, with the folders above it; without one, nothing is written.
pub(super) fn opened_for_writing(into: Option<&(Arc<Dir>, String)>) -> io::Result<Box<dyn Write>> {
    let Some((dir, name)) = into else { return Ok(Box::new(io::sink())) };
    if let Some(parent) = Path::new(name).parent().filter(|parent| *parent != Path::new("")) {
        dir.create_dir_all(parent)?;
    }
    Ok(Box::new(dir.create(name)?))
}
