//! What the host keeps for one running instance: its counters and its log.

use ripcord_core::signal::Severity;
use serde::{Deserialize, Serialize};
use wasmtime::ResourceLimiter;

use crate::limits::{Limits, MEMORY_BYTES_CEILING};
use crate::text::cut;

/// One line that a policy wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// As the policy says.
    pub severity: Severity,
    /// At most `log_line_bytes_max` bytes.
    pub text: String,
}

/// Why the host stopped an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Stop {
    #[error("too much memory")]
    Memory,
    #[error("too many table elements")]
    Table,
    #[error("too many log lines, or too long ones")]
    LogFlood,
    #[error("the host is out of memory")]
    HostMemory,
}

#[derive(Debug)]
pub(crate) struct State {
    memory_bytes: u64,
    memory_bytes_max: u64,
    table_elements: u64,
    table_elements_max: u64,
    log: Vec<LogLine>,
    log_lines_max: usize,
    log_line_bytes_max: usize,
    /// What may still be written.
    log_bytes_left: u64,
}

impl State {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            memory_bytes: 0,
            memory_bytes_max: limits.memory_bytes_max.min(MEMORY_BYTES_CEILING),
            table_elements: 0,
            table_elements_max: limits.table_elements_max,
            log: Vec::new(),
            log_lines_max: limits.log_lines_max as usize,
            log_line_bytes_max: usize::try_from(limits.log_line_bytes_max).unwrap_or(usize::MAX),
            log_bytes_left: limits.log_bytes_max,
        }
    }

    pub(crate) fn write_log(&mut self, severity: Severity, mut text: String) -> Result<(), Stop> {
        if self.log.len() >= self.log_lines_max {
            return Err(Stop::LogFlood);
        }
        cut(&mut text, self.log_line_bytes_max);
        self.log_bytes_left = self.log_bytes_left.checked_sub(text.len() as u64).ok_or(Stop::LogFlood)?;
        self.log.push(LogLine { severity, text });
        Ok(())
    }

    pub(crate) fn log(&self) -> &[LogLine] {
        &self.log
    }

    pub(crate) fn into_log(self) -> Vec<LogLine> {
        self.log
    }
}

/// What remains within `max` when one of the parts of `total` grows.
fn grown(total: u64, current: usize, desired: usize, max: u64) -> Option<u64> {
    let total = total.saturating_sub(current as u64).saturating_add(desired as u64);
    (total <= max).then_some(total)
}

/// A refused growth stops the instance at once, so that the fault names its cause. A growth over the maximum that the guest itself declares
/// fails as WebAssembly says.
impl ResourceLimiter for State {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.memory_bytes =
            grown(self.memory_bytes, current, desired, self.memory_bytes_max).ok_or(Stop::Memory)?;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        Err(Stop::HostMemory.into())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.table_elements =
            grown(self.table_elements, current, desired, self.table_elements_max).ok_or(Stop::Table)?;
        Ok(true)
    }

    fn table_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        Err(Stop::HostMemory.into())
    }
}
