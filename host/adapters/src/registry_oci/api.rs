//! Calls to the registry.

use reqwest::header::{LINK, LOCATION};
use reqwest::{Method, Url};
use ripcord_core::digest::Digest;
use ripcord_core::time::Millis;
use ripcord_ports::{ErrorKind, PortError, Retry};

use super::credentials::{self, Account, Action};
use super::refusal::Asked;
use super::tags::{self, Pages};
use super::wire::{DOCKER_LIST, DOCKER_MANIFEST, IMAGE_INDEX, IMAGE_MANIFEST, Tags};
use crate::Shared;
use crate::http::{self, Answer, Call, Credentials, Http, Patience, Stream};
use crate::secret::Secret;

/// What registries themselves take at most.
pub(super) const MANIFEST_BYTES_MAX: u64 = 4 << 20;
const REDIRECTS_MAX: usize = 3;

/// The registry, and the one repository in it.
#[derive(Debug)]
pub(super) struct Api {
    http: Http,
    pub(super) url: Url,
    pub(super) repository: String,
    pub(super) account: Account,
    files_from: Vec<String>,
    pub(super) deadline: Millis,
    pub(super) patience: Patience,
}

/// What is configured.
pub(super) struct Place {
    pub(super) url: String,
    pub(super) repository: String,
    pub(super) user: Option<String>,
    pub(super) tokens_from: Vec<String>,
    pub(super) files_from: Vec<String>,
    pub(super) deadline_ms: u64,
    pub(super) patience_ms: u64,
}

impl Api {
    /// Checks the configuration; the registry is not asked.
    pub(super) fn new(place: Place, secret: Option<Secret>, shared: &Shared) -> Result<Self, PortError> {
        let wrong = |why: String| Err(PortError::not_applied(ErrorKind::Configuration, why));
        let url = http::address(&place.url)?;
        if !url.username().is_empty() || url.password().is_some() {
            return wrong("`url` holds a user or a password: configure `user`, and `password-file`".into());
        }
        http::is_shown_whole("url", &url)?;
        let part_ok = |part: &str| {
            let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
            part.bytes().next().is_some_and(word)
                && part.bytes().next_back().is_some_and(word)
                && part.bytes().all(|byte| word(byte) || matches!(byte, b'.' | b'_' | b'-'))
        };
        if place.repository.len() > 255 || !place.repository.split('/').all(part_ok) {
            return wrong(format!(
                "`{}` cannot be the `repository`: write it without the registry's host and without a tag, in lower case, as in `models/fraud`",
                place.repository.escape_debug()
            ));
        }
        for (key, hosts) in [("tokens-from", &place.tokens_from), ("files-from", &place.files_from)] {
            for host in hosts {
                let named = Url::parse(&format!("https://{host}/")).ok();
                if named.as_ref().map(credentials::authority).as_ref() != Some(host) {
                    return wrong(format!(
                        "`{}` in `{key}` is no host: write it as in `auth.example` or `auth.example:8443`",
                        host.escape_debug()
                    ));
                }
            }
        }
        let credentials = Credentials::of(place.user, secret)?;
        let deadline = Millis(place.deadline_ms);
        let at = (url.clone(), place.repository.clone());
        Ok(Self {
            account: Account::new(shared.http.clone(), at, credentials, place.tokens_from, deadline),
            http: shared.http.clone(),
            url,
            repository: place.repository,
            files_from: place.files_from,
            deadline,
            patience: Patience(Millis(place.patience_ms)),
        })
    }

    fn below(&self, parts: &[&str]) -> Url {
        let path: Vec<&str> =
            ["v2"].into_iter().chain(self.repository.split('/')).chain(parts.iter().copied()).collect();
        http::under(&self.url, &path)
    }

    fn call(&self, method: Method, url: &Url) -> Call {
        self.http.call(method, url).of("the registry").deadline(self.deadline)
    }

    /// Sends a call with the credentials that the registry wants, which a 401 tells: that did nothing, so it is sent again with them.
    async fn exchange(&self, action: Action, call: impl Fn() -> Call) -> Result<Answer, PortError> {
        let (first, sent) = self.account.put(call(), action);
        let answer = first.exchange().await?;
        if answer.status.as_u16() == 401 && self.account.learn(&answer, &sent, action).await? {
            return self.account.put(call(), action).0.exchange().await;
        }
        Ok(answer)
    }

    /// All tags, sorted.
    pub(super) async fn tags(&self) -> Result<Vec<String>, PortError> {
        let mut first = self.below(&["tags", "list"]);
        first.query_pairs_mut().append_pair("n", &tags::PAGE.to_string());
        let mut pages = Pages::of(first, &self.repository);
        loop {
            let url = pages.at().clone();
            let (page, link) = http::patiently(self.patience, || async {
                let answer = self.exchange(Action::Pull, || self.call(Method::GET, &url)).await?;
                let answer = self.judge(answer, Asked::Tags)?;
                let page: Tags = answer.json()?;
                Ok((page.tags, answer.header(&LINK).map(str::to_owned)))
            })
            .await?;
            if pages.is_last(page, link.as_deref())? {
                return Ok(pages.all);
            }
        }
    }

    /// What a manifest's address answers to `method`, whatever it means. `reference` is a tag or `sha256:…`.
    pub(super) async fn ask_manifest(&self, method: Method, reference: &str) -> Result<Answer, PortError> {
        let url = self.below(&["manifests", reference]);
        let accept = [IMAGE_MANIFEST, IMAGE_INDEX, DOCKER_MANIFEST, DOCKER_LIST].join(", ");
        self.exchange(Action::Pull, || {
            let call = self.call(method.clone(), &url).answer_bytes_max(MANIFEST_BYTES_MAX);
            call.header("accept", &accept)
        })
        .await
    }

    /// Puts a manifest under a tag. It is sent again only where it cannot have arrived.
    pub(super) async fn put_manifest(
        &self,
        tag: &str,
        media_type: &str,
        body: Vec<u8>,
    ) -> Result<(), PortError> {
        let url = self.below(&["manifests", tag]);
        http::patiently(self.patience, || async {
            let call = || {
                let call = self.call(Method::PUT, &url).has_effect().header("content-type", media_type);
                call.body(body.clone().into())
            };
            let answer = self.exchange(Action::Push, call).await?;
            self.judge(answer, Asked::Put(tag)).map(drop)
        })
        .await
    }

    /// Puts a small blob where it is not there yet.
    pub(super) async fn put_blob(&self, bytes: &'static [u8]) -> Result<(), PortError> {
        let digest = format!("sha256:{}", Digest::of(bytes));
        let there = self.below(&["blobs", &digest]);
        let known = http::patiently(self.patience, || async {
            let answer = self.exchange(Action::Push, || self.call(Method::HEAD, &there)).await?;
            match answer.status.as_u16() {
                // Where blobs lie elsewhere, one that is there is answered with the way to it.
                200 | 301 | 302 | 303 | 307 | 308 => Ok(true),
                404 => Ok(false),
                _ => self.judge(answer, Asked::Upload).map(|_| false),
            }
        })
        .await?;
        if known {
            return Ok(());
        }
        // A blob that is put twice is there once, so both calls may be sent again.
        let begin = self.below(&["blobs", "uploads", ""]);
        http::patiently(self.patience, || async {
            let answer = self
                .exchange(Action::Push, || {
                    self.call(Method::POST, &begin).only_reads().body(Vec::new().into())
                })
                .await?;
            let answer = self.judge(answer, Asked::Upload)?;
            let place = answer.header(&LOCATION).and_then(|place| begin.join(place).ok());
            let place = place.filter(|place| place.origin() == self.url.origin());
            let mut place = place.ok_or_else(|| {
                PortError::not_applied(
                    ErrorKind::BadAnswer,
                    format!(
                        "{} answered without a place on the registry itself where the upload goes on: {}",
                        answer.what(),
                        answer.excerpt()
                    ),
                )
            })?;
            place.query_pairs_mut().append_pair("digest", &digest);
            let call = || {
                let call = self.call(Method::PUT, &place).only_reads();
                call.header("content-type", "application/octet-stream").body(bytes.into())
            };
            let answer = self.exchange(Action::Push, call).await?;
            self.judge(answer, Asked::Upload).map(drop)
        })
        .await
    }

    /// A blob piece by piece, from the registry or from where it leads.
    pub(super) async fn blob(&self, digest: &Digest, what: &str) -> Result<Stream, PortError> {
        let url = self.below(&["blobs", &format!("sha256:{digest}")]);
        let (first, sent) = self.account.put(self.call(Method::GET, &url), Action::Pull);
        let mut answer = match first.stream(self.deadline).await? {
            Ok(stream) => return Ok(stream),
            Err(answer) => answer,
        };
        if answer.status.as_u16() == 401 && self.account.learn(&answer, &sent, Action::Pull).await? {
            let (again, _) = self.account.put(self.call(Method::GET, &url), Action::Pull);
            answer = match again.stream(self.deadline).await? {
                Ok(stream) => return Ok(stream),
                Err(answer) => answer,
            };
        }
        let mut at = url;
        for _ in 0..REDIRECTS_MAX {
            if !matches!(answer.status.as_u16(), 301 | 302 | 303 | 307 | 308) {
                break;
            }
            at = self.storage(&at, answer.header(&LOCATION).unwrap_or_default(), what)?;
            // Such addresses are signed: no credentials go there.
            let call = self.http.call(Method::GET, &at).of("the registry's file storage");
            answer = match call.stream(self.deadline).await? {
                Ok(stream) => return Ok(stream),
                Err(answer) => answer,
            };
        }
        let answer = self.judge(answer, Asked::Blob(what))?;
        Err(answer.error())
    }

    /// Where a blob lies that is not with the registry itself, if files may be fetched from there.
    fn storage(&self, from: &Url, location: &str, what: &str) -> Result<Url, PortError> {
        let refused = |why: String| {
            PortError::not_applied(ErrorKind::Configuration, format!("the registry keeps {what} {why}"))
        };
        let url = from.join(location).map_err(|_| refused("at an address that does not read".into()))?;
        let named = self.files_from.iter().any(|known| *known == credentials::authority(&url));
        if url.origin() == self.url.origin() || named && credentials::is_as_safe(&url, &self.url) {
            return Ok(url);
        }
        Err(refused(format!(
            "at `{}`, where nobody said that files may come from: if that is its storage, add `{}` to `files-from`; it is asked over https, or over http where the registry is",
            http::shown(&url),
            credentials::authority(&url).escape_debug()
        ))
        .retry(Retry::No))
    }
}
