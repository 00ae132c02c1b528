/* Connections by client: counted exactly, over threads, and by /64 where addresses are cheap. */
#include "check.h"

#include "http/clients.h"

#include <pthread.h>
#include <string.h>

static struct clients *
open_clients(size_t max, const struct address_range *trusted, size_t n)
{
	struct clients *clients = NULL;
	struct err err = {0};

	assert_ok(clients_new(max, trusted, n, &clients, &err));
	return clients;
}

static void
test_counts_each_client(void **state)
{
	struct clients *clients = open_clients(2, NULL, 0);
	const struct client *a, *b, *c, *other;
	struct err err = {0};

	(void)state;
	assert_ok(clients_enter(clients, "192.0.2.1", &a, &err));
	assert_ok(clients_enter(clients, "192.0.2.1", &b, &err));
	assert_ptr_equal(a, b);
	assert_int_equal(clients_enter(clients, "192.0.2.1", &c, &err), E_LIMIT);
	assert_ptr_equal(a, c);
	assert_non_null(strstr(err.text, "192.0.2.1"));
	assert_ok(clients_enter(clients, "192.0.2.2", &other, &err));
	assert_ptr_not_equal(a, other);
	clients_leave(clients, a);
	assert_ok(clients_enter(clients, "192.0.2.1", &c, &err));
	assert_int_equal(clients_enter(clients, "192.0.2.1", &c, &err), E_LIMIT);
	clients_leave(clients, b);
	clients_leave(clients, b);
	clients_leave(clients, NULL);
	assert_ok(clients_enter(clients, "192.0.2.1", &a, &err)); /* all gone, and back */
	assert_ok(clients_enter(clients, "192.0.2.1", &a, &err));
	clients_free(clients);
	clients_free(NULL);
}

/* One client has as many addresses of its /64 as it likes; an IPv4 client of a socket for both has one. */
static void
test_counts_by_prefix(void **state)
{
	static const char *const same[][2] = {{"2001:db8::1", "2001:db8::ffff:0:0:2"},
	    {"::ffff:192.0.2.1", "192.0.2.1"}, {"2001:DB8:0:0:1::", "2001:db8::5"}};
	static const char *const others[][2] = {{"2001:db8::1", "2001:db8:0:1::1"}, {"::ffff:192.0.2.1", "::ffff:192.0.2.2"},
	    {"192.0.2.1", "192.0.2.2"}, {"::1", "127.0.0.1"}};
	const struct client *client;
	struct clients *clients;
	struct err err = {0};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof same / sizeof same[0]; i++) {
		clients = open_clients(1, NULL, 0);
		assert_ok(clients_enter(clients, same[i][0], &client, &err));
		assert_int_equal(clients_enter(clients, same[i][1], &client, &err), E_LIMIT);
		clients_free(clients);
	}
	for (i = 0; i < sizeof others / sizeof others[0]; i++) {
		clients = open_clients(1, NULL, 0);
		assert_ok(clients_enter(clients, others[i][0], &client, &err));
		assert_ok(clients_enter(clients, others[i][1], &client, &err));
		clients_free(clients);
	}
}

static void
test_who_is_not_counted(void **state)
{
	struct address_range proxies[2];
	const struct client *client;
	struct clients *clients;
	struct err err = {0};
	size_t n = 0;
	int i;

	(void)state;
	assert_ok(address_ranges_parse("192.0.2.0/24 2001:db8::/32", proxies, 2, &n, &err));
	clients = open_clients(1, proxies, n);
	for (i = 0; i < 10; i++) {
		assert_ok(clients_enter(clients, "192.0.2.9", &client, &err));
		assert_null(client);
		assert_ok(clients_enter(clients, "2001:db8:1::9", &client, &err));
		assert_null(client);
	}
	assert_ok(clients_enter(clients, "198.51.100.1", &client, &err));
	assert_int_equal(clients_enter(clients, "198.51.100.1", &client, &err), E_LIMIT);
	clients_free(clients);
	clients = open_clients(0, NULL, 0);
	for (i = 0; i < 10; i++) {
		assert_ok(clients_enter(clients, "192.0.2.1", &client, &err));
		assert_null(client);
	}
	clients_free(clients);
}

static void *
come_and_go(void *arg)
{
	static const char *const names[] = {"192.0.2.1", "192.0.2.2", "2001:db8::1"};
	const struct client *client;
	struct err err = {0};
	int i;

	for (i = 0; i < 3000; i++)
		if (clients_enter(arg, names[i % 3], &client, &err) == 0)
			clients_leave(arg, client);
	return NULL;
}

/* Loops are threads; afterwards nobody is left. */
static void
test_threads(void **state)
{
	struct clients *clients = open_clients(2, NULL, 0);
	const struct client *a, *b;
	struct err err = {0};
	pthread_t threads[4];
	size_t i;

	(void)state;
	for (i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, clients), 0);
	for (i = 0; i < 4; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_ok(clients_enter(clients, "192.0.2.1", &a, &err));
	assert_ok(clients_enter(clients, "192.0.2.1", &b, &err));
	assert_int_equal(clients_enter(clients, "192.0.2.1", &b, &err), E_LIMIT);
	clients_free(clients);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_counts_each_client),
	    cmocka_unit_test(test_counts_by_prefix),
	    cmocka_unit_test(test_who_is_not_counted),
	    cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
