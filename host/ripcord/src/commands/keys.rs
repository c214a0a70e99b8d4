//! `ripcord key new`.

use std::path::Path;

use serde_json::json;

use super::Outcome;
use crate::key::Key;
use crate::output::Page;

pub(super) fn new(file: &Path) -> Outcome {
    let public = Key::create(file)?.public();
    let text = format!(
        "wrote the private key to {}: keep it to yourself\n\npublic-key = \"{public}\"\n\n\
         put that line below your `[people.NAME]` in the host's configuration",
        file.display()
    );
    Ok(Page::done(text, &json!({ "file": file, "public_key": public })))
}
