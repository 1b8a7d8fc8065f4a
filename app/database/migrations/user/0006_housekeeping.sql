-- What housekeeping did: the highest place of an item that was purged, the oldest commit whose tag
-- is still kept, and how many versions there are.

ALTER TABLE sync_state ADD COLUMN purged_seq INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sync_state ADD COLUMN kept_from INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sync_state ADD COLUMN versions INTEGER NOT NULL DEFAULT 0;
UPDATE sync_state SET versions = (SELECT COUNT(*) FROM synced_entries)
 + (SELECT COUNT(*) FROM synced_memories) + (SELECT COUNT(*) FROM synced_tags);

-- Tombstones by age; a live version is in none of these.
CREATE INDEX synced_entries_dead ON synced_entries (received_at) WHERE is_deleted = 1;
CREATE INDEX synced_memories_dead ON synced_memories (received_at) WHERE is_deleted = 1;
CREATE INDEX synced_tags_dead ON synced_tags (received_at) WHERE is_deleted = 1;
