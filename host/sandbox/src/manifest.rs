//! What `describe` returned, checked before anything else is believed.

use ripcord_core::fact::{FactKind, Request};
use ripcord_core::name::PolicyName;
use ripcord_core::policy::{Grant, Manifest, Role};

use crate::settings::Schema;

const SUMMARY_BYTES_MAX: usize = 2_000;
const SCHEMA_BYTES_MAX: usize = 256 << 10;

/// A manifest as the guest wrote it.
#[derive(Debug)]
pub(crate) struct RawManifest {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) summary: String,
    pub(crate) settings_schema: String,
    pub(crate) grants: Vec<Grant>,
}

/// Checks `raw` against the roles that the component exports. The error is the rest of a sentence about the manifest.
pub(crate) fn check(raw: RawManifest, roles: &[Role]) -> Result<(Manifest, Schema), String> {
    let name = PolicyName::new(raw.name).map_err(|error| format!("its name: {error}"))?;
    if !is_semantic_version(&raw.version) {
        let version: String = raw.version.chars().take(200).collect();
        return Err(format!("its version `{version}` is not a semantic version: write one such as `1.2.3`"));
    }
    if raw.summary.len() > SUMMARY_BYTES_MAX || raw.summary.trim().is_empty() {
        return Err(format!("its summary must be one sentence of 1 to {SUMMARY_BYTES_MAX} bytes"));
    }
    if raw.settings_schema.len() > SCHEMA_BYTES_MAX {
        return Err(format!("its settings schema is larger than {SCHEMA_BYTES_MAX} bytes"));
    }
    let schema =
        Schema::read(&raw.settings_schema).map_err(|error| format!("its settings schema {error}"))?;
    check_grants(&raw.grants, roles)?;
    let manifest = Manifest {
        name,
        version: raw.version,
        summary: raw.summary,
        settings_schema: raw.settings_schema,
        grants: raw.grants,
    };
    Ok((manifest, schema))
}

fn check_grants(grants: &[Grant], roles: &[Role]) -> Result<(), String> {
    for (index, Grant { role, may_request }) in grants.iter().enumerate() {
        if !roles.contains(role) {
            return Err(format!("it asks for facts in the role {role}, which the component does not export"));
        }
        if grants[..index].iter().any(|before| before.role == *role) {
            return Err(format!("it lists the role {role} twice"));
        }
        if let Some(kind) = (0..may_request.len()).find(|at| may_request[..*at].contains(&may_request[*at])) {
            return Err(format!("it lists `{}` twice in the role {role}", may_request[kind]));
        }
        // A trial has effects on the endpoint, and a trigger is asked at any time.
        let trial = may_request.iter().find(|kind| matches!(kind, FactKind::Golden | FactKind::Recheck));
        if let (Role::Trigger, Some(kind)) = (role, trial) {
            return Err(format!("it asks for `{kind}` in the role trigger; triggers may not ask for trials"));
        }
    }
    Ok(())
}

/// Whether `role` of a policy with this `manifest` may be given what it asks for, and the operator agrees.
pub(crate) fn check_request(
    request: &Request,
    role: Role,
    manifest: &Manifest,
    grant: &[FactKind],
) -> Result<(), crate::FaultKind> {
    let fact = request.kind();
    if !manifest.may_request(role).contains(&fact) {
        return Err(crate::FaultKind::UndeclaredFact { fact, role });
    }
    if !grant.contains(&fact) {
        return Err(crate::FaultKind::UngrantedFact { fact });
    }
    Ok(())
}

/// The form of <https://semver.org>: three numbers, then identifiers after `-` and after `+`.
fn is_semantic_version(text: &str) -> bool {
    let identifiers = |text: &str| {
        text.split('.')
            .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'))
    };
    let number = |text: &str| {
        !text.is_empty()
            && text.bytes().all(|b| b.is_ascii_digit())
            && (text == "0" || !text.starts_with('0'))
    };
    let (rest, build) = text.split_once('+').map_or((text, None), |(rest, build)| (rest, Some(build)));
    let (core, pre) = rest.split_once('-').map_or((rest, None), |(core, pre)| (core, Some(pre)));
    text.len() <= 100
        && core.split('.').count() == 3
        && core.split('.').all(number)
        && pre.is_none_or(identifiers)
        && build.is_none_or(identifiers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw() -> RawManifest {
        RawManifest {
            name: "p".into(),
            version: "1.0.0".into(),
            summary: "Does nothing.".into(),
            settings_schema: "{}".into(),
            grants: vec![Grant { role: Role::Trigger, may_request: vec![FactKind::Metric] }],
        }
    }

    fn refused(change: impl FnOnce(&mut RawManifest), expected: &str) {
        let mut raw = raw();
        change(&mut raw);
        let error = check(raw, &[Role::Trigger]).expect_err("refused");
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn each_field_has_a_form() {
        assert!(check(raw(), &[Role::Trigger]).is_ok());
        refused(|raw| raw.name = "../p".into(), "`../p` is not a policy name");
        refused(|raw| raw.version = "1.0".into(), "`1.0` is not a semantic version");
        refused(|raw| raw.summary = " ".into(), "summary");
        refused(|raw| raw.settings_schema = "{\"type\": 1}".into(), "not a JSON Schema");
        refused(|raw| raw.settings_schema = " ".repeat(SCHEMA_BYTES_MAX + 1), "larger than");
        refused(
            |raw| raw.grants[0].role = Role::Planner,
            "role planner, which the component does not export",
        );
        refused(|raw| raw.grants.push(raw.grants[0].clone()), "twice");
        refused(|raw| raw.grants[0].may_request.push(FactKind::Golden), "triggers may not ask for trials");
    }

    #[test]
    fn semantic_versions() {
        for good in ["0.0.0", "1.2.3", "10.20.30-rc.1", "1.0.0-x-y+build.7", "1.0.0+b-1"] {
            assert!(is_semantic_version(good), "{good}");
        }
        for bad in [
            "",
            "1",
            "1.2",
            "1.2.3.4",
            "01.2.3",
            "1.2.x",
            "1.2.3-",
            "1.2.3+",
            "v1.2.3",
            "1.2.3-ä",
            "1.2.3-a..b",
        ] {
            assert!(!is_semantic_version(bad), "{bad}");
        }
    }
}
