-- Named values that are written once, when the store is made.
CREATE TABLE identity (
    name  TEXT PRIMARY KEY NOT NULL,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TRIGGER identity_is_never_changed BEFORE UPDATE ON identity
BEGIN SELECT RAISE(ABORT, 'the identity of a store is never changed'); END;
CREATE TRIGGER identity_is_never_deleted BEFORE DELETE ON identity
BEGIN SELECT RAISE(ABORT, 'the identity of a store is never deleted'); END;

-- A short number for each service that has a journal: its name would stand in each of millions of records.
CREATE TABLE services (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

-- The journals. `position` is the order in which records came to this store, over all services. `bytes` are packed, see `pack.rs`.
CREATE TABLE records (
    position INTEGER PRIMARY KEY,
    service  INTEGER NOT NULL,
    number   INTEGER NOT NULL CHECK (number >= 0),
    hash     BLOB NOT NULL CHECK (length(hash) = 32),
    bytes    BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX records_in_order ON records (service, number);

CREATE TRIGGER records_are_never_changed BEFORE UPDATE ON records
BEGIN SELECT RAISE(ABORT, 'a record of a journal is never changed'); END;
CREATE TRIGGER records_are_never_deleted BEFORE DELETE ON records
BEGIN SELECT RAISE(ABORT, 'a record of a journal is never deleted'); END;
-- Also what stops `INSERT OR REPLACE`, which fires no delete trigger by default.
CREATE TRIGGER records_follow_each_other BEFORE INSERT ON records
WHEN NEW.number <> (SELECT coalesce(max(number) + 1, 0) FROM records WHERE service = NEW.service)
BEGIN SELECT RAISE(ABORT, 'a record is only added at the end of its journal'); END;
CREATE TRIGGER records_keep_their_position BEFORE INSERT ON records
WHEN EXISTS (SELECT 1 FROM records WHERE position = NEW.position)
BEGIN SELECT RAISE(ABORT, 'the position of a record is taken'); END;

-- What records refer to. `content` is packed. A blob is never changed; it goes when its mark stands in `erased`.
CREATE TABLE blobs (
    id         INTEGER PRIMARY KEY,
    commitment BLOB NOT NULL UNIQUE CHECK (length(commitment) = 32),
    kind       TEXT NOT NULL,
    salt       BLOB NOT NULL CHECK (length(salt) = 32),
    content    BLOB NOT NULL
) STRICT;
-- The first bytes of the commitments of blobs that were erased: what is missing without one was lost.
CREATE TABLE erased (
    mark BLOB PRIMARY KEY NOT NULL CHECK (length(mark) = 12)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER blobs_are_never_changed BEFORE UPDATE ON blobs
BEGIN SELECT RAISE(ABORT, 'a blob is never changed, only erased'); END;
CREATE TRIGGER blobs_go_when_marked BEFORE DELETE ON blobs
WHEN NOT EXISTS (SELECT 1 FROM erased WHERE mark = substr(OLD.commitment, 1, 12))
BEGIN SELECT RAISE(ABORT, 'a blob is erased, never deleted without its mark'); END;
CREATE TRIGGER erased_stay_erased BEFORE DELETE ON erased
BEGIN SELECT RAISE(ABORT, 'what was erased stays erased'); END;

-- Which records need which content, for what and since when: what of old content may go. Derived from the journals. `place` is 0 for a blob of
-- this store, 1 for an object of evidence, 2 for the component that made a decision.
CREATE TABLE uses (
    service  INTEGER NOT NULL,
    class    TEXT NOT NULL,
    at       INTEGER NOT NULL,
    number   INTEGER NOT NULL,
    place    INTEGER NOT NULL CHECK (place IN (0, 1, 2)),
    digest   BLOB NOT NULL CHECK (length(digest) = 32),
    incident TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (service, class, at, number, place, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX uses_of_content ON uses (digest, place);

-- The intake. `service` is null for what no route took. `consumed` is 0 while it waits, 1 when its journal has it or says that it cannot be read.
CREATE TABLE signals (
    position    INTEGER PRIMARY KEY,
    id          TEXT NOT NULL UNIQUE,
    service     TEXT,
    source      TEXT,
    dedupe_key  BLOB NOT NULL CHECK (length(dedupe_key) = 32),
    received_at INTEGER NOT NULL,
    times       INTEGER NOT NULL DEFAULT 1,
    sender      BLOB,
    consumed    INTEGER NOT NULL DEFAULT 0 CHECK (consumed IN (0, 1)),
    body        TEXT NOT NULL
) STRICT;
-- Other senders that said the same; see `Turn` in the ports.
CREATE TABLE said (
    position INTEGER NOT NULL,
    sender   BLOB NOT NULL CHECK (length(sender) = 32),
    PRIMARY KEY (position, sender)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER senders_are_forgotten_with_the_signal AFTER DELETE ON signals
BEGIN DELETE FROM said WHERE position = OLD.position; END;
CREATE INDEX signals_by_dedupe_key ON signals (dedupe_key, received_at);
CREATE INDEX signals_waiting ON signals (service, position) WHERE consumed = 0;
CREATE INDEX signals_by_age ON signals (received_at);

-- The read model: derived from the journals. `seal` is over the row, so that one that was changed is not believed.
CREATE TABLE incidents (
    id        TEXT PRIMARY KEY NOT NULL,
    service   TEXT NOT NULL,
    opened_at INTEGER NOT NULL,
    summary   TEXT NOT NULL,
    body      TEXT NOT NULL,
    seal      BLOB NOT NULL
) STRICT;
CREATE INDEX incidents_by_time ON incidents (opened_at);
CREATE INDEX incidents_by_service ON incidents (service, opened_at);

-- Runs of records that incidents' pages tell of.
CREATE TABLE timelines (
    incident TEXT NOT NULL,
    first    INTEGER NOT NULL,
    last     INTEGER NOT NULL,
    PRIMARY KEY (incident, first)
) STRICT, WITHOUT ROWID;

CREATE TABLE changes (
    service INTEGER NOT NULL,
    number  INTEGER NOT NULL,
    body    TEXT NOT NULL,
    PRIMARY KEY (service, number)
) STRICT, WITHOUT ROWID;

-- States at one length of a journal. `incident` is the one whose page is read from it.
CREATE TABLE snapshots (
    service  INTEGER NOT NULL,
    length   INTEGER NOT NULL,
    hash     BLOB NOT NULL,
    format   INTEGER NOT NULL,
    seal     BLOB NOT NULL,
    state    BLOB NOT NULL,
    incident TEXT,
    PRIMARY KEY (service, length)
) STRICT;

CREATE TABLE components (
    digest BLOB PRIMARY KEY NOT NULL CHECK (length(digest) = 32),
    bytes  BLOB NOT NULL
) STRICT;

CREATE TABLE notes (
    name  TEXT PRIMARY KEY NOT NULL,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
