-- An id of a caller's is there once also where a row is changed. Nothing changes an id; the opening writes those of older
-- rows in another form.
CREATE TRIGGER email_messages_caller_once_changed
BEFORE UPDATE OF tenant_id, kind, caller_id, caller_key, caller_hash ON email_messages
WHEN NEW.caller_hash IS NOT NULL AND EXISTS (
    SELECT 1 FROM email_messages m
    WHERE m.tenant_id = NEW.tenant_id AND m.kind = NEW.kind AND m.caller_hash = NEW.caller_hash
        AND m.caller_id IS NEW.caller_id AND m.caller_key IS NEW.caller_key AND m.id <> NEW.id
)
BEGIN
    SELECT RAISE(ABORT, 'a caller''s id is there once');
END;
