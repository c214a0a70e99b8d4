//! What Google refuses, answers in half or in pages without an end, and what the configuration may not say.

use std::path::Path;

use ripcord_adapters::registry_vertex::{VertexRegistry, VertexRegistryConfig};
use ripcord_ports::registry::Mark;
use ripcord_ports::{Applied, ErrorKind, PortError, Registry, Retry};
use serde_json::{Value, json};

use super::{config, of, seeded};
use crate::adapters::support::{empty_dir, shared, target, version};
use crate::vertex::fake::{Vertex, reason, refusal};

/// Without patience, so that each refusal is seen once.
fn hasty(fake: &Vertex) -> VertexRegistry {
    of(VertexRegistryConfig { patience_ms: 0, ..config(fake) })
}

async fn listed(fake: &Vertex, status: u16, body: &Value) -> PortError {
    fake.instead(":listVersions", status, body.to_string());
    let error = hasty(fake).versions(10).await.unwrap_err();
    fake.straight();
    assert_eq!(error.applied, Applied::No, "{error}");
    error
}

/// Status, code, details; and what they are taken for, with a part of the sentence.
type Case = (u16, &'static str, Vec<Value>, ErrorKind, Retry, &'static str);

#[tokio::test]
async fn each_refusal_says_what_to_do() {
    let (fake, _) = seeded().await;
    let info = |name: &str, metadata: Value| vec![reason(name, metadata)];
    let permission =
        json!({ "permission": "aiplatform.models.list", "resource": "//aiplatform.googleapis.com/x" });
    let none = Vec::new();
    let cases: Vec<Case> = vec![
        (
            401,
            "UNAUTHENTICATED",
            none.clone(),
            ErrorKind::Denied,
            Retry::No,
            "does not take the token of the login in `",
        ),
        (
            403,
            "PERMISSION_DENIED",
            info("IAM_PERMISSION_DENIED", permission),
            ErrorKind::Denied,
            Retry::No,
            "the permission `aiplatform.models.list` in the project `acme-ml`",
        ),
        (
            403,
            "PERMISSION_DENIED",
            none.clone(),
            ErrorKind::Denied,
            Retry::No,
            "the permission `aiplatform.models.get` and `aiplatform.models.list`",
        ),
        (
            403,
            "PERMISSION_DENIED",
            info("SERVICE_DISABLED", json!({ "service": "aiplatform.googleapis.com" })),
            ErrorKind::Denied,
            Retry::No,
            "`aiplatform.googleapis.com` is switched off in the project: switch it on with `gcloud services enable`",
        ),
        (
            403,
            "PERMISSION_DENIED",
            info("ACCESS_TOKEN_SCOPE_INSUFFICIENT", json!({})),
            ErrorKind::Denied,
            Retry::No,
            "needs the scope `cloud-platform`",
        ),
        (
            403,
            "PERMISSION_DENIED",
            info("USER_PROJECT_DENIED", json!({})),
            ErrorKind::Denied,
            Retry::No,
            "take out `quota-project`",
        ),
        (
            403,
            "PERMISSION_DENIED",
            info("SECURITY_POLICY_VIOLATED", json!({})),
            ErrorKind::Denied,
            Retry::No,
            "a perimeter of VPC Service Controls",
        ),
        (
            404,
            "NOT_FOUND",
            none.clone(),
            ErrorKind::NotFound,
            Retry::No,
            "the model's id and not its display name: `projects/acme-ml/locations/europe-west4/models/4242`",
        ),
        (
            409,
            "ABORTED",
            none.clone(),
            ErrorKind::Failed,
            Retry::Later,
            "someone else changed the same at that moment",
        ),
        (
            400,
            "FAILED_PRECONDITION",
            none.clone(),
            ErrorKind::Failed,
            Retry::No,
            "cannot answer as things stand",
        ),
        (
            412,
            "FAILED_PRECONDITION",
            none.clone(),
            ErrorKind::Failed,
            Retry::No,
            "cannot answer as things stand",
        ),
        (400, "INVALID_ARGUMENT", none.clone(), ErrorKind::Failed, Retry::No, "does not accept the call"),
        (
            429,
            "RESOURCE_EXHAUSTED",
            none.clone(),
            ErrorKind::Failed,
            Retry::Later,
            "have the quota of the project `acme-quota` raised",
        ),
        (500, "INTERNAL", none.clone(), ErrorKind::Failed, Retry::Later, "answered 500"),
        (503, "UNAVAILABLE", none.clone(), ErrorKind::Failed, Retry::Later, "answered 503"),
        (504, "DEADLINE_EXCEEDED", none.clone(), ErrorKind::TimedOut, Retry::Later, "answered 504"),
    ];
    for (status, code, details, kind, retry, wanted) in cases {
        let error =
            listed(&fake, status, &refusal(status, code, "It\u{1b}[31m was refused.", &details)).await;
        assert_eq!((error.kind, error.retry), (kind, retry), "{error}");
        let text = error.to_string();
        assert!(text.contains(wanted) && text.contains("was refused.") && !text.contains('\u{1b}'), "{text}");
    }
}

#[tokio::test]
async fn the_time_that_is_asked_for_is_given() {
    let (fake, _) = seeded().await;
    let details = [json!({ "@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "30.5s" })];
    let error = listed(&fake, 429, &refusal(429, "RESOURCE_EXHAUSTED", "Quota exceeded.", &details)).await;
    assert_eq!(error.retry, Retry::After(ripcord_core::time::Millis(30_500)), "{error}");
    let body = refusal(429, "RESOURCE_EXHAUSTED", "Quota exceeded.", &details);
    fake.instead_with(":listVersions", 429, &body, ("retry-after", "7"));
    let error = hasty(&fake).versions(10).await.unwrap_err();
    assert_eq!(
        error.retry,
        Retry::After(ripcord_core::time::Millis(7_000)),
        "a header counts first: {error}"
    );
}

#[tokio::test]
async fn what_is_no_answer_of_googles_is_told_as_such() {
    let (fake, _) = seeded().await;
    fake.instead(":listVersions", 404, "<!DOCTYPE html><title>Error 404 (Not Found)!!1</title>");
    let error = hasty(&fake).versions(10).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::BadAnswer);
    assert!(error.to_string().contains("check `location`, `endpoint` and `storage-endpoint`"), "{error}");
    for (body, wanted) in [
        ("<html>", "not the JSON expected"),
        ("[]", "without a version"),
        (r#"{"models": 7}"#, "not the JSON expected"),
        ("{}", "without a version"),
        (r#"{"models": [{}]}"#, "without the number of a version"),
        (r#"{"models": [{"versionId": "-1"}]}"#, "without the number of a version"),
        (r#"{"models": [{"versionId": "1"}]}"#, "that it was made at"),
        (r#"{"models": [{"versionId": "1", "createTime": "\u001b[31myesterday"}]}"#, "that it was made at"),
    ] {
        fake.instead(":listVersions", 200, body);
        let error = hasty(&fake).versions(10).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::BadAnswer, "{body}: {error}");
        assert!(
            error.to_string().contains(wanted) && !error.to_string().contains('\u{1b}'),
            "{body}: {error}"
        );
    }
    let twice = r#"{"models": [{"versionId": "1", "createTime": "2026-11-01T00:00:00Z"}, {"versionId": "1", "createTime": "2026-11-02T00:00:00Z"}]}"#;
    fake.instead(":listVersions", 200, twice);
    let error = hasty(&fake).versions(10).await.unwrap_err();
    assert!(
        error.to_string().contains("lists version `1`") && error.to_string().contains("twice"),
        "{error}"
    );
    for path in ["@1", "@default"] {
        fake.instead(path, 200, r#"{"versionId": "2"}"#);
        let registry = hasty(&fake);
        let error = if path == "@1" {
            registry.version(&version("1")).await.unwrap_err()
        } else {
            registry.promoted().await.unwrap_err()
        };
        assert_eq!(error.kind, ErrorKind::BadAnswer, "{error}");
    }
    fake.instead("/storage/", 200, "{}");
    let (_folder, dir) = empty_dir();
    let error = hasty(&fake).fetch(&target("1", None), dir).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::BadAnswer, "an answer without its kind is no empty list: {error}");
}

#[tokio::test]
async fn pages_that_never_end_are_an_error() {
    let (fake, _) = seeded().await;
    fake.twist(|path, mut answer| {
        if path.ends_with(":listVersions") {
            answer["nextPageToken"] = "again".into();
        }
        answer
    });
    let error = hasty(&fake).versions(10).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::BadAnswer);
    assert!(error.to_string().contains("a place to go on from that was read already"), "{error}");
    let counter = std::sync::atomic::AtomicUsize::new(0);
    fake.twist(move |path, mut answer| {
        if path.ends_with(":listVersions") {
            let number = counter.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            answer["nextPageToken"] = format!("page-{number}").into();
        }
        answer
    });
    let error = hasty(&fake).versions(10).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::TooLarge, "{error}");
}

#[tokio::test]
async fn a_name_that_is_no_number_is_no_version_and_is_not_asked_for() {
    let (fake, _) = seeded().await;
    for name in ["default", "01", "v1", "99"] {
        let error = hasty(&fake).version(&version(name)).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::NotFound, "{error}");
        assert!(error.to_string().contains(&format!("no version `{name}`")), "{error}");
    }
    assert!(
        fake.seen().iter().all(|call| !call.path.contains("@default")),
        "an alias is not taken for a version"
    );
}

#[tokio::test]
async fn a_refused_change_is_told_with_what_is_known_of_it() {
    let (fake, _) = seeded().await;
    let registry = hasty(&fake);
    let promote = async || registry.promote(&version("2"), Some(&version("1"))).await.unwrap_err();
    let merge = ":mergeVersionAliases";
    for (status, code, applied, wanted) in [
        (403, "PERMISSION_DENIED", Applied::No, "the permission `aiplatform.models.update`"),
        (409, "ABORTED", Applied::No, "it can be done again"),
        (400, "FAILED_PRECONDITION", Applied::No, "it is no longer what it was"),
        (412, "FAILED_PRECONDITION", Applied::No, "it is no longer what it was"),
        (500, "INTERNAL", Applied::Unknown, "answered 500"),
        (503, "UNAVAILABLE", Applied::Unknown, "answered 503"),
    ] {
        fake.instead(merge, status, refusal(status, code, "No.", &[]).to_string());
        let error = promote().await;
        assert_eq!(error.applied, applied, "{error}");
        assert!(error.to_string().contains(wanted), "{error}");
    }
    fake.instead(merge, 200, json!({ "versionId": "2", "versionAliases": ["default"] }).to_string());
    let error = promote().await;
    assert!(error.to_string().contains("it reads as before"), "{error}");
    let error = registry.mark(&version("2"), Mark::Held { incident: "fraud-api:7" }).await.unwrap_err();
    assert!(error.to_string().contains("it reads as before"), "{error}");
    fake.instead(merge, 200, json!({ "versionId": "3" }).to_string());
    assert_eq!(promote().await.applied, Applied::Unknown, "another version was answered about");
    fake.straight();
    let error = registry.promote(&version("2"), Some(&version("3"))).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Conflict);
    assert!(error.to_string().contains("points at version `1` where version `3` was expected"), "{error}");
    let error = registry.promote(&version("9"), Some(&version("1"))).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::NotFound, Applied::No), "{error}");
    assert!(error.to_string().contains("has no version `9`"), "{error}");
}

#[tokio::test]
async fn lineage_that_may_not_be_seen_is_an_error_and_no_lineage_without() {
    let (fake, _) = seeded().await;
    let refused = refusal(403, "PERMISSION_DENIED", "No.", &[]).to_string();
    for (part, wanted) in [
        ("/trainingPipelines/", "`aiplatform.trainingPipelines.get`"),
        (":queryArtifactLineageSubgraph", "`aiplatform.artifacts.get` and `aiplatform.executions.get`"),
    ] {
        fake.instead(part, 403, refused.clone());
        let error = hasty(&fake).lineage(&version("3")).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Denied);
        assert!(error.to_string().contains(wanted), "{error}");
    }
    fake.instead(":queryArtifactLineageSubgraph", 200, "{}");
    let error = hasty(&fake).lineage(&version("3")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::BadAnswer, "{error}");
    fake.straight();
    // What an answer names decides nothing about whom this machine asks, nor about what.
    for name in [
        "projects/1/locations/x/endpoints/1",
        "https://other.example/v1/projects",
        "projects/../locations/x/trainingPipelines/1",
    ] {
        fake.world().versions[2].insert("trainingPipeline".into(), name.into());
        let error = hasty(&fake).lineage(&version("3")).await.unwrap_err();
        assert!(error.to_string().contains("which is none of trainingPipelines"), "{error}");
    }
}

#[tokio::test]
async fn a_token_that_is_not_taken_is_forgotten() {
    let (fake, _) = seeded().await;
    let registry = hasty(&fake);
    registry.versions(1).await.unwrap();
    fake.instead("", 401, refusal(401, "UNAUTHENTICATED", "No.", &[]).to_string());
    registry.versions(1).await.unwrap_err();
    fake.straight();
    registry.versions(1).await.unwrap();
    assert_eq!(fake.world().tokens_given, 2);
}

#[tokio::test]
async fn what_cannot_be_configured_is_refused_with_what_to_write() {
    let (fake, _) = seeded().await;
    let base = config(&fake);
    let missing = Path::new("/nonexistent/key.json");
    for (config, wanted) in [
        (VertexRegistryConfig { project: "a/b".into(), ..base.clone() }, "cannot be the `project`"),
        (VertexRegistryConfig { location: String::new(), ..base.clone() }, "cannot be the `location`"),
        (VertexRegistryConfig { model: "4242@1".into(), ..base.clone() }, "without a version"),
        (
            VertexRegistryConfig { model: "Fraud model".into(), ..base.clone() },
            "the id and not the display name",
        ),
        (VertexRegistryConfig { alias: Some("Production".into()), ..base.clone() }, "cannot be `alias`"),
        (VertexRegistryConfig { alias: Some("ripcord-hold-v1".into()), ..base.clone() }, "cannot be `alias`"),
        (VertexRegistryConfig { endpoint: Some("europe".into()), ..base.clone() }, "no URL"),
        (
            VertexRegistryConfig { endpoint: Some("https://a:b@c/".into()), ..base.clone() },
            "`endpoint` holds a user",
        ),
        (
            VertexRegistryConfig { storage_endpoint: "https://c/?x=y".into(), ..base.clone() },
            "`storage-endpoint` has a query",
        ),
        (
            VertexRegistryConfig { quota_project: Some("a\nb".into()), ..base.clone() },
            "cannot be `quota-project`",
        ),
        (
            VertexRegistryConfig { credentials_file: Some(missing.into()), ..base.clone() },
            "cannot read `/nonexistent/key.json`",
        ),
    ] {
        let error = VertexRegistry::new(config, &shared()).unwrap_err();
        assert!(error.to_string().contains(wanted), "{error}");
    }
}
