-- How many sessions each of its devices may have at a time.
ALTER TABLE policy ADD COLUMN sessions INTEGER NOT NULL DEFAULT 1 CHECK (sessions BETWEEN 1 AND 100);
