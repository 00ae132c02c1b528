-- The schema of version 1. Never edited: a change is the next number.
--
-- Times are seconds UTC, 0 for "not yet" or "never". Kinds and states are small integers, because they stand in
-- indexes a million times; what each means is beside its column and in the enum of its header. Ids are UUIDs as
-- text, as they appear in certificates and topics, so that a person with a database shell can follow them.
-- Whatever is looked up by a random value (id, serial, digest) costs one random page a row and index on each
-- registration, so there is no index without a query that needs it.

CREATE TABLE tenant (
	id INTEGER PRIMARY KEY,
	name TEXT NOT NULL UNIQUE,
	created_at INTEGER NOT NULL
) STRICT;

INSERT INTO tenant (id, name, created_at) VALUES (1, 'default', CAST(strftime('%s', 'now') AS INTEGER));

-- role: the name of enum role. Revoked operators stay, for the audit's sake.
CREATE TABLE operator (
	id TEXT PRIMARY KEY,
	tenant_id INTEGER NOT NULL REFERENCES tenant (id),
	name TEXT NOT NULL,
	role TEXT NOT NULL,
	token_hash BLOB NOT NULL UNIQUE CHECK (length(token_hash) = 32),
	created_at INTEGER NOT NULL,
	revoked_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX operator_name ON operator (tenant_id, name) WHERE revoked_at = 0;

-- status: 0 pending, 1 active, 2 suspended, 3 revoked, 4 archived.
-- name_key: the name with ASCII letters in lower case; the list's order and the prefix search.
-- WITHOUT ROWID: the row lies in the leaf of its id, one page less to touch, and the list's indexes end in the
-- id anyway.
CREATE TABLE device (
	id TEXT PRIMARY KEY,
	tenant_id INTEGER NOT NULL REFERENCES tenant (id),
	name TEXT NOT NULL,
	name_key TEXT NOT NULL,
	type TEXT NOT NULL,
	location TEXT NOT NULL,
	labels TEXT,
	status INTEGER NOT NULL CHECK (status BETWEEN 0 AND 4),
	policy TEXT NOT NULL,
	created_at INTEGER NOT NULL,
	updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX device_name ON device (tenant_id, name_key, id);
CREATE INDEX device_status ON device (tenant_id, status, name_key, id);
CREATE INDEX device_type ON device (tenant_id, type, name_key, id);
CREATE INDEX device_location ON device (tenant_id, location, name_key, id);
CREATE INDEX device_policy ON device (tenant_id, policy, name_key, id);

-- status as in device: 1 or 3. read, write: JSON arrays of topic filters.
CREATE TABLE service (
	id TEXT PRIMARY KEY,
	tenant_id INTEGER NOT NULL REFERENCES tenant (id),
	name TEXT NOT NULL,
	read TEXT NOT NULL,
	write TEXT NOT NULL,
	status INTEGER NOT NULL CHECK (status IN (1, 3)),
	created_at INTEGER NOT NULL,
	updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX service_name ON service (tenant_id, name, id);
CREATE UNIQUE INDEX service_name_unrevoked ON service (tenant_id, name) WHERE status <> 3;

-- owner_kind: 0 device, 1 service, 2 server, 3 broker. state: 0 active, 1 held, 2 revoked.
-- n: the order of issuance. reason: RFC 5280's CRLReason. superseded_by: a serial, which need not be here yet.
-- The row with its DER is appended at the end; only the four lookups are random.
CREATE TABLE certificate (
	n INTEGER PRIMARY KEY,
	serial BLOB NOT NULL UNIQUE CHECK (length(serial) = 20),
	tenant_id INTEGER NOT NULL REFERENCES tenant (id),
	owner_kind INTEGER NOT NULL CHECK (owner_kind BETWEEN 0 AND 3),
	owner_id TEXT NOT NULL,
	fingerprint BLOB NOT NULL UNIQUE CHECK (length(fingerprint) = 32),
	spki_hash BLOB NOT NULL CHECK (length(spki_hash) = 32),
	key TEXT NOT NULL,
	profile TEXT NOT NULL,
	not_before INTEGER NOT NULL,
	not_after INTEGER NOT NULL,
	state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 2),
	reason INTEGER NOT NULL,
	revoked_at INTEGER NOT NULL,
	superseded_by BLOB CHECK (length(superseded_by) = 20),
	der BLOB NOT NULL
) STRICT;

CREATE INDEX certificate_owner ON certificate (owner_id, n);
CREATE INDEX certificate_spki ON certificate (spki_hash, n);
-- The CRL reads this index alone: a million entries without touching a row.
CREATE INDEX certificate_revoked ON certificate (not_after, state, serial, revoked_at, reason) WHERE state <> 0;

-- read, write: JSON arrays of topic templates.
CREATE TABLE policy (
	tenant_id INTEGER NOT NULL REFERENCES tenant (id),
	name TEXT NOT NULL,
	read TEXT NOT NULL,
	write TEXT NOT NULL,
	updated_at INTEGER NOT NULL,
	PRIMARY KEY (tenant_id, name)
) STRICT, WITHOUT ROWID;

-- state: 0 waiting, 1 delivered, 2 expired, 3 withdrawn. The archive is there exactly while it waits.
-- owner_kind as in certificate. token_hash: SHA-256 of the link's token, which is stored nowhere.
CREATE TABLE package (
	n INTEGER PRIMARY KEY,
	id TEXT NOT NULL,
	tenant_id INTEGER NOT NULL REFERENCES tenant (id),
	owner_kind INTEGER NOT NULL CHECK (owner_kind BETWEEN 0 AND 3),
	owner_id TEXT NOT NULL,
	token_hash BLOB NOT NULL UNIQUE CHECK (length(token_hash) = 32),
	state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 3),
	created_at INTEGER NOT NULL,
	expires_at INTEGER NOT NULL,
	ended_at INTEGER NOT NULL,
	archive BLOB,
	CHECK ((state = 0) = (archive IS NOT NULL))
) STRICT;

CREATE INDEX package_waiting_owner ON package (owner_id) WHERE state = 0;
CREATE INDEX package_waiting_expiry ON package (expires_at) WHERE state = 0;

-- kind: device, service or policy. id: its UUID, or the policy's name.
CREATE TABLE change (
	seq INTEGER PRIMARY KEY,
	kind TEXT NOT NULL CHECK (kind IN ('device', 'service', 'policy')),
	id TEXT NOT NULL,
	at INTEGER NOT NULL
) STRICT;

-- hash: SHA-256 over the hash of the row before and the fields of this one (store/audit.c). The tenant is no
-- foreign key: a row must outlive what it tells of.
CREATE TABLE audit (
	seq INTEGER PRIMARY KEY,
	tenant_id INTEGER NOT NULL,
	at INTEGER NOT NULL,
	actor TEXT NOT NULL,
	action TEXT NOT NULL,
	target TEXT NOT NULL,
	detail TEXT NOT NULL,
	hash BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;

CREATE INDEX audit_tenant ON audit (tenant_id, seq);

-- issuer: SKI of the issuing CA in hex.
CREATE TABLE crl (
	n INTEGER PRIMARY KEY,
	issuer TEXT NOT NULL UNIQUE,
	number INTEGER NOT NULL,
	this_update INTEGER NOT NULL,
	next_update INTEGER NOT NULL,
	der BLOB NOT NULL
) STRICT;

CREATE TABLE setting (
	name TEXT PRIMARY KEY,
	value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- The audit chain's head before its first row: seq and hash. That it is always there makes its loss visible.
INSERT INTO setting (name, value) VALUES
	('audit_head', '0 0000000000000000000000000000000000000000000000000000000000000000');
