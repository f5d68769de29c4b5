/* rows.c - the tables that derive from the X-macros of settings.h, and the small grammar of their
 * default column. Whatever knows settings by name knows them from here. */
#include "config/rows.h"

#include "config/bounds.h"
#include "config/settings.h"
#include "config/units.h"

#define IS_RELOAD  true
#define IS_RESTART false

#define ROW(in, name, type, fallback, reload, help, listens)                                       \
    {#name, TYPE_##type, fallback, IS_##reload, help, offsetof(struct in, name), listens},
#define LARDER_ROW(name, type, fallback, reload, help)                                             \
    ROW(larder_settings, name, type, fallback, reload, help, false)
#define LISTENER_ROW(name, type, fallback, reload, help)                                           \
    ROW(listener_settings, name, type, fallback, reload, help, true)
#define UPSTREAM_ROW(name, type, fallback, reload, help)                                           \
    ROW(upstream_settings, name, type, fallback, reload, help, false)
#define CACHE_ROW(name, type, fallback, reload, help)                                              \
    ROW(cache_settings, name, type, fallback, reload, help, false)
#define POLICY_ROW(name, type, fallback, reload, help)                                             \
    ROW(policy_settings, name, type, fallback, reload, help, false)
#define TENANT_ROW(name, type, fallback, reload, help)                                             \
    ROW(tenant_settings, name, type, fallback, reload, help, false)

static const struct row larder_rows[] = {LARDER_SETTINGS(LARDER_ROW)};
static const struct row listener_rows[] = {LISTENER_SETTINGS(LISTENER_ROW)};
static const struct row upstream_rows[] = {UPSTREAM_SETTINGS(UPSTREAM_ROW)};
static const struct row cache_rows[] = {CACHE_SETTINGS(CACHE_ROW)};
static const struct row policy_rows[] = {POLICY_SETTINGS(POLICY_ROW)};
static const struct row tenant_rows[] = {TENANT_SETTINGS(TENANT_ROW)};

/* find_named() of draft.c writes it there. */
_Static_assert(offsetof(struct listener_settings, name) == 0, "a named section begins with it");
_Static_assert(offsetof(struct policy_settings, name) == 0, "a named section begins with it");
_Static_assert(offsetof(struct tenant_settings, name) == 0, "a named section begins with it");

const struct kind kind_larder = {
    .word = "larder",
    .example = "larder",
    .help = "The process as a whole.",
    .rows = larder_rows,
    .count = ARRAY_LEN(larder_rows),
};
const struct kind kind_listener = {
    .word = "listener",
    .plural = "listeners",
    .limit = CONFIG_LISTENERS,
    .size = sizeof(struct listener_settings),
    .example = "listener main",
    .help =
        "Where clients connect: as many such sections as there are addresses, each with a name "
        "of its own (letters, digits, - and _, at most 32). Without any, larder listens as if "
        "there were one with the defaults.",
    .rows = listener_rows,
    .count = ARRAY_LEN(listener_rows),
};
const struct kind kind_upstream = {
    .word = "upstream",
    .example = "upstream",
    .help = "The Redis server that larder stands before.",
    .rows = upstream_rows,
    .count = ARRAY_LEN(upstream_rows),
};
const struct kind kind_cache = {
    .word = "cache",
    .example = "cache",
    .help =
        "The near cache: replies that larder keeps and answers reads from. What is kept, policies "
        "say; without any that has local = yes, nothing is.",
    .rows = cache_rows,
    .count = ARRAY_LEN(cache_rows),
};
const struct kind kind_policy = {
    .word = "policy",
    .plural = "policies",
    .limit = CONFIG_POLICIES,
    .size = sizeof(struct policy_settings),
    .reloadable = true,
    .example = "policy sessions",
    .help =
        "What is done with the keys of some prefixes: as many such sections as wanted, each with a "
        "name of its own (letters, digits, - and _, at most 32). Keys that none of them is for "
        "pass.",
    .rows = policy_rows,
    .count = ARRAY_LEN(policy_rows),
};
const struct kind kind_tenant = {
    .word = "tenant",
    .plural = "tenants",
    .limit = CONFIG_TENANTS,
    .size = sizeof(struct tenant_settings),
    .reloadable = true,
    .example = "tenant acme",
    .help =
        "Who shares larder and its Redis with others, and sees nothing of them: as many such "
        "sections as there are tenants, each with a name of its own (letters, digits, - and _, at "
        "most 32), which is what its clients log in with: AUTH NAME password. Where there is a "
        "tenant, a client that has not logged in is served nothing, unless its listener says whose "
        "it is.",
    .rows = tenant_rows,
    .count = ARRAY_LEN(tenant_rows),
};

const struct kind *const kinds[KIND_COUNT] = {
    &kind_larder, &kind_listener, &kind_upstream, &kind_cache, &kind_policy, &kind_tenant,
};

static struct slice up_to(const char *p, const char *end)
{
    return slice_of(p, strcspn(p, end));
}

const struct row *row_find(const struct kind *kind, struct slice name, bool *ret_twin)
{
    for (size_t i = 0; i < kind->count; i++) {
        const struct row *row = &kind->rows[i];
        struct slice own = slice_str(row->name);

        if (!slice_starts(name, own))
            continue;
        if (name.n == own.n) {
            *ret_twin = false;
            return row;
        }
        if (row->type == TYPE_SECRET &&
            slice_eq(slice_of(name.p + own.n, name.n - own.n), SLICE("_file"))) {
            *ret_twin = true;
            return row;
        }
    }
    return NULL;
}

struct slice row_default(const struct row *row)
{
    switch (row->type) {
    case TYPE_CHOICE:
        return row_word(row, 0);
    case TYPE_COUNT:
    case TYPE_DURATION:
    case TYPE_SIZE:
    case TYPE_RATE:
        return up_to(row->fallback, " ");
    case TYPE_STRING:
    case TYPE_SECRET:
    case TYPE_PATH:
    case TYPE_BOOL:
    case TYPE_ADDRESS:
    case TYPE_LIST:
    case TYPE_PREFIX:
    case TYPE_ADDRESSES:
        return slice_str(row->fallback);
    }
    check_failed("a known setting_type", __FILE__, __LINE__);
}

struct slice row_bounds(const struct row *row)
{
    const char *blank = strchr(row->fallback, ' ');

    CHECK(blank);
    return slice_str(blank + 1);
}

static bool read_number(enum setting_type type, struct slice s, uint64_t *ret)
{
    if (type == TYPE_DURATION)
        return unit_duration(s, ret);
    if (type == TYPE_RATE)
        return unit_rate(s, ret);
    return type == TYPE_SIZE ? unit_size(s, ret) : unit_count(s, ret);
}

void row_range(const struct row *row, uint64_t *ret_min, uint64_t *ret_max)
{
    struct slice min = up_to(row_bounds(row).p, ".");

    CHECK(read_number(row->type, min, ret_min));
    CHECK(read_number(row->type, slice_str(min.p + min.n + 2), ret_max));
}

struct slice row_word(const struct row *row, unsigned index)
{
    struct slice word = up_to(row->fallback, "|");

    for (; index > 0; index--) {
        if (word.p[word.n] == 0)
            return slice_of(word.p + word.n, 0);
        word = up_to(word.p + word.n + 1, "|");
    }
    return word;
}
