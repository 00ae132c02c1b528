-- With an enrolment token a device that makes its own key enrols. What it becomes stands here: type, profile and policy,
-- or the device that was registered before it has a key (device_id, else ''). profile '': the key's default.
CREATE TABLE enrol_token (
	id TEXT PRIMARY KEY,
	tenant_id INTEGER NOT NULL REFERENCES tenant (id),
	name TEXT NOT NULL,
	token_hash BLOB NOT NULL UNIQUE CHECK (length(token_hash) = 32),
	device_id TEXT NOT NULL,
	type TEXT NOT NULL,
	location TEXT NOT NULL,
	profile TEXT NOT NULL,
	policy TEXT NOT NULL,
	max_uses INTEGER NOT NULL CHECK (max_uses >= 1),
	uses INTEGER NOT NULL CHECK (uses BETWEEN 0 AND max_uses),
	created_at INTEGER NOT NULL,
	expires_at INTEGER NOT NULL,
	revoked_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX enrol_token_name ON enrol_token (tenant_id, name, id);

-- A certificate whose successor is valid already stays valid until then, unless the successor is seen before; 0: no
-- successor.
ALTER TABLE certificate ADD COLUMN retire_at INTEGER NOT NULL DEFAULT 0;

CREATE INDEX certificate_retire ON certificate (retire_at) WHERE retire_at <> 0 AND state = 0;
