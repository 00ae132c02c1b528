-- quota: devices that are neither revoked nor archived; 0: no end. profiles: JSON array of those that its certificates may
-- have; []: all. A removed tenant stays, for the audit's sake, and its name is never given again: topics begin with it.
ALTER TABLE tenant ADD COLUMN quota INTEGER NOT NULL DEFAULT 0 CHECK (quota >= 0);
ALTER TABLE tenant ADD COLUMN profiles TEXT NOT NULL DEFAULT '[]';
ALTER TABLE tenant ADD COLUMN removed_at INTEGER NOT NULL DEFAULT 0;

-- How many devices count for the quota, kept by whoever writes one (store/device.c), so that nobody has to count rows. Not by
-- triggers: they would cost a registration as much as half of its row.
ALTER TABLE tenant ADD COLUMN devices INTEGER NOT NULL DEFAULT 0;
UPDATE tenant SET devices = (SELECT count(*) FROM device WHERE tenant_id = tenant.id AND status <= 2);

-- bound: 1 to its tenant alone; 0 of the whole installation, as all were that came before.
ALTER TABLE operator ADD COLUMN bound INTEGER NOT NULL DEFAULT 0 CHECK (bound IN (0, 1));
DROP INDEX operator_name;
CREATE UNIQUE INDEX operator_name ON operator (tenant_id, bound, name) WHERE revoked_at = 0;
