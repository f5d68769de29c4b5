/* client_filter.c - see client_filter.h; and CLIENT LIST's line for one client. */
#include "client/client_filter.h"

#include "net/address.h"
#include "net/loop.h"
#include "resp/write.h"

static bool listens(const struct client *c)
{
    return c->mode == MODE_LISTEN || (c->more != NULL && c->more->sub.link != NULL);
}

bool client_filter_type(struct client_filter *f, struct slice word, struct buffer *error)
{
    f->by_type = true;
    if (option_is(word, "normal"))
        f->type = TYPE_NORMAL;
    else if (option_is(word, "pubsub"))
        f->type = TYPE_PUBSUB;
    else if (option_is(word, "master") || option_is(word, "replica") || option_is(word, "slave"))
        f->type = TYPE_OTHER;
    else {
        write_error(error, "ERR Unknown client type '%.*s'", (int)(word.n < 128 ? word.n : 128),
                    word.p);
        return false;
    }
    return true;
}

static bool parse_option(struct client_filter *f, const struct client *c, const struct slice *words,
                         struct buffer *error)
{
    struct slice word = words[0], value = words[1];
    int64_t id;

    if (option_is(word, "ID")) {
        if (!slice_int(value, &id) || id < 1) {
            write_error(error, "ERR client-id should be greater than 0");
            return false;
        }
        f->id = (uint64_t)id;
    } else if (option_is(word, "TYPE")) {
        return client_filter_type(f, value, error);
    } else if (option_is(word, "ADDR")) {
        f->addr = value;
    } else if (option_is(word, "LADDR")) {
        f->laddr = value;
    } else if (option_is(word, "USER")) {
        if (!lane_user_known(c->all->pool, value)) {
            write_error(error, "ERR No such user '%.*s'", (int)(value.n < 128 ? value.n : 128),
                        value.p);
            return false;
        }
        f->user = value;
    } else if (option_is(word, "SKIPME") && (option_is(value, "yes") || option_is(value, "no"))) {
        f->skip_me = option_is(value, "yes");
    } else {
        write_error(error, "ERR syntax error");
        return false;
    }
    return true;
}

bool client_filter_parse(struct client_filter *f, struct client *c, const struct request *q,
                         struct buffer *error)
{
    *f = (struct client_filter){.skip_me = q->argc > 3};
    if (q->argc == 3) {
        f->old_form = true;
        f->addr = q->argv[2];
        return true;
    }
    for (uint32_t i = 2; i < q->argc; i += 2) {
        if (i + 1 == q->argc) {
            write_error(error, "ERR syntax error");
            return false;
        }
        if (!parse_option(f, c, &q->argv[i], error))
            return false;
    }
    return true;
}

bool client_filter_matches(const struct client_filter *f, const struct client *c)
{
    char text[ADDRESS_TEXT];

    if (f->id != 0 && c->id != f->id)
        return false;
    if (f->by_type && f->type != (listens(c) && !c->more->monitor ? TYPE_PUBSUB : TYPE_NORMAL))
        return false;
    if (f->user.n > 0 && !slice_eq(f->user, slice_str(lane_user(c->lane))))
        return false;
    if (f->addr.p != NULL) {
        address_of_peer(stream_fd(&c->stream), text, sizeof text);
        if (!slice_eq(f->addr, slice_str(text)))
            return false;
    }
    if (f->laddr.p != NULL) {
        address_of_self(stream_fd(&c->stream), text, sizeof text);
        return slice_eq(f->laddr, slice_str(text));
    }
    return true;
}

/* In Redis' order and letters. */
static void put_flags(const struct client *c, char *text)
{
    const struct session *m = c->more;
    char *p = text;

    if (m != NULL && m->monitor)
        *p++ = 'O';
    else if (listens(c))
        *p++ = 'P';
    if (m != NULL && m->in_multi)
        *p++ = 'x';
    if (c->waits == WAIT_BLOCKED || c->waits == WAIT_PAUSE)
        *p++ = 'b';
    if (c->ending)
        *p++ = 'c';
    if (c->is_unix)
        *p++ = 'U';
    if (c->no_evict)
        *p++ = 'e';
    if (p == text)
        *p++ = 'N';
    *p = 0;
}

static size_t query_bytes(const struct client *c)
{
    const struct clients *all = c->all;

    return buffer_len(&c->in) + (all->present != NULL && all->present_client == c && c->in.cap == 0
                                     ? all->present->bytes.n
                                     : 0);
}

static size_t argument_bytes(const struct client *c)
{
    const struct request *q = c->all->present_client == c ? c->all->present : NULL;
    size_t n = 0;

    for (uint32_t i = 0; q != NULL && i < q->argc; i++)
        n += q->argv[i].n;
    return n;
}

void client_describe(struct client *c, struct buffer *out)
{
    static const struct session none;
    const struct session *m = c->more != NULL ? c->more : &none;
    const struct command *cmd = c->command != CMD_UNKNOWN ? command_row(c->command) : NULL;
    char addr[ADDRESS_TEXT], laddr[ADDRESS_TEXT], flags[16];
    uint64_t now_ms = client_now(c);
    size_t unread = client_unsent(c);

    address_of_peer(stream_fd(&c->stream), addr, sizeof addr);
    address_of_self(stream_fd(&c->stream), laddr, sizeof laddr);
    put_flags(c, flags);
    buffer_printf(out, "id=%llu addr=%s laddr=%s fd=%d name=%s age=%u idle=%u flags=%s db=%d ",
                  (unsigned long long)c->id, addr, laddr, stream_fd(&c->stream),
                  m->name ? m->name : "", (unsigned)(now_ms / 1000) - c->born_s,
                  (unsigned)((now_ms - c->active_ms) / 1000), flags, c->db);
    buffer_printf(out, "sub=%lld psub=%lld ssub=%lld multi=%d qbuf=%zu qbuf-free=%zu argv-mem=%zu ",
                  (long long)m->subs.count[SUB_CHANNEL], (long long)m->subs.count[SUB_PATTERN],
                  (long long)m->subs.count[SUB_SHARD], m->in_multi ? (int)m->queued : -1,
                  query_bytes(c), (size_t)(c->in.cap - c->in.tail), argument_bytes(c));
    buffer_printf(
        out, "multi-mem=0 rbs=0 rbp=0 obl=0 oll=%d omem=%zu tot-mem=%zu events=%s cmd=%s ",
        unread > 0, unread, sizeof *c + c->in.cap + c->out.cap + (c->more ? sizeof *m : 0),
        unread > 0 ? "rw" : "r", cmd != NULL ? cmd->name : "NULL");
    buffer_printf(out, "user=%s redir=-1 resp=%d", lane_user(c->lane), c->proto);
    if (pool_server_version(c->all->pool) >= 70200)
        buffer_printf(out, " lib-name=%s lib-ver=%s", m->lib_name ? m->lib_name : "",
                      m->lib_ver ? m->lib_ver : "");
    buffer_add(out, "\n", 1);
}
