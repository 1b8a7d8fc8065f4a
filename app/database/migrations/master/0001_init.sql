-- Who exists. Nothing here says anything about what anybody wrote.

CREATE TABLE schema_version (
    version INTEGER NOT NULL,
    applied_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX schema_version_version ON schema_version (version);

CREATE TABLE account (
    user_id TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('creating', 'active')),
    created_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX account_id ON account (user_id);

-- The authority on devices: a user's own database holds a working copy.
CREATE TABLE device (
    device_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    key_thumbprint BLOB NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('active', 'revoked')),
    generation INTEGER NOT NULL,
    public_key BLOB NOT NULL,
    wrapping_key BLOB,
    wrapping_key_signature BLOB,
    device_type TEXT NOT NULL,
    platform TEXT NOT NULL,
    device_name TEXT,
    created_at INTEGER NOT NULL,
    revoked_at INTEGER
);
CREATE UNIQUE INDEX device_id ON device (device_id);
CREATE UNIQUE INDEX device_thumbprint ON device (key_thumbprint);
CREATE INDEX device_user ON device (user_id);

-- A challenge works once; it is remembered until it would have expired.
CREATE TABLE spent_challenge (
    digest BLOB NOT NULL,
    expires_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX spent_challenge_digest ON spent_challenge (digest);
CREATE INDEX spent_challenge_expiry ON spent_challenge (expires_at);

-- Pairings live five minutes; the sealed payload is erased when the new device has it.
CREATE TABLE pairing (
    pairing_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    state TEXT NOT NULL,
    commitment BLOB,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    public_key BLOB,
    key_thumbprint BLOB,
    wrapping_key BLOB,
    wrapping_key_signature BLOB,
    device_type TEXT,
    platform TEXT,
    device_name TEXT,
    nonce BLOB,
    signature BLOB,
    mac BLOB,
    existing_nonce BLOB,
    wrapped_cek BLOB,
    ciphertext BLOB,
    approval BLOB,
    new_device_id TEXT
);
CREATE UNIQUE INDEX pairing_id ON pairing (pairing_id);
CREATE INDEX pairing_user ON pairing (user_id);
CREATE INDEX pairing_expiry ON pairing (expires_at);

CREATE TABLE guard (
    ok INTEGER NOT NULL
);
