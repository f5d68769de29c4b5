/* stripper.c - see stripper.h.
 *
 * A cursor over the values of the reply: of those that may hold names only the header is taken, and
 * their elements come next, on a level of their own; all others pass whole, told by reply_scan()
 * where they end. Four levels are enough: EXEC's array, a reply in it, and what that holds.
 *
 *     VALUE --header of an array--> VALUE, one level down
 *           --a name, its prefix known--> NAME --its end--> VALUE
 *           --a name of somebody else's--> DROP --its end--> VALUE
 *           --anything else--> PASS --its end--> VALUE
 *           --a push within the reply (redis#8935)--> PUSH --its end--> VALUE, the same
 *
 * With the last element of a level the level is over, and with it the value it was. */
#include "resp/stripper.h"

#include "resp/write.h"

enum state { STATE_VALUE, STATE_NAME, STATE_DROP, STATE_PASS, STATE_PUSH, STATE_OVER };

/* What the next value is. */
enum role { ROLE_PASS, ROLE_NAME, ROLE_PATTERN, ROLE_REPLY };

#define KEYSPACE   SLICE("__keyspace@")
#define KEYEVENT   SLICE("__keyevent@")
#define INVALIDATE SLICE("__redis__:invalidate")
/* So much of a channel stands before the name of a key: __keyspace@2147483647__: */
#define KEYSPACE_BYTES 32u

void strip_text(struct slice prefix, struct slice text, struct buffer *out)
{
    const char *at;

    while (text.n >= prefix.n && (at = memmem(text.p, text.n, prefix.p, prefix.n)) != NULL) {
        size_t n = (size_t)(at - text.p);

        buffer_add(out, text.p, n);
        text = slice_of(at + prefix.n, text.n - n - prefix.n);
    }
    buffer_add(out, text.p, text.n);
}

void stripper_begin(struct stripper *s, enum strip_rule rule)
{
    buffer_done(&s->held);
    *s = (struct stripper){.prefix = s->prefix,
                           .pattern = s->pattern,
                           .list = s->list,
                           .list_n = s->list_n,
                           .rule = (uint8_t)rule};
}

void stripper_done(struct stripper *s)
{
    buffer_done(&s->held);
}

/* The rule of element `at` of an array of replies. */
static enum strip_rule listed(struct stripper *s, uint64_t at)
{
    while (s->list_at < s->list_n && s->list[s->list_at].at < at)
        s->list_at++;
    if (s->list_at < s->list_n && s->list[s->list_at].at == at)
        return (enum strip_rule)s->list[s->list_at].rule;
    return STRIP_NOTHING;
}

/* What the next value is; of a ROLE_REPLY, by which rule. */
static enum role role_of(struct stripper *s, enum strip_rule *ret_rule)
{
    const struct strip_level *l = s->depth > 0 ? &s->levels[s->depth - 1] : NULL;

    *ret_rule = (enum strip_rule)s->rule;
    if (l == NULL)
        return ROLE_REPLY;
    switch ((enum strip_rule)l->rule) {
    case STRIP_NOTHING:
    case STRIP_ERROR:
        return ROLE_PASS;
    case STRIP_FIRST:
        return l->at == 0 ? ROLE_NAME : ROLE_PASS;
    case STRIP_EVERY:
        return ROLE_NAME;
    case STRIP_PAIRS:
        return l->at % 2 == 0 ? ROLE_NAME : ROLE_PASS;
    case STRIP_STREAMS:
        *ret_rule = STRIP_FIRST;
        if (l->map)
            return l->at % 2 == 0 ? ROLE_NAME : ROLE_PASS;
        return ROLE_REPLY;
    case STRIP_SCAN:
        *ret_rule = STRIP_EVERY;
        return l->at == 1 ? ROLE_REPLY : ROLE_PASS;
    case STRIP_TRACKING:
        *ret_rule = STRIP_EVERY;
        return l->at == 5 ? ROLE_REPLY : ROLE_PASS;
    case STRIP_THIRD:
        *ret_rule = STRIP_EVERY;
        return l->at == 2 ? ROLE_REPLY : ROLE_PASS;
    case STRIP_SECOND:
        return l->at == 1 ? ROLE_NAME : ROLE_PASS;
    case STRIP_PMESSAGE:
        return l->at == 1 ? ROLE_PATTERN : l->at == 2 ? ROLE_NAME : ROLE_PASS;
    case STRIP_PATTERN:
        return l->at == 1 ? ROLE_PATTERN : ROLE_PASS;
    case STRIP_ALL:
        *ret_rule = listed(s, l->at);
        return *ret_rule == STRIP_NOTHING ? ROLE_PASS : ROLE_REPLY;
    }
    check_failed("a known strip_rule", __FILE__, __LINE__);
}

/* A value is over. */
static void end_value(struct stripper *s)
{
    s->state = STATE_VALUE;
    while (s->depth > 0) {
        struct strip_level *l = &s->levels[s->depth - 1];

        l->at++;
        if (--l->left > 0)
            return;
        s->depth--;
    }
    s->state = STATE_OVER;
}

static size_t pass(struct stripper *s, struct slice in, struct buffer *out)
{
    size_t used;
    enum scan scan = reply_scan(&s->scan, in.p, in.n, &used);

    CHECK(scan != SCAN_BAD);
    buffer_add(out, in.p, used);
    if (scan != SCAN_OK)
        return used;
    if (s->state == STATE_PUSH)
        s->state = STATE_VALUE;
    else
        end_value(s);
    return used;
}

bool strip_find(struct slice prefix, struct slice head, uint64_t n, size_t *ret_at)
{
    const char *end;

    *ret_at = 0;
    if (slice_starts(head, prefix))
        return true;
    if (!slice_starts(head, KEYSPACE))
        return false;
    end = memmem(head.p, head.n, "__:", 3);
    if (end == NULL)
        return false;
    *ret_at = (size_t)(end - head.p) + 3;
    return n >= *ret_at + prefix.n &&
           slice_starts(slice_of(head.p + *ret_at, head.n - *ret_at), prefix);
}

/* A bulk that is a name. Returns the bytes used: 0 when too little of it is there. */
static size_t take_name(struct stripper *s, struct slice in, bool is_pattern, struct buffer *out)
{
    struct slice prefix = is_pattern ? s->pattern : s->prefix, rest, head;
    const char *line = memchr(in.p, '\n', in.n);
    int64_t n;
    size_t at, want;

    if (line == NULL)
        return 0;
    CHECK(slice_int(slice_of(in.p + 1, (size_t)(line - in.p) - 2), &n));
    if (n < 0) {
        s->state = STATE_PASS;
        return pass(s, in, out);
    }
    rest = slice_of(line + 1, in.n - (size_t)(line + 1 - in.p));
    want = prefix.n + KEYSPACE_BYTES;
    want = (uint64_t)n < want ? (size_t)n : want;
    if (rest.n < want)
        return 0;
    head = slice_of(rest.p, want);
    if (strip_find(prefix, head, (uint64_t)n, &at)) {
        buffer_printf(out, "$%llu\r\n", (unsigned long long)((uint64_t)n - prefix.n));
        buffer_add(out, head.p, at);
        s->state = STATE_NAME;
        s->bulk_left = (uint64_t)n - at - prefix.n + 2;
        return in.n - rest.n + at + prefix.n;
    }
    if (slice_eq(head, INVALIDATE) || slice_starts(head, KEYEVENT)) {
        s->state = STATE_PASS;
        return pass(s, in, out);
    }
    buffer_add(out, "$0\r\n\r\n", 6);
    s->state = STATE_DROP;
    s->bulk_left = (uint64_t)n + 2;
    return in.n - rest.n;
}

static bool is_aggregate(char type)
{
    return type == '*' || type == '%' || type == '~' || type == '>';
}

/* An error, collected up to its end. */
static size_t take_error(struct stripper *s, struct slice in, struct buffer *out)
{
    const char *end = memchr(in.p, '\n', in.n);
    size_t n;

    if (end == NULL)
        return 0;
    n = (size_t)(end + 1 - in.p);
    strip_text(s->prefix, slice_of(in.p, n), out);
    end_value(s);
    return n;
}

/* The header of an aggregate whose elements hold names. */
static size_t take_header(struct stripper *s, struct slice in, enum strip_rule rule,
                          struct buffer *out)
{
    struct slice rest = in;
    struct reply r;

    if (!reply_read(&rest, &r))
        return 0;
    buffer_add(out, in.p, in.n - rest.n);
    if (r.number <= 0) {
        end_value(s);
        return in.n - rest.n;
    }
    CHECK(s->depth < STRIPPER_LEVELS);
    s->levels[s->depth++] = (struct strip_level){
        .left = (uint64_t)r.number, .rule = (uint8_t)rule, .map = r.type == '%'};
    return in.n - rest.n;
}

static size_t take_value(struct stripper *s, struct slice in, struct buffer *out)
{
    enum strip_rule rule;
    enum role role = role_of(s, &rule);
    char type = *in.p;

    if (type == '>' && s->depth > 0) {
        s->state = STATE_PUSH;
        return pass(s, in, out);
    }
    if (role == ROLE_REPLY && type == '-')
        return take_error(s, in, out);
    if (role == ROLE_REPLY && is_aggregate(type) && rule > STRIP_ERROR)
        return take_header(s, in, rule, out);
    if (role == ROLE_REPLY && rule == STRIP_EVERY && type == '$')
        role = ROLE_NAME;
    if ((role == ROLE_NAME || role == ROLE_PATTERN) && type == '$')
        return take_name(s, in, role == ROLE_PATTERN, out);
    s->state = STATE_PASS;
    return pass(s, in, out);
}

/* Returns the bytes used: 0 when more must come first. */
static size_t take_some(struct stripper *s, struct slice in, struct buffer *out)
{
    size_t n = in.n;

    switch ((enum state)s->state) {
    case STATE_VALUE:
        return take_value(s, in, out);
    case STATE_NAME:
    case STATE_DROP:
        if (n > s->bulk_left)
            n = (size_t)s->bulk_left;
        if (s->state == STATE_NAME)
            buffer_add(out, in.p, n);
        s->bulk_left -= n;
        if (s->bulk_left == 0)
            end_value(s);
        return n;
    case STATE_PASS:
    case STATE_PUSH:
        return pass(s, in, out);
    case STATE_OVER:
        buffer_add(out, in.p, n);
        return n;
    }
    check_failed("a known state", __FILE__, __LINE__);
}

/* Returns how much of it is used: what is left must be shown again, with more behind it. */
static size_t take_all(struct stripper *s, struct slice in, struct buffer *out)
{
    size_t at = 0, used = 1;

    while (at < in.n && used > 0) {
        used = take_some(s, slice_of(in.p + at, in.n - at), out);
        at += used;
    }
    return at;
}

void stripper_feed(struct stripper *s, struct slice piece, struct buffer *out)
{
    size_t used;

    if (buffer_len(&s->held) == 0) {
        used = take_all(s, piece, out);
        if (used < piece.n)
            buffer_add(&s->held, piece.p + used, piece.n - used);
        return;
    }
    buffer_add(&s->held, piece.p, piece.n);
    used = take_all(s, buffer_slice(&s->held), out);
    if (used > 0)
        buffer_take(&s->held, used);
}
