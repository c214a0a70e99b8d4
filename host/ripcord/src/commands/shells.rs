//! `ripcord completions` and `ripcord man`: what shells and `man` know of the program.

use std::path::Path;

use clap_complete::Shell;
use ripcord_core::foreign::Foreign;
use serde_json::json;

use super::Outcome;
use crate::cli;
use crate::output::{Failure, Page, Text, Whole, text};

const NAME: &str = "ripcord";

pub(super) fn completions(shell: Shell) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut cli::command(), NAME, &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    let lines = script.lines().map(|line| text!("{}", Whole(Foreign::source(line))));
    Ok(Page::done(Text::joined(lines, "\n"), &json!({ "shell": shell.to_string(), "script": script })))
}

/// Writes a page for each command that is not hidden.
pub(super) fn man(folder: &Path) -> Outcome {
    let unable = |cause: std::io::Error| {
        Failure::failed(format!("cannot write into `{}`", folder.display()))
            .because(cause)
            .help("check the folder's permissions and the free space")
    };
    std::fs::create_dir_all(folder).map_err(unable)?;
    clap_mangen::generate_to(cli::command(), folder).map_err(unable)?;
    let entries = std::fs::read_dir(folder).map_err(unable)?;
    let mut pages: Vec<String> = entries
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with(NAME) && name.ends_with(".1"))
        .collect();
    pages.sort();
    let text = text!(
        "wrote {} pages into {}: `man --manpath` and `MANPATH` say where `man` looks",
        pages.len(),
        folder.display()
    );
    Ok(Page::done(text, &json!({ "folder": folder, "pages": pages })))
}
