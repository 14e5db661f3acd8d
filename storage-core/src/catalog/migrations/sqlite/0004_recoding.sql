-- What recoding did to the objects that lie in a pack, by tenant. hidden_bytes: bytes of the objects less those of
-- their stored forms; negative where more was unpacked than saved. gain_bytes: by how much the stored forms compressed
-- better than the objects, each by itself.
CREATE TABLE content_pack_recoding (
    pack_id      INTEGER NOT NULL REFERENCES content_packs (id) ON DELETE CASCADE,
    tenant_id    INTEGER NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    hidden_bytes INTEGER NOT NULL,
    gain_bytes   INTEGER NOT NULL CHECK (gain_bytes >= 0),
    PRIMARY KEY (pack_id, tenant_id)
) STRICT, WITHOUT ROWID;
