//! Signals: durable before they are answered, counted when they repeat.

use ripcord_core::name::{ServiceName, SignalId, SourceName};
use ripcord_core::signal::Signal;
use ripcord_core::time::UnixMillis;
use ripcord_ports::store::{
    Accepted, NewSignal, SignalFilter, StoreError, StoredSignal, Turn, UnreadableSignal,
};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::error::{Fault, damaged, integer, refused};

/// Signals that wait are handed out in lists of so many bytes at most; one that is larger comes alone.
const WAITING_BYTES_MAX: usize = 4 << 20;

/// A signal as the table has it; made on the caller's thread.
#[derive(Debug)]
pub(crate) struct Line {
    id: SignalId,
    service: Option<ServiceName>,
    source: Option<SourceName>,
    dedupe_key: [u8; 32],
    /// Unix milliseconds.
    received_at: i64,
    window_ms: i64,
    turn: Option<Turn>,
    body: String,
}

impl Line {
    /// Encodes `new`.
    pub(crate) fn new(new: NewSignal) -> Result<Self, StoreError> {
        let body = serde_json::to_string(&new.signal)
            .map_err(|error| refused(format!("signal `{}` cannot be encoded: {error}", new.signal.id)))?;
        Ok(Self {
            dedupe_key: *new.dedupe_key.as_bytes(),
            received_at: integer(new.signal.received_at.0),
            window_ms: integer(new.dedupe_window.0),
            turn: new.turn,
            id: new.signal.id,
            service: new.service,
            source: new.source,
            body,
        })
    }
}

/// Takes in `lines`, all or none.
pub(crate) fn accept(connection: &Connection, lines: &[Line]) -> Result<Vec<Accepted>, Fault> {
    lines.iter().map(|line| accept_one(connection, line)).collect()
}

fn accept_one(connection: &Connection, line: &Line) -> Result<Accepted, Fault> {
    // On both sides: a clock that was ahead for a while must not swallow what comes after it was set right.
    let first = connection
        .prepare_cached(
            "SELECT position, id, sender FROM signals WHERE dedupe_key = ?1 AND received_at > ?2 AND received_at < ?3
             ORDER BY received_at DESC, position DESC LIMIT 1",
        )?
        .query_row(
            params![
                line.dedupe_key,
                line.received_at.saturating_sub(line.window_ms),
                line.received_at.saturating_add(line.window_ms)
            ],
            |row| Ok(Said { position: row.get(0)?, id: row.get(1)?, sender: row.get(2)? }),
        )
        .optional()?;
    if let Some(first) = first {
        let again = said_again(connection, line, &first)?;
        if again == Again::Repeat {
            note_sender(connection, line, &first)?;
        }
        if again != Again::News {
            return repeat(connection, first.position, &first.id);
        }
    }
    let inserted = connection
        .prepare_cached(
            "INSERT INTO signals (id, service, source, dedupe_key, received_at, sender, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (id) DO NOTHING",
        )?
        .execute(params![
            line.id.as_str(),
            line.service.as_ref().map(ServiceName::as_str),
            line.source.as_ref().map(SourceName::as_str),
            line.dedupe_key,
            line.received_at,
            line.turn.as_ref().map(|turn| turn.sender.as_bytes()),
            line.body
        ])?;
    if inserted == 1 {
        return Ok(Accepted::Stored(line.id.clone()));
    }
    // The caller tries again what it does not know the outcome of, or ids are not random.
    let (position, body): (i64, String) = connection
        .prepare_cached("SELECT position, body FROM signals WHERE id = ?1")?
        .query_row([line.id.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if body != line.body {
        return Err(
            refused(format!("signal id `{}` is taken by another signal: draw a new one", line.id)).into()
        );
    }
    repeat(connection, position, line.id.as_str())
}

/// The newest signal with the same key.
struct Said {
    position: i64,
    id: String,
    /// The first who said it.
    sender: Option<Vec<u8>>,
}

/// What a word is whose key was seen within the window.
#[derive(PartialEq, Eq)]
enum Again {
    /// Nothing came in between.
    Repeat,
    /// Another word came in between, and this one was overtaken by it. That its sender said it only now must not make the next one news.
    Late,
    /// The alert has changed again.
    News,
}

/// See [`Turn::is_news`].
fn said_again(connection: &Connection, line: &Line, first: &Said) -> Result<Again, Fault> {
    let Some(turn) = &line.turn else { return Ok(Again::Repeat) };
    let other: Option<String> = connection
        .prepare_cached(
            "SELECT body FROM signals WHERE dedupe_key IN (?1, ?2) AND position > ?3 ORDER BY position DESC LIMIT 1",
        )?
        .query_row(
            params![turn.other_keys[0].as_bytes(), turn.other_keys[1].as_bytes(), first.position],
            |row| row.get(0),
        )
        .optional()?;
    let Some(other) = other else { return Ok(Again::Repeat) };
    let read = |body: &str| serde_json::from_str::<Signal>(body).map_err(|error| damaged("a signal", error));
    // Where the other word cannot be read, this one is rather judged once too often than never.
    let (word, Ok(other)) = (read(&line.body)?, read(&other)) else { return Ok(Again::News) };
    let said_before = has_said(connection, turn, first)?;
    Ok(if turn.is_news(&word, &other, said_before) { Again::News } else { Again::Late })
}

fn has_said(connection: &Connection, turn: &Turn, first: &Said) -> Result<bool, Fault> {
    if first.sender.as_deref() == Some(turn.sender.as_bytes()) {
        return Ok(true);
    }
    Ok(connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM said WHERE position = ?1 AND sender = ?2)")?
        .query_row(params![first.position, turn.sender.as_bytes()], |row| row.get(0))?)
}

fn note_sender(connection: &Connection, line: &Line, first: &Said) -> Result<(), Fault> {
    let Some(turn) = &line.turn else { return Ok(()) };
    if has_said(connection, turn, first)? {
        return Ok(());
    }
    let others_max = i64::try_from(Turn::SENDERS_MAX - 1).unwrap_or(i64::MAX);
    connection
        .prepare_cached(
            "INSERT INTO said (position, sender) SELECT ?1, ?2
             WHERE (SELECT count(*) FROM said WHERE position = ?1) < ?3",
        )?
        .execute(params![first.position, turn.sender.as_bytes(), others_max])?;
    Ok(())
}

fn repeat(connection: &Connection, position: i64, id: &str) -> Result<Accepted, Fault> {
    connection
        .prepare_cached("UPDATE signals SET times = min(times + 1, 4294967295) WHERE position = ?1")?
        .execute([position])?;
    let id = SignalId::new(id).map_err(|error| damaged("a signal", error))?;
    Ok(Accepted::Repeated(id))
}

/// Marks `ids` as consumed by `service`; each must wait for it.
pub(crate) fn consume(connection: &Connection, service: &ServiceName, ids: &[SignalId]) -> Result<(), Fault> {
    for id in ids {
        let changed = connection
            .prepare_cached(
                "UPDATE signals SET consumed = 1 WHERE id = ?1 AND service = ?2 AND consumed = 0",
            )?
            .execute([id.as_str(), service.as_str()])?;
        if changed != 1 {
            return Err(
                refused(format!("signal `{id}` does not wait for `{service}`: read the list again")).into()
            );
        }
    }
    Ok(())
}

/// What a filter asks for; owned, because it crosses threads.
#[derive(Debug, Clone)]
pub(crate) enum Wanted {
    /// Newest first.
    Unrouted,
    /// Oldest first.
    Waiting(ServiceName),
}

impl From<SignalFilter<'_>> for Wanted {
    fn from(filter: SignalFilter<'_>) -> Self {
        match filter {
            SignalFilter::Unrouted => Self::Unrouted,
            SignalFilter::Waiting(service) => Self::Waiting(service.clone()),
        }
    }
}

/// Lists signals. What cannot be read is passed over.
pub(crate) fn signals(
    connection: &Connection,
    wanted: &Wanted,
    limit: u32,
) -> Result<Vec<StoredSignal>, Fault> {
    let mut statement;
    let mut rows = match wanted {
        Wanted::Unrouted => {
            statement = connection.prepare_cached(
                "SELECT body, source, service, times, consumed, id FROM signals WHERE service IS NULL AND consumed = 0
                 ORDER BY position DESC",
            )?;
            statement.query([])?
        }
        Wanted::Waiting(service) => {
            statement = connection.prepare_cached(
                "SELECT body, source, service, times, consumed, id FROM signals WHERE service = ?1 AND consumed = 0
                 ORDER BY position",
            )?;
            statement.query([service.as_str()])?
        }
    };
    // The statement has no limit of its own: rows that cannot be read must not take the place of those that can.
    let mut signals = Vec::new();
    let mut bytes = 0;
    while signals.len() < limit as usize
        && let Some(row) = rows.next()?
    {
        let size = row.get_ref(0)?.as_bytes().map_or(0, <[u8]>::len);
        if matches!(wanted, Wanted::Waiting(_)) && bytes + size > WAITING_BYTES_MAX && !signals.is_empty() {
            break;
        }
        match stored(row) {
            Ok(signal) => {
                bytes += size;
                signals.push(signal);
            }
            Err(fault) => {
                let id: String = row.get(5).unwrap_or_default();
                tracing::warn!(id, error = %StoreError::from(fault), "a signal cannot be read and is passed over");
            }
        }
    }
    Ok(signals)
}

/// Signals that [`signals`] passes over, among the `limit` of `service` that wait longest: what can be read before them does not wait for long.
pub(crate) fn unreadable(
    connection: &Connection,
    service: &ServiceName,
    limit: u32,
) -> Result<Vec<UnreadableSignal>, Fault> {
    let mut statement = connection.prepare_cached(
        "SELECT body, source, service, times, consumed, id FROM signals WHERE service = ?1 AND consumed = 0
         ORDER BY position LIMIT ?2",
    )?;
    let mut rows = statement.query(params![service.as_str(), limit])?;
    let mut unreadable = Vec::new();
    while let Some(row) = rows.next()? {
        if let Err(fault) = stored(row) {
            let id: String = row.get(5)?;
            let id = SignalId::new(id).map_err(|error| damaged("a signal's id", error))?;
            unreadable.push(UnreadableSignal { id, why: StoreError::from(fault).to_string() });
        }
    }
    Ok(unreadable)
}

fn stored(row: &Row<'_>) -> Result<StoredSignal, Fault> {
    let body: String = row.get(0)?;
    let signal: Signal = serde_json::from_str(&body).map_err(|error| damaged("a signal", error))?;
    let what = || format!("signal `{}`", signal.id);
    let id: String = row.get(5)?;
    if id != signal.id.as_str() {
        // It could be read and never be consumed, and would hold up all that wait behind it.
        return Err(damaged(what(), format!("its row is of signal `{id}`")).into());
    }
    let source = row.get::<_, Option<String>>(1)?.map(SourceName::new).transpose();
    let source = source.map_err(|error| damaged(what(), error))?;
    let service = row.get::<_, Option<String>>(2)?.map(ServiceName::new).transpose();
    let service = service.map_err(|error| damaged(what(), error))?;
    let consumed = row.get::<_, i64>(4)? == 1;
    Ok(StoredSignal { source, service, times: row.get(3)?, consumed, signal })
}

/// Forgets what was consumed, or had no route, before `before`.
pub(crate) fn forget(connection: &Connection, before: UnixMillis, limit: u32) -> Result<u64, Fault> {
    let forgotten = connection
        .prepare_cached(
            "DELETE FROM signals WHERE position IN (
                 SELECT position FROM signals WHERE received_at < ?1 AND (consumed = 1 OR (consumed = 0 AND service IS NULL))
                 ORDER BY received_at LIMIT ?2)",
        )?
        .execute(params![integer(before.0), limit])?;
    Ok(forgotten as u64)
}

/// Services that have signals waiting, by name. A name that no service can have is passed over.
pub(crate) fn services(connection: &Connection) -> Result<Vec<ServiceName>, Fault> {
    // One step down the index a service, however many signals each has.
    let mut statement = connection.prepare_cached(
        "WITH RECURSIVE each (service) AS (
             SELECT min(service) FROM signals WHERE consumed = 0
             UNION ALL
             SELECT (SELECT min(service) FROM signals WHERE consumed = 0 AND service > each.service)
             FROM each WHERE each.service IS NOT NULL)
         SELECT service FROM each WHERE service IS NOT NULL",
    )?;
    let mut rows = statement.query([])?;
    let mut names = Vec::new();
    while let Some(row) = rows.next()? {
        names.extend(ServiceName::new(row.get::<_, String>(0)?).ok());
    }
    Ok(names)
}
