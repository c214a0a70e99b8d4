//! What examining one component may take.

/// Memory that a component may take to validate and compile, beside the program itself.
/// The compiler of a build for development takes more for the same component.
pub const EXAMINE_MEMORY_BYTES: u64 = if cfg!(debug_assertions) { 480 << 20 } else { 272 << 20 };
/// A child that does not end by then is ended, whatever it does: a busy machine gives a process a tenth of its time.
pub(crate) const EXAMINE_WALL_CLOCK_SECONDS: u64 = 60;
/// The compiler's threads in a child, whatever the machine has: each needs memory for its stack and its function.
pub(crate) const EXAMINE_THREADS: &str = "2";

const CPU_SECONDS_AT_LEAST: u64 = 5;
const CPU_SECONDS_EACH_MIB: u64 = 3;
/// Before the shape is known, and after it.
pub(crate) const CPU_SECONDS_AT_MOST: u8 = 12;

/// Processor time for a component with so many bytes of functions: about three times what honest code takes. A few kilobytes that take longer
/// are made to. Not time by the clock, which would refuse a good policy where a machine is busy.
pub(crate) fn cpu_seconds(code_bytes: u64) -> u8 {
    let seconds = CPU_SECONDS_AT_LEAST + CPU_SECONDS_EACH_MIB * code_bytes / (1 << 20);
    u8::try_from(seconds).unwrap_or(u8::MAX).min(CPU_SECONDS_AT_MOST)
}
