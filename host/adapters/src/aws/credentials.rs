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
