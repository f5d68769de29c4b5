/* health_table.h - the lines of LARDER HEALTH. */
#ifndef LARDER_ADMIN_HEALTH_TABLE_H
#define LARDER_ADMIN_HEALTH_TABLE_H

#include "client/clients.h"
#include "config/settings.h"

struct pool;
struct sentinels;
struct tls;

/* What is looked at; sentinels NULL: the upstream is where the settings say. */
struct health_parts {
    const struct pool *pool;
    const struct clients *clients;
    struct sentinels *sentinels;
    struct tls *tls;
    const struct settings *settings;
    uint64_t uptime_ms;
};

void put_health(const struct health_parts *p, struct buffer *out);

#endif
