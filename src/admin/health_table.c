/* health_table.c - LARDER HEALTH: what is well, and what is not, by name.
 *
 *      status=degraded reason=the certificate of a listener expires within 7 days
 *      larder=ok clients=12 ...
 *      upstream=ok roundtrip-us=212 ...
 *      cache=ok ...
 *      certificate=listener state=soon ...
 *
 * down: the upstream does not answer, or not as it should. degraded: it does, and something else
 * is wrong. larder itself is well, or there would be no answer: `larder --healthcheck` asks for no
 * more than that, for to restart larder does not bring the upstream back. */
#include "admin/health_table.h"

#include <stdio.h>
#include <string.h>

#include "client/near_view.h"
#include "errands/health.h"
#include "net/tls.h"
#include "upstream/invalidation.h"
#include "upstream/pool.h"
#include "upstream/sentinels.h"

#define EXPIRY_SOON_S (7u * 24u * 3600u)

/* The first thing that is wrong, in the order of the lines. */
struct verdict {
    const char *status;
    char reason[400];
};

static void find(struct verdict *v, const char *status, const char *what, const char *why)
{
    if (strcmp(v->status, "ok") != 0)
        return;
    v->status = status;
    (void)snprintf(v->reason, sizeof v->reason, "%s%s%s", what, why[0] != 0 ? ": " : "", why);
}

static uint64_t counter_named(const struct counter_set *set, const char *name)
{
    for (size_t i = 0; i < set->count; i++) {
        if (strcmp(set->rows[i].name, name) == 0)
            return counter_value(set, i);
    }
    return 0;
}

static void put_larder(const struct health_parts *p, struct buffer *out)
{
    buffer_printf(out, "larder=ok clients=%zu uptime-ms=%llu\n", clients_count(p->clients),
                  (unsigned long long)p->uptime_ms);
}

static void put_upstream(const struct health_parts *p, struct verdict *v, struct buffer *out)
{
    struct health_view h = health_look(clients_health(p->clients));
    struct breaker_view b = pool_breaker(p->pool);
    const char *why = h.why[0] != 0 ? h.why : pool_trouble(p->pool);

    if (h.state == UPSTREAM_AWAY)
        find(v, "down", "the upstream is away", why);
    else if (h.state == UPSTREAM_REFUSES)
        find(v, "down", "the upstream does not take a key and give it back", why);
    else if (h.state == UPSTREAM_UNKNOWN || pool_is_out(p->pool))
        find(v, "degraded", "whether the upstream is well is not known yet", why);
    buffer_printf(out,
                  "upstream=%s address=%s role=%s roundtrip-us=%llu age-ms=%llu breaker=%s "
                  "away-ms=%llu links=%zu waiting-link=%zu waiting-loan=%zu trouble=%s\n",
                  upstream_state_word(h.state), pool_address(p->pool), h.role,
                  (unsigned long long)h.took_us, (unsigned long long)h.age_ms, b.state,
                  (unsigned long long)b.away_ms,
                  pool_count_links(p->pool, LINK_SHARED) + pool_count_links(p->pool, LINK_IDLE) +
                      pool_count_links(p->pool, LINK_LENT),
                  pool_waiting(p->pool), pool_loans_waiting(p->pool), why);
}

static bool keeps_anything(const struct settings *s)
{
    for (size_t i = 0; i < s->policy_count; i++) {
        if (s->policies[i].local)
            return true;
    }
    return false;
}

static void put_cache(const struct health_parts *p, struct verdict *v, struct buffer *out)
{
    const struct invalidation *inv = clients_invalidation(p->clients);
    enum trust trust = clients_trust(p->clients);
    bool well = trust == TRUST_ARMED || trust == TRUST_TTL;
    struct counter_set set = clients_cache_counters(p->clients);
    const char *why = inv != NULL ? invalidation_trouble(inv) : "";

    if (!keeps_anything(p->settings)) {
        buffer_printf(out, "cache=off\n");
        return;
    }
    if (!well)
        find(v, "degraded", "the near cache is not served: changes are not heard of", why);
    buffer_printf(out, "cache=%s trust=%s bytes=%llu max-bytes=%llu trouble=%s\n",
                  well ? "ok" : "not-served", trust_word(trust),
                  (unsigned long long)counter_named(&set, "bytes"),
                  (unsigned long long)counter_named(&set, "max_bytes"), why);
}

static void put_sentinels(const struct health_parts *p, struct verdict *v, struct buffer *out)
{
    struct counter_set set = sentinels_counters(p->sentinels);
    uint64_t heard = counter_named(&set, "watching");
    size_t all = p->settings->upstream.sentinels.n;

    if (p->sentinels == NULL)
        return;
    if (heard < all)
        find(v, "degraded", "not every Sentinel is heard", "");
    buffer_printf(out, "sentinels=%s heard=%llu of=%zu switches=%llu\n",
                  heard == all ? "ok"
                  : heard == 0 ? "silent"
                               : "some-silent",
                  (unsigned long long)heard, all,
                  (unsigned long long)counter_named(&set, "switches"));
}

/* Whose it is: the row's name up to `_seconds_left`. Of a peer's none has been seen while it is 0;
 * one that has expired it would not get by with. */
static void put_certificate(const char *whose, uint64_t left_s, struct verdict *v,
                            struct buffer *out)
{
    const char *state = left_s == 0 ? "expired" : left_s < EXPIRY_SOON_S ? "soon" : "ok";
    char what[80];

    (void)snprintf(what, sizeof what, "the certificate of `%s' %s", whose,
                   left_s == 0 ? "has expired" : "expires within 7 days");
    if (left_s < EXPIRY_SOON_S)
        find(v, "degraded", what, "");
    buffer_printf(out, "certificate=%s state=%s left-s=%llu\n", whose, state,
                  (unsigned long long)left_s);
}

static void put_certificates(const struct health_parts *p, struct verdict *v, struct buffer *out)
{
    struct counter_set set;

    if (!tls_in_use(p->tls))
        return;
    set = tls_counters(p->tls);
    for (size_t i = 0; i < set.count; i++) {
        const char *name = set.rows[i].name, *end = strstr(name, "_seconds_left");
        bool peers = strncmp(name, "upstream", 8) == 0 || strncmp(name, "sentinel", 8) == 0;
        char whose[32];

        if (end == NULL || (peers && counter_value(&set, i) == 0))
            continue;
        (void)snprintf(whose, sizeof whose, "%.*s", (int)(end - name), name);
        put_certificate(whose, counter_value(&set, i), v, out);
    }
}

void put_health(const struct health_parts *p, struct buffer *out)
{
    struct verdict v = {.status = "ok"};
    struct buffer lines = {0};

    put_larder(p, &lines);
    put_upstream(p, &v, &lines);
    put_cache(p, &v, &lines);
    put_sentinels(p, &v, &lines);
    put_certificates(p, &v, &lines);
    buffer_printf(out, "status=%s reason=%s\n", v.status, v.reason);
    buffer_add(out, buffer_head(&lines), buffer_len(&lines));
    buffer_done(&lines);
}
