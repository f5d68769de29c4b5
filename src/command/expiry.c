/* expiry.c - what a request itself says of the expiry of its key.
 *
 * Read strictly: a request is understood only if Redis 7.0 would take it, as far as its words can
 * tell. For what is understood may be changed on its way (a number cut down, an expiry appended),
 * and a client must get the errors of Redis and not of what larder made of its request.
 *
 * Source: Redis 7.0, parseExtendedStringArgumentsOrReply and getExpireMillisecondsOrReply in
 * t_string.c, parseExtendedExpireArgumentsOrReply and expireGenericCommand in expire.c,
 * restoreCommand in cluster.c. */
#include "command/expiry.h"

#include "base/check.h"

/* Redis adds its clock (ms since 1970) to what is relative, and refuses a sum that overflows. The
 * clock is taken to be below this: the year 10889. */
#define CLOCK_BELOW_MS (INT64_C(1) << 48)

enum option {
    OPT_NX = 1u << 0,
    OPT_XX = 1u << 1,
    OPT_GT = 1u << 2,
    OPT_LT = 1u << 3,
    OPT_GET = 1u << 4,
    OPT_KEEPTTL = 1u << 5,
    OPT_PERSIST = 1u << 6,
    OPT_EX = 1u << 7,
    OPT_PX = 1u << 8,
    OPT_EXAT = 1u << 9,
    OPT_PXAT = 1u << 10,
};

#define OPT_RELATIVE (OPT_EX | OPT_PX)
#define OPT_NUMBERED (OPT_RELATIVE | OPT_EXAT | OPT_PXAT)
/* Each of these excludes the others. */
#define OPT_EXPIRY (OPT_NUMBERED | OPT_KEEPTTL | OPT_PERSIST)

static const struct option_row {
    const char *word;
    unsigned option;
} option_rows[] = {
    {"EX", OPT_EX},     {"PX", OPT_PX},           {"NX", OPT_NX},           {"XX", OPT_XX},
    {"GET", OPT_GET},   {"EXAT", OPT_EXAT},       {"GT", OPT_GT},           {"LT", OPT_LT},
    {"PXAT", OPT_PXAT}, {"KEEPTTL", OPT_KEEPTTL}, {"PERSIST", OPT_PERSIST},
};

static const struct expiry unclear = {.kind = EXPIRY_UNCLEAR};

static struct expiry said(enum expiry_kind kind)
{
    return (struct expiry){.kind = (uint8_t)kind};
}

/* The option that it is; 0: none. */
static unsigned option_of(struct slice word)
{
    for (size_t i = 0; i < ARRAY_LEN(option_rows); i++) {
        if (option_is(word, option_rows[i].word))
            return option_rows[i].option;
    }
    return 0;
}

/* Are these two refused beside each other? */
static bool contradict(unsigned all)
{
    unsigned expiry = all & OPT_EXPIRY;

    if ((expiry & (expiry - 1)) != 0)
        return true;
    if ((all & OPT_NX) != 0 && (all & (OPT_XX | OPT_GT | OPT_LT)) != 0)
        return true;
    return (all & OPT_GT) != 0 && (all & OPT_LT) != 0;
}

/* Reads the number of RELATIVE or AT at argv[e->number] into e->value; false when Redis would find
 * none there, or none that it can turn into a time. */
static bool read_number(struct expiry *e, const struct slice *argv)
{
    int64_t most = e->kind == EXPIRY_RELATIVE ? INT64_MAX - CLOCK_BELOW_MS : INT64_MAX;
    int64_t unit = e->seconds ? 1000 : 1;

    if (!slice_int(argv[e->number], &e->value))
        return false;
    return e->value <= most / unit && e->value >= INT64_MIN / unit;
}

/* All options from argv[i] on, of those that the command has: SET, GETEX, MSETEX. Without any
 * about the expiry it is `otherwise`. */
static struct expiry read_options(const struct slice *argv, uint32_t argc, uint32_t i,
                                  unsigned allowed, enum expiry_kind otherwise)
{
    struct expiry e = said(otherwise);
    unsigned seen = 0;

    for (; i < argc; i++) {
        unsigned option = option_of(argv[i]) & allowed;

        if (option == 0 || contradict(seen | option))
            return unclear;
        if ((option & OPT_NUMBERED) != 0) {
            if ((seen & option) != 0 || i + 1 >= argc)
                return unclear;
            e.kind = (option & OPT_RELATIVE) != 0 ? EXPIRY_RELATIVE : EXPIRY_AT;
            e.seconds = (option & (OPT_EX | OPT_EXAT)) != 0;
            e.word = i;
            e.number = ++i;
        }
        seen |= option;
    }
    if ((seen & OPT_NUMBERED) != 0 && (!read_number(&e, argv) || e.value <= 0))
        return unclear;
    if ((seen & OPT_KEEPTTL) != 0)
        e.kind = EXPIRY_KEEP;
    if ((seen & OPT_PERSIST) != 0)
        e.kind = EXPIRY_PERSIST;
    e.conditional = (seen & (OPT_NX | OPT_XX)) != 0;
    e.nx = (seen & OPT_NX) != 0;
    e.get = (seen & OPT_GET) != 0;
    return e;
}

/* SETEX key seconds value */
static struct expiry read_setex(const struct slice *argv, bool seconds)
{
    struct expiry e = {.kind = EXPIRY_RELATIVE, .seconds = seconds, .number = 2};

    return read_number(&e, argv) && e.value > 0 ? e : unclear;
}

/* EXPIRE key number [NX | XX | GT | LT]: XX may stand beside GT or LT. */
static struct expiry read_expire(const struct slice *argv, uint32_t argc, enum expiry_kind kind,
                                 bool seconds)
{
    struct expiry e = {.kind = (uint8_t)kind, .seconds = seconds, .number = 2};
    unsigned seen = 0;

    for (uint32_t i = 3; i < argc; i++) {
        unsigned option = option_of(argv[i]) & (OPT_NX | OPT_XX | OPT_GT | OPT_LT);

        if (option == 0 || contradict(seen | option))
            return unclear;
        seen |= option;
    }
    e.conditional = seen != 0;
    return read_number(&e, argv) ? e : unclear;
}

static bool is_within(struct slice number, int64_t most)
{
    int64_t n;

    return slice_int(number, &n) && n >= 0 && n <= most;
}

/* RESTORE key ttl payload [REPLACE] [ABSTTL] [IDLETIME seconds | FREQ 0-255]; a ttl of 0 is none,
 * with ABSTTL too. */
static struct expiry read_restore(const struct slice *argv, uint32_t argc)
{
    struct expiry e = {.kind = EXPIRY_RELATIVE, .number = 2};
    bool idletime = false, freq = false;

    for (uint32_t i = 4; i < argc; i++) {
        bool idle_word = option_is(argv[i], "IDLETIME"), freq_word = option_is(argv[i], "FREQ");

        if (idle_word || freq_word) {
            idletime |= idle_word;
            freq |= freq_word;
            if ((idletime && freq) || ++i >= argc || !is_within(argv[i], freq ? 255 : INT64_MAX))
                return unclear;
        } else if (option_is(argv[i], "ABSTTL")) {
            e.kind = EXPIRY_AT;
        } else if (!option_is(argv[i], "REPLACE")) {
            return unclear;
        }
    }
    if (!read_number(&e, argv) || e.value < 0)
        return unclear;
    return e.value > 0 ? e : said(EXPIRY_NONE);
}

/* MSETEX numkeys key value .. [NX | XX] [EX n | PX n | EXAT n | PXAT n | KEEPTTL] */
static struct expiry read_msetex(const struct slice *argv, uint32_t argc)
{
    struct expiry e;
    int64_t count;

    if (!slice_int(argv[1], &count) || count < 1 || count > (int64_t)(argc - 2) / 2)
        return unclear;
    e = read_options(argv, argc, 2 + 2 * (uint32_t)count,
                     OPT_NX | OPT_XX | OPT_NUMBERED | OPT_KEEPTTL, EXPIRY_UNSAID);
    e.nx = false; /* its reply is not that of SET .. NX */
    return e;
}

struct expiry command_expiry(const struct command *c, const struct slice *argv, uint32_t argc)
{
    CHECK(argc >= 1);
    if (c == NULL)
        return said(EXPIRY_UNSAID);
    if (!command_arity_ok(c, argc))
        return unclear;
    /* The few that say something of it; a row for each of the others would only be in the way. */
    switch (c->id) {
    case CMD_SET:
        return read_options(argv, argc, 3, OPT_NX | OPT_XX | OPT_GET | OPT_NUMBERED | OPT_KEEPTTL,
                            EXPIRY_NONE);
    case CMD_SETNX:
        return (struct expiry){.kind = EXPIRY_UNSAID, .conditional = true, .nx = true};
    case CMD_SETEX:
        return read_setex(argv, true);
    case CMD_PSETEX:
        return read_setex(argv, false);
    case CMD_GETEX:
        return read_options(argv, argc, 2, OPT_NUMBERED | OPT_PERSIST, EXPIRY_UNSAID);
    case CMD_MSETEX:
        return read_msetex(argv, argc);
    case CMD_EXPIRE:
        return read_expire(argv, argc, EXPIRY_RELATIVE, true);
    case CMD_PEXPIRE:
        return read_expire(argv, argc, EXPIRY_RELATIVE, false);
    case CMD_EXPIREAT:
        return read_expire(argv, argc, EXPIRY_AT, true);
    case CMD_PEXPIREAT:
        return read_expire(argv, argc, EXPIRY_AT, false);
    case CMD_PERSIST:
        return said(EXPIRY_PERSIST);
    case CMD_RESTORE:
    case CMD_RESTORE_ASKING:
        return read_restore(argv, argc);
    default: /* c->id is a number, not the enum */
        return said(EXPIRY_UNSAID);
    }
}

struct slice expiry_word_ms(struct slice word)
{
    static const struct {
        const char *seconds;
        struct slice ms;
    } pairs[] = {
        {"EX", {"PX", 2}},     {"SETEX", {"PSETEX", 6}},       {"EXPIRE", {"PEXPIRE", 7}},
        {"EXAT", {"PXAT", 4}}, {"EXPIREAT", {"PEXPIREAT", 9}},
    };

    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        if (option_is(word, pairs[i].seconds))
            return pairs[i].ms;
    }
    return word;
}
