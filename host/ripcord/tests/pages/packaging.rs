//! The unit and the container file: what they start is what the program takes.

use clap::Parser as _;
use ripcord::cli::Cli;

use crate::pages::blocks::page;

fn takes(words: &[&str]) {
    Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{words:?}: {error}"));
}

#[test]
fn the_unit_starts_what_the_program_takes() {
    let unit = page("host/ripcord/packaging/ripcord.service");
    let value = |key: &str| {
        let mut lines = unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        lines.next().unwrap_or_else(|| panic!("the unit has no `{key}`"))
    };
    for key in ["ExecStart", "ExecStartPre"] {
        let words: Vec<_> = value(key).split(' ').collect();
        assert_eq!(words[0], "/usr/local/bin/ripcord");
        takes(&words);
    }
    // Requests have ten seconds to finish, then shifts thirty.
    assert!(value("TimeoutStopSec").parse::<u32>().unwrap() > 40);
    assert_eq!(value("KillMode"), "process", "a shift is not cut off by a stop");
    assert_eq!(value("StateDirectoryMode"), "0700", "the data folder is refused where others may use it");
    assert!(!unit.lines().any(|line| line.starts_with("MemoryDenyWriteExecute")), "policies are compiled");
}

#[test]
fn the_image_starts_what_the_program_takes() {
    let file = page("host/ripcord/packaging/Containerfile");
    let list = |instruction: &str| -> Vec<String> {
        let line = file.lines().find_map(|line| line.strip_prefix(instruction));
        serde_json::from_str(line.unwrap_or_else(|| panic!("there is no {instruction}"))).unwrap()
    };
    let words = [list("ENTRYPOINT "), list("CMD ")].concat();
    takes(&words.iter().map(String::as_str).collect::<Vec<_>>());
}

/// `cargo binstall` finds the archive by these; `.ci/packaged` holds them against one that was made.
#[test]
fn archives_are_named_for_cargo_binstall() {
    let manifest: toml::Table = toml::from_str(&page("host/ripcord/Cargo.toml")).unwrap();
    let told = &manifest["package"]["metadata"]["binstall"];
    assert_eq!(told["pkg-fmt"].as_str(), Some("tgz"));
    assert!(told["pkg-url"].as_str().unwrap().ends_with("/{ name }-{ version }-{ target }.tar.gz"));
    assert_eq!(told["bin-dir"].as_str(), Some("{ name }-{ version }-{ target }/{ bin }{ binary-ext }"));
}
