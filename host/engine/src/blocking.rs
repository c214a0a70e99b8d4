//! Where work is done that keeps a thread: policy calls, large files.

/// On which thread work is done that may keep it for long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Blocking {
    /// On threads of its own, so that nothing waits for it that does not need it.
    #[default]
    Threads,
    /// Where it is asked for: for a host that shares one thread with the world around it, so that a seed decides the order of everything.
    InPlace,
}

/// The work panicked, or the host is ending.
#[derive(Debug, thiserror::Error)]
#[error("the work was lost: {0}")]
pub(crate) struct Lost(#[from] tokio::task::JoinError);

impl Blocking {
    /// Does `work`.
    pub(crate) async fn run<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Lost> {
        match self {
            Self::Threads => Ok(tokio::task::spawn_blocking(work).await?),
            Self::InPlace => Ok(work()),
        }
    }

    /// Begins `work` that nobody waits for.
    pub(crate) fn begin(self, work: impl FnOnce() + Send + 'static) {
        match (self, tokio::runtime::Handle::try_current()) {
            (Self::Threads, Ok(runtime)) => drop(runtime.spawn_blocking(work)),
            // Where there is no runtime any more, nobody waits.
            (Self::Threads, Err(_)) | (Self::InPlace, _) => work(),
        }
    }
}
