//! Which of a checkpoint's files make a version.

use std::sync::Arc;

use cap_std::fs::Dir;
use ripcord_core::digest::Digest;
use ripcord_core::foreign::Foreign;
use ripcord_core::target::{ArtefactFile, artefact_digest};
use ripcord_ports::registry::Staged;
use ripcord_ports::{ErrorKind, PortError};

use super::describe::Description;
use super::place::{Place, Placed, below, changed_meanwhile};
use super::reader::Found;
use crate::artefact;
use crate::http::on_one_line;

/// Patterns of the files that make the version, each with at most one `*` in each part; none is all.
#[derive(Debug, Clone, Default)]
pub(crate) struct Served(Vec<String>);

impl Served {
    pub(crate) fn new(patterns: Vec<String>) -> Result<Self, PortError> {
        for pattern in &patterns {
            artefact::check_path(&pattern.replace('*', "x")).map_err(|why| {
                PortError::not_applied(ErrorKind::Configuration, format!("`files` has a bad pattern: {why}"))
            })?;
        }
        Ok(Self(patterns))
    }

    /// The patterns, as they are configured.
    pub(super) fn chosen(&self) -> String {
        self.0.join("\n")
    }

    fn takes(&self, path: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|pattern| matches(pattern, path))
    }

    /// The digest of the version, where the checkpoint itself says those of its files.
    pub(super) fn listed_digest(&self, about: &Description) -> Option<Digest> {
        let files: Vec<_> =
            about.files.iter().flatten().filter(|file| self.takes(&file.path)).cloned().collect();
        (!files.is_empty()).then(|| artefact_digest(&files))
    }

    /// The files' digests; their contents are put into `into`, where there is one. Files that the checkpoint lists are held against its list.
    pub(crate) async fn take(
        &self,
        place: &dyn Place,
        found: &Found,
        into: Option<&Arc<Dir>>,
    ) -> Result<Vec<ArtefactFile>, PortError> {
        let what = format!("checkpoint `{}`", shown(&found.path));
        let listed_before: Option<Vec<Placed>> = match found.is_file {
            true => None,
            false => Some(place.files(&found.path).await?),
        };
        let there: Vec<(String, String, Option<u64>)> = match &listed_before {
            None => {
                let name = found.path.rsplit('/').next().unwrap_or(&found.path);
                vec![(name.to_owned(), found.path.clone(), None)]
            }
            Some(files) => {
                let at =
                    |file: &Placed| (file.path.clone(), below(&found.path, &file.path), Some(file.bytes));
                files.iter().map(at).collect()
            }
        };
        let listed = found.about.files.as_deref();
        for missing in listed.unwrap_or_default() {
            if !there.iter().any(|(path, ..)| *path == missing.path) {
                let text = format!(
                    "{what} lists the file `{}` and does not have it: it is half-written",
                    shown(&missing.path)
                );
                return Err(PortError::not_applied(ErrorKind::NotFound, text));
            }
        }
        let is_listed = |path: &str| listed.is_none_or(|files| files.iter().any(|file| file.path == path));
        let mut files = Vec::new();
        for (path, at, wanted) in there.iter().filter(|(path, ..)| is_listed(path) && self.takes(path)) {
            artefact::check_path(path)
                .map_err(|why| PortError::not_applied(ErrorKind::BadAnswer, format!("{what}: {why}")))?;
            let (sha256, bytes) = place.take(at, into.map(|dir| (dir, path.as_str()))).await?;
            // Also where something else has answered in the file's place.
            if wanted.is_some_and(|wanted| wanted != bytes) {
                return Err(changed_meanwhile(&format!("the file `{}` of {what}", shown(path))));
            }
            files.push(ArtefactFile { path: path.clone(), sha256, bytes });
        }
        // Half of its files from before a change and half from after it are no checkpoint that ever was.
        if let Some(before) = listed_before
            && place.files(&found.path).await? != before
        {
            return Err(changed_meanwhile(&what));
        }
        for file in listed.unwrap_or_default() {
            if files.iter().any(|taken| taken.path == file.path && taken != file) {
                let text = format!(
                    "the file `{}` of {what} is not as the checkpoint lists it: it was changed or damaged; choose another checkpoint",
                    shown(&file.path)
                );
                return Err(PortError::not_applied(ErrorKind::WrongDigest, text));
            }
        }
        if files.is_empty() {
            let text = format!(
                "{what} has no file that makes a version: its files are missing, or `files` names others"
            );
            return Err(PortError::not_applied(ErrorKind::NotFound, text));
        }
        files.sort();
        Ok(files)
    }

    /// The same as an artefact, of the digest that is wanted.
    pub(crate) async fn stage(
        &self,
        place: &dyn Place,
        found: &Found,
        into: Arc<Dir>,
        wanted: Option<&Digest>,
    ) -> Result<Staged, PortError> {
        let files = self.take(place, found, Some(&into)).await?;
        let digest = artefact::pinned(&files, wanted, &format!("checkpoint `{}`", shown(&found.path)))?;
        Ok(Staged { dir: into, files, digest })
    }
}

/// Text of others, on one line.
pub(crate) fn shown(text: &str) -> String {
    Foreign::new(&on_one_line(text)).at_most(400).to_string()
}

fn matches(pattern: &str, path: &str) -> bool {
    let (mut patterns, mut parts) = (pattern.split('/'), path.split('/'));
    loop {
        match (patterns.next(), parts.next()) {
            // A folder's name stands for all that is in it.
            (None, _) => return true,
            (Some(_), None) => return false,
            (Some(pattern), Some(part)) => {
                let fits = match pattern.split_once('*') {
                    None => pattern == part,
                    Some((start, end)) => {
                        part.len() >= start.len() + end.len()
                            && part.starts_with(start)
                            && part.ends_with(end)
                    }
                };
                if !fits {
                    return false;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_name_files_and_folders() {
        let served =
            Served::new(["model.json", "weights/*.bin", "tokenizer"].map(str::to_owned).to_vec()).unwrap();
        for path in ["model.json", "weights/0.bin", "tokenizer/a/b"] {
            assert!(served.takes(path), "{path}");
        }
        for path in ["optimizer.json", "weights/0.txt", "weights", "model.json.bak", "a/model.json"] {
            assert!(!served.takes(path), "{path}");
        }
        assert!(Served::default().takes("anything"));
        assert!(Served::new(vec!["../x".into()]).is_err());
    }

    /// A place whose checkpoint has other files each time that it is listed.
    #[derive(Debug)]
    struct Written(std::sync::Mutex<Vec<Vec<Placed>>>);

    #[async_trait::async_trait]
    impl Place for Written {
        fn shown(&self) -> String {
            "memory".into()
        }

        async fn entries(&self, _: &str, _: usize) -> Result<Vec<super::super::place::Entry>, PortError> {
            Ok(Vec::new())
        }

        async fn read(&self, _: &str, _: u64) -> Result<Vec<u8>, PortError> {
            Ok(Vec::new())
        }

        async fn files(&self, _: &str) -> Result<Vec<Placed>, PortError> {
            let mut lists = self.0.lock().unwrap();
            Ok(if lists.len() > 1 { lists.remove(0) } else { lists[0].clone() })
        }

        async fn take(&self, _: &str, _: Option<(&Arc<Dir>, &str)>) -> Result<(Digest, u64), PortError> {
            Ok((Digest::of("weights"), 7))
        }
    }

    #[tokio::test]
    async fn a_checkpoint_that_is_written_to_while_it_is_read_is_none() {
        let found = Found {
            run: "online".into(),
            path: "online/checkpoint-1".into(),
            is_file: false,
            about: super::super::describe::plain(br#"{"step": 1, "time": 5}"#).unwrap(),
        };
        let file =
            |path: &str, bytes, stamp: &str| Placed { path: path.into(), bytes, stamp: Some(stamp.into()) };
        let take = async |lists: Vec<Vec<Placed>>| {
            Served::default().take(&Written(std::sync::Mutex::new(lists)), &found, None).await
        };
        let whole = vec![file("model", 7, "a")];
        assert_eq!(take(vec![whole.clone()]).await.unwrap().len(), 1);
        for lists in [
            vec![whole.clone(), vec![file("model", 7, "b")]],
            vec![whole.clone(), vec![file("model", 7, "a"), file("more", 1, "a")]],
            vec![whole.clone(), Vec::new()],
            // Its list is the same, and what came is not what it lists.
            vec![vec![file("model", 9, "a")]],
        ] {
            let error = take(lists.clone()).await.unwrap_err();
            assert!(error.to_string().contains("was changed while it was read"), "{lists:?}: {error}");
            assert_eq!(error.retry, ripcord_ports::Retry::Later);
        }
    }
}
