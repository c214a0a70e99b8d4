//! The one engine, its settings, and how records name both.

use ripcord_core::digest::Digest;
use serde::{Deserialize, Serialize};
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::limits::MEMORY_BYTES_CEILING;

/// The release of wasmtime that this crate is built with; a test compares it with the lock file.
pub(crate) const WASMTIME_VERSION: &str = "48.0.8";

/// Memory that a free slot keeps, so that the next instance in it needs no page faults for it.
const KEEP_RESIDENT_BYTES: usize = 256 << 10;
const CORE_INSTANCES_PER_COMPONENT: u32 = 8;
const TABLES_PER_COMPONENT: u32 = 4;
const STACK_BYTES: usize = 512 << 10;

/// All that decides how much fuel a call takes and when it ends. A change here is a change of [`EngineId`].
const SETTINGS: &str = "fuel: one unit an operator; stack: 524288 bytes; nan: canonical; relaxed simd: deterministic; \
    proposals: mutable globals, sign extension, saturating conversions, multi-value, bulk memory, reference types, simd, \
    relaxed simd, extended constants";

/// Which engine made a decision: fuel is comparable only within one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineId {
    /// Release of wasmtime.
    pub wasmtime: String,
    /// Digest of the settings that decide about fuel and results.
    pub settings: Digest,
}

impl EngineId {
    pub(crate) fn current() -> Self {
        Self { wasmtime: WASMTIME_VERSION.to_owned(), settings: Digest::of(SETTINGS) }
    }
}

impl std::fmt::Display for EngineId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "wasmtime {} ({})", self.wasmtime, self.settings.short())
    }
}

fn pool(slots: u32) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(slots)
        .total_core_instances(slots.saturating_mul(CORE_INSTANCES_PER_COMPONENT))
        .total_memories(slots)
        .total_tables(slots.saturating_mul(TABLES_PER_COMPONENT))
        .max_core_instances_per_component(CORE_INSTANCES_PER_COMPONENT)
        .max_memories_per_component(1)
        .max_tables_per_component(TABLES_PER_COMPONENT)
        .max_memory_size(MEMORY_BYTES_CEILING as usize)
        .max_unused_warm_slots(slots)
        .linear_memory_keep_resident(KEEP_RESIDENT_BYTES)
        .table_keep_resident(KEEP_RESIDENT_BYTES / 8)
        .pagemap_scan(Enabled::Auto);
    pool
}

/// Settings for `slots` instances at once.
fn config(slots: u32) -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool(slots)))
        .memory_init_cow(true)
        .consume_fuel(true)
        .epoch_interruption(true)
        .cranelift_nan_canonicalization(true)
        .wasm_relaxed_simd(true)
        .relaxed_simd_deterministic(true)
        .wasm_tail_call(false)
        .wasm_multi_memory(false)
        .wasm_memory64(false)
        .max_wasm_stack(STACK_BYTES);
    config
}

pub(crate) fn engine(slots: u32) -> wasmtime::Result<Engine> {
    Engine::new(&config(slots))
}

/// Digest of all that compiled code depends on: engine, settings, processor.
pub(crate) fn code_digest(engine: &Engine) -> Digest {
    use std::hash::Hash;
    let mut bytes = HashedBytes(WASMTIME_VERSION.as_bytes().to_vec());
    engine.precompile_compatibility_hash().hash(&mut bytes);
    Digest::tagged("ripcord engine 1", &[&bytes.0])
}

/// Collects what is hashed, so that a digest can be taken of it.
struct HashedBytes(Vec<u8>);

impl std::hash::Hasher for HashedBytes {
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recorded_release_is_the_one_that_is_linked() {
        let lock = include_str!("../../../Cargo.lock");
        let at = lock.find("name = \"wasmtime\"\n").expect("locked");
        assert!(lock[at..].lines().nth(1).expect("version").contains(WASMTIME_VERSION));
    }

    #[test]
    fn code_of_other_settings_has_another_digest() {
        let one = engine(1).expect("engine");
        let other = Engine::new(config(1).consume_fuel(false)).expect("engine");
        // What an examiner compiles is what the host would have compiled.
        assert_eq!(code_digest(&one), code_digest(&engine(32).expect("engine")));
        assert_ne!(code_digest(&one), code_digest(&other));
    }
}
