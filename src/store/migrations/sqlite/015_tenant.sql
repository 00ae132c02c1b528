-- quota: devices that are neither revoked nor archived; 0: no end. profiles: JSON array of those that its certificates may
-- have; []: all. A removed tenant stays, for the audit's sake, and its name is never given again: topics begin with it.
ALTER TABLE tenant ADD COLUMN quota INTEGER NOT NULL DEFAULT 0 CHECK (quota >= 0);
ALTER TABLE tenant ADD COLUMN profiles TEXT NOT NULL DEFAULT '[]';
ALTER TABLE tenant ADD COLUMN removed_at INTEGER NOT NULL DEFAULT 0;

-- How many devices count for the quota. Kept here, so that whoever writes a device keeps it, and nobody has to count rows.
ALTER TABLE tenant ADD COLUMN devices INTEGER NOT NULL DEFAULT 0;
UPDATE tenant SET devices = (SELECT count(*) FROM device WHERE tenant_id = tenant.id AND status <= 2);

CREATE TRIGGER device_counted AFTER INSERT ON device WHEN NEW.status <= 2 BEGIN
	UPDATE tenant SET devices = devices + 1 WHERE id = NEW.tenant_id;
END;
CREATE TRIGGER device_recounted AFTER UPDATE OF status ON device WHEN (OLD.status <= 2) <> (NEW.status <= 2) BEGIN
	UPDATE tenant SET devices = devices + (NEW.status <= 2) - (OLD.status <= 2) WHERE id = NEW.tenant_id;
END;
CREATE TRIGGER device_uncounted AFTER DELETE ON device WHEN OLD.status <= 2 BEGIN
	UPDATE tenant SET devices = devices - 1 WHERE id = OLD.tenant_id;
END;

-- bound: 1 to its tenant alone; 0 of the whole installation, as all were that came before.
ALTER TABLE operator ADD COLUMN bound INTEGER NOT NULL DEFAULT 0 CHECK (bound IN (0, 1));
DROP INDEX operator_name;
CREATE UNIQUE INDEX operator_name ON operator (tenant_id, bound, name) WHERE revoked_at = 0;
