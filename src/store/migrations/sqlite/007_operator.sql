-- An operator's token ends by itself (0: it does not), and when it was last used is written once a minute (0: never).
ALTER TABLE operator ADD COLUMN expires_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE operator ADD COLUMN last_used_at INTEGER NOT NULL DEFAULT 0;
