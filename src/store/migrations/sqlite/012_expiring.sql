-- Whose certificate ends next: of each device the one that has no successor.
CREATE INDEX certificate_expiring ON certificate (tenant_id, not_after, owner_id)
	WHERE owner_kind = 0 AND state = 0 AND retire_at = 0;
