//! Holds as approval: a version that was rolled back from is `Rejected`, and keeps in its metadata what its approval was before.

use std::collections::BTreeMap;

use super::wire::Package;
use crate::registry_directory::HOLD_TAG;

use super::CONDEMNED_TAG;

/// What is not approved, for everybody who looks.
pub(super) const REJECTED: &str = "Rejected";
/// What a version is before anybody judged it.
const PENDING: &str = "PendingManualApproval";
/// What the approval was when the hold was marked.
pub(super) const BEFORE: &str = "ripcord.approval-before";
/// Longer descriptions are refused.
const DESCRIPTION_CHARS_MAX: usize = 1_024;

/// What a version is to be. All of it is sent: what becomes of a part that is left out, SageMaker's pages do not say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) approval: String,
    pub(super) description: Option<String>,
    pub(super) properties: BTreeMap<String, String>,
    /// Of those that are there now.
    pub(super) remove: Vec<String>,
}

fn approval(now: &Package) -> &str {
    now.model_approval_status.as_deref().unwrap_or(PENDING)
}

fn is_judged(text: &str) -> bool {
    matches!(text, "Approved" | PENDING | REJECTED)
}

/// The version as held; none where it is already.
pub(super) fn held(now: &Package, incident: &str) -> Option<Wanted> {
    let mut properties = now.customer_metadata_properties.clone().unwrap_or_default();
    let is_rejected = approval(now) == REJECTED;
    let before = properties.get(BEFORE).cloned();
    if is_rejected && before.is_some() && properties.get(HOLD_TAG).is_some_and(|held| held == incident) {
        return None;
    }
    // What somebody approved while an earlier hold stood is what they said last.
    let before = before.filter(|_| is_rejected).unwrap_or_else(|| approval(now).to_owned());
    let own = format!("Ripcord rolled back from it, incident {incident}: do not deploy it.");
    let description = match now.approval_description.as_deref().unwrap_or_default().trim() {
        "" => own,
        said => format!("{own} Before this, {before}: {said}"),
    };
    properties.insert(BEFORE.to_owned(), before);
    properties.insert(HOLD_TAG.to_owned(), incident.to_owned());
    properties.insert(CONDEMNED_TAG.to_owned(), incident.to_owned());
    let description = Some(description.chars().take(DESCRIPTION_CHARS_MAX).collect());
    Some(Wanted { approval: REJECTED.to_owned(), description, properties, remove: Vec::new() })
}

/// The version as it was before the hold; none where no hold stands. That it was condemned stays.
pub(super) fn lifted(now: &Package) -> Option<Wanted> {
    let mut properties = now.customer_metadata_properties.clone().unwrap_or_default();
    let own = [HOLD_TAG, BEFORE];
    let remove = own.into_iter().filter(|key| properties.contains_key(*key));
    let remove: Vec<String> = remove.map(str::to_owned).collect();
    if remove.is_empty() {
        return None;
    }
    let incident = properties.remove(HOLD_TAG).unwrap_or_default();
    let before = properties.remove(BEFORE).filter(|before| is_judged(before));
    // What somebody has approved meanwhile is theirs.
    let (approval, description) = match before {
        Some(before) if approval(now) == REJECTED => {
            // What somebody had said of it is said again.
            let said = now.approval_description.as_deref();
            let said = said.and_then(|said| said.split_once(&format!("Before this, {before}: ")));
            let text = format!("The hold of incident {incident} was lifted: {before}, as before.");
            (before, Some(said.map_or(text, |(_, said)| said.to_owned())))
        }
        _ => (approval(now).to_owned(), now.approval_description.clone()),
    };
    Some(Wanted { approval, description, properties, remove })
}

/// Whether the version is as wanted.
pub(super) fn is_so(now: &Package, wanted: &Wanted) -> bool {
    let empty = BTreeMap::new();
    let properties = now.customer_metadata_properties.as_ref().unwrap_or(&empty);
    let own = |key: &&str| properties.get(*key) == wanted.properties.get(*key);
    approval(now) == wanted.approval && [HOLD_TAG, BEFORE, CONDEMNED_TAG].iter().all(own)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn package(approval: &str, description: &str, properties: serde_json::Value) -> Package {
        serde_json::from_value(json!({
            "ModelPackageArn": "arn", "CreationTime": 1.0, "ModelPackageStatus": "Completed",
            "ModelApprovalStatus": approval, "ApprovalDescription": description, "CustomerMetadataProperties": properties,
        }))
        .unwrap()
    }

    fn after(wanted: &Wanted) -> Package {
        package(&wanted.approval, wanted.description.as_deref().unwrap_or_default(), json!(wanted.properties))
    }

    #[test]
    fn a_hold_rejects_and_lifting_it_puts_the_approval_back() {
        for before in ["Approved", "PendingManualApproval", "Rejected"] {
            let now = package(before, "seen by Ada", json!({ "git": "abc" }));
            let wanted = held(&now, "fraud:7").unwrap();
            assert_eq!(wanted.approval, REJECTED);
            let said = wanted.description.as_deref().unwrap();
            assert_eq!(
                said,
                format!(
                    "Ripcord rolled back from it, incident fraud:7: do not deploy it. Before this, {before}: seen by Ada"
                )
            );
            let is_held = after(&wanted);
            assert!(is_so(&is_held, &wanted) && !is_so(&now, &wanted));
            assert_eq!(held(&is_held, "fraud:7"), None, "once is enough");
            let lifting = lifted(&is_held).unwrap();
            assert_eq!(
                (lifting.approval.as_str(), lifting.description.as_deref()),
                (before, Some("seen by Ada"))
            );
            let left = after(&lifting);
            assert_eq!(lifting.properties.keys().collect::<Vec<_>>(), ["git", CONDEMNED_TAG]);
            assert_eq!(lifted(&left), None);
            assert!(is_so(&left, &lifting));
        }
    }

    #[test]
    fn what_somebody_said_meanwhile_is_theirs() {
        let now = package("Approved", "", json!({}));
        let mut again = held(&now, "fraud:7").unwrap();
        again.approval = "Approved".into();
        let reapproved = after(&again);
        assert_eq!(lifted(&reapproved).unwrap().approval, "Approved");
        let anew = held(&reapproved, "fraud:9").unwrap();
        assert_eq!(
            (anew.properties[BEFORE].as_str(), anew.properties[HOLD_TAG].as_str()),
            ("Approved", "fraud:9")
        );
        // A second hold keeps what was before the first.
        let second = held(&after(&anew), "fraud:11").unwrap();
        assert_eq!(second.properties[BEFORE], "Approved");
        // Nobody's word is no approval.
        let strange = package(REJECTED, "", json!({ HOLD_TAG: "x:1", BEFORE: "Yes" }));
        assert_eq!(lifted(&strange).unwrap().approval, REJECTED);
    }

    #[test]
    fn a_description_has_the_length_that_is_taken() {
        let now = package("Approved", &"é".repeat(2_000), json!({}));
        assert_eq!(
            held(&now, "fraud:7").unwrap().description.unwrap().chars().count(),
            DESCRIPTION_CHARS_MAX
        );
    }
}
