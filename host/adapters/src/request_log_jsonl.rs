//! A request log of JSON lines: `{"at": "2026-11-22T18:53:29.000Z", "id": "…", "model": "fraud", "version": "1.3.2", "inputs": […], "outputs": […]}`, where
//! `inputs` and `outputs` are tensors of the Open Inference Protocol.
//!
//! The newest lines are at the end of the file, so it is read backwards and with bounded memory, however long it is.

mod backwards;

use std::collections::HashSet;
use std::io::ErrorKind as IoErrorKind;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use cap_std::fs::{Dir, MetadataExt as _};
use ripcord_core::fact::{Exchange, Payload};
use ripcord_core::signal::Label;
use ripcord_core::target::Window;
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_ports::requests::LogPiece;
use ripcord_ports::{ErrorKind, PortError, RequestLog, Retry};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::adapter::{Adapter, SecretKey};
use crate::file_work::FileWork;
use crate::open_inference::{Output, payload};
use crate::{artefact, folder, text_time};

use backwards::LinesBackwards;

/// Where services usually append to, below the folder of a configuration.
pub const USUAL_FILES: [&str; 2] = ["requests.jsonl", "logs/requests.jsonl"];

/// Lines are written in the order in which requests end, so they may be out of order by as much as a request may take.
const DISORDER: Millis = Millis::minutes(1);
/// So many lines in a row that are older than the window are the end of it. Fewer may be of a clock that was wrong.
const OLDER_IN_A_ROW: u32 = 64;
/// So often a log is read that is turned over meanwhile.
const READS_MAX: u32 = 5;

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
        for _ in 0..READS_MAX {
            if let Some(piece) = self.read_once(&dir, window, bytes_max)? {
                return Ok(piece);
            }
        }
        Err(PortError::not_applied(
            ErrorKind::Failed,
            format!(
                "the request log `{}` was turned over each time that it was read: read it again",
                self.config.file
            ),
        )
        .retry(Retry::Later))
    }

    /// The files, newest first, all open: what becomes of their names afterwards is nothing to them. None if they were turned over meanwhile, so
    /// that one may have been passed over.
    fn open_all(&self, dir: &Dir, bytes_max: u64) -> Result<Option<Vec<Opened<'_>>>, PortError> {
        let open = |name: &String| match folder::open_file(dir, name) {
            Ok(file) => {
                let failed = |error| failed(name, error);
                let of = file.metadata().map_err(failed)?;
                let lines = match LinesBackwards::new(file, bytes_max) {
                    // It was emptied just now.
                    Err(error) if error.kind() == IoErrorKind::UnexpectedEof => None,
                    lines => Some(lines.map_err(failed)?),
                };
                Ok(Some((lines, (of.dev(), of.ino()))))
            }
            Err(error) if error.kind() == IoErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(name, error)),
        };
        let mut files = Vec::new();
        let mut newest = None;
        for name in [&self.config.file].into_iter().chain(&self.config.rotated) {
            let Some((lines, known)) = open(name)? else { continue };
            let Some(lines) = lines else { return Ok(None) };
            files.push((name, lines));
            if *name == self.config.file {
                newest = Some(known);
            }
        }
        let stands = open(&self.config.file)?.map(|(_, now)| now) == newest;
        Ok(stands.then_some(files))
    }

    /// None if the log was turned over while it was read: what is left is not all that was there.
    fn read_once(&self, dir: &Dir, window: Window, bytes_max: u64) -> Result<Option<LogPiece>, PortError> {
        let mut kept = Kept::default();
        let mut truncated = false;
        let mut older_in_a_row = 0;
        let Some(files) = self.open_all(dir, bytes_max)? else { return Ok(None) };
        if files.is_empty() {
            return Err(PortError::not_applied(
                ErrorKind::NotFound,
                format!(
                    "the request log `{}` is not in the folder `{}`: check its path",
                    self.config.file,
                    self.config.folder.display()
                ),
            ));
        }
        'files: for (name, mut lines) in files {
            let failed = |error| failed(name, error);
            kept.begin_file();
            loop {
                let line = match lines.next() {
                    Ok(Some(line)) => line,
                    Ok(None) => break,
                    Err(error) if error.kind() == IoErrorKind::UnexpectedEof => return Ok(None),
                    Err(error) => return Err(failed(error)),
                };
                // A line that does not read, such as one that is just being written, has no time and is in no window.
                let Some(at) = line.as_deref().and_then(stamp) else { continue };
                older_in_a_row = if at + DISORDER < window.start { older_in_a_row + 1 } else { 0 };
                if older_in_a_row == OLDER_IN_A_ROW {
                    truncated |= lines.skipped_any();
                    break 'files;
                }
                if !(window.start..=window.end).contains(&at) {
                    continue;
                }
                if !kept.takes(line.unwrap_or_default(), bytes_max) {
                    truncated = true;
                    break 'files;
                }
            }
            if lines.was_emptied().map_err(failed)? {
                return Ok(None);
            }
            truncated |= lines.skipped_any();
        }
        Ok(Some(kept.piece(truncated)))
    }
}

/// A file of the log, with its name.
type Opened<'a> = (&'a String, LinesBackwards);

fn failed(name: &str, error: std::io::Error) -> PortError {
    folder::local(error, format_args!("cannot read the request log `{name}`"))
}

/// The lines of a piece, newest first.
#[derive(Debug, Default)]
struct Kept {
    lines: Vec<Arc<[u8]>>,
    bytes: u64,
    /// Of files that are newer than the one that is read: the same line again is of a file that was renamed or copied meanwhile.
    newer: HashSet<Arc<[u8]>>,
    file_begins: usize,
}

impl Kept {
    fn begin_file(&mut self) {
        self.newer.extend(self.lines[self.file_begins..].iter().cloned());
        self.file_begins = self.lines.len();
    }

    /// False if there is no room for it.
    fn takes(&mut self, line: Vec<u8>, bytes_max: u64) -> bool {
        if self.newer.contains(line.as_slice()) {
            return true;
        }
        let size = line.len() as u64 + 1;
        if self.bytes + size > bytes_max {
            return false;
        }
        self.bytes += size;
        self.lines.push(line.into());
        true
    }

    fn piece(self, truncated: bool) -> LogPiece {
        let mut piece = LogPiece { bytes: Vec::new(), lines: self.lines.len() as u64, truncated };
        for line in self.lines.iter().rev() {
            piece.bytes.extend_from_slice(line);
            piece.bytes.push(b'\n');
        }
        piece
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
