/* turns.h - who is served when, and how much of it at a time: see turns.c. */
#ifndef LARDER_CLIENT_TURNS_H
#define LARDER_CLIENT_TURNS_H

#include "client/heavy.h"
#include "client/tenants.h"

void client_queue(struct client *c); /* others first; it is read no more until then */
void turns_beat(struct clients *all);
/* A heavy client that speaks after a long silence is heavy no more. */
MUST_USE
bool turns_rested(struct client *c);
/* The client being served has cost so much; with so many bytes to be copied. */
static inline void client_spend(struct clients *all, uint64_t units, size_t bytes)
{
    units += bytes / 1024;
    all->turn_left -= units < all->turn_left ? (uint32_t)units : all->turn_left;
}

/* What may be unanswered of its requests before no more are begun. */
INLINED uint64_t client_most_pending(const struct client *c)
{
    uint64_t most = c->all->settings->max_pending;

    if (UNLIKELY(c->heavy)) {
        uint64_t part = heavy_most_pending(c);

        most = part < most ? part : most;
    }
    if (LIKELY(c->tenant == NULL || c->tenant->quota.max_pending == 0))
        return most;
    return quota_most_pending(c, most);
}

#endif
