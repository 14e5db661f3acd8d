-- Items whose bytes must not stay in any pack. A row is made when the erasure is asked for and durable in the log, and
-- gets its `erased` when nothing is left. hashes: 32 bytes each, of the skeleton and the objects; empty once erased, or
-- where they were not known. The item itself has no row any more.
CREATE TABLE email_erasures (
    id        INTEGER PRIMARY KEY,
    tenant_id INTEGER NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    kind      INTEGER NOT NULL CHECK (kind BETWEEN 0 AND 1),
    uuid      BLOB NOT NULL CHECK (length(uuid) = 16),
    requested INTEGER NOT NULL,
    erased    INTEGER,
    hashes    BLOB NOT NULL CHECK (length(hashes) % 32 = 0),
    UNIQUE (tenant_id, kind, uuid)
) STRICT;

CREATE INDEX email_erasures_pending ON email_erasures (id) WHERE erased IS NULL;
