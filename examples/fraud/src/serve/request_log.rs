use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use tokio::fs::File;
use tokio::io::{AsyncWriteExt as _, BufWriter};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use crate::Error;
use crate::command::warn;
use crate::protocol::{ANSWERED_BY, InferResponse, InputTensor, OutputTensor};

/// A line is on its way to the file no later than this.
const FLUSH_AFTER: Duration = Duration::from_millis(200);
/// Lines that may wait; beyond it, requests wait.
const WAITING_MAX: usize = 4_096;

/// The request log: one JSON line for every request that was served and is not a trial.
#[derive(Debug)]
pub(super) struct RequestLog {
    lines: mpsc::Sender<Entry>,
}

#[derive(Debug)]
enum Entry {
    Line(Vec<u8>),
    Close,
}

#[derive(Serialize)]
struct Line<'a> {
    at: String,
    id: &'a str,
    model: &'a str,
    version: &'a str,
    /// The sha-256 of the decision configuration, where one was in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    decision_config: Option<&'a str>,
    /// What decided, where it was not that version.
    #[serde(skip_serializing_if = "Option::is_none")]
    answered_by: Option<&'a str>,
    inputs: [&'a InputTensor; 1],
    outputs: &'a [OutputTensor],
}

impl RequestLog {
    /// Opens the file to append to it, and its writer, which ends after [`RequestLog::close`].
    pub(super) async fn open(path: &Path) -> Result<(Self, JoinHandle<()>), Error> {
        let file = File::options().create(true).append(true).open(path).await.map_err(Error::write(path))?;
        let (lines, waiting) = mpsc::channel(WAITING_MAX);
        let writer = tokio::spawn(write(BufWriter::new(file), waiting, path.display().to_string()));
        Ok((Self { lines }, writer))
    }

    pub(super) async fn append(
        &self,
        input: &InputTensor,
        response: &InferResponse,
        decision_config: Option<&str>,
    ) {
        let line = Line {
            at: format!("{:.3}", Timestamp::now()),
            id: &response.id,
            model: &response.model_name,
            version: &response.model_version,
            decision_config,
            answered_by: response.parameters.get(ANSWERED_BY).and_then(serde_json::Value::as_str),
            inputs: [input],
            outputs: &response.outputs,
        };
        if let Ok(mut bytes) = serde_json::to_vec(&line) {
            bytes.push(b'\n');
            // The writer is gone only when the server has stopped.
            let _ = self.lines.send(Entry::Line(bytes)).await;
        }
    }

    /// Writes what waits; nothing is written after it.
    pub(super) async fn close(&self) {
        let _ = self.lines.send(Entry::Close).await;
    }
}

async fn write(mut file: BufWriter<File>, mut waiting: mpsc::Receiver<Entry>, path: String) {
    let mut told = false;
    let mut tell = |result: std::io::Result<()>| {
        if let Err(error) = result
            && !told
        {
            told = true;
            warn(&format!("the request log `{path}` has gaps: {error}"));
        }
    };
    let mut flush_at: Option<Instant> = None;
    loop {
        tokio::select! {
            entry = waiting.recv() => match entry {
                Some(Entry::Line(line)) => {
                    tell(file.write_all(&line).await);
                    flush_at.get_or_insert_with(|| Instant::now() + FLUSH_AFTER);
                }
                Some(Entry::Close) | None => break,
            },
            () = until(flush_at) => {
                tell(file.flush().await);
                flush_at = None;
            }
        }
    }
    tell(file.flush().await);
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
