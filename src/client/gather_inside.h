/* gather_inside.h - an MGET under way: between gather.c and gather_weave.c. */
#ifndef LARDER_CLIENT_GATHER_INSIDE_H
#define LARDER_CLIENT_GATHER_INSIDE_H

#include "client/near.h"
#include "resp/reply.h"

/* One key of the MGET. */
struct part {
    struct flight flight; /* in the air if `keep` */
    struct question q;
    struct fill_terms terms;
    struct slice known; /* what the shelf had; n == 0: asked upstream */
    bool keep;
};

struct gather {
    struct asker asker;
    struct flight flight; /* for those who ask the same */
    struct near *near;
    struct client *leader;
    struct link *link;
    struct question q;
    struct buffer got;      /* replies, while not all are there */
    struct reply_scan scan; /* streaming: of the element that passes */
    uint64_t asked_us;
    uint32_t due, have; /* replies */
    uint32_t n, next;   /* parts; streaming: the next to be given */
    uint32_t asked;     /* .. of them, upstream */
    bool streaming;
    bool headed; /* streaming: the head of the array has been given */
    bool plain;  /* streaming: passes as it comes, not being what was asked for */
    size_t request_n;
    char *text; /* the request, the ask, what the shelf had */
    struct part parts[];
};

/* A value for each key: not an error, and not what no server would say. */
static inline bool gather_is_answer(const struct gather *g, const struct reply *head)
{
    return head->type == '*' && head->number == g->asked;
}

/* gather_weave.c */
/* Passes the elements on to the leader, putting what is known between them. True: it has more than
 * it reads. */
MUST_USE
bool gather_weave(struct gather *g, struct slice bytes);

#endif
