//! Every command line of a page is one that the program takes.

use clap::Parser as _;
use ripcord::cli::Cli;

use crate::pages::blocks::blocks;

/// The words of a command line, as a shell splits them; what comes behind `#`, `&&`, `|`, `;`, `>` or `2>` is not the command's.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for sign in line.chars() {
        match (quote, sign) {
            (Some(open), sign) if sign == open => quote = None,
            (Some(_), sign) => word.get_or_insert_default().push(sign),
            (None, '"' | '\'') => {
                quote = Some(sign);
                word.get_or_insert_default();
            }
            (None, '#' | '&' | '|' | ';' | '>') if word.is_none() => return words,
            (None, sign) if sign.is_whitespace() => words.extend(word.take()),
            (None, sign) => word.get_or_insert_default().push(sign),
        }
    }
    words.extend(word);
    words
}

/// Variables, and another user's name, stand before a command.
fn command(line: &str) -> Option<Vec<String>> {
    let mut words = words(line);
    let is_before = |word: &str| ["sudo", "-u", "runuser", "--"].contains(&word) || word.contains('=');
    let at = words.iter().position(|word| word == "ripcord")?;
    // The user of `sudo -u ripcord` has the program's name.
    let at = if at > 0 && words[at - 1] == "-u" {
        at + 1 + words[at + 1..].iter().position(|word| word == "ripcord")?
    } else {
        at
    };
    let before = words[..at].iter().all(|word| is_before(word) || word == "ripcord");
    before.then(|| words.split_off(at))
}

#[test]
fn every_command_line_of_a_page_is_one_that_the_program_takes() {
    let mut tried = 0;
    for block in blocks() {
        for line in block.text.lines().flat_map(|line| line.split("&&")) {
            let Some(words) = command(line.trim()) else { continue };
            // A name in angle brackets or capitals stands for one of the reader's.
            if let Err(error) = Cli::try_parse_from(&words)
                && error.use_stderr()
            {
                panic!("{}: `{}`: {error}", block.place, line.trim());
            }
            tried += 1;
        }
    }
    assert!(tried > 35, "only {tried} command lines were found");
}

#[test]
fn command_lines_are_split_as_a_shell_does() {
    let line = "RIPCORD_CONFIG=x sudo -u ripcord ripcord pull fraud-api --reason \"declines # new 'customers'\"   # by hand";
    let expected = ["ripcord", "pull", "fraud-api", "--reason", "declines # new 'customers'"];
    assert_eq!(command(line).unwrap(), expected);
    assert_eq!(command("systemctl restart ripcord"), None);
    assert_eq!(command("ripcord status > today").unwrap(), ["ripcord", "status"]);
}
