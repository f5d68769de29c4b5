/* tenants.c - who the tenants are, and whose a connection is.
 *
 * A tenant lives under its name for as long as larder does or the settings have it: its counters
 * and its sessions outlive a reload. One that is removed, or gets another prefix, ends with all its
 * sessions: what they have under way would be about other keys from then on. */
#include "client/tenants.h"

#include <stdlib.h>

#include "client/near_view.h"
#include "client/quota.h"
#include "net/loop.h"

/* ---- by name ---- */

struct tenant *tenants_find(const struct tenants *ts, struct slice name)
{
    size_t low = 0, high = ts != NULL ? ts->n : 0;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = slice_order(slice_str(ts->v[middle]->name), name);

        if (order == 0)
            return ts->v[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static int by_name(const void *a, const void *b)
{
    const struct tenant *const *x = a, *const *y = b;

    return slice_order(slice_str((*x)->name), slice_str((*y)->name));
}

/* ---- reload ---- */

static struct tenant *tenant_new(const char *name, const char *prefix, bool scripts)
{
    struct tenant *t = must_calloc(1, sizeof *t);

    t->name = must_strdup(name);
    namespace_init(&t->ns, slice_str(prefix), scripts);
    list_init(&t->quota.late);
    list_init(&t->quota.crowded);
    return t;
}

static void tenant_free(struct tenant *t)
{
    if (t == NULL)
        return;
    quota_done(t);
    namespace_done(&t->ns);
    free(t->name);
    free(t);
}

/* Its connections end, and nothing is kept of its keys. */
static void expel(struct clients *all, struct tenant *t)
{
    for (list_each_safe (node, next, &all->open)) {
        struct client *c = CONTAINER_OF(node, struct client, node);

        if (c->tenant == t)
            client_close(c, CLOSE_TENANT);
    }
    for (list_each (node, &all->shades)) {
        struct client *c = CONTAINER_OF(node, struct client, node);

        if (c->tenant == t)
            c->tenant = NULL;
    }
    tenant_disown(all, t);
    all->tenants->key_of = NULL;
    tenant_free(t);
}

/* The tenant of before, if it goes on; it is marked. */
static struct tenant *kept(const struct tenants *ts, const struct tenant_settings *set)
{
    struct tenant *t = tenants_find(ts, slice_str(set->name));

    if (t == NULL || !slice_eq(t->ns.prefix, slice_str(set->prefix)))
        return NULL;
    t->kept = true;
    t->ns.scripts = set->scripts == SET_SCRIPTS_ALLOW;
    return t;
}

/* Whoever came while nobody had to say who he is: from now on that is not enough. */
static void close_strangers(struct clients *all)
{
    for (list_each_safe (node, next, &all->open)) {
        struct client *c = CONTAINER_OF(node, struct client, node);

        if (c->tenant == NULL && listener_settings(c->listener)->password[0] == 0)
            client_close(c, CLOSE_TENANT);
    }
}

static struct tenants *tenants_new(struct clients *all, const char *namespace)
{
    struct tenants *ts = must_calloc(1, sizeof *ts);

    list_init(&ts->late);
    ts->late_timer = timer_new(all->loop, tenants_late, all);
    if (*namespace)
        ts->common = tenant_new("", namespace, true);
    return ts;
}

void clients_use_tenants(struct clients *all, const struct settings *settings)
{
    struct tenants *ts = all->tenants;
    size_t n = settings->tenant_count, before;
    struct tenant **v, **old;

    if (ts == NULL && n == 0 && !*settings->larder.namespace)
        return;
    if (ts == NULL)
        ts = all->tenants = tenants_new(all, settings->larder.namespace);
    v = must_calloc(n + 1, sizeof(struct tenant *));
    for (size_t i = 0; i < n; i++) {
        const struct tenant_settings *set = &settings->tenants[i];

        v[i] = kept(ts, set);
        if (v[i] == NULL) { /* until now its keys may have been of other policies */
            v[i] = tenant_new(set->name, set->prefix, set->scripts == SET_SCRIPTS_ALLOW);
            clients_flush_prefix(all, slice_str(set->prefix));
        }
        v[i]->set = set;
    }
    if (n > 1)
        qsort(v, n, sizeof(struct tenant *), by_name);
    old = ts->v;
    before = ts->n;
    ts->v = v;
    ts->n = n;
    for (size_t i = 0; i < before; i++) {
        if (!old[i]->kept)
            expel(all, old[i]);
    }
    for (size_t i = 0; i < n; i++) {
        v[i]->kept = false;
        quota_settle(all, v[i]);
    }
    quota_count_all(all);
    tenants_own(all);
    free(old);
    if (before == 0 && n > 0)
        close_strangers(all);
}

void tenants_free(struct tenants *ts)
{
    if (ts == NULL)
        return;
    for (size_t i = 0; i < ts->n; i++)
        tenant_free(ts->v[i]);
    tenant_free(ts->common);
    free(ts->v);
    free(ts->owners);
    buffer_done(&ts->words);
    buffer_done(&ts->reply);
    timer_free(ts->late_timer);
    free(ts);
}

/* ---- connections ---- */

static struct lane *lane_of(const struct client *c, const struct tenant *t)
{
    const struct tenant_settings *set = t != NULL ? t->set : NULL;

    if (set == NULL || !*set->upstream_username)
        return lane_hold_default(c->all->pool, c->proto);
    return lane_hold(c->all->pool, slice_str(set->upstream_username),
                     slice_str(set->upstream_password), c->proto);
}

void tenant_leave(struct client *c)
{
    if (c->tenant != NULL)
        c->tenant->count.clients--;
}

void tenant_join(struct client *c, struct tenant *t)
{
    if (c->tenant == t)
        return;
    tenant_leave(c);
    quota_left(c);
    c->tenant = t;
    if (t != NULL) {
        t->count.clients++;
        t->count.accepted++;
        if (t->quota.max_pending > 0)
            (void)client_session(c); /* who waits has one, and whose replies others wait for */
    }
    client_join_lane(c, lane_of(c, t));
}

bool tenant_is_full(struct tenant *t)
{
    if (t == NULL || t->set == NULL || t->set->max_clients == 0 ||
        t->count.clients < t->set->max_clients)
        return false;
    t->count.refused_max_clients++;
    return true;
}

bool tenants_full(const struct tenants *ts, const struct listener *l)
{
    const struct listener_settings *set = listener_settings(l);

    return *set->tenant && !*set->password &&
           tenant_is_full(tenants_find(ts, slice_str(set->tenant)));
}

bool tenants_ask_login(const struct client *c)
{
    return c->all->tenants != NULL && c->all->tenants->n > 0;
}

void tenant_greet(struct client *c)
{
    const struct listener_settings *set = listener_settings(c->listener);
    const struct tenants *ts = c->all->tenants;
    struct tenant *t = NULL;

    c->authenticated = set->password[0] == 0;
    if (LIKELY(ts == NULL))
        return;
    if (*set->tenant)
        t = tenants_find(ts, slice_str(set->tenant));
    else if (ts->n > 0)
        c->authenticated = false;
    /* Until it has logged in it is nobody's. */
    tenant_join(c, !c->authenticated ? NULL : t != NULL ? t : ts->common);
}

/* ---- what the console shows ---- */

static void add_up(struct tenant_counters *sum, const struct tenant_counters *count)
{
#define ADD(name, kind, help) sum->name += count->name;
    TENANT_COUNTERS(ADD)
#undef ADD
}

struct counter_set clients_tenant_counters(const struct clients *all)
{
    static const struct counter_row rows[] = {
#define ROW(name, kind, help) {#name, kind, offsetof(struct tenant_counters, name), help},
        TENANT_COUNTERS(ROW)
#undef ROW
    };
    static const struct tenant_counters none = {0};
    struct tenants *ts = all->tenants;

    if (ts == NULL)
        return (struct counter_set){"tenant", rows, ARRAY_LEN(rows), &none};
    quota_view(all);
    tenants_shelf_view(all);
    ts->sum = ts->common != NULL ? ts->common->count : none;
    for (size_t i = 0; i < ts->n; i++)
        add_up(&ts->sum, &ts->v[i]->count);
    return (struct counter_set){"tenant", rows, ARRAY_LEN(rows), &ts->sum};
}

static void describe(const struct tenant *t, struct buffer *out)
{
    buffer_printf(out, "tenant=%s prefix=", t->name);
    buffer_add_visible(out, t->ns.prefix);
    buffer_printf(out, " scripts=%s", t->ns.scripts ? "allow" : "deny");
#define PUT(name, kind, help)                                                                      \
    buffer_printf(out, " " #name "=%llu", (unsigned long long)t->count.name);
    TENANT_COUNTERS(PUT)
#undef PUT
    buffer_add(out, "\n", 1);
}

void clients_describe_tenants(const struct clients *all, struct buffer *out)
{
    const struct tenants *ts = all->tenants;

    if (ts == NULL)
        return;
    quota_view(all);
    tenants_shelf_view(all);
    if (ts->common != NULL)
        describe(ts->common, out);
    for (size_t i = 0; i < ts->n; i++)
        describe(ts->v[i], out);
}
