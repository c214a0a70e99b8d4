//! The registry of SageMaker against moto's, with its signatures and rights checked, and AWS's own client beside it.

use ripcord_adapters::Secret;
use ripcord_adapters::conformance::registry::{self, Expected};
use ripcord_adapters::conformance::registry_faults::{self, Steadiness};
use ripcord_adapters::fault_proxy::FaultProxy;
use ripcord_adapters::registry_sagemaker::{CONDEMNED_TAG, SageMakerRegistry, SageMakerRegistryConfig};
use ripcord_core::digest::Digest;
use ripcord_core::signal::Label;
use ripcord_core::target::{ArtefactFile, artefact_digest};
use ripcord_ports::registry::Mark;
use ripcord_ports::{Applied, ErrorKind, Registry};
use serde_json::{Value, json};

use super::server::{Checks, Key, Moto, Seed};
use crate::adapters::registry_sagemaker::spoken;
use crate::adapters::support::{Folders, empty_dir, shared, target, version};

const PAGE: &str = include_str!("../../src/registry_sagemaker/README.md");

fn policy() -> String {
    policy_of(PAGE)
}

/// The policy of a page. Moto compares no resource but S3's, and no condition: it is given the actions for all of them.
pub(super) fn policy_of(page: &str) -> String {
    let (_, rest) = page.split_once("```json\n").unwrap();
    let (text, _) = rest.split_once("```").unwrap();
    let mut policy: Value = serde_json::from_str(text).unwrap();
    for statement in policy["Statement"].as_array_mut().unwrap() {
        let statement = statement.as_object_mut().unwrap();
        statement.remove("Condition");
        if !statement["Resource"].as_str().is_some_and(|resource| resource.starts_with("arn:aws:s3:::")) {
            statement.insert("Resource".into(), json!("*"));
        }
    }
    policy.to_string()
}

async fn started(checks: Checks) -> Moto {
    // Two users, a key and a policy each.
    Moto::seeded(checks, Seed { script: "sagemaker_seed.py", argument: policy(), calls: 6 }).await
}

fn config(url: &str, key: &Key) -> SageMakerRegistryConfig {
    SageMakerRegistryConfig {
        region: "eu-west-1".into(),
        model: "fraud".into(),
        production_tag: Some("production".into()),
        access_key_id: Some(key.id.clone()),
        profile: None,
        endpoint: Some(url.to_owned()),
        s3_endpoint: Some(url.to_owned()),
        deadline_ms: 5_000,
        patience_ms: 3_000,
        versions_max: 200,
        artefact_bytes_max: 1 << 30,
    }
}

fn of(config: SageMakerRegistryConfig, key: &Key) -> SageMakerRegistry {
    SageMakerRegistry::new(config, Some(Secret::new(key.secret.clone())), &shared()).unwrap()
}

fn expected() -> Expected {
    let digest = |files: &[(&str, Vec<u8>)]| {
        let file = |(path, bytes): &(&str, Vec<u8>)| ArtefactFile {
            path: (*path).into(),
            sha256: Digest::of(bytes),
            bytes: bytes.len() as u64,
        };
        Some(artefact_digest(&files.iter().map(file).collect::<Vec<_>>()))
    };
    let newest_first = vec![
        target("3", digest(&[("model.tar.gz", vec![b'3'; 100_000])])),
        target("2", digest(&[("model.txt", b"2\n".to_vec()), ("weights/0.bin", vec![0; 1_000])])),
        target("1", digest(&[("model.tar.gz", b"1\n".to_vec())])),
    ];
    Expected { newest_first, marks: true, promotes: true }
}

/// What AWS's own client says.
pub(super) fn client(moto: &Moto, arguments: &[&str]) -> Value {
    let key = moto.fills();
    let all: Vec<&str> =
        [key.id.as_str(), key.secret.as_str()].into_iter().chain(arguments.iter().copied()).collect();
    let printed = moto.run("sagemaker_client.py", &all);
    serde_json::from_slice(&printed).unwrap_or_default()
}

fn tags(tags: &[Label]) -> Vec<(&str, &str)> {
    tags.iter().map(|tag| (tag.name.as_str(), tag.value.as_str())).collect()
}

#[tokio::test]
#[ignore = "needs moto: see the head of this suite"]
async fn a_group_conforms_with_the_least_rights_of_the_page() {
    let moto = started(Checks::SignaturesAndRights).await;
    let folders = Folders::default();
    let registry = of(config(&moto.url, moto.reads()), moto.reads());
    registry::conforms(&registry, &expected(), &|| folders.next()).await;
    let listed = registry.versions(10).await.unwrap();
    assert_eq!(listed[0].aliases, ["production"], "the suite ends with the newest promoted");
    assert_eq!(listed[1].tags, [Label::new("sagemaker:approval", "Approved")]);
    assert_eq!(tags(&listed[2].tags), [("sagemaker:approval", "Approved"), ("team", "payments")]);
    assert_eq!(listed[0].runtime.as_deref(), Some("123456789012.dkr.ecr.eu-west-1.amazonaws.com/sklearn:1"));
    // Moto adds a second tag of one key, where AWS gives the one another value.
    let last = client(&moto, &["tags"]).as_array().unwrap().last().cloned().unwrap();
    assert_eq!(last, json!({ "Key": "production", "Value": "3" }));
}

#[tokio::test]
#[ignore = "needs moto: see the head of this suite"]
async fn a_group_conforms_while_the_network_fails() {
    // The signature names the server that it is sent to, which is the proxy: this server is told not to check.
    let moto = started(Checks::Nothing).await;
    let proxy = FaultProxy::start(&moto.url).await.unwrap();
    let folders = Folders::default();
    let behind = of(config(&proxy.url(), moto.reads()), moto.reads());
    let expected = expected();
    registry_faults::conforms_in_faults(&behind, &proxy, &expected, Steadiness::Retries, &|| folders.next())
        .await;
}

#[tokio::test]
#[ignore = "needs moto: see the head of this suite"]
async fn a_hold_rejects_for_everybody_and_lifting_it_puts_the_approval_back() {
    let moto = started(Checks::SignaturesAndRights).await;
    let registry = of(config(&moto.url, moto.reads()), moto.reads());
    let described = || client(&moto, &["describe", "1"]);
    let (name, held) = (version("1"), Mark::Held { incident: "fraud-api:7" });
    registry.mark(&name, held).await.unwrap();
    let properties = json!({
        "team": "payments", "ripcord.hold": "fraud-api:7", "ripcord.condemned": "fraud-api:7",
        "ripcord.approval-before": "Approved",
    });
    let said = "Ripcord rolled back from it, incident fraud-api:7: do not deploy it.";
    let rejected = json!({
        "ModelApprovalStatus": "Rejected", "ApprovalDescription": said, "CustomerMetadataProperties": properties,
    });
    assert_eq!(described(), rejected);
    let shown = registry.version(&name).await.unwrap();
    let wanted = [
        (CONDEMNED_TAG, "fraud-api:7"),
        ("ripcord.hold", "fraud-api:7"),
        ("sagemaker:approval", "Rejected"),
        ("sagemaker:approval-description", said),
        ("team", "payments"),
    ];
    assert_eq!(tags(&shown.tags), wanted);
    assert_eq!(shown.broken, None, "what is held can be fetched");

    client(&moto, &["approve", "1"]);
    registry.mark(&name, held).await.unwrap();
    assert_eq!(described()["ModelApprovalStatus"], "Rejected", "a hold that stands is written again");
    registry.mark(&name, Mark::Lifted).await.unwrap();
    let lifted = described();
    assert_eq!(lifted["ModelApprovalStatus"], "Approved");
    let left = json!({ "team": "payments", "ripcord.condemned": "fraud-api:7" });
    assert_eq!(lifted["CustomerMetadataProperties"], left, "what was condemned stays so, and others' stay");

    let pending = version("3");
    registry.mark(&pending, held).await.unwrap();
    registry.mark(&pending, Mark::Lifted).await.unwrap();
    assert_eq!(client(&moto, &["describe", "3"])["ModelApprovalStatus"], "PendingManualApproval");
}

#[tokio::test]
#[ignore = "needs moto: see the head of this suite"]
async fn lineage_is_what_the_version_and_its_training_job_say() {
    let moto = started(Checks::SignaturesAndRights).await;
    let registry = of(config(&moto.url, moto.reads()), moto.reads());
    let lineage = registry.lineage(&version("2")).await.unwrap();
    assert_eq!(lineage.code.as_deref(), Some("abc123"));
    assert_eq!(lineage.run.as_deref(), Some("arn:aws:sagemaker:eu-west-1:123456789012:training-job/train-2"));
    assert_eq!(lineage.source.as_deref(), Some("s3://models/fraud/2/"));
    assert_eq!(lineage.parent, Some(target("1", None)));
    let parameters = [
        ("depth", "4"),
        ("loss", "mse"),
        ("sagemaker:project", "p-1"),
        ("sagemaker:repository", "https://git.example/fraud"),
    ];
    assert_eq!(tags(&lineage.parameters), parameters);
    let sets: Vec<_> =
        lineage.datasets.iter().map(|set| (set.name.as_str(), set.context.as_deref())).collect();
    assert_eq!(sets, [("s3://data/train/", Some("train")), ("s3://data/validation/", Some("validation"))]);
    let bare = registry.lineage(&version("3")).await.unwrap();
    assert_eq!((bare.code, bare.run, bare.datasets.len()), (None, None, 0));
}

#[tokio::test]
#[ignore = "needs moto: see the head of this suite"]
async fn what_is_gone_or_replaced_in_s3_is_told_before_and_refused_then() {
    let moto = started(Checks::SignaturesAndRights).await;
    let registry = of(config(&moto.url, moto.reads()), moto.reads());
    client(&moto, &["replace", "fraud/1/model.tar.gz", "other"]);
    client(&moto, &["delete", "fraud/3/model.tar.gz"]);
    for key in ["fraud/2/model.txt", "fraud/2/weights/0.bin"] {
        client(&moto, &["delete", key]);
    }
    client(&moto, &["replace", "fraud/2/", ""]);
    let listed = registry.versions(10).await.unwrap();
    let broken = |number: usize| listed[number].broken.as_deref().unwrap_or_default();
    let told = [
        (0, ErrorKind::NotFound, "it was deleted, or never uploaded"),
        (1, ErrorKind::NotFound, "there is no file below it"),
        (2, ErrorKind::WrongDigest, "was replaced since it was registered"),
    ];
    for (number, kind, expected) in told {
        assert!(broken(number).contains(expected), "{}", broken(number));
        let name = listed[number].version.version.as_str();
        let error = registry.fetch(&target(name, None), empty_dir().1).await.unwrap_err();
        assert_eq!((error.kind, error.applied), (kind, Applied::No), "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[tokio::test]
#[ignore = "needs moto: see the head of this suite"]
async fn all_pages_are_read_and_the_newest_come_first() {
    let moto = started(Checks::SignaturesAndRights).await;
    client(&moto, &["fill", "101"]);
    let registry = of(config(&moto.url, moto.reads()), moto.reads());
    // The oldest of a new process is on the second page.
    assert_eq!(registry.version(&version("1")).await.unwrap().version.version, version("1"));
    let listed = registry.versions(103).await.unwrap();
    let numbers: Vec<u64> = listed.iter().map(|one| one.version.version.as_str().parse().unwrap()).collect();
    assert_eq!(numbers, (2..=104).rev().collect::<Vec<_>>());
}

#[tokio::test]
#[ignore = "needs moto: see the head of this suite"]
async fn who_may_not_and_what_is_not_there_is_told_and_no_secret_is_shown() {
    let moto = started(Checks::SignaturesAndRights).await;
    let reads = moto.reads();
    let refused = async |config: SageMakerRegistryConfig, key: &Key, kind: ErrorKind, expected: &str| {
        let error = of(config, key).versions(9).await.unwrap_err();
        assert_eq!((error.kind, error.applied), (kind, Applied::No), "{error}");
        let text = format!("{error:?} {error}");
        assert!(text.contains(expected) && !text.contains(&key.secret), "{text}");
    };
    let good = || config(&moto.url, reads);
    let wrong = Key { id: reads.id.clone(), secret: "of-another-key".into() };
    refused(good(), &wrong, ErrorKind::Denied, "check the secret of the key").await;
    let unknown = Key { id: "AKIAUNKNOWN".into(), secret: "of-another-key".into() };
    refused(config(&moto.url, &unknown), &unknown, ErrorKind::Denied, "AWS does not know the key").await;
    let absent = SageMakerRegistryConfig { model: "churn".into(), production_tag: None, ..good() };
    refused(absent, reads, ErrorKind::NotFound, "no model package group `churn` in `eu-west-1`").await;

    let error = of(good(), reads).version(&version("9")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
    assert!(error.to_string().contains("has no version `9` of the model package group `fraud`"), "{error}");
    let shown = format!("{:?}", of(good(), reads));
    assert!(!shown.contains(&reads.secret), "{shown}");
    let (url, reads) = (moto.url.clone(), Key { id: reads.id.clone(), secret: reads.secret.clone() });
    drop(moto);
    let away = SageMakerRegistryConfig { patience_ms: 50, ..config(&url, &reads) };
    refused(away, &reads, ErrorKind::Unreachable, "found no connection").await;
}

/// No server is asked: AWS's own client carries what its service takes and says.
#[tokio::test]
#[ignore = "needs moto: see the head of this suite"]
async fn what_is_sent_and_what_is_read_is_in_the_contract_of_awss_own_client() {
    let moto = started(Checks::Nothing).await;
    let spoken = spoken().await;
    let operations: std::collections::BTreeSet<_> =
        spoken.as_array().unwrap().iter().map(|one| one[0].as_str().unwrap()).collect();
    let wanted = [
        "AddTags",
        "DescribeModelPackage",
        "DescribeModelPackageGroup",
        "DescribeTrainingJob",
        "ListModelPackages",
        "ListPipelineExecutionSteps",
        "ListTags",
        "UpdateModelPackage",
    ];
    assert_eq!(operations.into_iter().collect::<Vec<_>>(), wanted);
    assert_eq!(judge(&moto, &spoken), "");
    let wrong =
        judge(&moto, &json!([["AddTags", { "ResourceArn": "x", "Tag": [] }, { "Tags": [{ "Key": 7 }] }]]));
    for expected in ["Missing required parameter", "\"Tag\"", "Invalid type for parameter Tags[0].Key"] {
        assert!(wrong.contains(expected), "{wrong}");
    }
}

/// What of calls and answers is not in the contract, a line each.
pub(super) fn judge(moto: &Moto, spoken: &Value) -> String {
    String::from_utf8(moto.run("sagemaker_contract.py", &[&spoken.to_string()])).unwrap()
}
