//! What a user reads when the configuration is wrong: every mistake, at its place, with what to do. What is malformed or unknown is in
//! the table of the suite `bad_input`.

#![allow(clippy::unwrap_used, clippy::panic)]

use ripcord::config::{Config, SourceFile};
use ripcord_adapters::adapter::Port;
use ripcord_adapters::deployer_azureml::{AzureMlDeployerConfig, ScoringCode};
use ripcord_adapters::deployer_buildbot::BuildbotDeployerConfig;
use ripcord_adapters::deployer_kserve::{KserveDeployerConfig, KserveMode};
use ripcord_adapters::deployer_kubernetes::KubernetesDeployerConfig;
use ripcord_adapters::deployer_sagemaker::SageMakerDeployerConfig;
use ripcord_adapters::deployer_seldon::{SeldonDeployerConfig, SeldonResource};
use ripcord_adapters::deployer_vertex::{Undeploy, VertexDeployerConfig};
use ripcord_adapters::registry_azureml::AzureMlRegistryConfig;
use ripcord_adapters::registry_directory::DirectoryRegistryConfig;
use ripcord_adapters::registry_mlflow::MlflowRegistryConfig;
use ripcord_adapters::registry_objects::{ObjectsRegistryConfig, StoreConfig};
use ripcord_adapters::registry_oci::OciRegistryConfig;
use ripcord_adapters::registry_sagemaker::SageMakerRegistryConfig;
use ripcord_adapters::registry_vertex::VertexRegistryConfig;
use ripcord_adapters::registry_wandb::{URL_DEFAULT, WandbRegistryConfig};

/// A configuration without mistakes; tests break it.
const GOOD: &str = r#"
[host]
listen = "127.0.0.1:8787"

[people.ada]
roles = ["operator", "approver"]
token-file = "secrets/ada.token"

[sources.alertmanager]
kind = "alertmanager"
auth = { bearer-file = "secrets/am.token" }

[[sources.alertmanager.routes]]
match = { model = "fraud", severity = "*" }
service = "fraud-api"

[metrics.prometheus]
kind = "prometheus"
url = "http://127.0.0.1:9090"

[policies.fraud-rule]
file = "policies/fraud_rule.wasm"

[policies.fraud-plan]
file = "policies/fraud_plan.wasm"

[services.fraud-api]
mode = "ask"
criticality = "high"
model = "fraud"
floor = [{ role = "approver", people = 2 }]
registry = { kind = "directory", root = "registry" }
metrics = ["prometheus"]
deployer = { kind = "open-inference", url = "http://127.0.0.1:8080", model-directory = "models/fraud" }

[[services.fraud-api.triggers]]
policy = "fraud-rule"
settings = { limit = 0.2 }

[services.fraud-api.planner]
policy = "fraud-plan"
"#;

fn parse(text: &str) -> Result<Config, String> {
    let file = SourceFile { path: "ripcord.toml".into(), text: text.to_owned() };
    Config::parse(file).map_err(|error| error.to_string())
}

/// The good configuration with one piece replaced.
fn with(piece: &str, by: &str) -> String {
    assert_eq!(GOOD.matches(piece).count(), 1, "`{piece}` must be there once");
    let error = parse(&GOOD.replace(piece, by)).unwrap_err();
    error.trim_end().to_owned()
}

#[test]
fn the_good_one_is_good() {
    let config = parse(GOOD).unwrap_or_else(|error| panic!("{error}"));
    let service = config.service("fraud-api").unwrap();
    assert_eq!(service.floor[0].people, 2);
    assert_eq!(service.policies.len(), 2);
    let registry = service.registry.settings.of::<DirectoryRegistryConfig>().unwrap();
    assert_eq!(registry.model, "fraud");
    assert!(service.endpoint.is_some(), "the deployer's server is where it answers");
}

/// `examples/azureml/ripcord.toml`, which people copy.
#[test]
fn the_example_for_azure_ml_reads() {
    let config = parse(include_str!("../../../examples/azureml/ripcord.toml"))
        .unwrap_or_else(|error| panic!("{error}"));
    let registry =
        config.service("fraud-api").unwrap().registry.settings.of::<AzureMlRegistryConfig>().unwrap();
    assert_eq!((registry.model.as_str(), registry.workspace.as_deref()), ("fraud", Some("payments")));
    assert_eq!(
        (registry.production_tag.as_deref(), registry.registry.as_deref()),
        (Some("production"), None)
    );
}

/// `examples/vertex/ripcord.toml`, which people copy.
#[test]
fn the_example_for_vertex_ai_reads() {
    let config = parse(include_str!("../../../examples/vertex/ripcord.toml"))
        .unwrap_or_else(|error| panic!("{error}"));
    let registry =
        config.service("fraud-api").unwrap().registry.settings.of::<VertexRegistryConfig>().unwrap();
    assert_eq!((registry.model.as_str(), registry.alias.as_deref()), ("fraud", Some("default")));
    assert_eq!(registry.storage_endpoint, "https://storage.googleapis.com");
}

/// `examples/vertex/endpoint.toml` and `examples/azureml/endpoint.toml`, which people copy.
#[test]
fn the_examples_for_endpoints_of_vertex_ai_and_azure_ml_read() {
    let vertex = parse(include_str!("../../../examples/vertex/endpoint.toml"))
        .unwrap_or_else(|error| panic!("{error}"));
    let deployer = &vertex.service("fraud-api").unwrap().deployer.settings;
    let deployer = deployer.of::<VertexDeployerConfig>().unwrap();
    assert_eq!((deployer.endpoint_id.as_str(), deployer.model.as_str()), ("5150", "fraud"));
    assert_eq!(deployer.undeploy, Undeploy::Never);
    let azure = parse(include_str!("../../../examples/azureml/endpoint.toml"))
        .unwrap_or_else(|error| panic!("{error}"));
    let deployer = &azure.service("fraud-api").unwrap().deployer.settings;
    let deployer = deployer.of::<AzureMlDeployerConfig>().unwrap();
    assert_eq!((deployer.endpoint_name.as_str(), deployer.model.as_str()), ("fraud", "fraud"));
    assert_eq!(deployer.scoring_code, ScoringCode::Refuse);
}

/// `examples/kubernetes/ripcord.toml`, which people copy.
#[test]
fn the_example_for_kubernetes_reads() {
    let config = parse(include_str!("../../../examples/kubernetes/ripcord.toml"))
        .unwrap_or_else(|error| panic!("{error}"));
    let deployer =
        config.service("fraud-api").unwrap().deployer.settings.of::<KserveDeployerConfig>().unwrap();
    assert_eq!((deployer.model.as_str(), deployer.namespace.as_str()), ("fraud", "ml"));
    assert_eq!((deployer.mode, deployer.take_over.len()), (KserveMode::Knative, 1));
}

/// `examples/kubernetes/seldon.toml` and `deployment.toml`, which people copy.
#[test]
fn the_examples_for_seldon_and_deployments_read() {
    let read = |text: &str| parse(text).unwrap_or_else(|error| panic!("{error}"));
    let config = read(include_str!("../../../examples/kubernetes/seldon.toml"));
    let seldon = config.service("fraud-api").unwrap().deployer.settings.of::<SeldonDeployerConfig>().unwrap();
    assert_eq!((seldon.model.as_str(), seldon.resource), ("fraud", SeldonResource::SeldonDeployment));
    assert_eq!(seldon.model_uri.as_deref(), Some("s3://models/{model}/{version}"));
    let config = read(include_str!("../../../examples/kubernetes/deployment.toml"));
    let deployment =
        config.service("fraud-api").unwrap().deployer.settings.of::<KubernetesDeployerConfig>().unwrap();
    assert_eq!((deployment.model.as_str(), deployment.container.as_deref()), ("fraud", Some("main")));
    assert_eq!(deployment.image.as_deref(), Some("registry.example/{model}:{version}"));
}

/// `examples/oci/ripcord.toml`, which people copy.
#[test]
fn the_example_for_oci_registries_reads() {
    let config =
        parse(include_str!("../../../examples/oci/ripcord.toml")).unwrap_or_else(|error| panic!("{error}"));
    let registry = config.service("fraud-api").unwrap().registry.settings.of::<OciRegistryConfig>().unwrap();
    assert_eq!(
        (registry.repository.as_str(), registry.alias.as_deref()),
        ("models/fraud", Some("production"))
    );
    assert_eq!(registry.stages, ["staging", "development"]);
}

/// `examples/wandb/ripcord.toml`, which people copy.
#[test]
fn the_example_for_weights_and_biases_reads() {
    let config =
        parse(include_str!("../../../examples/wandb/ripcord.toml")).unwrap_or_else(|error| panic!("{error}"));
    let registry =
        config.service("fraud-api").unwrap().registry.settings.of::<WandbRegistryConfig>().unwrap();
    assert_eq!((registry.url.as_str(), registry.model.as_str()), (URL_DEFAULT, "fraud"));
    assert_eq!(registry.files_from, ["storage.googleapis.com"]);
    assert_eq!(
        config.sources.iter().filter(|source| source.adapter.settings.adapter().kind() == "wandb").count(),
        1
    );
}

/// `examples/objects/ripcord.toml`, which people copy.
#[test]
fn the_example_for_object_stores_reads() {
    let config = parse(include_str!("../../../examples/objects/ripcord.toml"))
        .unwrap_or_else(|error| panic!("{error}"));
    let registry = config.service("fraud-api").unwrap().registry.settings.of::<ObjectsRegistryConfig>();
    let registry = registry.unwrap();
    assert_eq!((registry.model.as_str(), registry.alias.as_deref()), ("fraud", Some("production")));
    let StoreConfig::S3(store) = &registry.store else { panic!("{:?}", registry.store) };
    assert_eq!((store.bucket.as_str(), store.prefix.as_str()), ("acme-models", "registry"));
}

/// `examples/sagemaker/ripcord.toml`, which people copy.
#[test]
fn the_example_for_sagemaker_reads() {
    let config = parse(include_str!("../../../examples/sagemaker/ripcord.toml"))
        .unwrap_or_else(|error| panic!("{error}"));
    let registry = &config.service("fraud-api").unwrap().registry;
    let settings = registry.settings.of::<SageMakerRegistryConfig>().unwrap();
    assert_eq!((settings.region.as_str(), settings.model.as_str()), ("eu-west-1", "fraud"));
    assert_eq!((settings.production_tag.as_deref(), &registry.secret), (Some("production"), &None));
    let deployer = &config.service("fraud-api").unwrap().deployer.settings;
    let deployer = deployer.of::<SageMakerDeployerConfig>().unwrap();
    assert_eq!((deployer.endpoint_name.as_str(), deployer.model.as_str()), ("fraud", "fraud"));
}

/// `examples/ci/ripcord.toml`, which people copy.
#[test]
fn the_example_for_ci_reads() {
    let config =
        parse(include_str!("../../../examples/ci/ripcord.toml")).unwrap_or_else(|error| panic!("{error}"));
    let deployer = &config.service("fraud-api").unwrap().deployer;
    let settings = deployer.settings.of::<BuildbotDeployerConfig>().unwrap();
    assert_eq!((settings.builder.as_str(), settings.scheduler.as_str()), ("deploy", "rollback"));
    assert_eq!(settings.live.model.as_deref(), Some("fraud"));
}

#[test]
fn mlflow_is_a_registry_with_a_password_for_a_user_and_a_token_without() {
    let registry = |keys: &str| -> Result<_, String> {
        let table = format!("registry = {{ kind = \"mlflow\", url = \"http://127.0.0.1:5000\"{keys} }}");
        let text = GOOD.replace("registry = { kind = \"directory\", root = \"registry\" }", &table);
        let config = parse(&text)?;
        let registry = &config.service("fraud-api").unwrap().registry;
        Ok((registry.settings.of::<MlflowRegistryConfig>().unwrap().clone(), registry.secret.clone()))
    };
    let (bare, secret) = registry("").unwrap();
    assert_eq!((bare.model.as_str(), bare.alias, secret), ("fraud", None, None));
    let (named, secret) =
        registry(", user = \"ripcord\", password-file = \"p\", alias = \"champion\"").unwrap();
    assert_eq!(named.user.as_deref(), Some("ripcord"));
    assert!(secret.is_some());
    assert!(registry(", token-env = \"MLFLOW_TOKEN\"").unwrap().1.is_some());
    for (keys, wrong) in [
        (", user = \"ripcord\", token-file = \"t\"", "token-file"),
        (", password-file = \"p\"", "password-file"),
    ] {
        let error = registry(keys).unwrap_err();
        assert!(error.contains(wrong), "{error}");
    }
}

#[test]
fn every_default_is_the_documented_one() {
    use ripcord_core::terms::{Breaker, Deadlines, Mode};
    let config = parse(&GOOD.replace("mode = \"ask\"", "")).unwrap_or_else(|error| panic!("{error}"));
    let service = config.service("fraud-api").unwrap();
    assert_eq!(service.mode, Mode::Observe);
    assert_eq!(service.breaker, Breaker::default());
    assert_eq!(service.deadlines, Deadlines::default());
    assert_eq!(service.schedule, None);
    assert!(config.host.listen.ip().is_loopback());
}

#[test]
fn relative_paths_start_from_the_file() {
    let file = SourceFile { path: "/etc/ripcord/ripcord.toml".into(), text: GOOD.to_owned() };
    let config = Config::parse(file).unwrap();
    assert_eq!(config.host.data, std::path::Path::new("/etc/ripcord/ripcord-data"));
    assert_eq!(
        config.policies["fraud-rule"].file,
        std::path::Path::new("/etc/ripcord/policies/fraud_rule.wasm")
    );
}

#[test]
fn a_key_twice() {
    insta::assert_snapshot!(with("mode = \"ask\"", "mode = \"ask\"\nmode = \"act\""));
}

#[test]
fn an_unknown_key_with_none_near() {
    insta::assert_snapshot!(with("[host]", "[host]\nworkers = 4"));
}

/// A key that the host takes out of a table itself is no advice for a table within.
#[test]
fn an_unknown_key_in_a_table_within_another() {
    let git = "[services.fraud-api.configurations.thresholds]\nkind = \"git\"\nrepository = \"settings\"\npath = \"fraud.toml\"";
    let error = parse(&format!("{GOOD}\n{git}\nreload = {{ proof-mn = \"answer\" }}\n")).unwrap_err();
    assert!(error.contains("unknown key `proof-mn`"), "{error}");
    assert!(error.contains("known keys: `command`, `deadline-ms`"), "{error}");
    assert!(!error.contains("`proof-min`"), "{error}");
}

/// Two that share a file or a history would each restore the other's revisions.
#[test]
fn two_configurations_in_one_place() {
    let of = |name: &str, file: &str, history: &str| {
        format!(
            "[services.fraud-api.configurations.{name}]\nkind = \"file\"\nfile = \"{file}\"\nhistory = \"{history}\"\n"
        )
    };
    let apart = [of("limits", "limits.toml", "limits"), of("prompt", "prompt.txt", "prompts")].concat();
    parse(&format!("{GOOD}\n{apart}")).unwrap();
    for (file, history) in [("limits.toml", "prompts"), ("prompt.txt", "limits")] {
        let shared = [of("limits", "limits.toml", "limits"), of("prompt", file, history)].concat();
        let error = parse(&format!("{GOOD}\n{shared}")).unwrap_err();
        assert!(error.contains("belongs to another configuration already"), "{error}");
    }
}

#[test]
fn an_unknown_table() {
    insta::assert_snapshot!(with("[metrics.prometheus]", "[metric.prometheus]"));
}

#[test]
fn a_wrong_type() {
    insta::assert_snapshot!(with("people = 2", "people = \"two\""));
}

#[test]
fn a_wrong_word() {
    insta::assert_snapshot!(with("\"ask\"", "\"obsrve\""));
}

#[test]
fn a_wrong_kind() {
    insta::assert_snapshot!(with("kind = \"directory\"", "kind = \"directry\""));
}

#[test]
fn a_missing_table() {
    insta::assert_snapshot!(with("registry = { kind = \"directory\", root = \"registry\" }", ""));
}

#[test]
fn a_route_to_an_unknown_service() {
    insta::assert_snapshot!(with("service = \"fraud-api\"", "service = \"fraud-ap\""));
}

#[test]
fn an_unknown_policy() {
    insta::assert_snapshot!(with("policy = \"fraud-rule\"", "policy = \"fraud-rul\""));
}

#[test]
fn an_unknown_metrics_source() {
    insta::assert_snapshot!(with("metrics = [\"prometheus\"]", "metrics = [\"promteheus\"]"));
}

#[test]
fn triggers_without_a_planner() {
    insta::assert_snapshot!(with("[services.fraud-api.planner]\npolicy = \"fraud-plan\"", ""));
}

#[test]
fn a_secret_in_the_file() {
    let shown = with("token-file = \"secrets/ada.token\"", "token = \"hunter2hunter2\"");
    assert!(!shown.contains("hunter2"), "{shown}");
    insta::assert_snapshot!(shown);
}

#[test]
fn a_password_in_an_address() {
    let shown = with("http://127.0.0.1:9090", "http://ada:hunter2@127.0.0.1:9090");
    assert!(!shown.contains("hunter2"), "{shown}");
    insta::assert_snapshot!(shown);
}

#[test]
fn a_source_that_anyone_can_use() {
    insta::assert_snapshot!(with("auth = { bearer-file = \"secrets/am.token\" }", ""));
}

/// How a sender proves who it is, is one thing, and what its webhooks look like another.
#[test]
fn every_kind_of_source_goes_with_every_proof() {
    let proofs = [
        "{ bearer-file = \"s\" }",
        "{ basic = { user = \"u\", password-file = \"s\" } }",
        "{ hmac = { secret-file = \"s\" } }",
        "{ mlflow = { secret-file = \"s\" } }",
        "{ wandb = { secret-file = \"s\" } }",
        "{ wandb = { secret-file = \"s\", token-file = \"t\" } }",
    ];
    for adapter in <dyn ripcord_ports::AlertSource as Port>::adapters() {
        for proof in proofs {
            let text = GOOD.replace("{ bearer-file = \"secrets/am.token\" }", proof);
            let more = if adapter.kind() == "json" { "\nrule = \"/title\"" } else { "" };
            let text =
                text.replace("kind = \"alertmanager\"", &format!("kind = \"{}\"{more}", adapter.kind()));
            let config =
                parse(&text).unwrap_or_else(|error| panic!("{} with {proof}: {error}", adapter.kind()));
            assert_eq!(config.sources[0].adapter.settings.adapter().kind(), adapter.kind());
        }
    }
}

#[test]
fn a_kind_of_source_that_there_is_not() {
    let error = with("kind = \"alertmanager\"", "kind = \"alertmanger\"");
    assert!(error.contains("there is no kind `alertmanger` in [sources.alertmanager]"), "{error}");
    assert!(error.contains("did you mean `alertmanager`?"), "{error}");
}

#[test]
fn webhooks_that_can_be_replayed_after_they_are_forgotten() {
    insta::assert_snapshot!(with(
        "kind = \"alertmanager\"\nauth = { bearer-file = \"secrets/am.token\" }",
        "kind = \"alertmanager\"\ndedupe-seconds = 600\nauth = { hmac = { secret-file = \"secrets/am.token\" } }"
    ));
    let longer = GOOD.replace(
        "kind = \"alertmanager\"\nauth = { bearer-file = \"secrets/am.token\" }",
        "kind = \"alertmanager\"\ndedupe-seconds = 601\nauth = { hmac = { secret-file = \"secrets/am.token\" } }",
    );
    assert!(
        longer != GOOD && parse(&longer).is_ok(),
        "a code is good for five minutes before its time and five after"
    );
}

#[test]
fn two_ways_to_authenticate() {
    insta::assert_snapshot!(with(
        "{ bearer-file = \"secrets/am.token\" }",
        "{ bearer-file = \"a\", basic = { user = \"am\", password-file = \"b\" } }"
    ));
}

#[test]
fn a_near_role() {
    insta::assert_snapshot!(with("\"operator\", \"approver\"]", "\"operater\"]"));
}

#[test]
fn a_name_that_cannot_be_one() {
    insta::assert_snapshot!(with("[people.ada]", "[people.\"ada lovelace\"]"));
}

#[test]
fn a_name_that_is_kept_for_sets() {
    let error = parse(&GOOD.replace("services.fraud-api", "services.\"set:fraud-api\"")).unwrap_err();
    assert!(error.contains("stands for sets of services"), "{error}");
}

/// The good configuration with a second service, and a set with these lines.
fn with_set(lines: &str) -> Result<Config, String> {
    let second = "[services.features]\nregistry = { kind = \"directory\", root = \"registry\" }\ndeployer = { kind = \"open-inference\", url = \"http://127.0.0.1:8080\", model-directory = \"models/features\" }\n";
    parse(&format!("{GOOD}\n{second}\n[sets.fraud]\n{lines}\n"))
}

#[test]
fn a_set_has_its_members_in_their_order() {
    use ripcord_core::plan::IfPartFails;
    use ripcord_core::set::SetDeadlines;
    use ripcord_core::terms::RequesterVote;
    let config = with_set(r#"members = ["features", "fraud-api"]"#).unwrap();
    let terms = config.set("fraud").unwrap().terms(Vec::new());
    let members: Vec<_> = terms.members.iter().map(ToString::to_string).collect();
    assert_eq!(members, ["features", "fraud-api"]);
    assert_eq!((terms.if_part_fails, terms.deadlines), (IfPartFails::Back, SetDeadlines::default()));
    assert_eq!((terms.requester_vote, terms.problem()), (RequesterVote::AloneOnly, None));
    let lines = r#"members = ["features", "fraud-api"]
if-part-fails = "forward"
floor = [{ role = "security", people = 2 }]
requester-counts = true
may-pull = ["release"]
deadlines = { run-seconds = 60, part-seconds = 0.5 }"#;
    let config = with_set(lines).unwrap();
    let set = config.set("fraud").unwrap();
    let terms = set.terms(Vec::new());
    assert_eq!((terms.if_part_fails, terms.requester_vote), (IfPartFails::Forward, RequesterVote::Counts));
    assert_eq!((terms.deadlines.run.0, terms.deadlines.part.0), (60_000, 500));
    assert_eq!((terms.floor[0].people, set.may_pull[0].as_str()), (2, "release"));
}

#[test]
fn sets_that_make_no_sense_are_refused_where_they_stand() {
    let members = |names: &str| format!("members = [{names}]");
    for (lines, said) in [
        (
            members(r#""features", "fraud-ap""#),
            "there is no service `fraud-ap`|did you mean `fraud-api`?|:48:24",
        ),
        (members(r#""features", "fraud-api", "features""#), "names a member twice|name each once|:48:37"),
        (members(r#""features""#), "fewer than two members|needs no set|:48:11"),
        (members(r#""features", "set:fraud""#), "has a set for a member|name services|:48:24"),
        (members(r#""features", "fraud""#), "`fraud` is a set|name the members of `fraud`|:48:24"),
        (members(r#""features", "a b""#), "`a b` is not a service name|:48:11"),
        (r#"if-part-fails = "back""#.to_owned(), "`members` is missing in [sets.fraud]"),
        (
            members(
                r#""features", "fraud-api"]
if-part-fails = "bck" #"#,
            ),
            "`bck`|did you mean `back`?|:49:",
        ),
        (
            members(
                r#""features", "fraud-api"]
approvals = [{ policy = "two-key" }"#,
            ),
            "unknown key `approvals` in [sets.fraud]|`floor`|:49:1",
        ),
        (
            members(
                r#""features", "fraud-api"]
deadlines = { shift-seconds = 3 } #"#,
            ),
            "unknown key `shift-seconds` in [sets.fraud.deadlines]|:49:",
        ),
        (
            members(
                r#""features", "fraud-api"]
floor = [{ role = "approver", people = -1 }"#,
            ),
            ":49:",
        ),
    ] {
        let error = with_set(&lines).unwrap_err();
        for part in said.split('|') {
            assert!(error.contains(part), "`{part}`: {lines}:\n{error}");
        }
    }
    let many: Vec<_> = (0..17).map(|number| format!("\"s{number}\"")).collect();
    assert!(with_set(&members(&many.join(", "))).unwrap_err().contains("more than 16 members"));
}

#[test]
fn a_set_whose_name_cannot_be_one() {
    let named = |name: &str| {
        parse(&format!("{GOOD}\n[sets.{name}]\nmembers = [\"fraud-api\", \"fraud-api\"]\n")).unwrap_err()
    };
    assert!(named("\"a b\"").contains("`a b` is not a set name"));
    assert!(named("\"set:fraud\"").contains("begins with `set:`"));
}

#[test]
fn a_key_that_is_no_public_key() {
    insta::assert_snapshot!(with("token-file = \"secrets/ada.token\"", "public-key = \"abc\""));
}

#[test]
fn a_time_that_is_none() {
    insta::assert_snapshot!(with("criticality = \"high\"", "schedule-seconds = -5"));
}

#[test]
fn waves_that_make_no_sense_are_refused_where_they_stand() {
    for (waves, line) in [
        (r#"[{ pause-seconds = 1 }]"#, "either a place or a share"),
        (r#"[{ place = "eu", share = 0.5, pause-seconds = 1 }]"#, "either a place or a share"),
        (r#"[{ share = 1.5, pause-seconds = 1 }]"#, "`1.5` is not a ratio"),
        (r#"[{ share = 0.5, pause-seconds = 1 }, { share = 0.25, pause-seconds = 1 }]"#, "let them rise"),
        (r#"[{ place = "eu", pause-seconds = 1 }, { share = 0.5, pause-seconds = 1 }]"#, "by one of them"),
        (r#"[{ place = "eu" }]"#, "pause-seconds"),
        (r#"[{ place = "eu", pause-seconds = 1, size = 2 }]"#, "unknown key `size`"),
        (r#"[{ place = "eu", pause-seconds = 1000000 }]"#, "shorten it"),
        ("3", "list of tables"),
    ] {
        let said = with("criticality = \"high\"", &format!("waves = {waves}"));
        assert!(said.contains(line) && said.contains("ripcord.toml:29:"), "{waves}: {said}");
    }
    let waves = r#"waves = [{ share = 0.25, pause-seconds = 300 }, { share = 1, pause-seconds = 0.5 }]"#;
    let config = parse(&GOOD.replace("criticality = \"high\"", waves)).unwrap();
    let waves = &config.services[0].waves.waves;
    let told: Vec<_> = waves.iter().map(|wave| format!("{}, {}", wave.moves, wave.pause)).collect();
    assert_eq!(told, ["25 % of the traffic, 5 min", "100 % of the traffic, 500 ms"]);
}

#[test]
fn two_people_with_one_secret() {
    insta::assert_snapshot!(with(
        "[sources.alertmanager]",
        "[people.bob]\nroles = [\"approver\"]\ntoken-file = \"secrets/ada.token\"\n\n[sources.alertmanager]"
    ));
}

#[test]
fn several_mistakes_at_once() {
    let text = GOOD
        .replace("listen = \"127.0.0.1:8787\"", "listen = \"localhost\"")
        .replace("mode = \"ask\"", "mode = \"asks\"\nfloors = 1")
        .replace("people = 2", "people = -1")
        .replace("url = \"http://127.0.0.1:9090\"", "");
    insta::assert_snapshot!(parse(&text).unwrap_err());
}

#[test]
fn any_text_is_read_or_refused_and_never_panics() {
    // Every prefix, and every line left out.
    for (end, _) in GOOD.char_indices() {
        let _ = parse(&GOOD[..end]).map_err(|error| error.len());
    }
    let lines: Vec<_> = GOOD.lines().collect();
    for left_out in 0..lines.len() {
        let text: Vec<_> =
            lines.iter().enumerate().filter(|(index, _)| *index != left_out).map(|(_, line)| *line).collect();
        let _ = parse(&text.join("\n")).map_err(|error| error.len());
    }
}

#[test]
fn a_file_that_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("none.toml");
    let error = Config::load(&path).unwrap_err().to_string();
    assert!(error.starts_with("there is no configuration at `") && error.contains("ripcord init"), "{error}");
}

/// What a configuration says whose file of allowed signers has these lines, and which has these people.
fn with_signers(lines: &str, people: &str) -> Result<Config, String> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("signers"), lines).unwrap();
    let text = format!("[host]\nallowed-signers = \"signers\"\n{people}");
    let file = SourceFile { path: folder.path().join("ripcord.toml"), text };
    Config::parse(file).map_err(|error| error.to_string())
}

const SSH_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti ada@laptop";

#[test]
fn people_have_the_keys_of_their_principal() {
    let people = "[people.ada]\nroles = [\"approver\"]\nprincipal = \"ada@example.com\"\n[people.bob]\nroles = [\"approver\"]\ntoken-env = \"T\"\n";
    let lines = format!(
        "ada@example.com {SSH_KEY}\nada@example.com namespaces=\"git\" ssh-rsa AAAA\neve cert-authority {SSH_KEY}\n"
    );
    let config = with_signers(&lines, people).unwrap_or_else(|error| panic!("{error}"));
    let keys: Vec<_> = config.people.iter().map(|person| person.signers().len()).collect();
    assert_eq!(keys, [1, 0]);
    assert!(config.people[0].signers()[0].key.shown().starts_with("SHA256:"));
}

#[test]
fn allowed_signers_that_do_not_do() {
    let ada = "[people.ada]\nroles = [\"approver\"]\ntoken-env = \"T\"\n";
    let two = format!("{ada}[people.bob]\nroles = [\"approver\"]\ntoken-env = \"U\"\n");
    let named = "[people.ada]\nroles = [\"approver\"]\ntoken-env = \"T\"\nprincipal = \"ada@example.com\"\n";
    let nobody = "[people.ada]\nroles = [\"approver\"]\n";
    for (lines, people, wanted) in [
        (format!("ada cert-authority {SSH_KEY}"), ada, "line 1: `cert-authority` is not taken"),
        ("\n# me\nada ssh-rsa AAAA".to_owned(), ada, "line 3: it is no public key of OpenSSH"),
        (format!("ada valid-after=\"20260101\" {SSH_KEY}"), ada, "write it in UTC, with a `Z`"),
        (format!("\"ada {SSH_KEY}"), ada, "line 1: a quotation mark that is not closed"),
        (format!("* {SSH_KEY}"), two.as_str(), "prove who they are with the same secret or key"),
        (format!("ada {SSH_KEY}"), named, "is about the principal `ada@example.com`"),
        (format!("ada namespaces=\"git\" {SSH_KEY}"), nobody, "`ada` cannot prove who they are"),
    ] {
        let said = with_signers(&lines, people).expect_err(&lines).replace('\n', " ");
        assert!(said.contains(wanted), "{lines}: {said}");
    }
    // One key in two forms is one key.
    let point: String = SSH_POINT.iter().map(|byte| format!("{byte:02x}")).collect();
    let both = format!("{ada}[people.bob]\nroles = [\"approver\"]\npublic-key = \"{point}\"\n");
    let said = with_signers(&format!("ada {SSH_KEY}"), &both).unwrap_err();
    assert!(said.contains("with the same secret or key"), "{said}");
    let gone = "[host]\nallowed-signers = \"nothing\"\n";
    assert!(parse(gone).unwrap_err().contains("nothing` cannot be read"));
    assert!(parse(named).unwrap_err().contains("nothing knows the principal `ada@example.com`"));
}

/// Of the same key, as its 32 bytes.
const SSH_POINT: [u8; 32] = [
    0xb3, 0x3e, 0xae, 0xf3, 0x7e, 0xa2, 0xdf, 0x7c, 0xaa, 0x01, 0x0d, 0xef, 0xde, 0xa3, 0x4e, 0x24, 0x1f,
    0x65, 0xf1, 0xb5, 0x29, 0xa4, 0xf4, 0x3e, 0xd1, 0x43, 0x27, 0xf5, 0xc5, 0x4a, 0xab, 0x62,
];

#[test]
fn allowed_signers_that_others_may_write() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("signers");
    std::fs::write(&path, format!("ada {SSH_KEY}")).unwrap();
    let text = "[host]\nallowed-signers = \"signers\"\n[people.ada]\nroles = [\"approver\"]\n".to_owned();
    for (mode, is_well) in [(0o644, true), (0o600, true), (0o666, false), (0o664, false)] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let file = SourceFile { path: folder.path().join("ripcord.toml"), text: text.clone() };
        let read = Config::parse(file).map(|_| ()).map_err(|error| error.to_string());
        assert_eq!(read.is_ok(), is_well, "{mode:o}: {read:?}");
        if let Err(said) = read {
            assert!(said.contains("decides who may vote") && said.contains("chmod 644"), "{said}");
        }
    }
}
