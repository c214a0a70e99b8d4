//! What SageMaker answers in half, in pages without an end, or refuses, and what people read then. Its own ways are tested against moto (`tests/moto`).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use ripcord_adapters::Secret;
use ripcord_adapters::registry_sagemaker::{SageMakerRegistry, SageMakerRegistryConfig};
use ripcord_core::signal::Label;
use ripcord_ports::registry::Mark;
use ripcord_ports::{Applied, ErrorKind, PortError, Registry, Retry};
use serde_json::{Value, json};

use super::support::{Server, empty_dir, shared, target, version};

const SECRET: &str = "s3cret-of-the-key";
const MODEL: &[u8] = b"weights";

pub(crate) fn config(url: &str) -> SageMakerRegistryConfig {
    SageMakerRegistryConfig {
        region: "eu-west-1".into(),
        model: "fraud".into(),
        production_tag: Some("production".into()),
        access_key_id: Some("AKIDRIPCORD".into()),
        profile: None,
        endpoint: Some(url.to_owned()),
        s3_endpoint: Some(url.to_owned()),
        deadline_ms: 1_000,
        patience_ms: 50,
        versions_max: 100,
        artefact_bytes_max: 1 << 20,
    }
}

fn of(config: SageMakerRegistryConfig) -> SageMakerRegistry {
    SageMakerRegistry::new(config, Some(Secret::new(SECRET)), &shared()).unwrap()
}

/// A status, headers, and a body.
pub(crate) type Said = (u16, Vec<(&'static str, String)>, Vec<u8>);

pub(crate) fn says(status: u16, body: &Value) -> Said {
    (status, vec![("content-type", "application/x-amz-json-1.1".into())], body.to_string().into_bytes())
}

/// An error as AWS words it.
pub(crate) fn refuses(name: &str, message: &str) -> Said {
    says(400, &json!({ "__type": format!("com.amazonaws.sagemaker#{name}"), "message": message }))
}

fn package(number: &str) -> Value {
    json!({
        "ModelPackageArn": format!("arn:aws:sagemaker:eu-west-1:1:model-package/fraud/{number}"),
        "ModelPackageVersion": number.parse::<u64>().unwrap(), "CreationTime": 1_790_000_000.5, "ModelPackageStatus": "Completed",
        "ModelApprovalStatus": "Approved", "CustomerMetadataProperties": { "team": "payments" },
        "ModelLifeCycle": { "Stage": "Production", "StageStatus": "InProgress", "StageDescription": null },
        "InferenceSpecification": { "Containers": [{ "Image": "img", "ImageDigest": "sha256:1", "ModelDataUrl": "s3://models/fraud/model.bin" }] },
    })
}

/// What a calm SageMaker says to an operation.
fn usual(operation: &str, body: &Value) -> Value {
    let listed = |number: u64| {
        json!({
            "ModelPackageArn": format!("arn:aws:sagemaker:eu-west-1:1:model-package/fraud/{number}"), "ModelPackageVersion": number,
        })
    };
    match operation {
        "ListModelPackages" => {
            json!({ "ModelPackageSummaryList": [listed(2), listed(1)], "NextToken": null })
        }
        "DescribeModelPackage" => {
            package(body["ModelPackageName"].as_str().unwrap().rsplit('/').next().unwrap())
        }
        "DescribeModelPackageGroup" => {
            json!({ "ModelPackageGroupArn": "arn:aws:sagemaker:eu-west-1:1:model-package-group/fraud" })
        }
        "ListTags" => {
            json!({ "Tags": [{ "Key": "production", "Value": "1" }, { "Key": "cost", "Value": "7" }] })
        }
        "AddTags" => json!({ "Tags": [] }),
        "DescribeTrainingJob" => training_job(body["TrainingJobName"].as_str().unwrap()),
        "ListPipelineExecutionSteps" => steps(),
        "UpdateModelPackage" => json!({ "ModelPackageArn": body["ModelPackageArn"] }),
        other => panic!("nobody asks for {other}"),
    }
}

fn object() -> Said {
    let headers = vec![("etag", "\"e1\"".into()), ("last-modified", "Sat, 28 Nov 2026 05:00:00 GMT".into())];
    (200, headers, MODEL.to_vec())
}

/// A version with every field that is read.
fn whole_package(number: &str) -> Value {
    let mut whole = package(number);
    let source =
        |uri: &str| json!({ "S3Uri": uri, "S3DataType": "S3Prefix", "CompressionType": "None", "ETag": "e" });
    let additional = json!({ "S3Uri": "s3://models/w/", "S3DataType": "S3Prefix", "ETag": "e" });
    whole["InferenceSpecification"] = json!({ "Containers": [
        { "Image": "img", "ContainerHostname": "pre", "ModelDataUrl": "s3://models/fraud/model.bin", "ModelDataETag": "e1" },
        {
            "Image": "img", "ImageDigest": "sha256:1", "ModelDataSource": { "S3DataSource": source("s3://models/a/") },
            "AdditionalS3DataSource": additional,
            "AdditionalModelDataSources": [{ "ChannelName": "draft", "S3DataSource": source("s3://models/d/") }],
        },
    ] });
    whole["ApprovalDescription"] = json!("by Ada");
    whole["ModelPackageStatusDetails"] = json!({
        "ValidationStatuses": [{ "Name": "x", "Status": "Failed", "FailureReason": "no" }], "ImageScanStatuses": [],
    });
    whole["MetadataProperties"] = json!({
        "CommitId": "abc", "Repository": "r", "ProjectId": "p",
        "GeneratedBy": EXECUTION,
    });
    whole["SourceAlgorithmSpecification"] = json!({ "SourceAlgorithms": [{ "AlgorithmName": "xgboost" }] });
    whole
}

const EXECUTION: &str = "arn:aws:sagemaker:eu-west-1:123456789012:pipeline/train/execution/e1";

/// What a pipeline did, two of it trainings.
fn steps() -> Value {
    let trained = |name: &str| json!({ "StepName": name, "StepStatus": "Succeeded", "Metadata": { "TrainingJob": { "Arn": format!("arn:aws:sagemaker:eu-west-1:123456789012:training-job/{name}") } } });
    let other = json!({ "StepName": "check", "StepStatus": "Succeeded", "Metadata": { "Condition": { "Outcome": "True" } } });
    json!({ "PipelineExecutionSteps": [trained("t-2"), other, { "StepName": "bare" }, trained("t-1")] })
}

fn training_job(name: &str) -> Value {
    let file_system = json!({
        "FileSystemId": "fs-0123456789", "DirectoryPath": "/d", "FileSystemType": "EFS", "FileSystemAccessMode": "ro",
    });
    json!({
        "TrainingJobArn": format!("arn:aws:sagemaker:eu-west-1:123456789012:training-job/{name}"), "HyperParameters": { "depth": "4" },
        "InputDataConfig": [
            { "ChannelName": "train", "DataSource": { "S3DataSource": { "S3Uri": "s3://data/", "S3DataType": "S3Prefix" } } },
            { "ChannelName": "more", "DataSource": { "FileSystemDataSource": file_system } },
        ],
    })
}

/// What is sent of each operation and what is read of its answer, as `[operation, sent, read]`: for the vendor's own contract to judge.
pub(crate) async fn spoken() -> Value {
    let fake = Fake::start(|name, _, calm| match name {
        "DescribeModelPackage" => says(200, &whole_package("2")),
        "GET /models" => (
            200,
            Vec::new(),
            b"<?xml version=\"1.0\"?><ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"
                .to_vec(),
        ),
        _ => calm,
    })
    .await;
    let registry = of(config(&fake.url()));
    registry.versions(1).await.unwrap();
    let lineage = registry.lineage(&version("2")).await.unwrap();
    assert_eq!((lineage.run.as_deref(), lineage.datasets.len()), (Some(EXECUTION), 4));
    assert_eq!(
        (lineage.datasets[0].name.as_str(), lineage.datasets[2].name.as_str()),
        ("s3://data/", "fs-0123456789/d")
    );
    let parameters: Vec<_> = lineage.parameters.iter().map(|label| label.name.as_str()).collect();
    let own = ["sagemaker:project", "sagemaker:repository", "sagemaker:source-algorithm"];
    assert_eq!(parameters, [&own[..], &["t-1:depth", "t-2:depth"]].concat());
    registry.mark(&version("2"), Mark::Held { incident: "fraud-api:7" }).await.unwrap_err();
    registry.promote(&version("2"), Some(&version("1"))).await.unwrap_err();
    let asked = fake.asked.lock().unwrap();
    let spoken = asked.iter().filter(|(name, ..)| !name.contains(' ')).map(|(name, sent, _)| {
        let read = match name.as_str() {
            "DescribeModelPackage" => whole_package("2"),
            other => usual(other, sent),
        };
        json!([name, sent, read])
    });
    spoken.collect()
}

struct Fake {
    server: Server,
    asked: Arc<Mutex<Vec<(String, Value, HeaderMap)>>>,
}

impl Fake {
    /// Whose answers `twist` may change, by the operation, or by method and path where S3 is asked, and by how often it was asked before.
    async fn start(twist: impl Fn(&str, usize, Said) -> Said + Send + Sync + 'static) -> Self {
        let asked: Arc<Mutex<Vec<(String, Value, HeaderMap)>>> = Arc::default();
        let seen = Arc::clone(&asked);
        let twist = Arc::new(twist);
        let answer = async move |method: Method, uri: Uri, headers: HeaderMap, body: String| -> Response {
            let target = headers.get("x-amz-target").map(|target| target.to_str().unwrap().to_owned());
            let body: Value = serde_json::from_str(&body).unwrap_or_default();
            let operation = match &target {
                Some(target) => target.strip_prefix("SageMaker.").unwrap().to_owned(),
                None => format!("{method} {}", uri.path()),
            };
            let before = {
                let mut seen = seen.lock().unwrap();
                let before = seen.iter().filter(|(name, ..)| *name == operation).count();
                seen.push((operation.clone(), body.clone(), headers));
                before
            };
            let calm = if target.is_some() { says(200, &usual(&operation, &body)) } else { object() };
            let (status, headers, body) = twist(&operation, before, calm);
            let mut response = (StatusCode::from_u16(status).unwrap(), body).into_response();
            for (name, value) in headers {
                response.headers_mut().insert(name, value.parse().unwrap());
            }
            response
        };
        Self { server: Server::start(Router::new().fallback(answer)).await, asked }
    }

    async fn calm() -> Self {
        Self::start(|_, _, calm| calm).await
    }

    /// One whose answer to an operation is another.
    async fn saying(operation: &'static str, other: impl Fn(usize) -> Said + Send + Sync + 'static) -> Self {
        Self::start(move |name, before, calm| if name == operation { other(before) } else { calm }).await
    }

    fn url(&self) -> String {
        self.server.url("")
    }

    fn count(&self, operation: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|(name, ..)| name == operation).count()
    }

    fn last(&self, operation: &str) -> (Value, HeaderMap) {
        let asked = self.asked.lock().unwrap();
        let (_, body, headers) = asked.iter().rev().find(|(name, ..)| name == operation).unwrap();
        (body.clone(), headers.clone())
    }
}

async fn listing(fake: &Fake) -> PortError {
    of(config(&fake.url())).versions(10).await.unwrap_err()
}

#[tokio::test]
async fn calls_are_signed_with_the_key_and_the_region_and_versions_are_told_with_their_stages() {
    let fake = Fake::calm().await;
    let listed = of(config(&fake.url())).versions(10).await.unwrap();
    let (body, headers) = fake.last("ListModelPackages");
    let signature = headers["authorization"].to_str().unwrap();
    assert!(signature.starts_with("AWS4-HMAC-SHA256 Credential=AKIDRIPCORD/"), "{signature}");
    assert!(signature.contains("/eu-west-1/sagemaker/aws4_request"), "{signature}");
    let signed = "SignedHeaders=content-type;host;x-amz-content-sha256;x-amz-date;x-amz-target,";
    assert!(signature.contains(signed), "{signature}");
    let wanted = json!({
        "ModelPackageGroupName": "fraud", "SortBy": "CreationTime", "SortOrder": "Descending", "MaxResults": 100,
    });
    assert_eq!(body, wanted);
    let names: Vec<_> = listed.iter().map(|one| one.version.version.as_str()).collect();
    assert_eq!(names, ["2", "1"], "the number tells apart what was made in one moment");
    assert_eq!((listed[0].aliases.len(), listed[1].aliases[0].as_str()), (0, "production"));
    let tags = [
        Label::new("sagemaker:approval", "Approved"),
        Label::new("sagemaker:stage", "Production"),
        Label::new("sagemaker:stage-status", "InProgress"),
        Label::new("team", "payments"),
    ];
    assert_eq!(
        (listed[0].tags.as_slice(), listed[0].runtime.as_deref()),
        (tags.as_slice(), Some("img@sha256:1"))
    );
    assert_eq!((listed[0].broken.as_deref(), listed[0].created_at.0), (None, 1_790_000_000_500));
    let none = SageMakerRegistryConfig { production_tag: None, ..config(&fake.url()) };
    let registry = of(none);
    assert_eq!(registry.promoted().await.unwrap_err().kind, ErrorKind::Unsupported);
    assert!(registry.request_to_promote(&version("1")).is_none());
    let asked = fake.count("ListTags");
    registry.versions(10).await.unwrap();
    assert_eq!(fake.count("ListTags"), asked, "tags are not asked for where nothing hangs on them");
}

#[tokio::test]
async fn each_refusal_is_told_with_what_to_do() {
    let skewed = "Signature expired: 20261128T050000Z is now earlier than 20261128T053000Z";
    let denied =
        "User: arn:aws:iam::1:user/ripcord is not authorized to perform: sagemaker:ListModelPackages";
    use ErrorKind::{BadAnswer, Denied, Failed, NotFound};
    let table: [(Said, ErrorKind, Retry, &str); 15] = [
        (
            refuses("ExpiredTokenException", "The security token included in the request is expired"),
            Denied,
            Retry::No,
            "the session is at its end",
        ),
        (refuses("InvalidSignatureException", skewed), Denied, Retry::No, "have it set by a time server"),
        (
            refuses("SignatureDoesNotMatch", "The request signature we calculated does not match"),
            Denied,
            Retry::No,
            "check the secret of the key",
        ),
        (
            refuses("UnrecognizedClientException", "The security token included in the request is invalid."),
            Denied,
            Retry::No,
            "AWS does not know the key",
        ),
        (
            refuses("AccessDeniedException", denied),
            Denied,
            Retry::No,
            "allow `sagemaker:ListModelPackages` to who asks",
        ),
        (refuses("ThrottlingException", "Rate exceeded"), Failed, Retry::Later, "have fewer services ask"),
        (
            refuses("ValidationException", "ModelPackageGroup arn:x does not exist."),
            NotFound,
            Retry::No,
            "no model package group `fraud` in `eu-west-1`",
        ),
        (
            refuses("ValidationException", "1 validation error detected: \u{1b}[2J"),
            Failed,
            Retry::No,
            "`ValidationException: 1 validation error detected: \\u{1b}[2J`",
        ),
        (refuses("UnknownOperationException", ""), Failed, Retry::No, "check `endpoint`"),
        (refuses("InternalFailure", "sorry"), Failed, Retry::No, "answered 400"),
        ((401, vec![], b"who?".to_vec()), Denied, Retry::No, "answered 401: `who?`"),
        ((403, vec![], b"<html>proxy</html>".to_vec()), Denied, Retry::No, "answered 403"),
        ((404, vec![], vec![]), NotFound, Retry::No, "no model package group"),
        ((500, vec![], b"oops".to_vec()), Failed, Retry::Later, "answered 500: `oops`"),
        (
            (200, vec![("content-type", "text/html".into())], b"<title>Sign in".to_vec()),
            BadAnswer,
            Retry::No,
            "`text/html` that is not the JSON expected here",
        ),
    ];
    for (said, kind, retry, expected) in table {
        let fake = Fake::saying("ListModelPackages", move |_| said.clone()).await;
        let error = listing(&fake).await;
        assert_eq!((error.kind, error.retry, error.applied), (kind, retry, Applied::No), "{error}");
        let text = format!("{error} {error:?}");
        assert!(text.contains(expected) && !text.contains(SECRET), "{text}");
    }
    // The name may stand in the header alone.
    let fake = Fake::saying("ListModelPackages", |_| {
        (400, vec![("x-amzn-errortype", "AccessDeniedException:".into())], b"{}".to_vec())
    })
    .await;
    assert!(listing(&fake).await.to_string().contains("allow `sagemaker:ListModelPackages`"));
}

#[tokio::test]
async fn what_passes_is_asked_again_and_no_sooner_than_wanted() {
    let table: [Said; 3] = [
        refuses("ThrottlingException", "Rate exceeded"),
        (429, vec![("retry-after", "0".into())], vec![]),
        (503, vec![], vec![]),
    ];
    for said in table {
        let fake =
            Fake::start(
                move |name, before, calm| {
                    if name == "DescribeModelPackage" && before == 0 { said.clone() } else { calm }
                },
            )
            .await;
        let patient = SageMakerRegistryConfig { patience_ms: 5_000, ..config(&fake.url()) };
        assert_eq!(of(patient).versions(10).await.unwrap().len(), 2);
        assert_eq!(fake.count("DescribeModelPackage"), 3);
    }
    let fake = Fake::saying("ListModelPackages", |_| (429, vec![("retry-after", "30".into())], vec![])).await;
    let error = listing(&fake).await;
    assert_eq!(
        (error.retry, fake.count("ListModelPackages")),
        (Retry::After(ripcord_core::time::Millis(30_000)), 1)
    );
    let fake = Fake::calm().await;
    let slow = FaultProxyOf::slow(&fake).await;
    let error = of(SageMakerRegistryConfig { deadline_ms: 100, ..config(&slow.url()) })
        .versions(1)
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::TimedOut, "{error}");
}

/// A proxy that lets everybody wait.
struct FaultProxyOf;

impl FaultProxyOf {
    async fn slow(fake: &Fake) -> ripcord_adapters::fault_proxy::FaultProxy {
        use ripcord_adapters::fault_proxy::{Fault, FaultProxy, Which};
        let proxy = FaultProxy::start(&fake.url()).await.unwrap();
        proxy.order(Which::Any, Fault::Delay(Duration::from_millis(400)), usize::MAX);
        proxy
    }
}

#[tokio::test]
async fn a_list_that_makes_no_sense_is_not_used() {
    let listed = |number: Value| json!({ "ModelPackageArn": "arn:x/fraud/2", "ModelPackageVersion": number });
    let table = [
        (
            json!({ "ModelPackageSummaryList": [listed(json!(2)), listed(json!(2))] }),
            "lists version `2` of `fraud` twice",
        ),
        (
            json!({ "ModelPackageSummaryList": [listed(Value::Null)] }),
            "a version of `fraud` without a number",
        ),
        (
            json!({ "ModelPackageSummaryList": [listed(json!(2))], "NextToken": "again" }),
            "gives a token that was used already",
        ),
        (json!({}), "not the JSON expected here"),
    ];
    for (answer, expected) in table {
        let fake = Fake::saying("ListModelPackages", move |_| says(200, &answer)).await;
        let error = listing(&fake).await;
        assert_eq!(error.kind, ErrorKind::BadAnswer, "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    }
    let number = AtomicUsize::new(0);
    let endless = move |_| {
        let next = number.fetch_add(1, Ordering::Relaxed);
        says(200, &json!({ "ModelPackageSummaryList": [], "NextToken": format!("next-{next}") }))
    };
    let fake = Fake::saying("ListModelPackages", endless).await;
    let error = listing(&fake).await;
    assert_eq!((error.kind, fake.count("ListModelPackages")), (ErrorKind::TooLarge, 100), "{error}");
    let table = [
        ("CreationTime", json!(-1.0), "which is no time after 1970"),
        ("ModelPackageVersion", json!(7), "answered about another"),
    ];
    for (key, value, expected) in table {
        let fake = Fake::saying("DescribeModelPackage", move |_| {
            let mut other = package("2");
            other[key] = value.clone();
            says(200, &other)
        })
        .await;
        let error = of(config(&fake.url())).version(&version("2")).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::BadAnswer, "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    }
    let fake =
        Fake::saying("ListModelPackages", |_| says(200, &json!({ "ModelPackageSummaryList": [] }))).await;
    assert_eq!(of(config(&fake.url())).versions(10).await.unwrap(), [], "a group may be empty");
    let fake = Fake::saying("ListTags", |_| {
        says(200, &json!({ "Tags": [{ "Key": "production", "Value": "the good one" }] }))
    })
    .await;
    let error = of(config(&fake.url())).promoted().await.unwrap_err();
    assert!(error.to_string().contains("says `the good one`, which is no number"), "{error}");
}

#[tokio::test]
async fn what_cannot_be_fetched_is_broken_and_hides_nothing_else() {
    let of_second = |key: &'static str, value: Value| {
        move |name: &str, _: usize, calm: Said| {
            let mut body: Value = serde_json::from_slice(&calm.2).unwrap_or_default();
            if name != "DescribeModelPackage" || body["ModelPackageVersion"] != 2 {
                return calm;
            }
            body[key] = value.clone();
            says(200, &body)
        }
    };
    let failed = json!({ "ValidationStatuses": [{ "Name": "x", "Status": "Failed", "FailureReason": "no\u{1b}such image" }] });
    let containers = |url: &str| json!({ "Containers": [{ "ModelDataUrl": url }] });
    let fakes = [
        (Fake::start(of_second("ModelPackageStatus", json!("Failed"))).await, "SageMaker calls it `Failed`"),
        (Fake::start(of_second("InferenceSpecification", Value::Null)).await, "names no model data"),
        (
            Fake::start(of_second("InferenceSpecification", containers("https://elsewhere/m"))).await,
            "begins with `s3://`",
        ),
        (
            Fake::start(of_second("InferenceSpecification", containers("s3://models/a/\u{1b}b"))).await,
            "control characters",
        ),
    ];
    for (fake, expected) in &fakes {
        let listed = of(config(&fake.url())).versions(10).await.unwrap();
        let broken: Vec<_> = listed.iter().map(|one| one.broken.as_deref().unwrap_or_default()).collect();
        assert!(broken[0].contains(expected) && broken[1].is_empty(), "{broken:?}");
        assert!(!broken[0].contains('\u{1b}'), "{broken:?}");
    }
    let both = Fake::start(move |name, before, calm| {
        let calm = of_second("ModelPackageStatus", json!("Failed"))(name, before, calm);
        of_second("ModelPackageStatusDetails", failed.clone())(name, before, calm)
    })
    .await;
    let listed = of(config(&both.url())).versions(10).await.unwrap();
    assert_eq!(listed[0].broken.as_deref(), Some("SageMaker calls it `Failed`: no\\u{1b}such image"));
}

#[tokio::test]
async fn an_object_is_taken_whole_and_as_it_was_found_or_not_at_all() {
    let fetch = async |fake: &Fake, config: SageMakerRegistryConfig| {
        let _ = fake;
        of(config).fetch(&target("1", None), empty_dir().1).await
    };
    let calm = Fake::calm().await;
    let staged = fetch(&calm, config(&calm.url())).await.unwrap();
    assert_eq!(
        (staged.files.len(), staged.files[0].path.as_str(), staged.files[0].bytes),
        (1, "model.bin", 7)
    );
    let (_, headers) = calm.last("GET /models/fraud/model.bin");
    assert_eq!(headers["if-match"], "\"e1\"");
    assert!(headers["authorization"].to_str().unwrap().contains("/eu-west-1/s3/aws4_request"));
    let small = SageMakerRegistryConfig { artefact_bytes_max: 6, ..config(&calm.url()) };
    assert_eq!(fetch(&calm, small).await.unwrap_err().kind, ErrorKind::TooLarge);

    let (get, head) = ("GET /models/fraud/model.bin", "HEAD /models/fraud/model.bin");
    let with_etag = |etag: &str, body: &[u8]| {
        let (status, mut headers, _) = object();
        headers[0].1 = etag.to_owned();
        (status, headers, body.to_vec())
    };
    let xml = |status: u16, code: &str| {
        let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>m</Message></Error>");
        (status, vec![("content-type", "application/xml".to_owned())], body.into_bytes())
    };
    use ErrorKind::{BadAnswer, Configuration, Denied, NotFound};
    let table: [(&'static str, Said, ErrorKind, &str); 11] = [
        (get, with_etag("\"e2\"", MODEL), BadAnswer, "what came is not what was found a moment before"),
        (get, with_etag("\"e1\"", b"weight"), BadAnswer, "what came is not what was found"),
        (get, xml(412, "PreconditionFailed"), BadAnswer, "what came is not what was found"),
        (get, (200, vec![], b"<title>Sign in</title>".to_vec()), BadAnswer, "not what was found"),
        (head, (200, vec![], b"<title>Sign in</title>".to_vec()), BadAnswer, "gave no ETag"),
        (get, xml(403, "AccessDenied"), Denied, "allow `s3:GetObject` there"),
        (get, xml(400, "ExpiredToken"), Denied, "the session is at its end"),
        (get, xml(403, "RequestTimeTooSkewed"), Denied, "have it set by a time server"),
        (get, xml(400, "AuthorizationHeaderMalformed"), Configuration, "of another region than `region`"),
        (head, (404, vec![], vec![]), NotFound, "it was deleted, or never uploaded"),
        (head, (400, vec![], vec![]), Denied, "S3 gave no reason"),
    ];
    for (call, said, kind, expected) in table {
        let fake = Fake::saying(call, move |_| said.clone()).await;
        let error = fetch(&fake, config(&fake.url())).await.unwrap_err();
        assert_eq!((error.kind, error.applied), (kind, Applied::No), "{error}");
        let text = format!("{error} {error:?}");
        assert!(text.contains(expected) && !text.contains(SECRET), "{text}");
    }
}

#[tokio::test]
async fn a_change_that_may_have_happened_is_not_sent_again_and_counts_when_it_is_read() {
    let fake = Fake::calm().await;
    let registry = of(SageMakerRegistryConfig { patience_ms: 2_000, ..config(&fake.url()) });
    let held = Mark::Held { incident: "fraud-api:7" };
    let error = registry.mark(&version("2"), held).await.unwrap_err();
    assert_eq!(error.applied, Applied::Unknown);
    assert!(
        error.to_string().contains(
            "answered that the approval of version `2` of `fraud` was changed, and it reads as before"
        ),
        "{error}"
    );
    let (body, _) = fake.last("UpdateModelPackage");
    let wanted = json!({
        "ModelPackageArn": "arn:aws:sagemaker:eu-west-1:1:model-package/fraud/2", "ModelApprovalStatus": "Rejected",
        "ApprovalDescription": "Ripcord rolled back from it, incident fraud-api:7: do not deploy it.",
        "CustomerMetadataProperties": {
            "team": "payments", "ripcord.hold": "fraud-api:7", "ripcord.condemned": "fraud-api:7", "ripcord.approval-before": "Approved",
        },
    });
    assert_eq!(body, wanted);
    let error = registry.promote(&version("2"), Some(&version("1"))).await.unwrap_err();
    assert_eq!((error.applied, fake.count("AddTags")), (Applied::Unknown, 1), "{error}");
    let error = registry.promote(&version("2"), None).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::Conflict, Applied::No));
    assert!(error.to_string().contains("points at version `1` where nothing was expected"), "{error}");
    assert_eq!(fake.count("AddTags"), 1);
    for (said, times) in [((500, vec![], vec![]), 1), (refuses("ThrottlingException", "Rate exceeded"), 2)] {
        let fake = Fake::saying("UpdateModelPackage", move |_| said.clone()).await;
        let registry = of(SageMakerRegistryConfig { patience_ms: 400, ..config(&fake.url()) });
        registry.mark(&version("2"), held).await.unwrap_err();
        assert!(fake.count("UpdateModelPackage") >= times, "{}", fake.count("UpdateModelPackage"));
        if times == 1 {
            assert_eq!(fake.count("UpdateModelPackage"), 1, "a failure within may have had its effect");
        }
    }
}

#[test]
fn what_cannot_work_is_refused_at_once() {
    let refused = |config: SageMakerRegistryConfig, secret: Option<&str>, expected: &str| {
        let error = SageMakerRegistry::new(config, secret.map(Secret::new), &shared()).err().unwrap();
        assert_eq!(error.kind, ErrorKind::Configuration);
        assert!(error.to_string().contains(expected) && !error.to_string().contains(SECRET), "{error}");
    };
    let good = || config("http://127.0.0.1:1");
    let secret = Some(SECRET);
    refused(SageMakerRegistryConfig { region: "Europe".into(), ..good() }, secret, "cannot be a `region`");
    refused(
        SageMakerRegistryConfig { model: "fraud model".into(), ..good() },
        secret,
        "cannot be a model package group",
    );
    refused(
        SageMakerRegistryConfig { model: "arn:aws:sagemaker:eu-west-1:1:model/x".into(), ..good() },
        secret,
        "its whole ARN",
    );
    refused(
        SageMakerRegistryConfig { production_tag: Some("aws:x".into()), ..good() },
        secret,
        "cannot be `production-tag`",
    );
    refused(SageMakerRegistryConfig { deadline_ms: 0, ..good() }, secret, "`deadline-ms`");
    refused(
        SageMakerRegistryConfig { endpoint: Some("https://h/path".into()), ..good() },
        secret,
        "`endpoint` has a path",
    );
    refused(
        SageMakerRegistryConfig { s3_endpoint: Some("http://u:p@h".into()), ..good() },
        secret,
        "`s3-endpoint` holds a user",
    );
    refused(good(), None, "its secret is missing");
    refused(SageMakerRegistryConfig { access_key_id: None, ..good() }, secret, "no `access-key-id`");
    refused(SageMakerRegistryConfig { profile: Some("x".into()), ..good() }, secret, "exclude each other");
    let arn = "arn:aws:sagemaker:eu-west-1:1:model-package-group/fraud";
    let shared_group = SageMakerRegistryConfig { model: arn.into(), ..good() };
    assert!(SageMakerRegistry::new(shared_group, Some(Secret::new(SECRET)), &shared()).is_ok());
}

#[tokio::test]
async fn lineage_is_that_of_every_training_of_the_pipeline() {
    // It says for itself what was expected of it.
    spoken().await;
    let gone = Fake::start(|name, _, calm| match name {
        "DescribeModelPackage" => says(200, &whole_package("2")),
        "ListPipelineExecutionSteps" => refuses("ResourceNotFound", "no such execution"),
        _ => calm,
    })
    .await;
    let lineage = of(config(&gone.url())).lineage(&version("2")).await.unwrap();
    assert_eq!(
        (lineage.code.as_deref(), lineage.datasets.len()),
        (Some("abc"), 0),
        "what is gone hides nothing else"
    );
    let many = Fake::start(|name, _, calm| match name {
        "DescribeModelPackage" => says(200, &whole_package("2")),
        "ListPipelineExecutionSteps" => {
            let one = steps()["PipelineExecutionSteps"][0].clone();
            says(200, &json!({ "PipelineExecutionSteps": vec![one; 21] }))
        }
        _ => calm,
    })
    .await;
    assert_eq!(of(config(&many.url())).lineage(&version("2")).await.unwrap_err().kind, ErrorKind::TooLarge);
}
