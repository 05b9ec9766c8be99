-- What the server does by itself. Each job is run by one process at a time.
CREATE TABLE job (
    name   TEXT   PRIMARY KEY,
    holder BIGINT NOT NULL,              -- the run that has it, or had it last: a random number
    until  BIGINT NOT NULL,              -- until when no other may
    due    BIGINT NOT NULL               -- when it is to run next
);

-- What has been in trash for long enough, in all spaces.
CREATE INDEX node_trashed ON node (trashed) WHERE trashed IS NOT NULL;

-- How far the feed's memory of what is gone reaches: turns up to this one are forgotten.
ALTER TABLE space ADD COLUMN feed_floor BIGINT NOT NULL DEFAULT 0;

-- The last turn of a space at a time, noted now and then: what translates an age into a turn.
CREATE TABLE turn_at (
    space BIGINT NOT NULL,
    at    BIGINT NOT NULL,
    seq   BIGINT NOT NULL,
    PRIMARY KEY (space, at)
);
