//! Every adapter as the catalogue has it: what any of them must hold, so that a new one is held to it without a test of its own.

use std::collections::BTreeSet;
use std::path::Path;

use ripcord_adapters::adapter::{About, AnyAdapter, Key, Port, Start, Takes};
use ripcord_adapters::catalogue;
use ripcord_ports::{
    AlertSource, Checkpoints, Deployer, Endpoint, GoldenData, Metrics, Notifier, Producer, Registry,
    RequestLog, Restorer,
};
use toml::{Table, Value};

/// What the host itself reads, or has somebody else of the service give, is not the adapter's.
fn own(about: &About, table: &Table) -> Table {
    let mut own = table.clone();
    let host: BTreeSet<_> =
        ["kind", "auth", "routes", "body-kib-max", "dedupe-seconds", "run-hours", "look-seconds"].into();
    own.retain(|key, _| !host.contains(key));
    for key in about.keys.iter().filter(|key| key.given_by.is_some() && key.takes == Takes::Text) {
        own.entry(key.name.clone()).or_insert_with(|| "given".into());
    }
    own
}

fn example(about: &About) -> Table {
    toml::from_str::<Table>(&format!("x = {{ {} }}", about.example))
        .unwrap_or_else(|error| panic!("{} {}: {error}", about.port, about.kind))["x"]
        .as_table()
        .unwrap()
        .clone()
}

/// The settings as the adapter has them once paths start from `/base`.
fn read<P: Port + ?Sized>(adapter: &'static dyn AnyAdapter<P>, table: &Table) -> Result<String, String> {
    let text = toml::to_string(&table).unwrap();
    let document = toml::de::DeTable::parse(&text).unwrap();
    let span = document.span();
    let value = toml::de::DeValue::Table(document.into_inner());
    let read = adapter.read(toml::Spanned::new(span, value).into()).map_err(|error| error.to_string())?;
    let mut settings = read;
    settings.start(&Start::from(Path::new("/base")));
    Ok(format!("{settings:?}"))
}

/// Runs a check on every adapter of every port.
macro_rules! for_each_adapter {
    ($check:ident) => {
        for_each_adapter!($check: Registry, Deployer, Restorer, Producer, Checkpoints, Endpoint, RequestLog, GoldenData, Metrics, AlertSource, Notifier)
    };
    ($check:ident: $($port:ident),*) => {$(
        for adapter in <dyn $port as Port>::adapters() {
            $check::<dyn $port>(*adapter);
        }
    )*};
}

#[test]
fn the_example_of_each_has_just_the_keys_that_must_be_there() {
    fn check<P: Port + ?Sized>(adapter: &'static dyn AnyAdapter<P>) {
        let about = adapter.about();
        let table = own(&about, &example(&about));
        read(adapter, &table).unwrap_or_else(|error| panic!("{} {}: {error}", about.port, about.kind));
        for key in table.keys().filter(|_| P::HAS_KIND) {
            let mut less = table.clone();
            less.remove(key);
            let needed = about.keys.iter().any(|known| known.name == *key && known.needed);
            assert_eq!(read(adapter, &less).is_err(), needed, "{} {}: `{key}`", about.port, about.kind);
        }
        let secret = adapter.secret().name(false);
        assert_eq!(about.keys.iter().any(|key| key.secret), secret.is_some() || P::NAME == "restorer");
    }
    for_each_adapter!(check);
}

/// A relative path would start from wherever the host was started.
#[test]
fn every_path_of_each_starts_from_the_configuration() {
    fn places(keys: &[Key], before: &[String], found: &mut Vec<Vec<String>>) {
        for key in keys.iter().filter(|key| !key.secret) {
            let at = [before, std::slice::from_ref(&key.name)].concat();
            if key.takes == Takes::Path {
                found.push(at.clone());
            }
            places(&key.keys, &at, found);
        }
    }
    fn put(table: &mut Table, at: &[String]) {
        match at {
            [last] => drop(table.insert(last.clone(), "below/here".into())),
            [first, rest @ ..] => {
                let inner = table.entry(first.clone()).or_insert_with(|| Value::Table(Table::new()));
                put(inner.as_table_mut().unwrap(), rest);
            }
            [] => {}
        }
    }
    fn check<P: Port + ?Sized>(adapter: &'static dyn AnyAdapter<P>) {
        let about = adapter.about();
        let mut found = Vec::new();
        places(&about.keys, &[], &mut found);
        for at in found {
            let mut table = own(&about, &example(&about));
            put(&mut table, &at);
            let shown = read(adapter, &table).unwrap();
            let starts = shown.contains("/base/below") && !shown.contains("\"below");
            assert!(starts, "`{}` of {} {} stays relative: {shown}", at.join("."), about.port, about.kind);
        }
    }
    for_each_adapter!(check);
}

#[test]
fn no_two_of_a_port_have_one_kind_and_each_says_what_it_is() {
    let mut kinds = BTreeSet::new();
    for about in catalogue::all() {
        assert!(kinds.insert((about.port, about.kind)), "{} {}", about.port, about.kind);
        assert!(!about.summary.is_empty() && !about.system.is_empty(), "{} {}", about.port, about.kind);
        assert!(!about.summary.ends_with('.') && !about.summary.contains('\n'), "{}", about.summary);
    }
    assert!(kinds.len() >= 18, "{kinds:?}");
}

/// A struct that does not say its keys, because it reads itself in some way of its own, would be listed without them.
#[test]
fn each_that_has_a_kind_tells_its_keys() {
    fn names(keys: &[Key]) -> Vec<&str> {
        keys.iter().map(|key| key.name.as_str()).collect()
    }
    fn check<P: Port + ?Sized>(adapter: &'static dyn AnyAdapter<P>) {
        let about = adapter.about();
        let asked = own(&about, &example(&about));
        for key in asked.keys().filter(|_| P::HAS_KIND) {
            assert!(names(&about.keys).contains(&key.as_str()), "{} {}: `{key}`", about.port, about.kind);
        }
    }
    for_each_adapter!(check);
    let of = |port: &str, kind: &str| {
        catalogue::all().into_iter().find(|about| about.port == port && about.kind == kind).unwrap()
    };
    assert_eq!(
        names(&of("registry", "mlflow").keys),
        [
            "url",
            "model",
            "alias",
            "experiment",
            "user",
            "deadline-ms",
            "patience-ms",
            "versions-max",
            "artefact-bytes-max",
            "token-file",
            "token-env",
            "password-file",
            "password-env"
        ]
    );
    let file = of("restorer", "file");
    let reload = file.keys.iter().find(|key| key.name == "reload").unwrap();
    assert!(names(&reload.keys).contains(&"pid-file"), "{reload:?}");
    assert!(names(&file.keys).contains(&"proof-min"), "what the host reads there is told, too");
}

/// Each page says what to configure, the least rights, what was tried and what it cannot do.
#[test]
fn each_has_a_page() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for about in catalogue::all() {
        assert!(folder.join(about.page).is_file(), "{} {}: `{}`", about.port, about.kind, about.page);
    }
}

/// What a build is without says which feature brings it: one that the program has, and passes on.
#[test]
fn each_feature_that_brings_an_adapter_is_one_of_the_programs() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| std::fs::read_to_string(here.join(path)).unwrap();
    let features = |path: &str| toml::from_str::<Table>(&read(path)).unwrap()["features"].clone();
    let (own, of_program) = (features("Cargo.toml"), features("../ripcord/Cargo.toml"));
    let mut told = 0;
    for entry in std::fs::read_dir(here.join("src")).unwrap() {
        let Ok(text) = std::fs::read_to_string(entry.unwrap().path().join("left_out.rs")) else { continue };
        let feature = text.split_once("feature: \"").map(|(_, rest)| rest.split_once('"').unwrap().0);
        // The folder of adapters in general has a file of that name, too.
        let Some(feature) = feature.filter(|_| text.contains("pub(crate) const LEFT_OUT")) else { continue };
        let passed_on = Value::from(vec![format!("ripcord-adapters/{feature}")]);
        assert!(own.get(feature).is_some(), "`{feature}` is no feature of this crate");
        assert_eq!(of_program.get(feature), Some(&passed_on), "`--features {feature}` must build it");
        told += 1;
    }
    assert!(told >= 2, "only {told} were found");
}
