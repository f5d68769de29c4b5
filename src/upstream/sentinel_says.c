/* sentinel_says.c - see sentinel_says.h. All of it is RESP2, whole and passed by the scan; what it
 * means is not trusted: another server may be at that port. */
#include "upstream/sentinel_says.h"

#include "resp/reply.h"

bool place_same(const struct place *a, const struct place *b)
{
    return a->port == b->port && strcasecmp(a->host, b->host) == 0;
}

struct address place_address(const struct place *p)
{
    return (struct address){.host = p->host, .port = p->port};
}

/* A bulk, or a simple string. */
static bool read_word(struct slice *p, struct slice *ret)
{
    struct reply r;

    if (!reply_read(p, &r) || (r.type != '$' && r.type != '+'))
        return false;
    *ret = r.text;
    return true;
}

/* The header of an array of at least n elements. */
static bool read_array(struct slice *p, int64_t n)
{
    struct reply r;

    return reply_read(p, &r) && r.type == '*' && r.number >= n;
}

static bool place_of(struct slice host, struct slice port, struct place *ret)
{
    int64_t number;

    if (host.n == 0 || host.n > PLACE_HOST_CHARS || memchr(host.p, 0, host.n) != NULL)
        return false;
    if (!slice_int(port, &number) || number < 1 || number > UINT16_MAX)
        return false;
    memcpy(ret->host, host.p, host.n);
    ret->host[host.n] = 0;
    ret->port = (uint16_t)number;
    return true;
}

enum says says_place(struct slice reply, struct place *ret_place)
{
    struct slice host, port, rest = reply;
    struct reply r;

    if (says_error(reply).n > 0)
        return SAYS_ERROR;
    if (reply_read(&rest, &r) && r.type == '_')
        return SAYS_UNKNOWN;
    if (!read_array(&reply, 2) || !read_word(&reply, &host) || !read_word(&reply, &port) ||
        !place_of(host, port, ret_place))
        return SAYS_GARBAGE;
    return SAYS_PLACE;
}

uint64_t says_epoch(struct slice reply)
{
    struct slice name, value;
    int64_t epoch;

    if (!read_array(&reply, 2))
        return 0;
    while (read_word(&reply, &name) && read_word(&reply, &value)) {
        if (slice_eq(name, SLICE("config-epoch")))
            return slice_int(value, &epoch) && epoch > 0 ? (uint64_t)epoch : 0;
    }
    return 0;
}

enum heard says_heard(struct slice message, struct slice master)
{
    struct slice kind, channel, text;

    if (says_error(message).n > 0)
        return HEARD_ERROR;
    if (!read_array(&message, 2) || !read_word(&message, &kind) || !read_word(&message, &channel))
        return HEARD_OTHER;
    if (slice_eq(kind, SLICE("subscribe")))
        return HEARD_SUBSCRIBED;
    /* `mymaster old-ip old-port new-ip new-port`: only the name matters, for the Sentinels are
     * asked all the same. */
    if (slice_eq(kind, SLICE("message")) && read_word(&message, &text) &&
        slice_starts(text, master) && text.n > master.n && text.p[master.n] == ' ')
        return HEARD_SWITCH;
    return HEARD_OTHER;
}

/* The line `role:master` of INFO. */
static enum role role_in(struct slice info)
{
    static const struct slice key = {"role:", 5};

    while (info.n > 0) {
        const char *nl = memchr(info.p, '\n', info.n);
        size_t n = nl != NULL ? (size_t)(nl - info.p) + 1 : info.n;
        struct slice line = slice_of(info.p, n);

        if (slice_starts(line, key)) {
            line = slice_of(line.p + key.n, line.n - key.n);
            return slice_starts(line, SLICE("master\r")) ? ROLE_MASTER : ROLE_OTHER;
        }
        info = slice_of(info.p + n, info.n - n);
    }
    return ROLE_UNTOLD;
}

enum role says_role(struct slice reply)
{
    struct slice word, rest = reply;

    if (says_error(reply).n > 0)
        return ROLE_UNTOLD;
    if (read_array(&rest, 1) && read_word(&rest, &word))
        return slice_eq(word, SLICE("master")) ? ROLE_MASTER : ROLE_OTHER;
    return read_word(&reply, &word) ? role_in(word) : ROLE_UNTOLD;
}

struct slice says_error(struct slice reply)
{
    struct reply r;

    if (!reply_read(&reply, &r) || (r.type != '-' && r.type != '!'))
        return slice_of("", 0);
    return r.text.n > 0 ? r.text : SLICE("error");
}
