-- Schema version 1 of a user's database. Row order and rowids mean nothing; content is ciphertext.

CREATE TABLE schema_version (
    version INTEGER NOT NULL,
    applied_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX schema_version_version ON schema_version (version);

-- A working copy of the master database's devices; the master database wins.
CREATE TABLE device_info (
    device_id TEXT NOT NULL,
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
    last_seen_day INTEGER NOT NULL,
    pulled_seq INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX device_info_id ON device_info (device_id);

-- One row per version; all versions of an item carry the sequence number of its last change.
CREATE TABLE synced_entries (
    id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    device_id TEXT NOT NULL,
    counter INTEGER NOT NULL,
    vector_clock TEXT NOT NULL,
    key_epoch INTEGER NOT NULL,
    is_deleted INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    size INTEGER NOT NULL,
    digest BLOB NOT NULL,
    encrypted_data BLOB NOT NULL
);
CREATE UNIQUE INDEX synced_entries_id ON synced_entries (id, device_id, counter);
CREATE INDEX synced_entries_seq ON synced_entries (seq, size);

CREATE TABLE synced_memories (
    id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    device_id TEXT NOT NULL,
    counter INTEGER NOT NULL,
    vector_clock TEXT NOT NULL,
    key_epoch INTEGER NOT NULL,
    is_deleted INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    size INTEGER NOT NULL,
    digest BLOB NOT NULL,
    encrypted_data BLOB NOT NULL
);
CREATE UNIQUE INDEX synced_memories_id ON synced_memories (id, device_id, counter);
CREATE INDEX synced_memories_seq ON synced_memories (seq, size);

CREATE TABLE synced_tags (
    id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    device_id TEXT NOT NULL,
    counter INTEGER NOT NULL,
    vector_clock TEXT NOT NULL,
    key_epoch INTEGER NOT NULL,
    is_deleted INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    size INTEGER NOT NULL,
    digest BLOB NOT NULL,
    encrypted_data BLOB NOT NULL,
    entry_id TEXT
);
CREATE UNIQUE INDEX synced_tags_id ON synced_tags (id, device_id, counter);
CREATE INDEX synced_tags_seq ON synced_tags (seq, size);

-- Vectors that only devices can open; filled by the embeddings feature.
CREATE TABLE entry_embeddings (
    entry_id TEXT NOT NULL,
    model TEXT NOT NULL,
    seq INTEGER NOT NULL,
    device_id TEXT NOT NULL,
    key_epoch INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    size INTEGER NOT NULL,
    encrypted_vector BLOB NOT NULL
);
CREATE UNIQUE INDEX entry_embeddings_entry ON entry_embeddings (entry_id, model);
CREATE INDEX entry_embeddings_seq ON entry_embeddings (seq);

-- What inference cost; filled by the LLM feature. No content, no prompt, no answer.
CREATE TABLE llm_usage (
    rid TEXT NOT NULL,
    device_id TEXT NOT NULL,
    day INTEGER NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    status TEXT NOT NULL,
    reserved_micros INTEGER NOT NULL,
    cost_micros INTEGER,
    created_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX llm_usage_rid ON llm_usage (rid);
CREATE INDEX llm_usage_day ON llm_usage (day);
