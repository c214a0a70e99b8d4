//! A candidate beside what is live: a model of its own, under another name and in a folder of its own.
//!
//! A second version under the name of the live model would not do: a server chooses by itself which version of a model answers by default,
//! MLServer the one with the highest number, and a load of the live model would touch what is live.

use std::path::Path;

use ripcord_core::target::VersionTarget;
use ripcord_core::time::Millis;
use ripcord_ports::deployer::Beside;
use ripcord_ports::{Applied, ErrorKind, PortError};
use serde_json::Value;

use super::folder_swap::{ModelFolder, Whose};
use super::written::{Content, SETTINGS, Settings, is_settings};
use crate::open_inference::{Ask, Connection, InferAnswer, ModelServer};
use crate::{artefact, folder};

/// The trial that looking at a new candidate belongs to.
const PREFLIGHT: &str = "preflight";

const SETTINGS_BYTES_MAX: u64 = 1 << 20;

/// The place of candidates.
#[derive(Debug)]
pub(super) struct Preflight {
    server: ModelServer,
    folder: ModelFolder,
}

impl Preflight {
    /// Candidates are served as `model`, from a folder of that name beside the live model's folder.
    pub(super) fn new(model: &str, live: &ModelServer, live_folder: &Path) -> Result<Self, PortError> {
        let wrong = |why: &str| {
            let text = format!("`preflight-model` is `{}`: {why}", model.escape_debug());
            PortError::not_applied(ErrorKind::Configuration, text)
        };
        if model.contains('/') || model.starts_with('.') || artefact::check_path(model).is_err() {
            return Err(wrong("write the name of a folder that servers do not pass over"));
        }
        let parent = live_folder.parent().unwrap_or(Path::new(""));
        if model == live.model || parent.join(model) == live_folder {
            return Err(wrong("that is the live model: choose another name"));
        }
        Ok(Self { server: live.for_model(model), folder: ModelFolder::new(&parent.join(model))? })
    }

    pub(super) fn model(&self) -> &str {
        &self.server.model
    }

    /// Places and loads the candidate in the place of any other, and has it answer where there is an input for that. Without success nothing of it is left.
    pub(super) async fn hold(
        &self,
        content: Content,
        version: VersionTarget,
        probe_input: Option<&Value>,
        deadline: Millis,
    ) -> Result<Beside, PortError> {
        let checked = content.clone();
        let model = self.model().to_owned();
        self.folder.check(move || names_only(&checked, &model)).await?;
        if self.folder.whose().await? == Whose::SomeoneElses {
            return Err(PortError::not_applied(
                ErrorKind::Conflict,
                format!(
                    "the folder of candidates, `{}`, holds something that no preflight put there: move it away, or choose another `preflight-model`",
                    self.model()
                ),
            ));
        }
        match self.load(content, &version, probe_input, deadline).await {
            Ok(()) => Ok(Beside { version, address: self.model().to_owned() }),
            Err(mut error) => {
                if let Err(left) = self.clear().await {
                    let text = format!("{error}; and the candidate could not be taken away: {left}");
                    return Err(PortError::unknown(error.kind, text).retry(error.retry));
                }
                error.applied = Applied::No;
                Err(error)
            }
        }
    }

    async fn load(
        &self,
        content: Content,
        version: &VersionTarget,
        probe_input: Option<&Value>,
        deadline: Millis,
    ) -> Result<(), PortError> {
        self.folder.place(content).await?;
        self.server.load(deadline).await?.successful()?;
        match probe_input {
            Some(inputs) => self.answers(version, inputs).await?,
            None if self.server.has().await? => {}
            None => {
                let text = format!("the server says that `{}` is loaded, and does not have it", self.model());
                return Err(PortError::not_applied(ErrorKind::Failed, text));
            }
        }
        self.folder.settle().await
    }

    async fn answers(&self, version: &VersionTarget, inputs: &Value) -> Result<(), PortError> {
        let ask = Ask { id: "ripcord-preflight", inputs, trial: PREFLIGHT, connection: Connection::Shared };
        let answer: InferAnswer = self.server.infer(&ask).await?.successful()?.json()?;
        match answer.version()? {
            Some(named) if named == version.version => Ok(()),
            named => Err(PortError::not_applied(
                ErrorKind::BadAnswer,
                format!(
                    "`{}` answers as the version `{}` and not as `{}`, which was placed: have its settings name the version, with `write` if need be",
                    self.model(),
                    named.map_or_else(String::new, |named| named.to_string()),
                    version.version
                ),
            )),
        }
    }

    /// Takes the candidate away: first the folder, so that a server which starts now does not load it.
    pub(super) async fn clear(&self) -> Result<(), PortError> {
        if self.folder.take_away().await? {
            self.server.unload().await?;
            self.folder.forget().await?;
        }
        Ok(())
    }
}

/// Whether nothing in the folder would have the server take it for another model than `model`, the live one above all.
fn names_only(content: &Content, model: &str) -> Result<(), PortError> {
    let version = &content.version;
    let own = content.staged.files.iter().map(|file| &file.path).filter(|path| is_settings(path));
    let own = own
        .map(|path| Ok::<_, PortError>((path, folder::read(&content.staged.dir, path, SETTINGS_BYTES_MAX)?)));
    let ours = content.written.iter().filter(|written| is_settings(&written.path));
    let ours = ours.map(|written| Ok((&written.path, written.text.clone().into_bytes())));
    for found in own.chain(ours) {
        let (path, bytes) = found?;
        let cannot = |why: String| {
            PortError::not_applied(
                ErrorKind::Unsupported,
                format!(
                    "version `{version}` cannot be held beside what is live: its `{path}` {why}; have it written by `write`, with `{{model}}` as the name"
                ),
            )
        };
        let settings: Settings =
            serde_json::from_slice(&bytes).map_err(|error| cannot(format!("does not read ({error})")))?;
        // Without a name the folder's counts.
        if settings.name != model && !(settings.name.is_empty() && path == SETTINGS) {
            return Err(cannot(format!("names the model `{}`", settings.name)));
        }
    }
    Ok(())
}
