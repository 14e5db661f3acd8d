-- The catalog: what exists and where. Rows are small: integer keys inside, UUIDs only where the outside sees them.
-- Every timestamp is milliseconds since 1970-01-01 UTC; every day is counted from there. An item's creation is
-- the time inside its UUIDv7.

CREATE TABLE tenants (
    id      INTEGER PRIMARY KEY,
    uuid    BLOB NOT NULL UNIQUE CHECK (length(uuid) = 16),
    name    TEXT NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 128),
    policy  TEXT,
    created INTEGER NOT NULL
) STRICT;

-- origin: 0 log, 1 rewrite, 2 large. tier: 0 hot .. 3 archive. state: 0 open, 1 sealed, 2 condemned.
-- committed_bytes is the watermark: frames beyond it are not in the catalog yet.
CREATE TABLE content_packs (
    id               INTEGER PRIMARY KEY,
    uuid             BLOB NOT NULL UNIQUE CHECK (length(uuid) = 16),
    origin           INTEGER NOT NULL CHECK (origin BETWEEN 0 AND 2),
    tier             INTEGER NOT NULL CHECK (tier BETWEEN 0 AND 3),
    state            INTEGER NOT NULL CHECK (state BETWEEN 0 AND 2),
    committed_bytes  INTEGER NOT NULL CHECK (committed_bytes >= 0),
    decoded_bytes    INTEGER NOT NULL CHECK (decoded_bytes >= 0),
    stream_bytes     INTEGER NOT NULL CHECK (stream_bytes >= 0),
    record_bytes     INTEGER NOT NULL CHECK (record_bytes >= 0),
    dictionary_bytes INTEGER NOT NULL CHECK (dictionary_bytes >= 0),
    index_bytes      INTEGER NOT NULL CHECK (index_bytes >= 0),
    created          INTEGER NOT NULL,
    condemned        INTEGER,
    CHECK ((state = 2) = (condemned IS NOT NULL)),
    CHECK (committed_bytes = stream_bytes + record_bytes + dictionary_bytes + index_bytes)
) STRICT;

-- origin: 0 trained, 1 sampled. state: 0 active, 1 retired.
CREATE TABLE content_dictionaries (
    id           INTEGER PRIMARY KEY,
    tenant_id    INTEGER NOT NULL REFERENCES tenants (id) ON DELETE RESTRICT,
    uuid         BLOB NOT NULL UNIQUE CHECK (length(uuid) = 16),
    class        INTEGER NOT NULL CHECK (class BETWEEN 0 AND 255),
    origin       INTEGER NOT NULL CHECK (origin BETWEEN 0 AND 1),
    state        INTEGER NOT NULL CHECK (state BETWEEN 0 AND 1),
    pack_id      INTEGER NOT NULL REFERENCES content_packs (id) ON DELETE RESTRICT,
    frame        INTEGER NOT NULL CHECK (frame >= 0),
    bytes        INTEGER NOT NULL CHECK (bytes > 0),
    stored_bytes INTEGER NOT NULL CHECK (stored_bytes > 0),
    gain         REAL NOT NULL,
    created      INTEGER NOT NULL
) STRICT;

-- Which packs hold blocks that need a dictionary: it stays as long as one of them does.
CREATE TABLE content_pack_dictionaries (
    pack_id       INTEGER NOT NULL REFERENCES content_packs (id) ON DELETE CASCADE,
    dictionary_id INTEGER NOT NULL REFERENCES content_dictionaries (id) ON DELETE RESTRICT,
    PRIMARY KEY (pack_id, dictionary_id)
) STRICT, WITHOUT ROWID;

-- kind: 0 message, 1 content (a body or attachment stored by itself: its skeleton is one part).
-- campaign_id, account_id and lead_id are rows of another database; the application checks that they are UUIDs.
CREATE TABLE email_messages (
    id              INTEGER PRIMARY KEY,
    tenant_id       INTEGER NOT NULL REFERENCES tenants (id) ON DELETE RESTRICT,
    kind            INTEGER NOT NULL CHECK (kind BETWEEN 0 AND 1),
    uuid            BLOB NOT NULL CHECK (length(uuid) = 16),
    caller_id       TEXT CHECK (length(caller_id) BETWEEN 1 AND 128),
    campaign_id     BLOB CHECK (length(campaign_id) = 16),
    account_id      BLOB CHECK (length(account_id) = 16),
    lead_id         BLOB CHECK (length(lead_id) = 16),
    message_id_hash INTEGER,
    bytes           INTEGER NOT NULL CHECK (bytes >= 0),
    sha256          BLOB NOT NULL CHECK (length(sha256) = 32),
    skeleton_bytes  INTEGER NOT NULL CHECK (skeleton_bytes >= 0),
    pack_id         INTEGER NOT NULL REFERENCES content_packs (id) ON DELETE RESTRICT,
    frame           INTEGER NOT NULL CHECK (frame >= 0),
    entry           INTEGER NOT NULL CHECK (entry >= 0),
    copy_pack_id    INTEGER REFERENCES content_packs (id) ON DELETE RESTRICT,
    copy_frame      INTEGER CHECK (copy_frame >= 0),
    copy_entry      INTEGER CHECK (copy_entry >= 0),
    expires         INTEGER,
    hold            INTEGER NOT NULL CHECK (hold BETWEEN 0 AND 1),
    pin             INTEGER CHECK (pin BETWEEN 0 AND 3),
    labels          TEXT,
    CHECK ((copy_pack_id IS NULL) = (copy_frame IS NULL)),
    CHECK ((copy_pack_id IS NULL) = (copy_entry IS NULL))
) STRICT;

CREATE UNIQUE INDEX email_messages_by_uuid ON email_messages (tenant_id, kind, uuid);
CREATE UNIQUE INDEX email_messages_by_caller ON email_messages (tenant_id, kind, caller_id)
    WHERE caller_id IS NOT NULL;
CREATE INDEX email_messages_by_message_id ON email_messages (tenant_id, message_id_hash)
    WHERE message_id_hash IS NOT NULL;
CREATE INDEX email_messages_by_campaign ON email_messages (tenant_id, campaign_id) WHERE campaign_id IS NOT NULL;
CREATE INDEX email_messages_by_account ON email_messages (tenant_id, account_id) WHERE account_id IS NOT NULL;
CREATE INDEX email_messages_by_lead ON email_messages (tenant_id, lead_id) WHERE lead_id IS NOT NULL;

-- Unique bytes. The index holds half of the hash: 128 bits decide, the row has all of it.
CREATE TABLE content_objects (
    id           INTEGER PRIMARY KEY,
    tenant_id    INTEGER NOT NULL REFERENCES tenants (id) ON DELETE RESTRICT,
    sha256       BLOB NOT NULL CHECK (length(sha256) = 32),
    bytes        INTEGER NOT NULL CHECK (bytes >= 0),
    class        INTEGER NOT NULL CHECK (class BETWEEN 0 AND 255),
    pack_id      INTEGER NOT NULL REFERENCES content_packs (id) ON DELETE RESTRICT,
    frame        INTEGER NOT NULL CHECK (frame >= 0),
    entry        INTEGER NOT NULL CHECK (entry >= 0),
    copy_pack_id INTEGER REFERENCES content_packs (id) ON DELETE RESTRICT,
    copy_frame   INTEGER CHECK (copy_frame >= 0),
    copy_entry   INTEGER CHECK (copy_entry >= 0),
    CHECK ((copy_pack_id IS NULL) = (copy_frame IS NULL)),
    CHECK ((copy_pack_id IS NULL) = (copy_entry IS NULL))
) STRICT;

CREATE UNIQUE INDEX content_objects_by_hash ON content_objects (tenant_id, substr(sha256, 1, 16));

-- A body or attachment that is an object of its own: the reference that keeps the object alive.
CREATE TABLE email_content (
    message_id INTEGER NOT NULL REFERENCES email_messages (id) ON DELETE CASCADE,
    part       INTEGER NOT NULL CHECK (part >= 0),
    object_id  INTEGER NOT NULL REFERENCES content_objects (id) ON DELETE RESTRICT,
    role       INTEGER NOT NULL CHECK (role BETWEEN 0 AND 2),
    media_type TEXT,
    file_name  TEXT,
    PRIMARY KEY (message_id, part)
) STRICT, WITHOUT ROWID;

CREATE INDEX email_content_by_object ON email_content (object_id);

-- Caller's ids of deleted items: they stay gone for 30 days.
CREATE TABLE email_tombstones (
    tenant_id INTEGER NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    kind      INTEGER NOT NULL CHECK (kind BETWEEN 0 AND 1),
    caller_id TEXT NOT NULL CHECK (length(caller_id) BETWEEN 1 AND 128),
    deleted   INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, kind, caller_id)
) STRICT, WITHOUT ROWID;

-- Reads by day, of items read since the last migration.
CREATE TABLE content_access_logs (
    message_id INTEGER NOT NULL REFERENCES email_messages (id) ON DELETE CASCADE,
    day        INTEGER NOT NULL,
    reads      INTEGER NOT NULL CHECK (reads > 0),
    PRIMARY KEY (message_id, day)
) STRICT, WITHOUT ROWID;

-- Who changed what. action: delete, update, policy, tenant.
CREATE TABLE content_access_audits (
    id        INTEGER PRIMARY KEY,
    tenant_id INTEGER NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    action    TEXT NOT NULL CHECK (action IN ('delete', 'update', 'policy', 'tenant')),
    uuid      BLOB CHECK (length(uuid) = 16),
    detail    TEXT,
    created   INTEGER NOT NULL
) STRICT;

-- Increments by tenant, day and tier; their sums are the present state. What belongs to an item (items, logical,
-- referenced, deleted) is counted on the hot tier, where it arrived; objects, unique and moved on theirs.
CREATE TABLE content_retention_statistics (
    tenant_id        INTEGER NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    day              INTEGER NOT NULL,
    tier             INTEGER NOT NULL CHECK (tier BETWEEN 0 AND 3),
    messages         INTEGER NOT NULL,
    contents         INTEGER NOT NULL,
    logical_bytes    INTEGER NOT NULL,
    referenced_bytes INTEGER NOT NULL,
    objects          INTEGER NOT NULL,
    object_bytes     INTEGER NOT NULL,
    skeletons        INTEGER NOT NULL,
    skeleton_bytes   INTEGER NOT NULL,
    copy_bytes       INTEGER NOT NULL,
    moved_bytes      INTEGER NOT NULL,
    deleted_bytes    INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, day, tier)
) STRICT, WITHOUT ROWID;

CREATE TABLE jobs (
    id      INTEGER PRIMARY KEY,
    kind    TEXT NOT NULL CHECK (kind IN ('migrate', 'sweep', 'compact', 'train', 'scrub', 'erase')),
    state   TEXT NOT NULL CHECK (state IN ('running', 'done', 'failed', 'stopped')),
    created INTEGER NOT NULL,
    ended   INTEGER,
    detail  TEXT NOT NULL,
    CHECK ((state = 'running') = (ended IS NULL))
) STRICT;
