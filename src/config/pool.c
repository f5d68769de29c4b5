/* pool.c - one malloc a piece, chained, see pool.h: a configuration has a hundred of them and is
 * loaded once, so nothing cleverer pays. */
#include "config/pool.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct pool_piece {
    struct pool_piece *next;
    size_t size;
    max_align_t bytes[];
};

void *pool_alloc(struct pool *pool, size_t size)
{
    struct pool_piece *piece = must_calloc(1, sizeof(*piece) + size);

    piece->size = size;
    piece->next = pool->pieces;
    pool->pieces = piece;
    return piece->bytes;
}

char *pool_string(struct pool *pool, struct slice s)
{
    char *copy = pool_alloc(pool, s.n + 1);

    if (s.n > 0)
        memcpy(copy, s.p, s.n);
    return copy;
}

void pool_done(struct pool *pool)
{
    while (pool->pieces) {
        struct pool_piece *piece = pool->pieces;

        pool->pieces = piece->next;
        explicit_bzero(piece->bytes, piece->size);
        free(piece);
    }
}
