use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use cargo_metadata::{CrateType, Message, Metadata, MetadataCommand, Package};

use crate::children::Group;
use crate::toolchain::{TARGET, Toolchain};
use crate::{PackError, PackOptions, Resolution};

/// The same everywhere: these override whatever profile the workspace of the policy has. Speed before size: a decision takes two thirds of
/// the time that it takes with `s`, for a component that is a sixth larger.
const PROFILE: [&str; 8] = [
    "profile.release.opt-level=3",
    "profile.release.lto='fat'",
    "profile.release.codegen-units=1",
    "profile.release.panic='abort'",
    "profile.release.strip=true",
    "profile.release.debug=false",
    "profile.release.incremental=false",
    "profile.release.overflow-checks=false",
];

/// Bytes of stack for a policy. Little, because every page of it is copied for every call.
const STACK_BYTES: u32 = 32 * 1024;

/// A core module that cargo built.
#[derive(Debug)]
pub(crate) struct Module {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) path: PathBuf,
}

pub(crate) fn build(toolchain: &Toolchain, options: &PackOptions) -> Result<Vec<Module>, PackError> {
    let metadata = metadata(toolchain, options)?;
    let packages = options
        .manifest_dirs
        .iter()
        .map(|folder| policy(&metadata, folder))
        .collect::<Result<Vec<_>, _>>()?;
    let paths = run(toolchain, options, &metadata, &packages)?;
    let module = |(package, folder): (&&Package, &PathBuf)| {
        let built = paths.iter().find(|(id, _)| *id == package.id.repr);
        let (_, path) = built.ok_or_else(|| PackError::NotALibrary { manifest_dir: folder.clone() })?;
        Ok(Module {
            name: package.name.to_string(),
            version: package.version.to_string(),
            path: path.clone(),
        })
    };
    packages.iter().zip(&options.manifest_dirs).map(module).collect()
}

fn metadata(toolchain: &Toolchain, options: &PackOptions) -> Result<Metadata, PackError> {
    let folder = &options.manifest_dirs[0];
    let manifest = |cause| PackError::Manifest { manifest_dir: folder.clone(), cause };
    let mut command = toolchain.cargo(folder);
    command.args(["metadata", "--format-version=1", "--filter-platform", TARGET]).args(resolution(options));
    let output = Group::output(&mut command)
        .map_err(|cause| PackError::Start { program: "cargo".to_owned(), cause })?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(manifest(cargo_metadata::Error::CargoMetadata { stderr }));
    }
    MetadataCommand::parse(String::from_utf8_lossy(&output.stdout)).map_err(manifest)
}

/// The package of a folder, if it builds a module.
fn policy<'m>(metadata: &'m Metadata, folder: &Path) -> Result<&'m Package, PackError> {
    let manifest = folder.join("Cargo.toml");
    let same = |package: &&Package| {
        let theirs = package.manifest_path.as_std_path();
        theirs == manifest
            || manifest.canonicalize().is_ok_and(|ours| theirs.canonicalize().is_ok_and(|it| it == ours))
    };
    let builds_module = |package: &&Package| {
        package.targets.iter().any(|target| target.crate_types.contains(&CrateType::CDyLib))
    };
    let found =
        metadata.packages.iter().filter(|package| package.source.is_none()).find(same).filter(builds_module);
    found.ok_or_else(|| PackError::NotALibrary { manifest_dir: folder.to_owned() })
}

/// Runs cargo; answers the package's id and the module's path for every module.
fn run(
    toolchain: &Toolchain,
    options: &PackOptions,
    metadata: &Metadata,
    packages: &[&Package],
) -> Result<Vec<(String, PathBuf)>, PackError> {
    let start = |cause| PackError::Start { program: "cargo".to_owned(), cause };
    let mut command = toolchain.cargo(&options.manifest_dirs[0]);
    command.args([
        "build",
        "--release",
        "--lib",
        "--target",
        TARGET,
        "--message-format=json-render-diagnostics",
    ]);
    command.args(toolchain.build_arguments()).args(resolution(options));
    command.args(PROFILE.iter().flat_map(|setting| ["--config", setting]));
    command.args(packages.iter().flat_map(|package| ["--package", package.name.as_str()]));
    command.arg("--target-dir").arg(&options.target_dir);
    command.env("CARGO_ENCODED_RUSTFLAGS", flags(toolchain, metadata).join("\u{1f}"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut group = Group::spawn(&mut command).map_err(start)?;

    // Both pipes are drained at once: cargo would wait for a reader of the one that is full.
    let stderr = group.child.stderr.take();
    let diagnostics = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = stderr.map(|mut pipe| pipe.read_to_end(&mut bytes));
        String::from_utf8_lossy(&bytes).into_owned()
    });
    let mut modules = Vec::new();
    for message in
        group.child.stdout.take().into_iter().flat_map(|pipe| Message::parse_stream(BufReader::new(pipe)))
    {
        if let Ok(Message::CompilerArtifact(artifact)) = message {
            let wasm = artifact.filenames.iter().find(|path| path.extension() == Some("wasm"));
            modules.extend(
                wasm.map(|path| (artifact.package_id.repr.clone(), path.clone().into_std_path_buf())),
            );
        }
    }
    let status = group.wait().map_err(start)?;
    let diagnostics = diagnostics.join().unwrap_or_default();
    if status.success() {
        return Ok(modules);
    }
    let names: Vec<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    Err(PackError::Build { packages: names.join(", "), diagnostics })
}

fn resolution(options: &PackOptions) -> &'static [&'static str] {
    match options.resolution {
        Resolution::Free => &[],
        Resolution::Locked => &["--locked"],
        Resolution::Frozen => &["--frozen"],
    }
}

/// Flags for the policy and all its dependencies. The paths of this machine are replaced, because panic messages carry
/// them into the component.
fn flags(toolchain: &Toolchain, metadata: &Metadata) -> Vec<String> {
    let root = metadata.workspace_root.as_std_path();
    let mut flags = vec![format!("-Clink-arg=-zstack-size={STACK_BYTES}")];
    let mut replace =
        |path: &Path, name: &str| flags.push(format!("--remap-path-prefix={}={name}", path.display()));
    replace(&toolchain.sysroot.join("lib/rustlib/src/rust"), "/rust");
    for package in &metadata.packages {
        let folder = package.manifest_path.parent().map_or(root, |folder| folder.as_std_path());
        match &package.source {
            Some(_) => replace(folder, &format!("/{}-{}", package.name, package.version)),
            None if !folder.starts_with(root) => replace(folder, &format!("/{}", package.name)),
            None => {}
        }
    }
    replace(root, ".");
    flags
}
