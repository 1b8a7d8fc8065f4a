-- An item's versions take slots: 0 where there is one version, as nearly always. The index holds the
-- sixteen bytes that an id is, not the text it is written as, so a push changes fewer pages of it.

ALTER TABLE synced_entries ADD COLUMN slot INTEGER NOT NULL DEFAULT 0;
ALTER TABLE synced_memories ADD COLUMN slot INTEGER NOT NULL DEFAULT 0;
ALTER TABLE synced_tags ADD COLUMN slot INTEGER NOT NULL DEFAULT 0;

UPDATE synced_entries AS it SET slot = (
    SELECT COUNT(*) FROM synced_entries AS other WHERE other.id = it.id
    AND (other.device_id, other.counter) < (it.device_id, it.counter)
) WHERE id IN (SELECT id FROM synced_entries GROUP BY id HAVING COUNT(*) > 1);
UPDATE synced_memories AS it SET slot = (
    SELECT COUNT(*) FROM synced_memories AS other WHERE other.id = it.id
    AND (other.device_id, other.counter) < (it.device_id, it.counter)
) WHERE id IN (SELECT id FROM synced_memories GROUP BY id HAVING COUNT(*) > 1);
UPDATE synced_tags AS it SET slot = (
    SELECT COUNT(*) FROM synced_tags AS other WHERE other.id = it.id
    AND (other.device_id, other.counter) < (it.device_id, it.counter)
) WHERE id IN (SELECT id FROM synced_tags GROUP BY id HAVING COUNT(*) > 1);

DROP INDEX synced_entries_id;
DROP INDEX synced_memories_id;
DROP INDEX synced_tags_id;
CREATE UNIQUE INDEX synced_entries_id ON synced_entries (unhex(id, '-'), slot);
CREATE UNIQUE INDEX synced_memories_id ON synced_memories (unhex(id, '-'), slot);
CREATE UNIQUE INDEX synced_tags_id ON synced_tags (unhex(id, '-'), slot);
