/* W3C Trace Context: a trace's id as it goes from process to process in the header traceparent. */
#ifndef MUSTER_BASE_TRACE_H
#define MUSTER_BASE_TRACE_H

#include <stdbool.h>

#define TRACE_ID_SIZE 33     /* 128 bits in hex */
#define TRACE_PARENT_SIZE 56 /* "00-TRACE-PARENT-FLAGS" */

/* The trace's id in HEADER (level 1, section 3.2), strictly: lower-case hex, neither id all zero; of a later version what its
 * first four fields say. False, and "" in OUT, for anything else. */
bool trace_parse(const char *header, char out[TRACE_ID_SIZE]);

/* A header for a request of ours: in the trace of PARENT, which is one that somebody handed us; else, or with NULL, in a new
 * one. False if there is no randomness. */
bool trace_make(const char *parent, char out[TRACE_PARENT_SIZE]);

#endif
