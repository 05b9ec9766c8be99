-- What was found damaged stays where it is, and is offered to nobody who looks for bytes that are
-- stored already. The next upload of the same bytes brings it back.
ALTER TABLE chunk ADD COLUMN damaged BIGINT;     -- when its record was found not to open
ALTER TABLE content ADD COLUMN damaged BIGINT;   -- when its row was found to lead to no bytes

CREATE INDEX chunk_damaged ON chunk (id) WHERE damaged IS NOT NULL;
CREATE INDEX content_damaged ON content (id) WHERE damaged IS NOT NULL;
