-- Pairings of watches that have begun. Those whose time is over go when the next one begins.
CREATE TABLE watch_pairing (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    code        TEXT    NOT NULL UNIQUE,     -- the six digits the watch shows
    secret_hash BLOB    NOT NULL UNIQUE,     -- SHA-256 of what the watch polls with
    token_hash  BLOB    NOT NULL,            -- SHA-256 of the token it will get
    network     BLOB    NOT NULL,            -- where it began, because those are counted
    model       TEXT,                        -- what the watch calls itself
    expires_at  BIGINT  NOT NULL,
    device      BIGINT REFERENCES devices (id) ON DELETE CASCADE,  -- made when it is confirmed
    fetched     BOOLEAN NOT NULL DEFAULT FALSE  -- whether the token was given out
);
CREATE INDEX watch_pairing_device ON watch_pairing (device);
