/* slots.c - see slots.h. */
#include "upstream/slots.h"

void slots_grow(struct slots *s)
{
    uint32_t cap = s->cap ? s->cap * 2 : 64;
    struct slot *ring = must_alloc(cap * sizeof *ring);

    for (uint32_t i = 0; i < s->len; i++)
        ring[i] = *slots_at(s, i);
    free(s->ring);
    *s = (struct slots){.ring = ring, .len = s->len, .cap = cap};
}
