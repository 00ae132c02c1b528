-- A trust anchor: a manufacturer's CA, by whose certificates (IEEE 802.1AR) devices enrol, and what these become; profile '':
-- the key's default. name_hash: a number for the CA's name, by which the issuers of a certificate are looked for. key_hash:
-- SHA-256 of the CA's SubjectPublicKeyInfo, which outlives its certificate. held: nobody enrols by it until that is ended.
CREATE TABLE trust (
	id TEXT PRIMARY KEY,
	tenant_id INTEGER NOT NULL REFERENCES tenant (id),
	name TEXT NOT NULL,
	name_hash INTEGER NOT NULL,
	key_hash BLOB NOT NULL CHECK (length(key_hash) = 32),
	fingerprint BLOB NOT NULL CHECK (length(fingerprint) = 32),
	subject TEXT NOT NULL,
	not_after INTEGER NOT NULL,
	type TEXT NOT NULL,
	location TEXT NOT NULL,
	profile TEXT NOT NULL,
	policy TEXT NOT NULL,
	any_serial INTEGER NOT NULL CHECK (any_serial IN (0, 1)),
	held INTEGER NOT NULL CHECK (held IN (0, 1)),
	created_at INTEGER NOT NULL,
	der BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX trust_name ON trust (tenant_id, name);
CREATE INDEX trust_issuer ON trust (name_hash, id);

-- The serial numbers of the devices that are expected by an anchor. device_id: the pending device that this one becomes; '':
-- a new one.
CREATE TABLE trust_serial (
	trust_id TEXT NOT NULL REFERENCES trust (id),
	serial TEXT NOT NULL,
	device_id TEXT NOT NULL,
	PRIMARY KEY (trust_id, serial)
) STRICT, WITHOUT ROWID;

-- Which device enrolled by which manufacturer's certificate, whatever became of the anchor. One CA's serial number is one
-- device's.
CREATE TABLE idevid (
	tenant_id INTEGER NOT NULL REFERENCES tenant (id),
	fingerprint BLOB NOT NULL CHECK (length(fingerprint) = 32),
	key_hash BLOB NOT NULL CHECK (length(key_hash) = 32),
	serial TEXT NOT NULL,
	device_id TEXT NOT NULL,
	created_at INTEGER NOT NULL,
	PRIMARY KEY (tenant_id, fingerprint)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX idevid_serial ON idevid (tenant_id, key_hash, serial);
