//! Examples in the help of each command, and the commands as the program knows them. A test types every one.

use std::ffi::OsString;

use clap::{CommandFactory as _, FromArgMatches as _};

use super::Cli;

/// By command: what can be typed.
const EXAMPLES: &[(&str, &[&str])] = &[
    ("check", &["ripcord check", "ripcord check --now", "ripcord check --alert webhook.json"]),
    (
        "playbook",
        &[
            "ripcord playbook fraud-api > playbook.md",
            "ripcord playbook fraud-api --form html > playbook.html",
        ],
    ),
    ("status", &["ripcord status", "ripcord --json status fraud-api"]),
    ("ready", &["ripcord ready", "ripcord --json ready fraud-api"]),
    ("targets", &["ripcord targets fraud-api", "ripcord targets fraud-api --facet thresholds"]),
    (
        "changes",
        &[
            "ripcord changes fraud-api",
            "ripcord changes fraud-api --since 12h",
            "ripcord changes fraud-api --harm-began 2h",
        ],
    ),
    ("adopt", &["ripcord adopt fraud-api 1.3.2 --reason \"it served all of October\""]),
    (
        "pull",
        &[
            "ripcord pull fraud-api --reason \"declines everybody\"",
            "ripcord pull fraud-api --to 1.3.2 --urgency emergency",
            "ripcord pull fraud-api --checkpoint online-3@1200",
            "ripcord pull fraud-api --retrain clicks@r7 --exclude source=bot-farm",
            "ripcord pull --set fraud --to features=2.0.1 --to fraud-api=1.3.2",
        ],
    ),
    ("incidents list", &["ripcord incidents list --service fraud-api"]),
    ("incidents show", &["ripcord incidents show fraud-api:3"]),
    (
        "incidents report",
        &[
            "ripcord incidents report fraud-api:3 > report.md",
            "ripcord incidents report fraud-api:3 --form html > report.html",
        ],
    ),
    ("replay", &["ripcord replay fraud-api:3", "ripcord replay --all"]),
    (
        "plan show",
        &[
            "ripcord plan show fraud-api:3",
            "ripcord plan show set:fraud:2",
            "ripcord plan show fraud-api:3 --runbook",
        ],
    ),
    (
        "approve",
        &[
            "ripcord approve fraud-api:3",
            "ripcord approve fraud-api:3 --key ada.key --reason \"I see it, too\"",
            "ripcord approve set:fraud:2",
        ],
    ),
    ("refuse", &["ripcord refuse fraud-api:3 --reason \"it is the data\""]),
    ("abort", &["ripcord abort fraud-api:3 --reason \"it went away\""]),
    ("dismiss", &["ripcord dismiss fraud-api:3 --reason \"a load test\""]),
    ("pause", &["ripcord pause fraud-api --reason \"a migration\"", "ripcord pause --all"]),
    ("resume", &["ripcord resume fraud-api", "ripcord resume --all"]),
    ("hold list", &["ripcord hold list"]),
    ("sets list", &["ripcord sets list"]),
    ("sets show", &["ripcord sets show fraud", "ripcord --json sets show fraud"]),
    ("runs list", &["ripcord runs list", "ripcord runs list fraud-api"]),
    ("runs stop", &["ripcord runs stop fraud-api:3 --reason \"the data was wrong, too\""]),
    (
        "hold put",
        &["ripcord hold put fraud-api --data transactions@r7 --reason \"labels of the import are wrong\""],
    ),
    (
        "hold lift",
        &[
            "ripcord hold lift fraud-api 1.4.0 --reason \"the data was mended\"",
            "ripcord hold lift fraud-api --data transactions@r7 --reason \"the labels were right\"",
        ],
    ),
    ("store backup", &["ripcord store backup /backups/ripcord"]),
    ("store verify", &["ripcord store verify", "ripcord store verify fraud-api"]),
    (
        "policy new",
        &[
            "ripcord policy new too-many-errors",
            "ripcord policy new scores-moved --role drift",
            "ripcord policy new our-way --role planner --role approval",
        ],
    ),
    ("policy build", &["ripcord policy build too-many-errors", "ripcord policy build . --out rule.wasm"]),
    (
        "policy test",
        &[
            "ripcord policy test too-many-errors",
            "ripcord policy test too-many-errors --watch",
            "ripcord policy test too-many-errors --bless",
            "ripcord policy test rule.wasm --fixtures fixtures",
        ],
    ),
    ("policy try", &["ripcord policy try fraud-api", "ripcord policy try fraud-api threshold-trigger"]),
    ("policy sdk", &["ripcord policy sdk too-many-errors"]),
    ("policy sign", &["ripcord policy sign rule.wasm --key ada.key"]),
    (
        "policy inspect",
        &["ripcord policy inspect threshold-trigger", "ripcord --json policy inspect rule.wasm"],
    ),
    (
        "data purge",
        &["ripcord data purge data/manifest.json --exclude source=chargeback-import --out purged"],
    ),
    (
        "data predicate",
        &[
            "ripcord data predicate data/manifest.json --exclude source=chargeback-import --sql",
            "ripcord data predicate manifest.json --exclude source=import --sql spark --out leave-out.sql",
        ],
    ),
    (
        "data suspects",
        &[
            "ripcord data suspects fraud-api data/manifest.json --version 1.3.2 --answer 1=decline --answer 0=approve",
        ],
    ),
    ("key new", &["ripcord key new ada.key"]),
    (
        "completions",
        &[
            "ripcord completions bash > ~/.local/share/bash-completion/completions/ripcord",
            "ripcord completions zsh",
        ],
    ),
    ("man", &["ripcord man /usr/local/share/man/man1"]),
];

/// The program with everything that can be typed.
pub fn command() -> clap::Command {
    EXAMPLES.iter().fold(Cli::command(), |command, (path, examples)| {
        let words: Vec<&str> = path.split(' ').collect();
        let lines: String = examples.iter().map(|example| format!("\n  {example}")).collect();
        with_examples(command, &words, &format!("Examples:{lines}"))
    })
}

fn with_examples(command: clap::Command, path: &[&str], text: &str) -> clap::Command {
    match path {
        [] => command.after_help(text.to_owned()),
        [first, rest @ ..] => command.mut_subcommand(*first, |inner| with_examples(inner, rest, text)),
    }
}

/// What was typed.
///
/// # Errors
/// It is no command, or help was asked for.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    Cli::from_arg_matches(&command().try_get_matches_from(arguments)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words of a line as a shell would give them, up to where it writes to a file.
    fn words(line: &str) -> Vec<OsString> {
        let line = line.split(" > ").next().unwrap_or(line);
        let quoted = line.split('"').enumerate();
        let words = quoted.flat_map(|(index, part)| -> Vec<String> {
            if index % 2 == 1 {
                vec![part.to_owned()]
            } else {
                part.split_whitespace().map(str::to_owned).collect()
            }
        });
        words.map(OsString::from).collect()
    }

    fn leaf<'c>(command: &'c clap::Command, path: &str) -> &'c clap::Command {
        path.split(' ').fold(command, |command, name| command.find_subcommand(name).expect(name))
    }

    #[test]
    fn every_example_is_a_command_that_exists() {
        let whole = command();
        for (path, examples) in EXAMPLES {
            assert!(!leaf(&whole, path).has_subcommands(), "{path}");
            for example in *examples {
                if let Err(error) = parse(words(example)) {
                    unreachable!("`{example}`: {error}");
                }
                let with_path = path.split(' ').all(|word| example.contains(word));
                assert!(
                    with_path && example.starts_with("ripcord "),
                    "`{example}` is no example of `{path}`"
                );
            }
        }
    }

    #[test]
    fn every_command_about_policies_shows_an_example() {
        let whole = command();
        let policy = whole.find_subcommand("policy").expect("policy");
        for leaf in policy.get_subcommands().chain(whole.find_subcommand("backtest")) {
            let after = leaf.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(after.contains("Examples:"), "{}", leaf.get_name());
        }
    }

    #[test]
    fn the_examples_of_past_and_record_can_be_typed_too() {
        let whole = command();
        for path in ["backtest", "policy record"] {
            let after = leaf(&whole, path).get_after_help().map(ToString::to_string).unwrap_or_default();
            let examples: Vec<&str> =
                after.lines().map(str::trim).filter(|line| line.starts_with("ripcord ")).collect();
            assert!(examples.len() > 1, "{path}");
            for example in examples {
                assert!(parse(words(example)).is_ok(), "{example}");
            }
        }
    }
}
