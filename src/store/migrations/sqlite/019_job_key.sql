-- Of a row's request the key alone is kept, which was checked when it came. What was ordered before would have to be read again.
UPDATE job SET state = 3, ended_at = created_at WHERE state < 2;
ALTER TABLE job_row RENAME COLUMN csr TO spki;
