//! The file `MLmodel`, which MLflow lays beside every artefact that its own clients log.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Its name.
pub(super) const NAME: &str = "MLmodel";

/// The largest that is read. Real ones have about a kilobyte.
pub(super) const BYTES_MAX: u64 = 1 << 20;

/// What is read from it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct About {
    /// The input columns or tensors, as JSON; none where no signature was logged.
    pub(super) signature: Option<String>,
    /// What loads it.
    pub(super) runtime: Option<String>,
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    flavors: BTreeMap<String, Flavor>,
    #[serde(default)]
    signature: Option<Signature>,
    #[serde(default)]
    mlflow_version: Option<String>,
}

#[derive(Deserialize)]
struct Flavor {
    #[serde(default)]
    loader_module: Option<String>,
    #[serde(default)]
    python_version: Option<String>,
}

#[derive(Deserialize)]
struct Signature {
    #[serde(default)]
    inputs: Option<String>,
}

/// Reads it; the error is the end of a sentence that begins with the file's name.
pub(super) fn parse(bytes: &[u8]) -> Result<About, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "is not UTF-8 text".to_owned())?;
    let file: File = serde_saphyr::from_str(text).map_err(|error| {
        let line = error.to_string().lines().next().unwrap_or_default().to_owned();
        format!("does not read: {line}")
    })?;
    let python = file.flavors.get("python_function");
    let runtime: Vec<String> = [
        python.and_then(|flavor| flavor.loader_module.clone()),
        python.and_then(|flavor| flavor.python_version.as_ref()).map(|version| format!("python {version}")),
        file.mlflow_version.map(|version| format!("mlflow {version}")),
    ]
    .into_iter()
    .flatten()
    .collect();
    Ok(About {
        signature: file.signature.and_then(|signature| signature.inputs),
        runtime: (!runtime.is_empty()).then(|| runtime.join(", ")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_without_signature_or_flavor_is_one_too() {
        assert_eq!(parse(b"artifact_path: model\n"), Ok(About::default()));
        let about = parse(b"mlflow_version: 2.9.2\nsignature: null\n").unwrap();
        assert_eq!(about, About { signature: None, runtime: Some("mlflow 2.9.2".into()) });
    }

    #[test]
    fn what_is_no_such_file_says_why() {
        for bytes in [b"flavors: [".as_slice(), b"<!doctype html><p>Sign in", b"\xff\xfe", b"- 1\n- 2\n"] {
            assert!(parse(bytes).is_err(), "{:?}", String::from_utf8_lossy(bytes));
        }
        // Names that stand for each other a thousand times over.
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
        for level in 1..12 {
            let below = format!("*a{}, ", level - 1).repeat(9);
            bomb.push_str(&format!("a{level}: &a{level} [{}]\n", below.trim_end_matches(", ")));
        }
        bomb.push_str("flavors: *a11\n");
        assert!(parse(bomb.as_bytes()).is_err());
    }
}
