/* The files and folders of a home: whose each is, who may read it, and what a backup does with it. */
#ifndef MUSTER_CMD_PART_H
#define MUSTER_CMD_PART_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define PART_BACKUP_WORK "backup.tmp" /* where a running backup copies the database to, in the home */

enum part_backup {
	PART_LEFT_OUT, /* a folder, or made anew from the rest */
	PART_SAVED,
	PART_CA_KEY /* only if it is asked for */
};

struct part {
	const char *name; /* in the home; "" is the home itself */
	mode_t mode;	  /* S_IFDIR marks a folder */
	enum part_backup backup;
	bool signers; /* the signer's, else the api's */
	bool brokers; /* the broker's group must be able to read */
	bool optional; /* a backup does without it: a root's key that is offline, a CA that there was not */
};

/* The I-th part, folders before what is in them; NULL behind the last. */
const struct part *part_at(size_t i);

#endif
