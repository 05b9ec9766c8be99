-- Times are milliseconds since 1970 UTC. Ids are positive 63-bit integers.

CREATE TABLE setting (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

-- The unit of ordering, dedup, keys and quota.
CREATE TABLE space (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    name        TEXT    NOT NULL UNIQUE,
    everyone    BOOLEAN NOT NULL,            -- mounted as /name in every account's root
    seq         BIGINT  NOT NULL DEFAULT 0,  -- last change
    last_node   BIGINT  NOT NULL DEFAULT 0,  -- nodes ever made; see NodeId::nth
    root        BIGINT  NOT NULL DEFAULT 0,
    quota       BIGINT,                      -- bytes of live files, NULL = no limit
    locks       BIGINT  NOT NULL DEFAULT 0,  -- rows in `lock`, so that writes can skip looking
    wrapped_key BLOB    NOT NULL
);

CREATE TABLE account (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    name       TEXT    NOT NULL,
    name_key   TEXT    NOT NULL UNIQUE,      -- lower case, NFC
    password   TEXT    NOT NULL,             -- argon2id PHC string
    admin      BOOLEAN NOT NULL,
    epoch      BIGINT  NOT NULL DEFAULT 1,   -- raised to invalidate cached credentials
    space      BIGINT  NOT NULL REFERENCES space (id),
    created_at BIGINT  NOT NULL
);

CREATE TABLE devices (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    account_id   BIGINT  NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    name         TEXT    NOT NULL,
    type         TEXT    NOT NULL,           -- webdav, linux, mobile, garmin, web
    secret_hash  BLOB    NOT NULL UNIQUE,    -- SHA-256 of the app password
    created_at   BIGINT  NOT NULL,
    last_sync    BIGINT,
    revoked_at   BIGINT
);
CREATE INDEX devices_account ON devices (account_id);

CREATE TABLE node (
    id         BIGINT   PRIMARY KEY,
    space      BIGINT   NOT NULL REFERENCES space (id),
    parent     BIGINT,                       -- NULL for the root of a space
    name       TEXT     NOT NULL,
    name_key   TEXT     NOT NULL,            -- NFC of name
    kind       SMALLINT NOT NULL,            -- 0 collection, 1 file
    content    BIGINT,                       -- current bytes of a file
    version    BIGINT   NOT NULL DEFAULT 0,  -- number of the current version of a file
    size       BIGINT   NOT NULL DEFAULT 0,
    mtime      BIGINT   NOT NULL,
    created    BIGINT   NOT NULL,            -- creation time as clients set it
    written    BIGINT   NOT NULL,            -- when the current version arrived
    device     BIGINT,                       -- who wrote it
    seq        BIGINT   NOT NULL,            -- last change of its own
    place_seq  BIGINT   NOT NULL,            -- last time it came to be where it is
    tree_seq   BIGINT   NOT NULL,            -- last change in its subtree
    tree_size  BIGINT   NOT NULL DEFAULT 0,  -- live bytes in its subtree
    trashed    BIGINT                        -- when it went to trash; parent and name say from where
);
CREATE UNIQUE INDEX node_child ON node (parent, name_key) WHERE trashed IS NULL;
CREATE INDEX node_feed ON node (space, seq);
CREATE INDEX node_trash ON node (space, trashed) WHERE trashed IS NOT NULL;

-- Names that vanished from a collection since; what a sync report must call gone.
CREATE TABLE gone (
    parent   BIGINT   NOT NULL,
    name_key TEXT     NOT NULL,
    name     TEXT     NOT NULL,
    kind     SMALLINT NOT NULL,
    space    BIGINT   NOT NULL,
    node     BIGINT   NOT NULL,
    seq      BIGINT   NOT NULL,
    PRIMARY KEY (parent, name_key)
) WITHOUT ROWID;
CREATE INDEX gone_feed ON gone (space, seq);

-- Previous contents of files. The current one is in `node`.
CREATE TABLE version (
    node    BIGINT NOT NULL,
    number  BIGINT NOT NULL,
    content BIGINT NOT NULL,
    size    BIGINT NOT NULL,
    mtime   BIGINT NOT NULL,
    written BIGINT NOT NULL,
    device  BIGINT,
    PRIMARY KEY (node, number)
) WITHOUT ROWID;

-- Immutable bytes. `root` is a keyed one-way image of the content hash, never the hash.
CREATE TABLE content (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    space    BIGINT NOT NULL,
    root     BLOB   NOT NULL,
    size     BIGINT NOT NULL,
    sealed   BLOB,                           -- the bytes themselves when small
    manifest BLOB,                           -- runs of chunk ids otherwise
    checksum TEXT,                           -- as the uploader stated it and we verified it
    UNIQUE (space, root)
);

CREATE TABLE segment (
    id    INTEGER PRIMARY KEY AUTOINCREMENT,
    name  BLOB   NOT NULL UNIQUE,            -- 16 random bytes, the file's name
    space BIGINT NOT NULL
);

CREATE TABLE chunk (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    space   BIGINT NOT NULL,
    blinded BLOB   NOT NULL,                 -- keyed one-way image of the chunk id
    segment BIGINT NOT NULL REFERENCES segment (id),
    start   BIGINT NOT NULL,
    stored  BIGINT NOT NULL,
    raw     BIGINT NOT NULL,
    UNIQUE (space, blinded)
);

CREATE TABLE prop (
    node  BIGINT NOT NULL,
    ns    TEXT   NOT NULL,
    name  TEXT   NOT NULL,
    xml   BLOB   NOT NULL,                   -- the whole element as it was set
    PRIMARY KEY (node, ns, name)
) WITHOUT ROWID;

CREATE TABLE lock (
    token      TEXT     PRIMARY KEY,
    space      BIGINT   NOT NULL,
    node       BIGINT   NOT NULL,
    account    BIGINT   NOT NULL,
    deep       BOOLEAN  NOT NULL,
    shared     BOOLEAN  NOT NULL,
    owner      BLOB,                         -- the owner element as the client sent it
    timeout    BIGINT   NOT NULL,            -- seconds granted
    expires_at BIGINT   NOT NULL
) WITHOUT ROWID;
CREATE INDEX lock_node ON lock (node);
CREATE INDEX lock_space ON lock (space);

-- A loser kept beside the winner until somebody resolves it.
CREATE TABLE conflict (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    space      BIGINT NOT NULL,
    node       BIGINT NOT NULL,              -- the winner
    copy       BIGINT NOT NULL,              -- the node that keeps the loser
    device     BIGINT,
    created_at BIGINT NOT NULL,
    resolved_at BIGINT
);
CREATE INDEX conflict_open ON conflict (space) WHERE resolved_at IS NULL;

CREATE TABLE sync_log (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    account_id BIGINT NOT NULL,
    device_id  BIGINT,
    space_id   BIGINT NOT NULL,
    file_id    BIGINT NOT NULL,
    action     TEXT   NOT NULL,
    size       BIGINT NOT NULL,
    at         BIGINT NOT NULL
);
CREATE INDEX sync_log_at ON sync_log (at);

CREATE VIEW files AS
SELECT id, space AS space_id, parent AS parent_id, name, size, content AS content_id, version,
       mtime AS modified_at, written AS uploaded_at, device AS device_id, trashed AS deleted_at
  FROM node WHERE kind = 1;
