-- Whose policy it is: two tenants may have one of the same name. What came before there were tenants is of the first.
ALTER TABLE change ADD COLUMN tenant_id INTEGER NOT NULL DEFAULT 1;
