//! What adapters of AWS share: who they are there, signed calls of its JSON protocol, and what its refusals mean.
//!
//! Signatures and the ways to credentials are those of Apache OpenDAL's `reqsign`, with this program's own HTTP client and its own way of reading files.
//! `registry_sagemaker/README.md` says to users which ways there are.

mod credentials;
mod json;
mod refusal;
mod surroundings;

use reqwest::Url;
use ripcord_ports::PortError;

use crate::http;
use crate::restoring::wrong;

pub(crate) use credentials::{Credentials, S3Credentials, Way};
pub(crate) use json::Json;
pub(crate) use refusal::{advice_on_credentials, is_about_credentials};

/// Checks what is written as `region`.
pub(crate) fn check_region(region: &str) -> Result<(), PortError> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !region.is_empty() && region.len() <= 40 && region.chars().all(plain) {
        return Ok(());
    }
    let shown = region.escape_debug();
    Err(wrong(format!("`{shown}` cannot be a `region` of AWS: write it as in `eu-west-1`")))
}

/// The address of a service in a region, or the one that is configured under `key`, which has no path: the signature is of the path that the service sees.
pub(crate) fn endpoint(
    key: &str,
    configured: Option<&str>,
    service: &str,
    region: &str,
) -> Result<Url, PortError> {
    let Some(configured) = configured else {
        let end = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        return http::address(&format!("https://{service}.{region}.{end}"));
    };
    let url = http::address(configured)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong(format!(
            "`{key}` holds a user or a password: take it out, and see `access-key-id`"
        )));
    }
    http::is_shown_whole(key, &url)?;
    if url.path() != "/" {
        return Err(wrong(format!(
            "`{key}` has a path, and calls are signed for the path that AWS sees: write scheme, host and port alone"
        )));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_and_an_endpoint_are_checked() {
        for region in ["", "EU", "eu west", "eu-west-1/", "a\u{1b}", &"a".repeat(41)] {
            assert!(
                check_region(region).unwrap_err().to_string().contains("cannot be a `region`"),
                "{region}"
            );
        }
        assert!(check_region("us-gov-west-1").is_ok());
        let at = |configured, region| endpoint("endpoint", configured, "api.sagemaker", region);
        assert_eq!(at(None, "eu-west-1").unwrap().as_str(), "https://api.sagemaker.eu-west-1.amazonaws.com/");
        assert_eq!(
            at(None, "cn-north-1").unwrap().as_str(),
            "https://api.sagemaker.cn-north-1.amazonaws.com.cn/"
        );
        assert_eq!(
            at(Some("http://127.0.0.1:5566"), "eu-west-1").unwrap().as_str(),
            "http://127.0.0.1:5566/"
        );
        for (configured, expected) in [
            ("http://user:pw@h", "holds a user"),
            ("https://h/proxy", "has a path"),
            ("https://h/?a=b", "has a query"),
            ("h", "write it as in"),
        ] {
            let error = at(Some(configured), "eu-west-1").unwrap_err().to_string();
            assert!(error.contains(expected) && !error.contains("pw"), "{error}");
        }
    }
}
