//! Turns what the decoder says into what a person can act on.

/// The name that is nearest to `wrong`, if one is near.
pub(crate) fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near = |name: &&str| strsim::damerau_levenshtein(&wrong.to_ascii_lowercase(), name);
    let best = known.into_iter().min_by_key(near)?;
    (near(&best) <= (wrong.len() / 3).clamp(1, 3)).then_some(best)
}

/// `did you mean …`, or all that are known.
pub(crate) fn suggestion<'a>(wrong: &str, what: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let mut known: Vec<_> = known.into_iter().collect();
    known.sort_unstable();
    known.dedup();
    match nearest(wrong, known.iter().copied()) {
        Some(name) => format!("did you mean `{name}`?"),
        None if known.is_empty() => String::new(),
        None => {
            format!("{what}: {}", known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "))
        }
    }
}

/// A key that is not known, in the table `place`.
pub(crate) fn unknown_key(key: &str, place: &str, known: &[String]) -> (String, String) {
    let message = format!("unknown key `{key}` in {place}");
    let file = format!("{key}-file");
    if known.contains(&file) {
        let help = format!(
            "secrets do not belong into this file: write it into a file of its own and name that with `{file}`, or name a variable with `{key}-env`"
        );
        return (message, help);
    }
    (message, suggestion(key, "known keys", known.iter().map(String::as_str)))
}

/// The key that the decoder misses.
pub(crate) fn missing(message: &str) -> Option<String> {
    Some(message.strip_prefix("missing field `")?.strip_suffix('`')?.to_owned())
}

/// The key that the decoder does not know.
pub(crate) fn unknown(message: &str) -> Option<String> {
    Some(message.strip_prefix("unknown field `")?.split_once('`')?.0.to_owned())
}

/// What is wrong in `place`, and what to do.
pub(crate) fn mistake(message: &str, place: &str, also_known: &[String]) -> (String, String) {
    let names: Vec<String> = message.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    if let Some(key) = missing(message) {
        return (format!("`{key}` is missing in {place}"), format!("add `{key} = …` to it"));
    }
    if message.starts_with("unknown field `") {
        let known: Vec<_> = names[1..].iter().chain(also_known).cloned().collect();
        return unknown_key(&names[0], place, &known);
    }
    if message.starts_with("unknown variant `") {
        let known = names[1..].iter().map(String::as_str);
        let help = match nearest(&names[0], known.clone()) {
            Some(near) => format!("did you mean `{near}`? Possible are {}", listed(&names[1..])),
            None => format!("possible are {}", listed(&names[1..])),
        };
        return (format!("`{}` is not possible in {place}", names[0]), help);
    }
    if let Some(rest) = message.strip_prefix("invalid type: ").or(message.strip_prefix("invalid value: "))
        && let Some((found, expected)) = rest.rsplit_once(", expected ")
    {
        return (
            format!("wrong kind of value in {place}: this is {}", found_words(found)),
            format!("write {}", expected_words(expected)),
        );
    }
    (format!("{message}, in {place}"), String::new())
}

fn listed(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn found_words(found: &str) -> String {
    let word = found.split(' ').next().unwrap_or_default();
    match word {
        "string" | "integer" | "floating" | "boolean" => {
            let value = found.split_once(['`', '"']).map_or(found, |(_, rest)| rest);
            let value = value.trim_end_matches(['`', '"']);
            let kind = match word {
                "string" => "the text",
                "boolean" => "the truth value",
                _ => "the number",
            };
            format!("{kind} `{value}`")
        }
        "sequence" => "a list".to_owned(),
        "map" => "a table".to_owned(),
        _ => found.to_owned(),
    }
}

fn expected_words(expected: &str) -> String {
    match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, not negative, without quotes".to_owned(),
        "i8" | "i16" | "i32" | "i64" => "a whole number, without quotes".to_owned(),
        "f32" | "f64" => "a number, without quotes".to_owned(),
        "a boolean" => "`true` or `false`, without quotes".to_owned(),
        "a string" | "str" | "path string" => "a text in quotes".to_owned(),
        "a sequence" => "a list in square brackets".to_owned(),
        "a map" => "a table".to_owned(),
        other if other.starts_with("struct ") => "a table".to_owned(),
        other => other.to_owned(),
    }
}

/// What the TOML parser says, in words that follow "this is not TOML".
pub(crate) fn syntax(message: &str) -> (String, String) {
    let help = match message {
        _ if message.contains("string values must be quoted") => "put texts in quotes",
        _ if message.contains("duplicate key") => "keep one of them",
        _ => "",
    };
    let message = message.strip_suffix(", expected literal string").unwrap_or(message);
    (format!("this is not TOML: {message}"), help.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        let known = ["policy", "settings", "facts"];
        assert_eq!(nearest("polcy", known), Some("policy"));
        assert_eq!(nearest("Settings", known), Some("settings"));
        assert_eq!(nearest("url", known), None);
    }

    #[test]
    fn what_the_decoder_says_becomes_advice() {
        let check = |message: &str, expected: (&str, &str)| {
            let said = mistake(message, "[host]", &["listen-file".to_owned()]);
            assert_eq!((said.0.as_str(), said.1.as_str()), expected);
        };
        check("missing field `url`", ("`url` is missing in [host]", "add `url = …` to it"));
        check(
            "unknown field `lisen`, expected one of `listen`, `data`",
            ("unknown key `lisen` in [host]", "did you mean `listen`?"),
        );
        check(
            "unknown variant `obsrve`, expected one of `observe`, `ask`, `act`",
            (
                "`obsrve` is not possible in [host]",
                "did you mean `observe`? Possible are `observe`, `ask`, `act`",
            ),
        );
        check(
            "invalid type: string \"two\", expected u32",
            (
                "wrong kind of value in [host]: this is the text `two`",
                "write a whole number, not negative, without quotes",
            ),
        );
        check("`x` is not a person", ("`x` is not a person, in [host]", ""));
    }
}
