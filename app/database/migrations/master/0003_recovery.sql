-- One recovery phrase per account, of which only a hash and a sealed bundle are here. A removed one
-- leaves who removed it and when, so that every device can be told.

CREATE TABLE recovery (
    user_id TEXT NOT NULL,
    locator BLOB,
    authenticator_hash BLOB,
    delay_seconds INTEGER NOT NULL,
    set_at INTEGER NOT NULL,
    set_by TEXT NOT NULL,
    started_at INTEGER,
    is_pending INTEGER NOT NULL DEFAULT 0,
    used_at INTEGER,
    used_by TEXT,
    removed_at INTEGER,
    removed_by TEXT,
    bundle BLOB
);
CREATE UNIQUE INDEX recovery_user ON recovery (user_id);
CREATE UNIQUE INDEX recovery_locator ON recovery (locator);
