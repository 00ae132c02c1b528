/* jansson 2.14 answers "invalid token" when it finds no memory for a text or a number. So its memory is asked for here. */
#include "base/jsonparse.h"

#include <stdbool.h>
#include <stdlib.h>

static _Thread_local bool ran_out; /* for jansson gives its allocator no context */

static void *
ask(size_t size)
{
	void *memory = malloc(size);

	ran_out = ran_out || memory == NULL;
	return memory;
}

void
jsonparse_prepare(void)
{
	json_set_alloc_funcs(ask, free);
}

json_t *
jsonparse(const char *text, size_t len, json_error_t *error)
{
	json_t *value;

	ran_out = false;
	if ((value = json_loadb(text, len, JSON_REJECT_DUPLICATES, error)) == NULL && ran_out)
		error->text[sizeof error->text - 1] = json_error_out_of_memory; /* where json_error_code finds it */
	return value;
}
