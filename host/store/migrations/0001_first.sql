-- Named values that are written once, when the store is made.
CREATE TABLE identity (
    name  TEXT PRIMARY KEY NOT NULL,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TRIGGER identity_is_never_changed BEFORE UPDATE ON identity
BEGIN SELECT RAISE(ABORT, 'the identity of a store is never changed'); END;
CREATE TRIGGER identity_is_never_deleted BEFORE DELETE ON identity
BEGIN SELECT RAISE(ABORT, 'the identity of a store is never deleted'); END;

-- The journals. `position` is the order in which records came to this store, over all services.
CREATE TABLE records (
    position INTEGER PRIMARY KEY,
    service  TEXT NOT NULL,
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

-- What records refer to. Erasing takes content and salt; the row stays and says so.
CREATE TABLE blobs (
    commitment BLOB PRIMARY KEY NOT NULL CHECK (length(commitment) = 32),
    kind       TEXT NOT NULL,
    salt       BLOB,
    content    BLOB,
    erased_at  INTEGER,
    CHECK ((content IS NULL) = (erased_at IS NOT NULL) AND (salt IS NULL) = (content IS NULL))
) STRICT;

CREATE TRIGGER blobs_are_only_erased BEFORE UPDATE ON blobs
WHEN NEW.content IS NOT NULL OR OLD.erased_at IS NOT NULL
  OR NEW.commitment <> OLD.commitment OR NEW.kind <> OLD.kind
BEGIN SELECT RAISE(ABORT, 'a blob is never changed, only erased'); END;
CREATE TRIGGER blobs_are_never_deleted BEFORE DELETE ON blobs
BEGIN SELECT RAISE(ABORT, 'a blob is erased, its row is never deleted'); END;

-- The intake. `service` is null for what no route took.
CREATE TABLE signals (
    position    INTEGER PRIMARY KEY,
    id          TEXT NOT NULL UNIQUE,
    service     TEXT,
    source      TEXT,
    dedupe_key  BLOB NOT NULL CHECK (length(dedupe_key) = 32),
    received_at INTEGER NOT NULL,
    times       INTEGER NOT NULL DEFAULT 1,
    consumed    INTEGER NOT NULL DEFAULT 0 CHECK (consumed IN (0, 1)),
    body        TEXT NOT NULL
) STRICT;
CREATE INDEX signals_by_dedupe_key ON signals (dedupe_key, received_at);
CREATE INDEX signals_waiting ON signals (service, position) WHERE consumed = 0;

-- Derived from the journals.
CREATE TABLE incidents (
    id        TEXT PRIMARY KEY NOT NULL,
    service   TEXT NOT NULL,
    opened_at INTEGER NOT NULL,
    summary   TEXT NOT NULL,
    body      TEXT NOT NULL
) STRICT;
CREATE INDEX incidents_by_time ON incidents (opened_at);
CREATE INDEX incidents_by_service ON incidents (service, opened_at);

CREATE TABLE components (
    digest BLOB PRIMARY KEY NOT NULL CHECK (length(digest) = 32),
    bytes  BLOB NOT NULL
) STRICT;

CREATE TABLE notes (
    name  TEXT PRIMARY KEY NOT NULL,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
