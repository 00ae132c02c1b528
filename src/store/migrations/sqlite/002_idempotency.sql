-- What the Idempotency-Key of a registration made, so that a repetition gets the same and nothing new. Written in the
-- transaction of the device; swept after expires_at.
-- caller: who sent it, as in audit.actor. digest: SHA-256 of the request. serial: of the certificate it was answered.
CREATE TABLE idempotency (
	tenant_id INTEGER NOT NULL REFERENCES tenant (id),
	caller TEXT NOT NULL,
	key TEXT NOT NULL,
	digest BLOB NOT NULL CHECK (length(digest) = 32),
	device_id TEXT NOT NULL,
	serial BLOB NOT NULL CHECK (length(serial) = 20),
	expires_at INTEGER NOT NULL,
	PRIMARY KEY (tenant_id, caller, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_expiry ON idempotency (expires_at);
