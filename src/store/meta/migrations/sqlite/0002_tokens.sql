-- Log-ins by token, from log-in to log-out. What has ended has no row.
CREATE TABLE token_family (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    account_id BIGINT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    device_id  BIGINT UNIQUE REFERENCES devices (id) ON DELETE CASCADE,
    handle     BLOB   NOT NULL UNIQUE,       -- SHA-256 of what all its refresh tokens share
    secret     BLOB   NOT NULL,              -- SHA-256 of the secret of the refresh token
    spare      BLOB,                         -- of a second one, when the answer with the first was lost
    previous   BLOB,                         -- of the one that these replaced
    rotated_at BIGINT NOT NULL,              -- when that was; at first the log-in
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL               -- the end whatever happens
);
CREATE INDEX token_family_account ON token_family (account_id);

-- Codes that let a device in once. Those used or replaced have no row.
CREATE TABLE pairing_code (
    hash       BLOB   PRIMARY KEY,           -- keyed, because a short code is soon guessed
    account_id BIGINT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    expires_at BIGINT NOT NULL
) WITHOUT ROWID;
