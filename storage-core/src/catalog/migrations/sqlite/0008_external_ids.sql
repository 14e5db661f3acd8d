-- External ids, each once: messages refer to them by number. A row goes with the last message that refers to it.
CREATE TABLE external_ids (
    id        INTEGER PRIMARY KEY,
    tenant_id INTEGER NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    uuid      BLOB NOT NULL CHECK (length(uuid) = 16),
    UNIQUE (tenant_id, uuid)
) STRICT;

INSERT INTO external_ids (tenant_id, uuid)
    SELECT tenant_id, campaign_id FROM email_messages WHERE campaign_id IS NOT NULL
    UNION SELECT tenant_id, account_id FROM email_messages WHERE account_id IS NOT NULL
    UNION SELECT tenant_id, lead_id FROM email_messages WHERE lead_id IS NOT NULL;

ALTER TABLE email_messages ADD COLUMN campaign INTEGER REFERENCES external_ids (id) ON DELETE RESTRICT;
ALTER TABLE email_messages ADD COLUMN account INTEGER REFERENCES external_ids (id) ON DELETE RESTRICT;
ALTER TABLE email_messages ADD COLUMN lead INTEGER REFERENCES external_ids (id) ON DELETE RESTRICT;

UPDATE email_messages SET
    campaign = (SELECT e.id FROM external_ids e WHERE e.tenant_id = email_messages.tenant_id AND e.uuid = campaign_id),
    account = (SELECT e.id FROM external_ids e WHERE e.tenant_id = email_messages.tenant_id AND e.uuid = account_id),
    lead = (SELECT e.id FROM external_ids e WHERE e.tenant_id = email_messages.tenant_id AND e.uuid = lead_id)
WHERE campaign_id IS NOT NULL OR account_id IS NOT NULL OR lead_id IS NOT NULL;

DROP INDEX email_messages_by_campaign;
DROP INDEX email_messages_by_account;
DROP INDEX email_messages_by_lead;
ALTER TABLE email_messages DROP COLUMN campaign_id;
ALTER TABLE email_messages DROP COLUMN account_id;
ALTER TABLE email_messages DROP COLUMN lead_id;

-- An external id belongs to one tenant, so its number alone says whose.
CREATE INDEX email_messages_by_campaign ON email_messages (campaign) WHERE campaign IS NOT NULL;
CREATE INDEX email_messages_by_account ON email_messages (account) WHERE account IS NOT NULL;
CREATE INDEX email_messages_by_lead ON email_messages (lead) WHERE lead IS NOT NULL;

-- dense: pages of the file when it was rewritten last.
CREATE TABLE marks (
    name  TEXT PRIMARY KEY CHECK (name IN ('sequence', 'dense')),
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO marks SELECT * FROM catalog_marks;
DROP TABLE catalog_marks;
ALTER TABLE marks RENAME TO catalog_marks;
