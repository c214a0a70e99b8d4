//! What each adapter says that it will send: another one for every setting that matters, and no secret, whatever it is.

use std::path::Path;
use std::sync::Arc;

use ripcord_adapters::adapter::{AnyAdapter, Making, Port};
use ripcord_adapters::{Secret, Shared};
use ripcord_core::digest::Digest;
use ripcord_core::name::ConfigurationName;
use ripcord_core::request::Request;
use ripcord_core::target::{CheckpointTarget, ConfigurationTarget, Exclusion, RetrainTarget, Target};
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

/// A key of AWS has its secret and its id, and an account of Buildbot its password and its name, or neither is there.
fn id_of(kind: &str, secret: Option<&Secret>) -> &'static str {
    match (kind, secret) {
        ("sagemaker", Some(_)) => ", access-key-id = \"AKIDRIPCORD\"",
        ("buildbot", Some(_)) => ", user = \"ripcord\"",
        _ => "",
    }
}

fn deployer(kind: &str, settings: &str, secret: Option<Secret>) -> Request {
    // These are not asked by nobody.
    let needs_one = matches!(kind, "github-actions" | "gitlab");
    let secret = secret.or_else(|| needs_one.then(|| Secret::new("a token")));
    let deployer =
        made::<dyn Deployer>(kind, &format!("{settings}{}", id_of(kind, secret.as_ref())), secret, ());
    deployer.request(&Target::Version(target("1.0", Some(Digest::of("1.0")))), None).unwrap()
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
    let retrain = RetrainTarget {
        dataset: "clicks".into(),
        revision: "7".into(),
        exclude: vec![Exclusion::Source("bots".into())],
    };
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
    let id = id_of(kind, secret.as_ref());
    made::<dyn Registry>(kind, &format!("{settings}{id}"), secret, ())
        .request_to_promote(&version("1"))
        .unwrap()
}

fn registers(kind: &str, settings: &str, secret: Option<Secret>) -> Request {
    made::<dyn Registry>(kind, settings, secret, ()).request_to_register().unwrap()
}

/// What is asked of an adapter of which port, by what name, and which settings each with values that matter.
type Case = ((Asked, &'static str), &'static str, &'static [(&'static str, &'static [&'static str])]);

/// Settings of each adapter, and for each key that matters another value of it.
const ALL: [Case; 25] = [
    (
        (deployer as Asked, "deployer"),
        "sagemaker",
        &[
            ("region", &["\"eu-west-1\"", "\"us-east-1\""]),
            ("endpoint-name", &["\"fraud\"", "\"other\""]),
            ("model", &["\"fraud\"", "\"other\""]),
            ("move-by", &["\"configuration\"", "\"weights\""]),
            ("guardrails", &["\"keep\"", "\"none\""]),
            ("endpoint", &["\"https://one.example\"", "\"https://two.example\""]),
        ],
    ),
    (
        (deployer as Asked, "deployer"),
        "azureml",
        &[
            ("subscription", &["\"s\"", "\"t\""]),
            ("resource-group", &["\"acme-ml\"", "\"other\""]),
            ("workspace", &["\"payments\"", "\"other\""]),
            ("endpoint-name", &["\"fraud\"", "\"other\""]),
            ("model", &["\"fraud\"", "\"other\""]),
            ("registry", &["\"acme\"", "\"other\""]),
            ("scoring-code", &["\"refuse\"", "\"keep\""]),
            ("resource-manager", &["\"https://one.example\"", "\"https://two.example\""]),
            ("api-version", &["\"2025-12-01\"", "\"2024-10-01\""]),
            ("cloud", &["\"public\""]),
            ("tenant-id", &["\"t\""]),
            ("client-id", &["\"c\""]),
        ],
    ),
    (
        (deployer as Asked, "deployer"),
        "airflow",
        &[
            ("url", &["\"http://127.0.0.1:8080\"", "\"http://127.0.0.1:8081\""]),
            ("dag", &["\"deploy\"", "\"other\""]),
            ("api", &["\"v2\"", "\"v1\""]),
            ("inputs", &["{}", "{ region = \"eu\" }"]),
            ("follow", &["{}", "{ cancel-at-deadline = true }"]),
            ("live", &["{ urls = [\"http://127.0.0.1:8081/live\"], pointer = \"/version\" }"]),
        ],
    ),
    (
        (deployer as Asked, "deployer"),
        "buildbot",
        &[
            ("url", &["\"http://127.0.0.1:8080\"", "\"http://127.0.0.1:8081\""]),
            ("builder", &["\"deploy\"", "\"other\""]),
            ("scheduler", &["\"rollback\"", "\"other\""]),
            ("inputs", &["{}", "{ region = \"eu\" }"]),
            ("follow", &["{}", "{ cancel-at-deadline = true }"]),
            ("live", &["{ urls = [\"http://127.0.0.1:8081/live\"], pointer = \"/version\" }"]),
        ],
    ),
    (
        (deployer as Asked, "deployer"),
        "github-actions",
        &[
            ("repository", &["\"team/fraud\"", "\"team/other\""]),
            ("workflow", &["\"deploy.yml\"", "\"other.yml\""]),
            ("branch", &["\"main\"", "\"other\""]),
            ("url", &["\"http://127.0.0.1:8080\"", "\"http://127.0.0.1:8081\""]),
            ("run-details", &["true", "false"]),
            ("inputs", &["{}", "{ region = \"eu\" }"]),
            ("follow", &["{}", "{ cancel-at-deadline = true }"]),
            ("live", &["{ urls = [\"http://127.0.0.1:8081/live\"], pointer = \"/version\" }"]),
        ],
    ),
    (
        (deployer as Asked, "deployer"),
        "gitlab",
        &[
            ("project", &["\"team/fraud\"", "\"team/other\""]),
            ("branch", &["\"main\"", "\"other\""]),
            ("url", &["\"http://127.0.0.1:8080\"", "\"http://127.0.0.1:8081\""]),
            ("tells-by", &["\"variables\"", "\"inputs\""]),
            ("inputs", &["{}", "{ region = \"eu\" }"]),
            ("follow", &["{}", "{ cancel-at-deadline = true }"]),
            ("live", &["{ urls = [\"http://127.0.0.1:8081/live\"], pointer = \"/version\" }"]),
        ],
    ),
    (
        (deployer as Asked, "deployer"),
        "vertex",
        &[
            ("project", &["\"acme-ml\"", "\"other\""]),
            ("location", &["\"europe-west4\"", "\"us-central1\""]),
            ("endpoint-id", &["\"5150\"", "\"5151\""]),
            ("model", &["\"4242\"", "\"4243\""]),
            ("undeploy", &["\"never\"", "\"left\""]),
            ("quota-project", &["\"one\"", "\"two\""]),
            ("endpoint", &["\"https://one.example\"", "\"https://two.example\""]),
        ],
    ),
    (
        (deployer as Asked, "deployer"),
        "batch",
        &[
            ("pointer", &["\"/srv/version\"", "\"/srv/other\""]),
            ("outputs", &["\"/srv/out\""]),
            ("stamp", &["{ name = \"scores-{version}-*.csv\" }"]),
        ],
    ),
    (
        (deployer as Asked, "deployer"),
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
        (deployer as Asked, "deployer"),
        "open-inference",
        &[
            ("url", &["\"http://127.0.0.1:8080\"", "\"http://127.0.0.1:8081\""]),
            ("model", &["\"fraud\"", "\"other\""]),
            ("model-directory", &["\"/srv/models/fraud\"", "\"/srv/models/other\""]),
            ("write", &["{ \"a.json\" = \"{version}\" }", "{ \"a.json\" = \"v{version}\" }"]),
        ],
    ),
    (
        (restorer as Asked, "restorer"),
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
        (restorer as Asked, "restorer"),
        "git",
        &[
            ("repository", &["\"http://127.0.0.1:1/settings\"", "\"http://127.0.0.1:1/others\""]),
            ("branch", &["\"main\"", "\"live\""]),
            ("path", &["\"limits.toml\"", "\"others.toml\""]),
            ("author-name", &["\"Ripcord\"", "\"Else\""]),
            ("author-email", &["\"a@example.org\"", "\"b@example.org\""]),
            ("reload", &["{ post = [\"http://127.0.0.1:1/r\"] }", "{ post = [\"http://127.0.0.1:2/r\"] }"]),
            ("read-back", &["{ urls = [\"http://127.0.0.1:1/v\"], header = \"x-revision\" }"]),
        ],
    ),
    (
        (restorer as Asked, "restorer"),
        "http",
        &[
            (
                "url",
                &[
                    "\"http://127.0.0.1:8080/flag\"",
                    "\"http://127.0.0.1:8080/other\"",
                    "\"http://127.0.0.1:8080/flag?tenant=a\"",
                ],
            ),
            ("write-url", &["\"http://127.0.0.1:8080/set\"", "\"http://127.0.0.1:8080/put\""]),
            ("reload", &["{ post = [\"http://127.0.0.1:1/r\"] }", "{ post = [\"http://127.0.0.1:2/r\"] }"]),
            ("read-back", &["{ urls = [\"http://127.0.0.1:1/v\"], header = \"x-revision\" }"]),
            ("pointer", &["\"/a\"", "\"/b\""]),
            ("revisions", &["{ off = 0, on = 1 }", "{ off = 0, on = 2 }"]),
            ("write", &["\"put-document\"", "\"merge-patch\"", "\"post-value\""]),
            ("etag", &["\"where-offered\"", "\"required\""]),
        ],
    ),
    (
        (restorer as Asked, "restorer"),
        "mlflow-prompt",
        &[
            ("url", &["\"http://127.0.0.1:5000\"", "\"http://127.0.0.1:5001\""]),
            ("prompt", &["\"fraud\"", "\"other\""]),
            ("alias", &["\"production\"", "\"live\""]),
            ("reload", &["{ post = [\"http://127.0.0.1:1/r\"] }", "{ post = [\"http://127.0.0.1:2/r\"] }"]),
            ("read-back", &["{ urls = [\"http://127.0.0.1:1/v\"], header = \"x-revision\" }"]),
        ],
    ),
    (
        (producer as Asked, "producer"),
        "checkpoint",
        &[
            (
                "from",
                &[
                    "{ folder = { root = \"/srv/training\" } }",
                    "{ folder = { root = \"/srv/other\" } }",
                    "{ folder = { root = \"/srv/training\", files = [\"model.*\"] } }",
                    "{ folder = { root = \"/srv/training\", run = \"r\" } }",
                ],
            ),
            ("name", &["\"{run}-{step}\"", "\"v-{run}-{step}\""]),
        ],
    ),
    (
        (producer as Asked, "producer"),
        "command",
        &[
            ("train", &["[\"./retrain\", \"{exclude}\"]", "[\"./retrain\", \"--slow\", \"{exclude}\"]"]),
            ("folder", &["\"/srv\"", "\"/opt\""]),
            ("pass-environment", &["[\"HOME\"]", "[\"LANG\"]"]),
            ("columns", &["{}", "{ source = \"origin\" }"]),
        ],
    ),
    (
        (producer as Asked, "producer"),
        "http",
        &[
            ("url", &["\"http://127.0.0.1:1/runs\"", "\"http://127.0.0.1:1/jobs\""]),
            (
                "status",
                &[
                    "\"http://127.0.0.1:1/runs/{key}\"",
                    "\"http://127.0.0.1:1/jobs/{key}\"",
                    "\"http://127.0.0.1:1/runs/{key}?of=me\"",
                ],
            ),
            ("run", &["\"/id\"", "\"/name\""]),
            ("honours-key", &["true", "false"]),
            ("state", &["\"/state\"", "\"/status\""]),
            ("running", &["[\"running\"]", "[\"going\"]"]),
            ("succeeded", &["[\"success\"]", "[\"done\"]"]),
            ("failed", &["[\"failed\"]", "[\"bad\"]"]),
            ("result", &["\"/result\"", "\"/version\""]),
            ("columns", &["{}", "{ source = \"origin\" }"]),
            ("parameters", &["{ epochs = 3 }", "{ epochs = 4 }"]),
        ],
    ),
    (
        (producer as Asked, "producer"),
        "airflow",
        &[
            ("url", &["\"http://127.0.0.1:8080\"", "\"http://127.0.0.1:8081\""]),
            ("dag", &["\"retrain\"", "\"other\""]),
            ("api", &["\"v2\"", "\"v1\""]),
            ("columns", &["{}", "{ source = \"origin\" }"]),
            ("conf", &["{ epochs = 3 }", "{ epochs = 4 }"]),
            ("xcom", &["{ task = \"register\" }", "{ task = \"other\" }"]),
        ],
    ),
    (
        (producer as Asked, "producer"),
        "airflow",
        &[
            ("url", &["\"http://127.0.0.1:8080\""]),
            ("dag", &["\"retrain\""]),
            ("version", &["\"night-{key}\"", "\"day-{key}\""]),
        ],
    ),
    (
        (promotes as Asked, "registry"),
        "mlflow",
        &[
            ("url", &["\"http://127.0.0.1:5000\"", "\"http://127.0.0.1:5001\""]),
            ("model", &["\"fraud\"", "\"other\""]),
            ("alias", &["\"production\"", "\"live\""]),
        ],
    ),
    (
        (promotes as Asked, "registry"),
        "oci",
        &[
            ("url", &["\"http://127.0.0.1:5000\"", "\"http://127.0.0.1:5001\""]),
            ("repository", &["\"models/fraud\"", "\"models/other\""]),
            ("alias", &["\"production\"", "\"live\""]),
        ],
    ),
    (
        (promotes as Asked, "registry"),
        "sagemaker",
        &[
            ("region", &["\"eu-west-1\"", "\"eu-west-2\""]),
            ("model", &["\"fraud\"", "\"other\""]),
            ("production-tag", &["\"production\"", "\"live\""]),
            ("endpoint", &["\"http://127.0.0.1:8080\"", "\"http://127.0.0.1:8081\""]),
        ],
    ),
    (
        (promotes as Asked, "registry"),
        "wandb",
        &[
            ("entity", &["\"acme\"", "\"other\""]),
            ("project", &["\"fraud\"", "\"other\""]),
            ("model", &["\"fraud\"", "\"other\""]),
            ("alias", &["\"production\"", "\"live\""]),
            ("url", &["\"http://127.0.0.1:8080\"", "\"http://127.0.0.1:8081\""]),
        ],
    ),
    (
        (registers as Asked, "registry"),
        "mlflow",
        &[
            ("experiment", &["0", "1"]),
            ("url", &["\"http://127.0.0.1:5000\"", "\"http://127.0.0.1:5001\""]),
            ("model", &["\"fraud\"", "\"other\""]),
        ],
    ),
    (
        (registers as Asked, "registry"),
        "directory",
        &[("root", &["\"/srv/registry\"", "\"/srv/other\""]), ("model", &["\"fraud\"", "\"other\""])],
    ),
];

#[test]
fn a_request_is_another_one_for_every_setting_that_matters_and_holds_no_secret() {
    for ((asked, _), kind, keys) in ALL {
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

/// Keys by which nothing else is sent to another place: by them an adapter reads, waits, proves or signs.
const NOT_SENT: [(&str, &str, &[&str]); 24] = [
    ("deployer", "batch", &["outputs", "pattern", "stamp"]),
    ("deployer", "command", &["live", "probe", "effect", "proof"]),
    ("deployer", "airflow", &["user", "live", "deadline-ms"]),
    ("deployer", "buildbot", &["user", "live", "deadline-ms"]),
    ("deployer", "github-actions", &["live", "deadline-ms"]),
    ("deployer", "gitlab", &["live", "deadline-ms"]),
    // Of those for a cluster many are, and need files: see `the_request_to_a_cluster_…`.
    (
        "deployer",
        "kserve",
        &[
            "model",
            "namespace",
            "model-uri",
            "kubeconfig",
            "context",
            "take-over",
            "mode",
            "probe-input",
            "probe-input-file",
            "probe-port",
            "deadline-ms",
        ],
    ),
    (
        "deployer",
        "kubernetes",
        &[
            "model",
            "namespace",
            "image",
            "variable",
            "value",
            "container",
            "kubeconfig",
            "context",
            "take-over",
            "service",
            "probe-input",
            "probe-input-file",
            "probe-model",
            "probe-port",
            "deadline-ms",
        ],
    ),
    (
        "deployer",
        "seldon",
        &[
            "model",
            "namespace",
            "resource",
            "model-uri",
            "image",
            "kubeconfig",
            "context",
            "take-over",
            "probe-input",
            "probe-input-file",
            "probe-model",
            "probe-port",
            "mesh",
            "answers",
            "deadline-ms",
        ],
    ),
    ("deployer", "sagemaker", &["version-tag", "access-key-id", "profile", "deadline-ms", "patience-ms"]),
    (
        "deployer",
        "azureml",
        // A cloud is its addresses, and one is configured.
        &["credentials", "tenant-id", "client-id", "cloud", "authority", "deadline-ms", "patience-ms"],
    ),
    (
        "deployer",
        "vertex",
        &["probe-input-file", "prediction-endpoint", "credentials-file", "deadline-ms", "patience-ms"],
    ),
    (
        "deployer",
        "open-inference",
        &["deadline-ms", "probe-input", "probe-input-file", "answers", "preflight-model"],
    ),
    ("restorer", "file", &["format", "keep", "read-back"]),
    ("restorer", "git", &["user", "read-back", "deadline-ms"]),
    ("restorer", "http", &["holder", "user", "read-back", "deadline-ms"]),
    ("restorer", "mlflow-prompt", &["user", "read-back", "deadline-ms", "patience-ms"]),
    ("producer", "command", &["makes"]),
    (
        "producer",
        "http",
        &["status-lag-ms", "why", "cancel", "cancel-method", "makes", "user", "deadline-ms"],
    ),
    ("producer", "airflow", &["makes", "user", "deadline-ms"]),
    ("registry", "mlflow", &["user", "deadline-ms", "patience-ms", "versions-max", "artefact-bytes-max"]),
    (
        "registry",
        "oci",
        &[
            "stages",
            "user",
            "tokens-from",
            "files-from",
            "deadline-ms",
            "patience-ms",
            "versions-max",
            "artefact-bytes-max",
        ],
    ),
    (
        "registry",
        "sagemaker",
        &[
            "access-key-id",
            "profile",
            "s3-endpoint",
            "deadline-ms",
            "patience-ms",
            "versions-max",
            "artefact-bytes-max",
        ],
    ),
    (
        "registry",
        "wandb",
        &["type", "files-from", "deadline-ms", "patience-ms", "versions-max", "artefact-bytes-max"],
    ),
];

#[test]
fn every_key_of_an_adapter_is_in_its_request_or_known_to_be_in_none() {
    fn keys_of<P: Port + ?Sized>(
        port: &'static str,
    ) -> impl Iterator<Item = (&'static str, &'static str, String)> {
        let key = move |kind: &'static str| move |key: ripcord_adapters::adapter::Key| (port, kind, key.name);
        // By these the host follows, whatever the adapter.
        let of_the_host = ["proof-min", "run-hours", "look-seconds"];
        let open = move |key: &ripcord_adapters::adapter::Key| {
            !key.secret && !of_the_host.contains(&key.name.as_str())
        };
        P::adapters().iter().flat_map(move |of| of.about().keys.into_iter().filter(open).map(key(of.kind())))
    }
    let mut unknown = Vec::new();
    let all =
        keys_of::<dyn Deployer>("deployer")
            .chain(keys_of::<dyn Restorer>("restorer"))
            .chain(keys_of::<dyn Producer>("producer"))
            .chain(keys_of::<dyn Registry>("registry").filter(|(_, kind, _)| {
                matches!(*kind, "mlflow" | "oci" | "sagemaker" | "wandb" | "directory")
            }));
    for (port, kind, key) in all {
        let of = |case: &&Case| case.0.1 == port && case.1 == kind;
        let varied = |case: &Case| case.2.iter().any(|(name, values)| *name == key && values.len() > 1);
        let not_sent = |(of_port, of_kind, keys): &(&str, &str, &[&str])| {
            *of_port == port && *of_kind == kind && keys.contains(&key.as_str())
        };
        if !ALL.iter().filter(of).any(varied) && !NOT_SENT.iter().any(not_sent) {
            unknown.push(format!("{port} {kind}: {key}"));
        }
    }
    assert!(unknown.is_empty(), "no case changes these, and nothing says why:\n{}", unknown.join("\n"));
}

#[test]
fn the_request_to_a_cluster_is_another_one_for_every_setting_that_matters() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let files = ["one", "two"].map(|name| {
        let contexts = ["here", "there"].map(|context| {
            format!("  - {{ name: {context}, context: {{ cluster: {context}, user: ripcord }} }}\n")
        });
        let clusters = ["here", "there"].map(|context| {
            format!("  - {{ name: {context}, cluster: {{ server: \"https://{context}.{name}.example\" }} }}\n")
        });
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: here\ncontexts:\n{}clusters:\n{}users:\n  - {{ name: ripcord, user: {{ token: {SECRET} }} }}\n",
            contexts.concat(),
            clusters.concat()
        );
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        format!("{:?}", path.to_str().unwrap())
    });
    let of = |kind: &str, own: &[(&str, [&str; 2])]| {
        let shared: [(&str, [&str; 2]); 5] = [
            ("model", ["\"fraud\"", "\"other\""]),
            ("namespace", ["\"ml\"", "\"other\""]),
            ("kubeconfig", [&files[0], &files[1]]),
            ("context", ["\"here\"", "\"there\""]),
            ("take-over", ["[]", "[\"argocd-controller\"]"]),
        ];
        let keys: Vec<_> = shared.iter().chain(own).collect();
        let asked = |changed: Option<&str>| {
            let value = |(key, values): &&(&str, [&str; 2])| {
                format!("{key} = {}", values[usize::from(changed == Some(*key))])
            };
            deployer(kind, &keys.iter().map(value).collect::<Vec<_>>().join(", "), None)
        };
        let usual = asked(None);
        assert!(!format!("{usual:?}").contains(SECRET), "{kind}: {usual:?}");
        for (key, _) in &keys {
            assert_ne!(asked(Some(key)).digest().unwrap(), usual.digest().unwrap(), "{kind}: {key}");
        }
    };
    let uri = ("model-uri", ["\"s3://models/fraud/{version}\"", "\"s3://other/fraud/{version}\""]);
    of("kserve", &[uri]);
    of("seldon", &[uri, ("resource", ["\"seldon-deployment\"", "\"model\""])]);
    of("seldon", &[("image", ["\"a:{version}\"", "\"b:{version}\""])]);
    of("kubernetes", &[("image", ["\"a:{version}\"", "\"b:{version}\""]), ("container", ["\"a\"", "\"b\""])]);
    of("kubernetes", &[("variable", ["\"A\"", "\"B\""]), ("value", ["\"{version}\"", "\"v{version}\""])]);
}

#[test]
fn a_producer_that_registers_says_into_what() {
    let request = producer("checkpoint", "from = { folder = { root = \"/srv/training\" } }", None);
    let from = |store: &str| {
        let s3 = format!("from = {{ s3 = {{ bucket = \"b\", unsigned = true, {store} }} }}");
        producer("checkpoint", &s3, None).digest().unwrap()
    };
    let stores =
        ["endpoint = \"http://127.0.0.1:1\"", "endpoint = \"http://127.0.0.1:2\"", "region = \"eu-west-1\""];
    assert!(stores.iter().all(|store| stores.iter().filter(|other| from(other) == from(store)).count() == 1));
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
