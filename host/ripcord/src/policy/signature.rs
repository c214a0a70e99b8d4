//! Signatures of components: who answers for these bytes. They lie beside the component, a line each.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use ripcord_core::digest::Digest;
use ripcord_core::policy::{PolicyRef, component_signed_bytes};
use serde::Serialize;

use super::toolbox;
use crate::key::{Key, is_signature};
use crate::output::{Failure, Page, text};

/// What a line begins with; then the public key and the signature, both in hexadecimal.
const HEADER: &str = "ripcord-policy-signature-1";
/// Signatures are short; whatever is longer is none.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// What was signed.
#[derive(Debug, Clone, Serialize)]
pub struct Signed {
    /// The component.
    pub file: PathBuf,
    /// What it says that it is.
    pub policy: PolicyRef,
    /// Of its bytes: what was signed.
    pub digest: Digest,
    /// Where the signature was added.
    pub signatures: PathBuf,
    /// The signer's public key.
    pub public_key: String,
}

/// Signs a component that loads.
///
/// # Errors
/// It is no policy, or the signature cannot be written.
pub fn sign(file: &Path, key: &Key) -> Result<Signed, Failure> {
    // The file that was named and no other: never a starter policy of that name.
    let bytes = fs::read(file)
        .map_err(|cause| Failure::usage(format!("cannot read `{}`", file.display())).because(cause))?;
    let loaded = toolbox::load_bytes(&toolbox::sandbox()?, &file.display().to_string(), bytes)?;
    let digest = Digest::of(&loaded.bytes);
    let signatures = path(file);
    let unable = |cause: std::io::Error| {
        Failure::failed(format!("cannot write `{}`", signatures.display()))
            .because(cause)
            .help("check the folder's permissions and the free space")
    };
    let signature = key.sign_bytes(&component_signed_bytes(&digest));
    let mut out = fs::OpenOptions::new().create(true).append(true).open(&signatures).map_err(unable)?;
    writeln!(out, "{HEADER} {} {signature}", key.public()).and_then(|()| out.sync_all()).map_err(unable)?;
    let policy = loaded.policy.reference().clone();
    Ok(Signed { file: file.to_owned(), policy, digest, public_key: key.public(), signatures })
}

/// Where the signatures of a component lie.
pub(crate) fn path(component: &Path) -> PathBuf {
    let mut name = component.as_os_str().to_owned();
    name.push(".sig");
    name.into()
}

/// Whether the owner of a public key has signed the component; lines of other components are passed over.
///
/// # Errors
/// The file of signatures cannot be read.
pub(crate) fn is_signed_by(component: &Path, digest: &Digest, public: &[u8; 32]) -> std::io::Result<bool> {
    let path = path(component);
    match fs::metadata(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
        Ok(file) if file.len() > FILE_BYTES_MAX => return Ok(false),
        Ok(_) => {}
    }
    let bytes = component_signed_bytes(digest);
    let text = fs::read_to_string(&path)?;
    Ok(text.lines().filter_map(|line| line.strip_prefix(HEADER)).any(|line| {
        line.split_whitespace().nth(1).is_some_and(|signature| is_signature(public, &bytes, signature))
    }))
}

/// A line of the file of signatures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct SignatureLine {
    /// The signer's public key, in hexadecimal.
    pub public_key: String,
    /// Whether it is of these bytes by that key.
    pub is_valid: bool,
}

/// All signatures that lie beside a component.
///
/// # Errors
/// The file of signatures cannot be read.
pub(super) fn lines(component: &Path, digest: &Digest) -> std::io::Result<Vec<SignatureLine>> {
    let text = match fs::metadata(path(component)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
        Ok(file) if file.len() > FILE_BYTES_MAX => {
            return Err(std::io::Error::other("it is too long to be one"));
        }
        Ok(_) => fs::read_to_string(path(component))?,
    };
    let bytes = component_signed_bytes(digest);
    let line = |line: &str| {
        let mut words = line.strip_prefix(HEADER)?.split_whitespace();
        let (key, signature) = (words.next()?, words.next()?);
        let public = key_of(key);
        let is_valid = public.is_some_and(|public| is_signature(&public, &bytes, signature));
        Some(SignatureLine { public_key: key.to_owned(), is_valid })
    };
    Ok(text.lines().filter_map(line).collect())
}

fn key_of(text: &str) -> Option<[u8; 32]> {
    // Digests are 32 bytes in hexadecimal, as keys are.
    text.parse::<Digest>().ok().map(|bytes| *bytes.as_bytes())
}

impl Signed {
    /// For the command line.
    pub fn page(&self) -> Page {
        let text = text!(
            "signed {}, which says that it is {} (sha256 {}), with key {}\nadded to {}: deliver it beside the component",
            self.file.display(),
            self.policy,
            self.digest,
            self.public_key,
            self.signatures.display()
        );
        Page::done(text, self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_of_one_person_over_one_component() {
        let folder = tempfile::tempdir().expect("folder");
        let file = folder.path().join("mine.wasm");
        let starter = crate::starters::named("two-key").expect("a starter");
        fs::write(&file, starter.bytes).expect("writes");
        let [ada, bob, eve] =
            ["ada", "bob", "eve"].map(|name| Key::create(&folder.path().join(name)).expect("a key"));
        let digest = Digest::of(starter.bytes);
        let signed = |key: &Key, digest: &Digest| {
            is_signed_by(&file, digest, &key.public_bytes()).expect("the file is read")
        };
        assert!(!signed(&ada, &digest), "nobody has signed");
        for key in [&ada, &bob] {
            assert_eq!(sign(&file, key).expect("signs").digest, digest);
        }
        assert!(signed(&ada, &digest) && signed(&bob, &digest), "both, in one file");
        assert!(!signed(&eve, &digest));
        assert!(!signed(&ada, &Digest::of("other bytes")));
        let absent = folder.path().join("two-key");
        assert!(sign(&absent, &ada).is_err(), "a starter policy of that name is not what was named");
        fs::write(&file, b"no component").expect("writes");
        assert!(sign(&file, &ada).is_err(), "what does not load is not signed");
    }
}
