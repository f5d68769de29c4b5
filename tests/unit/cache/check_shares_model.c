/* check_shares_model.c - owners of a shelf against a plain map, with random operations: puts of all
 * kinds, hits, removals, shares that change, drops, owners that go and come with other numbers.
 *
 * What is found and not said to be dropped must be what was put last, and put after the last drop;
 * nobody may have more than the share and 1/16; every account must be that of the records. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/shares.h"
#include "inspect.h"
#include "suites.h"

#define FAR     (UINT64_C(1) << 40)
#define LETTERS 8u
#define KEYS    400u /* of each letter */
#define ASKS    3u
#define CELLS   (LETTERS * KEYS * ASKS)
#define NUMBERS 14u

struct cell {
    bool there;
    char fill;
    size_t n;
    uint32_t owner; /* when it was put */
};

struct world {
    struct shelf *s;
    uint32_t owner[LETTERS]; /* by letter; 0: nobody's */
    uint64_t share[NUMBERS], bytes[NUMBERS];
    struct cell cells[CELLS];
    uint64_t random, now, found, kept, refused;
};

static char bytes_of_reply[40000];

static unsigned pick(struct world *w, unsigned below)
{
    return (unsigned)(dice(&w->random) % below);
}

static uint32_t by_letter(void *context, struct slice key)
{
    struct world *w = context;

    return w->owner[key.p[0] - 'a'];
}

struct names {
    char key[64], ask[16];
};

static struct question name(unsigned cell, struct names *names)
{
    unsigned ask = cell % ASKS, key = cell / ASKS % KEYS, letter = cell / ASKS / KEYS;

    snprintf(names->key, sizeof names->key, "%c:%.*s%u", 'a' + (int)letter, (int)(key % 30),
             "keykeykeykeykeykeykeykeykeykeykey", key);
    names->ask[0] = 0;
    if (ask > 0)
        snprintf(names->ask, sizeof names->ask, "HMGET %u", ask);
    return ask_for(names->key, names->ask, 0);
}

static void within_shares(struct world *w)
{
    for (uint32_t i = 1; i < NUMBERS; i++) {
        uint64_t bytes = shelf_usage_of_owner(w->s, i).bytes, most = w->share[i];

        /* A share that became smaller: then at least no more than before. */
        most = most + most / 16 > w->bytes[i] ? most + most / 16 : w->bytes[i];
        if (w->share[i] > 0 && bytes > most)
            ck_abort_msg("%u has %lu of %lu", i, (unsigned long)bytes, (unsigned long)w->share[i]);
        w->bytes[i] = bytes;
    }
}

static void do_put(struct world *w, unsigned cell)
{
    struct names names;
    struct question q = name(cell, &names);
    struct cell *c = &w->cells[cell];
    struct entry e = reply_of("");

    c->n = pick(w, 16) ? pick(w, 200) : pick(w, 16000);
    c->fill = (char)('A' + pick(w, 26));
    memset(bytes_of_reply, c->fill, c->n);
    e.bytes = slice_of(bytes_of_reply, c->n);
    e.deadline_ms = pick(w, 4) ? FAR : w->now + pick(w, 100000) + 1;
    e.policy = (uint16_t)pick(w, 3);
    c->owner = by_letter(w, q.key);
    c->there = shelf_put(w->s, &q, &e);
    w->kept += c->there;
    w->refused += !c->there;
}

static void do_find(struct world *w, unsigned cell)
{
    struct names names;
    struct question q = name(cell, &names);
    const struct cell *c = &w->cells[cell];
    struct entry e;

    if (!shelf_find(w->s, &q, &e) || (shelf_wary(w->s) && shelf_dropped(w->s, q.key, e.stamp)))
        return;
    w->found++;
    if (!c->there)
        ck_abort_msg("%s %s was removed or dropped", names.key, names.ask);
    memset(bytes_of_reply, c->fill, c->n);
    if (!slice_eq(e.bytes, slice_of(bytes_of_reply, c->n)))
        ck_abort_msg("%s %s is not what was put", names.key, names.ask);
}

static void do_remove(struct world *w, unsigned cell)
{
    struct names names;
    struct question q = name(cell, &names);

    (void)shelf_remove(w->s, q.key);
    for (unsigned i = 0; i < ASKS; i++)
        w->cells[cell / ASKS * ASKS + i].there = false;
}

/* What was put before the owner came is not its own. */
static void forget_of(struct world *w, uint32_t owner)
{
    for (unsigned i = 0; i < CELLS; i++)
        if (w->cells[i].owner == owner)
            w->cells[i].there = false;
}

static void do_drop(struct world *w)
{
    uint32_t owner = 1 + pick(w, NUMBERS - 1);

    shelf_drop(w->s, owner);
    forget_of(w, owner);
}

/* A letter's owner goes (with all its letters), and mostly another number takes its place. */
static void do_change(struct world *w)
{
    unsigned letter = pick(w, LETTERS);
    uint32_t old = w->owner[letter], number = 1 + pick(w, NUMBERS - 1);

    if (old != 0) {
        for (unsigned i = 0; i < LETTERS; i++)
            if (w->owner[i] == old)
                w->owner[i] = 0;
        forget_of(w, old);
        shelf_owner_gone(w->s, old);
        w->share[old] = w->bytes[old] = 0;
    }
    if (w->share[number] > 0 || pick(w, 4) == 0)
        return;
    for (unsigned i = 0; i < LETTERS; i++)
        if (w->owner[i] == 0 && pick(w, 2))
            w->owner[i] = number;
    w->share[number] = 20000 + pick(w, 100000);
    shelf_share(w->s, number, w->share[number]);
}

static void do_share(struct world *w)
{
    uint32_t number = 1 + pick(w, NUMBERS - 1);

    if (w->share[number] == 0)
        return;
    w->share[number] = 10000 + pick(w, 200000);
    shelf_share(w->s, number, w->share[number]);
}

static void do_tidy(struct world *w)
{
    bool more = shelf_tidy(w->s, w->now += pick(w, 500), 1 + pick(w, 60));

    (void)more;
}

static void step(struct world *w)
{
    unsigned what = pick(w, 10000);
    unsigned cell = pick(w, LETTERS) * KEYS * ASKS + pick(w, 1 + pick(w, KEYS)) % KEYS * ASKS +
                    (pick(w, 2) ? 0 : pick(w, ASKS));

    if (what < 4000)
        do_put(w, cell);
    else if (what < 9000)
        do_find(w, cell);
    else if (what < 9500)
        do_remove(w, cell);
    else if (what < 9960)
        do_tidy(w);
    else if (what < 9970)
        do_drop(w);
    else if (what < 9980)
        do_change(w);
    else if (what < 9999)
        do_share(w);
    else if (pick(w, 5) == 0) {
        shelf_clear(w->s);
        memset(w->cells, 0, sizeof w->cells);
    }
}

static void play(size_t max, unsigned steps, uint64_t seed)
{
    struct world *w = calloc(1, sizeof *w);

    w->s = shelf_new(max);
    w->random = seed;
    for (unsigned i = 0; i < 500; i++)
        do_put(w, pick(w, CELLS));
    shelf_owners(w->s, by_letter, w);
    for (unsigned i = 0; i < steps; i++) {
        step(w);
        within_shares(w);
        ck_assert_uint_le(shelf_usage_total(w->s).bytes, max);
        if (i % 500 == 0)
            inspect(w->s);
    }
    ck_assert_uint_gt(w->found, steps / 20);
    ck_assert_uint_gt(w->kept, 10 * w->refused);
    ck_assert_uint_gt(w->refused, 0);
    memset(w->owner, 0, sizeof w->owner);
    shelf_owners(w->s, NULL, NULL);
    for (unsigned i = 0; i < 1000; i++)
        do_tidy(w);
    ck_assert_ptr_null(w->s->shares);
    inspect(w->s);
    shelf_free(w->s);
    free(w);
}

START_TEST(with_room_for_all)
{
    play(4u << 20, 60000, 1);
}
END_TEST

START_TEST(with_a_shelf_that_is_full)
{
    for (uint64_t seed = 2; seed < 8; seed++)
        play(512u << 10, 15000, seed);
}
END_TEST

Suite *shares_model_suite(void)
{
    Suite *suite = suite_create("shares model");
    TCase *tc = tcase_create("shares model");

    tcase_add_test(tc, with_room_for_all);
    tcase_add_test(tc, with_a_shelf_that_is_full);
    tcase_set_timeout(tc, 60);
    suite_add_tcase(suite, tc);
    return suite;
}
