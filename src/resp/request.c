/* request.c - where a request ends, see request.h.
 *
 * Two ways through the same grammar. The short way (short_number, scan_bulks) takes what nearly
 * every request is made of: lengths of one to three digits, whole in memory. Whatever is not that,
 * be it long, cut or wrong, goes to the general way (count_line, bulk_line), which reads a line as
 * Redis' processMultibulkBuffer() does and is the only place that passes judgement on lengths. So
 * the result depends neither on the way nor on where the bytes were cut.
 *
 * What is kept between calls is a position before which all is understood, always the start of a
 * line; arguments are not kept, since the bytes may have moved, but cut again when all is there. */
#include "resp/request.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "resp/inline.h"
#include "resp/lengths.h"

/* The least that an argument takes: "$0\r\n\r\n". */
#define ARG_MIN_BYTES 6u

/* More arguments are not counted the short way: so few are below any max_request. */
#define SHORT_COUNT       100u
#define SHORT_COUNT_BYTES (sizeof("*100\r\n") - 1 + SHORT_COUNT * ARG_MIN_BYTES)

static void args_grow(struct args *a)
{
    a->cap = a->cap ? a->cap * 2 : 16;
    CHECK(a->cap > a->n);
    a->v = must_realloc(a->v, a->cap * sizeof(*a->v));
}

static inline void args_push(struct args *a, const char *p, size_t n)
{
    if (UNLIKELY(a->n == a->cap))
        args_grow(a);
    a->v[a->n++] = slice_of(p, n);
}

void args_add(struct args *a, struct slice arg)
{
    args_push(a, arg.p, arg.n);
}

void args_done(struct args *a)
{
    free(a->v);
    *a = (struct args){0};
}

static enum scan bad(struct request_scan *s, enum request_error error)
{
    s->error = (uint8_t)error;
    return SCAN_BAD;
}

/* Looks for the mark that ends the line at in.p. *ret_len bytes come before it.
 * Redis uses strchr() here, which stops at a NUL: a line with a NUL in it has no end, and is
 * refused when it reaches the cap. SCAN_BAD = over the cap; the same at whatever byte it was cut.
 */
static enum scan find_end(struct request_scan *s, struct slice in, char mark, size_t cap,
                          size_t *ret_len)
{
    size_t look = in.n <= cap ? in.n : cap + 1, seen = s->line_seen, len = look - seen;
    const char *p = in.p, *end, *nul;

    CHECK(seen <= look);
    /* A NUL found before is where the last search stopped: nothing behind it counts. */
    if (len > 0 && p[seen] != '\0') {
        end = memchr(p + seen, mark, len);
        nul = memchr(p + seen, '\0', end ? (size_t)(end - p) - seen : len);
        if (end && !nul) {
            s->line_seen = (uint32_t)(end - p);
            *ret_len = (size_t)(end - p);
            return SCAN_OK;
        }
        s->line_seen = (uint32_t)(nul ? (size_t)(nul - p) : look);
    }
    return in.n > cap ? SCAN_BAD : SCAN_MORE;
}

static inline void begin(struct request_scan *s, uint32_t argc, size_t header_bytes)
{
    s->argc = s->args_left = argc;
    s->pos = header_bytes;
    s->line_seen = 0;
    s->begun = true;
}

/* `*<count>` CR LF. Redis does not look at what it takes for the LF; see bulk_line(). */
static enum scan count_line(struct request_scan *s, struct slice in,
                            const struct request_limits *limits)
{
    int64_t count;
    size_t len;
    enum scan scan = find_end(s, in, '\r', LINE_BYTES, &len);

    if (scan == SCAN_BAD)
        return bad(s, REQUEST_BIG_ARGC_LINE);
    if (scan == SCAN_MORE || in.n < len + 2)
        return SCAN_MORE;
    if (in.p[len + 1] != '\n' || !slice_int(slice_of(in.p + 1, len - 1), &count) ||
        count > INT32_MAX)
        return bad(s, REQUEST_BAD_ARGC);
    if (limits->unauthenticated && count > UNAUTH_ARGS)
        return bad(s, REQUEST_UNAUTH_ARGC);
    if (count < 0)
        count = 0;
    if (len + 2 + (uint64_t)count * ARG_MIN_BYTES > limits->max_request)
        return bad(s, REQUEST_TOO_LARGE);
    begin(s, (uint32_t)count, len + 2);
    return SCAN_OK;
}

/* The header of a request: the short way, or count_line(). */
static inline enum scan scan_count(struct request_scan *s, struct slice in,
                                   const struct request_limits *limits)
{
    const char *behind = NULL;
    uint64_t count = 0;

    if (LIKELY(in.n > SHORT_NUMBER_BYTES))
        behind = short_number(in.p + 1, in.p + in.n, &count);
    if (UNLIKELY(!behind || count > SHORT_COUNT || limits->max_request < SHORT_COUNT_BYTES ||
                 (limits->unauthenticated && count > UNAUTH_ARGS)))
        return count_line(s, in, limits);
    begin(s, (uint32_t)count, (size_t)(behind - in.p));
    return SCAN_OK;
}

/* `$<length>` CR LF at s->pos. That CR is followed by LF is asked here and behind a bulk though
 * Redis does not: requests of many clients share a link, and what another parser (a proxy behind
 * this one, a later Redis) could cut differently must not get onto it. */
static enum scan bulk_line(struct request_scan *s, struct slice in,
                           const struct request_limits *limits, uint64_t *ret_len, size_t *ret_used)
{
    int64_t len;
    size_t end;
    enum scan scan = find_end(s, in, '\r', LINE_BYTES, &end);

    if (scan == SCAN_BAD)
        return bad(s, REQUEST_BIG_BULK_LINE);
    if (scan == SCAN_MORE || in.n < end + 2)
        return SCAN_MORE;
    if (in.p[0] != '$') {
        s->got = in.p[0];
        return bad(s, REQUEST_NO_DOLLAR);
    }
    if (in.p[end + 1] != '\n' || !slice_int(slice_of(in.p + 1, end - 1), &len) || len < 0 ||
        (uint64_t)len > limits->max_bulk)
        return bad(s, REQUEST_BAD_BULK);
    if (limits->unauthenticated && len > UNAUTH_BULK_BYTES)
        return bad(s, REQUEST_UNAUTH_BULK);
    s->line_seen = 0;
    *ret_len = (uint64_t)len;
    *ret_used = end + 2;
    return SCAN_OK;
}

/* The bytes a request has at least, when `used` of it end with the header of a bulk of len bytes
 * and `left` arguments are to come, that one included. */
static inline uint64_t at_least(uint64_t used, uint64_t len, uint32_t left)
{
    return used + len + 2 + (uint64_t)(left - 1) * ARG_MIN_BYTES;
}

/* A bulk that lacks its last byte only, and the CR before it is none: nothing to wait for. */
static bool bulk_cut_wrong(const char *body, const char *end, uint64_t len)
{
    return (uint64_t)(end - body) == len + 1 && end[-1] != '\r';
}

/* The arguments from s->pos on; appends them to args unless that is NULL. */
static enum scan scan_bulks(struct request_scan *s, struct slice in,
                            const struct request_limits *limits, struct args *args,
                            uint64_t *ret_need)
{
    const char *p = in.p, *at = p + s->pos, *end = p + in.n;
    uint32_t left = s->args_left;
    uint64_t most = limits->unauthenticated ? UNAUTH_BULK_BYTES : UINT64_MAX;
    enum scan scan = SCAN_OK;

    if (most > limits->max_bulk)
        most = limits->max_bulk;
    for (; left > 0; left--) {
        const char *body = NULL;
        uint64_t len = 0, need;

        if (LIKELY(end - at > SHORT_NUMBER_BYTES && *at == '$'))
            body = short_number(at + 1, end, &len);
        if (UNLIKELY(!body || len > most)) {
            size_t used;

            /* What was seen before of a line was of the first one here. */
            if (s->pos != (uint64_t)(at - p))
                s->line_seen = 0;
            s->pos = (uint64_t)(at - p);
            need = s->pos + (uint64_t)left * ARG_MIN_BYTES;
            scan = bulk_line(s, slice_of(at, (size_t)(end - at)), limits, &len, &used);
            if (scan != SCAN_OK) {
                *ret_need = need > in.n ? need : in.n + 1;
                break;
            }
            body = at + used;
        }
        need = at_least((uint64_t)(body - p), len, left);
        if (UNLIKELY(need > limits->max_request)) {
            scan = bad(s, REQUEST_TOO_LARGE);
            break;
        }
        if (UNLIKELY((uint64_t)(end - body) < len + 2)) {
            *ret_need = need;
            scan = bulk_cut_wrong(body, end, len) ? bad(s, REQUEST_NO_CRLF) : SCAN_MORE;
            break;
        }
        if (UNLIKELY(body[len] != '\r' || body[len + 1] != '\n')) {
            scan = bad(s, REQUEST_NO_CRLF);
            break;
        }
        if (LIKELY(args != NULL))
            args_push(args, body, len);
        at = body + len + 2;
    }
    s->args_left = left;
    s->pos = (uint64_t)(at - p);
    return scan;
}

/* Cuts a request that is whole and was validated piece by piece. */
static void cut_args(const char *p, uint32_t argc, struct args *args)
{
    while (*p++ != '\n')
        ;
    for (; argc > 0; argc--) {
        uint64_t len = 0;

        for (p++; *p != '\r'; p++)
            len = len * 10 + (uint64_t)(*p - '0');
        args_push(args, p + 2, len);
        p += 2 + len + 2;
    }
}

static enum scan scan_inline(struct request_scan *s, struct slice in,
                             const struct request_limits *limits, struct args *args,
                             struct buffer *text)
{
    uint64_t cap = limits->max_request <= LINE_BYTES ? limits->max_request - 1 : LINE_BYTES;
    size_t len;
    enum scan scan = find_end(s, in, '\n', cap, &len);

    if (scan == SCAN_BAD)
        return bad(s, cap < LINE_BYTES ? REQUEST_TOO_LARGE : REQUEST_BIG_INLINE);
    if (scan == SCAN_MORE)
        return scan;
    s->pos = len + 1;
    s->line_seen = 0;
    /* A CR before the LF needs no care: it is a blank, which ends a word. */
    return inline_split(slice_of(in.p, len), args, text) ? SCAN_OK : bad(s, REQUEST_UNBALANCED);
}

/* Seven parameters: what is known, the bytes, the rules, two places for words and the hint have
 * nothing in common that would make a struct. NOLINTNEXTLINE(readability-function-size) */
enum scan request_scan(struct request_scan *s, const char *p, size_t n,
                       const struct request_limits *limits, struct args *args,
                       struct buffer *inline_text, uint64_t *ret_need)
{
    bool fresh = s->pos == 0;
    enum scan scan;

    args->n = 0;
    *ret_need = n + 1;
    if (n == 0)
        return SCAN_MORE;
    if (UNLIKELY(*p != '*'))
        return scan_inline(s, slice_of(p, n), limits, args, inline_text);
    if (LIKELY(fresh)) {
        scan = scan_count(s, slice_of(p, n), limits);
        if (scan != SCAN_OK)
            return scan;
    }
    scan = scan_bulks(s, slice_of(p, n), limits, fresh ? args : NULL, ret_need);
    if (UNLIKELY(scan == SCAN_OK && !fresh))
        cut_args(p, s->argc, args);
    return scan;
}

/* The header line at the start of a piece. */
static enum scan stream_line(struct request_scan *s, struct slice in,
                             const struct request_limits *limits, size_t *ret_used)
{
    uint64_t len;
    enum scan scan;

    if (!s->begun) {
        /* Nobody streams an inline request: it is never larger than a line may be. */
        CHECK(in.n == 0 || *in.p == '*');
        scan = count_line(s, in, limits);
        *ret_used = s->pos;
        return scan;
    }
    scan = bulk_line(s, in, limits, &len, ret_used);
    if (scan != SCAN_OK)
        return scan;
    if (at_least(s->pos + *ret_used, len, s->args_left) > limits->max_request)
        return bad(s, REQUEST_TOO_LARGE);
    s->pos += *ret_used;
    s->bulk_left = len + 2;
    return SCAN_OK;
}

enum scan request_stream(struct request_scan *s, const char *p, size_t n,
                         const struct request_limits *limits, size_t *ret_used)
{
    size_t at = 0, used;
    enum scan scan = SCAN_OK;

    while (s->bulk_left > 0 || !s->begun || s->args_left > 0) {
        bool good;

        if (s->bulk_left == 0) {
            scan = stream_line(s, slice_of(p + at, n - at), limits, &used);
            if (scan != SCAN_OK)
                break;
            at += used;
            continue;
        }
        if (at == n) {
            scan = SCAN_MORE;
            break;
        }
        used = bulk_take(&s->bulk_left, p + at, n - at, &good);
        if (!good) {
            scan = bad(s, REQUEST_NO_CRLF);
            break;
        }
        s->pos += used;
        at += used;
        if (s->bulk_left == 0)
            s->args_left--;
    }
    *ret_used = at;
    return scan;
}

void request_error_text(const struct request_scan *s, char *text, size_t room)
{
    static const char *const words[] = {
        [REQUEST_FINE] = "none",
        [REQUEST_BAD_ARGC] = "invalid multibulk length",
        [REQUEST_BAD_BULK] = "invalid bulk length",
        [REQUEST_NO_DOLLAR] = "expected '$', got '",
        [REQUEST_NO_CRLF] = "expected CR LF behind a bulk",
        [REQUEST_BIG_INLINE] = "too big inline request",
        [REQUEST_BIG_ARGC_LINE] = "too big mbulk count string",
        [REQUEST_BIG_BULK_LINE] = "too big bulk count string",
        [REQUEST_UNBALANCED] = "unbalanced quotes in request",
        [REQUEST_UNAUTH_ARGC] = "unauthenticated multibulk length",
        [REQUEST_UNAUTH_BULK] = "unauthenticated bulk length",
        [REQUEST_TOO_LARGE] = "request larger than max_request",
    };
    /* As in Redis' error replies, a line end that the client sent ends no line of ours. */
    char got = s->got == '\r' || s->got == '\n' ? ' ' : s->got;

    CHECK(s->error < ARRAY_LEN(words));
    if (s->error == REQUEST_NO_DOLLAR)
        (void)snprintf(text, room, "Protocol error: %s%c'", words[s->error], got);
    else
        (void)snprintf(text, room, "Protocol error: %s", words[s->error]);
}

bool request_is_get(const char *p, size_t n, struct slice *ret_key, size_t *ret_length)
{
    static const char upper[] = "*2\r\n$3\r\nGET\r\n$", lower[] = "*2\r\n$3\r\nget\r\n$";
    const size_t head = sizeof upper - 1;
    size_t key = 0, at = head;

    if (n < head + sizeof "1\r\nk\r\n" - 1 ||
        (memcmp(p, upper, head) != 0 && memcmp(p, lower, head) != 0))
        return false;
    for (; at < head + 3 && p[at] >= '0' && p[at] <= '9'; at++)
        key = key * 10 + (size_t)(p[at] - '0');
    /* No digits, a zero in front, too long, cut off: not for here. */
    if (p[head] == '0' || at == head || n - at < key + 4)
        return false;
    if (p[at] != '\r' || p[at + 1] != '\n' || p[at + 2 + key] != '\r' || p[at + 3 + key] != '\n')
        return false;
    *ret_key = slice_of(p + at + 2, key);
    *ret_length = at + key + 4;
    return true;
}
