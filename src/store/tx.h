/* A transaction as the tables' files see it: the connection to speak to. */
#ifndef MUSTER_STORE_TX_H
#define MUSTER_STORE_TX_H

#include "store/db.h"

#include <stdbool.h>

struct store;

struct store_tx {
	struct store *store;
	struct db *db;
	bool writes;
	bool has_change; /* of a writer: something was appended to the feed since the group began */
};

#endif
