-- Uploads in parts that have begun.
CREATE TABLE upload (
    path TEXT PRIMARY KEY,
    upload INTEGER NOT NULL,
    base TEXT NOT NULL,
    inode INTEGER NOT NULL,         -- of the file when it began
    size INTEGER NOT NULL,
    mtime INTEGER NOT NULL,         -- nanoseconds
    ctime INTEGER NOT NULL
) STRICT;
