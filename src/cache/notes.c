/* notes.c - queues of notes, see notes.h. Each chunk knows from where to where it is filled, so
 * that a queue can be put behind another as it is. */
#include "cache/notes.h"

#include <stdlib.h>

/* What malloc() makes of a chunk. */
#define CHUNK_COST (sizeof(struct notes_chunk) + 16u)

struct notes_chunk {
    struct notes_chunk *next;
    uint32_t from, to;
    uint64_t notes[NOTES_A_CHUNK];
};

static struct notes_chunk *add_chunk(struct notes *list, size_t *bytes)
{
    struct notes_chunk *c = must_alloc(sizeof(*c));

    c->next = NULL;
    c->from = c->to = 0;
    if (list->last == NULL)
        list->first = c;
    else
        list->last->next = c;
    list->last = c;
    *bytes += CHUNK_COST;
    return c;
}

void notes_push(struct notes *list, uint64_t note, size_t *bytes)
{
    struct notes_chunk *c = list->last;

    if (c == NULL || c->to == NOTES_A_CHUNK)
        c = add_chunk(list, bytes);
    c->notes[c->to++] = note;
    list->n++;
}

void notes_drop_chunk(struct notes *list, size_t *bytes)
{
    struct notes_chunk *c = list->first;

    CHECK(c != NULL);
    list->n -= c->to - c->from;
    list->first = c->next;
    if (list->first == NULL)
        list->last = NULL;
    *bytes -= CHUNK_COST;
    free(c);
}

uint64_t notes_take(struct notes *list, size_t *bytes)
{
    struct notes_chunk *c = list->first;
    uint64_t note;

    CHECK(list->n > 0);
    note = c->notes[c->from++];
    list->n--;
    if (c->from == c->to)
        notes_drop_chunk(list, bytes);
    return note;
}

void notes_move(struct notes *from, struct notes *to)
{
    if (from->first == NULL)
        return;
    if (to->last == NULL)
        to->first = from->first;
    else
        to->last->next = from->first;
    to->last = from->last;
    to->n += from->n;
    *from = (struct notes){0};
}
