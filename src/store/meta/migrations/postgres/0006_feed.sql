-- The feed of changes by id: in the order of (seq, id), which needs both in the index.
DROP INDEX node_feed;
CREATE INDEX node_feed ON node (space, seq, id);

-- When a collection last came back from trash: what lies below it has not changed, but whoever
-- threw it away has to list it again.
ALTER TABLE node ADD COLUMN restored BIGINT NOT NULL DEFAULT 0;

-- Nodes that are no more, for those who knew them.
CREATE TABLE tombstone (
    space BIGINT NOT NULL,
    seq   BIGINT NOT NULL,
    node  BIGINT NOT NULL,
    PRIMARY KEY (space, seq, node)
);

-- A conflict is looked up by its winner when the loser arrives once more.
CREATE INDEX conflict_node ON conflict (node) WHERE resolved_at IS NULL;
