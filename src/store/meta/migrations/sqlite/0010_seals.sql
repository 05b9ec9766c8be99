-- Keys that seal what is stored in a space: the newest, and older ones while something is left that
-- they sealed. A space without one is sealed by its own key. docs/adr/0014-sealing-anew.md says why.
CREATE TABLE seal (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    space   BIGINT NOT NULL REFERENCES space (id),
    wrapped BLOB   NOT NULL
);
CREATE INDEX seal_space ON seal (space, id);

-- What older keys may have sealed, while something of it is left: rows up to these.
CREATE TABLE reseal (
    one      BIGINT PRIMARY KEY,          -- always 1
    segments BIGINT NOT NULL,
    contents BIGINT NOT NULL,
    uploads  BIGINT NOT NULL,
    done     BIGINT NOT NULL DEFAULT 0    -- contents up to this one are sealed anew
);
