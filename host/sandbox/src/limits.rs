//! What a policy may use. Nothing here is optional.

use serde::{Deserialize, Serialize};

/// The limits of one decision. [`Limits::default`] is the one place where the defaults are set and explained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Of one call. A unit is about one WebAssembly instruction.
    pub fuel: u64,
    /// Linear memory of one instance, in bytes; never more than [`MEMORY_BYTES_CEILING`].
    pub memory_bytes_max: u64,
    /// Elements of all tables of one instance.
    pub table_elements_max: u64,
    /// What one call may copy out to the host, in bytes, log lines apart.
    pub output_bytes_max: u64,
    /// Longer texts of an answer are cut there, in bytes.
    pub text_bytes_max: u64,
    /// Lines written by one call.
    pub log_lines_max: u32,
    /// Longer lines are cut there, in bytes.
    pub log_line_bytes_max: u64,
    /// All lines of one call, in bytes: they are part of the recording.
    pub log_bytes_max: u64,
    /// Facts asked for in one round.
    pub requests_max: u32,
    /// What a policy may remember, in bytes.
    pub memo_bytes_max: u64,
    /// Calls of one decision.
    pub rounds_max: u32,
    /// All facts of one decision, in bytes of their CBOR form. A fact over it reaches the policy as `too large`.
    pub fact_bytes_max: u64,
    /// Of one call, in milliseconds. Outside fuel: for liveness, not for order.
    pub wall_clock_ms: u64,
    /// How long a call waits for a free instance, in milliseconds.
    pub slot_wait_ms: u64,
}

/// The most linear memory that one instance can have, whatever [`Limits`] say: the size of a slot.
pub const MEMORY_BYTES_CEILING: u64 = 128 << 20;

impl Limits {
    /// The limits of `describe`: it answers with constants, and nobody has approved it yet.
    pub(crate) fn for_describing() -> Self {
        Self {
            // A twentieth of a second of pure computing.
            fuel: 50_000_000,
            // A settings schema at its limit, and the rest.
            output_bytes_max: 512 << 10,
            log_lines_max: 20,
            wall_clock_ms: 2_000,
            ..Self::default()
        }
    }
}

impl Default for Limits {
    /// A decision over 10,000 points takes about ten million units of fuel and half a millisecond; these leave room for a hundred times as much.
    fn default() -> Self {
        Self {
            // About a second of pure computing.
            fuel: 1_000_000_000,
            // Facts at their limit, decoded, and room to work.
            memory_bytes_max: 64 << 20,
            // A large Rust program has some thousands of indirect functions.
            table_elements_max: 10_000,
            // A ladder with the reasons of a thousand refused versions fits.
            output_bytes_max: 1 << 20,
            // Texts are for people.
            text_bytes_max: 16 << 10,
            log_lines_max: 200,
            log_line_bytes_max: 4 << 10,
            log_bytes_max: 64 << 10,
            requests_max: 64,
            memo_bytes_max: 8 << 10,
            // Starter policies need two.
            rounds_max: 8,
            fact_bytes_max: 8 << 20,
            // Twice what the fuel lasts on a slow machine.
            wall_clock_ms: 5_000,
            slot_wait_ms: 2_000,
        }
    }
}
