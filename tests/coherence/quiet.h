/* quiet.h - when nobody writes any more: do both larders say what Redis says? */
#ifndef LARDER_TESTS_COHERENCE_QUIET_H
#define LARDER_TESTS_COHERENCE_QUIET_H

#include "wire.h"
#include "truth.h"

enum { QUIET_WIRES = 5 }; /* A and B in RESP2 and RESP3, and Redis itself */

struct quiet {
    struct wire wire[QUIET_WIRES];
    struct reply reply[QUIET_WIRES];
};

/* Connects all, each with this database. */
bool quiet_open(struct quiet *q, const int port[VIA_COUNT], int db);
void quiet_close(struct quiet *q);

/* Writes a marker past the larders and waits until both show it, so that all pushes before it have
 * come. False: they do not within timeout_ms. */
bool quiet_settle(struct quiet *q, const char *marker, int timeout_ms);

/* How many of the four say of a key what Redis does not say. Prints them. */
uint32_t quiet_compare(struct quiet *q, const char *name, bool hash);

#endif
