//! Where a Prometheus usually is, and what a first configuration is told of it.

use crate::Http;

/// Its port on this machine.
pub const USUAL_URL: &str = "http://127.0.0.1:9090";
/// So many rules are told.
const RULES_MAX: usize = 200;

/// The names of its alerting rules, those that can stand in a comment; none where it is not there.
pub async fn alerting_rules(http: &Http, url: &str) -> Option<Vec<String>> {
    let build = http.glance(&format!("{url}/api/v1/status/buildinfo")).await?;
    if build["status"] != "success" {
        return None;
    }
    let answer = http.glance(&format!("{url}/api/v1/rules?type=alert")).await.unwrap_or_default();
    let groups = answer["data"]["groups"].as_array().cloned().unwrap_or_default();
    let names = groups.iter().flat_map(|group| group["rules"].as_array().into_iter().flatten());
    let mut names: Vec<_> = names.filter_map(|rule| rule["name"].as_str()).map(str::to_owned).collect();
    names.retain(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || "-_ .:".contains(c)));
    names.truncate(RULES_MAX);
    Some(names)
}
