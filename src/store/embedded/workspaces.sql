-- What composition keeps, apart for each workspace (`lane`).
CREATE TABLE record_of (
  lane    INTEGER NOT NULL,
  kind    INTEGER NOT NULL,
  key     TEXT    NOT NULL,
  version INTEGER NOT NULL,
  due     INTEGER,
  value   TEXT    NOT NULL,
  PRIMARY KEY (lane, kind, key)
) STRICT, WITHOUT ROWID;
INSERT INTO record_of SELECT lane, kind, key, version, due, value FROM record;
DROP TABLE record;
ALTER TABLE record_of RENAME TO record;
CREATE INDEX record_due ON record (lane, kind, due) WHERE due IS NOT NULL;
ALTER TABLE activity ADD COLUMN lane INTEGER NOT NULL DEFAULT 0;
-- Lists of a workspace. The default one is most of the rows where there are no others, and walks
-- them all; it pays for no index.
CREATE INDEX activity_lane ON activity (lane, number) WHERE lane > 0;
CREATE INDEX delivery_lane ON delivery (lane, seq) WHERE lane > 0;
CREATE INDEX delivery_lane_host ON delivery (lane, host, id) WHERE lane > 0;
