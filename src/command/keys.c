/* keys.c - which arguments of a request are keys, and which of these it may change.
 *
 * For most commands the row says (first, last, step); for the rest a rule reads the arguments as
 * the command itself does, which is not always what COMMAND GETKEYS answers: where Redis 7.0's key
 * specs see a keyword in the name of a consumer group, or miss the second STORE, the command's own
 * reading counts. Where one option can be said twice, every key it names is given.
 *
 * Source: Redis 7.0, db.c (getkeys functions) and the commands' own parsers. */
#include "command/table.h"

#include <limits.h>

#include "base/check.h"

/* The caller's room, and how many keys there were. */
struct found {
    uint32_t *index;
    uint32_t room;
    uint32_t n;
    uint32_t skip; /* so many keys are not the caller's to see */
};

static void found_add(struct found *f, uint32_t i)
{
    if (f->skip > 0) {
        f->skip--;
        return;
    }
    if (f->n < f->room)
        f->index[f->n] = i;
    f->n++;
}

static void found_run(struct found *f, uint32_t first, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        found_add(f, first + i);
}

static void fixed_keys(const struct command *c, uint32_t argc, struct found *f)
{
    uint32_t end = c->last >= 0 ? (uint32_t)c->last + 1 : argc - (uint32_t)(-c->last) + 1;
    uint32_t step = (uint32_t)(int)c->step;

    if (c->first == 0)
        return;
    for (uint32_t i = (uint32_t)c->first; i < end && i < argc; i += step)
        found_add(f, i);
}

/* A count at argv[first - 1], that many keys from there on; more may follow. */
static bool counted_keys(uint32_t first, const struct slice *argv, uint32_t argc, struct found *f)
{
    int64_t count;

    if (first > argc || !slice_int(argv[first - 1], &count))
        return false;
    if (count < 0 || count > (int64_t)(argc - first))
        return false;
    found_run(f, first, (uint32_t)count);
    return true;
}

/* MSETEX numkeys key value .. [option ..] */
static bool pair_keys(const struct slice *argv, uint32_t argc, struct found *f)
{
    int64_t count;

    if (!slice_int(argv[1], &count) || count < 0 || count > (int64_t)(argc - 2) / 2)
        return false;
    for (uint32_t i = 0; i < (uint32_t)count; i++)
        found_add(f, 2 + 2 * i);
    return true;
}

/* XREAD [COUNT n] [BLOCK ms] STREAMS key .. id .., XREADGROUP GROUP g c [NOACK] ..: the options are
 * read one by one because a group or a consumer may be called STREAMS. */
static bool stream_keys(const struct slice *argv, uint32_t argc, struct found *f)
{
    uint32_t i = 1;

    while (i < argc && !option_is(argv[i], "STREAMS")) {
        if (option_is(argv[i], "NOACK"))
            i += 1;
        else if (option_is(argv[i], "COUNT") || option_is(argv[i], "BLOCK") ||
                 option_is(argv[i], "CLAIM")) /* Redis 8.4 */
            i += 2;
        else if (option_is(argv[i], "GROUP"))
            i += 3;
        else
            return false;
    }
    i++;
    if (i >= argc || (argc - i) % 2 != 0)
        return false;
    found_run(f, i, (argc - i) / 2);
    return true;
}

/* SORT key [BY p] [LIMIT o n] [GET p ..] [ASC|DESC] [ALPHA] [STORE key] */
static void sort_keys(const struct slice *argv, uint32_t argc, struct found *f)
{
    found_add(f, 1);
    for (uint32_t i = 2; i < argc; i++) {
        if (option_is(argv[i], "LIMIT")) {
            i += 2;
        } else if (option_is(argv[i], "BY") || option_is(argv[i], "GET")) {
            i += 1;
        } else if (option_is(argv[i], "STORE") && i + 1 < argc) {
            i += 1;
            found_add(f, i);
        }
    }
}

/* GEORADIUS key x y r unit [option ..], GEORADIUSBYMEMBER key member r unit [option ..]. For the
 * former the unit is looked at as an option too, which does no harm: it is not STORE. */
static void georadius_keys(const struct slice *argv, uint32_t argc, struct found *f)
{
    found_add(f, 1);
    for (uint32_t i = 5; i + 1 < argc; i++) {
        if (option_is(argv[i], "STORE") || option_is(argv[i], "STOREDIST")) {
            i += 1;
            found_add(f, i);
        }
    }
}

/* MIGRATE host port key db timeout [COPY] [REPLACE] [AUTH p | AUTH2 u p] [KEYS key ..]; with KEYS
 * the key before must be empty. */
static bool migrate_keys(const struct slice *argv, uint32_t argc, struct found *f)
{
    for (uint32_t i = 6; i < argc; i++) {
        if (option_is(argv[i], "AUTH")) {
            i += 1;
        } else if (option_is(argv[i], "AUTH2")) {
            i += 2;
        } else if (option_is(argv[i], "KEYS")) {
            if (argv[3].n != 0)
                return false;
            found_run(f, i + 1, argc - i - 1);
            return true;
        }
    }
    found_add(f, 3);
    return true;
}

static bool keys_by_rule(const struct command *c, const struct slice *argv, uint32_t argc,
                         struct found *f)
{
    CHECK(c->keys <= KEYS_ALL);
    switch ((enum key_rule)c->keys) {
    case KEYS_FIXED:
        fixed_keys(c, argc, f);
        return true;
    case KEYS_NUMKEYS:
        return counted_keys((uint32_t)c->first, argv, argc, f);
    case KEYS_STORE_NUMKEYS:
        found_add(f, 1);
        return counted_keys(3, argv, argc, f);
    case KEYS_PAIRS:
        return pair_keys(argv, argc, f);
    case KEYS_STREAMS:
        return stream_keys(argv, argc, f);
    case KEYS_SORT:
        sort_keys(argv, argc, f);
        return true;
    case KEYS_GEORADIUS:
        georadius_keys(argv, argc, f);
        return true;
    case KEYS_MIGRATE:
        return migrate_keys(argv, argc, f);
    case KEYS_ALL:
        found_run(f, 1, argc - 1);
        return true;
    }
    return false;
}

int command_keys(const struct command *c, const struct slice *argv, uint32_t argc,
                 uint32_t *ret_index, uint32_t room)
{
    struct found f = {ret_index, room, 0, 0};

    CHECK(argc >= 1 && argc <= INT_MAX);
    if (c == NULL) {
        found_run(&f, 1, argc - 1);
        return (int)f.n;
    }
    if (!command_arity_ok(c, argc) || !keys_by_rule(c, argv, argc, &f))
        return -1;
    return (int)f.n;
}

/* Only what its words say; command_touched() sees to the rest. */
static enum touch_rule touch_rule_of(const struct command *c, uint32_t argc)
{
    CHECK(c->touched <= TOUCH_ANY);
    /* Without an option to set the TTL it is GET. */
    if (c->id == CMD_GETEX && argc == 2)
        return TOUCH_NONE;
    return (enum touch_rule)c->touched;
}

int command_touched(const struct command *c, const struct slice *argv, uint32_t argc,
                    uint32_t *ret_index, uint32_t room)
{
    struct found f = {ret_index, room, 0, 0};
    enum touch_rule rule = c ? touch_rule_of(c, argc) : TOUCH_KEYS;

    CHECK(argc >= 1 && argc <= INT_MAX);
    if (rule == TOUCH_ANY)
        return TOUCHES_ANY;
    if (c == NULL || ((c->flags & CF_CONTAINER) != 0 && argc > 1))
        return command_keys(NULL, argv, argc, ret_index, room);
    if (rule == TOUCH_NONE)
        return 0;
    f.skip = rule == TOUCH_OTHERS;
    /* The upstream may take what larder does not: its keys are among its arguments even so. */
    if (!command_arity_ok(c, argc) || !keys_by_rule(c, argv, argc, &f))
        return command_keys(NULL, argv, argc, ret_index, room);
    return rule == TOUCH_FIRST && f.n > 1 ? 1 : (int)f.n;
}
