/* check_request_oracle.c - random requests against a second parser, slow and plain.
 *
 * The reference reads from the text of Redis 7.0's networking.c (strchr for the line's end, a
 * number is what prints as itself) plus larder's own two points: CR LF are looked at, and a request
 * has a limit. It sees the whole input at once; the scanner must agree however it is fed. */
#include "suites.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "outcome.h"

#define ROUNDS 30000

static bool reference_number(const char *p, size_t n, int64_t *ret_value)
{
    char text[32], again[32];
    int64_t value;

    if (n == 0 || n > 20)
        return false;
    memcpy(text, p, n);
    text[n] = '\0';
    if (sscanf(text, "%" SCNd64, &value) != 1)
        return false;
    (void)snprintf(again, sizeof(again), "%" PRId64, value);
    *ret_value = value;
    return strcmp(text, again) == 0;
}

static void refuse(struct outcome *o, enum request_error error)
{
    buffer_done(&o->words);
    *o = (struct outcome){.scan = SCAN_BAD, .error = error, .got = o->got};
}

static void more(struct outcome *o)
{
    buffer_done(&o->words);
    *o = (struct outcome){.scan = SCAN_MORE};
}

/* One argument at *at; false when it ended there, *o saying how. */
static bool reference_bulk(struct slice all, size_t *at, int64_t left,
                           const struct request_limits *limits, struct outcome *o)
{
    const char *in = all.p;
    const char *cr = strchr(in + *at, '\r');
    size_t line;
    int64_t len;

    if (!cr || (size_t)(cr - in) + 1 >= all.n) {
        more(o);
        return false;
    }
    line = *at;
    *at = (size_t)(cr - in) + 2;
    if (in[line] != '$') {
        o->got = in[line];
        refuse(o, REQUEST_NO_DOLLAR);
        return false;
    }
    if (cr[1] != '\n' || !reference_number(in + line + 1, (size_t)(cr - in) - line - 1, &len) ||
        len < 0 || (uint64_t)len > limits->max_bulk) {
        refuse(o, REQUEST_BAD_BULK);
        return false;
    }
    if (limits->unauthenticated && len > 16384) {
        refuse(o, REQUEST_UNAUTH_BULK);
        return false;
    }
    if (*at + (uint64_t)len + 2 + 6 * (uint64_t)(left - 1) > limits->max_request) {
        refuse(o, REQUEST_TOO_LARGE);
        return false;
    }
    for (uint64_t i = 0; i < 2; i++) {
        if (*at + (uint64_t)len + i >= all.n) {
            more(o);
            return false;
        }
        if (in[*at + (uint64_t)len + i] != "\r\n"[i]) {
            refuse(o, REQUEST_NO_CRLF);
            return false;
        }
    }
    outcome_word(o, slice_of(in + *at, (size_t)len));
    *at += (size_t)len + 2;
    return true;
}

static struct outcome reference_multibulk(const char *in, size_t n,
                                          const struct request_limits *limits)
{
    struct outcome o = {0};
    const char *cr = strchr(in, '\r');
    int64_t argc;
    size_t at;

    if (!cr || (size_t)(cr - in) + 1 >= n) {
        more(&o);
    } else if (cr[1] != '\n' || !reference_number(in + 1, (size_t)(cr - in) - 1, &argc) ||
               argc > INT32_MAX) {
        refuse(&o, REQUEST_BAD_ARGC);
    } else if (limits->unauthenticated && argc > 10) {
        refuse(&o, REQUEST_UNAUTH_ARGC);
    } else {
        at = (size_t)(cr - in) + 2;
        if (argc > 0 && at + 6 * (uint64_t)argc > limits->max_request)
            refuse(&o, REQUEST_TOO_LARGE);
        while (o.scan == SCAN_OK && argc > 0 &&
               reference_bulk(slice_of(in, n), &at, argc, limits, &o))
            argc--;
        o.used = o.scan == SCAN_OK ? at : 0;
    }
    return o;
}

/* One word at *p of a NUL-terminated line, as sdssplitargs() reads it; false = unbalanced. */
static bool reference_word(const char **p, struct buffer *word)
{
    char quote = 0, c;

    for (;; (*p)++) {
        c = **p;
        if (quote == 0 && (c == 0 || strchr(" \n\r\t", c)))
            return true;
        if (quote && c == 0)
            return false;
        if (quote == 0 && (c == '"' || c == '\'')) {
            quote = c;
            continue;
        }
        if (quote && c == quote) {
            (*p)++;
            return **p == 0 || strchr(" \n\r\t\v\f", **p);
        }
        if (quote == '"' && c == '\\' && (*p)[1] == 'x' && (*p)[2] && (*p)[3] &&
            strchr("0123456789abcdefABCDEF", (*p)[2]) &&
            strchr("0123456789abcdefABCDEF", (*p)[3])) {
            unsigned value;
            char hex[3] = {(*p)[2], (*p)[3], 0};

            ck_assert_int_eq(sscanf(hex, "%x", &value), 1);
            c = (char)value;
            *p += 3;
        } else if (quote == '"' && c == '\\' && (*p)[1]) {
            const char *known = strchr("nrtba", *++*p);

            c = known ? "\n\r\t\b\a"[known - "nrtba"] : **p;
        } else if (quote == '\'' && c == '\\' && (*p)[1] == '\'') {
            (*p)++;
            c = '\'';
        }
        buffer_add(word, &c, 1);
    }
}

static struct outcome reference_inline(const char *in, const struct request_limits *limits)
{
    struct outcome o = {0};
    const char *lf = strchr(in, '\n'), *p;
    size_t len = lf ? (size_t)(lf - in) : strlen(in);
    char *line;

    if (!lf) {
        more(&o);
        return o;
    }
    if (len + 1 > limits->max_request) {
        refuse(&o, REQUEST_TOO_LARGE);
        return o;
    }
    o.used = len + 1;
    if (len > 0 && in[len - 1] == '\r')
        len--;
    line = strndup(in, len);
    for (p = line;;) {
        struct buffer word = {0};

        while (*p && strchr(" \n\r\t\v\f", *p))
            p++;
        if (*p == 0)
            break;
        if (!reference_word(&p, &word)) {
            refuse(&o, REQUEST_UNBALANCED);
            buffer_done(&word);
            break;
        }
        outcome_word(&o, buffer_slice(&word));
        buffer_done(&word);
    }
    free(line);
    return o;
}

static struct outcome reference(const char *in, size_t n, const struct request_limits *limits)
{
    struct outcome o = {.scan = SCAN_MORE};
    char *text = must_alloc(n + 1);

    memcpy(text, in, n);
    text[n] = '\0';
    if (n > 0)
        o = *text == '*' ? reference_multibulk(text, n, limits) : reference_inline(text, limits);
    /* The scanner gives up on a line that is over the limit before it sees the end of it. */
    if (n > 0 && *text != '*' && o.scan == SCAN_MORE && n >= limits->max_request)
        refuse(&o, REQUEST_TOO_LARGE);
    free(text);
    return o;
}

static const char spice[] = "*$0123456789-+ \r\n\"'\\xaGET\t\v\f\0z";

static void make_multibulk(uint64_t *seed, struct buffer *in)
{
    uint32_t argc = random_below(seed, 6);

    buffer_printf(in, "*%u\r\n", argc);
    for (; argc > 0; argc--) {
        uint32_t len = random_below(seed, random_below(seed, 8) ? 12 : 130);

        buffer_printf(in, "$%u\r\n", len);
        for (; len > 0; len--)
            buffer_add(in, spice + random_below(seed, sizeof(spice)), 1);
        buffer_add(in, "\r\n", 2);
    }
}

static void make_inline(uint64_t *seed, struct buffer *in)
{
    static const char quoting[] = "\"'\\ xn4f\t\"'\\ abc\r\v";

    for (uint32_t n = random_below(seed, 24); n > 0; n--)
        buffer_add(in, quoting + random_below(seed, sizeof(quoting) - 1), 1);
    buffer_add(in, "\r\n", 2);
}

/* Damages what is whole, or not: nothing is refused that was not near to right. */
static void damage(uint64_t *seed, struct buffer *in)
{
    for (uint32_t times = random_below(seed, 3); times > 0 && buffer_len(in) > 0; times--) {
        size_t len = buffer_len(in), at = random_below(seed, (uint32_t)len);
        char *p = buffer_head(in);

        switch (random_below(seed, 4)) {
        case 0:
            p[at] = spice[random_below(seed, sizeof(spice))];
            break;
        case 1:
            memmove(p + at, p + at + 1, len - at - 1);
            in->tail--;
            break;
        case 2:
            in->tail -= (uint32_t)(len - at);
            break;
        case 3:
            buffer_add(in, spice + random_below(seed, sizeof(spice)), 1);
            memmove(buffer_head(in) + at + 1, buffer_head(in) + at, len - at);
            break;
        }
    }
}

START_TEST(test_agrees)
{
    static const struct request_limits limits_of[] = {
        {.max_bulk = 120, .max_request = 100000},
        {.max_bulk = 10, .max_request = 100},
        {.max_bulk = 120, .max_request = 64},
        {.max_bulk = 120, .max_request = 100000, .unauthenticated = true},
    };
    uint64_t seed = 88172645463325252u;
    unsigned whole = 0, bad = 0;

    for (int i = 0; i < ROUNDS; i++) {
        const struct request_limits *limits = &limits_of[random_below(&seed, 4)];
        struct buffer in = {0};
        struct outcome want, o;
        const char *p;
        char how[32];
        size_t n;

        if (random_below(&seed, 3))
            make_multibulk(&seed, &in);
        else
            make_inline(&seed, &in);
        damage(&seed, &in);
        p = buffer_head(&in);
        n = buffer_len(&in);
        (void)snprintf(how, sizeof(how), "round %d", i);
        want = reference(p, n, limits);
        whole += want.scan == SCAN_OK;
        bad += want.scan == SCAN_BAD;
        for (size_t step = 0; step < 3; step++) {
            o = outcome_scan(p, n, random_below(&seed, (uint32_t)n + 1), step, limits);
            outcome_same(&o, &want, how);
            outcome_done(&o);
        }
        buffer_done(&want.words);
        if (n > 0 && *p == '*') {
            o = outcome_stream(p, n, random_below(&seed, (uint32_t)n + 1),
                               1 + random_below(&seed, 9), limits);
            outcome_same(&o, &want, how);
        }
        buffer_done(&in);
    }
    /* Else the generator makes nothing worth comparing. */
    ck_assert_uint_gt(whole, ROUNDS / 5);
    ck_assert_uint_gt(bad, ROUNDS / 10);
}
END_TEST

Suite *request_oracle_suite(void)
{
    Suite *suite = suite_create("request oracle");
    TCase *tc = tcase_create("oracle");

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, test_agrees);
    suite_add_tcase(suite, tc);
    return suite;
}
