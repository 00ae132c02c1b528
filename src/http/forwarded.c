/* Each proxy appends the address it was called from, so the last one is the best known: read from the end, and only as
 * far as each name is vouched for by a trusted one. Whatever is further to the left, anybody can have written. */
#include "http/forwarded.h"

#include "base/text.h"

#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>

/* The last address of LIST, which ends at *END; *END moves before it. False if that is none. */
static bool
last_address(const char *list, size_t *end, struct address *out)
{
	char text[ADDRESS_TEXT_SIZE];
	size_t stop = *end, start;

	for (start = stop; start > 0 && list[start - 1] != ','; start--)
		continue;
	*end = start > 0 ? start - 1 : 0;
	while (start < stop && (list[start] == ' ' || list[start] == '\t'))
		start++;
	while (stop > start && (list[stop - 1] == ' ' || list[stop - 1] == '\t'))
		stop--;
	if (stop - start >= sizeof text)
		return false;
	memcpy(text, list + start, stop - start);
	text[stop - start] = '\0';
	return address_parse(text, out);
}

/* Go back through LIST while CLIENT is a trusted one. False when there is nothing more to believe. */
static bool
list_follow(const char *list, const struct address_range *trusted, size_t n, struct address *client)
{
	size_t end = strlen(list);
	struct address before;

	while (end > 0) {
		if (!address_in_any(client, trusted, n) || !last_address(list, &end, &before))
			return false;
		*client = before;
	}
	return true;
}

void
forwarded_client(char *out, const char *peer, const struct evkeyvalq *headers,
    const struct address_range *trusted, size_t n)
{
	const struct evkeyval *header;
	struct address client;

	if (n == 0 || !address_parse(peer, &client)) {
		(void)text_copy(out, ADDRESS_TEXT_SIZE, peer);
		return;
	}
	/* Two headers of a name are one list (RFC 9110, section 5.3). */
	TAILQ_FOREACH_REVERSE(header, headers, evkeyvalq, next)
		if (strcasecmp(header->key, "X-Forwarded-For") == 0 &&
		    !list_follow(header->value, trusted, n, &client))
			break;
	address_text(out, &client);
}
