//! What the ways to credentials are given of the world: files and calls as this program reads and makes them, and the environment.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use reqsign_core::{Context, Env, Error, FileRead, HttpSend, Result};
use reqwest::Url;
use ripcord_core::time::Millis;
use ripcord_ports::{ErrorKind, PortError};

use crate::file_work::FileWork;
use crate::folder;
use crate::http::{self, Http};
use crate::near::is_in_the_clear;

const FILE_BYTES_MAX: u64 = 256 << 10;
const ANSWER_BYTES_MAX: u64 = 256 << 10;
/// What runs beside this machine answers at once, or is not there.
const NEAR_DEADLINE: Millis = Millis(1_500);

/// Tokens that the platform writes for this process: their folder is what keeps them from others, and Kubernetes lets a whole group read them.
const TOKEN_FILES: [&str; 2] = ["AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"];
/// The standard name of another address for AWS's token service.
const STS: &str = "AWS_ENDPOINT_URL_STS";

/// Hosts that credentials may be asked of without TLS, besides this machine: containers' and instances' own metadata.
const METADATA_HOSTS: [&str; 5] =
    ["169.254.169.254", "169.254.170.2", "169.254.170.23", "[fd00:ec2::254]", "[fd00:ec2::23]"];

/// Why a file that is there was not read, so that it is not taken for one that is not there.
#[derive(Debug, Clone, Default)]
pub(super) struct Refused(Arc<Mutex<Option<String>>>);

impl Refused {
    /// The last one since this was asked.
    pub(super) fn take(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn note(&self, why: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
    }
}

/// All of it, with `env` as the environment.
pub(super) fn surroundings(
    http: &Http,
    deadline: Millis,
    env: impl Env,
) -> std::result::Result<(Context, Refused), PortError> {
    let sts = env.var(STS).filter(|text| !text.is_empty());
    let sts = sts.map(|text| http::address(&text)).transpose().map_err(|error| {
        PortError::not_applied(ErrorKind::Configuration, format!("the environment variable `{STS}`: {error}"))
    })?;
    let refused = Refused::default();
    let files = Files {
        work: FileWork::new("the files of AWS's credentials"),
        tokens: TOKEN_FILES.iter().filter_map(|name| env.var(name)).collect(),
        refused: refused.clone(),
    };
    let calls = Calls { http: http.clone(), deadline, sts };
    Ok((Context::new().with_file_read(files).with_http_send(calls).with_env(env), refused))
}

#[derive(Debug)]
struct Files {
    work: FileWork,
    /// Paths that others may read, too.
    tokens: Vec<String>,
    refused: Refused,
}

impl FileRead for Files {
    async fn file_read(&self, path: &str) -> Result<Vec<u8>> {
        let others_may = self.tokens.iter().any(|token| token == path);
        let at = PathBuf::from(path);
        let read = self.work.run(move |_| {
            if others_may {
                folder::read_ambient(&at, FILE_BYTES_MAX)
            } else {
                folder::read_secret(&at, FILE_BYTES_MAX)
            }
        });
        read.await.map_err(|error| {
            if error.kind != ErrorKind::NotFound {
                self.refused.note(error.to_string());
            }
            Error::config_invalid(error.to_string())
        })
    }
}

#[derive(Debug)]
struct Calls {
    http: Http,
    deadline: Millis,
    /// In the place of AWS's own.
    sts: Option<Url>,
}

impl Calls {
    /// Where a call goes, as what people know it, and how long it is waited for.
    fn whom(&self, url: Url) -> Result<(Url, &'static str, Millis)> {
        let is_sts = url.host_str().is_some_and(|host| host.starts_with("sts."));
        let (url, system, deadline) = match (is_sts, &self.sts) {
            (true, Some(sts)) => {
                let mut to = sts.clone();
                to.set_query(url.query());
                (to, "AWS's token service", self.deadline)
            }
            (true, None) => (url, "AWS's token service", self.deadline),
            (false, _) => (url, "AWS's metadata service", NEAR_DEADLINE),
        };
        if is_in_the_clear(&url, |host| METADATA_HOSTS.contains(&host)) {
            let text = format!(
                "credentials are asked for over https, or of this machine and its own metadata, and not of `{}`: correct the environment variable that names it",
                http::shown(&url)
            );
            return Err(Error::config_invalid(text));
        }
        Ok((url, system, deadline))
    }
}

impl HttpSend for Calls {
    async fn http_send(&self, request: ::http::Request<Bytes>) -> Result<::http::Response<Bytes>> {
        let (parts, body) = request.into_parts();
        let url = Url::parse(&parts.uri.to_string())
            .map_err(|error| Error::config_invalid(format!("`{}` is no address: {error}", parts.uri)))?;
        let (url, system, deadline) = self.whom(url)?;
        let call = self.http.call(parts.method, &url).of(system).only_reads().deadline(deadline);
        let call = call.answer_bytes_max(ANSWER_BYTES_MAX).headers(parts.headers).body(body.into());
        let answer = call
            .exchange()
            .await
            .map_err(|error| Error::unexpected(error.to_string()).set_retryable(true))?;
        let mut response = ::http::Response::new(Bytes::from(answer.body));
        *response.status_mut() = answer.status;
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_asked_of_nobody_else_in_the_clear() {
        let calls = Calls { http: Http::new().unwrap(), deadline: Millis(1), sts: None };
        let goes = |text: &str| calls.whom(Url::parse(text).unwrap());
        for near in [
            "http://127.0.0.1:9/x",
            "http://169.254.170.2/v2",
            "http://[fd00:ec2::23]/v1",
            "https://elsewhere/x",
        ] {
            assert!(goes(near).is_ok(), "{near}");
        }
        // A name that only looks like an address of this machine is none of this machine's.
        for far in [
            "http://10.0.0.7/x",
            "http://169.254.170.3/",
            "http://127.0.0.1.example/",
            "http://sts.evil.example/",
        ] {
            let refused = goes(far).unwrap_err().to_string();
            assert!(refused.contains("over https") && refused.contains(far), "{refused}");
        }
        let calls = Calls { sts: Some(Url::parse("http://sts.corp.example/").unwrap()), ..calls };
        let refused = calls.whom(Url::parse("https://sts.eu-west-1.amazonaws.com/").unwrap()).unwrap_err();
        assert!(refused.to_string().contains("`http://sts.corp.example/`"), "{refused}");
        let sts = Url::parse("http://127.0.0.1:7/").unwrap();
        let calls = Calls { sts: Some(sts.clone()), ..calls };
        assert_eq!(calls.whom(Url::parse("https://sts.eu-west-1.amazonaws.com/").unwrap()).unwrap().0, sts);
    }
}
