-- The issuing CAs there have been, by the hex of their SKI, from 0 in the order in which they came; entered by the first start
-- with each. Whoever was issued before this table was is of the first.
CREATE TABLE issuer (
	n INTEGER PRIMARY KEY,
	key_id TEXT NOT NULL UNIQUE
) STRICT;

-- -1: of none of them.
ALTER TABLE certificate ADD COLUMN issuer INTEGER NOT NULL DEFAULT 0;
ALTER TABLE revocation ADD COLUMN issuer INTEGER NOT NULL DEFAULT 0;

-- The CRL reads this index alone.
DROP INDEX certificate_revoked;
CREATE INDEX certificate_revoked ON certificate (issuer, not_after, state, serial, revoked_at, reason) WHERE state <> 0;
