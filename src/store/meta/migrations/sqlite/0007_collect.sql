-- Collection: what nothing names is flagged with the epoch in which that was seen, and deleted once
-- nobody can be at work who saw it without the flag. docs/adr/0011-collection.md says why.
ALTER TABLE content ADD COLUMN dead BIGINT;      -- epoch in which nothing named it
ALTER TABLE content ADD COLUMN dead_at BIGINT;   -- and when that was
ALTER TABLE chunk ADD COLUMN dead BIGINT;        -- epoch in which no manifest had it

-- Who may append to a segment: nobody when NULL, or when that process has no row.
ALTER TABLE segment ADD COLUMN process BIGINT;
ALTER TABLE segment ADD COLUMN closing BOOLEAN NOT NULL DEFAULT FALSE;  -- it is asked to stop

CREATE INDEX node_content ON node (content) WHERE content IS NOT NULL;
CREATE INDEX version_content ON version (content);
CREATE INDEX content_dead ON content (dead) WHERE dead IS NOT NULL;
CREATE INDEX content_chunked ON content (space, id) WHERE manifest IS NOT NULL;
CREATE INDEX chunk_segment ON chunk (segment, start);
CREATE INDEX segment_open ON segment (process) WHERE process IS NOT NULL;

-- Those who use the store now, and the oldest epoch that anything they hold goes back to.
CREATE TABLE process (
    id    INTEGER PRIMARY KEY AUTOINCREMENT,
    until BIGINT  NOT NULL,              -- it is believed to be gone when it has not said more by then
    floor BIGINT  NOT NULL
);

-- Segments without rows whose files go, or went not long ago.
CREATE TABLE gone_segment (
    name     BLOB    PRIMARY KEY,
    at       BIGINT  NOT NULL,
    unlinked BOOLEAN NOT NULL DEFAULT FALSE
) WITHOUT ROWID;
