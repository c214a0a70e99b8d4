//! A request log of JSON lines: `{"at": "2026-11-22T18:53:29.000Z", "id": "…", "model": "fraud", "version": "1.3.2", "inputs": […], "outputs": […]}`, where
//! `inputs` and `outputs` are tensors of the Open Inference Protocol.
//!
//! The newest lines are at the end of the file, so it is read backwards and with bounded memory, however long it is.

mod backwards;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use ripcord_core::fact::{Exchange, Payload};
use ripcord_core::signal::Label;
use ripcord_core::target::Window;
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_ports::requests::LogPiece;
use ripcord_ports::{ErrorKind, PortError, RequestLog};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::adapter::{Adapter, SecretKey};
use crate::file_work::FileWork;
use crate::open_inference::{Output, payload};
use crate::{artefact, folder, text_time};

use backwards::LinesBackwards;

/// Lines are written in the order in which requests end, so they may be out of order by as much as a request may take.
const DISORDER: Millis = Millis::minutes(1);

/// Where the log is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "Written")]
pub struct JsonLinesLogConfig {
    /// The folder of the log. Nothing outside it is read.
    pub folder: PathBuf,
    /// The file to which the service appends.
    pub file: String,
    /// Names of rotated files, newest first, such as `requests.jsonl.1`. One that is not there is passed over. Default: none.
    pub rotated: Vec<String>,
    /// The output that counts as the answer. Default: all, where they are of one kind.
    pub output: Option<String>,
}

/// As people write it: one path says folder and file.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Written {
    folder: Option<PathBuf>,
    file: PathBuf,
    #[serde(default)]
    rotated: Vec<String>,
    output: Option<String>,
}

impl From<Written> for JsonLinesLogConfig {
    fn from(written: Written) -> Self {
        let Written { folder, file, rotated, output } = written;
        let (folder, file) = match folder {
            Some(folder) => (folder, file.display().to_string()),
            None => {
                let name = file.file_name().map(|name| name.to_string_lossy().into_owned());
                (file.parent().map(PathBuf::from).unwrap_or_default(), name.unwrap_or_default())
            }
        };
        Self { folder, file, rotated, output }
    }
}

/// For the catalogue.
pub const ADAPTER: Adapter<JsonLinesLogConfig, dyn RequestLog> = Adapter {
    kind: "jsonl",
    system: "a file of requests and answers",
    summary: "a file of JSON lines to which the service appends what it was asked and answered",
    page: "request_log_jsonl/README.md",
    secret: SecretKey::None,
    example: "file = \"requests.jsonl\"",
    start: |config, start| start.path(&mut config.folder),
    says: |_| (),
    make: |config, _| Ok(Arc::new(JsonLinesLog::new(config)?)),
};

/// A log of JSON lines.
#[derive(Debug, Clone)]
pub struct JsonLinesLog {
    config: JsonLinesLogConfig,
    files: FileWork,
}

#[derive(Deserialize)]
struct Stamp<'a> {
    #[serde(borrow)]
    at: std::borrow::Cow<'a, str>,
}

#[derive(Deserialize)]
struct Line<'a> {
    at: String,
    #[serde(default)]
    id: String,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    version: Option<String>,
    #[serde(borrow)]
    inputs: &'a RawValue,
    outputs: Vec<Output>,
}

impl JsonLinesLog {
    /// Checks the configuration. The file need not be there yet.
    pub fn new(config: JsonLinesLogConfig) -> Result<Self, PortError> {
        for name in [&config.file].into_iter().chain(&config.rotated) {
            artefact::check_path(name).map_err(|_| {
                PortError::not_applied(
                    ErrorKind::Configuration,
                    format!("`{name}` is not the name of a file in the folder of the request log"),
                )
            })?;
        }
        let files = FileWork::new(format!("the request log's folder `{}`", config.folder.display()));
        Ok(Self { config, files })
    }

    fn read(&self, window: Window, bytes_max: u64) -> Result<LogPiece, PortError> {
        let dir = folder::open(&self.config.folder)?;
        let mut kept: Vec<Vec<u8>> = Vec::new();
        let (mut bytes, mut truncated) = (0_u64, false);
        let mut found_any = false;
        'files: for name in [&self.config.file].into_iter().chain(&self.config.rotated) {
            let failed = |error| folder::local(error, format_args!("cannot read the request log `{name}`"));
            let file = match folder::open_file(&dir, name) {
                Ok(file) => file,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(failed(error)),
            };
            found_any = true;
            let mut lines = LinesBackwards::new(file, bytes_max).map_err(failed)?;
            while let Some(line) = lines.next().map_err(failed)? {
                // A line that does not read, such as one that is just being written, has no time and is in no window.
                let Some(at) = line.as_deref().and_then(stamp) else { continue };
                if at + DISORDER < window.start {
                    break 'files;
                }
                if !(window.start..=window.end).contains(&at) {
                    continue;
                }
                let line = line.unwrap_or_default();
                let size = line.len() as u64 + 1;
                if bytes + size > bytes_max {
                    truncated = true;
                    break 'files;
                }
                bytes += size;
                kept.push(line);
            }
            truncated |= lines.skipped_any();
        }
        if !found_any {
            return Err(PortError::not_applied(
                ErrorKind::NotFound,
                format!(
                    "the request log `{}` is not in the folder `{}`: check its path",
                    self.config.file,
                    self.config.folder.display()
                ),
            ));
        }
        let mut piece = LogPiece { bytes: Vec::new(), lines: kept.len() as u64, truncated };
        for line in kept.iter().rev() {
            piece.bytes.extend_from_slice(line);
            piece.bytes.push(b'\n');
        }
        Ok(piece)
    }
}

fn stamp(line: &[u8]) -> Option<UnixMillis> {
    let stamp: Stamp<'_> = serde_json::from_slice(line).ok()?;
    text_time::parse(&stamp.at).ok()
}

#[async_trait]
impl RequestLog for JsonLinesLog {
    fn name(&self) -> &str {
        "request_log_jsonl"
    }

    async fn preserve(&self, window: Window, bytes_max: u64) -> Result<LogPiece, PortError> {
        let log = self.clone();
        self.files.run(move |_| log.read(window, bytes_max)).await
    }

    fn exchanges(&self, piece: &[u8], limit: u32) -> Vec<Exchange> {
        let lines = piece.split(|byte| *byte == b'\n').rev();
        lines.filter_map(|line| self.exchange(line)).take(limit as usize).collect()
    }
}

impl JsonLinesLog {
    /// The line as an exchange; none if it does not read.
    fn exchange(&self, line: &[u8]) -> Option<Exchange> {
        let line: Line<'_> = serde_json::from_slice(line).ok()?;
        let label = |name: &str, value: Option<String>| value.map(|value| Label::new(name, value));
        Some(Exchange {
            at: text_time::parse(&line.at).ok()?,
            id: line.id,
            input: Payload::Json(line.inputs.get().to_owned()),
            output: payload(&line.outputs, self.config.output.as_deref()).ok()?,
            labels: [label("model", line.model), label("version", line.version)]
                .into_iter()
                .flatten()
                .collect(),
        })
    }
}
