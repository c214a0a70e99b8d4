//! What Azure refuses, answers in half or in pages without an end, and what the configuration may not say.

use ripcord_adapters::Secret;
use ripcord_adapters::registry_azureml::{AzureMlRegistry, AzureMlRegistryConfig};
use ripcord_core::time::Millis;
use ripcord_ports::registry::Mark;
use ripcord_ports::{Applied, ErrorKind, PortError, Registry, Retry};
use serde_json::{Value, json};

use super::{config, into_registry, of, of_registry, seeded};
use crate::adapters::support::{empty_dir, shared, target, version};
use crate::azure::fake::{ACCOUNT, Azure, CONTAINER, SAS, refusal, refusal_within, scope, xml_refusal};

const LIST: &str = "/models/fraud/versions";

/// Without patience, so that each refusal is seen once.
fn hasty(fake: &Azure) -> AzureMlRegistry {
    of(AzureMlRegistryConfig { patience_ms: 0, ..config(fake) })
}

async fn listed(fake: &Azure, status: u16, body: &Value) -> PortError {
    fake.instead(LIST, status, body.to_string());
    fake.with_headers(&[("x-ms-request-id", "0f8a")]);
    let error = hasty(fake).versions(10).await.unwrap_err();
    fake.straight();
    assert_eq!(error.applied, Applied::No, "{error}");
    error
}

/// Status, body; and what they are taken for, with a part of the sentence.
type Case = (u16, Value, ErrorKind, Retry, &'static str);

#[tokio::test]
async fn each_refusal_says_what_to_do() {
    let (fake, _) = seeded().await;
    let authorization = "The client 'ada' with object id '1' does not have authorization to perform action 'Microsoft.MachineLearningServices/workspaces/models/versions/read' over scope '/subscriptions/1/x' or the scope is invalid.";
    let simple = |code: &str| refusal(code, "It\u{1b}[31m was refused.");
    let cases: Vec<Case> = vec![
        (
            401,
            simple("InvalidAuthenticationTokenTenant"),
            ErrorKind::Denied,
            Retry::No,
            "does not take the token of the application `ripcord`",
        ),
        (
            403,
            refusal("AuthorizationFailed", authorization),
            ErrorKind::Denied,
            Retry::No,
            "a role with the action `Microsoft.MachineLearningServices/workspaces/models/versions/read` at `/subscriptions/1/x`",
        ),
        (403, simple("Forbidden"), ErrorKind::Denied, Retry::No, "workspaces/models/versions/read` and"),
        (
            403,
            simple("RequestDisallowedByPolicy"),
            ErrorKind::Denied,
            Retry::No,
            "ask who keeps the policies",
        ),
        (403, simple("ReadOnlyDisabledSubscription"), ErrorKind::Denied, Retry::No, "have it switched on"),
        (
            404,
            simple("SubscriptionNotFound"),
            ErrorKind::NotFound,
            Retry::No,
            "check `subscription`, which is `0000",
        ),
        (
            404,
            simple("ResourceGroupNotFound"),
            ErrorKind::NotFound,
            Retry::No,
            "check `resource-group`, which is `acme-ml`",
        ),
        (
            404,
            simple("ResourceNotFound"),
            ErrorKind::NotFound,
            Retry::No,
            "check `workspace`, which is `payments`",
        ),
        (
            404,
            refusal_within("UserError", "No.", "ModelNotFound"),
            ErrorKind::NotFound,
            Retry::No,
            "check `model`, which is `fraud`",
        ),
        (404, simple("UserError"), ErrorKind::NotFound, Retry::No, "check `workspace` and `model`"),
        (409, simple("Conflict"), ErrorKind::Failed, Retry::Later, "it can be done again"),
        (409, simple("ScopeLocked"), ErrorKind::Failed, Retry::No, "take the lock away"),
        (412, simple("PreconditionFailed"), ErrorKind::Conflict, Retry::No, "it is no longer what it was"),
        (429, simple("TooManyRequests"), ErrorKind::Failed, Retry::Later, "takes no more calls for now"),
        (
            400,
            simple("InvalidApiVersionParameter"),
            ErrorKind::Failed,
            Retry::No,
            "write one that it names as `api-version`",
        ),
        (400, simple("UserError"), ErrorKind::Failed, Retry::No, "does not accept the call"),
        (500, simple("InternalServerError"), ErrorKind::Failed, Retry::Later, "answered 500"),
        (503, simple("ServerTimeout"), ErrorKind::Failed, Retry::Later, "answered 503"),
    ];
    for (status, body, kind, retry, wanted) in cases {
        let error = listed(&fake, status, &body).await;
        assert_eq!((error.kind, error.retry), (kind, retry), "{error}");
        let text = error.to_string();
        assert!(text.contains(wanted) && !text.contains('\u{1b}'), "{wanted}: {text}");
        assert!(text.contains("(request `0f8a`)"), "{text}");
    }
    into_registry(&fake);
    fake.instead(LIST, 404, refusal("ResourceNotFound", "No.").to_string());
    let error =
        of(AzureMlRegistryConfig { patience_ms: 0, ..of_registry(&fake) }).versions(9).await.unwrap_err();
    assert!(error.to_string().contains("check `registry`, which is `acme`"), "{error}");
}

#[tokio::test]
async fn the_time_that_is_asked_for_is_given() {
    let (fake, _) = seeded().await;
    fake.instead(LIST, 429, refusal("TooManyRequests", "No.").to_string());
    fake.with_headers(&[("retry-after", "7"), ("x-ms-ratelimit-remaining-subscription-reads", "0")]);
    let error = hasty(&fake).versions(10).await.unwrap_err();
    assert_eq!(error.retry, Retry::After(Millis(7_000)), "{error}");
    assert!(error.to_string().contains("(`x-ms-ratelimit-remaining-subscription-reads: 0`)"), "{error}");
}

#[tokio::test]
async fn what_is_no_answer_of_azure_s_is_told_as_such() {
    let (fake, _) = seeded().await;
    fake.instead(LIST, 404, "<!DOCTYPE html><title>Not Found</title>");
    let error = hasty(&fake).versions(10).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::BadAnswer);
    assert!(error.to_string().contains("check `cloud` and `resource-manager`"), "{error}");
    for (body, wanted) in [
        ("<html>", "not the JSON expected"),
        ("[]", "not the JSON expected"),
        ("{}", "not the JSON expected"),
        (r#"{"value": 7}"#, "not the JSON expected"),
        (r#"{"value": [{"name": "1"}, {"name": "1"}]}"#, "lists version `1`"),
    ] {
        fake.instead(LIST, 200, body);
        let error = hasty(&fake).versions(10).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::BadAnswer, "{body}: {error}");
        assert!(error.to_string().contains(wanted), "{body}: {error}");
    }
    for path in ["/versions/1", "/models/fraud"] {
        fake.instead(path, 200, r#"{"name": "2", "properties": {}}"#);
        let error = if path == "/versions/1" {
            hasty(&fake).version(&version("1")).await.unwrap_err()
        } else {
            hasty(&fake).promoted().await.unwrap_err()
        };
        assert_eq!(error.kind, ErrorKind::BadAnswer, "{error}");
    }
    fake.straight();
    fake.lists(&format!("/{ACCOUNT}/{CONTAINER}"), "{}".into());
    let (_folder, dir) = empty_dir();
    let error = hasty(&fake).fetch(&target("1", None), dir).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::BadAnswer, "{error}");
}

/// One entry that makes no sense hides no other.
#[tokio::test]
async fn an_odd_entry_is_shown_as_far_as_it_goes() {
    let (fake, _) = seeded().await;
    fake.twist(|path, mut answer| {
        if path.ends_with(LIST)
            && let Some(value) = answer["value"].as_array_mut()
        {
            value.push(json!({ "name": "4\u{1b}/..", "properties": {} }));
            value.push(json!(7));
        }
        answer
    });
    // Two pages, of which each is given the same odd ones.
    let listed = hasty(&fake).versions(10).await.unwrap();
    assert_eq!(listed.len(), 3);
    fake.twist(|path, mut answer| {
        if path.ends_with(LIST) && answer["value"][0]["name"] == "3" {
            answer["value"][0]["systemData"]["createdAt"] = "\u{1b}yesterday".into();
        }
        answer
    });
    let listed = hasty(&fake).versions(10).await.unwrap();
    let names: Vec<_> = listed.iter().map(|one| one.version.version.as_str()).collect();
    assert_eq!(names, ["2", "1", "3"]);
    let broken = listed[2].broken.clone().unwrap();
    assert!(broken.contains("which is no instant") && !broken.contains('\u{1b}'), "{broken}");
}

/// The place from which the list goes on, as Azure says it.
fn own(query: &str) -> String {
    format!("https://management.azure.com{}{LIST}?{query}", scope("workspaces/payments"))
}

#[tokio::test]
async fn pages_that_never_end_or_lead_elsewhere_are_an_error() {
    let (fake, _) = seeded().await;
    let leads = |to: fn(usize) -> String| {
        let counter = std::sync::atomic::AtomicUsize::new(0);
        fake.twist(move |path, mut answer| {
            if path.ends_with(LIST) {
                answer["nextLink"] = to(counter.fetch_add(1, std::sync::atomic::Ordering::SeqCst)).into();
            }
            answer
        });
    };
    leads(|_| own("api-version=2025-12-01&$skip=again"));
    let error = hasty(&fake).versions(10).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::BadAnswer);
    assert!(error.to_string().contains("was read already"), "{error}");
    leads(|number| own(&format!("api-version=2025-12-01&$skip={}", number + 10)));
    let error = hasty(&fake).versions(10).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::TooLarge, "{error}");
    let elsewhere: [fn(usize) -> String; 3] = [
        |_| "https://of-others.example/subscriptions?x=1".to_owned(),
        |_| format!("https://management.azure.com{}?x=1", scope("workspaces/payments")),
        |_| "elsewhere".to_owned(),
    ];
    for to in elsewhere {
        leads(to);
        let error = hasty(&fake).versions(10).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::BadAnswer);
        assert!(error.to_string().contains("which is no list of them"), "{error}");
    }
    fake.straight();
    let more = "<EnumerationResults><Blobs></Blobs><NextMarker>again</NextMarker></EnumerationResults>";
    fake.lists(&format!("/{ACCOUNT}/{CONTAINER}"), more.into());
    let (_folder, dir) = empty_dir();
    let error = hasty(&fake).fetch(&target("1", None), dir).await.unwrap_err();
    assert!(error.to_string().contains("was read already"), "{error}");
}

#[tokio::test]
async fn a_version_that_is_not_there_is_told_and_no_name_is_a_path() {
    let (fake, _) = seeded().await;
    for name in ["99", "v1"] {
        let error = hasty(&fake).version(&version(name)).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::NotFound, "{error}");
        assert!(error.to_string().contains(&format!("no version `{name}`")), "{error}");
    }
    let absent = of(AzureMlRegistryConfig { model: "absent".into(), patience_ms: 0, ..config(&fake) });
    let error = absent.versions(10).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
    assert!(error.to_string().contains("check `model`, which is `absent`"), "{error}");
    fake.instead("/models/absent/versions", 200, r#"{"value": []}"#);
    let error = absent.versions(10).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound, "a list of nothing is not believed: {error}");
}

#[tokio::test]
async fn a_refused_change_is_told_with_what_is_known_of_it() {
    let (fake, _) = seeded().await;
    let registry = hasty(&fake);
    let promote = async || registry.promote(&version("2"), Some(&version("1"))).await.unwrap_err();
    for (status, code, applied, wanted) in [
        (403, "Forbidden", Applied::No, "workspaces/models/versions/write` and"),
        (409, "Conflict", Applied::No, "it can be done again"),
        (412, "PreconditionFailed", Applied::No, "it is no longer what it was"),
        (500, "InternalServerError", Applied::Unknown, "answered 500"),
        (503, "ServerTimeout", Applied::Unknown, "answered 503"),
    ] {
        fake.instead_of("PUT", "/models/fraud", status, &refusal(code, "No."));
        let error = promote().await;
        assert_eq!(error.applied, applied, "{error}");
        assert!(error.to_string().contains(wanted), "{error}");
    }
    fake.instead_of("PUT", "/models/fraud", 200, &json!({}));
    let error = promote().await;
    assert!(error.to_string().contains("it reads as before"), "{error}");
    let error = registry.mark(&version("2"), Mark::Held { incident: "fraud-api:7" }).await.unwrap_err();
    assert!(error.to_string().contains("it reads as before"), "{error}");
    fake.straight();
    fake.world().slow = 1_000;
    registry.promote(&version("2"), Some(&version("1"))).await.unwrap();
    fake.world().slow = 0;
    fake.world().under_way = 0;
    let error = registry.promote(&version("3"), Some(&version("1"))).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Conflict);
    assert!(error.to_string().contains("points at version `2` where version `1` was expected"), "{error}");
    let error = registry.promote(&version("9"), Some(&version("2"))).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::NotFound, Applied::No), "{error}");
    fake.world().container["tags"]["production"] = "\u{1b}/..".into();
    let error = registry.promoted().await.unwrap_err();
    assert!(
        error.to_string().contains("no name of a version") && !error.to_string().contains('\u{1b}'),
        "{error}"
    );
}

#[tokio::test]
async fn a_condition_that_is_not_met_changes_nothing() {
    let (fake, _) = seeded().await;
    fake.world().etags = true;
    fake.instead_of("PUT", "/versions/2", 412, &refusal("PreconditionFailed", "No."));
    let error = hasty(&fake).mark(&version("2"), Mark::Held { incident: "a:1" }).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::Conflict, Applied::No), "{error}");
}

/// Lets a change be refused, has somebody else change the same meanwhile, and lets the next one be made.
async fn meanwhile(fake: &Azure, change: impl FnOnce()) {
    let is_sent = || fake.seen().iter().any(|call| call.method == "PUT");
    for _ in 0..1_000 {
        if is_sent() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    assert!(is_sent());
    change();
    fake.straight();
}

#[tokio::test]
async fn what_was_refused_is_made_anew_from_what_stands_there_then() {
    let (fake, _) = seeded().await;
    let registry = of(AzureMlRegistryConfig { patience_ms: 5_000, ..config(&fake) });
    fake.instead_of("PUT", "/models/fraud", 409, &refusal("Conflict", "No."));
    let (two, one) = (version("2"), version("1"));
    let others = || fake.world().container["tags"]["production"] = "3".into();
    let (promoted, ()) = tokio::join!(registry.promote(&two, Some(&one)), meanwhile(&fake, others));
    let error = promoted.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::Conflict, Applied::No), "{error}");
    assert_eq!(fake.world().container["tags"]["production"], "3", "what somebody else wrote stays");

    let (fake, _) = seeded().await;
    let registry = of(AzureMlRegistryConfig { patience_ms: 5_000, ..config(&fake) });
    fake.instead_of("PUT", "/versions/2", 429, &refusal("TooManyRequests", "No."));
    let others = || fake.world().versions[1]["tags"]["reviewed"] = "ada".into();
    let hold = registry.mark(&two, Mark::Held { incident: "a:1" });
    let (marked, ()) = tokio::join!(hold, meanwhile(&fake, others));
    marked.unwrap();
    let tags = fake.world().versions[1]["tags"].clone();
    assert_eq!((&tags["reviewed"], &tags["ripcord.hold"]), (&json!("ada"), &json!("a:1")));

    // Refused once and free again, it is made.
    let (fake, _) = seeded().await;
    let registry = of(AzureMlRegistryConfig { patience_ms: 5_000, ..config(&fake) });
    fake.instead_of("PUT", "/models/fraud", 409, &refusal("Conflict", "No."));
    let (promoted, ()) = tokio::join!(registry.promote(&two, Some(&one)), meanwhile(&fake, || ()));
    promoted.unwrap();
    assert_eq!(fake.world().container["tags"]["production"], "2");
}

#[tokio::test]
async fn more_data_sets_than_are_kept_are_an_error_and_no_shorter_list() {
    let (fake, _) = seeded().await;
    let given = |count: usize| {
        let inputs = (0..count).map(|number| {
            let uri = format!("azureml:set-{number}:1");
            (format!("in-{number}"), json!({ "jobInputType": "uri_folder", "uri": uri }))
        });
        fake.world().jobs.get_mut("train-7").unwrap()["inputs"] = Value::Object(inputs.collect());
    };
    given(200);
    assert_eq!(hasty(&fake).lineage(&version("3")).await.unwrap().datasets.len(), 200);
    given(201);
    let error = hasty(&fake).lineage(&version("3")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::TooLarge);
    assert!(error.to_string().contains("more than 200 data sets"), "{error}");
}

#[tokio::test]
async fn what_lets_its_holder_in_is_in_no_fact() {
    let (fake, _) = seeded().await;
    {
        let mut world = fake.world();
        let sas = "https://acmemodels.blob.core.windows.net/c/x?sv=1&sig=s3cret";
        let git = "https://ada:s3cret@github.com/acme/fraud.git";
        let third = &mut world.versions[2];
        third.insert("properties".into(), json!({ "azureml.git.repository_uri": git }));
        third.insert("tags".into(), json!({ "seen": sas, "dataset": sas, "plain": "a?b" }));
        third.insert("datasets".into(), json!([{ "name": "x", "id": format!("{sas}&of=datasets") }]));
        let job = world.jobs.get_mut("train-7").unwrap();
        job["properties"]["mlflow.source.git.repoURL"] = git.into();
        job["inputs"] = json!({
            "rows": { "jobInputType": "uri_file", "uri": sas },
            "base": { "jobInputType": "custom_model", "uri": sas },
            "from": { "jobInputType": "literal", "value": sas },
        });
        job["parameters"] = json!({ "where": sas });
    }
    let lineage = hasty(&fake).lineage(&version("3")).await.unwrap();
    let told = format!("{lineage:?}");
    assert!(!told.contains("s3cret") && told.contains("https://github.com/acme/fraud.git"), "{told}");
    let parameters: Vec<_> = lineage.parameters.iter().map(|one| one.name.as_str()).collect();
    for name in ["base", "from", "where", "azureml.git.repository_uri", "mlflow.source.git.repoURL"] {
        assert!(parameters.contains(&name), "{name}: {parameters:?}");
    }
    assert_eq!(lineage.datasets.len(), 1, "{told}");
    let tags = hasty(&fake).version(&version("3")).await.unwrap().tags;
    assert!(!format!("{tags:?}").contains("s3cret"), "{tags:?}");
    assert!(tags.iter().any(|tag| tag.value == "a?b"), "text without an address is as it was: {tags:?}");
}

#[tokio::test]
async fn a_version_of_the_same_name_elsewhere_is_no_parent() {
    let (fake, _) = seeded().await;
    let own = format!("azureml:{}/models/fraud/versions/1", scope("workspaces/payments"));
    let other = format!("azureml:{}/models/fraud/versions/1", scope("workspaces/others"));
    let shared = "azureml://registries/acme/models/fraud/versions/1";
    for (uri, is_own) in [(own.as_str(), true), (&other, false), (shared, false)] {
        fake.world().jobs.get_mut("train-7").unwrap()["inputs"]["base"]["uri"] = uri.into();
        let lineage = hasty(&fake).lineage(&version("3")).await.unwrap();
        assert_eq!(lineage.parent.is_some(), is_own, "{uri}");
        let shown = lineage.parameters.iter().any(|one| one.name == "base" && one.value == uri);
        assert_eq!(shown, !is_own, "{uri}");
    }
}

#[tokio::test]
async fn a_job_that_may_not_be_seen_is_an_error_and_no_lineage_without() {
    let (fake, _) = seeded().await;
    fake.instead("/jobs/", 403, refusal("Forbidden", "No.").to_string());
    let error = hasty(&fake).lineage(&version("3")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied);
    assert!(error.to_string().contains("workspaces/jobs/read"), "{error}");
    fake.straight();
    for name in ["../../x", "a b", ""] {
        fake.world().versions[2].insert("jobName".into(), name.into());
        let before = fake.seen().len();
        hasty(&fake).lineage(&version("3")).await.unwrap();
        assert!(fake.seen()[before..].iter().all(|call| !call.path.contains("/jobs/")), "{name}");
    }
}

#[tokio::test]
async fn refusals_of_blob_storage_say_what_to_do() {
    let (fake, _) = seeded().await;
    for (status, code, kind, wanted) in [
        (
            401,
            "InvalidAuthenticationInfo",
            ErrorKind::Denied,
            "does not take the token of the application `ripcord`",
        ),
        (
            403,
            "AuthorizationPermissionMismatch",
            ErrorKind::Denied,
            "the role `Storage Blob Data Reader` on the container",
        ),
        (403, "AuthorizationFailure", ErrorKind::Denied, "into the firewall of the account"),
        (409, "PublicAccessNotPermitted", ErrorKind::Denied, "`Storage Blob Data Reader`"),
        (404, "ContainerNotFound", ErrorKind::NotFound, "check that the container `azureml-blobstore`"),
        (503, "ServerBusy", ErrorKind::Failed, "answered 503"),
    ] {
        fake.instead(&format!("/{ACCOUNT}/"), status, xml_refusal(code));
        fake.with_headers(&[("x-ms-error-code", code), ("x-ms-request-id", "0f8a")]);
        let (_folder, dir) = empty_dir();
        let error = hasty(&fake).fetch(&target("1", None), dir).await.unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
        assert!(
            error.to_string().contains(wanted) && error.to_string().contains("0f8a"),
            "{wanted}: {error}"
        );
    }
}

/// What a registry gives lets its holder in, and is for one container.
#[tokio::test]
async fn what_a_registry_gives_is_used_for_its_own_container_and_is_in_no_message() {
    let (fake, _) = seeded().await;
    into_registry(&fake);
    let registry = of(AzureMlRegistryConfig { patience_ms: 0, ..of_registry(&fake) });
    let fetched = async || {
        let (_folder, dir) = empty_dir();
        registry.fetch(&target("1", None), dir).await
    };
    let gives = |credential: Value| {
        let answer = json!({ "blobReferenceForConsumption": { "blobUri": "x", "credential": credential } });
        fake.instead("/datareferences/", 200, answer.to_string());
    };
    for (uri, wanted) in [
        (
            format!("https://of-others.blob.core.windows.net/{CONTAINER}?{SAS}"),
            "without an address of the container",
        ),
        (
            format!("https://{ACCOUNT}.blob.core.windows.net/of-others?{SAS}"),
            "without an address of the container",
        ),
        (
            format!("https://{ACCOUNT}.blob.core.windows.net/{CONTAINER}"),
            "without an address that lets its holder in",
        ),
        (format!("s3cret {SAS}"), "without an address that can be read"),
    ] {
        gives(json!({ "credentialType": "SAS", "sasUri": uri }));
        let error = fetched().await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::BadAnswer, "{error}");
        assert!(
            error.to_string().contains(wanted) && !error.to_string().contains("s3cret"),
            "{wanted}: {error}"
        );
    }
    fake.instead("/datareferences/", 200, format!("{{\"sasUri\": \"{SAS}\""));
    let error = fetched().await.unwrap_err();
    assert!(!error.to_string().contains("s3cret"), "{error}");
    gives(
        json!({ "credentialType": "SAS", "sasUri": format!("https://{ACCOUNT}.blob.core.windows.net/{CONTAINER}?{}", SAS.replace("s3cret", "0ld-s3cret")) }),
    );
    let error = fetched().await.unwrap_err();
    assert!(!error.to_string().contains("s3cret"), "{error}");
    gives(json!({ "credentialType": "NoCredentials" }));
    fetched().await.unwrap_err();
    assert!(fake.seen().last().unwrap().bearer.is_none(), "no token is sent to what everybody may read");
}

#[tokio::test]
async fn a_token_that_is_not_taken_is_forgotten() {
    let (fake, _) = seeded().await;
    let registry = hasty(&fake);
    registry.promoted().await.unwrap();
    fake.instead("/models/", 401, refusal("ExpiredAuthenticationToken", "No.").to_string());
    registry.promoted().await.unwrap_err();
    fake.straight();
    registry.promoted().await.unwrap();
    assert_eq!(fake.world().tokens_given, 2);
}

#[tokio::test]
async fn what_cannot_be_configured_is_refused_with_what_to_write() {
    let (fake, _) = seeded().await;
    let base = config(&fake);
    let refused = |config: AzureMlRegistryConfig| {
        let error = AzureMlRegistry::new(config, Some(Secret::new("s3cret")), &shared()).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Configuration, "{error}");
        error.to_string()
    };
    let text = |text: &str| Some(text.to_owned());
    for (config, wanted) in [
        (
            AzureMlRegistryConfig { subscription: "a/b".into(), ..base.clone() },
            "cannot be the `subscription`",
        ),
        (
            AzureMlRegistryConfig { resource_group: String::new(), ..base.clone() },
            "cannot be the `resource-group`",
        ),
        (AzureMlRegistryConfig { workspace: text(".."), ..base.clone() }, "cannot be the `workspace`"),
        (AzureMlRegistryConfig { model: "fraud:1".into(), ..base.clone() }, "cannot be the `model`"),
        (
            AzureMlRegistryConfig { registry: text("acme"), ..base.clone() },
            "write either `workspace`, or `registry`",
        ),
        (
            AzureMlRegistryConfig { workspace: None, ..base.clone() },
            "write either `workspace`, or `registry`",
        ),
        (AzureMlRegistryConfig { production_tag: text(""), ..base.clone() }, "cannot be `production-tag`"),
        (
            AzureMlRegistryConfig { production_tag: text("ripcord.hold"), ..base.clone() },
            "Ripcord keeps `ripcord.hold`",
        ),
        (AzureMlRegistryConfig { api_version: "latest".into(), ..base.clone() }, "cannot be `api-version`"),
        (AzureMlRegistryConfig { resource_manager: text("azure"), ..base.clone() }, "no URL"),
        (
            AzureMlRegistryConfig { resource_manager: text("http://azure.example"), ..base.clone() },
            "calls carry tokens",
        ),
        (
            AzureMlRegistryConfig { resource_manager: text("https://a:b@c/"), ..base.clone() },
            "`resource-manager` holds a user",
        ),
        (
            AzureMlRegistryConfig { storage_endpoint: text("http://{account}.example"), ..base.clone() },
            "`storage-endpoint` is",
        ),
        (
            AzureMlRegistryConfig { storage_endpoint: text("https://{account}.c/?x=y"), ..base.clone() },
            "`storage-endpoint` has a query",
        ),
        (
            AzureMlRegistryConfig {
                storage_endpoint: text("https://acme.blob.core.windows.net"),
                ..base.clone()
            },
            "`storage-endpoint` does not say where the account stands: write it as in `https://{account}.blob",
        ),
        (AzureMlRegistryConfig { tenant_id: text("a b"), ..base.clone() }, "cannot be `tenant-id`"),
    ] {
        let told = refused(config);
        assert!(told.contains(wanted), "{wanted}: {told}");
    }
}
