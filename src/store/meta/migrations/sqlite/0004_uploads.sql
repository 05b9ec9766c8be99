-- Uploads that are taken in several requests. Nothing but these rows knows of their bytes.
CREATE TABLE upload (
    id       INTEGER  PRIMARY KEY AUTOINCREMENT,
    account  BIGINT   NOT NULL,
    space    BIGINT   NOT NULL,
    path     TEXT     NOT NULL,           -- where it will go, in the account's tree
    size     BIGINT   NOT NULL,           -- bytes announced
    base     TEXT,                        -- ETag of what the writer changed, or 'none'
    mtime    BIGINT,                      -- as the client states it
    created  BIGINT,                      -- likewise
    checksum TEXT,                        -- as stated, proven at the end
    received BIGINT   NOT NULL DEFAULT 0, -- bytes that are durable
    manifest BLOB     NOT NULL,           -- their chunks
    tail     BLOB,                        -- those behind the last chunk, sealed
    used_at  BIGINT   NOT NULL,           -- when bytes last came
    made     TEXT                         -- what finishing it answered
);
CREATE INDEX upload_account ON upload (account, used_at);
CREATE INDEX upload_stale ON upload (used_at);
