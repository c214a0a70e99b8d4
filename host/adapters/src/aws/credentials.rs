//! Who asks: a key that is configured, one of a profile, or the first that the ways of AWS's own programs lead to.

use std::error::Error as _;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use object_store::CredentialProvider;
use object_store::aws::AwsCredential;
use reqsign_aws_v4::{
    AssumeRoleWithWebIdentityCredentialProvider, Credential, ECSCredentialProvider, EnvCredentialProvider,
    IMDSv2CredentialProvider, ProfileCredentialProvider, RequestSigner, StaticCredentialProvider,
};
use reqsign_core::time::Timestamp;
use reqsign_core::{Context, Env, Error, OsEnv, ProvideCredentialDyn, SignRequest, SigningCredential};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use ripcord_core::digest::Digest;
use ripcord_core::time::Millis;
use ripcord_ports::{ErrorKind, PortError, Retry};
use tokio::sync::Mutex;

use super::surroundings::{Refused, surroundings};
use crate::http::Http;
use crate::restoring::wrong;
use crate::secret::Secret;

/// A call that is under way must not outlive its credentials.
const HEADROOM: Duration = Duration::from_secs(10);
/// Named to AWS where nobody chose a name, and seen in its audit log.
const SESSION: &str = "ripcord";
const PROFILE: &str = "AWS_PROFILE";
const SESSION_NAME: &str = "AWS_ROLE_SESSION_NAME";
const STS_PLACES: &str = "AWS_STS_REGIONAL_ENDPOINTS";
const CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");

/// What is configured.
#[derive(Debug)]
pub(crate) enum Way {
    /// One key.
    Key {
        /// Its id.
        id: String,
        /// Its secret half.
        secret: Secret,
    },
    /// A profile of the shared files.
    Profile(String),
    /// Nothing: environment, shared files, web identity, container, instance, in this order.
    AsFound,
}

impl Way {
    /// From the settings that say it.
    pub(crate) fn of(
        key_id: Option<String>,
        profile: Option<String>,
        secret: Option<Secret>,
    ) -> Result<Self, PortError> {
        match (key_id, profile, secret) {
            (Some(_), Some(_), _) => {
                Err(wrong("`access-key-id` and `profile` exclude each other: keep one of them"))
            }
            (Some(id), None, Some(secret)) => Ok(Self::Key { id, secret }),
            (Some(_), None, None) => Err(wrong(
                "`access-key-id` is there and its secret is missing: add `secret-access-key-file` or `secret-access-key-env`",
            )),
            (None, _, Some(_)) => {
                Err(wrong("there is a secret and no `access-key-id`: write the id of the key"))
            }
            (None, Some(profile), None) => Ok(Self::Profile(profile)),
            (None, None, None) => Ok(Self::AsFound),
        }
    }
}

/// One way to credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Configured,
    Environment,
    Profile,
    WebIdentity,
    Container,
    Instance,
}

impl Step {
    /// As a sentence names it.
    fn shown(self) -> &'static str {
        match self {
            Self::Configured => "the configured key",
            Self::Environment => "the environment",
            Self::Profile => "the shared files",
            Self::WebIdentity => "the web identity of `AWS_ROLE_ARN` and `AWS_WEB_IDENTITY_TOKEN_FILE`",
            Self::Container => "the container's credentials",
            Self::Instance => "the instance's metadata",
        }
    }
}

type Provider = Box<dyn ProvideCredentialDyn<Credential = Credential>>;

/// Who asks. What ends by itself is kept until shortly before its end; everything else is looked for at each call, so that a key that somebody renews is
/// taken from then on.
pub(crate) struct Credentials {
    context: Context,
    refused: Refused,
    /// A profile that somebody named: there is no going on without it.
    profile: Option<String>,
    steps: Vec<(Step, Provider)>,
    kept: Mutex<Option<Credential>>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps: Vec<Step> = self.steps.iter().map(|(step, _)| *step).collect();
        f.debug_struct("Credentials").field("steps", &steps).finish_non_exhaustive()
    }
}

impl Credentials {
    /// Nothing is asked yet. `region` is that of the token service.
    pub(crate) fn new(way: Way, region: &str, http: &Http, deadline: Millis) -> Result<Self, PortError> {
        Self::within(way, region, http, deadline, OsEnv)
    }

    fn within(
        way: Way,
        region: &str,
        http: &Http,
        deadline: Millis,
        env: impl Env,
    ) -> Result<Self, PortError> {
        let named = env.var(PROFILE).filter(|name| !name.is_empty());
        let mut web = AssumeRoleWithWebIdentityCredentialProvider::new().with_region(region.to_owned());
        if env.var(STS_PLACES).is_none_or(|place| place != "legacy") {
            web = web.with_regional_sts_endpoint();
        }
        if env.var(SESSION_NAME).is_none_or(|name| name.is_empty()) {
            web = web.with_role_session_name(SESSION.to_owned());
        }
        let (context, refused) = surroundings(http, deadline, env)?;
        let (profile, steps): (_, Vec<(Step, Provider)>) = match way {
            Way::Key { id, secret } => {
                let key = StaticCredentialProvider::new(&id, secret.expose());
                (None, vec![(Step::Configured, Box::new(key) as Provider)])
            }
            Way::Profile(name) => {
                let files = ProfileCredentialProvider::new().with_profile(&name);
                (Some(name), vec![(Step::Profile, Box::new(files) as Provider)])
            }
            Way::AsFound => (
                named,
                vec![
                    (Step::Environment, Box::new(EnvCredentialProvider::new())),
                    (Step::Profile, Box::new(ProfileCredentialProvider::new())),
                    (Step::WebIdentity, Box::new(web)),
                    (Step::Container, Box::new(ECSCredentialProvider::new())),
                    (Step::Instance, Box::new(IMDSv2CredentialProvider::new())),
                ],
            ),
        };
        Ok(Self { context, refused, profile, steps, kept: Mutex::default() })
    }

    /// Those that are good now.
    pub(crate) async fn get(&self) -> Result<Credential, PortError> {
        let mut kept = self.kept.lock().await;
        if let Some(good) = kept.as_ref().filter(|kept| kept.is_valid()) {
            return Ok(good.clone());
        }
        *kept = None;
        let (step, found) = self.find().await?;
        if !found.is_valid_at(Timestamp::now() + HEADROOM) {
            let text = format!(
                "the credentials of {} are at their end, or were never whole: have them renewed, and check this machine's clock",
                step.shown()
            );
            return Err(PortError::not_applied(ErrorKind::Denied, text).retry(Retry::Later));
        }
        *kept = found.expires_in.is_some().then(|| found.clone());
        Ok(found)
    }

    /// Those that are kept are no good: somebody refused them.
    pub(crate) async fn forget(&self) {
        *self.kept.lock().await = None;
    }

    async fn find(&self) -> Result<(Step, Credential), PortError> {
        for (step, provider) in &self.steps {
            let _ = self.refused.take();
            match provider.provide_credential_dyn(&self.context).await {
                Ok(Some(found)) => return Ok((*step, found)),
                Ok(None) if *step == Step::Profile => self.no_profile()?,
                Ok(None) => {}
                // It is the last, and may not be there: then nobody said who asks.
                Err(error) if *step == Step::Instance => {
                    let error = told(*step, &error);
                    let text = format!("{NO_CREDENTIALS} ({error})");
                    return Err(PortError::not_applied(ErrorKind::Denied, text).retry(error.retry));
                }
                Err(error) => return Err(told(*step, &error)),
            }
        }
        Err(PortError::not_applied(ErrorKind::Denied, NO_CREDENTIALS))
    }

    /// Whether it is fine that the shared files have no key.
    fn no_profile(&self) -> Result<(), PortError> {
        if let Some(why) = self.refused.take() {
            let text = format!("the shared files of AWS are not used: {why}");
            return Err(PortError::not_applied(ErrorKind::Denied, text));
        }
        let Some(name) = &self.profile else { return Ok(()) };
        let text = format!(
            "the shared files of AWS have no profile `{}` with `aws_access_key_id` and `aws_secret_access_key`: add them, or name another; roles, single sign-on and programs in a profile are not followed",
            name.escape_debug()
        );
        Err(PortError::not_applied(ErrorKind::Denied, text))
    }

    /// The headers with a signature over them, the address and the body.
    pub(crate) async fn sign(
        &self,
        service: &str,
        region: &str,
        (method, url): (&Method, &Url),
        mut headers: HeaderMap,
        body: &[u8],
    ) -> Result<HeaderMap, PortError> {
        let credential = self.get().await?;
        let unable = |why: String| wrong(format!("the call cannot be signed: {why}; check the credentials"));
        let hash =
            HeaderValue::try_from(Digest::of(body).to_string().trim_start_matches("sha256:").to_owned());
        headers.insert(CONTENT_SHA256, hash.map_err(|error| unable(error.to_string()))?);
        let request = ::http::Request::builder().method(method.clone()).uri(url.as_str()).body(());
        let (mut parts, ()) = request.map_err(|error| unable(error.to_string()))?.into_parts();
        parts.headers = headers;
        RequestSigner::new(service, region)
            .with_standard_session_token()
            .sign_request(&self.context, &mut parts, Some(&credential), None)
            .await
            .map_err(|error| unable(error.to_string()))?;
        Ok(parts.headers)
    }
}

const NO_CREDENTIALS: &str = "there are no credentials for AWS: write `access-key-id` and where its secret is, or `profile`, or give this host a role (web identity, container, instance)";

/// Why a way that is there led to nothing.
fn told(step: Step, error: &Error) -> PortError {
    let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
    let about = error.context().iter().filter(|line| line.starts_with("role_arn: "));
    let about: String = about.map(|line| format!(", {line}")).collect();
    let text = format!("{} gave no credentials{about}: {error}{cause}", step.shown());
    let kind = match error.kind() {
        reqsign_core::ErrorKind::ConfigInvalid | reqsign_core::ErrorKind::RequestInvalid => {
            ErrorKind::Configuration
        }
        reqsign_core::ErrorKind::CredentialInvalid | reqsign_core::ErrorKind::PermissionDenied => {
            ErrorKind::Denied
        }
        _ => ErrorKind::Failed,
    };
    let later = error.is_retryable() || error.kind() == reqsign_core::ErrorKind::RateLimited;
    PortError::not_applied(kind, text).retry(if later { Retry::Later } else { Retry::No })
}

/// The same for calls to S3.
#[derive(Debug)]
pub(crate) struct S3Credentials(pub(crate) Arc<Credentials>);

#[async_trait]
impl CredentialProvider for S3Credentials {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let found = self.0.get().await.map_err(|error| object_store::Error::Unauthenticated {
            path: String::new(),
            source: Box::new(error),
        })?;
        Ok(Arc::new(AwsCredential {
            key_id: found.access_key_id,
            secret_key: found.secret_access_key,
            token: found.session_token,
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;
    use std::sync::Mutex as StdMutex;

    use axum::Router;
    use axum::http::{HeaderMap, Method, StatusCode, Uri};
    use reqsign_core::StaticEnv;
    use tokio::task::JoinSet;

    use super::*;

    /// A server of credentials, and what it was asked.
    struct Fake {
        url: String,
        asked: Arc<StdMutex<Vec<(String, HeaderMap, String)>>>,
        _task: JoinSet<()>,
    }

    impl Fake {
        async fn start(answer: impl Fn(&str) -> (u16, String) + Clone + Send + Sync + 'static) -> Self {
            let asked: Arc<StdMutex<Vec<(String, HeaderMap, String)>>> = Arc::default();
            let seen = Arc::clone(&asked);
            let handler = async move |method: Method, uri: Uri, headers: HeaderMap, body: String| {
                let call = format!("{method} {uri}");
                let (status, text) = answer(&call);
                seen.lock().unwrap().push((call, headers, body));
                (StatusCode::from_u16(status).unwrap(), text)
            };
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            let mut task = JoinSet::new();
            let router = Router::new().fallback(handler);
            task.spawn(async move { axum::serve(listener, router).await.unwrap() });
            Self { url, asked, _task: task }
        }

        fn count(&self) -> usize {
            self.asked.lock().unwrap().len()
        }

        fn calls(&self) -> Vec<String> {
            self.asked.lock().unwrap().iter().map(|(call, ..)| call.clone()).collect()
        }
    }

    fn within(way: Way, home: &Path, environment: &[(&str, &str)]) -> Credentials {
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let mut envs: HashMap<String, String> = environment.iter().map(pair).collect();
        // Where a test says nothing of an instance, there is none.
        if !envs.contains_key("AWS_EC2_METADATA_SERVICE_ENDPOINT") {
            envs.insert("AWS_EC2_METADATA_DISABLED".into(), "true".into());
        }
        let env = StaticEnv { home_dir: Some(home.to_owned()), envs };
        Credentials::within(way, "eu-west-1", &Http::new().unwrap(), Millis(2_000), env).unwrap()
    }

    fn written(path: &Path, text: &str, mode: u32) -> String {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        path.display().to_string()
    }

    async fn key(credentials: &Credentials) -> (String, String, Option<String>) {
        let found = credentials.get().await.unwrap();
        (found.access_key_id, found.secret_access_key, found.session_token)
    }

    fn text(text: &str) -> String {
        text.to_owned()
    }

    /// An instant as AWS writes it, so many seconds from now.
    fn at(seconds: i64) -> String {
        let now = Timestamp::now().as_second();
        Timestamp::from_second(now + seconds).unwrap().format_rfc3339_zulu()
    }

    const FILES: &str = "[default]\naws_access_key_id = of-default\naws_secret_access_key = s3cret-default\n\n[team]\naws_access_key_id=of-team\naws_secret_access_key=s3cret-team\naws_session_token=t0ken\n\n[half]\nrole_arn = arn:aws:iam::1:role/x\n";

    #[tokio::test]
    async fn a_key_is_configured_or_of_the_environment_or_of_the_shared_files() {
        let home = tempfile::tempdir().unwrap();
        let own = within(Way::Key { id: text("mine"), secret: Secret::new("s3cret") }, home.path(), &[]);
        assert_eq!(key(&own).await, (text("mine"), text("s3cret"), None));
        let environment = [
            ("AWS_ACCESS_KEY_ID", "of-env"),
            ("AWS_SECRET_ACCESS_KEY", "s3cret-env"),
            ("AWS_SESSION_TOKEN", "t0ken-env"),
        ];
        let files = home.path().join(".aws/credentials");
        written(&files, FILES, 0o600);
        let found = within(Way::AsFound, home.path(), &environment);
        assert_eq!(key(&found).await, (text("of-env"), text("s3cret-env"), Some(text("t0ken-env"))));
        let of_default = (text("of-default"), text("s3cret-default"), None);
        assert_eq!(key(&within(Way::AsFound, home.path(), &[])).await, of_default);
        let of_team = (text("of-team"), text("s3cret-team"), Some(text("t0ken")));
        assert_eq!(key(&within(Way::AsFound, home.path(), &[("AWS_PROFILE", "team")])).await, of_team);
        // What is configured counts before the environment.
        assert_eq!(key(&within(Way::Profile(text("team")), home.path(), &environment)).await, of_team);
        let elsewhere =
            written(&home.path().join("config"), &FILES.replace("[team]", "[profile team]"), 0o600);
        let named = [
            ("AWS_CONFIG_FILE", elsewhere.as_str()),
            ("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent"),
            ("AWS_PROFILE", "team"),
        ];
        let found = within(Way::AsFound, home.path(), &named);
        assert_eq!(key(&found).await, of_team);
        written(
            &home.path().join("config"),
            &FILES.replace("[team]", "[profile team]").replace("t0ken", "renewed"),
            0o600,
        );
        assert_eq!(key(&found).await.2.as_deref(), Some("renewed"), "who renews a key needs no restart");
        let shown = format!("{found:?} {own:?}");
        assert!(!shown.contains("s3cret") && !shown.contains("t0ken"), "{shown}");
    }

    #[tokio::test]
    async fn a_profile_that_somebody_named_is_not_passed_over() {
        let home = tempfile::tempdir().unwrap();
        let refused = async |way: Way, environment: &[(&str, &str)], expected: &str| {
            let error = within(way, home.path(), environment).get().await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::Denied, "{error}");
            let text = format!("{error} {error:?}");
            assert!(text.contains(expected) && !text.contains("s3cret"), "{text}");
        };
        refused(Way::AsFound, &[], "there are no credentials for AWS").await;
        refused(Way::Profile(text("team")), &[], "no profile `team`").await;
        written(&home.path().join(".aws/credentials"), FILES, 0o600);
        refused(Way::AsFound, &[("AWS_PROFILE", "a\u{1b}")], "no profile `a\\u{1b}`").await;
        refused(
            Way::Profile(text("half")),
            &[],
            "roles, single sign-on and programs in a profile are not followed",
        )
        .await;
        written(&home.path().join(".aws/credentials"), FILES, 0o644);
        refused(Way::AsFound, &[], "chmod 600").await;
        refused(Way::Profile(text("team")), &[], "chmod 600").await;
    }

    fn session(id: &str, ends: &str) -> String {
        format!(
            "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>{id}</AccessKeyId><SecretAccessKey>s3cret</SecretAccessKey><SessionToken>t0ken</SessionToken><Expiration>{ends}</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
        )
    }

    #[tokio::test]
    async fn a_web_identity_is_exchanged_and_kept_until_shortly_before_its_end() {
        let home = tempfile::tempdir().unwrap();
        // As Kubernetes writes it.
        let token = written(&home.path().join("token"), "the-token\n", 0o644);
        let ends = Arc::new(StdMutex::new(at(3_600)));
        let of_fake = Arc::clone(&ends);
        let fake = Fake::start(move |_| (200, session("ASIA1", &of_fake.lock().unwrap()))).await;
        let role = [
            ("AWS_ROLE_ARN", "arn:aws:iam::1:role/ripcord"),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", token.as_str()),
            ("AWS_ENDPOINT_URL_STS", fake.url.as_str()),
        ];
        let credentials = within(Way::AsFound, home.path(), &role);
        for _ in 0..3 {
            assert_eq!(key(&credentials).await, (text("ASIA1"), text("s3cret"), Some(text("t0ken"))));
        }
        assert_eq!(fake.count(), 1, "one session for many calls");
        let (call, _, body) = fake.asked.lock().unwrap()[0].clone();
        assert_eq!(call, "POST /");
        for part in [
            "Action=AssumeRoleWithWebIdentity",
            "WebIdentityToken=the-token",
            "RoleSessionName=ripcord",
            "RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fripcord",
        ] {
            assert!(body.contains(part), "{body}");
        }
        credentials.forget().await;
        *ends.lock().unwrap() = at(60);
        for _ in 0..2 {
            key(&credentials).await;
        }
        assert_eq!(fake.count(), 3, "what is nearly at its end is not kept");
        *ends.lock().unwrap() = at(-60);
        let error = credentials.get().await.unwrap_err();
        assert_eq!((error.kind, error.retry), (ErrorKind::Denied, Retry::Later), "{error}");
        assert!(error.to_string().contains("are at their end"), "{error}");
    }

    #[tokio::test]
    async fn a_session_that_is_refused_is_asked_for_anew() {
        let home = tempfile::tempdir().unwrap();
        let token = written(&home.path().join("token"), "the-token", 0o600);
        let ends = at(3_600);
        let sts = Fake::start(move |_| (200, session("ASIA1", &ends))).await;
        let service = Fake::start(|_| (400, text("{\"__type\":\"ExpiredTokenException\"}"))).await;
        let role = [
            ("AWS_ROLE_ARN", "arn:aws:iam::1:role/ripcord"),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", token.as_str()),
            ("AWS_ENDPOINT_URL_STS", sts.url.as_str()),
        ];
        let json = crate::aws::Json {
            http: Http::new().unwrap(),
            url: Url::parse(&service.url).unwrap(),
            region: text("eu-west-1"),
            system: "SageMaker",
            service: "sagemaker",
            credentials: Arc::new(within(Way::AsFound, home.path(), &role)),
            deadline: Millis(2_000),
            patience: crate::http::Patience(Millis(0)),
        };
        for asked in 1..3 {
            let error = json.read("ListTags", &serde_json::json!({})).await.unwrap_err();
            assert!(error.to_string().contains("the session is at its end"), "{error}");
            assert_eq!((sts.count(), service.count()), (asked, asked));
        }
        assert_eq!(service.asked.lock().unwrap()[0].1["x-amz-security-token"], "t0ken");
    }

    #[tokio::test]
    async fn the_first_way_that_is_there_counts_also_where_it_fails() {
        let home = tempfile::tempdir().unwrap();
        let token = written(&home.path().join("token"), "the-token", 0o600);
        let instance = Fake::start(|_| (200, text("x"))).await;
        let refusal = |code: &str| {
            format!(
                "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>m the-token</Message></Error></ErrorResponse>"
            )
        };
        let table = [
            (400, refusal("ExpiredToken"), ErrorKind::Denied, Retry::No, "ExpiredToken"),
            (
                403,
                refusal("AccessDenied"),
                ErrorKind::Denied,
                Retry::No,
                "role_arn: arn:aws:iam::1:role/ripcord",
            ),
            (400, refusal("Throttling"), ErrorKind::Failed, Retry::Later, "Throttling"),
            (503, text("busy"), ErrorKind::Failed, Retry::Later, "the web identity of"),
            (200, text("<html>"), ErrorKind::Failed, Retry::No, "the web identity of"),
        ];
        for (status, body, kind, retry, expected) in table {
            let sts = Fake::start(move |_| (status, body.clone())).await;
            let environment = [
                ("AWS_ROLE_ARN", "arn:aws:iam::1:role/ripcord"),
                ("AWS_WEB_IDENTITY_TOKEN_FILE", token.as_str()),
                ("AWS_ENDPOINT_URL_STS", sts.url.as_str()),
                ("AWS_EC2_METADATA_SERVICE_ENDPOINT", instance.url.as_str()),
            ];
            let error = within(Way::AsFound, home.path(), &environment).get().await.unwrap_err();
            assert_eq!((error.kind, error.retry), (kind, retry), "{error}");
            let told = format!("{error} {error:?}");
            assert!(told.contains(expected) && !told.contains("the-token"), "{told}");
        }
        assert_eq!(instance.count(), 0, "nobody else is asked");
        let gone =
            [("AWS_ROLE_ARN", "arn:aws:iam::1:role/r"), ("AWS_WEB_IDENTITY_TOKEN_FILE", "/nonexistent")];
        let error = within(Way::AsFound, home.path(), &gone).get().await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Configuration);
        assert!(error.to_string().contains("/nonexistent"), "{error}");
    }

    #[tokio::test]
    async fn a_container_is_asked_where_its_environment_says() {
        let home = tempfile::tempdir().unwrap();
        let ends = at(3_600);
        let fake = Fake::start(move |call| match call {
            "GET /v1/credentials" => (200, format!("{{\"AccessKeyId\":\"ASIA2\",\"SecretAccessKey\":\"s3cret\",\"Token\":\"t0ken\",\"Expiration\":\"{ends}\"}}")),
            _ => (403, text("not you")),
        })
        .await;
        let token = written(&home.path().join("pod-token"), "pod\n", 0o640);
        let uri = format!("{}/v1/credentials", fake.url);
        let environment = [
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", uri.as_str()),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token.as_str()),
        ];
        let credentials = within(Way::AsFound, home.path(), &environment);
        assert_eq!(key(&credentials).await.0, "ASIA2");
        assert_eq!(fake.asked.lock().unwrap()[0].1["authorization"], "pod");
        let other = format!("{}/other", fake.url);
        let error = within(Way::AsFound, home.path(), &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &other)])
            .get()
            .await
            .unwrap_err();
        assert_eq!(error.kind, ErrorKind::Denied, "{error}");
        assert!(error.to_string().contains("the container's credentials gave no credentials"), "{error}");
        let far = [("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://192.0.2.7/v1")];
        let error = within(Way::AsFound, home.path(), &far).get().await.unwrap_err();
        assert!(error.to_string().contains("over https, or of this machine"), "{error}");
    }

    #[tokio::test]
    async fn an_instance_is_asked_last_and_by_the_second_version_of_its_metadata() {
        let home = tempfile::tempdir().unwrap();
        let ends = at(3_600);
        let fake = Fake::start(move |call| match call {
            "PUT /latest/api/token" => (200, text("metadata-token")),
            "GET /latest/meta-data/iam/security-credentials/" => (200, text("ripcord-role")),
            "GET /latest/meta-data/iam/security-credentials/ripcord-role" => (
                200,
                format!("{{\"Code\":\"Success\",\"AccessKeyId\":\"ASIA3\",\"SecretAccessKey\":\"s3cret\",\"Token\":\"t0ken\",\"Expiration\":\"{ends}\"}}"),
            ),
            _ => (404, String::new()),
        })
        .await;
        let at_instance = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", fake.url.as_str())];
        let credentials = within(Way::AsFound, home.path(), &at_instance);
        for _ in 0..2 {
            assert_eq!(key(&credentials).await, (text("ASIA3"), text("s3cret"), Some(text("t0ken"))));
        }
        assert_eq!(fake.calls().len(), 3, "{:?}", fake.calls());
        assert_eq!(fake.asked.lock().unwrap()[1].1["x-aws-ec2-metadata-token"], "metadata-token");

        let bare =
            Fake::start(|call| if call.starts_with("PUT") { (200, text("t")) } else { (404, String::new()) })
                .await;
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        for url in [bare.url.clone(), format!("http://{nobody}")] {
            let at_url = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", url.as_str())];
            let error = within(Way::AsFound, home.path(), &at_url).get().await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::Denied);
            let told = error.to_string();
            assert!(
                told.starts_with("there are no credentials for AWS")
                    && told.contains("the instance's metadata"),
                "{told}"
            );
        }
    }

    #[test]
    fn what_is_configured_of_credentials_fits_together() {
        let refused = |key: Option<&str>, profile: Option<&str>, secret: Option<&str>, expected: &str| {
            let way = Way::of(key.map(str::to_owned), profile.map(str::to_owned), secret.map(Secret::new));
            assert!(way.unwrap_err().to_string().contains(expected));
        };
        refused(Some("id"), Some("p"), None, "exclude each other");
        refused(Some("id"), None, None, "its secret is missing");
        refused(None, Some("p"), Some("s"), "no `access-key-id`");
        let env =
            StaticEnv { home_dir: None, envs: HashMap::from([(text("AWS_ENDPOINT_URL_STS"), text("sts"))]) };
        let error = Credentials::within(Way::AsFound, "eu-west-1", &Http::new().unwrap(), Millis(1), env)
            .unwrap_err();
        assert!(error.to_string().contains("`AWS_ENDPOINT_URL_STS`"), "{error}");
    }
}
