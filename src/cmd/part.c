/* One table. What is made later, such as a WAL or a new ACL file, is made by its owner, and may be absent. */
#include "cmd/part.h"

#include <sys/stat.h>

static const struct part parts[] = {
    {"", S_IFDIR | 0711, PART_LEFT_OUT, false, false, false},
    {"ca", S_IFDIR | 0755, PART_LEFT_OUT, true, false, false},
    {"ca/root.crt", 0644, PART_SAVED, true, false, false},
    {"ca/cross.crt", 0644, PART_SAVED, true, false, true},
    {"ca/issuing.crt", 0644, PART_SAVED, true, false, false},
    {"ca/retired-1.crt", 0644, PART_SAVED, true, false, true},
    {"ca/retired-2.crt", 0644, PART_SAVED, true, false, true},
    {"ca/retired-3.crt", 0644, PART_SAVED, true, false, true},
    {"ca/retired-4.crt", 0644, PART_SAVED, true, false, true},
    {"ca/retired-5.crt", 0644, PART_SAVED, true, false, true},
    {"ca/retired-6.crt", 0644, PART_SAVED, true, false, true},
    {"ca/retired-7.crt", 0644, PART_SAVED, true, false, true},
    {"ca/private", S_IFDIR | 0700, PART_LEFT_OUT, true, false, false},
    {"ca/private/root.key", 0600, PART_CA_KEY, true, false, true},
    {"ca/private/next-root.key", 0600, PART_CA_KEY, true, false, true},
    {"ca/private/old-root.key", 0600, PART_CA_KEY, true, false, true},
    {"ca/private/issuing.key", 0600, PART_CA_KEY, true, false, false},
    {"ca/private/next.key", 0600, PART_CA_KEY, true, false, true},
    {"ca/private/retired-1.key", 0600, PART_CA_KEY, true, false, true},
    {"ca/private/retired-2.key", 0600, PART_CA_KEY, true, false, true},
    {"ca/private/retired-3.key", 0600, PART_CA_KEY, true, false, true},
    {"ca/private/retired-4.key", 0600, PART_CA_KEY, true, false, true},
    {"ca/private/retired-5.key", 0600, PART_CA_KEY, true, false, true},
    {"ca/private/retired-6.key", 0600, PART_CA_KEY, true, false, true},
    {"ca/private/retired-7.key", 0600, PART_CA_KEY, true, false, true},
    {"signer.log", 0600, PART_SAVED, true, false, false},
    {"muster.conf", 0644, PART_SAVED, false, false, false},
    {"muster.db", 0600, PART_SAVED, false, false, false},
    {"audit.key", 0600, PART_SAVED, false, false, true},
    {"muster.db-wal", 0600, PART_LEFT_OUT, false, false, false},
    {"muster.db-shm", 0600, PART_LEFT_OUT, false, false, false},
    {"muster.db-reserve", 0600, PART_LEFT_OUT, false, false, false},
    {"tls", S_IFDIR | 0700, PART_LEFT_OUT, false, false, false},
    {"tls/server.crt", 0644, PART_SAVED, false, false, false},
    {"tls/server.key", 0600, PART_SAVED, false, false, false},
    {"broker", S_IFDIR | 0750, PART_LEFT_OUT, false, true, false},
    {"broker/ca.pem", 0640, PART_SAVED, false, true, false},
    {"broker/acl", 0640, PART_LEFT_OUT, false, true, false},
    {"broker/crl.pem", 0640, PART_SAVED, false, true, false},
    {"broker/broker.crt", 0644, PART_SAVED, false, true, false},
    {"broker/broker.key", 0640, PART_SAVED, false, true, false},
};

const struct part *
part_at(size_t i)
{
	return i < sizeof parts / sizeof parts[0] ? &parts[i] : NULL;
}
