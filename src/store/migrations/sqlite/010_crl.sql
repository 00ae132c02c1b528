-- What became of certificates, in this order, since the complete CRL that deltas refer to. state, reason and revoked_at as
-- in certificate, at that time. The last row stays, so that n goes on behind it.
CREATE TABLE revocation (
	n INTEGER PRIMARY KEY,
	serial BLOB NOT NULL CHECK (length(serial) = 20),
	state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 2),
	reason INTEGER NOT NULL,
	revoked_at INTEGER NOT NULL
) STRICT;

-- The complete CRL that deltas refer to: its number (0: there is none yet) and thisUpdate, the last row of revocation that
-- is in it, and since when a certificate must have been valid to be still listed.
ALTER TABLE crl ADD COLUMN base_number INTEGER NOT NULL DEFAULT 0;
ALTER TABLE crl ADD COLUMN base_update INTEGER NOT NULL DEFAULT 0;
ALTER TABLE crl ADD COLUMN base_change INTEGER NOT NULL DEFAULT 0;
ALTER TABLE crl ADD COLUMN listed_from INTEGER NOT NULL DEFAULT 0;
