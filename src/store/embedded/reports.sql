-- What was counted: one row for a subject and step of time (0 minute, 1 hour, 2 day; `at` counts
-- them since the epoch). The step comes first: what is folded together and swept together lies
-- together, and a report of one subject is a look-up for each of its points.
CREATE TABLE report (
  step    INTEGER NOT NULL,
  at      INTEGER NOT NULL,
  lane    INTEGER NOT NULL,
  kind    INTEGER NOT NULL,              -- 0 workspace, 1 host, 2 campaign, 3 canvas, 4 template
  subject TEXT    NOT NULL,              -- number of the host, id of the others
  figures BLOB    NOT NULL,
  PRIMARY KEY (step, at, lane, kind, subject)
) STRICT, WITHOUT ROWID;
-- What commits counted and nobody has folded into `report` yet: one row a commit.
CREATE TABLE report_delta (
  number  INTEGER PRIMARY KEY,
  figures BLOB NOT NULL
) STRICT;
-- Who was reached in a day, by a digest of the recipient; a bit for each hour of it.
CREATE TABLE reach (
  day     INTEGER NOT NULL,
  lane    INTEGER NOT NULL,
  kind    INTEGER NOT NULL,
  subject TEXT    NOT NULL,
  who     BLOB    NOT NULL,
  hours   INTEGER NOT NULL,
  PRIMARY KEY (day, lane, kind, subject, who)
) STRICT, WITHOUT ROWID;
CREATE INDEX tally_hour ON tally (hour);

-- Entries of the activity log about the same host, kind and status are one row a minute (`same`).
ALTER TABLE activity ADD COLUMN host INTEGER;
ALTER TABLE activity ADD COLUMN first_at INTEGER;   -- NULL: `at`
ALTER TABLE activity ADD COLUMN count INTEGER NOT NULL DEFAULT 1;
ALTER TABLE activity ADD COLUMN same TEXT;
CREATE UNIQUE INDEX activity_same ON activity (same) WHERE same IS NOT NULL;
CREATE INDEX activity_host ON activity (lane, host, number) WHERE host IS NOT NULL;
CREATE INDEX activity_lane_at ON activity (lane, at);
