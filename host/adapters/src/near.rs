//! Where a call may go without TLS that carries, or brings back, what lets its holder in: this machine, and the fixed addresses of its own metadata.

use reqwest::Url;

/// Whether others on the way could listen. `is_metadata` knows the hosts of metadata services.
pub(crate) fn is_in_the_clear(url: &Url, is_metadata: impl FnOnce(&str) -> bool) -> bool {
    let host = url.host_str().unwrap_or_default();
    let loopback = host.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback());
    let here = loopback || matches!(host, "localhost" | "[::1]");
    url.scheme() != "https" && !here && !is_metadata(host)
}
