-- The queue of a host by workspace (lane): one lane's million is never read to find another's first.
DROP INDEX delivery_pending;
CREATE INDEX delivery_pending ON delivery (host, lane, due) WHERE state = 0;
-- What is owed to a workspace is counted by the indexes alone.
DROP INDEX delivery_parked;
CREATE INDEX delivery_parked ON delivery (expires, host, lane) WHERE state = 1;
