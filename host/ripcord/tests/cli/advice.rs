//! Every command that a message names is one that can be typed.

use std::path::{Path, PathBuf};

use clap::Parser as _;
use ripcord::cli::Cli;

/// What a hole in a message, or a word in capitals, may stand for. A piece of text is a whole argument or none.
const MEANT: [&str; 10] = [
    "fraud-api",
    "fraud-api:1",
    "1",
    "applied",
    "approve",
    "drift",
    "starter:golden-set",
    "run-7@300",
    "--question",
    "",
];

#[test]
fn every_command_that_a_message_names_can_be_typed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files = Vec::new();
    for folder in ["host", "policies", "guest-sdk"] {
        sources(&root.join(folder), &mut files);
    }
    let (mut seen, mut wrong) = (0, Vec::new());
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a source");
        for command in commands(&text) {
            seen += 1;
            if !can_be_typed(&command) {
                wrong.push(format!("{}: `{command}`", file.strip_prefix(&root).expect("below").display()));
            }
        }
    }
    assert!(seen > 80, "{seen} commands were found");
    assert!(wrong.is_empty(), "no such commands:\n{}", wrong.join("\n"));
}

#[test]
fn a_command_that_is_none_is_found() {
    for wrong in [
        "ripcord signals",
        "ripcord pull",
        "ripcord hold lift {} {version}",
        "ripcord plan show",
        "ripcord latch",
    ] {
        assert!(!can_be_typed(wrong), "{wrong}");
    }
    for right in ["ripcord pull {name} --to VERSION", "ripcord answer {id} applied{which}", "ripcord status"]
    {
        assert!(can_be_typed(right), "{right}");
    }
}

/// Sources that are in the program; tests and comments say what they like.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && !matches!(name.as_str(), "tests" | "target" | "benches" | "node_modules") {
            sources(&path, found);
        } else if name.ends_with(".rs")
            && name != "tests.rs"
            && path.components().any(|part| part.as_os_str() == "src")
        {
            found.push(path);
        }
    }
}

/// What stands between back-ticks and begins with the program's name, outside of comments.
fn commands(text: &str) -> Vec<String> {
    let ours = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let lines = ours.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .filter(|piece| piece.starts_with("ripcord "))
        .map(str::to_owned)
        .collect()
}

fn can_be_typed(command: &str) -> bool {
    let words: Vec<&str> = command.split_whitespace().skip(1).collect();
    let options: Vec<Vec<String>> = words.iter().map(|word| meanings(word)).collect();
    any(&options, &mut vec!["ripcord".to_owned()])
}

/// A word as it stands, or what it may stand for.
fn meanings(word: &str) -> Vec<String> {
    let (open, close) = (word.find('{'), word.rfind('}'));
    match (open, close) {
        (Some(open), Some(close)) => {
            MEANT.iter().map(|meant| format!("{}{meant}{}", &word[..open], &word[close + 1..])).collect()
        }
        _ if word.len() > 1 && word.chars().all(|c| c.is_ascii_uppercase() || "|@".contains(c)) => {
            MEANT.iter().map(|meant| (*meant).to_owned()).collect()
        }
        _ => vec![word.to_owned()],
    }
}

fn any(options: &[Vec<String>], typed: &mut Vec<String>) -> bool {
    let Some((first, rest)) = options.split_first() else {
        let typed = typed.iter().filter(|word| !word.is_empty());
        return Cli::try_parse_from(typed).is_ok();
    };
    first.iter().any(|meant| {
        typed.push(meant.clone());
        let parsed = any(rest, typed);
        typed.pop();
        parsed
    })
}
