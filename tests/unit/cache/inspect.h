/* inspect.h - a look inside the shelf, and short words to fill it. */
#ifndef LARDER_TESTS_CACHE_INSPECT_H
#define LARDER_TESTS_CACHE_INSPECT_H

#include "cache/shelf_inside.h"

/* Fails the test unless every record, segment, queue, reference and account agrees, those of
 * owners with numbers below 16 too. */
void inspect(struct shelf *s);

/* Numbers that are the same each time. */
uint64_t dice(uint64_t *state);

/* The question for `ask` of a key in a scope; an entry of these bytes that never expires. */
struct question ask_for(const char *key, const char *ask, uint16_t scope);
struct entry reply_of(const char *bytes);

/* Puts must succeed, what is found must be these bytes (NULL: nothing). */
void put(struct shelf *s, const char *key, const char *ask, const char *bytes);
void put_at(struct shelf *s, const char *key, uint16_t scope, const char *bytes);
void finds(struct shelf *s, const char *key, const char *ask, const char *bytes);
void finds_at(struct shelf *s, const char *key, uint16_t scope, const char *bytes);

#endif
