-- What an account's devices should know of each other: the newest hundred, for a year.

CREATE TABLE security_event (
    kind TEXT NOT NULL,
    at INTEGER NOT NULL,
    device_id TEXT
);
CREATE UNIQUE INDEX security_event_once ON security_event (at, kind, COALESCE(device_id, ''));
