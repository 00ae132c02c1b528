-- mac: HMAC-SHA-256 of the row's hash under the key in audit.key (store/auditkey.c); NULL in rows that were written before
-- there was one. From which row on it must be there, says that file.
ALTER TABLE audit ADD COLUMN mac BLOB CHECK (mac IS NULL OR length(mac) = 32);
