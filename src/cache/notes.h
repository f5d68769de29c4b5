/* notes.h - queues of 64-bit notes, as many as there are owners, most of them short
 * (shelf_share.c).
 *
 *      first -> [..xxxx] -> [xxxxxx] -> [xx....] <- last        taken here, pushed there
 *
 * Chunks of 256 bytes, so that a queue of one takes little, and none is ever copied to grow. What
 * they take is added to *bytes, which is the same for all queues that notes are moved between. */
#ifndef LARDER_CACHE_NOTES_H
#define LARDER_CACHE_NOTES_H

#include <stddef.h>
#include <stdint.h>

#include "base/check.h"

#define NOTES_A_CHUNK 30u

struct notes {
    struct notes_chunk *first, *last;
    uint64_t n;
};

void notes_push(struct notes *list, uint64_t note, size_t *bytes);
/* The oldest; there must be one. */
MUST_USE
uint64_t notes_take(struct notes *list, size_t *bytes);
/* All of `from` to the end of `to`, at once. */
void notes_move(struct notes *from, struct notes *to);
/* Frees the first chunk, with all notes in it; there must be one. */
void notes_drop_chunk(struct notes *list, size_t *bytes);

#endif
