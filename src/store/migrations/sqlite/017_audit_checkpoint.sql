-- What the signer has signed of the audit trail, in order (core/auditpoint.c). number, seq, at, head and previous are all of a
-- checkpoint's text. cms: the signed message, kept of the last one and of each day's last: each text has the digest of the one
-- before, so a signature vouches for all before it.
CREATE TABLE audit_checkpoint (
	number INTEGER PRIMARY KEY,
	seq INTEGER NOT NULL UNIQUE,
	at INTEGER NOT NULL,
	head BLOB NOT NULL CHECK (length(head) = 32),
	previous BLOB NOT NULL CHECK (length(previous) = 32),
	cms BLOB
) STRICT;
