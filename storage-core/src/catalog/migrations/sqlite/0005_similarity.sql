-- What is nearly the same.

-- Hashes of grams (even) and windows (odd) of objects, as signed 32-bit numbers: at most four an object. Only a hint where
-- to look: rows are added as objects move, and those of objects that are gone are forgotten by a later sweep. Without
-- foreign keys: one on object_id would need an index as large as the table.
CREATE TABLE content_features (
    tenant_id INTEGER NOT NULL,
    feature   INTEGER NOT NULL CHECK (feature BETWEEN -2147483648 AND 2147483647),
    object_id INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, feature, object_id)
) STRICT, WITHOUT ROWID;

-- Objects whose primary location holds a difference from another object, which must stay as long. bytes: of the
-- difference.
CREATE TABLE content_deltas (
    object_id INTEGER PRIMARY KEY REFERENCES content_objects (id) ON DELETE CASCADE,
    base_id   INTEGER NOT NULL REFERENCES content_objects (id) ON DELETE RESTRICT,
    bytes     INTEGER NOT NULL CHECK (bytes >= 0),
    CHECK (object_id <> base_id)
) STRICT;

CREATE INDEX content_deltas_by_base ON content_deltas (base_id);

-- By how much deltas are smaller than their objects compressed by themselves.
ALTER TABLE content_pack_recoding ADD COLUMN similar_bytes INTEGER NOT NULL DEFAULT 0 CHECK (similar_bytes >= 0);
