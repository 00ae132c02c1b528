-- What the audit is asked for: a time, whom it is about, who did it, and what was done, each in the order of time. Ends in the
-- row's number by itself. All but the target's grow at their ends, where a page is in memory anyway.
CREATE INDEX audit_at ON audit (tenant_id, at);
CREATE INDEX audit_target ON audit (tenant_id, target, at);
CREATE INDEX audit_actor ON audit (tenant_id, actor, at);
CREATE INDEX audit_action ON audit (tenant_id, action, at);
