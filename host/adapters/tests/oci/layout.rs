//! Artefacts on disk, in the form that clients of OCI registries push from.

use std::path::Path;

use ripcord_core::digest::Digest;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::fake::IMAGE_MANIFEST;

/// An OCI image layout. It is removed when this is dropped.
pub(super) struct Layout {
    folder: TempDir,
    index: Vec<Value>,
}

impl Layout {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("blobs/sha256")).unwrap();
        std::fs::write(folder.path().join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        Self { folder, index: Vec::new() }
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a blob, and gives what a manifest says of it.
    pub(super) fn blob(&mut self, kind: &str, bytes: &[u8], annotations: Value) -> Value {
        let digest = Digest::of(bytes);
        std::fs::write(self.folder.path().join(format!("blobs/sha256/{digest}")), bytes).unwrap();
        let mut descriptor =
            json!({ "mediaType": kind, "digest": format!("sha256:{digest}"), "size": bytes.len() });
        if annotations.is_object() {
            descriptor["annotations"] = annotations;
        }
        descriptor
    }

    /// Writes a manifest under a name.
    pub(super) fn manifest(&mut self, name: &str, config: &Value, layers: &[Value], annotations: Value) {
        let mut manifest =
            json!({ "schemaVersion": 2, "mediaType": IMAGE_MANIFEST, "config": config, "layers": layers });
        if annotations.is_object() {
            manifest["annotations"] = annotations;
        }
        let mut described = self.blob(IMAGE_MANIFEST, manifest.to_string().as_bytes(), Value::Null);
        described["annotations"] = json!({ "org.opencontainers.image.ref.name": name });
        self.index.push(described);
        let index = json!({ "schemaVersion": 2, "manifests": self.index });
        std::fs::write(self.folder.path().join("index.json"), index.to_string()).unwrap();
    }
}
