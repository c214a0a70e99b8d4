//! Azure and its sovereign clouds: where each answers.

use reqwest::Url;
use ripcord_ports::{ErrorKind, PortError};
use serde::Deserialize;

use crate::http;
use crate::near::is_in_the_clear;

/// Which of Azure's clouds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AzureCloud {
    /// That of most.
    #[default]
    Public,
    /// That of 21Vianet.
    China,
    /// That of the government of the United States.
    UsGovernment,
}

impl AzureCloud {
    /// Where tokens are had.
    pub(crate) fn authority(self) -> &'static str {
        match self {
            Self::Public => "https://login.microsoftonline.com",
            Self::China => "https://login.chinacloudapi.cn",
            Self::UsGovernment => "https://login.microsoftonline.us",
        }
    }

    /// Azure Resource Manager: its address, and the name of what a token for it is good for.
    pub(crate) fn manager(self) -> &'static str {
        match self {
            Self::Public => "https://management.azure.com",
            Self::China => "https://management.chinacloudapi.cn",
            Self::UsGovernment => "https://management.usgovcloudapi.net",
        }
    }

    /// Where Blob Storage answers for an account.
    pub(crate) fn blobs(self) -> &'static str {
        match self {
            Self::Public => "https://{account}.blob.core.windows.net",
            Self::China => "https://{account}.blob.core.chinacloudapi.cn",
            Self::UsGovernment => "https://{account}.blob.core.usgovcloudapi.net",
        }
    }
}

/// A configured address that is called with tokens, so it holds none and is not called in the clear.
pub(crate) fn own_address(key: &str, text: &str) -> Result<Url, PortError> {
    let wrong = |why: String| Err(PortError::not_applied(ErrorKind::Configuration, format!("`{key}` {why}")));
    let url = http::address(text)?;
    if !url.username().is_empty() || url.password().is_some() {
        return wrong("holds a user or a password: take it out, and see `client-secret-file`".to_owned());
    }
    http::is_shown_whole(key, &url)?;
    if is_in_the_clear(&url, |_| false) {
        let shown = http::shown(&url);
        return wrong(format!("is `{shown}`, and calls carry tokens: write an address with `https`"));
    }
    Ok(url)
}
