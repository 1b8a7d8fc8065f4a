-- One row per session: a chain of refresh tokens that began with one proof of a device's key.

CREATE TABLE token_family (
    family_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    generation INTEGER NOT NULL,
    current_hash BLOB NOT NULL,
    previous_hash BLOB,
    confirmed_at INTEGER,
    created_at INTEGER NOT NULL,
    refreshed_at INTEGER NOT NULL,
    ends_at INTEGER NOT NULL,
    number INTEGER NOT NULL, -- later sessions have higher ones
    status TEXT NOT NULL CHECK (status IN ('active', 'ended'))
);
CREATE UNIQUE INDEX token_family_id ON token_family (family_id);
CREATE INDEX token_family_device ON token_family (device_id, number);
