//! Runs policies: loads, limits, calls, records and replays WebAssembly components.
//!
//! Invariants of this crate:
//! - it alone names wasmtime, and [`Sandbox::load`] is the one place with unsafe code: taking back compiled code that passed its check;
//! - a policy imports nothing but `log`, gets a fresh instance for every call, and runs within [`Limits`], none of which is optional;
//! - bytes that nobody has approved are validated and compiled in a child process with limits, see [`Examiner`];
//! - whatever a guest does ends in a verdict or in a [`Fault`], and leaves the host and other policies as they were;
//! - a decision is a function of component, question, facts and limits: [`replay`] makes it again from its recording alone.
//!
//! Calls block: give them a thread with at least one megabyte of stack.

mod alerts;
mod cache;
mod contract;
mod deciding;
mod engine;
mod examine;
mod examiner;
mod fault;
mod limits;
mod load;
mod manifest;
#[cfg(feature = "testing")]
mod native;
mod policy;
mod recording;
mod replay;
mod run;
mod sandbox;
mod schema_cost;
mod settings;
mod shared;
mod slots;
mod state;
mod text;
mod values;

pub use alerts::SignalsError;
pub use cache::{CacheDirError, open_cache_dir};
pub use contract::CONTRACT_VERSIONS;
pub use deciding::{Deciding, FactsError, Progress};
pub use engine::EngineId;
pub use examine::{EXAMINE_MEMORY_BYTES, ExaminationError, Examiner, Part, TooMuch};
pub use examiner::{ExamineError, examine_for_parent};
pub use fault::{Fault, FaultKind, Nature};
pub use limits::{Limits, MEMORY_BYTES_CEILING};
pub use load::{COMPONENT_BYTES_MAX, LoadError};
#[cfg(feature = "testing")]
pub use native::NativePolicy;
pub use policy::{Call, CallInJson, Policy};
pub use recording::{RECORDING_FORMAT, RecordedEnd, RecordedRound, Recording, RecordingError, prune};
pub use replay::{Difference, FuelCheck, Replayed, recorded_input, replay};
pub use sandbox::{Sandbox, SandboxConfig, SandboxError};
pub use settings::{SettingsError, SettingsMistake};
pub use state::LogLine;
pub use values::ValueError;
