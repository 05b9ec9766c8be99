-- How a content is cut: 0 small, 1 large chunks. NULL in rows from before: their size says it.
ALTER TABLE content ADD COLUMN class BIGINT;
