//! The outputs of the job, as they lie in their folder.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::path::PathBuf;

use cap_std::fs::Dir;
use ripcord_core::name::VersionName;
use ripcord_core::time::UnixMillis;
use ripcord_ports::PortError;
use ripcord_ports::deployer::{Output, Outputs};

use super::stamp::{Says, Stamp};
use crate::checkpoints::shown;
use crate::file_work::GivenUp;
use crate::folder;

/// So many outputs slow each look down: whoever checks is told.
const CROWD: usize = 40_000;
/// Outputs whose stamps one list reads; with more, the newest.
const LOOKED_AT_MAX: usize = 5_000;
/// Outputs that are told one by one.
const TOLD_MAX: usize = 1_000;
/// An output without a stamp is being made; so many of them are not.
const UNSTAMPED_MAX: usize = 1;

#[derive(Debug, Clone)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
    pub(super) pattern: String,
    pub(super) stamp: Stamp,
}

/// What an output may be, by its name. The newest is the greatest.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Found {
    at: UnixMillis,
    name: String,
}

/// What the folder holds.
struct Listing {
    /// The newest ones, newest first.
    found: Vec<Found>,
    /// Links with the name of an output, which lead out of the folder or nowhere.
    links: usize,
    /// Outputs that are older than those.
    not_looked_at: usize,
}

/// What lies in the folder with the name of an output.
enum Entry {
    /// A file or a folder, with the time of its last change.
    Output(UnixMillis),
    /// A link that leads out of the folder or nowhere.
    Link,
    /// A pipe or the like.
    Other,
}

/// What the newest outputs show.
pub(super) enum Newest {
    Made(Output),
    /// Why nothing can be told. A sentence without its full stop.
    Unclear(String),
}

impl Folder {
    fn listed(&self, dir: &Dir, given_up: &GivenUp) -> Result<Listing, PortError> {
        let (mut links, mut not_looked_at) = (0, 0);
        let mut newest = BinaryHeap::new();
        self.each_named(dir, given_up, |name| {
            match self.entry(dir, &name) {
                Ok(Entry::Output(at)) => newest.push(Reverse(Found { at, name })),
                Ok(Entry::Link) => links += 1,
                Ok(Entry::Other) => {}
                // It was moved away since it was listed.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            if newest.len() > LOOKED_AT_MAX {
                newest.pop();
                not_looked_at += 1;
            }
            Ok(())
        })?;
        let found = newest.into_sorted_vec().into_iter().map(|Reverse(found)| found).collect();
        Ok(Listing { found, links, not_looked_at })
    }

    /// Does something with each name that may be an output's, for as long as anyone waits for it.
    fn each_named(
        &self,
        dir: &Dir,
        given_up: &GivenUp,
        mut does: impl FnMut(String) -> io::Result<()>,
    ) -> Result<(), PortError> {
        let failed = |error| folder::local(error, format_args!("cannot list `{}`", self.path.display()));
        for entry in dir.entries().map_err(failed)? {
            self.is_waited_for(given_up)?;
            // A name that is no text is the name of no output.
            let Ok(name) = entry.map_err(failed)?.file_name().into_string() else { continue };
            if !name.starts_with(['.', '_']) && matches(&self.pattern, &name) && self.stamp.may_be_of(&name) {
                does(name).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// What is to be said of very many outputs.
    pub(super) fn crowd(&self, given_up: &GivenUp) -> Result<Option<String>, PortError> {
        let mut number = 0_usize;
        self.each_named(&self.open()?, given_up, |_| {
            number += 1;
            Ok(())
        })?;
        Ok((number >= CROWD).then(|| {
            format!(
                "`{}` holds {number} outputs, and to know what is live the time of each is looked at: move old ones away",
                self.path.display()
            )
        }))
    }

    /// What an entry with the name of an output is, and when it was changed last.
    fn entry(&self, dir: &Dir, name: &str) -> io::Result<Entry> {
        let about = match dir.metadata(name) {
            Ok(about) if about.is_file() || about.is_dir() => about,
            Ok(_) => return Ok(Entry::Other),
            Err(error) => {
                let is_link = dir.symlink_metadata(name).is_ok_and(|about| about.is_symlink());
                return if is_link { Ok(Entry::Link) } else { Err(error) };
            }
        };
        let last = self.stamp.file_of(name);
        // Where its last file is not there yet, its own time is that of its beginning.
        let about = if last == name { about } else { dir.metadata(last).unwrap_or(about) };
        let since_1970 =
            about.modified()?.into_std().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Ok(Entry::Output(UnixMillis(u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX))))
    }

    fn open(&self) -> Result<Dir, PortError> {
        folder::open(&self.path)
    }

    /// Looks go on for as long as anyone waits for them.
    fn is_waited_for(&self, given_up: &GivenUp) -> Result<(), PortError> {
        let failed = |error| {
            folder::local(error, format_args!("cannot read the outputs in `{}`", self.path.display()))
        };
        given_up.check().map_err(failed)
    }

    pub(super) fn newest(&self, given_up: &GivenUp) -> Result<Newest, PortError> {
        let dir = self.open()?;
        let listing = self.listed(&dir, given_up)?;
        let (mut unstamped, mut last) = (0, None);
        for found in listing.found {
            self.is_waited_for(given_up)?;
            let name = shown(&found.name);
            let example = match self.stamp.read(&dir, &found.name) {
                Some(Says::Made(version)) => {
                    return Ok(Newest::Made(Output { name: found.name, at: found.at, version }));
                }
                Some(Says::Nothing(why)) => {
                    return Ok(Newest::Unclear(format!("the newest output `{name}` {why}")));
                }
                Some(Says::NotYet) => format!("`{name}` among them"),
                Some(Says::Unreadable(why)) => format!("`{name}` among them ({why})"),
                None => continue,
            };
            unstamped += 1;
            let example = last.get_or_insert(example);
            if unstamped > UNSTAMPED_MAX {
                let text = format!(
                    "the newest outputs have no stamp, {example}, so nothing says by which version they were made"
                );
                return Ok(Newest::Unclear(text));
            }
        }
        let path = self.path.display();
        let links = match listing.links {
            0 => String::new(),
            number => format!("; links that lead out of it were not followed, {number} of them"),
        };
        let old = match listing.not_looked_at {
            0 => String::new(),
            number => format!("; {number} older ones were not looked at"),
        };
        Ok(Newest::Unclear(format!(
            "there is no output with a stamp in `{path}` yet: its first one shows{links}{old}"
        )))
    }

    /// What the versions have made, oldest first, and what came then.
    pub(super) fn made_by(&self, versions: &[VersionName], given_up: &GivenUp) -> Result<Outputs, PortError> {
        let dir = self.open()?;
        let Listing { found, links, not_looked_at } = self.listed(&dir, given_up)?;
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let mut outputs =
            Outputs { unreadable: count(links), not_looked_at: count(not_looked_at), ..Outputs::default() };
        for Found { at, name } in found.into_iter().rev() {
            self.is_waited_for(given_up)?;
            match self.stamp.read(&dir, &name) {
                Some(Says::Made(version)) if versions.contains(&version) => {
                    let name = shown(&name);
                    outputs.first_at = outputs.first_at.or(Some(at));
                    (outputs.last_at, outputs.next_at) = (Some(at), None);
                    outputs.number += 1;
                    if outputs.made.len() < TOLD_MAX {
                        outputs.made.push(Output { name, at, version });
                    }
                }
                Some(Says::Made(_)) => outputs.next_at = outputs.next_at.or(outputs.last_at.and(Some(at))),
                Some(Says::NotYet | Says::Unreadable(_) | Says::Nothing(_)) => outputs.unreadable += 1,
                None => {}
            }
        }
        Ok(outputs)
    }
}

/// A name with at most one `*`.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((start, end)) => {
            name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deployer_batch::StampConfig;

    #[test]
    fn no_stamp_is_read_that_nobody_waits_for() {
        let outputs = tempfile::tempdir().unwrap();
        let stamp = StampConfig { name: None, field: Some("/version".into()), sidecar: None };
        let folder = Folder {
            path: outputs.path().to_owned(),
            pattern: "*".into(),
            stamp: Stamp::new(stamp).unwrap(),
        };
        std::fs::write(outputs.path().join("scores.json"), r#"{"version": "1.0"}"#).unwrap();
        let version = VersionName::new("1.0").unwrap();
        let (waited_for, given_up) = (GivenUp::default(), GivenUp::already());
        let made = folder.made_by(std::slice::from_ref(&version), &waited_for).unwrap();
        assert_eq!((made.number, made.unreadable), (1, 0));
        assert!(matches!(folder.newest(&waited_for).unwrap(), Newest::Made(made) if made.version == version));
        let why = |error: Option<PortError>| error.unwrap().to_string();
        for why in [why(folder.made_by(&[version], &given_up).err()), why(folder.newest(&given_up).err())] {
            assert!(why.contains("it was given up"), "{why}");
        }
    }
}
