-- A job: many devices made by one order. state: 0 open (its rows are coming), 1 running, 2 done, 3 cancelled. digest: of all that
-- it is to do, by the client's reckoning: while one is there and not cancelled there is no second one. actor, role and origin:
-- who ordered it, and from which address. packages: 0 none, 1 by links. seal: the public key to which what may be shown once is
-- encrypted, for nobody here may keep it. bound: whoever ordered it is bound to the tenant. received: rows that have come; refused: of these, with what is wrong with them.
CREATE TABLE job (
	id TEXT PRIMARY KEY,
	tenant_id INTEGER NOT NULL REFERENCES tenant (id),
	kind TEXT NOT NULL,
	state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 3),
	name TEXT NOT NULL,
	digest TEXT NOT NULL,
	actor TEXT NOT NULL,
	role INTEGER NOT NULL,
	bound INTEGER NOT NULL CHECK (bound IN (0, 1)),
	origin TEXT NOT NULL,
	packages INTEGER NOT NULL CHECK (packages IN (0, 1)),
	link_ttl_s INTEGER NOT NULL,
	seal BLOB,
	total INTEGER NOT NULL,
	received INTEGER NOT NULL,
	refused INTEGER NOT NULL,
	done INTEGER NOT NULL,
	failed INTEGER NOT NULL,
	created_at INTEGER NOT NULL,
	started_at INTEGER NOT NULL,
	ended_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX job_digest ON job (tenant_id, digest) WHERE state <> 3;
CREATE INDEX job_list ON job (tenant_id, created_at, id);
CREATE INDEX job_running ON job (id) WHERE state = 1;

-- A device that a job makes. state: 0 waiting, 1 done, 2 failed, 3 refused. device_id: which it will be, from the first, so that
-- a certificate of an attempt that was cut short is its own. digest: of the row as it came. What was asked goes when it is over.
CREATE TABLE job_row (
	job_id TEXT NOT NULL REFERENCES job (id),
	n INTEGER NOT NULL,
	tenant_id INTEGER NOT NULL REFERENCES tenant (id),
	state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 3),
	device_id TEXT NOT NULL,
	digest BLOB NOT NULL CHECK (length(digest) = 32),
	name TEXT NOT NULL,
	type TEXT,
	location TEXT,
	labels TEXT,
	policy TEXT,
	key TEXT,
	profile TEXT,
	sans TEXT,
	valid_s INTEGER NOT NULL,
	csr BLOB,
	key_hash BLOB CHECK (key_hash IS NULL OR length(key_hash) = 32),
	serial BLOB CHECK (serial IS NULL OR length(serial) = 20),
	sealed BLOB,
	field TEXT NOT NULL,
	reason TEXT NOT NULL,
	PRIMARY KEY (job_id, n)
) STRICT, WITHOUT ROWID;

-- Each key once in a job; and what is wrong is found without looking at all the rest.
CREATE UNIQUE INDEX job_row_key ON job_row (job_id, key_hash) WHERE key_hash IS NOT NULL;
CREATE INDEX job_row_wrong ON job_row (job_id, state, n) WHERE state >= 2;
