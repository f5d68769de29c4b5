/* pool.h - memory that lives and dies together: all strings and structs of one configuration. It
 * is wiped when it is given back, for there are passwords in it. */
#ifndef LARDER_CONFIG_POOL_H
#define LARDER_CONFIG_POOL_H

#include <stddef.h>

#include "base/check.h"
#include "base/slice.h"

struct pool {
    struct pool_piece *pieces;
};

/* `size` zero bytes, aligned for anything, until pool_done(). */
MUST_USE
void *pool_alloc(struct pool *pool, size_t size);

/* A copy of s as a string. */
MUST_USE
char *pool_string(struct pool *pool, struct slice s);

/* Wipes and gives back everything; the pool is empty and usable. */
void pool_done(struct pool *pool);

#endif
