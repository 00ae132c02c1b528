-- Devices that were revoked long ago, out of the tables that work goes through. As device, but for its status, which is that
-- they are here; updated_at: when they came here. Their certificates stay where they were: whatever was signed is answered
-- for by serial, fingerprint and key, and is in the CRL until it ends.
CREATE TABLE device_archive (
	id TEXT PRIMARY KEY,
	tenant_id INTEGER NOT NULL REFERENCES tenant (id),
	name TEXT NOT NULL,
	name_key TEXT NOT NULL,
	type TEXT NOT NULL,
	location TEXT NOT NULL,
	labels TEXT,
	policy TEXT NOT NULL,
	created_at INTEGER NOT NULL,
	updated_at INTEGER NOT NULL,
	last_seen INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX device_archive_name ON device_archive (tenant_id, name_key, id);

-- Who is to go there next: nothing changes a revoked device, so its last change was its revocation.
CREATE INDEX device_revoked ON device (updated_at, id) WHERE status = 3;
