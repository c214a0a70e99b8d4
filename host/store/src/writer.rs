//! The one thread that writes. All jobs that wait go into one transaction, each in a savepoint of its own, and share one flush, which is left out
//! where none of them needs one.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ripcord_ports::store::{Durability, StoreError};
use rusqlite::{Connection, ErrorCode};
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{mpsc, oneshot};

use crate::error::{Fault, is_space};
use crate::file::{self, Claim, Options};
use crate::marker;

/// The note that is written where nothing but the write itself is wanted.
const WRITABLE: &str = "writable";

/// The longest that a write waits for others to share its flush.
const PATIENCE_MAX: Duration = Duration::from_millis(1);
const POLL: Duration = Duration::from_micros(30);

/// A write: it may run twice, and only its last run counts.
trait Job: Send {
    fn run(&mut self, connection: &Connection) -> Result<(), Fault>;
    fn kind(&self) -> Kind;
    fn answer(self: Box<Self>, outcome: Result<(), StoreError>);
}

/// What a write needs besides being made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It is on disk when it returns, or with the next that is.
    Plain(Durability),
    /// It is on disk when it returns, and old content has left the write-ahead log too.
    Scrubbing,
}

impl Kind {
    /// The usual one.
    pub(crate) const FLUSHED: Self = Self::Plain(Durability::Flushed);
}

struct Task<W, T> {
    work: W,
    kind: Kind,
    result: Option<T>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T: Send, W: FnMut(&Connection) -> Result<T, Fault> + Send> Job for Task<W, T> {
    fn run(&mut self, connection: &Connection) -> Result<(), Fault> {
        self.result = Some((self.work)(connection)?);
        Ok(())
    }

    fn kind(&self) -> Kind {
        self.kind
    }

    fn answer(self: Box<Self>, outcome: Result<(), StoreError>) {
        let Self { result, reply, .. } = *self;
        let answer = outcome.and_then(|()| {
            result.ok_or_else(|| StoreError::Failed("a write was answered before it ran".into()))
        });
        // The caller may have gone; the write stays.
        let _ = reply.send(answer);
    }
}

enum Message {
    Write(Box<dyn Job>),
    Close,
}

/// The handle to the thread. Dropping it finishes what waits and closes the file.
#[derive(Debug)]
pub(crate) struct Writer {
    messages: Option<mpsc::Sender<Message>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    ended: Arc<OnceLock<StoreError>>,
    trouble: Trouble,
    tail: Tail,
    busy: Busy,
}

/// Whether the last transaction was not written.
type Trouble = Arc<AtomicBool>;
/// Whether there are transactions after the last flush.
type Tail = Arc<AtomicBool>;

/// Since when the thread is at a group; none while it waits for one.
type Busy = Arc<Mutex<Option<Instant>>>;

impl Writer {
    /// Starts the thread, which owns the connection, and the claim until the connection is closed.
    pub(crate) fn start(
        connection: Connection,
        claim: Claim,
        path: &Path,
        options: &Options,
    ) -> Result<Self, StoreError> {
        let (messages, inbox) = mpsc::channel(options.queue.max(1));
        let (ended, trouble, busy) = (Arc::new(OnceLock::new()), Trouble::default(), Busy::default());
        // Whoever wrote here before may not have flushed the last of it.
        let tail = Tail::new(AtomicBool::new(true));
        let mut thread = Thread {
            connection,
            inbox,
            group: options.group.max(1),
            scrub_owed: false,
            last_group: 0,
            patience: Duration::ZERO,
            ended: Arc::clone(&ended),
            trouble: Arc::clone(&trouble),
            tail: Arc::clone(&tail),
            flushes: true,
            busy: Arc::clone(&busy),
            marked_every: options.marked_every,
            marked_at: Instant::now(),
            path: path.to_owned(),
            _claim: claim,
        };
        let thread = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || thread.serve())
            .map_err(|error| StoreError::Unusable(format!("the system gives no thread: {error}")))?;
        Ok(Self { messages: Some(messages), thread: Mutex::new(Some(thread)), ended, trouble, tail, busy })
    }

    /// Runs `work` in a transaction; when this returns readers see it, and it is on disk where its kind says so.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        kind: Kind,
        work: impl FnMut(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        let closed = || match self.ended.get() {
            Some(error) => error.clone(),
            None => StoreError::Unusable("it is closed, because the host is shutting down".into()),
        };
        let (reply, answer) = oneshot::channel();
        let job = Message::Write(Box::new(Task { work, kind, result: None, reply }));
        let messages = self.messages.as_ref().ok_or_else(closed)?;
        messages.send(job).await.map_err(|_| closed())?;
        answer.await.map_err(|_| {
            StoreError::Failed(
                "its writer stopped before it answered: start the host again, it reads what was written"
                    .into(),
            )
        })?
    }

    /// Whether the last transaction was not written.
    pub(crate) fn is_troubled(&self) -> bool {
        self.trouble.load(Ordering::Relaxed)
    }

    /// Whether something was written that a power cut would take.
    pub(crate) fn has_tail(&self) -> bool {
        self.tail.load(Ordering::Relaxed)
    }

    /// How long the thread has been at what it writes.
    pub(crate) fn busy_for(&self) -> Option<Duration> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner).map(|since| since.elapsed())
    }

    /// Finishes what waits, then closes the file. Later writes are refused.
    pub(crate) async fn close(&self) -> Result<(), StoreError> {
        if let Some(messages) = &self.messages {
            // An error says that the thread has ended already.
            let _ = messages.send(Message::Close).await;
        }
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(thread) = thread else { return Ok(()) };
        let broke = || StoreError::Failed("its writer broke off while it was closed".into());
        tokio::task::spawn_blocking(move || thread.join())
            .await
            .map_err(|_| broke())?
            .map_err(|_| broke())?;
        self.ended.get().map_or(Ok(()), |error| Err(error.clone()))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.messages = None;
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the store's writer broke off");
        }
    }
}

struct Thread {
    // Before the claim: fields are dropped in order.
    connection: Connection,
    inbox: mpsc::Receiver<Message>,
    group: usize,
    scrub_owed: bool,
    /// How many jobs came last time.
    last_group: usize,
    /// How long to wait for as many again.
    patience: Duration,
    ended: Arc<OnceLock<StoreError>>,
    trouble: Trouble,
    tail: Tail,
    /// Whether the connection flushes each transaction, as it stands now.
    flushes: bool,
    busy: Busy,
    marked_every: Duration,
    /// When the folder was last told how long the store is.
    marked_at: Instant,
    path: PathBuf,
    _claim: Claim,
}

type Outcomes = Vec<Result<(), StoreError>>;

/// Why no job of a group was written.
enum Undone {
    /// Space ran out: fewer jobs may still fit.
    Crowded,
    /// The transaction could not begin.
    Refused(StoreError),
    /// It is not known what is on disk.
    Unknown(StoreError),
}

impl Thread {
    fn serve(&mut self) {
        while let Some(jobs) = self.next_group() {
            let mut jobs = jobs;
            self.note_busy(Some(Instant::now()));
            let outcomes = self.write(&mut jobs);
            self.scrub_owed |= jobs.iter().any(|job| job.kind() == Kind::Scrubbing);
            self.scrub();
            for (job, outcome) in jobs.into_iter().zip(outcomes) {
                job.answer(outcome);
            }
            if self.ended.get().is_some() {
                self.note_busy(None);
                return;
            }
            // After the answers: nobody waits for this.
            if self.marked_at.elapsed() >= self.marked_every {
                self.mark();
            }
            self.note_busy(None);
        }
        self.mark();
        if let Err(error) = checkpoint(&self.connection) {
            tracing::warn!(%error, "the write-ahead log stays beside the store; the next start takes it in");
        }
    }

    fn note_busy(&self, since: Option<Instant>) {
        *self.busy.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    /// Tells the folder how long the store is: no longer than a power cut leaves it.
    fn mark(&mut self) {
        self.marked_at = Instant::now();
        let known = self.flush_tail().and_then(|()| file::known(&self.connection)).map_err(StoreError::from);
        if let Err(error) = known.and_then(|known| marker::write(&self.path, known)) {
            tracing::warn!(%error, "how long the store is was not noted beside it: an older one in its place would go unnoticed");
        }
    }

    /// Waits for a job and takes those that wait with it; none when the store is closed and all is done.
    ///
    /// Callers that were just answered are about to come back. Who does not wait for them flushes for the first one alone, then for
    /// the rest: twice the flushes. So it waits for as many as came last time, for a fraction of what a flush takes.
    fn next_group(&mut self) -> Option<Vec<Box<dyn Job>>> {
        let mut jobs = Vec::new();
        let mut deadline = None;
        while jobs.len() < self.group {
            let message = if jobs.is_empty() {
                // After `Close` this hands out what was sent before, then nothing.
                self.inbox.blocking_recv()?
            } else {
                match self.inbox.try_recv() {
                    Ok(message) => message,
                    Err(TryRecvError::Empty) if jobs.len() < self.last_group && !self.inbox.is_closed() => {
                        let now = Instant::now();
                        if now >= *deadline.get_or_insert(now + self.patience) {
                            break;
                        }
                        std::thread::sleep(POLL);
                        continue;
                    }
                    Err(_) => break,
                }
            };
            match message {
                Message::Write(job) => jobs.push(job),
                Message::Close => self.inbox.close(),
            }
        }
        self.last_group = jobs.len();
        Some(jobs)
    }

    fn write(&mut self, jobs: &mut [Box<dyn Job>]) -> Outcomes {
        let before = self.connection.total_changes();
        let written = self.together(jobs);
        let is_full = |outcome: &Result<(), StoreError>| matches!(outcome, Err(StoreError::Full));
        let failed = written.as_ref().map_or(true, |outcomes| outcomes.iter().any(is_full));
        // What changed nothing says nothing of the disk.
        if failed || self.connection.total_changes() > before {
            self.trouble.store(failed, Ordering::Relaxed);
        }
        match written {
            Ok(outcomes) => outcomes,
            Err(Undone::Crowded) if jobs.len() > 1 => {
                let mut outcomes = Outcomes::with_capacity(jobs.len());
                for job in jobs {
                    outcomes.append(&mut self.write(std::slice::from_mut(job)));
                }
                outcomes
            }
            Err(Undone::Crowded) => jobs.iter().map(|_| Err(StoreError::Full)).collect(),
            Err(Undone::Refused(error)) => jobs.iter().map(|_| Err(error.clone())).collect(),
            Err(Undone::Unknown(error)) => {
                tracing::error!(%error, "the store stops");
                let _ = self.ended.set(error.clone());
                jobs.iter().map(|_| Err(error.clone())).collect()
            }
        }
    }

    /// All jobs in one transaction.
    fn together(&mut self, jobs: &mut [Box<dyn Job>]) -> Result<Outcomes, Undone> {
        if let Some(error) = self.ended.get() {
            return Err(Undone::Refused(error.clone()));
        }
        let flushes = jobs.iter().any(|job| job.kind() != Kind::Plain(Durability::WithTheNext));
        let begun = self.set_flushes(flushes).and_then(|()| self.execute("BEGIN IMMEDIATE"));
        begun.map_err(|error| Undone::Refused(Fault::from(error).into()))?;
        let mut outcomes = Outcomes::with_capacity(jobs.len());
        for job in jobs.iter_mut() {
            let outcome = self.alone(job.as_mut()).map_err(|error| self.take_back(error))?;
            // SQLite takes the whole transaction back when it runs out of space or memory in the wrong place.
            if self.connection.is_autocommit() {
                return Err(match outcome {
                    Err(Fault::Sqlite(error)) if !is_space(&error) => {
                        Undone::Refused(Fault::from(error).into())
                    }
                    _ => Undone::Crowded,
                });
            }
            outcomes.push(outcome.map_err(StoreError::from));
        }
        let start = Instant::now();
        self.execute("COMMIT").map_err(|error| self.take_back(error))?;
        if flushes {
            self.patience = (start.elapsed() / 8).min(PATIENCE_MAX);
        }
        // Before anyone is answered: who then asks for a flush gets one.
        self.tail.store(!flushes, Ordering::Relaxed);
        Ok(outcomes)
    }

    /// Has the next transactions flushed, or not. The flush of one takes along all that were written before it.
    fn set_flushes(&mut self, flushes: bool) -> rusqlite::Result<()> {
        if self.flushes != flushes {
            let level = if flushes { "full" } else { "normal" };
            self.connection.pragma_update(None, "synchronous", level)?;
            self.flushes = flushes;
        }
        Ok(())
    }

    fn flush_tail(&mut self) -> Result<(), Fault> {
        self.set_flushes(true)?;
        if self.tail.load(Ordering::Relaxed) {
            touch(&self.connection)?;
            self.tail.store(false, Ordering::Relaxed);
        }
        Ok(())
    }

    /// One job in its savepoint. The outer error: the savepoint cannot be trusted, so the transaction must not be committed.
    fn alone(&self, job: &mut dyn Job) -> rusqlite::Result<Result<(), Fault>> {
        self.execute("SAVEPOINT job")?;
        let outcome = job.run(&self.connection);
        if self.connection.is_autocommit() {
            return Ok(outcome);
        }
        if outcome.is_err() {
            self.execute("ROLLBACK TO job")?;
        }
        self.execute("RELEASE job")?;
        Ok(outcome)
    }

    /// After a transaction that cannot be committed.
    fn take_back(&self, error: rusqlite::Error) -> Undone {
        let clean = self.connection.is_autocommit() || self.execute("ROLLBACK").is_ok();
        let known = is_space(&error)
            || matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::OutOfMemory));
        match (clean && known, is_space(&error)) {
            (true, true) => Undone::Crowded,
            (true, false) => Undone::Refused(Fault::from(error).into()),
            // A flush that failed may succeed when repeated, although the data is lost: only a fresh start reads what is there.
            (false, _) => Undone::Unknown(StoreError::Failed(format!(
                "a flush failed ({error}): check the disk, then start the host again, it reads what was written"
            ))),
        }
    }

    fn execute(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.execute([]).map(drop)
    }

    /// Takes erased content out of the write-ahead log; tried again at the next write if a reader is in the way.
    fn scrub(&mut self) {
        if !self.scrub_owed || self.ended.get().is_some() {
            return;
        }
        let patient = self.connection.busy_timeout(Duration::from_millis(50));
        match patient.and_then(|()| checkpoint(&self.connection)) {
            Ok(done) => self.scrub_owed = !done,
            Err(error) => tracing::warn!(%error, "erased content stays in the write-ahead log for now"),
        }
        if let Err(error) = self.connection.busy_timeout(crate::file::BUSY_TIMEOUT) {
            tracing::warn!(%error, "the store waits less for other programs");
        }
    }
}

/// A write that says nothing: a transaction without one is not flushed.
/// It differs each time: SQLite writes no page that is as it was, and a commit without pages neither flushes nor finds a disk full.
pub(crate) fn touch(connection: &Connection) -> Result<(), Fault> {
    let mut once = connection.prepare_cached(
        "INSERT INTO notes (name, value) VALUES (?1, randomblob(16)) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    )?;
    once.execute([WRITABLE])?;
    Ok(())
}

/// Moves the write-ahead log into the file and empties it; false if a reader was in the way.
fn checkpoint(connection: &Connection) -> rusqlite::Result<bool> {
    connection
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0))
        .map(|busy| busy == 0)
}
