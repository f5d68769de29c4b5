/* check_random.c - the shelf against a plain map, with random operations.
 *
 * The map is an array with a cell for each question that there is. The shelf may forget what it
 * likes when it is small, and nothing when it is large; it may never answer anything but what was
 * put last, and never after it was removed. Every so often all of its inside is looked at. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "inspect.h"
#include "suites.h"

#define FAR    (UINT64_C(1) << 40)
#define KEYS   3000
#define ASKS   4
#define SCOPES 2
#define CELLS  (KEYS * ASKS * SCOPES)

struct cell {
    bool there, seen;
    struct entry e;
    uint32_t fill; /* what the bytes are made of */
    size_t n;
};

struct world {
    struct shelf *s;
    struct cell *cells;
    uint64_t random, now, found, there, kept, refused;
    size_t max;
    size_t longest; /* of a reply */
    bool all_stays;
};

static unsigned pick(struct world *w, unsigned below)
{
    return (unsigned)(dice(&w->random) % below);
}

static unsigned cell_of(unsigned key, unsigned ask, unsigned scope)
{
    return (key * ASKS + ask) * SCOPES + scope;
}

static void tidy(struct world *w, unsigned slice)
{
    bool more = shelf_tidy(w->s, w->now, slice);

    (void)more;
}

struct names {
    char key[64], ask[64];
};

/* Keys of different lengths, some of which begin alike; ask 0 is GET. */
static struct question name(unsigned cell, struct names *names)
{
    unsigned key = cell / SCOPES / ASKS, ask = cell / SCOPES % ASKS;

    snprintf(names->key, sizeof(names->key), "%.*s%u", (int)(key % 40),
             "key:key:key:key:key:key:key:key:key:key:", key);
    if (ask == 0)
        names->ask[0] = 0;
    else
        snprintf(names->ask, sizeof(names->ask), "HMGET %u", ask);
    return ask_for(names->key, names->ask, (uint16_t)(cell % SCOPES));
}

static void fill(char *bytes, size_t n, uint32_t with)
{
    for (size_t i = 0; i < n; i++)
        bytes[i] = (char)(with >> 8 * (i % 4)) + (char)(i / 251);
}

static void do_put(struct world *w, unsigned cell)
{
    struct names names;
    struct question q = name(cell, &names);
    struct cell *c = &w->cells[cell];
    size_t n = pick(w, 16) ? pick(w, 200) : pick(w, (unsigned)w->longest);
    char *bytes = malloc(n + 1);
    uint64_t stamp = shelf_stamp(w->s);

    c->fill = (uint32_t)dice(&w->random);
    c->n = n;
    fill(bytes, n, c->fill);
    c->e = (struct entry){.bytes = slice_of(bytes, n),
                          .deadline_ms = w->all_stays
                                             ? pick(w, 1000000) + FAR
                                             : w->now + 1 + pick(w, pick(w, 8) ? 10000000 : 100000),
                          .policy = (uint16_t)pick(w, 4),
                          .kind = pick(w, 8) ? ENTRY_VALUE : ENTRY_ABSENT};
    switch (pick(w, 4)) {
    case 0:
        c->e.expiry_ms = EXPIRY_NEVER;
        break;
    case 1:
        c->e.expiry_ms = c->e.deadline_ms;
        break;
    case 2:
        c->e.expiry_ms = c->e.deadline_ms + dice(&w->random) % (UINT64_C(1) << 34);
        break;
    default:
        c->e.expiry_ms = pick(w, 1000);
        break;
    }
    c->there = shelf_put(w->s, &q, &c->e);
    c->e.stamp = shelf_stamp(w->s);
    if (c->there)
        ck_assert_uint_gt(c->e.stamp, stamp);
    w->kept += c->there;
    w->refused += !c->there;
    if (w->all_stays)
        ck_assert(c->there);
    free(bytes);
}

static void same(const struct cell *c, const struct entry *e)
{
    char *bytes = malloc(c->n + 1);

    fill(bytes, c->n, c->fill);
    ck_assert(slice_eq(e->bytes, slice_of(bytes, c->n)));
    ck_assert_uint_eq(e->deadline_ms, c->e.deadline_ms);
    ck_assert_uint_eq(e->expiry_ms, c->e.expiry_ms);
    ck_assert_uint_eq(e->stamp, c->e.stamp);
    ck_assert_uint_eq(e->policy, c->e.policy);
    ck_assert_uint_eq(e->kind, c->e.kind);
    if (e->block)
        ck_assert_ptr_eq(e->bytes.p, e->block->bytes);
    free(bytes);
}

static void do_find(struct world *w, unsigned cell)
{
    struct names names;
    struct question q = name(cell, &names);
    struct cell *c = &w->cells[cell];
    struct entry e, peeked;
    bool peek = shelf_peek(w->s, &q, &peeked), found = shelf_find(w->s, &q, &e);

    ck_assert_int_eq(peek, found);
    if (found) {
        ck_assert_msg(c->there, "%s %s was removed", names.key, names.ask);
        same(c, &e);
    } else if (w->all_stays) {
        ck_assert_msg(!c->there, "%s %s is lost", names.key, names.ask);
    }
    w->found += found;
    w->there += c->there;
}

static void do_remove(struct world *w, unsigned key)
{
    struct names names;
    struct question q = name(cell_of(key, 0, 0), &names);
    bool any = false;

    for (unsigned i = 0; i < ASKS * SCOPES; i++) {
        struct cell *c = &w->cells[cell_of(key, 0, 0) + i];

        any |= c->there;
        c->there = false;
    }
    if (!shelf_remove(w->s, q.key) && w->all_stays)
        ck_assert(!any);
}

static void do_clear(struct world *w)
{
    shelf_clear(w->s);
    for (unsigned i = 0; i < CELLS; i++)
        w->cells[i].there = false;
    ck_assert_uint_eq(shelf_usage_total(w->s).entries, 0);
}

/* Policy 3 is weeded: nothing of it may be left that was there when it began. */
static bool is_third(void *context, struct slice key, const struct entry *e)
{
    struct world *w = context;

    (void)w;
    ck_assert_uint_gt(key.n, 0);
    return e->policy == 3;
}

static void do_weed(struct world *w)
{
    uint64_t began = shelf_stamp(w->s);

    shelf_weed(w->s, is_third, w);
    while (shelf_weeding(w->s)) {
        tidy(w, 1 + pick(w, 30));
        if (pick(w, 4) == 0)
            do_put(w, pick(w, CELLS));
    }
    for (unsigned i = 0; i < CELLS; i++) {
        struct cell *c = &w->cells[i];

        if (c->there && c->e.policy == 3) {
            struct names names;
            struct question q = name(i, &names);
            struct entry e;

            ck_assert(!shelf_peek(w->s, &q, &e) || e.stamp > began);
            c->there = shelf_peek(w->s, &q, &e);
        }
    }
}

static void do_tidy(struct world *w)
{
    w->now += pick(w, 2000);
    tidy(w, 1 + pick(w, 100));
}

static void step(struct world *w)
{
    unsigned what = pick(w, 1000);
    /* Low numbers come more often, so that there are hits. */
    unsigned key = pick(w, 1 + pick(w, KEYS));
    unsigned cell = cell_of(key, pick(w, 2) ? 0 : pick(w, ASKS), pick(w, 4) ? 0 : pick(w, SCOPES));

    if (what < 400)
        do_put(w, cell);
    else if (what < 900)
        do_find(w, cell);
    else if (what < 950)
        do_remove(w, key);
    else if (what < 998)
        do_tidy(w);
    else if (what == 998)
        do_weed(w);
    else if (pick(w, 10) == 0)
        do_clear(w);
}

static void play(size_t max, size_t longest, bool all_stays, unsigned steps)
{
    struct world w = {.s = shelf_new(max),
                      .cells = calloc(CELLS, sizeof(struct cell)),
                      .random = max + longest,
                      .max = max,
                      .longest = longest,
                      .all_stays = all_stays};

    for (unsigned i = 0; i < steps; i++) {
        step(&w);
        ck_assert_uint_le(shelf_usage_total(w.s).bytes, max);
        if (i % (all_stays ? 4000 : 500) == 0)
            inspect(w.s);
    }
    inspect(w.s);
    /* It must be good for something, or all of the above says little. */
    ck_assert_uint_gt(w.found * 5, w.there * (all_stays ? 4 : 2));
    ck_assert_uint_gt(w.kept, 100 * w.refused);
    if (!all_stays) {
        ck_assert_uint_gt(shelf_usage_total(w.s).evictions, steps / 20);
        ck_assert_uint_gt(shelf_usage_total(w.s).expired, 10);
    }
    shelf_free(w.s);
    free(w.cells);
}

START_TEST(nothing_is_lost_while_there_is_room)
{
    play(64u << 20, 20000, true, 60000);
}
END_TEST

START_TEST(what_is_found_is_what_was_put_last_while_all_is_thrown_out)
{
    play(SHELF_MIN_BYTES, 2000, false, 60000);
}
END_TEST

START_TEST(blocks_too)
{
    play(512u << 10, 30000, false, 60000);
}
END_TEST

Suite *random_suite(void)
{
    Suite *suite = suite_create("random");
    TCase *tc = tcase_create("random");

    tcase_add_test(tc, nothing_is_lost_while_there_is_room);
    tcase_add_test(tc, what_is_found_is_what_was_put_last_while_all_is_thrown_out);
    tcase_add_test(tc, blocks_too);
    tcase_set_timeout(tc, 60);
    suite_add_tcase(suite, tc);
    return suite;
}
