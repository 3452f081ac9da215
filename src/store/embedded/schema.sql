-- Every delivery; `seq` is the order of acceptance.
-- state: 0 pending, 1 parked, 2 delivered, 3 failed, 4 exhausted, 5 expired, 6 cancelled.
-- Times are milliseconds since the epoch. `head` comes last: the columns before it are read often
-- and stay on the row's first page.
CREATE TABLE delivery (
  seq         INTEGER PRIMARY KEY,
  host        INTEGER NOT NULL,
  id          BLOB    NOT NULL,
  state       INTEGER NOT NULL,
  due         INTEGER NOT NULL,
  expires     INTEGER NOT NULL,
  accepted    INTEGER NOT NULL,
  ended       INTEGER,
  attempts    INTEGER NOT NULL,
  retries     INTEGER NOT NULL,
  last_status INTEGER,
  lane        INTEGER NOT NULL,
  priority    INTEGER NOT NULL,
  size        INTEGER NOT NULL,
  okey        TEXT,
  on_failure  INTEGER NOT NULL,          -- 1: a failure blocks the ordering key
  blocks      INTEGER NOT NULL,          -- 1: ended without success and holds its key back
  ttl         INTEGER NOT NULL,
  ttl_custom  INTEGER NOT NULL,
  trigger_id  BLOB,                      -- NULL for the first delivery of its trigger
  tenure      INTEGER NOT NULL DEFAULT 0,
  hop         INTEGER NOT NULL,
  head        TEXT    NOT NULL
) STRICT;

-- The host number is part of the id: one index serves 'by id' and 'by host, newest first'.
CREATE UNIQUE INDEX delivery_id ON delivery (host, id);
-- The queue of a host. A settlement takes its entry out by updating the row.
CREATE INDEX delivery_pending ON delivery (host, due) WHERE state = 0;
-- Ordering keys: who is in line, and who goes now.
CREATE INDEX delivery_key ON delivery (host, lane, okey, seq)
  WHERE okey IS NOT NULL AND (state < 2 OR blocks = 1);
CREATE INDEX delivery_key_head ON delivery (host, lane, okey)
  WHERE okey IS NOT NULL AND state = 0;
-- Expiry of what its host's actor does not watch over.
CREATE INDEX delivery_own_expiry ON delivery (expires) WHERE state = 0 AND ttl_custom = 1;
CREATE INDEX delivery_parked ON delivery (expires, host) WHERE state = 1;
-- Dead letters, of all hosts and of one.
CREATE INDEX delivery_dead ON delivery (seq) WHERE state IN (3, 4, 5);
CREATE INDEX delivery_dead_of ON delivery (host, id) WHERE state IN (3, 4, 5);
CREATE INDEX delivery_trigger ON delivery (trigger_id, seq) WHERE trigger_id IS NOT NULL;
-- Retention, in order of ending: the sweep never walks over what is still owed.
CREATE INDEX delivery_over ON delivery (ended) WHERE ended IS NOT NULL AND blocks = 0;

CREATE TABLE body (
  seq   INTEGER PRIMARY KEY,
  bytes BLOB NOT NULL
) STRICT;

CREATE TABLE tag (
  key   TEXT    NOT NULL,
  value TEXT    NOT NULL,
  seq   INTEGER NOT NULL,
  PRIMARY KEY (key, value, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE attempt (
  seq     INTEGER NOT NULL,
  number  INTEGER NOT NULL,
  started INTEGER NOT NULL,
  status  INTEGER,
  detail  TEXT    NOT NULL,
  body    BLOB,
  PRIMARY KEY (seq, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE host (
  number   INTEGER PRIMARY KEY,
  name     TEXT NOT NULL UNIQUE,
  saved    TEXT,
  controls TEXT                          -- NULL while they are the default
) STRICT;
CREATE INDEX host_controlled ON host (name) WHERE controls IS NOT NULL;

CREATE TABLE interval (
  number    INTEGER PRIMARY KEY,
  host      INTEGER NOT NULL,
  condition TEXT    NOT NULL,
  reason    TEXT    NOT NULL,
  begun     INTEGER NOT NULL,
  ended     INTEGER                      -- NULL while it lasts
) STRICT;
CREATE INDEX interval_host ON interval (host, begun);
CREATE INDEX interval_over ON interval (ended) WHERE ended IS NOT NULL;

CREATE TABLE idempotency (
  workspace   INTEGER NOT NULL,
  key         TEXT    NOT NULL,
  fingerprint BLOB    NOT NULL,
  answer      BLOB    NOT NULL,
  expires     INTEGER NOT NULL,
  PRIMARY KEY (workspace, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_expires ON idempotency (expires);

-- One row. `accepted` is also the last `seq` given; `commits` tells whether a commit whose answer
-- was lost took place.
CREATE TABLE counts (
  only      INTEGER PRIMARY KEY CHECK (only = 1),
  commits   INTEGER NOT NULL,
  accepted  INTEGER NOT NULL,
  delivered INTEGER NOT NULL,
  failed    INTEGER NOT NULL,
  exhausted INTEGER NOT NULL,
  expired   INTEGER NOT NULL,
  cancelled INTEGER NOT NULL
) STRICT;
INSERT INTO counts VALUES (1, 0, 0, 0, 0, 0, 0, 0);
