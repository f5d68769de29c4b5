/* check_expiry.c - what requests say of the expiry of their key.
 *
 * Every argument lies in memory of exactly its size, and so does argv, so that AddressSanitizer
 * sees a byte too many. tests/system/command_expiry.py compares with what Redis makes of them. */
#include "command/expiry.h"

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "suites.h"

#define ARGS 40u

/* A request in memory of its own; args_done() gives it back. */
struct args {
    struct slice *argv;
    uint32_t argc;
};

static struct slice copy_of(const char *p, size_t n)
{
    char *exact = malloc(n + (n == 0));

    ck_assert_ptr_nonnull(exact);
    memcpy(exact, p, n);
    return slice_of(exact, n);
}

/* Copies n words. */
static struct args args_of(const struct slice *words, uint32_t n)
{
    struct args a = {malloc(n * sizeof(*a.argv)), n};

    ck_assert_ptr_nonnull(a.argv);
    for (uint32_t i = 0; i < n; i++)
        a.argv[i] = copy_of(words[i].p, words[i].n);
    return a;
}

static void args_done(struct args *a)
{
    for (uint32_t i = 0; i < a->argc; i++)
        free((void *)(uintptr_t)a->argv[i].p);
    free(a->argv);
}

/* The words of a request; '' is an empty one, and a backslash stands for a NUL byte. */
static struct args cut(const char *request)
{
    struct slice words[ARGS] = {{NULL, 0}};
    struct args a;
    uint32_t n = 0;

    while (*request != '\0') {
        size_t length = strcspn(request, " ");
        bool empty = length == 2 && memcmp(request, "''", 2) == 0;

        ck_assert_uint_lt(n, ARGS);
        words[n++] = slice_of(request, empty ? 0 : length);
        request += length + (request[length] == ' ');
    }
    a = args_of(words, n);
    for (uint32_t i = 0; i < n; i++) {
        for (size_t at = 0; at < a.argv[i].n; at++) {
            if (a.argv[i].p[at] == '\\')
                ((char *)(uintptr_t)a.argv[i].p)[at] = '\0';
        }
    }
    return a;
}

/* "relative s 4 5 10 if nx get": the kind, its unit, word, number and value, and the flags. */
static void say(char *text, size_t room, const struct expiry *e)
{
    static const char *const kinds[] = {"unsaid", "none",    "keep",   "relative",
                                        "at",     "persist", "unclear"};
    size_t used;

    ck_assert_uint_lt(e->kind, ARRAY_LEN(kinds));
    used = (size_t)snprintf(text, room, "%s", kinds[e->kind]);
    if (e->kind == EXPIRY_RELATIVE || e->kind == EXPIRY_AT) {
        used += (size_t)snprintf(text + used, room - used, " %s %u %u %lld",
                                 e->seconds ? "s" : "ms", e->word, e->number, (long long)e->value);
    } else {
        ck_assert_uint_eq(e->word, 0);
        ck_assert_uint_eq(e->number, 0);
        ck_assert_int_eq(e->value, 0);
        ck_assert(!e->seconds);
    }
    used += (size_t)snprintf(text + used, room - used, "%s%s%s", e->conditional ? " if" : "",
                             e->nx ? " nx" : "", e->get ? " get" : "");
    ck_assert_uint_lt(used, room);
}

struct expiry_case {
    const char *request, *want;
};

static void check_cases(const struct expiry_case *k, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct args a = cut(k[i].request);
        struct expiry e = command_expiry(command_of(a.argv, a.argc), a.argv, a.argc);
        char text[128];

        say(text, sizeof(text), &e);
        ck_assert_msg(strcmp(text, k[i].want) == 0, "%s: [%s] instead of [%s]", k[i].request, text,
                      k[i].want);
        args_done(&a);
    }
}

static const struct expiry_case set_cases[] = {
    {"SET k v", "none"},
    {"set k v", "none"},
    {"SET EX PX", "none"},
    {"SET k EX NX", "none if nx"},
    {"SET k v EX 10", "relative s 3 4 10"},
    {"SET k v eX 10", "relative s 3 4 10"},
    {"SET k v PX 10", "relative ms 3 4 10"},
    {"SET k v EXAT 10", "at s 3 4 10"},
    {"SET k v PXAT 10", "at ms 3 4 10"},
    {"SET k v pxat 10", "at ms 3 4 10"},
    {"SET k v KEEPTTL", "keep"},
    {"SET k v KeepTtl KEEPTTL", "keep"},
    {"SET k v NX", "none if nx"},
    {"SET k v XX", "none if"},
    {"SET k v GET", "none get"},
    {"SET k v NX NX", "none if nx"},
    {"SET k v XX XX", "none if"},
    {"SET k v GET GET", "none get"},
    {"SET k v NX GET", "none if nx get"},
    {"SET k v get xx", "none if get"},
    {"SET k v XX KEEPTTL GET", "keep if get"},
    {"SET k v nx KEEPTTL", "keep if nx"},
    {"SET k v NX EX 10", "relative s 4 5 10 if nx"},
    {"SET k v EX 10 NX", "relative s 3 4 10 if nx"},
    {"SET k v GET EX 10 XX", "relative s 4 5 10 if get"},
    {"SET k v XX GET PXAT 10", "at ms 5 6 10 if get"},
    /* as C strings: what is behind a NUL does not count */
    {"SET k v EX\\yz 10", "relative s 3 4 10"},
    {"SET k v NX\\", "none if nx"},
};

START_TEST(set)
{
    check_cases(set_cases, ARRAY_LEN(set_cases));
}
END_TEST

static const struct expiry_case other_cases[] = {
    {"SETEX k 10 v", "relative s 0 2 10"},
    {"psetex k 10 v", "relative ms 0 2 10"},
    {"SETNX k v", "unsaid if nx"},
    {"GETEX k", "unsaid"},
    {"GETEX k EX 10", "relative s 2 3 10"},
    {"GETEX k px 10", "relative ms 2 3 10"},
    {"GETEX k EXAT 10", "at s 2 3 10"},
    {"GETEX k PXAT 10", "at ms 2 3 10"},
    {"GETEX k PERSIST", "persist"},
    {"GETEX k persist PERSIST", "persist"},
    {"PERSIST k", "persist"},
    {"MSETEX 1 k v", "unsaid"},
    {"MSETEX 2 a 1 b 2 NX", "unsaid if"},
    {"MSETEX 2 a 1 b 2 EX 10", "relative s 6 7 10"},
    {"MSETEX 1 k v XX PXAT 10", "at ms 5 6 10 if"},
    {"MSETEX 1 EX 10 KEEPTTL", "keep"},
    {"MSETEX 2 a 1 EX 10", "unsaid"},
};

START_TEST(others_with_options)
{
    check_cases(other_cases, ARRAY_LEN(other_cases));
}
END_TEST

static const struct expiry_case expire_cases[] = {
    {"EXPIRE k 10", "relative s 0 2 10"},
    {"PEXPIRE k 10", "relative ms 0 2 10"},
    {"EXPIREAT k 10", "at s 0 2 10"},
    {"pexpireat k 10", "at ms 0 2 10"},
    {"EXPIRE k 10 NX", "relative s 0 2 10 if"},
    {"PEXPIRE k 10 xx", "relative ms 0 2 10 if"},
    {"EXPIREAT k 10 Gt", "at s 0 2 10 if"},
    {"PEXPIREAT k 10 LT", "at ms 0 2 10 if"},
    {"EXPIRE k 10 NX NX", "relative s 0 2 10 if"},
    {"EXPIRE k 10 XX GT", "relative s 0 2 10 if"},
    {"EXPIRE k 10 LT XX LT", "relative s 0 2 10 if"},
    {"EXPIRE k 10 GT\\", "relative s 0 2 10 if"},
    /* these delete */
    {"EXPIRE k 0", "relative s 0 2 0"},
    {"EXPIRE k -1", "relative s 0 2 -1"},
    {"PEXPIRE k -1 XX", "relative ms 0 2 -1 if"},
    {"EXPIREAT k 0", "at s 0 2 0"},
    {"PEXPIREAT k -10", "at ms 0 2 -10"},
};

START_TEST(the_expire_family)
{
    check_cases(expire_cases, ARRAY_LEN(expire_cases));
}
END_TEST

static const struct expiry_case restore_cases[] = {
    {"RESTORE k 10 p", "relative ms 0 2 10"},
    {"RESTORE-ASKING k 10 p", "relative ms 0 2 10"},
    {"RESTORE k 0 p", "none"},
    {"RESTORE k 0 p REPLACE", "none"},
    {"RESTORE k 0 p ABSTTL", "none"},
    {"RESTORE k 10 p REPLACE", "relative ms 0 2 10"},
    {"RESTORE k 10 p ABSTTL", "at ms 0 2 10"},
    {"RESTORE k 10 p replace absttl REPLACE ABSTTL", "at ms 0 2 10"},
    {"RESTORE k 10 p ABSTTL IDLETIME 5", "at ms 0 2 10"},
    {"RESTORE k 10 p IDLETIME 0 REPLACE", "relative ms 0 2 10"},
    {"RESTORE k 10 p IDLETIME 1 IDLETIME 2", "relative ms 0 2 10"},
    {"RESTORE k 10 p FREQ 0", "relative ms 0 2 10"},
    {"RESTORE k 10 p freq 255 ABSTTL FREQ 1", "at ms 0 2 10"},
    {"RESTORE k 10 ABSTTL", "relative ms 0 2 10"},
    {"RESTORE k 10 p IDLETIME 9223372036854775807", "relative ms 0 2 10"},
};

START_TEST(restore)
{
    check_cases(restore_cases, ARRAY_LEN(restore_cases));
}
END_TEST

/* Refused by Redis 7.0, or more than larder can tell. */
static const char not_clear[] =
    "SET k;SET;SET k v EX;SET k v NX PX;SET k v EXAT;SET k v '';SET k v 10;SET k v E;"
    "SET k v EXA 10;SET k v EX 10 10;SET k v EX NX;SET k v NX XX;SET k v XX NX;"
    "SET k v XX EX 10 NX;SET k v EX 10 PX 10;SET k v PX 10 EX 10;SET k v EX 10 EXAT 10;"
    "SET k v EXAT 10 PXAT 10;SET k v PXAT 10 PX 10;SET k v EX 10 KEEPTTL;SET k v KEEPTTL PX 10;"
    "SET k v KEEPTTL GET EXAT 10;SET k v PERSIST;SET k v GT;SET k v NX LT;SET k v REPLACE;"
    "SET k v \\NX;"
    /* Redis takes the last; see the header */
    "SET k v EX 10 EX 20;SET k v PX 10 NX PX 20;SET k v EXAT 10 EXAT 20;SET k v PXAT 10 PXAT 10;"
    /* Redis 8.4, Valkey 8.1 */
    "SET k v IFEQ w;SET k v IFNE w EX 10;SET k v EX 10 IFDEQ 00;"
    /* what stands before it says nothing more: no nx, no get */
    "SET k v NX GET EX x;SET k v NX GET EX 10 FOO;"
    /* the others */
    "SETEX k 10 v NX;SETEX k 10;PSETEX k v 10;SETNX k;SETNX k v EX 10;GETEX;"
    "GETEX k PERSIST EX 10;GETEX k PX 10 PERSIST;GETEX k EX 10 PX 10;GETEX k EX 10 EX 10;"
    "GETEX k EX;GETEX k NX;GETEX k XX;GETEX k GET;GETEX k KEEPTTL;GETEX k 10;PERSIST k j;PERSIST;"
    "MSETEX 2 a 1 b;MSETEX 0 EX 10;MSETEX -1 a 1;MSETEX x a 1;MSETEX 4294967297 a 1;"
    "MSETEX 9223372036854775807 a 1;MSETEX 1 a 1 GET;MSETEX 1 a 1 PERSIST;"
    "MSETEX 1 a 1 EX 10 KEEPTTL;"
    /* the EXPIRE family */
    "EXPIRE k 10 NX XX;EXPIRE k 10 GT NX;EXPIRE k 10 NX LT;EXPIRE k 10 GT LT;"
    "EXPIRE k 10 LT XX GT;EXPIRE k 10 EX;EXPIRE k 10 GET;EXPIRE k 10 KEEPTTL;EXPIRE k 10 '';"
    "EXPIRE k 10 20;EXPIRE k NX 10;EXPIRE k;"
    /* RESTORE */
    "RESTORE k 10 p IDLETIME ABSTTL;RESTORE k 10 p FREQ 256;RESTORE k 10 p FREQ -1;"
    "RESTORE k 10 p FREQ x;RESTORE k 10 p FREQ;RESTORE k 10 p IDLETIME;"
    "RESTORE k 10 p IDLETIME -1;RESTORE k 10 p IDLETIME x;"
    "RESTORE k 10 p IDLETIME 9223372036854775808;RESTORE k 10 p IDLETIME 5 FREQ 5;"
    "RESTORE k 10 p FREQ 5 IDLETIME 5;RESTORE k 10 p IDLETIME 5 OTHER;"
    "RESTORE k 10 p IDLETIME 5 OTHER 5;RESTORE k 10 p FREQ 5 OTHER 5;RESTORE k 10 p EX 5;"
    "RESTORE k 10 p '';RESTORE k -1 p;RESTORE k -1 p ABSTTL;RESTORE k x p;RESTORE k 10;"
    /* whatever it is: a wrong number of arguments */
    "INCR;HSET k f;";

static const char silent[] =
    "GET k;INCR k;MSET a 1 b 2;MSETNX a 1;HSET k EX 10;HSETEX k EX 10 FIELDS 1 f v;"
    "HGETEX k EX 10 FIELDS 1 f;HEXPIRE k 10 FIELDS 1 f;GETSET k v;GETDEL k;RENAME a b;COPY a b;"
    "SORT a STORE b;XGROUP CREATE k g $;EVAL s 1 k;TTL k;EXPIRETIME k;DEL a;NOSUCH k v EX 10;"
    "SET\\ k v EX 10;";

/* Each of the requests, a ; behind each, is what is wanted. */
static void check_all(const char *requests, const char *want)
{
    for (const char *p = requests; *p != '\0'; p += strcspn(p, ";") + 1) {
        char request[64];

        snprintf(request, sizeof(request), "%.*s", (int)strcspn(p, ";"), p);
        check_cases(&(struct expiry_case){request, want}, 1);
    }
}

START_TEST(what_is_not_clear)
{
    check_all(not_clear, "unclear");
}
END_TEST

START_TEST(what_says_nothing)
{
    check_all(silent, "unsaid");
}
END_TEST

/* What each of the commands with a number makes of a number: the first of the two is the most it
 * takes, in its own unit. */
#define MOST_MS (INT64_MAX - (INT64_C(1) << 48))

static const struct numbered {
    const char *before, *behind;
    uint32_t at;
    int64_t most, least;
    bool zero; /* 0 is taken, and less too if least is below */
} numbered[] = {
    {"SET k v EX ", "", 4, MOST_MS / 1000, 1, false},
    {"SET k v PX ", "", 4, MOST_MS, 1, false},
    {"SET k v EXAT ", " XX", 4, INT64_MAX / 1000, 1, false},
    {"SET k v PXAT ", "", 4, INT64_MAX, 1, false},
    {"SETEX k ", " v", 2, MOST_MS / 1000, 1, false},
    {"PSETEX k ", " v", 2, MOST_MS, 1, false},
    {"GETEX k EX ", "", 3, MOST_MS / 1000, 1, false},
    {"GETEX k PX ", "", 3, MOST_MS, 1, false},
    {"GETEX k EXAT ", "", 3, INT64_MAX / 1000, 1, false},
    {"GETEX k PXAT ", "", 3, INT64_MAX, 1, false},
    {"MSETEX 1 k v EX ", "", 5, MOST_MS / 1000, 1, false},
    {"EXPIRE k ", " GT", 2, MOST_MS / 1000, INT64_MIN / 1000, true},
    {"PEXPIRE k ", "", 2, MOST_MS, INT64_MIN, true},
    {"EXPIREAT k ", "", 2, INT64_MAX / 1000, INT64_MIN / 1000, true},
    {"PEXPIREAT k ", " NX", 2, INT64_MAX, INT64_MIN, true},
    {"RESTORE k ", " p", 2, MOST_MS, 0, true},
    {"RESTORE k ", " p ABSTTL", 2, INT64_MAX, 0, true},
};

static struct expiry with_number(const struct numbered *n, struct slice number)
{
    char request[128];
    struct args a;
    struct expiry e;
    struct slice old;

    snprintf(request, sizeof(request), "%s0%s", n->before, n->behind);
    a = cut(request);
    old = a.argv[n->at];
    a.argv[n->at] = number;
    e = command_expiry(command_of(a.argv, a.argc), a.argv, a.argc);
    a.argv[n->at] = old;
    args_done(&a);
    return e;
}

static void check_value(const struct numbered *n, int64_t value, bool taken)
{
    char text[32];
    struct expiry e;

    snprintf(text, sizeof(text), "%lld", (long long)value);
    e = with_number(n, slice_str(text));
    ck_assert_msg((e.kind != EXPIRY_UNCLEAR) == taken, "%s%s", n->before, text);
    if (e.kind == EXPIRY_UNCLEAR || e.kind == EXPIRY_NONE)
        return;
    ck_assert(e.kind == EXPIRY_RELATIVE || e.kind == EXPIRY_AT);
    ck_assert_int_eq(e.value, value);
    ck_assert_uint_eq(e.number, n->at);
}

START_TEST(numbers)
{
    struct args none =
        cut("'' x 1x x1 +1 01 1.0 - --1 0x10 1e3 -0 1\\ 9223372036854775808 00 inf "
            "-9223372036854775809 99999999999999999999999999999999999999999999");

    for (const struct numbered *n = numbered; n < numbered + ARRAY_LEN(numbered); n++) {
        for (uint32_t i = 0; i < none.argc; i++)
            ck_assert_msg(with_number(n, none.argv[i]).kind == EXPIRY_UNCLEAR, "%s: %u", n->before,
                          i);
        check_value(n, 1, true);
        check_value(n, 0, n->zero);
        check_value(n, -1, n->least < 0);
        check_value(n, n->most, true);
        if (n->most < INT64_MAX)
            check_value(n, n->most + 1, false);
        check_value(n, n->least, true);
        if (n->least > INT64_MIN)
            check_value(n, n->least - 1, false);
        check_value(n, INT64_MAX, n->most == INT64_MAX);
        check_value(n, INT64_MIN, n->least == INT64_MIN);
    }
    args_done(&none);
}
END_TEST

START_TEST(words_in_milliseconds)
{
    static const char *const pairs[][2] = {
        {"EX", "PX"},         {"ex", "PX"},
        {"SETEX", "PSETEX"},  {"Expire", "PEXPIRE"},
        {"EXAT", "PXAT"},     {"PX", "PX"},
        {"px", "px"},         {"EXPIREAT", "PEXPIREAT"},
        {"psetex", "psetex"}, {"PEXPIRE", "PEXPIRE"},
        {"PXAT", "PXAT"},     {"RESTORE", "RESTORE"},
        {"E", "E"},           {"", ""},
    };

    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        struct slice word = copy_of(pairs[i][0], strlen(pairs[i][0]));

        ck_assert(slice_eq(expiry_word_ms(word), slice_str(pairs[i][1])));
        free((void *)(uintptr_t)word.p);
    }
    ck_assert(slice_eq(expiry_word_ms(SLICE("EX\0x")), SLICE("PX")));
    ck_assert_uint_eq(expiry_word_ms(slice_of(NULL, 0)).n, 0);
}
END_TEST

START_TEST(a_request_has_a_word)
{
    struct expiry e = command_expiry(command_row(CMD_SET), NULL, 0);

    ck_abort_msg("%d", e.kind);
}
END_TEST

static uint32_t draw(uint64_t *state, size_t below)
{
    *state = *state * UINT64_C(6364136223846793005) + 1;
    return (uint32_t)((*state >> 33) % below);
}

/* What must hold of every answer. */
static void check_answer(const struct args *a, const struct command *c, const struct expiry *e)
{
    bool timed = e->kind == EXPIRY_RELATIVE || e->kind == EXPIRY_AT;
    int64_t value;
    char text[128];

    say(text, sizeof(text), e); /* nothing is set that the kind does not have */
    if (e->kind == EXPIRY_UNCLEAR)
        ck_assert(!e->conditional && !e->nx && !e->get);
    ck_assert(!e->nx || e->conditional);
    if (!timed)
        return;
    ck_assert_uint_lt(e->number, a->argc);
    ck_assert_uint_lt(e->word, e->number);
    ck_assert(slice_int(a->argv[e->number], &value) && value == e->value);
    ck_assert(e->value > 0 || (e->number == 2 && c->id != CMD_SETEX && c->id != CMD_PSETEX));
    /* the word says the unit */
    if (c->id != CMD_RESTORE && c->id != CMD_RESTORE_ASKING)
        ck_assert(slice_eq(expiry_word_ms(a->argv[e->word]), a->argv[e->word]) == !e->seconds);
}

static void check_same(const struct expiry *a, const struct expiry *b)
{
    char one[128], other[128];

    say(one, sizeof(one), a);
    say(other, sizeof(other), b);
    ck_assert_str_eq(one, other);
}

/* Any arguments of any command: what it reads lies within the request (AddressSanitizer; and
 * what stands behind makes no difference), and what it says holds together. */
START_TEST(any_arguments_do_no_harm)
{
    struct args some =
        cut("'' 0 1 2 -1 10 EX px exat PXAT NX xx GT LT GET KEEPTTL PERSIST FREQ EXP E 300 ABSTTL "
            "IFEQ k REPLACE X IDLETIME PXA GE KEEPTT 9223372036854775807 -9223372036854775808");
    static const enum command_id speakers[] = {
        CMD_SET,     CMD_SETNX,   CMD_SETEX,          CMD_PSETEX,   CMD_GETEX,
        CMD_MSETEX,  CMD_SET,     CMD_EXPIRE,         CMD_EXPIREAT, CMD_PEXPIREAT,
        CMD_PEXPIRE, CMD_RESTORE, CMD_RESTORE_ASKING, CMD_PERSIST};
    uint64_t state = 11;
    uint32_t kinds[EXPIRY_UNCLEAR + 1] = {0};

    for (unsigned round = 0; round < 40000; round++) {
        const struct command *c =
            round % 8 == 0 ? command_row((enum command_id)(1 + draw(&state, COMMAND_ROWS - 1)))
                           : command_row(speakers[draw(&state, ARRAY_LEN(speakers))]);
        struct slice words[13]; /* one more than is said */
        uint32_t argc = 1 + draw(&state, ARRAY_LEN(words) - (round % 2 == 0 ? 7 : 1));
        struct args a;
        struct expiry e, beside;

        words[0] = slice_str(c->name);
        for (uint32_t i = 1; i <= argc; i++)
            words[i] = some.argv[draw(&state, some.argc)];
        a = args_of(words, argc);
        e = command_expiry(c, a.argv, a.argc);
        check_answer(&a, c, &e);
        beside = command_expiry(c, words, argc);
        check_same(&e, &beside);
        kinds[e.kind]++;
        args_done(&a);
    }
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        ck_assert_msg(kinds[i] > 20, "kind %zu: %u", i, kinds[i]);
    args_done(&some);
}
END_TEST

Suite *expiry_suite(void)
{
    Suite *suite = suite_create("command/expiry");
    TCase *tc = tcase_create("expiry");

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, set);
    tcase_add_test(tc, others_with_options);
    tcase_add_test(tc, the_expire_family);
    tcase_add_test(tc, restore);
    tcase_add_test(tc, what_says_nothing);
    tcase_add_test(tc, what_is_not_clear);
    tcase_add_test(tc, numbers);
    tcase_add_test(tc, words_in_milliseconds);
    tcase_add_test_raise_signal(tc, a_request_has_a_word, SIGABRT);
    tcase_add_test(tc, any_arguments_do_no_harm);
    suite_add_tcase(suite, tc);
    return suite;
}
