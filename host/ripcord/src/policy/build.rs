//! `ripcord policy build`: a crate into a component.

use std::fs;
use std::path::{Path, PathBuf};

use ripcord_core::digest::Digest;
use ripcord_core::policy::{PolicyRef, Role};
use serde::Serialize;

use super::toolbox::{self, kilobytes};
use crate::output::style::{STRONG, paint};
use crate::output::table::Table;
use crate::output::{Exit, Failure, Page, Text, text};

/// A component that was built and that the sandbox takes.
#[derive(Debug, Clone, Serialize)]
pub struct Built {
    /// Name, version and digest.
    #[serde(flatten)]
    pub policy: PolicyRef,
    /// What it answers.
    pub roles: Vec<Role>,
    /// The contract that it was built against.
    pub contract: String,
    /// Where it was written.
    pub file: PathBuf,
    /// Its size.
    pub bytes: usize,
    /// What it imports.
    pub imports: Vec<String>,
}

/// Builds the crate in `folder` and writes the component to `out`, or to `NAME.wasm` in the folder.
///
/// # Errors
/// The crate does not build, is no policy, or the file cannot be written.
pub fn build(folder: &Path, out: Option<&Path>) -> Result<Built, Failure> {
    let packed = pack(folder)?;
    let file = out.map_or_else(|| folder.join(format!("{}.wasm", packed.name)), Path::to_owned);
    let loaded = toolbox::load_bytes(&toolbox::sandbox()?, &packed.name, packed.component)?;
    fs::write(&file, &loaded.bytes).map_err(|cause| {
        Failure::failed(format!("cannot write `{}`", file.display()))
            .because(cause)
            .help("check the folder's permissions and the free space")
    })?;
    Ok(Built {
        policy: loaded.policy.reference().clone(),
        roles: loaded.policy.roles().to_vec(),
        contract: loaded.policy.contract().to_owned(),
        file,
        bytes: loaded.bytes.len(),
        imports: loaded.imports(),
    })
}

/// Runs the packer with a target folder of its own.
pub(super) fn pack(folder: &Path) -> Result<ripcord_pack::Packed, Failure> {
    if !folder.join("Cargo.toml").is_file() {
        return Err(Failure::usage(format!("`{}` holds no crate", folder.display()))
            .help("give the folder of a policy; `ripcord policy new NAME` makes one"));
    }
    let folder = folder
        .canonicalize()
        .map_err(|cause| Failure::usage(format!("`{}` cannot be opened", folder.display())).because(cause))?;
    ripcord_pack::build(&folder, &target_dir(&folder)).map_err(|error| Failure::of(Exit::Failed, error))
}

/// Beside what cargo builds for the same crate, but never the same folder: a cargo may be at work there.
pub(super) fn target_dir(folder: &Path) -> PathBuf {
    let own = std::env::var_os("CARGO_TARGET_DIR").filter(|value| !value.is_empty()).map(PathBuf::from);
    let locked = folder.ancestors().find(|folder| folder.join("Cargo.lock").is_file());
    own.unwrap_or_else(|| locked.unwrap_or(folder).join("target")).join("ripcord-policy")
}

impl Built {
    /// For the command line.
    pub fn page(&self) -> Page {
        let mut table = Table::bare(2);
        let roles: Vec<&str> = self.roles.iter().map(|role| role.as_str()).collect();
        let imports = if self.imports.is_empty() { "none".to_owned() } else { self.imports.join(", ") };
        table.row(["file".into(), self.file.display().into()]);
        table.row(["digest".into(), digest(&self.policy.digest).into()]);
        table.row(["size".into(), kilobytes(self.bytes).into()]);
        table.row(["roles".into(), roles.join(", ").into()]);
        table.row(["contract".into(), self.contract.as_str().into()]);
        table.row(["imports".into(), imports.into()]);
        let name = paint(STRONG, &self.policy);
        Page::done(text!("built {}\n{}\n{}", name, table, self.placed()), self)
    }

    /// The lines of a configuration that let a service use it.
    fn placed(&self) -> Text {
        let name = &self.policy.name;
        let mut text = text!(
            "next: let a service use it, in `ripcord.toml`; the path starts from the folder of that file\n\n[policies.{}]\nfile = \"{}\"\n",
            name,
            self.file.display()
        );
        for role in &self.roles {
            text.push(text!(
                "\n{}\npolicy = \"{}\"\nsettings = {{ }}   # as `ripcord policy inspect {}` shows them\n",
                place(*role),
                name,
                self.file.display()
            ));
        }
        text.push(text!("\nthen `ripcord check`"));
        text
    }
}

/// Where a service places the policies of a role.
const fn place(role: Role) -> &'static str {
    match role {
        Role::Trigger => "[[services.NAME.triggers]]",
        Role::Planner => "[services.NAME.planner]",
        Role::Approval => "[[services.NAME.approvals]]",
        Role::Verification => "[[services.NAME.verifications]]",
    }
}

/// As the configuration writes it.
pub(super) fn digest(digest: &Digest) -> String {
    format!("sha256 {digest}")
}
