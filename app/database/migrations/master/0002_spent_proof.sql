-- Proofs without a nonce of ours: one that was used before a restart must not work after it.

CREATE TABLE spent_proof (
    digest BLOB NOT NULL,
    expires_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX spent_proof_digest ON spent_proof (digest);
CREATE INDEX spent_proof_expiry ON spent_proof (expires_at);
