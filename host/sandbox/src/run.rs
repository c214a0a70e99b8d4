//! One call of a guest: a fresh store and instance, under limits, and what it cost.

use std::sync::Arc;
use std::time::Duration;

use ripcord_core::signal::Severity;
use wasmtime::component::{Instance, InstancePre};
use wasmtime::{PoolConcurrencyLimitError, Store, Trap};

use crate::fault::{Fault, FaultKind};
use crate::limits::{Limits, MEMORY_BYTES_CEILING};
use crate::shared::Shared;
use crate::slots::ticks;
use crate::state::{LogLine, State, Stop};
use crate::text::cut;

/// The messages of guests and of the engine are kept to this length.
const MESSAGE_BYTES_MAX: usize = 4 << 10;

/// What came of one call, and what it cost.
#[derive(Debug)]
pub(crate) struct Ran<R> {
    pub(crate) outcome: Result<R, Fault>,
    pub(crate) fuel: u64,
    pub(crate) log: Vec<LogLine>,
}

/// A component that is linked and ready to be instantiated.
pub(crate) struct Linked {
    pub(crate) shared: Arc<Shared>,
    pub(crate) pre: InstancePre<State>,
}

impl Linked {
    /// Calls `guest` on a fresh instance.
    pub(crate) fn run<R>(
        &self,
        limits: &Limits,
        guest: impl FnOnce(&mut Store<State>, &Instance) -> wasmtime::Result<R>,
    ) -> Ran<R> {
        let Some(slot) = self.shared.slots.take(Duration::from_millis(limits.slot_wait_ms)) else {
            let kind = FaultKind::PoolExhausted { slots: self.shared.slots.limit() };
            return Ran { outcome: Err(kind.into()), fuel: 0, log: Vec::new() };
        };
        let mut store = Store::new(&self.shared.engine, State::new(limits));
        store.limiter(|state| state);
        store.set_hostcall_fuel(usize::try_from(limits.output_bytes_max).unwrap_or(usize::MAX));
        store.epoch_deadline_trap();
        store.set_epoch_deadline(ticks(limits.wall_clock_ms));
        let outcome = self.enter(&mut store, limits, guest);
        let left = store.get_fuel().unwrap_or(0);
        let ran = Ran { outcome, fuel: limits.fuel.saturating_sub(left), log: store.into_data().into_log() };
        // The pool has its instance back before the next call may take one.
        drop(slot);
        ran
    }

    fn enter<R>(
        &self,
        store: &mut Store<State>,
        limits: &Limits,
        guest: impl FnOnce(&mut Store<State>, &Instance) -> wasmtime::Result<R>,
    ) -> Result<R, Fault> {
        store.set_fuel(limits.fuel).map_err(|error| FaultKind::Host { message: message(&error) })?;
        let instance = self.pre.instantiate(&mut *store).map_err(|error| {
            self.classify(&error, limits, store.data())
                .unwrap_or_else(|| FaultKind::Host { message: message(&error) })
        })?;
        guest(store, &instance).map_err(|error| {
            self.classify(&error, limits, store.data())
                .unwrap_or_else(|| FaultKind::BadOutput { reason: message(&error) })
                .into()
        })
    }

    /// The faults that may come at any point of a call. What is left is the host's fault while instantiating, and later the guest's: values
    /// that it returned and that do not fit the contract's types.
    fn classify(&self, error: &wasmtime::Error, limits: &Limits, state: &State) -> Option<FaultKind> {
        if let Some(stop) = error.downcast_ref::<Stop>() {
            return Some(match stop {
                Stop::Memory => {
                    FaultKind::OutOfMemory { limit_bytes: limits.memory_bytes_max.min(MEMORY_BYTES_CEILING) }
                }
                Stop::Table => FaultKind::TableTooLarge { limit: limits.table_elements_max },
                Stop::LogFlood => FaultKind::LogFlood {
                    limit_lines: limits.log_lines_max,
                    limit_bytes: limits.log_bytes_max,
                },
                Stop::HostMemory => FaultKind::Host { message: stop.to_string() },
            });
        }
        if error.downcast_ref::<PoolConcurrencyLimitError>().is_some() {
            return Some(FaultKind::PoolExhausted { slots: self.shared.slots.limit() });
        }
        if let Some(trap) = error.downcast_ref::<Trap>() {
            return Some(of_trap(*trap, limits, state));
        }
        // The engine's own type for this is private.
        let text = error.root_cause().to_string();
        text.contains("fuel allocated for hostcalls")
            .then_some(FaultKind::OutputTooLarge { limit_bytes: limits.output_bytes_max })
    }
}

fn of_trap(trap: Trap, limits: &Limits, state: &State) -> FaultKind {
    match trap {
        Trap::OutOfFuel => FaultKind::OutOfFuel { limit: limits.fuel },
        Trap::Interrupt => FaultKind::OutOfTime { limit_ms: limits.wall_clock_ms },
        Trap::StackOverflow => FaultKind::StackOverflow,
        // A panic in Rust is logged by the hook of the SDK and ends in `unreachable`.
        Trap::UnreachableCodeReached => match state.log().last() {
            Some(LogLine { severity: Severity::Critical, text }) => {
                FaultKind::Panic { message: text.clone() }
            }
            _ => FaultKind::Trap { code: "unreachable".into() },
        },
        other => FaultKind::Trap { code: trap_code(other) },
    }
}

/// Names that records keep: they stay when the engine words its traps differently.
fn trap_code(trap: Trap) -> String {
    match trap {
        Trap::MemoryOutOfBounds => "memory-out-of-bounds".into(),
        Trap::TableOutOfBounds => "table-out-of-bounds".into(),
        Trap::IndirectCallToNull => "indirect-call-to-null".into(),
        Trap::BadSignature => "bad-signature".into(),
        Trap::IntegerOverflow => "integer-overflow".into(),
        Trap::IntegerDivisionByZero => "integer-divide-by-zero".into(),
        Trap::BadConversionToInteger => "bad-conversion-to-integer".into(),
        other => other.to_string(),
    }
}

/// What the engine says, outermost first, bounded.
pub(crate) fn message(error: &wasmtime::Error) -> String {
    let mut text = format!("{error:#}");
    cut(&mut text, MESSAGE_BYTES_MAX);
    text
}
