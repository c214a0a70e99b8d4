use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqsign_core::StaticEnv;
use rsa::pkcs1v15::{Signature, VerifyingKey};
use rsa::pkcs8::{EncodePrivateKey as _, LineEnding};
use rsa::signature::Verifier as _;
use rsa::{RsaPrivateKey, RsaPublicKey};
use serde_json::json;

use super::*;

const DEADLINE: Millis = Millis(5_000);

/// What was asked, one line a call.
type Asked = Arc<Mutex<Vec<String>>>;
/// What is answered, by path.
type Answers = Arc<Mutex<HashMap<String, (u16, Value)>>>;

/// Google's token services, the metadata server and a pod's issuer of tokens, as they answer by their pages.
struct Fake {
    url: String,
    asked: Asked,
    answers: Answers,
    folder: tempfile::TempDir,
    _task: tokio::task::JoinSet<()>,
}

async fn answer(
    State((asked, answers)): State<(Asked, Answers)>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let of = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let told = [of("metadata-flavor"), of("authorization"), of("x-of-pod")].into_iter().flatten();
    let told = told.collect::<Vec<_>>().join(" ");
    asked.lock().unwrap().push(format!("{uri} [{told}] {}", String::from_utf8_lossy(&body)));
    let expires_in = json!({ "access_token": format!("token-of{}", uri.path()), "expires_in": 3599, "token_type": "Bearer" });
    let impersonated = json!({ "accessToken": "token-of-the-account", "expireTime": "2199-01-01T00:00:00Z" });
    let own = match uri.path() {
        path if path.ends_with(":generateAccessToken") => impersonated,
        "/pod" => json!({ "id_token": "jwt-of-the-pod" }),
        _ => expires_in,
    };
    let (status, value) = answers.lock().unwrap().get(uri.path()).cloned().unwrap_or((200, own));
    (StatusCode::from_u16(status).unwrap(), axum::Json(value)).into_response()
}

impl Fake {
    async fn start() -> Self {
        let (asked, answers) = (Asked::default(), Answers::default());
        let router = Router::new().fallback(answer).with_state((asked.clone(), answers.clone()));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut task = tokio::task::JoinSet::new();
        task.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, asked, answers, folder: tempfile::tempdir().unwrap(), _task: task }
    }

    fn file(&self, name: &str, content: &Value, mode: u32) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content.to_string()).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    fn login(&self) -> Value {
        json!({
            "type": "authorized_user", "client_id": "client", "client_secret": "client-s3cret",
            "refresh_token": "refresh-s3cret", "token_uri": format!("{}/login", self.url),
        })
    }

    fn find(&self, file: Option<&Path>, environment: &[(&str, &str)]) -> Result<Tokens, PortError> {
        let envs = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let environment = StaticEnv { home_dir: None, envs: envs.collect() };
        Tokens::find(&Http::new().unwrap(), DEADLINE, file, environment)
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }

    fn answer(&self, path: &str, status: u16, value: Value) {
        self.answers.lock().unwrap().insert(path.to_owned(), (status, value));
    }
}

async fn token(tokens: &Tokens) -> String {
    tokens.token().await.unwrap().expose().to_owned()
}

/// An error, which shows no secret.
async fn refused(tokens: &Tokens) -> PortError {
    let error = tokens.token().await.unwrap_err();
    let shown = format!("{error} {error:?} {tokens:?}");
    assert!(!shown.contains("s3cret") && !shown.contains("PRIVATE KEY"), "{shown}");
    error
}

#[tokio::test]
async fn credentials_are_looked_for_as_googles_own_tools_do() {
    let fake = Fake::start().await;
    let at = |name: &str| {
        let mut login = fake.login();
        login["token_uri"] = format!("{}/{name}", fake.url).into();
        fake.file(&format!("{name}/application_default_credentials.json"), &login, 0o600)
    };
    let (configured, named, own) = (at("configured"), at("named"), at("sdk"));
    at("home/.config/gcloud");
    let home = fake.folder.path().join("home").display().to_string();
    let sdk = own.parent().unwrap().display().to_string();
    let host = fake.url.strip_prefix("http://").unwrap();
    let environment = [
        ("GOOGLE_APPLICATION_CREDENTIALS", named.to_str().unwrap()),
        ("CLOUDSDK_CONFIG", sdk.as_str()),
        ("HOME", home.as_str()),
        ("GCE_METADATA_HOST", host),
    ];
    let metadata = "token-of/computeMetadata/v1/instance/service-accounts/default/token";
    for (file, environment, wanted) in [
        (Some(configured.as_path()), &environment[..], "token-of/configured"),
        (None, &environment[..], "token-of/named"),
        (None, &environment[1..], "token-of/sdk"),
        (None, &environment[2..], "token-of/home/.config/gcloud"),
        (None, &environment[3..], metadata),
    ] {
        assert_eq!(token(&fake.find(file, environment).unwrap()).await, wanted);
    }
    let asked = fake.asked();
    let last = asked.last().unwrap();
    assert!(
        last.contains("[Google]") && last.contains("scopes=https://www.googleapis.com/auth/cloud-platform"),
        "{last}"
    );
    // A folder without a file is none, and an empty variable is not set.
    let empty =
        [("GOOGLE_APPLICATION_CREDENTIALS", ""), ("HOME", "/nonexistent"), ("GCE_METADATA_HOST", host)];
    assert_eq!(token(&fake.find(None, &empty).unwrap()).await, metadata);
}

#[tokio::test]
async fn a_service_accounts_key_signs_what_a_token_is_given_for() {
    let fake = Fake::start().await;
    let key = RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 1_024).unwrap();
    let pem = key.to_pkcs8_pem(LineEnding::LF).unwrap();
    let account = json!({
        "type": "service_account", "client_email": "ripcord@acme-ml.iam.gserviceaccount.com",
        "private_key": pem.as_str(), "private_key_id": "1", "token_uri": format!("{}/token", fake.url),
    });
    let path = fake.file("key.json", &account, 0o600);
    let tokens = fake.find(Some(&path), &[]).unwrap();
    assert_eq!(token(&tokens).await, "token-of/token");
    assert_eq!(token(&tokens).await, "token-of/token");
    let asked = fake.asked();
    assert_eq!(asked.len(), 1, "a token is kept: {asked:?}");
    let form = asked[0].split_once("] ").unwrap().1;
    let assertion = form.rsplit_once("assertion=").unwrap().1;
    assert!(form.starts_with("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&"), "{form}");
    let (signed, signature) = assertion.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    VerifyingKey::<rsa::sha2::Sha256>::new(RsaPublicKey::from(&key))
        .verify(signed.as_bytes(), &Signature::try_from(&signature[..]).unwrap())
        .unwrap();
    let claims = URL_SAFE_NO_PAD.decode(signed.split_once('.').unwrap().1).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(claims["iss"], "ripcord@acme-ml.iam.gserviceaccount.com");
    assert_eq!((claims["scope"].as_str(), claims["aud"].as_str()), (Some(SCOPE), Some(TOKEN_URL)));

    tokens.forget();
    let invalid = json!({ "error": "invalid_grant", "error_description": "Invalid JWT Signature." });
    fake.answer("/token", 400, invalid);
    let error = refused(&tokens).await;
    assert_eq!((error.kind, error.retry), (ErrorKind::Denied, Retry::No), "{error}");
    let text = error.to_string();
    assert!(text.contains("answered 400: `invalid_grant: Invalid JWT Signature.`"), "{text}");
    assert!(text.contains("this machine's clock is right"), "{text}");

    std::fs::write(&path, account.to_string().replace("PRIVATE KEY", "KEY")).unwrap();
    let error = refused(&tokens).await;
    assert!(error.to_string().contains("no token came of the service account's key"), "{error}");
    std::fs::remove_file(&path).unwrap();
    assert!(refused(&tokens).await.to_string().contains("cannot read `"));
}

#[tokio::test]
async fn a_token_that_was_not_had_is_asked_for_again_where_that_may_help() {
    let fake = Fake::start().await;
    let tokens = fake.find(Some(&fake.file("login.json", &fake.login(), 0o600)), &[]).unwrap();
    for (status, value, kind, retry, wanted) in [
        (
            400,
            json!({ "error": "invalid_grant", "error_description": "Bad Request" }),
            ErrorKind::Denied,
            Retry::No,
            "gcloud auth application-default login",
        ),
        (
            401,
            json!({ "error": "invalid_client" }),
            ErrorKind::Denied,
            Retry::No,
            "answered 401: `invalid_client`",
        ),
        (429, json!({ "error": "rate_limit_exceeded" }), ErrorKind::Failed, Retry::Later, "answered 429"),
        (503, json!("no"), ErrorKind::Failed, Retry::Later, "answered 503"),
        (200, json!({}), ErrorKind::Denied, Retry::No, "failed to parse token response"),
    ] {
        fake.answer("/login", status, value);
        let error = refused(&tokens).await;
        assert_eq!((error.kind, error.retry), (kind, retry), "{error}");
        assert!(error.to_string().contains(wanted), "{error}");
    }
    fake.answers.lock().unwrap().clear();
    assert_eq!(token(&tokens).await, "token-of/login", "nothing wrong is remembered");
}

#[tokio::test]
async fn a_workload_identity_changes_a_token_of_its_own_for_one_of_googles() {
    let fake = Fake::start().await;
    // As a pod has it: readable for its group, and without an end of line.
    let of_pod = fake.file("token", &json!(null), 0o644);
    std::fs::write(&of_pod, "jwt-of-the-file").unwrap();
    let identity = |source: Value, more: Value| {
        let mut identity = json!({
            "type": "external_account",
            "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/providers/cluster",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": format!("{}/sts", fake.url),
            "credential_source": source,
        });
        identity.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        fake.file("identity.json", &identity, 0o644)
    };
    let of_file = identity(json!({ "file": of_pod }), json!({}));
    assert_eq!(token(&fake.find(Some(&of_file), &[]).unwrap()).await, "token-of/sts");
    let asked = fake.asked();
    assert!(asked.len() == 1 && asked[0].contains("jwt-of-the-file"), "{asked:?}");

    let url = json!({
        "url": format!("{}/pod", fake.url), "headers": { "x-of-pod": "yes" },
        "format": { "type": "json", "subject_token_field_name": "id_token" },
    });
    let account = format!("{}/v1/projects/-/serviceAccounts/a@b:generateAccessToken", fake.url);
    let path = identity(url, json!({ "service_account_impersonation_url": account }));
    let tokens = fake.find(Some(&path), &[]).unwrap();
    assert_eq!(token(&tokens).await, "token-of-the-account");
    let asked = fake.asked();
    assert_eq!(asked.len(), 3, "{asked:?}");
    assert!(asked[0].starts_with("/pod [yes]") && asked[1].contains("jwt-of-the-pod"), "{asked:?}");
    assert!(asked[2].contains("[Bearer token-of/sts]"), "{asked:?}");

    tokens.forget();
    let denied = json!({ "error": { "code": 403, "status": "PERMISSION_DENIED", "message": "Permission 'iam.serviceAccounts.getAccessToken' denied." } });
    fake.answer("/v1/projects/-/serviceAccounts/a@b:generateAccessToken", 403, denied);
    let error = refused(&tokens).await;
    assert_eq!(error.kind, ErrorKind::Denied);
    assert!(
        error.to_string().contains("getAccessToken") && error.to_string().contains("workloadIdentityUser"),
        "{error}"
    );

    // Nothing is sent in the clear, whatever a file names.
    let far = json!({ "token_url": "http://sts.example/token" });
    let tokens = fake.find(Some(&identity(json!({ "file": of_pod }), far)), &[]).unwrap();
    let error = refused(&tokens).await;
    assert_eq!(error.kind, ErrorKind::Configuration);
    assert!(error.to_string().contains("asked for over https"), "{error}");

    let path = identity(json!({ "executable": { "command": "/bin/token" } }), json!({}));
    let error = fake.find(Some(&path), &[]).unwrap_err();
    assert!(error.to_string().contains("has a program give the token, and none is run here"), "{error}");
}

#[tokio::test]
async fn a_login_may_stand_for_a_service_account() {
    let fake = Fake::start().await;
    let account = format!("{}/v1/projects/-/serviceAccounts/a@b:generateAccessToken", fake.url);
    let mut source = fake.login();
    source.as_object_mut().unwrap().remove("token_uri");
    let file = json!({
        "type": "impersonated_service_account", "service_account_impersonation_url": account, "delegates": [],
        "source_credentials": source, "token_uri": format!("{}/login", fake.url),
    });
    let tokens = fake.find(Some(&fake.file("it.json", &file, 0o600)), &[]).unwrap();
    assert_eq!(token(&tokens).await, "token-of-the-account");
    assert!(fake.asked()[1].contains("[Bearer token-of/login]"));
    let error = fake.find(Some(&fake.file("open.json", &file, 0o644)), &[]).unwrap_err();
    assert!(error.to_string().contains("chmod 600"), "{error}");
}

#[tokio::test]
async fn without_any_credentials_people_are_told_how_to_give_some() {
    let fake = Fake::start().await;
    let host = fake.url.strip_prefix("http://").unwrap();
    let path = "/computeMetadata/v1/instance/service-accounts/default/token";
    fake.answer(path, 404, json!("no account"));
    let error = refused(&fake.find(None, &[("GCE_METADATA_HOST", host)]).unwrap()).await;
    assert!(error.to_string().contains("give the machine or pod a service account"), "{error}");
    let error = refused(&fake.find(None, &[("GCE_METADATA_HOST", "127.0.0.1:9")]).unwrap()).await;
    assert!(error.to_string().contains("there are no Google credentials: none are configured"), "{error}");
    assert!(error.to_string().contains("GOOGLE_APPLICATION_CREDENTIALS"), "{error}");
}

#[tokio::test]
async fn a_file_that_gives_nothing_is_refused_when_it_is_named() {
    let fake = Fake::start().await;
    let refuse = |content: &Value, mode: u32, wanted: &str| {
        let path = fake.file("wrong.json", content, mode);
        let at = path.display().to_string();
        let error = fake.find(None, &[("GOOGLE_APPLICATION_CREDENTIALS", at.as_str())]).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Configuration, "{error}");
        assert!(error.to_string().contains(wanted) && !error.to_string().contains("s3cret"), "{error}");
    };
    refuse(&json!("x"), 0o600, "is no file of Google credentials");
    refuse(&json!({}), 0o600, "of the type `null`, which are not taken");
    refuse(&json!({ "type": "gdch_service_account" }), 0o600, "of the type `\"gdch_service_account\"`");
    refuse(&fake.login(), 0o644, "chmod 600");
    let mut login = fake.login();
    login["token_uri"] = "ftp://x".into();
    refuse(&login, 0o600, "`token_uri` in `");
}

#[test]
fn whose_quota_counts_is_said_by_the_environment_or_the_file() {
    let fake = tempfile::tempdir().unwrap();
    let path = fake.path().join("login.json");
    let login = json!({ "type": "authorized_user", "quota_project_id": "of-file" });
    std::fs::write(&path, login.to_string()).unwrap();
    let quota = |envs: &[(&str, &str)]| {
        let envs = envs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let environment = StaticEnv { home_dir: None, envs };
        Tokens::find(&Http::new().unwrap(), DEADLINE, Some(&path), environment).unwrap().quota_project
    };
    assert_eq!(quota(&[]).as_deref(), Some("of-file"));
    assert_eq!(quota(&[("GOOGLE_CLOUD_QUOTA_PROJECT", "of-environment")]).as_deref(), Some("of-environment"));
}

#[tokio::test]
async fn a_token_is_used_for_as_long_as_is_sensible_whatever_its_service_says() {
    let fake = Fake::start().await;
    let file = fake.file("adc.json", &fake.login(), 0o600);
    for lifetime in [json!(999_999_999_999_u64), Value::Null] {
        let mut answer = json!({ "access_token": "of-any-length", "token_type": "Bearer" });
        if !lifetime.is_null() {
            answer["expires_in"] = lifetime;
        }
        fake.answer("/login", 200, answer);
        assert_eq!(token(&fake.find(Some(&file), &[]).unwrap()).await, "of-any-length");
    }
    fake.answer("/login", 200, json!({ "access_token": "s3cret", "expires_in": "soon" }));
    let error = refused(&fake.find(Some(&file), &[]).unwrap()).await;
    assert!(error.to_string().contains("a token whose lifetime is no number of seconds"), "{error}");
}

#[tokio::test]
async fn an_answer_that_is_half_a_success_shows_no_token() {
    let fake = Fake::start().await;
    let file = fake.file("adc.json", &fake.login(), 0o600);
    fake.answer("/login", 203, json!({ "access_token": "s3cret", "expires_in": 3599 }));
    let error = refused(&fake.find(Some(&file), &[]).unwrap()).await;
    assert!(error.to_string().contains("answered with status 203"), "{error}");
}

#[tokio::test]
async fn a_file_that_others_may_write_does_not_say_who_is_given_what() {
    let fake = Fake::start().await;
    let directions = json!({
        "type": "external_account", "audience": "//iam.googleapis.com/pool", "token_url": format!("{}/sts", fake.url),
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt", "credential_source": { "file": "/etc/hostname" },
    });
    for (mode, taken) in [(0o600, true), (0o644, true), (0o664, false), (0o666, false)] {
        let file = fake.file("pool.json", &directions, mode);
        let found = fake.find(Some(&file), &[]);
        assert_eq!(found.is_ok(), taken, "{mode:o}: {found:?}");
        if let Err(error) = found {
            assert!(
                error.to_string().contains("others may write") && error.to_string().contains("chmod 644"),
                "{error}"
            );
        }
    }
}
