-- What composition keeps. `due` is when somebody has to look at a record.
CREATE TABLE record (
  kind    INTEGER NOT NULL,
  key     TEXT    NOT NULL,
  lane    INTEGER NOT NULL DEFAULT 0,    -- the workspace
  version INTEGER NOT NULL,
  due     INTEGER,
  value   TEXT    NOT NULL,
  PRIMARY KEY (kind, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX record_due ON record (kind, due) WHERE due IS NOT NULL;

-- Counts by hour.
CREATE TABLE tally (
  subject TEXT    NOT NULL,
  hour    INTEGER NOT NULL,
  part    TEXT    NOT NULL,
  what    TEXT    NOT NULL,
  number  INTEGER NOT NULL,
  PRIMARY KEY (subject, hour, part, what)
) STRICT, WITHOUT ROWID;

-- The activity log.
CREATE TABLE activity (
  number    INTEGER PRIMARY KEY,
  at        INTEGER NOT NULL,
  kind      TEXT    NOT NULL,
  subject   TEXT,
  recipient TEXT,
  entry     TEXT    NOT NULL
) STRICT;
CREATE INDEX activity_at ON activity (at);
CREATE INDEX activity_subject ON activity (subject, number) WHERE subject IS NOT NULL;
CREATE INDEX activity_recipient ON activity (recipient, number) WHERE recipient IS NOT NULL;

-- What a composed delivery is counted under: a campaign or canvas, U+001F, and the part of it.
ALTER TABLE delivery ADD COLUMN counted TEXT;
