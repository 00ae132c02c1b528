-- status as in device: 1 or 3. What follows created_at is from the broker's last report: when and from where it came,
-- how far in the feed of which epoch the broker was, and how many events it had to drop in all.
CREATE TABLE broker (
	id TEXT PRIMARY KEY,
	tenant_id INTEGER NOT NULL REFERENCES tenant (id),
	name TEXT NOT NULL,
	status INTEGER NOT NULL CHECK (status IN (1, 3)),
	created_at INTEGER NOT NULL,
	seen_at INTEGER NOT NULL DEFAULT 0,
	address TEXT NOT NULL DEFAULT '',
	epoch TEXT NOT NULL DEFAULT '',
	seq INTEGER NOT NULL DEFAULT 0,
	dropped INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX broker_name_unrevoked ON broker (tenant_id, name) WHERE status <> 3;

-- Those that `init` and `ca renew` made. 3: a broker's certificate; 0: active.
INSERT INTO broker (id, tenant_id, name, status, created_at)
	SELECT owner_id, tenant_id, 'home-' || substr(owner_id, 1, 8), 1, not_before FROM certificate
	WHERE owner_kind = 3 AND state = 0;

-- When a broker last told of a connection of it.
ALTER TABLE device ADD COLUMN last_seen INTEGER NOT NULL DEFAULT 0;
