//! What keeps a swap from being made, or the next one: told before people vote, and not after.

use std::io;

use cap_std::fs::Dir;

use super::{Paths, Swap};
use crate::folder;

/// So many entries of a model's folder are looked at for mounts.
const INSIDE_MAX: usize = 1_000;

impl Swap<'_> {
    /// What keeps any swap from being made.
    pub(super) fn obstacle(&self) -> Option<String> {
        let Paths { parent, name, .. } = self.paths;
        let place = parent.join(name);
        if is_mount_point(&self.dir, name) {
            return Some(format!(
                "the model's folder `{}` is a mount point, which cannot be replaced: mount `{}` instead, so that the folder lies in it",
                place.display(),
                parent.display()
            ));
        }
        if self.is_link_away() {
            return Some(format!(
                "the model's folder `{}` is a link to no folder beside it, and links are not followed out of the folder that they lie in: put the model's folder itself there, or write the path that the link leads to as `model-directory`",
                place.display()
            ));
        }
        if let Some(inside) = self.mount_inside() {
            return Some(format!(
                "`{inside}` in the model's folder `{}` is a mount point: a swap carries it away with the old folder, which then cannot be removed; mount it beside the folder, or `{}` as a whole",
                place.display(),
                parent.display()
            ));
        }
        let probe = format!(".{name}.ripcord-probe");
        let tried = self.dir.create_dir(&probe).and_then(|()| self.dir.remove_dir(&probe));
        match tried {
            Ok(()) => None,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => None,
            Err(error) => Some(
                folder::local(
                    error,
                    format_args!("cannot write beside the model's folder `{}`", place.display()),
                )
                .to_string(),
            ),
        }
    }

    /// Links are followed within the folder around it and no further.
    fn is_link_away(&self) -> bool {
        let Paths { name, .. } = self.paths;
        let is_link = self.dir.symlink_metadata(name).is_ok_and(|found| found.is_symlink());
        is_link && !self.dir.metadata(name).is_ok_and(|behind| behind.is_dir())
    }

    /// What directly in the folder is mounted there, if anything is.
    fn mount_inside(&self) -> Option<String> {
        let folder = self.dir.open_dir(&self.paths.name).ok()?;
        let mut names = folder
            .entries()
            .ok()?
            .take(INSIDE_MAX)
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        names.find(|name| is_mount_point(&folder, name))
    }
}

/// Also where the same file system is mounted there once more.
fn is_mount_point(dir: &Dir, name: &str) -> bool {
    let device =
        |path: &str| dir.symlink_metadata(path).ok().map(|found| cap_std::fs::MetadataExt::dev(&found));
    let other_device = device(name).zip(device(".")).is_some_and(|(folder, around)| folder != around);
    other_device || folder::is_mount_root(dir, name)
}
