-- What the server does by itself. Each job is run by one process at a time.
CREATE TABLE job (
    name   TEXT   PRIMARY KEY,
    holder BIGINT NOT NULL,              -- the run that has it, or had it last: a random number
    until  BIGINT NOT NULL,              -- until when no other may
    due    BIGINT NOT NULL               -- when it is to run next
) WITHOUT ROWID;

-- What has been in trash for long enough, in all spaces.
CREATE INDEX node_trashed ON node (trashed) WHERE trashed IS NOT NULL;
