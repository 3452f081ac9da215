-- The indexes of dead letters without `IN`, for which SQLite builds a table in memory whenever a row
-- changes: six of them for each delivery.
DROP INDEX delivery_dead;
DROP INDEX delivery_dead_of;
CREATE INDEX delivery_dead ON delivery (seq) WHERE state > 2 AND state < 6;
CREATE INDEX delivery_dead_of ON delivery (host, id) WHERE state > 2 AND state < 6;
