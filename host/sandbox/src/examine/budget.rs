//! What examining one component may take: refused within 5 s of processor time and 300 MB.
//!
//! Measured in a build for development with one thread (the least limit under which it passes, and its processor time): the starters 62 to 189 MiB and
//! 0.8 to 1.3 s, a policy with all four roles 188 MiB and 1.7 s. With two threads the latter takes 280 MiB: its two largest functions may meet. So
//! there is half as much memory again, and three times the time.

/// Memory that a component may take to validate and compile, beside the program itself.
pub const EXAMINE_MEMORY_BYTES: u64 = 280 << 20;
/// Processor time, not time by the clock, which would refuse a good policy where a machine is busy.
pub(crate) const EXAMINE_CPU_SECONDS: u64 = 5;
/// A child that does not end by then is ended, whatever it does. With a load of ten on each core, five seconds of processor time took more than sixty.
pub(crate) const EXAMINE_WALL_CLOCK_SECONDS: u64 = 120;
/// The compiler's threads in a child, whatever the machine has: with one, the same component takes the same memory each time.
pub(crate) const EXAMINE_THREADS: &str = "1";
