//! File work on threads that may block. A thread that waits for a dead mount cannot be taken back, so each place has few of them and all places
//! together a part of those that there are; and work that nobody waits for any more stops before its next step.

use std::cell::Cell;
use std::io;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ripcord_ports::{ErrorKind, PortError, waiting};
use tokio::sync::Semaphore;

/// Threads that the file work of all adapters may hold at once. The runtime has 512; the others are for the store and the policies.
const THREADS_MAX: usize = 128;
/// The same of one place.
const THREADS_OF_ONE_PLACE: usize = 4;

thread_local! {
    /// How often this thread has waited for a disk to have what was written.
    static FLUSHES: Cell<u64> = const { Cell::new(0) };
}

/// Says that the disk is waited for.
pub(crate) fn note_flush() {
    FLUSHES.set(FLUSHES.get() + 1);
}

/// How often this thread has waited for a disk.
pub(crate) fn flushes() -> u64 {
    FLUSHES.get()
}

static THREADS: Semaphore = Semaphore::const_new(THREADS_MAX);

/// A folder or file that an adapter works on.
#[derive(Debug, Clone)]
pub(crate) struct FileWork {
    what: String,
    places: Arc<Semaphore>,
}

/// Says whether anyone still waits for a piece of work.
#[derive(Debug, Clone, Default)]
pub(crate) struct GivenUp(Arc<AtomicBool>);

/// Gives the work up when it is dropped, unless it has ended.
struct Waiter(GivenUp);

impl Drop for Waiter {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::SeqCst);
    }
}

impl FileWork {
    /// `what` is its name for people.
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), places: Arc::new(Semaphore::new(THREADS_OF_ONE_PLACE)) }
    }

    /// One piece at a time: what was given up has stopped before the next one begins.
    pub(crate) fn exclusive(what: impl Into<String>) -> Self {
        Self { what: what.into(), places: Arc::new(Semaphore::new(1)) }
    }

    /// Runs `work` where it holds up nothing else. While pieces that do not come back take all the room here, the next one waits, and that is seen
    /// as a system that does not answer.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&GivenUp) -> Result<T, PortError> + Send + 'static,
    ) -> Result<T, PortError> {
        let room = async {
            let here = Arc::clone(&self.places).acquire_owned().await.ok()?;
            Some((here, THREADS.acquire().await.ok()?))
        };
        let room = waiting::for_system(&self.what, room).await;
        let given_up = GivenUp::default();
        let _waiter = Waiter(given_up.clone());
        let working = tokio::task::spawn_blocking(move || {
            // The room is held for as long as the work lasts, whoever waits for it.
            let _room = room;
            let before = flushes();
            (work(&given_up), flushes() - before)
        });
        let (worked, flushed) = working.await.map_err(|failed| {
            let text = format!("file work was ended early: {failed}; see the log");
            // It ended in the middle of whatever it did.
            PortError::unknown(ErrorKind::Local, text)
        })?;
        waiting::flushed(flushed);
        worked
    }
}

impl GivenUp {
    /// As one sees it whose time is over.
    #[cfg(test)]
    pub(crate) fn already() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }

    /// An error once nobody waits any more: then nothing that lasts may be done.
    pub(crate) fn check(&self) -> io::Result<()> {
        if self.0.load(Ordering::SeqCst) {
            return Err(io::Error::other("it was given up, because its time was over"));
        }
        Ok(())
    }

    /// Writes go on for as long as someone waits.
    pub(crate) fn fence<W: Write>(&self, to: W) -> Fenced<'_, W> {
        Fenced { given_up: self, to }
    }
}

/// See [`GivenUp::fence`].
pub(crate) struct Fenced<'a, W> {
    given_up: &'a GivenUp,
    pub(crate) to: W,
}

impl<W: Write> Write for Fenced<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.given_up.check()?;
        self.to.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use futures_util::FutureExt;

    use super::*;

    /// Work that lasts until it is let go, with the sender that lets it go, and word of its beginning.
    fn hanging() -> (
        mpsc::Sender<()>,
        tokio::sync::oneshot::Receiver<()>,
        impl FnOnce(&GivenUp) -> Result<bool, PortError>,
    ) {
        let ((go, gone), (began, begun)) = (mpsc::channel::<()>(), tokio::sync::oneshot::channel());
        let work = move |given_up: &GivenUp| {
            began.send(()).unwrap();
            let _ = gone.recv();
            Ok(given_up.check().is_err())
        };
        (go, begun, work)
    }

    #[tokio::test]
    async fn what_ended_in_the_middle_may_have_been_done() {
        let broken = |_: &GivenUp| -> Result<(), PortError> { panic!("as a bug would") };
        let error = FileWork::new("a folder").run(broken).await.unwrap_err();
        assert_eq!(error.applied, ripcord_ports::Applied::Unknown, "{error}");
    }

    #[tokio::test]
    async fn the_next_piece_begins_when_the_one_that_was_given_up_has_stopped() {
        let place = FileWork::exclusive("a folder");
        let (go, begun, work) = hanging();
        let (told, stopped) = tokio::sync::oneshot::channel();
        let first = place.run(move |given_up| {
            let noticed = work(given_up);
            told.send(noticed.unwrap()).unwrap();
            Ok(())
        });
        tokio::select! {
            biased;
            _ = first => panic!("it hangs"),
            begun = begun => begun.unwrap(),
        }
        // The first is given up and still works.
        let second = place.run(|_| Ok(()));
        tokio::pin!(second);
        assert!((&mut second).now_or_never().is_none());
        tokio::task::yield_now().await;
        assert!((&mut second).now_or_never().is_none(), "two at once");
        drop(go);
        assert!(stopped.await.unwrap(), "it sees that nobody waits");
        second.await.unwrap();
    }

    #[tokio::test]
    async fn few_threads_of_one_place_can_hang_and_others_go_on() {
        let place = FileWork::new("a dead mount");
        let mut holding = Vec::new();
        for _ in 0..THREADS_OF_ONE_PLACE {
            let (go, begun, work) = hanging();
            tokio::select! {
                biased;
                _ = place.run(work) => panic!("it hangs"),
                begun = begun => begun.unwrap(),
            }
            holding.push(go);
        }
        let more = place.run(|_| Ok(()));
        tokio::pin!(more);
        assert!((&mut more).now_or_never().is_none(), "no further thread");
        FileWork::new("another disk").run(|_| Ok(())).await.unwrap();
        drop(holding);
        more.await.unwrap();
    }
}
