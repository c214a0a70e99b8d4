use std::time::Duration;

use reqwest::Url;

use crate::Error;
use crate::error::with_causes;

/// A client with keep-alive connections and a deadline for every request.
pub(crate) fn client(deadline: Duration) -> Result<reqwest::Client, Error> {
    // Fails when a provider is already there, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .timeout(deadline)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .map_err(Error::Client)
}

/// Reads a URL that a person typed. `option` names where it came from.
pub(crate) fn url(option: &str, text: &str) -> Result<Url, Error> {
    let mistake = |why: String| {
        Error::Setting(format!(
            "`{text}` is not a url for `{option}` ({why}): write it as `http://host:port/path`"
        ))
    };
    let url = Url::parse(text).map_err(|error| mistake(error.to_string()))?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        other => Err(mistake(format!("scheme `{other}`"))),
    }
}

/// What went wrong with a request, with its causes and without the URL, which the caller names.
pub(crate) fn reason(error: reqwest::Error) -> String {
    with_causes(&error.without_url())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::url;

    #[test]
    fn urls() {
        assert_eq!(url("--url", "http://127.0.0.1:80/a").unwrap().path(), "/a");
        for bad in ["", "127.0.0.1:8080", "ftp://host/", "http://"] {
            let message = url("--url", bad).unwrap_err().to_string();
            assert!(message.starts_with(&format!("`{bad}` is not a url for `--url`")), "{message}");
        }
    }
}
