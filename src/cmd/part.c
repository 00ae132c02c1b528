/* One table. What is made later, such as a WAL or a new ACL file, is made by its owner, and may be absent. */
#include "cmd/part.h"

#include <sys/stat.h>

static const struct part parts[] = {
    {"", S_IFDIR | 0711, PART_LEFT_OUT, false, false},
    {"ca", S_IFDIR | 0755, PART_LEFT_OUT, true, false},
    {"ca/root.crt", 0644, PART_SAVED, true, false},
    {"ca/issuing.crt", 0644, PART_SAVED, true, false},
    {"ca/private", S_IFDIR | 0700, PART_LEFT_OUT, true, false},
    {"ca/private/root.key", 0600, PART_CA_KEY, true, false},
    {"ca/private/issuing.key", 0600, PART_CA_KEY, true, false},
    {"signer.log", 0600, PART_SAVED, true, false},
    {"muster.conf", 0644, PART_SAVED, false, false},
    {"muster.db", 0600, PART_SAVED, false, false},
    {"muster.db-wal", 0600, PART_LEFT_OUT, false, false},
    {"muster.db-shm", 0600, PART_LEFT_OUT, false, false},
    {"muster.db-reserve", 0600, PART_LEFT_OUT, false, false},
    {"tls", S_IFDIR | 0700, PART_LEFT_OUT, false, false},
    {"tls/server.crt", 0644, PART_SAVED, false, false},
    {"tls/server.key", 0600, PART_SAVED, false, false},
    {"broker", S_IFDIR | 0750, PART_LEFT_OUT, false, true},
    {"broker/ca.pem", 0640, PART_SAVED, false, true},
    {"broker/acl", 0640, PART_LEFT_OUT, false, true},
    {"broker/crl.pem", 0640, PART_SAVED, false, true},
    {"broker/broker.crt", 0644, PART_SAVED, false, true},
    {"broker/broker.key", 0640, PART_SAVED, false, true},
};

const struct part *
part_at(size_t i)
{
	return i < sizeof parts / sizeof parts[0] ? &parts[i] : NULL;
}
