-- What scrub and repair keep: when a pack was checked, and which objects can be read nowhere.

-- The beginning of the last check of all of the pack that found nothing wrong.
ALTER TABLE content_packs ADD COLUMN checked INTEGER;

-- When repair found no location at which the object can be read. Such an object is not taken for known by a put: the
-- next put of the same bytes writes them again, and this row refers to them from then on.
ALTER TABLE content_objects ADD COLUMN quarantined INTEGER;
CREATE INDEX content_objects_quarantined ON content_objects (tenant_id, id) WHERE quarantined IS NOT NULL;

-- Numbers that must not fall behind what packs hold. sequence: the highest one of a policy record.
CREATE TABLE catalog_marks (
    name  TEXT PRIMARY KEY CHECK (name IN ('sequence')),
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Jobs may be repairs, too.
CREATE TABLE jobs_with_repair (
    id      INTEGER PRIMARY KEY,
    kind    TEXT NOT NULL CHECK (kind IN ('migrate', 'sweep', 'compact', 'train', 'scrub', 'repair', 'erase')),
    state   TEXT NOT NULL CHECK (state IN ('running', 'done', 'failed', 'stopped')),
    created INTEGER NOT NULL,
    ended   INTEGER,
    detail  TEXT NOT NULL,
    CHECK ((state = 'running') = (ended IS NULL))
) STRICT;
INSERT INTO jobs_with_repair SELECT * FROM jobs;
DROP TABLE jobs;
ALTER TABLE jobs_with_repair RENAME TO jobs;
