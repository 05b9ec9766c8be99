-- What both sides last had, and what the file system said of it then.
CREATE TABLE item (
    id INTEGER PRIMARY KEY,
    space INTEGER NOT NULL,
    parent INTEGER NOT NULL,
    name TEXT NOT NULL,
    kind INTEGER NOT NULL,          -- 0 collection, 1 file, 2 link
    etag TEXT NOT NULL,
    executable INTEGER NOT NULL,
    mount INTEGER NOT NULL,
    size INTEGER NOT NULL,
    mtime INTEGER NOT NULL,         -- milliseconds, as the server has it
    inode INTEGER,                  -- NULL: not to be relied on
    seen_size INTEGER,
    seen_mtime INTEGER,             -- nanoseconds
    seen_ctime INTEGER
) STRICT;
CREATE INDEX item_place ON item (parent, name);
CREATE INDEX item_etag ON item (etag) WHERE kind = 1;

-- Where the server differs from `item` and this side does not know yet: the remote tree is `item` below this.
CREATE TABLE pending (
    id INTEGER PRIMARY KEY,
    gone INTEGER NOT NULL,
    space INTEGER NOT NULL,
    parent INTEGER NOT NULL,
    name TEXT NOT NULL,
    kind INTEGER NOT NULL,
    etag TEXT NOT NULL,
    executable INTEGER NOT NULL,
    mount INTEGER NOT NULL,
    size INTEGER NOT NULL,
    mtime INTEGER NOT NULL
) STRICT;
CREATE INDEX pending_place ON pending (parent);

-- How a version is cut: 20 bytes for each chunk, as a manifest has them.
CREATE TABLE list (
    item INTEGER PRIMARY KEY,
    etag TEXT NOT NULL,
    space INTEGER NOT NULL,
    class INTEGER NOT NULL,         -- 0 small, 1 large
    root BLOB NOT NULL,
    chunks BLOB NOT NULL
) STRICT;
CREATE INDEX list_root ON list (root);

-- What could not be brought in step.
CREATE TABLE trouble (
    path TEXT PRIMARY KEY,
    what TEXT NOT NULL,
    since INTEGER NOT NULL,         -- milliseconds
    tries INTEGER NOT NULL,
    last INTEGER NOT NULL           -- milliseconds, when it was met last
) STRICT;

CREATE TABLE state (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
