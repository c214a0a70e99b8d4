//! Answers that are too large to be held: read piece by piece.

use std::time::Duration;

use ripcord_core::time::Millis;
use ripcord_ports::{ErrorKind, PortError, waiting};

use super::{ANSWER_BYTES_MAX, Answer, Call, Risk, broken};

/// A body may take long; that it stands still is what the deadline is for.
const WHOLE_MAX: Millis = Millis::hours(24);

/// The body of a successful answer.
#[derive(Debug)]
pub(crate) struct Stream {
    what: String,
    system: String,
    response: reqwest::Response,
    between: Duration,
    risk: Risk,
}

impl Call {
    /// Sends it and gives the body piece by piece. `between` is the deadline of the answer's beginning and of every piece. An answer that does
    /// not mean success comes back whole.
    pub(crate) async fn stream(self, between: Millis) -> Result<Result<Stream, Answer>, PortError> {
        let Self { what, system, request, bytes_max: _, risk } = self.deadline(WHOLE_MAX);
        let between = Duration::from_millis(between.0);
        let sent = waiting::for_system(&system, tokio::time::timeout(between, request.send())).await;
        let response = sent
            .map_err(|_| late(&what, risk))
            .and_then(|sent| sent.map_err(|error| broken(&what, error, risk)));
        waiting::answered(&system, response.as_ref().err().map(ToString::to_string));
        let response = response?;
        if response.status().is_success() {
            return Ok(Ok(Stream { what, system, response, between, risk }));
        }
        let read = Answer::read(what.clone(), response, ANSWER_BYTES_MAX, risk);
        let read = waiting::for_system(&system, tokio::time::timeout(between, read)).await;
        read.map_err(|_| late(&what, risk))?.map(Err)
    }
}

impl Stream {
    /// The next piece; none at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<u8>>, PortError> {
        let chunk = tokio::time::timeout(self.between, self.response.chunk());
        let chunk = waiting::for_system(&self.system, chunk).await;
        let chunk = chunk.map_err(|_| late(&self.what, self.risk))?;
        Ok(chunk.map_err(|error| broken(&self.what, error, self.risk))?.map(|bytes| bytes.to_vec()))
    }
}

fn late(what: &str, risk: Risk) -> PortError {
    let error =
        PortError::not_applied(ErrorKind::TimedOut, format!("{what} did not go on within its deadline"));
    super::marked(error, risk)
}
