//! Where Azure Machine Learning says that the files of a version are.

use reqwest::Url;

use super::api::{Home, is_name};
use crate::artefact;
use crate::http;

/// The names that Azure gives to where Blob Storage answers, `dfs` where it answers as a file system.
const SERVICES: [&str; 2] = [".blob.", ".dfs."];

/// As a version's `modelUri` says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Uri {
    /// A path in a datastore of the workspace.
    Datastore { name: String, path: String },
    /// A path in a container of Blob Storage.
    Blobs(Place),
}

/// A file or a folder in a container of Blob Storage.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) account: String,
    pub(super) container: String,
    /// Without `/` at its ends; empty for all of the container.
    pub(super) path: String,
}

impl Place {
    /// Checks the parts; the error is the end of a sentence that begins with the version.
    pub(super) fn new(account: &str, container: &str, path: &str) -> Result<Self, String> {
        let small = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let named = http::excerpt(format!("{account}/{container}/{path}").as_bytes());
        if !(3..=24).contains(&account.len()) || !account.chars().all(small) {
            return Err(format!("lies at {named}, which names no account of Blob Storage"));
        }
        let is_container =
            container.chars().all(|c| small(c) || c == '-') && (3..=63).contains(&container.len());
        if !is_container && container != "$web" && container != "$root" {
            return Err(format!("lies at {named}, which names no container of Blob Storage"));
        }
        let path = path.trim_matches('/');
        if !path.is_empty()
            && let Err(why) = artefact::check_path(path)
        {
            return Err(format!("lies at {named}, which is no path: {why}"));
        }
        Ok(Self { account: account.to_owned(), container: container.to_owned(), path: path.to_owned() })
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}",
            http::excerpt(format!("{}/{}/{}", self.account, self.container, self.path).as_bytes())
        )
    }
}

/// Reads a `modelUri`; the error is the end of a sentence that begins with the version.
pub(super) fn of(uri: &str, home: &Home, (subscription, group): (&str, &str)) -> Result<Uri, String> {
    let shown = || http::excerpt(without_secrets(uri).as_bytes());
    if uri.is_empty() {
        return Err("has no `modelUri`: register it with the folder or file that it is".to_owned());
    }
    if let Some(rest) = uri.strip_prefix("azureml://") {
        return datastore(rest, home, (subscription, group))
            .unwrap_or_else(|| Err(format!("lies at {}, which is no path in a datastore", shown())));
    }
    let url = Url::parse(uri).map_err(|_| format!("lies at {}, which is no address", shown()))?;
    let host = url.host_str().unwrap_or_default();
    let account = SERVICES.iter().find_map(|service| host.split_once(service)).map(|(account, _)| account);
    let Some(account) = account else {
        return Err(format!(
            "lies at {}, which is not in Blob Storage: register it from a datastore",
            http::excerpt(http::shown(&url).as_bytes())
        ));
    };
    let path = decoded(url.path()).ok_or_else(|| {
        format!("lies at {}, which is no path", http::excerpt(http::shown(&url).as_bytes()))
    })?;
    let path = path.trim_start_matches('/');
    let (container, path) = match url.scheme() {
        // `wasbs://CONTAINER@ACCOUNT.blob.core.windows.net/PATH`
        "wasbs" | "abfss" => (url.username(), path),
        "https" => path.split_once('/').unwrap_or((path, "")),
        _ => {
            return Err(format!(
                "lies at {}, which is no address of Blob Storage",
                http::excerpt(http::shown(&url).as_bytes())
            ));
        }
    };
    Place::new(account, container, path).map(Uri::Blobs)
}

/// `subscriptions/S/resourcegroups/R/workspaces/W/datastores/D/paths/P`, or its end from `datastores` on. None where it is neither.
fn datastore(rest: &str, home: &Home, (subscription, group): (&str, &str)) -> Option<Result<Uri, String>> {
    let Home::Workspace(workspace) = home else {
        return Some(Err("lies in a datastore, which no registry has: register it there anew".to_owned()));
    };
    let (before, path) = rest.split_once("/paths/")?;
    let parts: Vec<&str> = before.split('/').collect();
    let name = match parts[..] {
        [datastores, name] if datastores.eq_ignore_ascii_case("datastores") => name,
        [s, of_s, r, of_r, w, of_w, d, name]
            if [s, r, w, d]
                .iter()
                .zip(["subscriptions", "resourcegroups", "workspaces", "datastores"])
                .all(|(a, b)| a.eq_ignore_ascii_case(b)) =>
        {
            let own = [(of_s, subscription), (of_r, group), (of_w, workspace)];
            if !own.iter().all(|(a, b)| a.eq_ignore_ascii_case(b)) {
                return Some(Err(format!(
                    "lies in a datastore of another workspace, {}: copy it into this one",
                    http::excerpt(before.as_bytes())
                )));
            }
            name
        }
        _ => return None,
    };
    is_name(name).then(|| Ok(Uri::Datastore { name: name.to_owned(), path: path.to_owned() }))
}

/// Text of others without what lets its holder in: of each address in it the user (of one that is not of the web, the password alone), and all from the first
/// query or fragment on. Text without an address is as it was.
pub(super) fn without_secrets(text: &str) -> String {
    let Some(address) = text.find("://") else { return text.to_owned() };
    // Spaces end no address for Blob Storage's names, so what comes after a query is left out to the end.
    let end = text[address..].find(['?', '#']).map_or(text.len(), |query| address + query);
    let mut parts = text[..end].split("://");
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let is_web = ["http", "https"].iter().any(|scheme| shown.to_ascii_lowercase().ends_with(scheme));
        let ends = |c: char| c == '/' || c.is_whitespace();
        let (host, path) = part.split_at(part.find(ends).unwrap_or(part.len()));
        shown.push_str("://");
        match host.rsplit_once('@') {
            Some((_, host)) if is_web => shown.push_str(host),
            // `wasbs://CONTAINER@ACCOUNT…`, `ssh://git@…`
            Some((user, host)) => {
                shown.push_str(user.split(':').next().unwrap_or_default());
                shown.push('@');
                shown.push_str(host);
            }
            None => shown.push_str(host),
        }
        shown.push_str(path);
    }
    shown
}

/// Text of an address without its escapes.
pub(super) fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next()?, rest.next()?];
        bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: (&str, &str) = ("s", "r");

    fn workspace() -> Home {
        Home::Workspace("w".into())
    }

    #[test]
    fn a_place_is_read_from_each_of_its_forms() {
        let store = |path: &str| Ok(Uri::Datastore { name: "blobs".into(), path: path.into() });
        let of_own = |uri: &str| of(uri, &workspace(), OWN);
        let long = "azureml://subscriptions/S/resourceGroups/R/workspaces/W/datastores/blobs/paths/a/b c";
        assert_eq!(of_own(long), store("a/b c"));
        assert_eq!(of_own("azureml://datastores/blobs/paths/a/"), store("a/"));
        let blobs = |container: &str, path: &str| Place::new("acme", container, path).map(Uri::Blobs);
        let registry = Home::Registry("r".into());
        assert_eq!(
            of("https://acme.blob.core.windows.net/models/a%20b/1", &registry, OWN),
            blobs("models", "a b/1")
        );
        assert_eq!(of_own("wasbs://models@acme.blob.core.windows.net/a/1"), blobs("models", "a/1"));
        assert_eq!(of_own("abfss://models@acme.dfs.core.windows.net/a/1/"), blobs("models", "a/1"));
    }

    #[test]
    fn what_lets_its_holder_in_is_not_shown() {
        for (text, wanted) in [
            ("https://a.blob.core.windows.net/c/x?sv=1&sig=s3cret", "https://a.blob.core.windows.net/c/x"),
            ("https://ada:s3cret@github.com/acme/fraud.git#s3cret", "https://github.com/acme/fraud.git"),
            ("https://s3cret@dev.azure.com/acme", "https://dev.azure.com/acme"),
            ("HTTPS://s3cret@dev.azure.com", "HTTPS://dev.azure.com"),
            ("git+https://s3cret@github.com/acme", "git+https://github.com/acme"),
            ("ssh://git:s3cret@github.com/acme", "ssh://git@github.com/acme"),
            (
                "wasbs://models@acme.blob.core.windows.net/a?s3cret",
                "wasbs://models@acme.blob.core.windows.net/a",
            ),
            (
                "https://a.blob.core.windows.net/c/my file.csv?sig=s3 cret",
                "https://a.blob.core.windows.net/c/my file.csv",
            ),
            ("why? https://a/b and https://s3cret@c/d?s3cret", "why? https://a/b and https://c/d"),
            ("https://a and ada@acme.example/b", "https://a and ada@acme.example/b"),
            ("https://a/b,https://s3cret@c/d", "https://a/b,https://c/d"),
            ("azureml:words@latest", "azureml:words@latest"),
            ("why? a#b", "why? a#b"),
        ] {
            assert_eq!(without_secrets(text), wanted);
        }
    }

    #[test]
    fn what_is_no_place_says_why() {
        for (uri, wanted) in [
            ("", "has no `modelUri`"),
            (
                "azureml://subscriptions/s/resourceGroups/r/workspaces/other/datastores/b/paths/a",
                "of another workspace",
            ),
            ("azureml://jobs/j/outputs/o/paths/a", "no path in a datastore"),
            ("azureml://datastores/../paths/a", "no path in a datastore"),
            ("runs:/1/model", "not in Blob Storage"),
            ("s3://bucket/a", "not in Blob Storage"),
            ("file:///a", "not in Blob Storage"),
            ("model", "which is no address"),
            ("https://ACME_.blob.core.windows.net/models/a", "no account"),
            ("https://acme.blob.core.windows.net/a", "no container"),
            ("https://acme.blob.core.windows.net/models/a%2f..%2f..", "which is no path"),
            ("http://acme.blob.core.windows.net/models/a", "no address of Blob Storage"),
        ] {
            let why = of(uri, &workspace(), OWN).unwrap_err();
            assert!(why.contains(wanted), "{uri}: {why}");
        }
        let secret = of("https://of-others.example/a?sig=s3cret", &workspace(), OWN).unwrap_err();
        assert!(!secret.contains("s3cret"), "{secret}");
        let why = of("azureml://datastores/blobs/paths/a", &Home::Registry("r".into()), OWN).unwrap_err();
        assert!(why.contains("which no registry has"), "{why}");
    }
}
