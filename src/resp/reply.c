/* reply.c - where a reply ends, see reply.h.
 *
 * A reply is a run of elements: a scalar takes one away from the number still to come, an aggregate
 * takes one and adds its own. Three things may be cut by the end of a piece: a bulk (counted down),
 * a `+`/`-`/`(` line (counted up) and any other line, which is short and shown again.
 *
 * As in request.c, a short way takes what most replies are and judges nothing; read_header() is the
 * one place that says what a header may be. */
#include "resp/reply.h"

#include "base/limits.h"
#include "resp/lengths.h"

enum kind { KIND_NONE, KIND_LINE, KIND_BULK, KIND_COUNT, KIND_SHORT };

/* A line other than that of `+`, `-` and `(`. */
struct header {
    size_t size;       /* bytes of the line with its CR LF */
    int64_t number;    /* length, count, integer, boolean; -1 for a null bulk or array */
    struct slice text; /* between the type and the CR LF */
};

static enum kind kind_of(char type)
{
    switch (type) {
    case '+':
    case '-':
    case '(':
        return KIND_LINE;
    case '$':
    case '!':
    case '=':
        return KIND_BULK;
    case '*':
    case '~':
    case '%':
    case '>':
    case '|':
        return KIND_COUNT;
    case ':':
    case '#':
    case '_':
    case ',':
        return KIND_SHORT;
    default:
        return KIND_NONE;
    }
}

static bool in_range(struct slice text, int64_t least, uint64_t most, int64_t *ret_number)
{
    int64_t number;

    if (!slice_int(text, &number) || number < least || (number > 0 && (uint64_t)number > most))
        return false;
    *ret_number = number;
    return true;
}

/* What printf's %.17g can say: digits, sign, point, exponent, inf, nan. That it is a number is for
 * the client to find out; here it only must not be anything that could be taken for a frame. */
static bool is_double(struct slice text)
{
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '\0' || !strchr("0123456789+-.eEinfa", text.p[i]))
            return false;
    }
    return text.n > 0;
}

static bool header_number(char type, struct slice text, int64_t *ret_number)
{
    switch (type) {
    case '$':
        return in_range(text, -1, REPLY_BULK_BYTES, ret_number);
    case '!':
        return in_range(text, 0, REPLY_BULK_BYTES, ret_number);
    case '=': /* "txt:" at least */
        return in_range(text, 4, REPLY_BULK_BYTES, ret_number);
    case '*':
        return in_range(text, -1, REPLY_AGGREGATE_MAX, ret_number);
    case '~':
    case '%':
    case '>':
    case '|':
        return in_range(text, 0, REPLY_AGGREGATE_MAX, ret_number);
    case ':':
        if (text.n > 1 && text.p[0] == '+' && text.p[1] != '-')
            text = slice_of(text.p + 1, text.n - 1);
        return slice_int(text, ret_number);
    case '#':
        *ret_number = text.n == 1 && text.p[0] == 't';
        return text.n == 1 && (text.p[0] == 't' || text.p[0] == 'f');
    case '_':
        *ret_number = 0;
        return text.n == 0;
    case ',':
        *ret_number = 0;
        return is_double(text);
    default:
        return false;
    }
}

static enum scan read_header(const char *p, size_t n, struct header *ret_header)
{
    const char *lf = memchr(p, '\n', n < REPLY_HEADER_BYTES ? n : REPLY_HEADER_BYTES);
    struct header header;

    if (!lf)
        return n < REPLY_HEADER_BYTES ? SCAN_MORE : SCAN_BAD;
    if (lf - p < 2 || lf[-1] != '\r')
        return SCAN_BAD;
    header.size = (size_t)(lf - p) + 1;
    header.text = slice_of(p + 1, header.size - 3);
    if (!header_number(*p, header.text, &header.number))
        return SCAN_BAD;
    if (*p == '=') {
        /* The fourth byte of the payload is looked at together with the header, so that it does not
         * matter where they are cut. */
        if (n < header.size + 4)
            return SCAN_MORE;
        if (lf[4] != ':')
            return SCAN_BAD;
    }
    *ret_header = header;
    return SCAN_OK;
}

/* A `+`, `-` or `(` line, of which s->line bytes were seen before, goes on at p. */
static enum scan take_line(struct reply_scan *s, const char *p, size_t n, size_t *ret_used)
{
    const char *cr = memchr(p, '\r', n);
    size_t len = cr ? (size_t)(cr - p) : n;

    if (memchr(p, '\n', len) || s->line + len > REPLY_LINE_BYTES)
        return SCAN_BAD;
    if (!cr || len + 1 == n) {
        s->line += len;
        *ret_used = len;
        return SCAN_MORE;
    }
    if (cr[1] != '\n')
        return SCAN_BAD;
    s->line = 0;
    *ret_used = len + 2;
    return SCAN_OK;
}

static enum scan take_bulk(struct reply_scan *s, const char *p, size_t n, size_t *ret_used)
{
    bool good;

    *ret_used = bulk_take(&s->bulk_left, p, n, &good);
    if (!good)
        return SCAN_BAD;
    return s->bulk_left == 0 ? SCAN_OK : SCAN_MORE;
}

/* How many elements the header of an aggregate takes or adds: *left is brought up to date. */
static bool take_count(char type, uint64_t count, bool first, uint64_t *left)
{
    if (type == '%' || type == '|')
        count *= 2;
    /* An attribute is no element, nor is a push that Redis 6 put into the middle of an aggregate
     * (redis#8935). Only a push that comes first is the frame itself. */
    if (type != '|' && (type != '>' || first))
        --*left;
    *left += count;
    return *left <= REPLY_ELEMENTS_MAX;
}

/* The element that starts at in.p, of any kind, whole or cut. */
static enum scan take_element(struct reply_scan *s, struct slice in, bool first, uint64_t *left,
                              size_t *ret_used)
{
    enum kind kind = kind_of(*in.p);
    struct header header;
    size_t used;
    enum scan scan;

    *ret_used = 0;
    if (kind == KIND_NONE)
        return SCAN_BAD;
    if (kind == KIND_LINE) {
        scan = take_line(s, in.p, in.n, ret_used);
        *left -= scan == SCAN_OK;
        return scan;
    }
    scan = read_header(in.p, in.n, &header);
    if (scan != SCAN_OK)
        return scan;
    *ret_used = header.size;
    if (kind == KIND_COUNT && header.number >= 0)
        return take_count(*in.p, (uint64_t)header.number, first, left) ? SCAN_OK : SCAN_BAD;
    if (kind == KIND_BULK && header.number >= 0) {
        s->bulk_left = (uint64_t)header.number + 2;
        scan = take_bulk(s, in.p + header.size, in.n - header.size, &used);
        *ret_used += used;
    }
    *left -= scan == SCAN_OK;
    return scan;
}

/* The short way: what is whole, of SHORT_NUMBER_BYTES + 1 at least, and most usual. NULL for
 * whatever else there is. */

static inline const char *plain_bulk(const char *at, const char *end)
{
    uint64_t n;
    const char *body = short_number(at + 1, end, &n);

    if (UNLIKELY(!body))
        return memcmp(at, "$-1\r\n", 5) == 0 ? at + 5 : NULL;
    if ((uint64_t)(end - body) < n + 2 || body[n] != '\r' || body[n + 1] != '\n')
        return NULL;
    return body + n + 2;
}

static inline const char *plain_array(const char *at, const char *end, uint64_t *left)
{
    uint64_t n;
    const char *behind = short_number(at + 1, end, &n);

    /* take_plain() takes one away again, the array itself. */
    if (behind && *left <= REPLY_ELEMENTS_MAX - n)
        *left += n;
    else
        behind = NULL;
    return behind;
}

static inline const char *plain_scalar(const char *at, const char *end)
{
    uint64_t n;

    switch (*at) {
    case '+':
        return memcmp(at, "+OK\r\n", 5) == 0 ? at + 5 : NULL;
    case ':':
        return short_number(at + 1, end, &n);
    case '_':
        return memcmp(at, "_\r\n", 3) == 0 ? at + 3 : NULL;
    default:
        return NULL;
    }
}

/* Steps over elements on the short way, to the end of the reply or to what is not for it. */
static const char *take_plain(const char *at, const char *end, uint64_t *left)
{
    uint64_t more = *left;

    while (more > 0 && end - at > SHORT_NUMBER_BYTES) {
        const char *behind;

        if (LIKELY(*at == '$'))
            behind = plain_bulk(at, end);
        else if (*at == '*')
            behind = plain_array(at, end, &more);
        else
            behind = plain_scalar(at, end);
        if (!behind)
            break;
        at = behind;
        more--;
    }
    *left = more;
    return at;
}

enum scan reply_scan(struct reply_scan *s, const char *p, size_t n, size_t *ret_used)
{
    const char *at = p, *end = p + n, *behind;
    uint64_t left = s->left > 0 ? s->left : 1;
    bool first = s->left == 0;
    enum scan scan = SCAN_OK;
    size_t used = 0;

    if (UNLIKELY(s->bulk_left > 0 || s->line > 0) && n > 0) {
        scan = s->line > 0 ? take_line(s, p, n, &used) : take_bulk(s, p, n, &used);
        at += used;
        left -= scan == SCAN_OK;
    }
    while (scan == SCAN_OK && left > 0) {
        behind = take_plain(at, end, &left);
        first = first && behind == at;
        at = behind;
        if (left == 0)
            break;
        if (at == end) {
            scan = SCAN_MORE;
            break;
        }
        scan = take_element(s, slice_of(at, (size_t)(end - at)), first, &left, &used);
        at += used;
        first = first && used == 0;
    }
    s->left = first ? 0 : left;
    *ret_used = (size_t)(at - p);
    return scan;
}

/* The payload of a `+`, `-` or `(` line at p; its size with type and CR LF, 0 if it is not one. */
static size_t read_line(struct slice p, struct reply *reply)
{
    struct reply_scan scan = {0};
    size_t size;

    if (take_line(&scan, p.p, p.n, &size) != SCAN_OK)
        return 0;
    reply->text = slice_of(p.p + 1, size - 3);
    return size;
}

/* The same for any other scalar, and for the header of an aggregate. */
static size_t read_other(struct slice p, enum kind kind, struct reply *reply)
{
    struct header header;
    size_t len;

    if (read_header(p.p, p.n, &header) != SCAN_OK)
        return 0;
    if (header.number < 0 && (kind == KIND_BULK || kind == KIND_COUNT)) {
        reply->type = '_';
        return header.size;
    }
    if (kind == KIND_BULK) {
        len = (size_t)header.number;
        if (p.n - header.size < len + 2 || memcmp(p.p + header.size + len, "\r\n", 2) != 0)
            return 0;
        reply->text = slice_of(p.p + header.size, len);
        return header.size + len + 2;
    }
    reply->number = header.number;
    if (reply->type == '%' || reply->type == '|')
        reply->number *= 2;
    if (kind == KIND_SHORT)
        reply->text = header.text;
    return header.size;
}

bool reply_read(struct slice *p, struct reply *ret_reply)
{
    struct reply reply = {0};
    enum kind kind;
    size_t size;

    if (p->n == 0)
        return false;
    reply.type = p->p[0];
    kind = kind_of(reply.type);
    size = kind == KIND_LINE ? read_line(*p, &reply) : read_other(*p, kind, &reply);
    if (size == 0)
        return false;
    *p = slice_of(p->p + size, p->n - size);
    *ret_reply = reply;
    return true;
}

bool reply_skip(struct slice *p)
{
    struct reply_scan scan = {0};
    size_t used;

    if (reply_scan(&scan, p->p, p->n, &used) != SCAN_OK)
        return false;
    *p = slice_of(p->p + used, p->n - used);
    return true;
}
