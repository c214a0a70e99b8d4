use std::path::PathBuf;

/// Why a policy was not built.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// Rust cannot build for WebAssembly here.
    #[error(
        "the target `wasm32-unknown-unknown` is missing and could not be added ({reason}): run `rustup target add \
         wasm32-unknown-unknown` where there is a network, or set `RIPCORD_WASM_TOOLCHAIN` to the folder of a tool chain \
         that has the sources of `std` (such as Debian's rustc-web with rust-web-src)"
    )]
    NoTarget {
        /// What the attempt said.
        reason: String,
    },
    /// A program of the tool chain did not start.
    #[error("cannot run `{program}`: install Rust with rustup, or put it on the path")]
    Start {
        /// The program.
        program: String,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// The package cannot be read.
    #[error("`{}` is not a package that cargo can read", manifest_dir.display())]
    Manifest {
        /// Folder that should hold it.
        manifest_dir: PathBuf,
        /// Why.
        #[source]
        cause: cargo_metadata::Error,
    },
    /// The package builds no module.
    #[error("`{}` builds no wasm module: add `crate-type = [\"cdylib\", \"rlib\"]` under `[lib]`", manifest_dir.display())]
    NotALibrary {
        /// Folder of the package.
        manifest_dir: PathBuf,
    },
    /// Cargo failed.
    #[error("`{packages}` did not build:\n{diagnostics}")]
    Build {
        /// Names of the packages.
        packages: String,
        /// What cargo wrote.
        diagnostics: String,
    },
    /// The module exports no role.
    #[error("`{name}` is not a policy: {reason}; use `ripcord_sdk::export!` once in the crate")]
    NotAPolicy {
        /// Name of the package.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// A file cannot be read or written.
    #[error("cannot use `{}`: check the folder's permissions and the free space", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
}
