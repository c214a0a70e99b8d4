//! What AWS's errors mean, and what can be done about them.

use ripcord_ports::{ErrorKind, Retry};
use serde::Deserialize;

/// The body of an error. Services do not agree on the first letter.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Refusal {
    #[serde(rename = "__type", alias = "code", alias = "Code", default)]
    kind: String,
    #[serde(alias = "Message", alias = "errorMessage", default)]
    pub(super) message: String,
}

/// The error's name alone: `com.amazon.coral.service#ThrottlingException:http://…`.
pub(super) fn name(text: &str) -> &str {
    let after = text.rsplit_once('#').map_or(text, |(_, name)| name);
    after.split_once(':').map_or(after, |(name, _)| name)
}

impl Refusal {
    /// Of a body, which what stands before a service writes as XML.
    pub(super) fn of(body: &[u8]) -> Self {
        serde_json::from_slice(body).unwrap_or_else(|_| {
            let text = String::from_utf8_lossy(body);
            let between = |tag: &str| {
                let (_, rest) = text.split_once(&format!("<{tag}>"))?;
                rest.split_once(&format!("</{tag}>")).map(|(inner, _)| inner.to_owned())
            };
            let of = |tag: &str| between(tag).unwrap_or_default();
            Self { kind: of("Code"), message: of("Message") }
        })
    }

    /// Its name, of the body or else of the header.
    pub(super) fn name<'a>(&'a self, header: Option<&'a str>) -> &'a str {
        let text = if self.kind.is_empty() { header.unwrap_or_default() } else { &self.kind };
        name(text)
    }
}

/// What an error is for programs, whether it passes, and what people can do; none where nothing is known of it.
pub(super) fn meaning(name: &str, message: &str, may: &str) -> Option<(ErrorKind, Retry, String)> {
    if is_about_credentials(name) || is_about_credentials(message) {
        return Some((ErrorKind::Denied, Retry::No, advice_on_credentials(name, message).to_owned()));
    }
    let is = |names: &[&str]| names.contains(&name);
    if is(&["AccessDeniedException", "AccessDenied", "UnauthorizedOperation", "NotAuthorized"]) {
        let text = format!(
            "allow {may} to who asks, also where a permissions boundary or the organisation's policy says no"
        );
        return Some((ErrorKind::Denied, Retry::No, text));
    }
    if is(&[
        "ThrottlingException",
        "Throttling",
        "ThrottledException",
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "SlowDown",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "ConflictException",
    ]) {
        let text =
            "it passes; where it comes often, have fewer services ask, or AWS raise the account's limit";
        return Some((ErrorKind::Failed, Retry::Later, text.to_owned()));
    }
    if is(&["UnknownOperationException", "UnknownOperation", "InvalidAction"]) {
        let text = "what answers there is not the service, or not all of it: check `endpoint`";
        return Some((ErrorKind::Failed, Retry::No, text.to_owned()));
    }
    if name == "ResourceLimitExceeded" {
        let text = "have AWS raise the account's quota of what it names, or free some of it";
        return Some((ErrorKind::Failed, Retry::No, text.to_owned()));
    }
    let lower = message.to_lowercase();
    let absent = ["does not exist", "not found", "could not find", "cannot find"];
    let invalid = is(&["ValidationException", "ValidationError"]);
    if is(&["ResourceNotFound", "ResourceNotFoundException"])
        || (invalid && absent.iter().any(|words| lower.contains(words)))
    {
        return Some((ErrorKind::NotFound, Retry::No, "check its name, `region` and the account".to_owned()));
    }
    if is_in_progress(name, message) || name == "ResourceInUse" {
        // It takes minutes: who asked comes back, and the call is not repeated by itself.
        let text = "it is being changed already: try again when that has ended";
        return Some((ErrorKind::Failed, Retry::No, text.to_owned()));
    }
    invalid.then(|| (ErrorKind::Failed, Retry::No, "AWS does not take it so".to_owned()))
}

/// Whether what was to be changed is being changed already.
fn is_in_progress(name: &str, message: &str) -> bool {
    let lower = message.to_lowercase();
    name.starts_with("Validation") && (lower.contains("in-progress") || lower.contains("in progress"))
}

/// Names, and words of messages, that say that it is the credentials or the signature.
const OF_CREDENTIALS: [&str; 14] = [
    "ExpiredToken",
    "TokenRefreshRequired",
    "UnrecognizedClient",
    "InvalidClientTokenId",
    "InvalidAccessKeyId",
    "InvalidSignature",
    "SignatureDoesNotMatch",
    "IncompleteSignature",
    "MissingAuthenticationToken",
    "RequestExpired",
    "RequestTimeTooSkewed",
    "AuthFailure",
    "Signature expired",
    "Signature not yet current",
];

/// Whether an error is about who asks, and not about what was asked for.
pub(crate) fn is_about_credentials(text: &str) -> bool {
    OF_CREDENTIALS.iter().any(|words| text.contains(words))
}

/// What to do about such an error.
pub(crate) fn advice_on_credentials(name: &str, message: &str) -> &'static str {
    let has = |words: &[&str]| words.iter().any(|words| name.contains(words) || message.contains(words));
    if has(&["RequestExpired", "RequestTimeTooSkewed", "Signature expired", "not yet current"]) {
        "this machine's clock is not AWS's: have it set by a time server"
    } else if has(&["ExpiredToken", "TokenRefreshRequired"]) {
        "the session is at its end: renew the credentials where this host takes them from, or give it a role, which renews itself"
    } else if has(&["UnrecognizedClient", "InvalidClientTokenId", "InvalidAccessKeyId", "AuthFailure"]) {
        "AWS does not know the key: it was deleted or switched off, is of another partition, or its session token is missing"
    } else {
        "the signature does not fit: check the secret of the key, this machine's clock, and that nothing between changes `Host` or the body"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_is_told_with_what_to_do() {
        let check = |name: &str, message: &str, kind: ErrorKind, retry: Retry, expected: &str| {
            let (found, again, text) = meaning(name, message, "`sagemaker:ListModelPackages`").unwrap();
            assert_eq!((found, again), (kind, retry), "{name}: {text}");
            assert!(text.contains(expected), "{name}: {text}");
        };
        use ErrorKind::{Denied, Failed, NotFound};
        check("ExpiredTokenException", "", Denied, Retry::No, "renew the credentials");
        check("UnrecognizedClientException", "", Denied, Retry::No, "does not know the key");
        check("SignatureDoesNotMatch", "", Denied, Retry::No, "check the secret of the key");
        let skewed = "Signature expired: 20261128T053000Z is now earlier than 20261128T060000Z";
        check("InvalidSignatureException", skewed, Denied, Retry::No, "set by a time server");
        check("AccessDeniedException", "User: x", Denied, Retry::No, "allow `sagemaker:ListModelPackages`");
        check("ThrottlingException", "Rate exceeded", Failed, Retry::Later, "it passes");
        check("ConflictException", "", Failed, Retry::Later, "it passes");
        check("UnknownOperationException", "", Failed, Retry::No, "check `endpoint`");
        check("ValidationException", "ModelPackage x does not exist.", NotFound, Retry::No, "check its name");
        check("ResourceNotFound", "", NotFound, Retry::No, "check its name");
        let busy = "Cannot update in-progress endpoint \"arn:x\".";
        check("ValidationException", busy, Failed, Retry::No, "when that has ended");
        check("ResourceInUse", "", Failed, Retry::No, "when that has ended");
        let limit = "The account-level service limit 'ml.g5.xlarge for endpoint usage' is 1 Instances";
        check("ResourceLimitExceeded", limit, Failed, Retry::No, "have AWS raise the account's quota");
        check("ValidationException", "1 validation error", Failed, Retry::No, "does not take it so");
        assert!(meaning("InternalFailure", "", "").is_none());
    }

    #[test]
    fn a_name_is_read_in_each_of_its_forms() {
        for text in ["ThrottlingException", "a.b#ThrottlingException", "ThrottlingException:http://x/"] {
            assert_eq!(name(text), "ThrottlingException");
        }
        let xml = "<E><Error><Code>SignatureDoesNotMatch</Code><Message>m</Message></Error></E>";
        let xml = Refusal::of(xml.as_bytes());
        assert_eq!((xml.name(None), xml.message.as_str()), ("SignatureDoesNotMatch", "m"));
        assert_eq!(Refusal::of(b"<html>").name(None), "");
        let bare = Refusal::default();
        assert_eq!(bare.name(Some("a#X:b")), "X");
        assert_eq!(bare.name(None), "");
    }
}
