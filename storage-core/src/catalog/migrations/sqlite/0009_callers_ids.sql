-- Callers' ids and Message-IDs take less.

-- A caller's id of a usual shape is kept as what it stands for: 16 bytes for 22 digits of base64url, 17 (the first one 0)
-- for a UUID. Any other stays in caller_id. caller_hash: the first 4 bytes of the id's SHA-256, which is found by it; rows
-- that are older get theirs when the catalog is opened.
ALTER TABLE email_messages ADD COLUMN caller_key BLOB
    CHECK (caller_key IS NULL OR (length(caller_key) IN (16, 17) AND caller_id IS NULL));
ALTER TABLE email_messages ADD COLUMN caller_hash INTEGER
    CHECK (caller_hash BETWEEN -2147483648 AND 2147483647);

DROP INDEX email_messages_by_caller;
CREATE INDEX email_messages_by_caller ON email_messages (tenant_id, kind, caller_hash)
    WHERE caller_hash IS NOT NULL;

-- The index is not unique, an id still is.
CREATE TRIGGER email_messages_caller_once BEFORE INSERT ON email_messages
WHEN NEW.caller_hash IS NOT NULL AND EXISTS (
    SELECT 1 FROM email_messages m
    WHERE m.tenant_id = NEW.tenant_id AND m.kind = NEW.kind AND m.caller_hash = NEW.caller_hash
        AND m.caller_id IS NEW.caller_id AND m.caller_key IS NEW.caller_key
)
BEGIN
    SELECT RAISE(ABORT, 'a caller''s id is there once');
END;

-- Half of the hash finds a message, the row has all of it.
DROP INDEX email_messages_by_message_id;
CREATE INDEX email_messages_by_message_id ON email_messages (tenant_id, message_id_hash >> 32)
    WHERE message_id_hash IS NOT NULL;
