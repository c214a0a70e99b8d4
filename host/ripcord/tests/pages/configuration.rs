//! The reference of all keys, and every configuration in a page, against the reader of the file itself.

use std::collections::BTreeSet;

use ripcord::config::{Config, SourceFile};
use ripcord_adapters::catalogue;
use ripcord_core::retention::Class;
use toml::{Table, Value};

use crate::pages::blocks::{blocks, blocks_of, page};

const PAGE: &str = "host/ripcord/pages/configuration.md";
/// No key is like it, so the reader answers with all that it knows.
const UNKNOWN: &str = "qqqqqqqqqqqq";

fn parse(text: &str) -> Result<Config, ripcord::config::ConfigError> {
    // Beside it lies the file of allowed signers that the example names.
    Config::parse(SourceFile { path: "tests/pages/ripcord.toml".into(), text: text.to_owned() })
}

/// A table of the configuration, as the page has it.
#[derive(Debug)]
struct Section {
    /// TOML: headers, and the key that says which kind of table it is.
    heading: Vec<String>,
    rows: Vec<Row>,
}

/// A line of its table.
#[derive(Debug)]
struct Row {
    keys: Vec<String>,
    /// The default as TOML, where it is a value.
    default: Option<String>,
}

/// What stands between back-ticks.
fn code(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn sections() -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    let (mut in_code, mut inside) = (false, false);
    for line in page(PAGE).lines() {
        in_code ^= line.starts_with("```");
        if in_code {
            continue;
        }
        if line.starts_with('#') {
            let heading = code(line);
            inside = heading.first().is_some_and(|first| first.starts_with('['));
            if inside {
                sections.push(Section { heading, rows: Vec::new() });
            }
        } else if inside && (line.starts_with("| `") || line.starts_with("| **`")) {
            let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
            assert_eq!(cells.len(), 4, "{line}");
            let default = cells[2].strip_prefix('`').and_then(|rest| rest.strip_suffix('`'));
            // Two pieces of code with words between them are a sentence.
            let default = default.filter(|text| !text.contains('`'));
            let row = Row { keys: code(cells[0]), default: default.map(str::to_owned) };
            sections.last_mut().unwrap().rows.push(row);
        }
    }
    assert!(sections.len() > 20, "{}", sections.len());
    sections
}

impl Section {
    /// Its last header: `["services", "NAME", "registry"]`.
    fn path(&self) -> Vec<String> {
        path_of(self.heading.iter().rev().find(|text| text.starts_with('[')).unwrap())
    }

    /// Keys that the heading itself gives a value.
    fn given(&self) -> Vec<(String, String)> {
        let last = self.heading.iter().rposition(|text| text.starts_with('[')).unwrap();
        let given = self.heading[last + 1..].iter().filter_map(|text| text.split_once(" = "));
        given.map(|(key, value)| (key.to_owned(), value.trim_matches('"').to_owned())).collect()
    }

    fn documented(&self) -> BTreeSet<String> {
        self.rows.iter().flat_map(|row| row.keys.clone()).collect()
    }

    /// Every key that the reader knows in this table, by its own advice about one that it does not know.
    fn known(&self) -> BTreeSet<String> {
        let mut known = BTreeSet::new();
        // With a user the secret is a password.
        for more in ["", "user = \"u\"\n"] {
            let text = format!("{}\n{more}{UNKNOWN} = 1\n", self.heading.join("\n"));
            let error = parse(&text).expect_err("an unknown key is a mistake");
            let begins = format!("unknown key `{UNKNOWN}` in ");
            let mistake = error.mistakes.iter().find(|mistake| mistake.message.starts_with(&begins));
            let mistake = mistake.unwrap_or_else(|| panic!("{:?}: {error}", self.heading));
            known.extend(code(&mistake.help));
        }
        known
    }

    /// All tables of `config` that it is about.
    fn each(&self, config: &mut Table, change: &mut dyn FnMut(&mut Table)) {
        let given = self.given();
        let mut change = |table: &mut Table| {
            if given.iter().all(|(key, value)| table.get(key).and_then(Value::as_str) == Some(value.as_str()))
            {
                change(table);
            }
        };
        each(config, &self.path(), &mut change);
    }
}

/// The names in `[services.NAME.registry]`.
fn path_of(header: &str) -> Vec<String> {
    header.trim_matches(['[', ']']).split('.').map(str::to_owned).collect()
}

fn each(table: &mut Table, path: &[String], change: &mut dyn FnMut(&mut Table)) {
    let Some((first, rest)) = path.split_first() else { return change(table) };
    let is_wanted = |key: &String| first == "NAME" || key == first;
    for (_, value) in table.iter_mut().filter(|(key, _)| is_wanted(key)) {
        match value {
            Value::Table(inner) => each(inner, rest, change),
            Value::Array(items) => {
                for inner in items.iter_mut().filter_map(Value::as_table_mut) {
                    each(inner, rest, change);
                }
            }
            _ => {}
        }
    }
}

fn example() -> String {
    let found = blocks_of(PAGE, &page(PAGE));
    let mut whole = found.into_iter().filter(|block| block.language == "toml");
    let example = whole.next().expect("the page has a whole file").text;
    assert!(whole.next().is_none(), "one file has every key");
    example
}

#[test]
fn every_key_that_the_host_reads_is_on_the_page_and_no_other_is() {
    let sections = sections();
    for section in &sections {
        let given: BTreeSet<_> = section.given().into_iter().map(|(key, _)| key).collect();
        // What one kind has besides stands in a table of its own.
        let of_kinds: BTreeSet<_> = sections
            .iter()
            .filter(|other| given.is_empty() && other.path() == section.path() && !other.given().is_empty())
            .flat_map(Section::documented)
            .collect();
        // What a heading's other tables give is known to the reader as well.
        let heading = section.heading.join("\n");
        let documented = section.documented();
        let known = section.known();
        let missing: Vec<_> = known
            .difference(&documented)
            .filter(|key| !of_kinds.contains(*key))
            .filter(|key| !given.contains(*key) && !heading.contains(&format!("{key} = ")))
            .collect();
        assert!(missing.is_empty(), "{PAGE} lacks {missing:?} below {heading}");
        let gone: Vec<_> = documented.difference(&known).collect();
        assert!(gone.is_empty(), "{PAGE} has {gone:?} below {heading}, which the host does not read");
    }
}

/// A new adapter needs a table of its keys on the page.
#[test]
fn every_adapter_has_its_keys_on_the_page() {
    let sections = sections();
    for about in catalogue::all().iter().filter(|about| !about.keys.is_empty()) {
        let place = path_of(about.place.split(", ").next().unwrap());
        let kind = ("kind".to_owned(), about.kind.to_owned());
        let is_its_own = |section: &&Section| section.path() == place && section.given().contains(&kind);
        // Where its settings are those of every kind, the row of `kind` names it.
        let is_of_all = |section: &&Section| section.path() == place && section.given().is_empty();
        let section = sections.iter().find(is_its_own).or_else(|| sections.iter().find(is_of_all));
        let section =
            section.unwrap_or_else(|| panic!("{PAGE} has no table for {} {}", about.port, about.kind));
        let keys: BTreeSet<_> = about.keys.iter().map(|key| key.name.clone()).collect();
        let documented: BTreeSet<_> = section.documented().into_iter().filter(|key| key != "kind").collect();
        assert_eq!(documented, keys, "{PAGE}: {} {}", about.port, about.kind);
        for key in about.keys.iter().filter(|key| !key.secret) {
            let bold = page(PAGE).contains(&format!("| **`{}`** |", key.name));
            let needed = key.needed && key.given_by.is_none();
            assert!(!needed || bold, "{PAGE}: `{}` of {} {} must be there", key.name, about.port, about.kind);
        }
        if section.given().is_empty() {
            assert!(page(PAGE).contains(&format!("`{}`", about.kind)), "{PAGE} does not name {}", about.kind);
        }
    }
}

/// A table of its own, for what the file has at its root: a new one needs headings of its own.
#[test]
fn every_table_of_the_file_has_a_heading() {
    let error = parse(&format!("{UNKNOWN} = 1\n")).expect_err("an unknown key is a mistake");
    let tables = code(&error.mistakes[0].help);
    assert!(tables.len() >= 7, "{tables:?}");
    let headings: Vec<_> = sections().iter().map(|section| section.path()[0].clone()).collect();
    for table in tables {
        assert!(headings.contains(&table), "{PAGE} has no heading for `[{table}]`");
    }
}

#[test]
fn the_file_on_the_page_reads_and_has_every_key() {
    parse(&example()).unwrap_or_else(|error| panic!("{error}"));
    let mut example: Table = toml::from_str(&example()).unwrap();
    for section in sections() {
        let mut has = BTreeSet::new();
        section.each(&mut example, &mut |table| has.extend(table.keys().cloned()));
        for row in &section.rows {
            // One of `-file` and `-env` is enough.
            assert!(row.keys.iter().any(|key| has.contains(key)), "{:?} has no {row:?}", section.heading);
        }
    }
}

/// The file with every default written out, and with all of them left out, is the same configuration.
#[test]
fn every_default_on_the_page_is_the_one_in_force() {
    let (mut written, mut left_out): (Table, Table) =
        (toml::from_str(&example()).unwrap(), toml::from_str(&example()).unwrap());
    let mut defaults = 0;
    for section in sections() {
        for row in section.rows.iter().filter(|row| row.default.is_some()) {
            let default = row.default.as_deref().unwrap();
            let value: Table = toml::from_str(&format!("x = {default}"))
                .unwrap_or_else(|error| panic!("the default `{default}` of {:?}: {error}", row.keys));
            for key in &row.keys {
                section.each(&mut written, &mut |table| drop(table.insert(key.clone(), value["x"].clone())));
                section.each(&mut left_out, &mut |table| drop(table.remove(key)));
            }
            defaults += 1;
        }
    }
    assert!(defaults > 60, "{defaults} defaults");
    // What refers to a table that a default has emptied.
    for table in [&mut written, &mut left_out] {
        each(table, &path_of("services.NAME"), &mut |service| drop(service.remove("fingerprint")));
    }
    let read = |table: &Table| -> Vec<String> {
        let config = parse(&toml::to_string(table).unwrap()).unwrap_or_else(|error| panic!("{error}"));
        meaning(config).lines().map(str::to_owned).collect()
    };
    let (with, without) = (read(&written), read(&left_out));
    for (with, without) in with.iter().zip(&without) {
        assert_eq!(with, without);
    }
    assert_eq!(with.len(), without.len());
}

/// A configuration without what only says where in the file something stands.
fn meaning(mut config: Config) -> String {
    config.file = SourceFile { path: "ripcord.toml".into(), text: String::new() };
    let retention = &mut config.host.retention;
    retention.ages = Class::ALL.into_iter().map(|class| (class, retention.age(class))).collect();
    for service in &mut config.services {
        service.table = serde_json::Value::Null;
    }
    for set in &mut config.sets {
        set.table = serde_json::Value::Null;
    }
    let mut text = String::new();
    for line in format!("{config:#?}").lines() {
        let value = line.rsplit(' ').next().unwrap_or_default().trim_end_matches(',');
        let is_place = value.split_once("..").is_some_and(|(start, end)| {
            [start, end].iter().all(|part| !part.is_empty() && part.bytes().all(|sign| sign.is_ascii_digit()))
        });
        if !is_place {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

/// A part of a configuration, with what it leaves out because its page is about something else.
fn completed(part: &str) -> Result<String, toml::de::Error> {
    let mut config: Table = toml::from_str(part)?;
    let text = |text: &str| Value::String(text.to_owned());
    let table = |part: &str| -> Value { toml::from_str::<Table>(part).unwrap().into() };
    let mut services = BTreeSet::new();
    each(&mut config, &path_of("sources.NAME"), &mut |source| {
        source.entry("kind").or_insert(text("alertmanager"));
        source.entry("auth").or_insert(table("bearer-file = \"token\""));
    });
    each(&mut config, &path_of("sources.NAME.routes"), &mut |route| {
        services.extend(route.get("service").and_then(Value::as_str).map(str::to_owned));
    });
    each(&mut config, &path_of("sets.NAME"), &mut |set| {
        let members = set.get("members").and_then(Value::as_array).cloned().unwrap_or_default();
        services.extend(members.iter().filter_map(Value::as_str).map(str::to_owned));
    });
    complete(&mut config, "services", services, "");
    let mut metrics = BTreeSet::new();
    each(&mut config, &path_of("services.NAME"), &mut |service| {
        service.entry("registry").or_insert(table("kind = \"directory\"\nroot = \"registry\""));
        service.entry("deployer").or_insert(table(
            "kind = \"open-inference\"\nurl = \"http://127.0.0.1:8080\"\nmodel-directory = \"models/fraud\"",
        ));
        service.entry("planner").or_insert(table("policy = \"last-known-good\""));
        let named = service.get("metrics").and_then(Value::as_array).cloned().unwrap_or_default();
        metrics.extend(named.iter().filter_map(Value::as_str).map(str::to_owned));
    });
    complete(&mut config, "metrics", metrics, "kind = \"prometheus\"\nurl = \"http://127.0.0.1:9090\"");
    Ok(toml::to_string(&config).unwrap())
}

/// Gives each of the names a table below `key`, unless it has one.
fn complete(config: &mut Table, key: &str, names: BTreeSet<String>, otherwise: &str) {
    let otherwise: Table = toml::from_str(otherwise).unwrap();
    for name in names {
        let all = config.entry(key).or_insert_with(|| Table::new().into());
        all.as_table_mut().unwrap().entry(name).or_insert_with(|| otherwise.clone().into());
    }
}

#[test]
fn every_configuration_in_a_page_reads() {
    let mut read = 0;
    for block in blocks().iter().filter(|block| block.is_configuration()) {
        let whole = completed(&block.text).unwrap_or_else(|error| panic!("{}: {error}", block.place));
        parse(&whole).unwrap_or_else(|error| panic!("{}: {error}", block.place));
        read += 1;
    }
    assert!(read > 12, "only {read} configurations were found");
}
