/* A transaction as the tables' files see it: the connection to speak to. */
#ifndef MUSTER_STORE_TX_H
#define MUSTER_STORE_TX_H

#include "store/db.h"

#include <stdbool.h>

struct auditkey;
struct store;

struct store_tx {
	struct store *store;
	struct db *db;
	bool writes;
	bool has_change; /* of a writer: something was appended to the feed since the group began */
};

/* The key of the audit trail; without bytes if it is missing. */
const struct auditkey *store_auditkey(const struct store *store);

#endif
