//! Who Google is told that asks: credentials as Google's own tools find them (Application Default Credentials), and the token that they give.
//!
//! In this order: a file that is configured; the file that `GOOGLE_APPLICATION_CREDENTIALS` names; the one that `gcloud auth application-default login`
//! writes; the metadata server of the machine or pod. A file is read anew whenever a token is needed. A token is kept for as long as it is good.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use reqsign_core::{Context, Env, ProvideCredential, Signer};
use reqsign_google::{
    Credential, FileCredentialProvider, RequestSigner, ServiceAccountTokenCredentialProvider,
    VmMetadataCredentialProvider,
};
use reqwest::header::AUTHORIZATION;
use ripcord_core::time::Millis;
use ripcord_ports::{ErrorKind, PortError, Retry};
use serde::Deserialize;
use serde_json::Value;

use crate::http::{self, Http};
use crate::secret::Secret;
use crate::signing::{self, Trouble};

/// What a token is asked for: what it may do is for the account's roles to say.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// Where tokens are had, unless the file says otherwise.
const TOKEN_URL: &str = "https://oauth2.googleapis.com/token";

/// Where credentials are.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    File { path: PathBuf, kind: FileKind },
    Metadata,
}

/// What a file of credentials holds, as its `type` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum FileKind {
    ServiceAccount,
    AuthorizedUser,
    ExternalAccount,
    ImpersonatedServiceAccount,
}

/// As much of a file of credentials as is looked at here.
#[derive(Deserialize)]
struct File {
    #[serde(default, rename = "type")]
    kind: Value,
    #[serde(default)]
    token_uri: Option<String>,
    #[serde(default)]
    quota_project_id: Option<String>,
    #[serde(default)]
    credential_source: Option<Value>,
}

/// What gives tokens.
pub(crate) struct Tokens {
    context: Context,
    trouble: Trouble,
    source: Source,
    signer: Mutex<Signer<Credential>>,
    /// Whose quota calls count against, where that is said.
    pub(crate) quota_project: Option<String>,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").field("source", &self.source).finish_non_exhaustive()
    }
}

impl Tokens {
    /// Finds the credentials; nobody is asked for a token. A file that is named and does not read is an error now, not in the first incident.
    pub(crate) fn find(
        http: &Http,
        deadline: Millis,
        configured: Option<&Path>,
        environment: impl Env,
    ) -> Result<Self, PortError> {
        let text = |name: &str| environment.var(name).filter(|value| !value.is_empty());
        let path = configured.map(Path::to_path_buf);
        let path = path.or_else(|| text("GOOGLE_APPLICATION_CREDENTIALS").map(PathBuf::from)).or_else(|| {
            let folder = text("CLOUDSDK_CONFIG").map(PathBuf::from);
            let folder = folder.or_else(|| text("HOME").map(|home| Path::new(&home).join(".config/gcloud")));
            folder.map(|it| it.join("application_default_credentials.json")).filter(|file| file.exists())
        });
        let file = path.map(|path| looked_at(&path).map(|(kind, file)| (path, kind, file))).transpose()?;
        let quota_project = text("GOOGLE_CLOUD_QUOTA_PROJECT");
        let (source, token_url, of_file) = match file {
            Some((path, kind, file)) => {
                let url = file.token_uri.as_deref().map(http::page).transpose().map_err(|error| {
                    wrong(format!("`token_uri` in `{}` cannot be asked: {error}", path.display()))
                })?;
                (Source::File { path, kind }, url, file.quota_project_id)
            }
            None => (Source::Metadata, None, None),
        };
        let instead = token_url.map(|url| (TOKEN_URL, url));
        let (context, trouble) = signing::surroundings(http, deadline, environment, instead, complete);
        let signer = Mutex::new(signer(&context, &source));
        Ok(Self { context, trouble, source, signer, quota_project: quota_project.or(of_file) })
    }

    /// A token that is good for now.
    pub(crate) async fn token(&self) -> Result<Secret, PortError> {
        let signer = self.signer.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (mut parts, ()) = ::http::Request::new(()).into_parts();
        parts.uri = ::http::Uri::from_static("https://googleapis.com/");
        signer.sign(&mut parts, None).await.map_err(|error| self.refused(&error))?;
        let bearer = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = bearer.and_then(|bearer| bearer.strip_prefix("Bearer "));
        token.map(Secret::new).ok_or_else(|| {
            let text = format!("no token came of {}: {}", self.words(), self.advice());
            PortError::not_applied(ErrorKind::Denied, text)
        })
    }

    /// Forgets the token that is kept: somebody did not take it.
    pub(crate) fn forget(&self) {
        let anew = signer(&self.context, &self.source);
        *self.signer.lock().unwrap_or_else(PoisonError::into_inner) = anew;
    }

    /// Where the credentials are, for people.
    pub(crate) fn words(&self) -> String {
        match &self.source {
            Source::File { path, kind } => {
                let kind = match kind {
                    FileKind::ServiceAccount => "the service account's key",
                    FileKind::AuthorizedUser => "the login",
                    FileKind::ExternalAccount => "the workload identity",
                    FileKind::ImpersonatedServiceAccount => "the impersonation",
                };
                format!("{kind} in `{}`", path.display())
            }
            Source::Metadata => "the metadata server".to_owned(),
        }
    }

    fn advice(&self) -> &'static str {
        match &self.source {
            Source::File { kind: FileKind::ServiceAccount, .. } => {
                "check that the account and this key of it are still there and enabled, and that this machine's clock is right"
            }
            Source::File { kind: FileKind::AuthorizedUser, .. } => {
                "log in again with `gcloud auth application-default login`, or give Ripcord an account of its own"
            }
            Source::File { kind: FileKind::ExternalAccount, .. } => {
                "check that the token which the file points at is renewed, that the pool's provider takes its issuer, audience and attributes, and that the account that it stands for grants `roles/iam.workloadIdentityUser`"
            }
            Source::File { kind: FileKind::ImpersonatedServiceAccount, .. } => {
                "log in again with `gcloud auth application-default login --impersonate-service-account`; the account must grant whoever logs in `roles/iam.serviceAccountTokenCreator`"
            }
            Source::Metadata => {
                "give the machine or pod a service account, or write a file's path as `credentials-file` or into `GOOGLE_APPLICATION_CREDENTIALS`, or run `gcloud auth application-default login`"
            }
        }
    }

    /// What kept a token from coming, with what to do.
    fn refused(&self, error: &reqsign_core::Error) -> PortError {
        let (words, advice) = (self.words(), self.advice());
        let Some(trouble) = self.trouble.take() else {
            let (kind, retry) = match error.kind() {
                reqsign_core::ErrorKind::RateLimited => (ErrorKind::Failed, Retry::Later),
                reqsign_core::ErrorKind::ConfigInvalid => (ErrorKind::Configuration, Retry::No),
                _ => (ErrorKind::Denied, Retry::No),
            };
            let said = http::excerpt(error.to_string().as_bytes());
            let text = format!("no token came of {words}: {said}; {advice}");
            return PortError::not_applied(kind, text).retry(retry);
        };
        if matches!(self.source, Source::Metadata) && trouble.kind == ErrorKind::Unreachable {
            let text = format!(
                "there are no Google credentials: none are configured, and there is no metadata server here ({trouble}); {advice}"
            );
            return PortError::not_applied(ErrorKind::Denied, text).retry(trouble.retry);
        }
        let told = match trouble.kind {
            ErrorKind::Denied | ErrorKind::NotFound => format!("; {advice}"),
            _ => String::new(),
        };
        PortError::not_applied(trouble.kind, format!("no token came of {words}: {trouble}{told}"))
            .retry(trouble.retry)
    }
}

/// The same for calls that the crate `object_store` makes.
#[cfg(feature = "s3")]
#[derive(Debug)]
pub(crate) struct BearerTokens(pub(crate) std::sync::Arc<Tokens>);

#[cfg(feature = "s3")]
#[async_trait::async_trait]
impl object_store::CredentialProvider for BearerTokens {
    type Credential = object_store::gcp::GcpCredential;

    async fn get_credential(&self) -> object_store::Result<std::sync::Arc<Self::Credential>> {
        let token = self.0.token().await.map_err(|error| object_store::Error::Unauthenticated {
            path: String::new(),
            source: Box::new(error),
        })?;
        Ok(std::sync::Arc::new(object_store::gcp::GcpCredential { bearer: token.expose().to_owned() }))
    }
}

fn signer(context: &Context, source: &Source) -> Signer<Credential> {
    let provider = Provider(source.clone());
    Signer::new(context.clone(), provider, RequestSigner::new("aiplatform").with_scope(SCOPE))
}

/// Credentials that are a token already, wherever they come from: only these are kept.
#[derive(Debug)]
struct Provider(Source);

impl ProvideCredential for Provider {
    type Credential = Credential;

    async fn provide_credential(&self, context: &Context) -> reqsign_core::Result<Option<Credential>> {
        let path = match &self.0 {
            Source::Metadata => {
                let server = VmMetadataCredentialProvider::new().with_scope(SCOPE);
                return server.provide_credential(context).await;
            }
            Source::File { path, .. } => path.to_string_lossy(),
        };
        let read = FileCredentialProvider::new(path).with_scope(SCOPE).provide_credential(context).await?;
        match read {
            Some(Credential { service_account: Some(account), .. }) => {
                let exchange = ServiceAccountTokenCredentialProvider::new(account).with_scope(SCOPE);
                exchange.provide_credential(context).await
            }
            token => Ok(token),
        }
    }
}

/// A token's source that does not say its form is plain text, which the crate that reads it wants to be told.
fn complete(bytes: Vec<u8>) -> Vec<u8> {
    let Ok(mut file) = serde_json::from_slice::<Value>(&bytes) else { return bytes };
    let source = file.get_mut("credential_source").and_then(Value::as_object_mut);
    let Some(source) = source.filter(|source| !source.contains_key("format")) else { return bytes };
    source.insert("format".to_owned(), serde_json::json!({ "type": "text" }));
    file.to_string().into_bytes()
}

fn looked_at(path: &Path) -> Result<(FileKind, File), PortError> {
    let bytes = signing::read(path)?;
    let shown = path.display();
    let file: File = serde_json::from_slice(&bytes).map_err(|error| {
        wrong(format!("`{shown}` is no file of Google credentials: {error}; see the adapter's page"))
    })?;
    let kind = FileKind::deserialize(&file.kind).map_err(|_| {
        let told = http::excerpt(file.kind.to_string().as_bytes());
        wrong(format!(
            "`{shown}` holds credentials of the type {told}, which are not taken: write a file of the type `service_account`, `authorized_user`, `external_account` or `impersonated_service_account`"
        ))
    })?;
    if file.credential_source.as_ref().is_some_and(|source| source.get("executable").is_some()) {
        return Err(wrong(format!(
            "`{shown}` has a program give the token, and none is run here: have it point at a file or a URL instead"
        )));
    }
    Ok((kind, file))
}

fn wrong(why: String) -> PortError {
    PortError::not_applied(ErrorKind::Configuration, why)
}

#[cfg(test)]
mod tests;
