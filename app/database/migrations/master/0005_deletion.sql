-- Accounts that were deleted. While the work goes on, the id says whose files are to go; of what is
-- done a keyed hash is left, which only whoever has the id already can compare.

CREATE TABLE deletion (
    account_hash BLOB NOT NULL,
    user_id TEXT,
    begun_at INTEGER NOT NULL,
    erased_at INTEGER
);
CREATE UNIQUE INDEX deletion_account ON deletion (account_hash);
CREATE INDEX deletion_unfinished ON deletion (begun_at) WHERE erased_at IS NULL;

-- When to look whether an account was ever used (NULL: it was, and nobody looks again).
ALTER TABLE account ADD COLUMN look_at INTEGER;
UPDATE account SET look_at = created_at + 2592000;
CREATE INDEX account_look ON account (look_at) WHERE look_at IS NOT NULL;
