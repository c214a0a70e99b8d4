//! The request that writes a value.

use reqwest::Method;
use ripcord_ports::restorer::RestoreOrder;
use ripcord_ports::{ErrorKind, PortError};
use serde_json::{Value, json};

use super::{Document, Etag, HttpRestorer, WriteWith};
use crate::http::{self, Call};

impl WriteWith {
    /// By which method, and as what the body is declared.
    pub(super) const fn method(self) -> (Method, &'static str) {
        match self {
            Self::PutDocument | Self::PutValue => (Method::PUT, "application/json"),
            Self::MergePatch => (Method::PATCH, "application/merge-patch+json"),
            Self::JsonPatch => (Method::PATCH, "application/json-patch+json"),
            Self::PostValue => (Method::POST, "application/json"),
        }
    }
}

impl HttpRestorer {
    /// The request that puts `value` in the place of what `document` holds.
    pub(super) fn written(
        &self,
        document: &Document,
        value: &Value,
        order: &RestoreOrder,
    ) -> Result<Call, PortError> {
        let etag = match (self.etag, &document.etag) {
            (Etag::Ignored, _) | (Etag::WhereOffered, None) => None,
            (Etag::WhereOffered | Etag::Required, Some(etag)) => Some(etag),
            (Etag::Required, None) => {
                return Err(PortError::not_applied(
                    ErrorKind::Unsupported,
                    format!(
                        "the document at {} came without an `ETag`, and `etag` is `required`: nothing was changed",
                        http::shown(&self.url)
                    ),
                ));
            }
        };
        let (method, content_type) = self.write.method();
        let body = match self.write {
            WriteWith::PutDocument => {
                let mut whole = document.value.clone();
                let Some(place) = whole.pointer_mut(&self.pointer) else { return Err(self.nothing_there()) };
                *place = value.clone();
                whole
            }
            WriteWith::MergePatch => {
                if document.value.pointer(&self.pointer).is_none() {
                    return Err(self.nothing_there());
                }
                self.merged(document, value)?
            }
            WriteWith::JsonPatch => {
                let Some(before) = document.value.pointer(&self.pointer) else {
                    return Err(self.nothing_there());
                };
                json!([
                    {"op": "test", "path": self.pointer, "value": before},
                    {"op": "replace", "path": self.pointer, "value": value},
                ])
            }
            WriteWith::PutValue | WriteWith::PostValue => value.clone(),
        };
        let call = self.shared.http.call(method, &self.write_url);
        let call = call.deadline(self.deadline.min(order.deadline)).has_effect();
        let call = call.credentials(&self.credentials).header("idempotency-key", &order.key);
        let call = match etag {
            Some(etag) => call.header("if-match", etag),
            None => call,
        };
        Ok(call.header("content-type", content_type).json(&body))
    }

    /// The smallest document that changes the value alone.
    fn merged(&self, document: &Document, value: &Value) -> Result<Value, PortError> {
        let mut parts: Vec<_> =
            self.pointer.split('/').skip(1).map(|part| part.replace("~1", "/").replace("~0", "~")).collect();
        // A list is replaced as a whole by merging, so a value within one cannot be changed alone.
        let mut around = &document.value;
        for part in &parts {
            if !around.is_object() {
                return Err(PortError::not_applied(
                    ErrorKind::Unsupported,
                    format!(
                        "`{}` leads through a list, which merging replaces as a whole: set `write` to `json-patch` or `put-document`",
                        self.pointer
                    ),
                ));
            }
            around = &around[part.as_str()];
        }
        // Merging takes members that the new value lacks for members that stay.
        if value.is_object() || value.is_null() {
            return Err(PortError::not_applied(
                ErrorKind::Unsupported,
                "merging cannot set a table or nothing: set `write` to `json-patch` or `put-document`",
            ));
        }
        let mut patch = value.clone();
        while let Some(part) = parts.pop() {
            patch = json!({ part: patch });
        }
        Ok(patch)
    }

    fn nothing_there(&self) -> PortError {
        PortError::not_applied(
            ErrorKind::NotFound,
            format!(
                "the document at {} has nothing at `{}` that could be replaced; nothing was changed",
                http::shown(&self.url),
                self.pointer
            ),
        )
    }
}
