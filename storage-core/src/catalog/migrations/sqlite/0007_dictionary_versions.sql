-- Which one of its tenant and class a dictionary is, from 1; 0 where it was made before that was noted.
ALTER TABLE content_dictionaries ADD COLUMN version INTEGER NOT NULL DEFAULT 0 CHECK (version >= 0);
