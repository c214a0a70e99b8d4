//! What each adapter says that it will send: another one for every setting that matters, and no secret, whatever it is.

use std::path::Path;
use std::sync::Arc;

use ripcord_adapters::adapter::{AnyAdapter, Making, Port};
use ripcord_adapters::{Secret, Shared};
use ripcord_core::digest::Digest;
use ripcord_core::name::ConfigurationName;
use ripcord_core::request::Request;
use ripcord_core::target::{CheckpointTarget, ConfigurationTarget, RetrainTarget, Target};
use ripcord_ports::{Deployer, Producer, Registry, Restorer};

use super::support::{shared, target, version};

const SECRET: &str = "hunter2-hunter2";

/// The request of an adapter with these settings and this secret.
type Asked = fn(&str, &str, Option<Secret>) -> Request;

fn made<P: Port + ?Sized>(kind: &str, settings: &str, secret: Option<Secret>, with: P::With) -> P::Made {
    let adapter: &'static dyn AnyAdapter<P> =
        *P::adapters().iter().find(|adapter| adapter.kind() == kind).unwrap();
    let text = format!("x = {{ {settings} }}");
    let table = toml::from_str::<toml::Table>(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let text = toml::to_string(&table["x"]).unwrap();
    let document = toml::de::DeTable::parse(&text).unwrap();
    let span = document.span();
    let value = toml::de::DeValue::Table(document.into_inner());
    let settings = adapter.read(toml::Spanned::new(span, value).into()).unwrap();
    let shared: Shared = shared();
    let (data, place) = (Path::new("/nowhere"), "fraud-api/part".into());
    settings
        .make(Making { shared: &shared, secret, data, place, with })
        .unwrap_or_else(|error| panic!("{kind}: {error}"))
}

fn deployer(kind: &str, settings: &str, secret: Option<Secret>) -> Request {
    let deployer = made::<dyn Deployer>(kind, settings, secret, ());
    deployer.request(&Target::Version(target("1.0", Some(Digest::of("1.0"))))).unwrap()
}

fn restorer(kind: &str, settings: &str, secret: Option<Secret>) -> Request {
    let restorer = made::<dyn Restorer>(kind, settings, secret.clone(), secret);
    restorer.request(&version("on"), Some(Digest::of("on"))).unwrap()
}

fn mlflow(alias: &str, secret: Option<Secret>) -> Arc<dyn Registry> {
    let settings = format!("url = \"http://127.0.0.1:5000\", model = \"fraud\", alias = \"{alias}\"");
    made::<dyn Registry>("mlflow", &settings, secret, ())
}

fn producer(kind: &str, settings: &str, secret: Option<Secret>) -> Request {
    // A folder of checkpoints takes no secret; the registry has its own.
    let own = secret.clone().filter(|_| kind != "checkpoint");
    let producer = made::<dyn Producer>(kind, settings, own, mlflow("production", secret));
    let checkpoint = CheckpointTarget { run: "r".into(), step: 7, digest: Some(Digest::of("7")) };
    let retrain = RetrainTarget { dataset: "clicks".into(), revision: "7".into(), exclude: Vec::new() };
    let of = if kind == "checkpoint" { Target::Checkpoint(checkpoint) } else { Target::Retrain(retrain) };
    let nothing = Target::Configuration(ConfigurationTarget {
        name: ConfigurationName::new("limits").unwrap(),
        revision: version("1"),
        digest: None,
    });
    assert!(producer.request(&nothing).is_none(), "{kind} makes nothing of a configuration");
    producer.request(&of).unwrap()
}

fn promotes(kind: &str, settings: &str, secret: Option<Secret>) -> Request {
    made::<dyn Registry>(kind, settings, secret, ()).request_to_promote(&version("1")).unwrap()
}

fn registers(kind: &str, settings: &str, secret: Option<Secret>) -> Request {
    made::<dyn Registry>(kind, settings, secret, ()).request_to_register().unwrap()
}

/// What is asked, by what name, and which settings each with values that matter.
type Case = (Asked, &'static str, &'static [(&'static str, &'static [&'static str])]);

/// Settings of each adapter, and for each key that matters another value of it.
const ALL: [Case; 14] = [
    (
        deployer,
        "batch",
        &[
            ("pointer", &["\"/srv/version\"", "\"/srv/other\""]),
            ("outputs", &["\"/srv/out\""]),
            ("stamp", &["{ name = \"scores-{version}-*.csv\" }"]),
        ],
    ),
    (
        deployer,
        "command",
        &[
            (
                "shift",
                &[
                    "[\"./deploy\", \"{version}\"]",
                    "[\"./deploy\", \"--fast\", \"{version}\"]",
                    "[\"./other\", \"{version}\"]",
                ],
            ),
            ("live", &["[\"./live\"]"]),
            ("effect", &["\"observable\""]),
            (
                "surroundings",
                &["{ folder = \"/srv\" }", "{ folder = \"/opt\" }", "{ pass-environment = [\"HOME\"] }"],
            ),
        ],
    ),
    (
        deployer,
        "open-inference",
        &[
            ("url", &["\"http://127.0.0.1:8080\"", "\"http://127.0.0.1:8081\""]),
            ("model", &["\"fraud\"", "\"other\""]),
            ("model-directory", &["\"/srv/models/fraud\"", "\"/srv/models/other\""]),
            ("write", &["{ \"a.json\" = \"{version}\" }", "{ \"a.json\" = \"v{version}\" }"]),
        ],
    ),
    (
        restorer,
        "file",
        &[
            ("file", &["\"/srv/limits.toml\"", "\"/srv/other.toml\""]),
            ("history", &["\"/srv/limits\"", "\"/srv/others\""]),
            (
                "reload",
                &[
                    "{ post = [\"http://127.0.0.1:1/r\"] }",
                    "{ post = [\"http://127.0.0.1:2/r\"] }",
                    "{}",
                    "{ command = [\"./reload\", \"{key}\"] }",
                ],
            ),
        ],
    ),
    (
        restorer,
        "git",
        &[
            ("repository", &["\"http://127.0.0.1:1/settings\"", "\"http://127.0.0.1:1/others\""]),
            ("branch", &["\"main\"", "\"live\""]),
            ("path", &["\"limits.toml\"", "\"others.toml\""]),
            ("author-name", &["\"Ripcord\"", "\"Else\""]),
        ],
    ),
    (
        restorer,
        "http",
        &[
            ("url", &["\"http://127.0.0.1:8080/flag\"", "\"http://127.0.0.1:8081/flag\""]),
            ("pointer", &["\"/a\"", "\"/b\""]),
            ("revisions", &["{ off = 0, on = 1 }", "{ off = 0, on = 2 }"]),
            ("write", &["\"put-document\"", "\"merge-patch\"", "\"post-value\""]),
            ("etag", &["\"where-offered\"", "\"required\""]),
        ],
    ),
    (
        restorer,
        "mlflow-prompt",
        &[
            ("url", &["\"http://127.0.0.1:5000\"", "\"http://127.0.0.1:5001\""]),
            ("prompt", &["\"fraud\"", "\"other\""]),
            ("alias", &["\"production\"", "\"live\""]),
        ],
    ),
    (
        producer,
        "checkpoint",
        &[
            (
                "from",
                &["{ folder = { root = \"/srv/training\" } }", "{ folder = { root = \"/srv/other\" } }"],
            ),
            ("name", &["\"{run}-{step}\"", "\"v-{run}-{step}\""]),
        ],
    ),
    (
        producer,
        "command",
        &[
            ("train", &["[\"./retrain\", \"{exclude}\"]", "[\"./retrain\", \"--slow\", \"{exclude}\"]"]),
            ("folder", &["\"/srv\"", "\"/opt\""]),
        ],
    ),
    (
        producer,
        "http",
        &[
            ("url", &["\"http://127.0.0.1:1/runs\"", "\"http://127.0.0.1:1/jobs\""]),
            ("status", &["\"http://127.0.0.1:1/runs/{key}\""]),
            ("parameters", &["{ epochs = 3 }", "{ epochs = 4 }"]),
        ],
    ),
    (
        producer,
        "airflow",
        &[
            ("url", &["\"http://127.0.0.1:8080\"", "\"http://127.0.0.1:8081\""]),
            ("dag", &["\"retrain\"", "\"other\""]),
            ("conf", &["{ epochs = 3 }", "{ epochs = 4 }"]),
            ("xcom", &["{ task = \"register\" }", "{ task = \"other\" }"]),
        ],
    ),
    (
        promotes,
        "mlflow",
        &[
            ("url", &["\"http://127.0.0.1:5000\"", "\"http://127.0.0.1:5001\""]),
            ("model", &["\"fraud\"", "\"other\""]),
            ("alias", &["\"production\"", "\"live\""]),
        ],
    ),
    (
        registers,
        "mlflow",
        &[
            ("url", &["\"http://127.0.0.1:5000\"", "\"http://127.0.0.1:5001\""]),
            ("model", &["\"fraud\"", "\"other\""]),
        ],
    ),
    (
        registers,
        "directory",
        &[("root", &["\"/srv/registry\"", "\"/srv/other\""]), ("model", &["\"fraud\"", "\"other\""])],
    ),
];

#[test]
fn a_request_is_another_one_for_every_setting_that_matters_and_holds_no_secret() {
    for (asked, kind, keys) in ALL {
        let settings = |changed: Option<(&str, &str)>| {
            let value = |(key, values): &(&str, &[&str])| match changed {
                Some((other, value)) if other == *key => format!("{key} = {value}"),
                _ => format!("{key} = {}", values[0]),
            };
            keys.iter().map(value).collect::<Vec<_>>().join(", ")
        };
        let usual = asked(kind, &settings(None), None);
        let digest = |request: &Request| request.digest().unwrap();
        assert_eq!(digest(&usual), digest(&asked(kind, &settings(None), None)), "{kind}: the same twice");
        let [one, other] =
            [SECRET, "another"].map(|secret| asked(kind, &settings(None), Some(Secret::new(secret))));
        assert_eq!(digest(&one), digest(&other), "{kind}: no secret goes in, not even by its digest");
        assert!(!format!("{one:?}").contains(SECRET), "{kind}: {one:?}");
        for (key, values) in keys {
            for value in &values[1..] {
                let changed = asked(kind, &settings(Some((key, value))), None);
                assert_ne!(digest(&changed), digest(&usual), "{kind}: `{key} = {value}` is another request");
            }
        }
    }
}

#[test]
fn a_producer_that_registers_says_into_what() {
    let request = producer("checkpoint", "from = { folder = { root = \"/srv/training\" } }", None);
    for part in
        ["take the files in", "checkpoint r", "register it as a version of `fraud` at http://127.0.0.1:5000"]
    {
        assert!(request.words().contains(part), "{part}: {}", request.words());
    }
}

#[test]
fn the_words_say_what_is_done_where() {
    let file = "file = \"/srv/limits.toml\", history = \"/srv/limits\", reload = { post = [\"http://127.0.0.1:1/r\"] }";
    let git = "repository = \"/srv/settings\", path = \"limits.toml\", branch = \"main\"";
    let http = "url = \"http://127.0.0.1:8080/flag\", revisions = { off = 0, on = 1 }, pointer = \"/a\"";
    for (kind, settings, parts) in [
        (
            "file",
            file,
            [
                "write `on` of `/srv/limits` to `/srv/limits.toml`",
                "have the service reload by POST http://127.0.0.1:1/r",
            ],
        ),
        (
            "git",
            git,
            [
                "write `limits.toml` as of `on` by a new commit on `main` of",
                "leave it to the service to look",
            ],
        ),
        ("http", http, ["set `/a` to `on`", "to http://127.0.0.1:8080/flag"]),
    ] {
        let request = restorer(kind, settings, None);
        for part in parts {
            assert!(request.words().contains(part), "{part}: {}", request.words());
        }
    }
}

#[test]
fn what_is_kept_at_another_address_is_another_also_where_its_query_alone_tells_them_apart() {
    let flag = |url: &str| {
        let settings = format!(
            "url = \"{url}\", write-url = \"http://127.0.0.1:1/limits\", revisions = {{ off = 0, on = 1 }}"
        );
        made::<dyn Restorer>("http", &settings, None, None).kept_at().unwrap()
    };
    let prompt = |url: &str| {
        let settings = format!("url = \"{url}\", prompt = \"fraud\", alias = \"production\"");
        made::<dyn Restorer>("mlflow-prompt", &settings, None, None).kept_at().unwrap()
    };
    let model = |url: &str| {
        let settings = format!("url = \"{url}\", model = \"fraud\"");
        made::<dyn Registry>("mlflow", &settings, None, ()).kept_at().unwrap()
    };
    for kept_at in [&flag as &dyn Fn(&str) -> String, &prompt, &model] {
        let [a, b] = ["hunter2-a", "hunter2-b"].map(|of| format!("http://127.0.0.1:1/limits?tenant={of}"));
        assert_eq!(kept_at(&a), kept_at(&a));
        assert_ne!(kept_at(&a), kept_at(&b));
        assert!(!kept_at(&a).contains("hunter2"), "{}", kept_at(&a));
    }
}
