-- owner_kind: 4 operator, too. SQLite cannot alter a CHECK, so both tables are copied, once.
CREATE TABLE certificate_new (
	n INTEGER PRIMARY KEY,
	serial BLOB NOT NULL UNIQUE CHECK (length(serial) = 20),
	tenant_id INTEGER NOT NULL REFERENCES tenant (id),
	owner_kind INTEGER NOT NULL CHECK (owner_kind BETWEEN 0 AND 4),
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
	der BLOB NOT NULL,
	retire_at INTEGER NOT NULL DEFAULT 0
) STRICT;

INSERT INTO certificate_new (n, serial, tenant_id, owner_kind, owner_id, fingerprint, spki_hash, key, profile, not_before,
	not_after, state, reason, revoked_at, superseded_by, der, retire_at)
SELECT n, serial, tenant_id, owner_kind, owner_id, fingerprint, spki_hash, key, profile, not_before, not_after, state,
	reason, revoked_at, superseded_by, der, retire_at
FROM certificate ORDER BY n;

DROP TABLE certificate;
ALTER TABLE certificate_new RENAME TO certificate;

CREATE INDEX certificate_owner ON certificate (owner_id, n);
CREATE INDEX certificate_spki ON certificate (spki_hash, n);
CREATE INDEX certificate_revoked ON certificate (not_after, state, serial, revoked_at, reason) WHERE state <> 0;
CREATE INDEX certificate_retire ON certificate (retire_at) WHERE retire_at <> 0 AND state = 0;

CREATE TABLE package_new (
	n INTEGER PRIMARY KEY,
	id TEXT NOT NULL,
	tenant_id INTEGER NOT NULL REFERENCES tenant (id),
	owner_kind INTEGER NOT NULL CHECK (owner_kind BETWEEN 0 AND 4),
	owner_id TEXT NOT NULL,
	token_hash BLOB NOT NULL UNIQUE CHECK (length(token_hash) = 32),
	state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 3),
	created_at INTEGER NOT NULL,
	expires_at INTEGER NOT NULL,
	ended_at INTEGER NOT NULL,
	archive BLOB,
	CHECK ((state = 0) = (archive IS NOT NULL))
) STRICT;

INSERT INTO package_new (n, id, tenant_id, owner_kind, owner_id, token_hash, state, created_at, expires_at, ended_at, archive)
SELECT n, id, tenant_id, owner_kind, owner_id, token_hash, state, created_at, expires_at, ended_at, archive
FROM package ORDER BY n;

DROP TABLE package;
ALTER TABLE package_new RENAME TO package;

CREATE INDEX package_waiting_owner ON package (owner_id) WHERE state = 0;
CREATE INDEX package_waiting_expiry ON package (expires_at) WHERE state = 0;
