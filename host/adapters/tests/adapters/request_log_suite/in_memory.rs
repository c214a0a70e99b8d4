//! A request log in memory, sound unless it is given a flaw: lines of JSON with a time, in milliseconds, and an id.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use ripcord_adapters::conformance::request_log::{Odd, Service};
use ripcord_core::fact::{Exchange, Payload};
use ripcord_core::target::Window;
use ripcord_core::time::UnixMillis;
use ripcord_ports::requests::LogPiece;
use ripcord_ports::{ErrorKind, PortError, RequestLog};

const LINE_BYTES_MAX: usize = 1_000;

/// A way to break a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    NothingIsAnError,
    WithoutTheEnd,
    EverySecondTime,
    KeepsTheOldest,
    LeavesOutInSilence,
    TakesMoreThanTheBound,
    OldestExchangeFirst,
    LimitKeepsTheOldest,
    GuessesWhatWasCut,
    EndsAtWhatIsNoRecord,
    DropsHugeInSilence,
    EndsAtWhatIsOlder,
    ForgetsWhatWasTurnedOver,
    ReadsTwiceWhatWasTurnedOver,
    GoneIsEmpty,
}

pub(super) struct InMemoryLog {
    flaw: Option<Flaw>,
    /// What was written before and after each turn, oldest first; none once it is gone.
    parts: Mutex<Option<Vec<Vec<u8>>>>,
    wrong_next: AtomicBool,
}

impl InMemoryLog {
    pub(super) fn sound() -> Self {
        Self { flaw: None, parts: Mutex::new(Some(vec![Vec::new()])), wrong_next: AtomicBool::new(true) }
    }

    pub(super) fn with(flaw: Flaw) -> Self {
        Self { flaw: Some(flaw), ..Self::sound() }
    }

    fn has(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    fn append(&self, bytes: &[u8]) {
        let mut parts = self.parts.lock().unwrap();
        parts.as_mut().unwrap().last_mut().unwrap().extend_from_slice(bytes);
    }

    fn lines(&self) -> Option<Vec<Vec<u8>>> {
        let parts = self.parts.lock().unwrap().clone()?;
        let turned = parts.len() - 1;
        let parts: Vec<_> = match self.flaw {
            Some(Flaw::ForgetsWhatWasTurnedOver) => parts[turned..].to_vec(),
            Some(Flaw::ReadsTwiceWhatWasTurnedOver) if turned > 1 => {
                [&parts[turned - 1..turned], &parts[..]].concat()
            }
            _ => parts,
        };
        let lines = parts.iter().flat_map(|part| part.split(|byte| *byte == b'\n')).map(<[u8]>::to_vec);
        Some(lines.filter(|line| !line.is_empty()).collect())
    }
}

fn line(at: UnixMillis, id: &str) -> String {
    serde_json::json!({ "at": at.0, "id": id }).to_string()
}

fn exchange(line: &[u8]) -> Option<Exchange> {
    let read: serde_json::Value = serde_json::from_slice(line).ok()?;
    Some(Exchange {
        id: read.get("id")?.as_str()?.to_owned(),
        at: UnixMillis(read.get("at")?.as_u64()?),
        input: Payload::Json("[]".into()),
        output: Payload::Json("[]".into()),
        labels: Vec::new(),
    })
}

#[async_trait]
impl RequestLog for InMemoryLog {
    fn name(&self) -> &str {
        "request_log_in_memory"
    }

    async fn preserve(&self, window: Window, bytes_max: u64) -> Result<LogPiece, PortError> {
        let gone = || PortError::not_applied(ErrorKind::NotFound, "the log is gone");
        let lines = match self.lines() {
            None if self.has(Flaw::GoneIsEmpty) => Vec::new(),
            lines => lines.ok_or_else(gone)?,
        };
        let mut kept: Vec<Vec<u8>> = Vec::new();
        let (mut bytes, mut truncated) = (0, false);
        for line in lines.iter().rev() {
            if line.len() > LINE_BYTES_MAX {
                truncated |= !self.has(Flaw::DropsHugeInSilence);
                continue;
            }
            let Some(one) = exchange(line) else {
                if self.has(Flaw::EndsAtWhatIsNoRecord) {
                    break;
                }
                continue;
            };
            if self.has(Flaw::EndsAtWhatIsOlder) && one.at.0 + 60_000 < window.start.0 {
                break;
            }
            let after = one.at > window.end || (self.has(Flaw::WithoutTheEnd) && one.at == window.end);
            if one.at < window.start || after {
                continue;
            }
            let size = line.len() as u64 + 1;
            if bytes + size > bytes_max && !self.has(Flaw::TakesMoreThanTheBound) {
                truncated = true;
                if !self.has(Flaw::KeepsTheOldest) || kept.is_empty() {
                    break;
                }
                bytes -= kept.remove(0).len() as u64 + 1;
            }
            bytes += size;
            kept.push(line.clone());
        }
        if kept.is_empty() && self.has(Flaw::NothingIsAnError) {
            return Err(gone());
        }
        if self.has(Flaw::EverySecondTime) && self.wrong_next.fetch_xor(true, Ordering::SeqCst) {
            kept.pop();
        }
        let mut piece = LogPiece { bytes: Vec::new(), lines: kept.len() as u64, truncated };
        piece.truncated &= !self.has(Flaw::LeavesOutInSilence);
        for line in kept.iter().rev() {
            piece.bytes.extend_from_slice(line);
            piece.bytes.push(b'\n');
        }
        Ok(piece)
    }

    fn exchanges(&self, piece: &[u8], limit: u32) -> Vec<Exchange> {
        let guess = |line: &[u8]| {
            let text = String::from_utf8_lossy(line);
            let whole = format!("{}\"}}", text.trim_end_matches(['"', '}']));
            self.has(Flaw::GuessesWhatWasCut).then(|| exchange(whole.as_bytes())).flatten()
        };
        let lines = piece.split(|byte| *byte == b'\n');
        let mut all: Vec<_> = lines.filter_map(|line| exchange(line).or_else(|| guess(line))).collect();
        if self.has(Flaw::LimitKeepsTheOldest) {
            all.truncate(limit as usize);
        }
        if !self.has(Flaw::OldestExchangeFirst) {
            all.reverse();
        }
        all.truncate(limit as usize);
        all
    }
}

#[async_trait]
impl Service for InMemoryLog {
    async fn logs(&self, at: UnixMillis, id: &str) {
        self.append(format!("{}\n", line(at, id)).as_bytes());
    }

    async fn leaves(&self, odd: Odd, at: UnixMillis) -> bool {
        let record = line(at, "r1");
        let half = &record[..record.len() / 2];
        match odd {
            Odd::Text => self.append(b"WARNING: what others write\n"),
            Odd::Bytes => self.append(&[0xff, 0xfe, b'\n']),
            Odd::Undated => self.append(b"{\"id\":\"r1\"}\n"),
            Odd::CutOff => self.append(format!("{half}\n").as_bytes()),
            Odd::Unfinished => self.append(half.as_bytes()),
            Odd::Huge => self.append(format!("{}\n", line(at, &"x".repeat(LINE_BYTES_MAX))).as_bytes()),
        }
        true
    }

    async fn turns_over(&self) -> bool {
        self.parts.lock().unwrap().as_mut().unwrap().push(Vec::new());
        true
    }

    async fn is_removed(&self) {
        *self.parts.lock().unwrap() = None;
    }
}
