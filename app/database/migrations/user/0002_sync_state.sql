-- The per-user sequence, and the exact sums that limits and status are answered from.

CREATE TABLE sync_state (
    seq INTEGER NOT NULL,
    tag BLOB NOT NULL,
    epoch BLOB NOT NULL,
    key_epoch INTEGER NOT NULL,
    used_bytes INTEGER NOT NULL,
    live_entries INTEGER NOT NULL,
    live_memories INTEGER NOT NULL,
    live_tags INTEGER NOT NULL,
    conflicts INTEGER NOT NULL
);
INSERT INTO sync_state VALUES (0, x'', x'', 1, 0, 0, 0, 0, 0);

-- A random tag per commit: a cursor names the commit it was given in, so that a database restored
-- from a backup is noticed even after its sequence has grown past the cursor again.
CREATE TABLE sync_commit (
    seq INTEGER PRIMARY KEY,
    tag BLOB NOT NULL
);

-- Always empty: a guard tries to insert NULL here, and so ends the batch it stands in.
CREATE TABLE guard (
    ok INTEGER NOT NULL
);
