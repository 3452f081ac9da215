-- A checksum of what is sent, since a flipped bit in the file would else go out as it is.
-- NULL in rows from before there was one.
ALTER TABLE delivery ADD COLUMN checksum INTEGER;
