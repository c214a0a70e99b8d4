use std::os::unix::fs::PermissionsExt as _;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::*;
use crate::clock_system::SystemClock;

const DEADLINE: Millis = Millis(5_000);
const MANAGER: &str = "https://management.azure.com";
const STORAGE: &str = "https://storage.azure.com";

/// What was asked, one line a call.
type Asked = Arc<Mutex<Vec<String>>>;
/// What is answered, status and body.
type Answered = Arc<Mutex<(u16, Value)>>;

/// Microsoft Entra and a machine's service, as they answer by their pages.
struct Fake {
    url: String,
    asked: Asked,
    answered: Answered,
    folder: tempfile::TempDir,
    _task: tokio::task::JoinSet<()>,
}

async fn answer(
    State((asked, answered)): State<(Asked, Answered)>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let of = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let told = [of("metadata"), of("x-identity-header")].into_iter().flatten().collect::<Vec<_>>().join(" ");
    asked.lock().unwrap().push(format!("{uri} [{told}] {}", String::from_utf8_lossy(&body)));
    let (status, value) = answered.lock().unwrap().clone();
    (StatusCode::from_u16(status).unwrap(), axum::Json(value)).into_response()
}

impl Fake {
    async fn start() -> Self {
        let asked = Asked::default();
        let given =
            json!({ "access_token": "token-of-the-fake", "expires_in": 3599, "token_type": "Bearer" });
        let answered = Arc::new(Mutex::new((200, given)));
        let router = Router::new().fallback(answer).with_state((asked.clone(), answered.clone()));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut task = tokio::task::JoinSet::new();
        task.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, asked, answered, folder: tempfile::tempdir().unwrap(), _task: task }
    }

    fn file(&self, name: &str, content: &str, mode: u32) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path.display().to_string()
    }

    fn answer(&self, status: u16, value: Value) {
        *self.answered.lock().unwrap() = (status, value);
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    /// With the fake as the authority, and this environment.
    fn find(&self, configured: Configured, environment: &[(&str, &str)]) -> Result<Tokens, PortError> {
        let authority = configured.authority.clone().or_else(|| Some(self.url.clone()));
        find(Configured { authority, ..configured }, environment)
    }
}

fn find(configured: Configured, environment: &[(&str, &str)]) -> Result<Tokens, PortError> {
    let shared = Shared { http: Http::new().unwrap(), clock: Arc::new(SystemClock) };
    let of =
        |name: &str| environment.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    Tokens::find(&shared, DEADLINE, configured, of)
}

const APPLICATION: [(&str, &str); 3] =
    [("AZURE_TENANT_ID", "acme"), ("AZURE_CLIENT_ID", "ripcord"), ("AZURE_CLIENT_SECRET", "s3cret")];

async fn token(tokens: &Tokens) -> String {
    tokens.token(MANAGER).await.unwrap().expose().to_owned()
}

async fn refused(tokens: &Tokens) -> PortError {
    let error = tokens.token(MANAGER).await.unwrap_err();
    assert!(!error.to_string().contains("s3cret"), "{error}");
    error
}

#[tokio::test]
async fn an_application_s_secret_is_exchanged_for_a_token_of_each_service() {
    let fake = Fake::start().await;
    let tokens = fake.find(Configured::default(), &APPLICATION).unwrap();
    assert_eq!(token(&tokens).await, "token-of-the-fake");
    assert_eq!(token(&tokens).await, "token-of-the-fake");
    tokens.token(STORAGE).await.unwrap();
    let form = "client_id=ripcord&client_secret=s3cret&grant_type=client_credentials&scope=";
    assert_eq!(
        fake.asked(),
        [
            format!("/acme/oauth2/v2.0/token [] {form}https%3A%2F%2Fmanagement.azure.com%2F.default"),
            format!("/acme/oauth2/v2.0/token [] {form}https%3A%2F%2Fstorage.azure.com%2F.default"),
        ],
        "once each"
    );
    tokens.forget(MANAGER);
    token(&tokens).await;
    assert_eq!(fake.asked().len(), 1, "what was not taken is asked for anew");
    assert!(!format!("{tokens:?}").contains("s3cret"));
    let own = Configured {
        tenant: Some("own".into()),
        client: Some("mine".into()),
        secret: Some(Secret::new("s3cret-of-file")),
        ..Configured::default()
    };
    token(&fake.find(own, &APPLICATION).unwrap()).await;
    assert!(
        fake.asked()[0].starts_with("/own/oauth2/v2.0/token [] client_id=mine&client_secret=s3cret-of-file")
    );
}

#[tokio::test]
async fn a_workload_s_token_is_read_anew_each_time() {
    let fake = Fake::start().await;
    let file = fake.file("token", "jwt-1\n", 0o644);
    let environment = [APPLICATION[0], APPLICATION[1], ("AZURE_FEDERATED_TOKEN_FILE", file.as_str())];
    let tokens = fake.find(Configured::default(), &environment).unwrap();
    token(&tokens).await;
    fake.file("token", "jwt-2\n", 0o644);
    tokens.forget(MANAGER);
    token(&tokens).await;
    let asked = fake.asked();
    for (asked, assertion) in asked.iter().zip(["jwt-1", "jwt-2"]) {
        let wanted = format!(
            "client_assertion={assertion}&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer"
        );
        assert!(asked.starts_with("/acme/oauth2/v2.0/token") && asked.contains(&wanted), "{asked}");
    }
    std::fs::remove_file(&file).unwrap();
    tokens.forget(MANAGER);
    let error = refused(&tokens).await;
    assert_eq!(error.kind, ErrorKind::Denied, "{error}");
    assert!(error.to_string().contains("check that the cluster writes"), "{error}");
}

#[tokio::test]
async fn a_managed_identity_is_asked_of_the_machine() {
    let fake = Fake::start().await;
    fake.answer(200, json!({ "access_token": "of-the-machine", "expires_in": "86399", "expires_on": "1" }));
    let imds = [("AZURE_POD_IDENTITY_AUTHORITY_HOST", fake.url.as_str()), ("AZURE_CLIENT_ID", "mine")];
    let tokens = fake.find(Configured::default(), &imds).unwrap();
    assert_eq!(token(&tokens).await, "of-the-machine");
    assert_eq!(token(&tokens).await, "of-the-machine", "a number may be a text");
    let query = "resource=https%3A%2F%2Fmanagement.azure.com";
    assert_eq!(
        fake.asked(),
        [format!("/metadata/identity/oauth2/token?api-version=2018-02-01&{query}&client_id=mine [true] ")]
    );
    let endpoint = format!("{}/msi/token", fake.url);
    let app_service = [("IDENTITY_ENDPOINT", endpoint.as_str()), ("IDENTITY_HEADER", "s3cret")];
    fake.answer(200, json!({ "access_token": "of-the-app", "expires_on": "99999999999" }));
    let tokens = fake.find(Configured::default(), &app_service).unwrap();
    assert_eq!(token(&tokens).await, "of-the-app");
    assert_eq!(fake.asked(), [format!("/msi/token?api-version=2019-08-01&{query} [s3cret] ")]);
    // A machine's service that is not ready yet.
    fake.answer(404, json!({ "error": "not_found", "error_description": "not ready" }));
    tokens.forget(MANAGER);
    assert_eq!(refused(&tokens).await.retry, Retry::Later);
    fake.answer(400, json!({ "error": "invalid_request", "error_description": "Identity not found" }));
    let error = refused(&tokens).await;
    assert_eq!((error.kind, error.retry), (ErrorKind::Denied, Retry::No));
    assert!(error.to_string().contains("give the machine or pod a managed identity"), "{error}");
}

#[tokio::test]
async fn the_azure_cli_is_asked_where_it_is_configured() {
    let fake = Fake::start().await;
    let script = "#!/bin/sh\necho \"$@\" > \"$0.asked\"\necho '{\"accessToken\": \"of-the-cli\", \"expiresOn\": \"2026-11-28 10:00:00.000000\", \"expires_on\": 99999999999}'\n";
    let program = fake.file("az", script, 0o755);
    let configured = Configured {
        credentials: Some(AzureCredentials::AzureCli),
        tenant: Some("acme".into()),
        ..Configured::default()
    };
    let mut tokens = fake.find(configured, &APPLICATION).unwrap();
    let Source::Cli { program: named, .. } = &mut tokens.source else { panic!("another source") };
    assert_eq!(named, "az");
    named.clone_from(&program);
    assert_eq!(token(&tokens).await, "of-the-cli");
    let asked = std::fs::read_to_string(format!("{program}.asked")).unwrap();
    assert_eq!(
        asked.trim(),
        "account get-access-token --resource https://management.azure.com --output json --tenant acme"
    );
    fake.file("az", "#!/bin/sh\necho 'Please run az login' >&2\nexit 1\n", 0o755);
    tokens.forget(MANAGER);
    let error = refused(&tokens).await;
    assert_eq!((error.kind, error.applied), (ErrorKind::Denied, ripcord_ports::Applied::No), "{error}");
    assert!(error.to_string().contains("Please run az login"), "{error}");
    fake.file("az", "#!/bin/sh\necho 's3cret'\n", 0o755);
    assert_eq!(refused(&tokens).await.kind, ErrorKind::BadAnswer);
}

#[tokio::test]
async fn a_refusal_says_why_and_what_to_do() {
    let fake = Fake::start().await;
    let tokens = fake.find(Configured::default(), &APPLICATION).unwrap();
    let entra = |code: &str, why: &str| json!({ "error": code, "error_description": why });
    for (status, body, kind, retry, wanted) in [
        (
            401,
            entra("invalid_client", "AADSTS7000215: Invalid client secret provided."),
            ErrorKind::Denied,
            Retry::No,
            "AADSTS7000215",
        ),
        (
            400,
            entra("unauthorized_client", "AADSTS700016: no"),
            ErrorKind::Denied,
            Retry::No,
            "is in the tenant `acme`",
        ),
        (503, entra("temporarily_unavailable", "no"), ErrorKind::Failed, Retry::Later, "answered 503"),
        (200, json!({ "access_token": "" }), ErrorKind::BadAnswer, Retry::Later, "a token that no header"),
        (
            200,
            json!({ "access_token": "s3cret\n" }),
            ErrorKind::BadAnswer,
            Retry::Later,
            "a token that no header",
        ),
        (200, json!({ "token": "s3cret" }), ErrorKind::BadAnswer, Retry::Later, "answered with no token"),
        (
            203,
            json!({ "access_token": "s3cret" }),
            ErrorKind::BadAnswer,
            Retry::Later,
            "answered with no token",
        ),
        (
            200,
            json!({ "access_token": "s3cret", "expires_in": "soon" }),
            ErrorKind::BadAnswer,
            Retry::Later,
            "no number of seconds",
        ),
    ] {
        fake.answer(status, body);
        let error = refused(&tokens).await;
        assert_eq!((error.kind, error.retry), (kind, retry), "{error}");
        assert!(error.to_string().contains(wanted), "{wanted}: {error}");
    }
    // However long a service says that it is good for.
    for lifetime in [json!(999_999_999_999_u64), Value::Null, json!("3599")] {
        fake.answer(200, json!({ "access_token": "of-any-length", "expires_in": lifetime }));
        tokens.forget(MANAGER);
        assert_eq!(token(&tokens).await, "of-any-length");
        let until = tokens.all()[MANAGER].until.0 - tokens.clock.now().0;
        assert!(until <= TOKEN_SECONDS_MAX * 1_000, "{until}");
    }
    fake.answer(200, json!({ "access_token": "ends-now", "expires_on": 1 }));
    tokens.forget(MANAGER);
    token(&tokens).await;
    fake.asked();
    token(&tokens).await;
    assert_eq!(fake.asked().len(), 1, "what has ended is not used");
}

#[test]
fn credentials_are_looked_for_in_the_order_of_azure_s_libraries() {
    let words = |configured: Configured, environment: &[(&str, &str)]| {
        find(configured, environment).map(|tokens| tokens.words()).map_err(|error| {
            assert_eq!(error.kind, ErrorKind::Configuration, "{error}");
            error.to_string()
        })
    };
    let none = Configured::default;
    let of = |credentials| Configured { credentials: Some(credentials), ..none() };
    let workload = [APPLICATION[0], APPLICATION[1], ("AZURE_FEDERATED_TOKEN_FILE", "/token")];
    let all = [&APPLICATION[..], &workload[2..]].concat();
    assert_eq!(
        words(none(), &all).unwrap(),
        "the application `ripcord`, with the secret in `AZURE_CLIENT_SECRET`"
    );
    assert_eq!(words(none(), &workload).unwrap(), "the application `ripcord`, as this workload");
    assert_eq!(words(none(), &[]).unwrap(), "the managed identity of this machine");
    assert_eq!(
        words(of(AzureCredentials::WorkloadIdentity), &all).unwrap(),
        "the application `ripcord`, as this workload"
    );
    assert_eq!(words(of(AzureCredentials::ManagedIdentity), &all).unwrap(), "the managed identity `ripcord`");
    assert_eq!(words(of(AzureCredentials::AzureCli), &all).unwrap(), "the login of the Azure CLI");
    let secret = |credentials| Configured { secret: Some(Secret::new("s3cret")), credentials, ..none() };
    assert_eq!(
        words(secret(None), &all).unwrap(),
        "the application `ripcord`, with the secret that is configured"
    );
    let certificate = [APPLICATION[0], APPLICATION[1], ("AZURE_CLIENT_CERTIFICATE_PATH", "/c.pem")];
    let arc = [("IDENTITY_ENDPOINT", "http://localhost:40342"), ("IMDS_ENDPOINT", "http://localhost:40342")];
    let far = [("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://of-others.example")];
    for (configured, environment, wanted) in [
        (none(), &certificate[..], "no certificate is taken here"),
        (none(), &APPLICATION[1..], "does not say whose it is"),
        (secret(None), &[], "does not say whose it is"),
        (secret(Some(AzureCredentials::AzureCli)), &all, "take one of the two out"),
        (of(AzureCredentials::Environment), &workload, "there is no `AZURE_CLIENT_SECRET`"),
        (of(AzureCredentials::WorkloadIdentity), &APPLICATION, "`AZURE_FEDERATED_TOKEN_FILE` is not set"),
        (none(), &arc, "Azure Arc or Service Fabric"),
        (none(), &far, "over https, or of this machine"),
        (Configured { tenant: Some("a/b".into()), ..none() }, &APPLICATION, "cannot be `tenant-id`"),
        (Configured { client: Some("..".into()), ..none() }, &APPLICATION, "cannot be `client-id`"),
        (
            Configured { authority: Some("http://login.example".into()), ..none() },
            &APPLICATION,
            "calls carry tokens",
        ),
        (Configured { authority: Some("https://a:b@c".into()), ..none() }, &APPLICATION, "holds a user"),
        (none(), &[("AZURE_AUTHORITY_HOST", "http://login.example")], "`AZURE_AUTHORITY_HOST` is"),
    ] {
        let refused = words(configured, environment).unwrap_err();
        assert!(refused.contains(wanted), "{wanted}: {refused}");
    }
    let host = find(none(), &[("AZURE_AUTHORITY_HOST", "login.microsoftonline.us")]).unwrap();
    assert_eq!(host.authority.as_str(), "https://login.microsoftonline.us/");
    let china = find(Configured { cloud: AzureCloud::China, ..none() }, &[]).unwrap();
    assert_eq!(china.authority.as_str(), "https://login.chinacloudapi.cn/");
    for near in
        ["http://169.254.129.5:8081/msi", "http://localhost:42356/msi", "https://of-the-cluster.example/msi"]
    {
        let app = [("IDENTITY_ENDPOINT", near), ("IDENTITY_HEADER", "s3cret")];
        assert_eq!(words(none(), &app).unwrap(), "the managed identity of this machine", "{near}");
    }
}
