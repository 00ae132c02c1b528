-- What devices were asked to do: to make themselves a new key. One row a device, of the last time; the audit has the others.
-- state: 0 waiting, 1 told, 2 renewed, 3 done, 4 cancelled, 5 void (the device was revoked). word: what makes the instruction
-- another one than the one before. cleared: 1 when it is over and the broker keeps the instruction no more.
-- ack: 0 none, 1 done, 2 failed: what the device says of it, and ack_reason why.
CREATE TABLE rotation (
	device_id TEXT PRIMARY KEY,
	tenant_id INTEGER NOT NULL REFERENCES tenant (id),
	word TEXT NOT NULL,
	state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 5),
	cleared INTEGER NOT NULL CHECK (cleared IN (0, 1)),
	asked_at INTEGER NOT NULL,
	told_at INTEGER NOT NULL,
	ended_at INTEGER NOT NULL,
	ack INTEGER NOT NULL CHECK (ack BETWEEN 0 AND 2),
	ack_at INTEGER NOT NULL,
	ack_reason TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- What is still to be told to the broker, in order, is found without looking at what is over.
CREATE INDEX rotation_open ON rotation (state, asked_at, device_id) WHERE cleared = 0;
