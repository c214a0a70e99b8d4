//! `ripcord key new`.

use std::path::Path;

use serde_json::json;

use super::Outcome;
use crate::key::Key;
use crate::output::{Page, text};

pub(super) fn new(file: &Path) -> Outcome {
    let public = Key::create(file)?.public();
    let text = text!(
        "wrote the private key to {}: keep it to yourself\n\npublic-key = \"{}\"\n\n\
         put that line below your `[people.NAME]` in the host's configuration",
        file.display(),
        public
    );
    Ok(Page::done(text, &json!({ "file": file, "public_key": public })))
}
