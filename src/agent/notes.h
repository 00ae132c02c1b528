/* What the agent keeps in its folder besides keys: what it was told when it enrolled, and what it remembers. */
#ifndef MUSTER_AGENT_NOTES_H
#define MUSTER_AGENT_NOTES_H

#include "base/clock.h"
#include "base/err.h"
#include "base/secret.h"

#define NOTES_TEXT_SIZE 256

struct notes {
	/* agent.conf, written by enrolment */
	char url[NOTES_TEXT_SIZE];    /* of the service, for renewals; "": none */
	char label[NOTES_TEXT_SIZE];  /* of the EST path; "": none */
	char broker[NOTES_TEXT_SIZE]; /* HOST:PORT; "": none */
	char key[16];		      /* the kind of key to make */
	/* agent.state, written by the running agent */
	char connected_at[CLOCK_TEXT_MAX]; /* last; "": never */
	char rekey[2 * SHA256_LEN + 1];	   /* digest of the last instruction obeyed, in hex; "": none */
};

/* Read both files of DIR; the second may be missing, and both may lack lines or have unknown ones. E_NOTFOUND: nothing has
 * enrolled here; E_INPUT, E_SYS. */
MUST_CHECK int notes_read(const char *dir, struct notes *out, struct err *err);

/* Replace one of the files. A value must be one line. E_INPUT, E_SYS, E_FULL. */
MUST_CHECK int notes_write_conf(const char *dir, const struct notes *notes, struct err *err);
MUST_CHECK int notes_write_state(const char *dir, const struct notes *notes, struct err *err);

#endif
