//! Which cluster, and who asks there.

use std::path::PathBuf;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use reqwest::Url;
use ripcord_core::time::Millis;
use ripcord_ports::{ErrorKind, PortError};
use tokio::sync::Mutex;

use super::shown;
use crate::file_work::FileWork;
use crate::{folder, http, near};

const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
const KUBECONFIG_BYTES_MAX: u64 = 1 << 20;
/// What the interface takes as a name, in characters.
const NAME_CHARS_MAX: usize = 253;

/// One namespace of one cluster. The client is made with the first call, which may run the program that a kubeconfig names for credentials, and anew where what
/// it was made of is over or was refused.
#[derive(Debug)]
pub(crate) struct Cluster {
    kubeconfig: Option<PathBuf>,
    context: Option<String>,
    pub(super) namespace: String,
    address: String,
    pub(super) deadline: Millis,
    work: FileWork,
    client: Mutex<Option<Quiet>>,
}

/// A client, which says nothing of itself.
pub(super) struct Quiet(Client);

impl Quiet {
    /// Whether the certificate that a program gave still holds.
    fn holds(&self) -> bool {
        self.0.valid_until().is_none_or(|until| jiff::Timestamp::now() < until)
    }
}

impl std::fmt::Debug for Quiet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

impl Cluster {
    /// Reads the kubeconfig, where there is one, and asks nobody.
    pub(crate) fn new(
        kubeconfig: Option<PathBuf>,
        context: Option<String>,
        namespace: &str,
        deadline_ms: u64,
    ) -> Result<Self, PortError> {
        is_name("namespace", namespace)?;
        if kubeconfig.is_none() && context.is_some() {
            return Err(wrong(
                "`context` is set and `kubeconfig` is not: a pod's own account has no contexts",
            ));
        }
        let address = match &kubeconfig {
            Some(path) => {
                let read = read(path)?;
                server(&read, context.as_deref(), path)?
            }
            None => "the cluster of this pod".to_owned(),
        };
        Ok(Self {
            kubeconfig,
            context,
            namespace: namespace.to_owned(),
            address,
            deadline: Millis(deadline_ms),
            work: FileWork::new("the kubeconfig"),
            client: Mutex::new(None),
        })
    }

    /// Whom it asks, for people.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Where the objects are.
    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// For one call.
    pub(crate) fn deadline(&self) -> Millis {
        self.deadline
    }

    pub(super) async fn client(&self) -> Result<Client, PortError> {
        let mut kept = self.client.lock().await;
        if let Some(kept) = kept.as_ref().filter(|kept| kept.holds()) {
            return Ok(kept.0.clone());
        }
        *kept = None;
        let made = self.made().await?;
        *kept = Some(Quiet(made.clone()));
        Ok(made)
    }

    /// The next call takes its credentials from where they come from.
    pub(super) fn forget(&self) {
        // Who holds it is about to have a new one, or fails as this call did and forgets it then.
        if let Ok(mut kept) = self.client.try_lock() {
            *kept = None;
        }
    }

    async fn made(&self) -> Result<Client, PortError> {
        let mut config = self.config().await?;
        config.connect_timeout = Some(CONNECT_DEADLINE);
        // The environment names no proxy for adapters, and nothing is sent twice unless the adapter does it.
        config.proxy_url = None;
        config.default_retry = false;
        may_be_asked(&config)?;
        // A program for credentials, and files, are waited for by this thread.
        let made = self.work.run(move |_| {
            Client::try_from(config).map_err(|_| {
                PortError::not_applied(
                    ErrorKind::Denied,
                    "the credentials for Kubernetes cannot be had: try `kubectl` with the same kubeconfig and context, as the user that this host runs as",
                )
            })
        });
        made.await
    }

    async fn config(&self) -> Result<Config, PortError> {
        let Some(path) = &self.kubeconfig else {
            return Config::incluster().map_err(|error| {
                wrong("this host does not run in a pod with an account of its own: set `kubeconfig`, or mount the account's token").caused_by(error)
            });
        };
        let read = read(path)?;
        // What was agreed to was shown with this address.
        let now = server(&read, self.context.as_deref(), path)?;
        if now != self.address {
            return Err(wrong(&format!(
                "the kubeconfig `{}` leads to {now} now, and led to {} when this host started: set `context`, or restart Ripcord",
                path.display(),
                self.address
            )));
        }
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        // The cause may quote what the file holds, and it holds secrets.
        Config::from_custom_kubeconfig(read, &options).await.map_err(|_| {
            wrong(&format!(
                "the kubeconfig `{}` cannot be used: `kubectl --kubeconfig … config view` shows what is in it",
                path.display()
            ))
        })
    }
}

/// Whether credentials may go there.
fn may_be_asked(config: &Config) -> Result<(), PortError> {
    let address = config.cluster_url.to_string();
    let url = http::address(&address)?;
    if near::is_in_the_clear(&url, |_| false) {
        return Err(wrong(
            "the cluster's address is not `https`: the account's token would be read on the way",
        ));
    }
    let far = Url::parse(&address.replacen("https:", "http:", 1))
        .is_ok_and(|url| near::is_in_the_clear(&url, |_| false));
    if config.accept_invalid_certs && far {
        return Err(wrong(
            "the kubeconfig has `insecure-skip-tls-verify`: whoever stands between would be given the token; give it `certificate-authority`",
        ));
    }
    Ok(())
}

fn wrong(text: &str) -> PortError {
    PortError::not_applied(ErrorKind::Configuration, text)
}

fn read(path: &std::path::Path) -> Result<Kubeconfig, PortError> {
    // It is looked at as the secret that it holds, and read again by who knows what its paths start from.
    folder::read_secret(path, KUBECONFIG_BYTES_MAX)?;
    Kubeconfig::read_from(path).map_err(|_| {
        wrong(&format!("`{}` is no kubeconfig: `kubectl config view` writes one", path.display()))
    })
}

/// The address of the cluster of a context.
fn server(read: &Kubeconfig, context: Option<&str>, path: &std::path::Path) -> Result<String, PortError> {
    let file = path.display();
    let Some(name) = context.or(read.current_context.as_deref()).filter(|name| !name.is_empty()) else {
        return Err(wrong(&format!("the kubeconfig `{file}` has no `current-context`: set `context`")));
    };
    let found =
        read.contexts.iter().find(|named| named.name == name).and_then(|named| named.context.as_ref());
    let Some(found) = found else {
        let names: Vec<_> = read.contexts.iter().take(20).map(|named| shown(&named.name)).collect();
        return Err(wrong(&format!(
            "the kubeconfig `{file}` has no context `{}`: it has {}",
            shown(name),
            if names.is_empty() { "none".to_owned() } else { names.join(", ") }
        )));
    };
    let cluster = read.clusters.iter().find(|named| named.name == found.cluster);
    let cluster = cluster.and_then(|named| named.cluster.as_ref());
    let Some(server) = cluster.and_then(|cluster| cluster.server.as_deref()) else {
        return Err(wrong(&format!(
            "the context `{}` of the kubeconfig `{file}` names no cluster with an address",
            shown(name)
        )));
    };
    if cluster.is_some_and(|cluster| cluster.proxy_url.as_deref().is_some_and(|url| !url.is_empty())) {
        return Err(wrong(&format!("the kubeconfig `{file}` has a `proxy-url`: proxies are not supported")));
    }
    Ok(http::shown(&http::address(server)?))
}

/// A name of an object, as it may stand in a path.
pub(crate) fn is_name(key: &str, name: &str) -> Result<(), PortError> {
    let fits = |character: char| {
        character.is_ascii_lowercase() || character.is_ascii_digit() || "-.".contains(character)
    };
    let edge =
        |character: Option<char>| character.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    if name.len() <= NAME_CHARS_MAX
        && name.chars().all(fits)
        && edge(name.chars().next())
        && edge(name.chars().last())
    {
        return Ok(());
    }
    Err(wrong(&format!(
        "`{key}` is `{}`, which Kubernetes takes for no name: write lower-case letters, digits, `-` and `.`",
        shown(name)
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_nowhere_else() {
        for name in ["fraud", "fraud-api.v2", "a"] {
            is_name("model", name).unwrap();
        }
        for name in ["", "../pods", "Fraud", "a/b", "-a", "a.", "a b"] {
            let error = is_name("model", name).unwrap_err();
            assert!(error.to_string().contains("takes for no name"), "{name}: {error}");
        }
    }

    fn kubeconfig(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        std::fs::write(&path, text).unwrap();
        let mut rights = std::fs::metadata(&path).unwrap().permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut rights, 0o600);
        std::fs::set_permissions(&path, rights).unwrap();
        (folder, path)
    }

    fn of(server: &str, more: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{{name: k, cluster: {{server: '{server}'{more}}}}}]\ncontexts: [{{name: c, context: {{cluster: k, user: u}}}}]\nusers: [{{name: u, user: {{token: hunter2}}}}]\n"
        )
    }

    #[tokio::test]
    async fn a_kubeconfig_that_cannot_be_used_is_told() {
        let check = async |text: &str, context: Option<&str>, expected: &str| {
            let (_folder, path) = kubeconfig(text);
            let cluster = Cluster::new(Some(path), context.map(str::to_owned), "ml", 1_000);
            let error = match cluster {
                Err(error) => error,
                Ok(cluster) => cluster.client().await.err().unwrap(),
            };
            assert_eq!(error.kind, ErrorKind::Configuration, "{error}");
            assert!(error.to_string().contains(expected), "{error}");
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        };
        check("]", None, "is no kubeconfig").await;
        check("apiVersion: v1\nkind: Config\n", None, "no `current-context`: set `context`").await;
        check(&of("https://k.example", ""), Some("prod"), "no context `prod`: it has c").await;
        check(&of("http://k.example", ""), None, "is not `https`").await;
        let skips = ", insecure-skip-tls-verify: true";
        check(&of("https://k.example", skips), None, "insecure-skip-tls-verify").await;
        check(&of("https://k.example", ", proxy-url: 'http://p'"), None, "`proxy-url`").await;
    }

    #[tokio::test]
    async fn a_kubeconfig_leads_to_the_cluster_that_was_shown() {
        let (_folder, path) = kubeconfig(&of("https://k.example", ""));
        let cluster = Cluster::new(Some(path.clone()), None, "ml", 1_000).unwrap();
        std::fs::write(&path, of("https://other.example", "")).unwrap();
        let error = cluster.client().await.err().unwrap();
        assert_eq!(error.kind, ErrorKind::Configuration, "{error}");
        let text = error.to_string();
        assert!(text.contains("https://other.example") && text.contains("https://k.example"), "{text}");
        assert!(text.contains("set `context`, or restart Ripcord"), "{text}");
        std::fs::write(&path, of("https://k.example", ", proxy-url: 'http://p'")).unwrap();
        let error = cluster.client().await.err().unwrap();
        assert!(error.to_string().contains("`proxy-url`"), "{error}");
    }

    #[test]
    fn a_kubeconfig_that_others_may_read_is_refused() {
        let (_folder, path) = kubeconfig(&of("https://k.example", ""));
        let mut rights = std::fs::metadata(&path).unwrap().permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut rights, 0o644);
        std::fs::set_permissions(&path, rights).unwrap();
        assert!(Cluster::new(Some(path), None, "ml", 1_000).is_err());
    }

    #[test]
    fn a_context_is_of_a_kubeconfig() {
        let error = Cluster::new(None, Some("prod".into()), "ml", 1_000).unwrap_err();
        assert!(error.to_string().contains("`kubeconfig` is not"), "{error}");
    }
}
