//! With which key calls are signed: one that is configured, one of a profile, or one of the environment, as AWS's own tools look for it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use object_store::CredentialProvider;
use object_store::aws::AwsCredential;
use ripcord_ports::PortError;

use super::S3CheckpointsConfig;
use crate::file_work::FileWork;
use crate::folder;
use crate::restoring::wrong;
use crate::secret::Secret;

const FILE_BYTES_MAX: u64 = 256 << 10;

/// Where the key is.
#[derive(Debug)]
pub(crate) enum Credentials {
    /// One that does not change while the host runs.
    Fixed(Arc<AwsCredential>),
    /// Read anew for each call: whoever renews short-lived keys writes them into the file.
    Profile { file: PathBuf, name: String, work: FileWork },
}

impl Credentials {
    /// None for calls that carry no signature.
    pub(crate) fn of(
        config: &S3CheckpointsConfig,
        secret: Option<Secret>,
    ) -> Result<Option<Self>, PortError> {
        Self::found(config, secret, |name| std::env::var_os(name))
    }

    fn found(
        config: &S3CheckpointsConfig,
        secret: Option<Secret>,
        environment: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Option<Self>, PortError> {
        let ways = [config.access_key_id.is_some(), config.profile.is_some(), config.unsigned];
        if ways.iter().filter(|way| **way).count() > 1 {
            return Err(wrong(
                "`access-key-id`, `profile` and `unsigned` exclude each other: keep one of them",
            ));
        }
        if config.access_key_id.is_none() && secret.is_some() {
            return Err(wrong("there is a secret and no `access-key-id`: write the id of the key"));
        }
        if config.unsigned {
            return Ok(None);
        }
        if let Some(id) = &config.access_key_id {
            let Some(secret) = secret else {
                return Err(wrong(
                    "`access-key-id` is there and its secret is missing: add `secret-access-key-file` or `secret-access-key-env`",
                ));
            };
            return Ok(Some(Self::fixed(id.clone(), secret.expose().to_owned(), None)));
        }
        let text = |name: &str| {
            environment(name).and_then(|value| value.into_string().ok()).filter(|it| !it.is_empty())
        };
        if config.profile.is_none()
            && config.credentials_file.is_none()
            && let (Some(id), Some(secret)) = (text("AWS_ACCESS_KEY_ID"), text("AWS_SECRET_ACCESS_KEY"))
        {
            return Ok(Some(Self::fixed(id, secret, text("AWS_SESSION_TOKEN"))));
        }
        let path = |name: &str| environment(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let file = config.credentials_file.clone().or_else(|| path("AWS_SHARED_CREDENTIALS_FILE"));
        let Some(file) = file.or_else(|| path("HOME").map(|home| home.join(".aws/credentials"))) else {
            return Err(wrong(NO_KEY));
        };
        if config.profile.is_none() && config.credentials_file.is_none() && !file.exists() {
            return Err(wrong(NO_KEY));
        }
        let name =
            config.profile.clone().or_else(|| text("AWS_PROFILE")).unwrap_or_else(|| "default".to_owned());
        // One that is not there yet is a mistake now, not in the first incident.
        key_of(&file, &name)?;
        let work = FileWork::new(format!("the file `{}`", file.display()));
        Ok(Some(Self::Profile { file, name, work }))
    }

    fn fixed(key_id: String, secret_key: String, token: Option<String>) -> Self {
        Self::Fixed(Arc::new(AwsCredential { key_id, secret_key, token }))
    }
}

const NO_KEY: &str = "there is no key to sign with: write `access-key-id` and where its secret is, or `profile`, or set `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY` for this host; for what everybody may read write `unsigned = true`";

#[async_trait]
impl CredentialProvider for Credentials {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        match self {
            Self::Fixed(key) => Ok(Arc::clone(key)),
            Self::Profile { file, name, work } => {
                let (at, profile) = (file.clone(), name.clone());
                let read = work.run(move |_| key_of(&at, &profile)).await;
                read.map(Arc::new).map_err(|error| object_store::Error::Unauthenticated {
                    path: file.display().to_string(),
                    source: Box::new(error),
                })
            }
        }
    }
}

/// The key of a profile.
fn key_of(file: &Path, profile: &str) -> Result<AwsCredential, PortError> {
    let bytes = folder::read_secret(file, FILE_BYTES_MAX)?;
    let text =
        String::from_utf8(bytes).map_err(|_| wrong(format!("`{}` is not UTF-8 text", file.display())))?;
    let (mut inside, mut seen) = (false, false);
    let (mut key_id, mut secret_key, mut token) = (None, None, None);
    for line in text.lines().map(str::trim) {
        // A comment may follow the name.
        if let Some(rest) = line.strip_prefix('[') {
            inside = rest.split_once(']').is_some_and(|(name, _)| name.trim() == profile);
            seen |= inside;
        } else if let Some((name, value)) =
            line.split_once('=').filter(|_| inside && !line.starts_with(['#', ';']))
        {
            let of = match name.trim() {
                "aws_access_key_id" => &mut key_id,
                "aws_secret_access_key" => &mut secret_key,
                "aws_session_token" => &mut token,
                _ => continue,
            };
            *of = Some(value.trim().to_owned()).filter(|value| !value.is_empty());
        }
    }
    let missing =
        |what: &str| wrong(format!("`{}` has no {what}: add it, or name another `profile`", file.display()));
    if !seen {
        return Err(missing(&format!("profile `{}`", profile.escape_debug())));
    }
    match (key_id, secret_key) {
        (Some(key_id), Some(secret_key)) => Ok(AwsCredential { key_id, secret_key, token }),
        _ => Err(missing(&format!(
            "`aws_access_key_id` with its `aws_secret_access_key` in the profile `{}`",
            profile.escape_debug()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const FILE: &str = "\
[default]
aws_access_key_id = of-default
aws_secret_access_key = s3cret-default

# [training]
[training] ; of the team
aws_access_key_id=of-training
; aws_secret_access_key = old
aws_secret_access_key=s3cret-training
aws_session_token=t0ken
region = eu-west-1

[half] # [training]
aws_access_key_id = of-half
";

    fn config(more: serde_json::Value) -> S3CheckpointsConfig {
        let mut all = serde_json::json!({"bucket": "training"});
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(all).unwrap()
    }

    fn found(
        config: &S3CheckpointsConfig,
        secret: Option<&str>,
        environment: &[(&str, &str)],
    ) -> Result<Option<Credentials>, PortError> {
        let environment: BTreeMap<_, _> = environment.iter().copied().collect();
        Credentials::found(config, secret.map(Secret::new), |name| environment.get(name).map(OsString::from))
    }

    async fn key(credentials: Option<Credentials>) -> (String, String, Option<String>) {
        let key = credentials.unwrap().get_credential().await.unwrap();
        (key.key_id.clone(), key.secret_key.clone(), key.token.clone())
    }

    fn written(folder: &Path, mode: u32) -> String {
        let file = folder.join("credentials");
        std::fs::write(&file, FILE).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        file.display().to_string()
    }

    const ENVIRONMENT: [(&str, &str); 3] = [
        ("AWS_ACCESS_KEY_ID", "of-env"),
        ("AWS_SECRET_ACCESS_KEY", "s3cret-env"),
        ("AWS_SESSION_TOKEN", "t0ken-env"),
    ];

    #[tokio::test]
    async fn a_key_is_looked_for_where_it_is_configured_then_in_the_environment_then_in_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = written(folder.path(), 0o600);
        let text = |text: &str| text.to_owned();

        let own = config(serde_json::json!({"access-key-id": "mine"}));
        assert_eq!(
            key(found(&own, Some("s3cret"), &ENVIRONMENT).unwrap()).await,
            (text("mine"), text("s3cret"), None)
        );

        let bare = config(serde_json::json!({}));
        let of_env = (text("of-env"), text("s3cret-env"), Some(text("t0ken-env")));
        assert_eq!(key(found(&bare, None, &ENVIRONMENT).unwrap()).await, of_env);

        let in_file = [("AWS_SHARED_CREDENTIALS_FILE", file.as_str())];
        let of_default = (text("of-default"), text("s3cret-default"), None);
        assert_eq!(key(found(&bare, None, &in_file).unwrap()).await, of_default);
        let of_training = (text("of-training"), text("s3cret-training"), Some(text("t0ken")));
        let named = [in_file[0], ("AWS_PROFILE", "training")];
        assert_eq!(key(found(&bare, None, &named).unwrap()).await, of_training);

        // What is configured counts before the environment.
        let profile = config(serde_json::json!({"profile": "training", "credentials-file": file}));
        assert_eq!(key(found(&profile, None, &ENVIRONMENT).unwrap()).await, of_training);
        assert!(found(&config(serde_json::json!({"unsigned": true})), None, &ENVIRONMENT).unwrap().is_none());
    }

    #[tokio::test]
    async fn a_key_that_is_renewed_in_the_file_is_taken_from_then_on() {
        let folder = tempfile::tempdir().unwrap();
        let file = written(folder.path(), 0o600);
        let profile = config(serde_json::json!({"profile": "training", "credentials-file": file}));
        let credentials = found(&profile, None, &[]).unwrap().unwrap();
        std::fs::write(&file, FILE.replace("t0ken", "renewed")).unwrap();
        assert_eq!(credentials.get_credential().await.unwrap().token.as_deref(), Some("renewed"));
        std::fs::remove_file(&file).unwrap();
        let error = credentials.get_credential().await.unwrap_err();
        assert!(matches!(error, object_store::Error::Unauthenticated { .. }), "{error}");
    }

    #[test]
    fn what_gives_no_key_is_refused_and_no_secret_is_shown() {
        let folder = tempfile::tempdir().unwrap();
        let file = written(folder.path(), 0o600);
        let refused = |more: serde_json::Value, secret: Option<&str>, expected: &str| {
            let error = found(&config(more), secret, &[("HOME", "/nonexistent")]).unwrap_err().to_string();
            assert!(error.contains(expected) && !error.contains("s3cret"), "{error}");
        };
        refused(serde_json::json!({}), None, "there is no key to sign with");
        refused(serde_json::json!({"access-key-id": "mine"}), None, "its secret is missing");
        refused(serde_json::json!({}), Some("s3cret"), "no `access-key-id`");
        refused(serde_json::json!({"unsigned": true, "profile": "a"}), None, "exclude each other");
        refused(serde_json::json!({"profile": "a"}), None, "/nonexistent/.aws/credentials");
        for (profile, expected) in [("none", "no profile `none`"), ("half", "in the profile `half`")] {
            refused(serde_json::json!({"profile": profile, "credentials-file": file}), None, expected);
        }
        let open = written(folder.path(), 0o644);
        refused(serde_json::json!({"profile": "training", "credentials-file": open}), None, "chmod 600");

        written(folder.path(), 0o600);
        let profile = config(serde_json::json!({"profile": "training", "credentials-file": file}));
        for credentials in
            [found(&profile, None, &[]), found(&config(serde_json::json!({})), None, &ENVIRONMENT)]
        {
            let shown = format!("{:?}", credentials.unwrap());
            assert!(!shown.contains("s3cret") && !shown.contains("t0ken"), "{shown}");
        }
    }
}
