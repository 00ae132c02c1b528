/* A table that holds exactly those who are connected, so that it is bounded by the connections. */
#include "http/clients.h"

#include "base/text.h"

#include <pthread.h>
#include <stdlib.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

struct client {
	char name[ADDRESS_TEXT_SIZE];
	size_t n;
	UT_hash_handle hh;
};

struct clients {
	pthread_mutex_t lock; /* of the table */
	struct client *table;
	size_t max;
	const struct address_range *trusted;
	size_t n_trusted;
};

int
clients_new(size_t max, const struct address_range *trusted, size_t n, struct clients **clients_out,
    struct err *err)
{
	struct clients *clients = calloc(1, sizeof *clients);

	if (clients == NULL)
		return err_nomem(err);
	(void)pthread_mutex_init(&clients->lock, NULL);
	clients->max = max;
	clients->trusted = trusted;
	clients->n_trusted = n;
	*clients_out = clients;
	return 0;
}

void
clients_free(struct clients *clients)
{
	struct client *c, *next;

	if (clients == NULL)
		return;
	HASH_ITER(hh, clients->table, c, next) {
		HASH_DEL(clients->table, c);
		free(c);
	}
	(void)pthread_mutex_destroy(&clients->lock);
	free(clients);
}

static struct client *
client_find(struct clients *clients, const char *name)
{
	struct client *c;

	HASH_FIND_STR(clients->table, name, c);
	if (c != NULL || (c = calloc(1, sizeof *c)) == NULL)
		return c;
	(void)text_copy(c->name, sizeof c->name, name);
	HASH_ADD_STR(clients->table, name, c);
	if (c->hh.tbl == NULL) {
		free(c);
		return NULL;
	}
	return c;
}

int
clients_enter(struct clients *clients, const char *peer, const struct client **client_out, struct err *err)
{
	char name[ADDRESS_TEXT_SIZE];
	struct address address;
	struct client *c;
	int rc = 0;

	*client_out = NULL;
	if (clients->max == 0 || (address_parse(peer, &address) &&
				     address_in_any(&address, clients->trusted, clients->n_trusted)))
		return 0;
	address_client(name, peer);
	(void)pthread_mutex_lock(&clients->lock);
	if ((c = client_find(clients, name)) == NULL)
		rc = err_nomem(err);
	else if (c->n >= clients->max)
		rc = err_set(err, E_LIMIT, "%s has %zu connections open (limits.connections_per_client)", name, c->n);
	else
		c->n++;
	*client_out = c;
	(void)pthread_mutex_unlock(&clients->lock);
	return rc;
}

void
clients_leave(struct clients *clients, const struct client *client)
{
	struct client *c;

	if (client == NULL)
		return;
	(void)pthread_mutex_lock(&clients->lock);
	HASH_FIND_STR(clients->table, client->name, c);
	if (--c->n == 0) {
		HASH_DEL(clients->table, c);
		free(c);
	}
	(void)pthread_mutex_unlock(&clients->lock);
}
