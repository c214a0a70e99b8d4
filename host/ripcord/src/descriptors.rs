//! How many files, sockets and pipes this process may have open at once: known and raised at the start, and looked at when asked for readiness.

use std::fs::File;
use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::http::connections::Bounds;

/// More are never needed, and programs that the host starts inherit the limit: some of them close each possible one by one.
const LIMIT_WANTED: u64 = 16_384;
/// Standard streams, runtime, store with its readers, compiled policies, logs, and connections that are about to go.
const OWN: u64 = 128;
/// A service's connections, files and pipes to its programs.
const A_SERVICE: u64 = 4;
const CONNECTIONS_MAX: u64 = 1_024;
/// With fewer the host is started all the same, and says so.
const CONNECTIONS_MIN: u64 = 16;
/// With fewer places than this in all, a storm is felt.
const CONNECTIONS_GOOD: u64 = 256;
/// So many must be free for the host to be ready: a step opens files, pipes and sockets.
const FREE_MIN: usize = 16;

/// The limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Descriptors {
    /// How many the system allows this process.
    pub limit: u64,
}

impl Descriptors {
    /// Raises the limit as far as the system lets this process, and reads what it is then.
    pub fn raise() -> Self {
        let now = getrlimit(Resource::Nofile);
        // None is no limit at all.
        let (current, most) = (now.current.unwrap_or(u64::MAX), now.maximum.unwrap_or(u64::MAX));
        let wanted = LIMIT_WANTED.min(most);
        if current >= wanted {
            return Self { limit: current };
        }
        match setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: now.maximum }) {
            Ok(()) => Self { limit: wanted },
            Err(error) => {
                tracing::warn!(%error, "the limit of open files cannot be raised");
                Self { limit: current }
            }
        }
    }

    /// Connections that leave room for the store, for so many services and for the programs that they start.
    pub fn bounds(self, services: usize) -> Bounds {
        let places = self.places(services).clamp(CONNECTIONS_MIN, CONNECTIONS_MAX);
        Bounds::of(usize::try_from(places).unwrap_or(usize::MAX))
    }

    fn places(self, services: usize) -> u64 {
        self.limit.saturating_sub(OWN).saturating_sub((services as u64).saturating_mul(A_SERVICE))
    }

    /// One sentence where the limit is too small for so many services, and what to do.
    pub fn too_few(self, services: usize) -> Option<(String, String)> {
        let places = self.places(services);
        if places >= CONNECTIONS_GOOD {
            return None;
        }
        let wanted = OWN + services as u64 * A_SERVICE + CONNECTIONS_MAX;
        Some((
            format!(
                "the system lets this process open {} files at once: that leaves room for {} connections beside {services} services and the store",
                self.limit,
                places.max(CONNECTIONS_MIN)
            ),
            format!(
                "raise the limit to {wanted}: `ulimit -n {wanted}`, or `LimitNOFILE={wanted}` of its unit"
            ),
        ))
    }
}

/// Whether a step of the host would find the files, pipes and sockets that it opens.
pub(crate) fn some_are_free() -> io::Result<()> {
    let mut opened = Vec::with_capacity(FREE_MIN);
    for _ in 0..FREE_MIN {
        opened.push(File::open("/dev/null")?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_room_for_the_store_and_the_services() {
        let bounds = |limit, services| Descriptors { limit }.bounds(services).connections;
        assert_eq!(bounds(1_024, 1), 892);
        assert_eq!(bounds(1_024, 200), 96);
        assert_eq!(bounds(20_000, 1_000), 1_024);
        assert_eq!(bounds(64, 1), 16, "it starts all the same");
        assert_eq!(bounds(u64::MAX, 1), 1_024);
    }

    #[test]
    fn a_limit_that_is_too_small_is_told_with_what_to_do() {
        assert_eq!(Descriptors { limit: 1_024 }.too_few(1), None);
        let (what, help) = Descriptors { limit: 256 }.too_few(10).unwrap();
        assert!(what.contains("256 files") && what.contains("88 connections"), "{what}");
        assert!(help.contains("ulimit -n 1192"), "{help}");
    }

    #[test]
    fn the_limit_is_raised_to_what_the_system_allows() {
        let limit = Descriptors::raise().limit;
        let now = getrlimit(Resource::Nofile);
        assert!(limit >= LIMIT_WANTED.min(now.maximum.unwrap_or(u64::MAX)), "{limit}: {now:?}");
        assert_eq!(Descriptors::raise().limit, limit);
    }
}
