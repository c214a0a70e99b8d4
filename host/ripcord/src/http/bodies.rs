//! Reads bodies: bounded in bytes, in time and, for webhooks, in the memory of all that are being read.

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt as _;
use tokio::sync::SemaphorePermit;

use super::doors::{Doors, Sender};
use super::problem::Problem;

/// Who needs longer for what a person's client sends is cut off.
const ASKED_WAIT: Duration = Duration::from_secs(10);
/// A webhook may be large, and its sender far away.
const WAIT_A_MIB: Duration = Duration::from_secs(1);
/// What memory is taken in.
const STEP: usize = 64 << 10;

/// Why a body was not read.
#[derive(Debug)]
pub(crate) enum Unread {
    /// It has more bytes than are allowed; with as many as were declared, if any were.
    TooLarge { declared: Option<u64> },
    /// It took too long.
    TooSlow(Problem),
    /// Anything else; the answer says it.
    Other(Problem),
}

/// A webhook's body, with its share of the memory.
#[derive(Debug)]
pub(crate) struct ReadBody<'a> {
    pub(crate) bytes: Vec<u8>,
    _memory: Option<SemaphorePermit<'a>>,
}

/// Reads what a person's client sends.
pub(crate) async fn asked(headers: &HeaderMap, body: Body, bytes_max: u64) -> Result<Vec<u8>, Problem> {
    read(headers, body, bytes_max, ASKED_WAIT, None).await.map(|read| read.bytes).map_err(|unread| {
        match unread {
            Unread::TooLarge { .. } => Problem::too_large(bytes_max),
            Unread::TooSlow(problem) | Unread::Other(problem) => problem,
        }
    })
}

/// Reads a webhook.
pub(crate) async fn webhook<'a>(
    headers: &HeaderMap,
    body: Body,
    bytes_max: u64,
    doors: &'a Doors,
    sender: Sender,
) -> Result<ReadBody<'a>, Unread> {
    read(headers, body, bytes_max, doors.deadlines.body, Some((doors, sender))).await
}

/// A declared length beyond the limit is refused before the first byte is read.
async fn read<'a>(
    headers: &HeaderMap,
    mut body: Body,
    bytes_max: u64,
    patience: Duration,
    memory_of: Option<(&'a Doors, Sender)>,
) -> Result<ReadBody<'a>, Unread> {
    let declared =
        headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|declared| declared > bytes_max) {
        return Err(Unread::TooLarge { declared });
    }
    let limit = usize::try_from(bytes_max).unwrap_or(usize::MAX);
    let too_slow =
        || Problem::new(StatusCode::REQUEST_TIMEOUT, "too-slow", "the body took too long; send it again");
    let began = Instant::now();
    let (mut bytes, mut memory) = (Vec::new(), None::<SemaphorePermit<'a>>);
    loop {
        let whole_mib = u32::try_from(bytes.len() >> 20).unwrap_or(u32::MAX);
        let left = (patience + WAIT_A_MIB * whole_mib).saturating_sub(began.elapsed());
        let frame = tokio::time::timeout(left, body.frame()).await;
        let frame = match frame.map_err(|_| Unread::TooSlow(too_slow()))? {
            None => return Ok(ReadBody { bytes, _memory: memory }),
            Some(Ok(frame)) => frame,
            Some(Err(_)) => {
                return Err(Unread::Other(Problem::bad_request("the body broke off; send it again")));
            }
        };
        let Some(data) = frame.data_ref() else { continue };
        if data.len() > limit - bytes.len() {
            return Err(Unread::TooLarge { declared });
        }
        if let Some((doors, sender)) = memory_of {
            let have = memory.as_ref().map_or(0, SemaphorePermit::num_permits);
            let need = (bytes.len() + data.len()).div_ceil(STEP) * (STEP >> 10);
            if need > have {
                let more = u32::try_from(need - have).unwrap_or(u32::MAX);
                let more = doors.body_kib(sender, more).await.map_err(Unread::Other)?;
                match &mut memory {
                    Some(memory) => memory.merge(more),
                    None => memory = Some(more),
                }
            }
        }
        bytes.extend_from_slice(data);
    }
}
