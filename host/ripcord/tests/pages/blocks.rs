//! The pages, and what stands in their blocks.

use std::path::{Path, PathBuf};

/// The repository's folder.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The text of a page.
pub(crate) fn page(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A block of a page: fenced, or moved in by four spaces.
#[derive(Debug)]
pub(crate) struct Block {
    /// Page and line, for messages.
    pub(crate) place: String,
    /// What stands behind the fence; empty for a block that is moved in.
    pub(crate) language: String,
    pub(crate) text: String,
}

impl Block {
    /// Whether it is a configuration of the host, or a part of one.
    pub(crate) fn is_configuration(&self) -> bool {
        self.language == "toml" || self.language.is_empty() && self.text.starts_with('[')
    }
}

/// The blocks of all pages that tell people what to write.
pub(crate) fn blocks() -> Vec<Block> {
    let mut pages = vec!["README.md".to_owned()];
    for folder in ["host/ripcord/pages", "host/adapters/src", "examples"] {
        find(&root().join(folder), &mut pages);
    }
    assert!(pages.len() > 10, "{pages:?}");
    pages.iter().flat_map(|path| blocks_of(path, &page(path))).collect()
}

fn find(folder: &Path, pages: &mut Vec<String>) {
    let mut entries: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            find(&path, pages);
        } else if path.extension().is_some_and(|end| end == "md") {
            pages.push(path.strip_prefix(root()).unwrap().display().to_string());
        }
    }
}

pub(crate) fn blocks_of(path: &str, text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = text.lines().enumerate().peekable();
    while let Some((number, line)) = lines.next() {
        let place = format!("{path}:{}", number + 1);
        if let Some(language) = line.strip_prefix("```") {
            let inside = lines.by_ref().map(|(_, line)| line).take_while(|line| !line.starts_with("```"));
            let text = inside.map(|line| format!("{line}\n")).collect();
            blocks.push(Block { place, language: language.trim().to_owned(), text });
        } else if let Some(first) = line.strip_prefix("    ") {
            let mut text = format!("{first}\n");
            while let Some((_, line)) =
                lines.next_if(|(_, line)| line.starts_with("    ") || line.trim().is_empty())
            {
                text.push_str(line.strip_prefix("    ").unwrap_or(""));
                text.push('\n');
            }
            blocks.push(Block { place, language: String::new(), text });
        }
    }
    blocks
}

#[test]
fn blocks_are_found_as_they_are_written() {
    let text =
        "a\n\n    [host]\n    listen = 1\n\n    [x]\nb\n```toml\n[host]\n```\n```sh\nripcord check\n```\n";
    let found = blocks_of("p", text);
    let shown: Vec<_> = found
        .iter()
        .map(|block| (block.place.as_str(), block.language.as_str(), block.text.as_str()))
        .collect();
    assert_eq!(
        shown,
        [
            ("p:3", "", "[host]\nlisten = 1\n\n[x]\n"),
            ("p:8", "toml", "[host]\n"),
            ("p:11", "sh", "ripcord check\n"),
        ]
    );
}
