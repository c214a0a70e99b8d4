//! Who Microsoft Entra is told that asks: credentials as the libraries of Azure find them, and the tokens that they give.
//!
//! In this order, unless the configuration names one: a client secret that is configured, or in the environment; the token that a cluster writes for a
//! workload; the managed identity of the machine, its address as App Service says it in the environment, else that of Azure's virtual machines. The Azure
//! CLI's login is asked only where it is configured. A token is kept, each for the service that it is good for, until shortly before it ends.

mod cloud;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::{Method, Url};
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_ports::{Clock, ErrorKind, PortError, Retry};
use serde::Deserialize;
use serde_json::Value;

use crate::Shared;
use crate::command::{CommandSurroundings, Program};
use crate::file_work::FileWork;
use crate::folder;
use crate::http::{self, Call, Http};
use crate::near::is_in_the_clear;
use crate::secret::Secret;
use crate::token_service::{ANSWER_BYTES_MAX, TOKEN_SECONDS, TOKEN_SECONDS_MAX, refusal};

pub use cloud::AzureCloud;
pub(crate) use cloud::own_address;

/// Where a virtual machine is told its identity's tokens.
const MACHINE: &str = "http://169.254.169.254";
/// A file with the token of a workload is small.
const FILE_BYTES_MAX: u64 = 256 << 10;
/// A token is asked for anew so long before it ends.
const BEFORE_ITS_END: u64 = 5 * 60;
/// The Azure CLI.
const CLI: &str = "az";
/// Variables that the Azure CLI needs to find its login.
const CLI_ENVIRONMENT: [&str; 2] = ["AZURE_CONFIG_DIR", "HOME"];

/// Whose credentials are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AzureCredentials {
    /// An application's secret, in the environment.
    Environment,
    /// The token that a cluster writes into a file for a workload.
    WorkloadIdentity,
    /// The identity that the machine was given.
    ManagedIdentity,
    /// Whoever has logged in with the Azure CLI.
    AzureCli,
}

/// What is configured of credentials.
#[derive(Debug, Default)]
pub(crate) struct Configured {
    pub(crate) credentials: Option<AzureCredentials>,
    pub(crate) tenant: Option<String>,
    pub(crate) client: Option<String>,
    pub(crate) secret: Option<Secret>,
    pub(crate) authority: Option<String>,
    pub(crate) cloud: AzureCloud,
}

#[derive(Debug)]
enum Source {
    /// An application that has a secret, and where that was found.
    Application { tenant: String, client: String, secret: Secret, found: &'static str },
    /// One that is believed for the token in this file.
    Workload { tenant: String, client: String, file: PathBuf },
    /// A service on the machine.
    Machine { url: Url, version: &'static str, client: Option<String>, proof: Proof },
    /// The Azure CLI, and the tenant to ask for.
    Cli { program: String, tenant: Option<String> },
}

/// What shows a machine's service that who asks runs on it.
#[derive(Debug)]
enum Proof {
    Metadata,
    Header(Secret),
}

struct Kept {
    token: Secret,
    from: UnixMillis,
    until: UnixMillis,
}

/// What gives tokens.
pub(crate) struct Tokens {
    http: Http,
    clock: Arc<dyn Clock>,
    deadline: Millis,
    authority: Url,
    source: Source,
    files: FileWork,
    kept: Mutex<HashMap<String, Kept>>,
    /// Who waits for a token takes the one that another is given.
    asking: tokio::sync::Mutex<()>,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").field("source", &self.source).finish_non_exhaustive()
    }
}

/// What a service of tokens answers.
#[derive(Deserialize)]
struct Given {
    #[serde(alias = "accessToken")]
    access_token: String,
    /// Seconds, as a number or as a text.
    #[serde(default)]
    expires_in: Value,
    /// Seconds after 1970, as a number or as a text.
    #[serde(default)]
    expires_on: Value,
}

impl Tokens {
    /// Finds the credentials; nobody is asked for a token.
    pub(crate) fn find(
        shared: &Shared,
        deadline: Millis,
        configured: Configured,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, PortError> {
        let text = |name: &str| environment(name).filter(|value| !value.is_empty());
        let authority = configured.authority.clone().map(|at| ("authority", at));
        let authority = authority.or_else(|| text(AUTHORITY).map(|at| (AUTHORITY, at)));
        let (key, at) = authority.unwrap_or_else(|| ("authority", configured.cloud.authority().to_owned()));
        // The variable may be a host alone.
        let at = if at.contains("://") { at } else { format!("https://{at}") };
        Ok(Self {
            http: shared.http.clone(),
            clock: Arc::clone(&shared.clock),
            deadline,
            authority: own_address(key, &at)?,
            source: source(configured, &text)?,
            files: FileWork::new("the file of a workload's token"),
            kept: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
        })
    }

    /// A token that is good for now, for the service with this address.
    pub(crate) async fn token(&self, audience: &str) -> Result<Secret, PortError> {
        let _asking = self.asking.lock().await;
        let now = self.clock.now();
        if let Some(token) = self.known(audience, now) {
            return Ok(token);
        }
        let (token, seconds) =
            self.ask(audience, now).await.map_err(|error| self.refused(audience, &error))?;
        let good = seconds - BEFORE_ITS_END.min(seconds / 2);
        let until = UnixMillis(now.0.saturating_add(good * 1_000));
        let kept = Kept { token: token.clone(), from: now, until };
        self.all().insert(audience.to_owned(), kept);
        Ok(token)
    }

    fn all(&self) -> std::sync::MutexGuard<'_, HashMap<String, Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self, audience: &str, now: UnixMillis) -> Option<Secret> {
        let all = self.all();
        let kept = all.get(audience)?;
        // A clock that was set back makes no token last longer.
        (kept.from <= now && now < kept.until).then(|| kept.token.clone())
    }

    /// Forgets the token that is kept for a service, which did not take it.
    pub(crate) fn forget(&self, audience: &str) {
        self.all().remove(audience);
    }

    /// A token, and for how many seconds it can be used.
    async fn ask(&self, audience: &str, now: UnixMillis) -> Result<(Secret, u64), PortError> {
        let scope = format!("{audience}/.default");
        let call = match &self.source {
            Source::Application { tenant, client, secret, .. } => {
                let form = [
                    ("client_id", client.as_str()),
                    ("client_secret", secret.expose()),
                    ("grant_type", "client_credentials"),
                    ("scope", &scope),
                ];
                self.http.call(Method::POST, &self.token_url(tenant)).form(&form)
            }
            Source::Workload { tenant, client, file } => {
                let file = file.clone();
                let read = self.files.run(move |_| folder::read_ambient(&file, FILE_BYTES_MAX)).await?;
                let assertion = String::from_utf8_lossy(&read);
                let form = [
                    ("client_id", client.as_str()),
                    ("client_assertion", assertion.trim()),
                    ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
                    ("grant_type", "client_credentials"),
                    ("scope", &scope),
                ];
                self.http.call(Method::POST, &self.token_url(tenant)).form(&form)
            }
            Source::Machine { url, version, client, proof } => {
                let mut url = url.clone();
                url.query_pairs_mut().append_pair("api-version", version).append_pair("resource", audience);
                if let Some(client) = client {
                    url.query_pairs_mut().append_pair("client_id", client);
                }
                let call = self.http.call(Method::GET, &url);
                match proof {
                    Proof::Metadata => call.header("metadata", "true"),
                    Proof::Header(secret) => call.header("x-identity-header", secret.expose()),
                }
            }
            Source::Cli { program, tenant } => {
                return self.ask_cli(program, tenant.as_deref(), audience, now).await;
            }
        };
        self.exchange(call, now).await
    }

    async fn exchange(&self, call: Call, now: UnixMillis) -> Result<(Secret, u64), PortError> {
        // Nothing but a token comes of it.
        let call = call.only_reads().deadline(self.deadline).answer_bytes_max(ANSWER_BYTES_MAX);
        let answer = call.exchange().await?;
        let status = answer.status.as_u16();
        let is_machine = matches!(self.source, Source::Machine { .. });
        // A machine's service says so while it begins, or is renewed.
        if is_machine && matches!(status, 404 | 410) {
            return Err(refusal(&answer).retry(Retry::Later));
        }
        if !answer.status.is_success() {
            return Err(refusal(&answer));
        }
        // The body of a success may hold a token, so it is in no message.
        let given: Option<Given> = serde_json::from_slice(&answer.body).ok().filter(|_| status == 200);
        read(given, now).map_err(|why| odd(answer.what(), why))
    }

    async fn ask_cli(
        &self,
        program: &str,
        tenant: Option<&str>,
        audience: &str,
        now: UnixMillis,
    ) -> Result<(Secret, u64), PortError> {
        let mut arguments = vec!["account", "get-access-token", "--resource", audience, "--output", "json"];
        arguments.extend(tenant.map(|tenant| ["--tenant", tenant]).into_iter().flatten());
        let surroundings = CommandSurroundings {
            folder: None,
            pass_environment: CLI_ENVIRONMENT.map(str::to_owned).into(),
            // It is a large program, and slow to begin.
            deadline_ms: self.deadline.0.max(30_000),
        };
        let ran = Program::exactly(program, &arguments, surroundings).run(&BTreeMap::new(), None).await;
        // It reads and changes nothing but its own files.
        let ran = ran.map_err(|not_run| known(&PortError::from(not_run)))?;
        let ran = ran.successful().map_err(|error| {
            let error = known(&error);
            PortError::not_applied(ErrorKind::Denied, error.to_string())
        })?;
        read(serde_json::from_slice(&ran.output).ok(), now).map_err(|why| odd(ran.what(), why))
    }

    fn token_url(&self, tenant: &str) -> Url {
        http::under(&self.authority, &[tenant, "oauth2", "v2.0", "token"])
    }

    /// Whose credentials they are, for people.
    pub(crate) fn words(&self) -> String {
        match &self.source {
            Source::Application { client, found, .. } => {
                format!("the application `{client}`, with the secret {found}")
            }
            Source::Workload { client, .. } => format!("the application `{client}`, as this workload"),
            Source::Machine { client: Some(client), .. } => format!("the managed identity `{client}`"),
            Source::Machine { .. } => "the managed identity of this machine".to_owned(),
            Source::Cli { .. } => "the login of the Azure CLI".to_owned(),
        }
    }

    fn advice(&self) -> String {
        match &self.source {
            Source::Application { tenant, .. } => format!(
                "check that the application is in the tenant `{tenant}`, that its secret has not ended, and that this machine's clock is right"
            ),
            Source::Workload { file, .. } => format!(
                "check that the cluster writes `{}`, and that the application trusts its issuer, subject and audience (a federated credential)",
                file.display()
            ),
            Source::Machine { .. } => "give the machine or pod a managed identity, name the one that is meant as `client-id`, or configure `tenant-id`, `client-id` and `client-secret-file`".to_owned(),
            Source::Cli { .. } => "log in again with `az login`, or give Ripcord an identity of its own".to_owned(),
        }
    }

    /// What kept a token from coming, with what to do.
    fn refused(&self, audience: &str, error: &PortError) -> PortError {
        let is_about_credentials = match error.kind {
            ErrorKind::Denied | ErrorKind::NotFound | ErrorKind::Local => true,
            ErrorKind::Unreachable | ErrorKind::TimedOut => matches!(self.source, Source::Machine { .. }),
            _ => false,
        };
        let told = if is_about_credentials { format!("; {}", self.advice()) } else { String::new() };
        let text = format!("no token for {audience} came of {}: {error}{told}", self.words());
        let kind = match error.kind {
            ErrorKind::NotFound | ErrorKind::Local => ErrorKind::Denied,
            kind => kind,
        };
        PortError::not_applied(kind, text).retry(error.retry)
    }
}

/// As the libraries of Azure name it.
const AUTHORITY: &str = "AZURE_AUTHORITY_HOST";

fn wrong(why: impl Into<String>) -> PortError {
    PortError::not_applied(ErrorKind::Configuration, why.into())
}

/// An error of what changes nothing.
fn known(error: &PortError) -> PortError {
    PortError::not_applied(error.kind, error.to_string()).retry(error.retry)
}

fn odd(what: &str, why: &str) -> PortError {
    let text = format!("{what} answered with {why}: check that it is a service that gives tokens");
    PortError::not_applied(ErrorKind::BadAnswer, text).retry(Retry::Later)
}

/// The token, and for how many seconds it is used; else what was given instead.
fn read(given: Option<Given>, now: UnixMillis) -> Result<(Secret, u64), &'static str> {
    let given = given.ok_or("no token")?;
    if given.access_token.is_empty() || !given.access_token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("a token that no header can hold");
    }
    let lifetime = "a token whose lifetime is no number of seconds";
    let left = match (&given.expires_in, &given.expires_on) {
        (Value::Null, Value::Null) => TOKEN_SECONDS,
        (Value::Null, on) => seconds(on).ok_or(lifetime)?.saturating_sub(now.0 / 1_000),
        (of, _) => seconds(of).ok_or(lifetime)?,
    };
    Ok((Secret::new(given.access_token), left.min(TOKEN_SECONDS_MAX)))
}

fn seconds(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

fn source(configured: Configured, text: &impl Fn(&str) -> Option<String>) -> Result<Source, PortError> {
    let tenant = configured.tenant.or_else(|| text("AZURE_TENANT_ID"));
    let client = configured.client.or_else(|| text("AZURE_CLIENT_ID"));
    for (key, value) in [("tenant-id", &tenant), ("client-id", &client)] {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
        if let Some(value) = value
            && (!value.chars().all(plain) || matches!(value.as_str(), "" | "." | ".."))
        {
            return Err(wrong(format!(
                "`{}` cannot be `{key}`: write the id that the portal shows, such as `00000000-0000-0000-0000-000000000000`",
                value.escape_debug()
            )));
        }
    }
    let both = |of: &str| {
        let missing = "`tenant-id` and `client-id`, or set `AZURE_TENANT_ID` and `AZURE_CLIENT_ID`";
        let both = tenant.clone().zip(client.clone());
        both.ok_or_else(|| wrong(format!("{of} does not say whose it is: write {missing}")))
    };
    if let Some(secret) = configured.secret {
        if configured.credentials.is_some() {
            return Err(wrong(
                "there is a client secret beside `credentials`, which names another way: take one of the two out",
            ));
        }
        let (tenant, client) = both("the client secret")?;
        return Ok(Source::Application { tenant, client, secret, found: "that is configured" });
    }
    let environment = || -> Result<Source, PortError> {
        let secret = text("AZURE_CLIENT_SECRET").map(Secret::new).ok_or_else(|| {
            wrong("`credentials` is `environment`, and there is no `AZURE_CLIENT_SECRET` in it: set it, or configure `client-secret-file`")
        })?;
        let (tenant, client) = both("the secret in `AZURE_CLIENT_SECRET`")?;
        Ok(Source::Application { tenant, client, secret, found: "in `AZURE_CLIENT_SECRET`" })
    };
    let workload = || {
        let file = text("AZURE_FEDERATED_TOKEN_FILE").map(PathBuf::from).ok_or_else(|| {
            wrong("`credentials` is `workload-identity`, and `AZURE_FEDERATED_TOKEN_FILE` is not set: have the cluster write a token for this workload")
        })?;
        let (tenant, client) = both("the token in `AZURE_FEDERATED_TOKEN_FILE`")?;
        Ok(Source::Workload { tenant, client, file })
    };
    match configured.credentials {
        Some(AzureCredentials::Environment) => environment(),
        Some(AzureCredentials::WorkloadIdentity) => workload(),
        Some(AzureCredentials::ManagedIdentity) => machine(client, text),
        Some(AzureCredentials::AzureCli) => Ok(Source::Cli { program: CLI.to_owned(), tenant }),
        None if text("AZURE_CLIENT_SECRET").is_some() => environment(),
        None if text("AZURE_CLIENT_CERTIFICATE_PATH").is_some() => Err(wrong(
            "the environment has `AZURE_CLIENT_CERTIFICATE_PATH`, and no certificate is taken here: give the application a secret or a federated credential, or say which `credentials` are meant",
        )),
        None if text("AZURE_FEDERATED_TOKEN_FILE").is_some() => workload(),
        None => machine(client, text),
    }
}

fn machine(client: Option<String>, text: &impl Fn(&str) -> Option<String>) -> Result<Source, PortError> {
    let Some(endpoint) = text("IDENTITY_ENDPOINT") else {
        let host = text("AZURE_POD_IDENTITY_AUTHORITY_HOST").unwrap_or_else(|| MACHINE.to_owned());
        let url = http::under(
            &near("AZURE_POD_IDENTITY_AUTHORITY_HOST", &host)?,
            &["metadata", "identity", "oauth2", "token"],
        );
        return Ok(Source::Machine { url, version: "2018-02-01", client, proof: Proof::Metadata });
    };
    let proof = text("IDENTITY_HEADER").filter(|_| text("IDENTITY_SERVER_THUMBPRINT").is_none());
    let Some(header) = proof else {
        return Err(wrong(
            "the environment has the managed identity of Azure Arc or Service Fabric, which is not asked here: configure `tenant-id`, `client-id` and `client-secret-file`",
        ));
    };
    let url = near("IDENTITY_ENDPOINT", &endpoint)?;
    Ok(Source::Machine { url, version: "2019-08-01", client, proof: Proof::Header(Secret::new(header)) })
}

/// An address of this machine's own service. It may be asked without TLS: who is on the link is this machine.
fn near(key: &str, text: &str) -> Result<Url, PortError> {
    let url = http::page(text)?;
    let is_link_local =
        |host: &str| host.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_link_local());
    if is_in_the_clear(&url, is_link_local) {
        return Err(wrong(format!(
            "`{key}` is `{}`: tokens are asked for over https, or of this machine and its metadata: correct it",
            http::shown(&url)
        )));
    }
    Ok(url)
}

#[cfg(test)]
mod tests;
