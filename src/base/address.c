/* Text to address and back by inet_pton alone: it takes no octal, no short forms and no names. */
#include "base/address.h"

#include "base/text.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define MAPPED_BITS 96
#define CLIENT_BITS 64

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

static bool
is_mapped(const struct address *address)
{
	return memcmp(address->bytes, mapped, sizeof mapped) == 0;
}

bool
address_parse(const char *text, struct address *out)
{
	char plain[ADDRESS_TEXT_SIZE];
	struct address address;

	memcpy(address.bytes, mapped, sizeof mapped);
	if (!text_copy(plain, sizeof plain, text))
		return false;
	if (inet_pton(AF_INET, plain, address.bytes + sizeof mapped) != 1) {
		plain[strcspn(plain, "%")] = '\0';
		if (inet_pton(AF_INET6, plain, address.bytes) != 1)
			return false;
	}
	*out = address;
	return true;
}

void
address_text(char *out, const struct address *address)
{
	/* Neither can fail: the family is known and the room is enough. */
	if (is_mapped(address))
		(void)inet_ntop(AF_INET, address->bytes + sizeof mapped, out, ADDRESS_TEXT_SIZE);
	else
		(void)inet_ntop(AF_INET6, address->bytes, out, ADDRESS_TEXT_SIZE);
}

void
address_client(char *out, const char *text)
{
	struct address address;
	size_t len;

	if (!address_parse(text, &address)) {
		(void)text_copy(out, ADDRESS_TEXT_SIZE, text);
		return;
	}
	if (is_mapped(&address)) {
		address_text(out, &address);
		return;
	}
	memset(address.bytes + CLIENT_BITS / 8, 0, ADDRESS_LEN - CLIENT_BITS / 8);
	address_text(out, &address);
	len = strlen(out);
	(void)snprintf(out + len, ADDRESS_TEXT_SIZE - len, "/%d", CLIENT_BITS);
}

/* ADDRESS without its bits beyond the first BITS. */
static struct address
prefix(const struct address *address, unsigned bits)
{
	struct address out = {{0}};

	memcpy(out.bytes, address->bytes, bits / 8);
	if (bits % 8 != 0)
		out.bytes[bits / 8] = address->bytes[bits / 8] & (uint8_t)(0xff00U >> bits % 8);
	return out;
}

bool
address_in(const struct address *address, const struct address_range *range)
{
	struct address start = prefix(address, range->bits);

	return memcmp(start.bytes, range->first.bytes, ADDRESS_LEN) == 0;
}

bool
address_in_any(const struct address *address, const struct address_range *ranges, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (address_in(address, &ranges[i]))
			return true;
	return false;
}

/* One address or range. TEXT is cut at its slash. */
static bool
range_parse(char *text, struct address_range *out)
{
	char *slash = strchr(text, '/');
	bool is_v4 = strchr(text, ':') == NULL;
	int64_t bits = is_v4 ? 32 : 128;

	if (slash != NULL) {
		*slash = '\0';
		if (!integer_parse(slash + 1, 0, bits, &bits))
			return false;
	}
	if (strchr(text, '%') != NULL || !address_parse(text, &out->first))
		return false;
	out->bits = (unsigned)bits + (is_v4 ? MAPPED_BITS : 0);
	return address_in(&out->first, out);
}

int
address_ranges_parse(
    const char *list, struct address_range *out, size_t max, size_t *n_out, struct err *err)
{
	static const char between[] = ", \t";
	char text[ADDRESS_TEXT_SIZE];
	size_t n = 0, len;

	for (list += strspn(list, between); *list != '\0'; list += strspn(list, between)) {
		len = strcspn(list, between);
		if (n == max)
			return err_set(err, E_INPUT, "has more than %zu addresses", max);
		(void)snprintf(text, sizeof text, "%.*s", (int)len, list);
		if (len >= sizeof text || !range_parse(text, &out[n]))
			return err_set(err, E_INPUT,
			    "%.*s is no address and no range such as 192.0.2.0/24 or 2001:db8::/32", (int)len,
			    list);
		n++;
		list += len;
	}
	*n_out = n;
	return 0;
}
