//! Signals: durable before they are answered, counted when they repeat.

use ripcord_core::name::{ServiceName, SignalId, SourceName};
use ripcord_core::signal::Signal;
use ripcord_core::time::UnixMillis;
use ripcord_ports::store::{Accepted, NewSignal, SetAside, SignalFilter, StoreError, StoredSignal};
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
            "SELECT position, id FROM signals WHERE dedupe_key = ?1 AND received_at > ?2 AND received_at < ?3
             ORDER BY received_at DESC, position DESC LIMIT 1",
        )?
        .query_row(
            params![
                line.dedupe_key,
                line.received_at.saturating_sub(line.window_ms),
                line.received_at.saturating_add(line.window_ms)
            ],
            |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)),
        )
        .optional()?;
    if let Some((position, id)) = first {
        return repeat(connection, position, &id);
    }
    let inserted = connection
        .prepare_cached(
            "INSERT INTO signals (id, service, source, dedupe_key, received_at, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (id) DO NOTHING",
        )?
        .execute(params![
            line.id.as_str(),
            line.service.as_ref().map(ServiceName::as_str),
            line.source.as_ref().map(SourceName::as_str),
            line.dedupe_key,
            line.received_at,
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
            .prepare_cached("UPDATE signals SET state = 1 WHERE id = ?1 AND service = ?2 AND state = 0")?
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

/// What a look at the intake found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Those that can be read.
    pub(crate) signals: Vec<StoredSignal>,
    /// The places of those that cannot: to be set aside.
    pub(crate) unreadable: Vec<i64>,
}

/// Unreadable ones that one look passes over at most, so that it ends.
const UNREADABLE_MAX: usize = 1_024;

/// Lists signals. What cannot be read is passed over.
pub(crate) fn signals(connection: &Connection, wanted: &Wanted, limit: u32) -> Result<Found, Fault> {
    let mut statement;
    let mut rows = match wanted {
        Wanted::Unrouted => {
            statement = connection.prepare_cached(
                "SELECT body, source, service, times, state, position FROM signals WHERE service IS NULL AND state = 0
                 ORDER BY position DESC",
            )?;
            statement.query([])?
        }
        Wanted::Waiting(service) => {
            statement = connection.prepare_cached(
                "SELECT body, source, service, times, state, position FROM signals WHERE service = ?1 AND state = 0
                 ORDER BY position",
            )?;
            statement.query(params![service.as_str()])?
        }
    };
    let mut found = Found::default();
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut bytes = 0;
    while found.signals.len() < limit && found.unreadable.len() < UNREADABLE_MAX {
        let Some(row) = rows.next()? else { break };
        bytes += row.get_ref(0)?.as_bytes().map_or(0, <[u8]>::len);
        if matches!(wanted, Wanted::Waiting(_)) && bytes > WAITING_BYTES_MAX && !found.signals.is_empty() {
            break;
        }
        match stored(row) {
            Ok(signal) => found.signals.push(signal),
            Err(Fault::Store(StoreError::Damaged(_))) => found.unreadable.push(row.get(5)?),
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

fn stored(row: &Row<'_>) -> Result<StoredSignal, Fault> {
    let body: String = row.get(0)?;
    let signal: Signal = serde_json::from_str(&body).map_err(|error| damaged("a signal", error))?;
    let what = || format!("signal `{}`", signal.id);
    let source = row.get::<_, Option<String>>(1)?.map(SourceName::new).transpose();
    let source = source.map_err(|error| damaged(what(), error))?;
    let service = row.get::<_, Option<String>>(2)?.map(ServiceName::new).transpose();
    let service = service.map_err(|error| damaged(what(), error))?;
    let consumed = row.get::<_, i64>(4)? == 1;
    Ok(StoredSignal { source, service, times: row.get(3)?, consumed, signal })
}

/// Takes signals that cannot be read out of the way of others. They are kept.
pub(crate) fn put_aside(connection: &Connection, positions: &[i64]) -> Result<(), Fault> {
    let mut update =
        connection.prepare_cached("UPDATE signals SET state = 2 WHERE position = ?1 AND state = 0")?;
    for position in positions {
        update.execute([position])?;
    }
    Ok(())
}

/// Signals that cannot be read: those that were put aside, oldest first.
pub(crate) fn set_aside(connection: &Connection, limit: u32) -> Result<Vec<SetAside>, Fault> {
    let mut statement = connection.prepare_cached(
        "SELECT body, source, service, times, state, position, id, received_at FROM signals WHERE state = 2
         ORDER BY position LIMIT ?1",
    )?;
    let mut rows = statement.query([limit])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        let why = match stored(row) {
            Ok(_) => "it could not be read when it was due".to_owned(),
            Err(error) => error.to_string(),
        };
        all.push(SetAside {
            signal: row.get(6)?,
            service: row.get(2)?,
            received_at: UnixMillis(u64::try_from(row.get::<_, i64>(7)?).unwrap_or_default()),
            why,
        });
    }
    Ok(all)
}

/// Forgets what was consumed, or had no route, before `before`.
pub(crate) fn forget(connection: &Connection, before: UnixMillis, limit: u32) -> Result<u64, Fault> {
    let forgotten = connection
        .prepare_cached(
            "DELETE FROM signals WHERE position IN (
                 SELECT position FROM signals WHERE received_at < ?1 AND (state = 1 OR (state = 0 AND service IS NULL))
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
             SELECT min(service) FROM signals WHERE state = 0
             UNION ALL
             SELECT (SELECT min(service) FROM signals WHERE state = 0 AND service > each.service)
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
